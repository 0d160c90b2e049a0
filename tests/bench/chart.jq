# Fills of one kind of file system, as a table for gnuplot: a line for each tool, a column for each set.

def median: sort | .[length / 2 | floor];

map(select(.part == "fill" and .volume == $volume and .wall))
| (map(.set) | unique) as $sets
| group_by(.tool)
| map({tool: .[0].tool, by: (group_by(.set) | map({key: .[0].set, value: (map(.wall) | median)}) | from_entries)})
| sort_by([.by[]] | add)
| (["tool"] + $sets), (.[] | . as $t | [$t.tool] + ($sets | map($t.by[.] // 0)))
| @tsv
