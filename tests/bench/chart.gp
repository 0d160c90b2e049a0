# gnuplot -e "data='FILE'; out='FILE.svg'; what='TITLE'; columns=N" chart.gp: bars of seconds, shorter is better.
set terminal svg size 860,360 font 'sans-serif,12' background '#ffffff'
set output out
set datafile separator '\t'
set title what.': seconds, less is better'
set style data histograms
set style histogram clustered gap 1
set style fill solid 0.9 noborder
set boxwidth 0.9
set grid ytics lc rgb '#dddddd'
set border 3 lc rgb '#888888'
set tics nomirror
set yrange [0:*]
set key top left
set key autotitle columnheader
plot for [i = 2:columns] data using i:xtic(1) linecolor rgb word('#2b6cb0 #dd6b20 #38a169', i - 1)
