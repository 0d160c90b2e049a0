#!/usr/bin/env bats
# What changes its name while a fill runs, and what would keep decant for ever.

load helpers

setup_file() {
	cd "$BATS_FILE_TMPDIR"
	small_tree one
	pack one one.b
}

setup() {
	cd "$BATS_TEST_TMPDIR"
	one=$BATS_FILE_TMPDIR/one.b
	mkdir v
}

user=(setpriv --reuid 1000 --regid 1000 --clear-groups)

# Is process PID gone within SECONDS?
gone_within() { # SECONDS PID
	local i
	for ((i = 0; i < $1 * 20; i++)); do
		kill -0 "$2" 2>/dev/null || return 0
		sleep 0.05
	done
	return 1
}

# The user may rename what is root's in a directory of his.
@test "a file of the same size that is moved into the volume while a fill runs keeps its mode and its time" {
	mkdir -p s/d home
	head -c 100 /dev/urandom >s/d/file
	head -c 5000000 /dev/urandom >s/noise
	chmod 777 s/d
	pack s old.b
	touch -d 2020-02-02 s/d/file
	head -c 5000000 /dev/urandom >s/noise
	pack s new.b
	head -c 100 /dev/urandom >home/secret
	chmod 600 home/secret
	touch -d 2001-01-01 home/secret
	chown 1000 home
	chmod 711 .
	fill old.b v
	sleep 0.02 # a tick of ctimes
	mkfifo pipe
	"$decant" fill --dest v - <pipe 2>err &
	filler=$!
	exec 8>pipe
	# More than a pipe holds: it is past its plan.
	head -c 3000000 new.b >&8
	sleep 0.2
	"${user[@]}" mv home/secret v/d/file
	tail -c +3000001 new.b >&8
	exec 8>&-
	status=0
	wait "$filler" || status=$?
	[[ $status -eq 11 && $(stat -c '%a %Y' v/d/file) == "600 978307200" ]] || {
		echo "exit $status: $(cat err)" >&2
		return 1
	}
	grep -q 'v/d/file: change (it was replaced meanwhile): ' err
	fill new.b v
	verify new.b v --extra
}

@test "a directory that is moved into the volume while a fill runs: its files keep their mode" {
	mkdir -p s/pub/sub s/z mine/dir
	for n in 1 2; do
		head -c 33 /dev/urandom >s/pub/sub/$n
		head -c 33 /dev/urandom >mine/dir/$n
		chmod 600 mine/dir/$n
	done
	head -c 5000000 /dev/urandom >s/z/noise
	chmod 777 s/pub
	chown 1000 s/pub/sub
	pack s old.b --preserve-owner
	touch -d 2020-02-02 s/pub/sub/1 s/pub/sub/2
	head -c 5000000 /dev/urandom >s/z/noise
	pack s new.b --preserve-owner
	chown 1000 mine mine/dir
	chmod 711 .
	fill old.b v
	# Files that the state vouches for, and such that are compared.
	for how in vouched compared; do
		rm -f pipe
		mkfifo pipe
		"$decant" fill --dest v - <pipe 2>err &
		filler=$!
		exec 8>pipe
		# More than a pipe holds: it is past its plan.
		head -c 3000000 new.b >&8
		sleep 0.2
		"${user[@]}" sh -c 'mv v/pub/sub v/pub/was && mv mine/dir v/pub/sub'
		tail -c +3000001 new.b >&8
		exec 8>&-
		status=0
		wait "$filler" || status=$?
		[[ $status -eq 11 && $(stat -c %a v/pub/sub/*) == $'600\n600' ]] || {
			echo "$how: exit $status: $(cat err)" >&2
			return 1
		}
		"${user[@]}" sh -c 'mv v/pub/sub mine/dir && mv v/pub/was v/pub/sub'
		rm -f v/.decant/state
	done
	fill new.b v
	verify new.b v --extra
}

@test "a link that takes a planted directory's place in tmp while it is opened up leads nowhere" {
	mkdir -p out
	echo canary >out/conf
	chmod 644 out/conf
	fill "$one" v
	mkdir -p v/.decant/tmp/trash-7/y
	chmod 0 v/.decant/tmp/trash-7/y v/.decant/tmp/trash-7
	ln -s ../../../out/conf link
	chmod 711 .
	chown -R -h 1000:1000 v out link
	cp "$one" one.b
	strace -qq -o trace -e trace=fchmodat -e inject=fchmodat:delay_enter=1000000:when=1 \
		"${user[@]}" "$decant" fill --threads 1 --dest v - <one.b 2>err &
	sleep 0.5
	mv v/.decant/tmp/trash-7 aside
	mv link v/.decant/tmp/trash-7
	wait $! || :
	grep -q fchmodat trace
	[[ $(stat -c %a out/conf) == 644 && $(cat out/conf) == canary ]]
	"${user[@]}" "$decant" fill --dest v - <one.b
	[[ -z $(ls -A v/.decant/tmp) ]]
}

@test "what is mounted in what gives way keeps its mode, also where it has to be opened up" {
	mkdir -p other s
	chmod 2775 other
	echo file >s/a
	pack s b.b
	chmod 711 .
	mkdir -p v/a/sub/mnt
	chmod 0555 v/a/sub
	chown -R 1000:1000 v other
	mount --bind other v/a/sub/mnt
	"${user[@]}" "$decant" fill --dest v - <b.b
	[[ $(cat v/a) == file && $(stat -c %a other) == 2775 ]]
	mkdir other/closed
	chmod 0 other/closed
	"${user[@]}" "$decant" fill --dest v - <b.b
	[[ $(stat -c %a other other/closed | paste -sd ,) == 2775,2000 ]]
	# What is open to its owner is left as it is.
	umount v/.decant/tmp/*/mnt
	mkdir -p v/.decant/tmp/y
	chown 1000 v/.decant/tmp/y
	strace -f -qq -o trace -e trace=fchmodat "${user[@]}" "$decant" fill --dest v - <b.b
	refute grep fchmodat trace
	[[ -z $(ls -A v/.decant/tmp) ]]
}

@test "a directory that somebody has open, and keeps adding to, stops no fill" {
	fill "$one" v
	rm v/index.html
	mkdir v/index.html
	perl -e 'chdir "v/index.html"; for (;;) { open F, ">", $n++ }' &
	adder=$!
	for ((i = 0; i < 5; i++)); do
		status=0
		timeout 60 "$decant" fill --dest v "$one" 2>err || status=$?
		[[ $status -eq 0 ]] || break
	done
	kill "$adder"
	wait "$adder" || :
	[[ $status -eq 0 ]] || {
		cat err
		return 1
	}
	verify "$one" v --extra
}

@test "SIGTERM ends who writes to a terminal that nobody reads, from any thread, within seconds" {
	mkdir s
	(cd s && seq 30000 | sed 's/^/a name of some length: /' | tr '\n' '\0' | xargs -0 touch)
	pack s many.b
	mkfifo pipe
	exec 8<>pipe
	for threads in 1 2 4; do
		rm -f pid status
		decant=$decant threads=$threads timeout -s KILL 60 script -qfc 'sh -c '\''
			"$decant" verify --threads "$threads" --dest v many.b & echo $! >pid
			wait $!
			echo $? >status'\' /dev/null >&8 2>&1 </dev/null &
		sleep 2
		pid=$(cat pid)
		kill -0 "$pid"
		kill -TERM "$pid"
		gone_within 5 "$pid" || {
			kill -KILL "$pid"
			return 1
		}
		for ((i = 0; i < 100; i++)); do
			[[ ! -s status ]] || break
			sleep 0.05
		done
		[[ $(cat status) == 143 ]]
		# Let script end.
		timeout 2 cat <&8 >/dev/null || :
		wait $! || :
	done
}

@test "SIGTERM ends a read that is interrupted again and again" {
	strace -f -qq -o trace -e trace=pread64 -e inject=pread64:error=EINTR:when=5+ \
		"$decant" fill --threads 1 --dest v "$one" 2>err &
	tracer=$!
	sleep 1
	pid=$(pgrep -P "$tracer" | head -n 1)
	kill -0 "$pid"
	kill -TERM "$pid"
	# One signal after another does not put it off.
	for ((i = 0; i < 3; i++)); do
		sleep 1
		kill -TERM "$pid" 2>/dev/null || break
	done
	gone_within 2 "$tracer" || {
		kill -KILL "$pid"
		return 1
	}
	status=0
	wait "$tracer" || status=$?
	[[ $status -eq 143 ]]
	fill "$one" v
	verify "$one" v --extra
}

@test "verify keeps no more than some lines in memory, and their order, however many there are" {
	mkdir s empty
	perl -e 'for (1 .. 40000) { open my $f, ">", "s/" . ("\001" x 240) . $_ or die }'
	pack s many.b
	for threads in 1 4; do
		status=0
		"$top/build/tests/peak" "$decant" verify --threads "$threads" --dest empty many.b >missing.$threads 2>log ||
			status=$?
		[[ $status -eq 16 ]]
		peak=$(sed -n 's/^peak: \([0-9]*\).*/\1/p' log)
		[[ $peak -gt 100 && $peak -le 8192 ]] || {
			cat log
			return 1
		}
	done
	cmp missing.1 missing.4
	[[ $(grep -c '^missing: ' missing.1) -eq 40000 ]]
	grep '^missing: ' missing.1 | LC_ALL=C sort -c
	fill "$one" v
	cp -r s/. v
	status=0
	"$top/build/tests/peak" "$decant" verify --extra --threads 2 --dest v "$one" >extra 2>log || status=$?
	peak=$(sed -n 's/^peak: \([0-9]*\).*/\1/p' log)
	[[ $status -eq 16 && $(grep -c '^extra: ' extra) -eq 40000 && $peak -le 24576 ]]
}

@test "a state that got a new ctime long after its fill, as chmod -R gives it, vouches for nothing since" {
	fill "$one" v
	sleep 3.5
	touch -r v/css/numbers stamp
	damage v/css/numbers 100
	touch -r stamp v/css/numbers
	sleep 0.1
	chmod 600 v/.decant/state
	fill "$one" v
	[[ $(summary written) -eq 1 ]]
	verify "$one" v --extra
	# By itself time makes nothing doubtful.
	sleep 3.5
	fill "$one" v
	grep -q ': unchanged: ' log
	strace -qq -o trace "$decant" fill --threads 1 --dest v "$one"
	refute grep -q 'pread64.*<h1>' trace
}

@test ".decantignore that is a link, and one of more than 64 KiB, are refused" {
	mkdir s
	echo '*' >patterns
	ln -s ../patterns s/.decantignore
	echo x >s/file
	run -11 --separate-stderr pack s b.b
	says s/.decantignore "is not a file"
	ln -sf /proc/kmsg s/.decantignore
	run -11 timeout 20 "$decant_pack" -o b.b s
	rm s/.decantignore
	head -c 65537 /dev/zero | tr '\0' '#' >s/.decantignore
	run -2 --separate-stderr pack s b.b
	says s/.decantignore "longer than 64 KiB"
	head -c 65536 /dev/zero | tr '\0' '#' >s/.decantignore
	pack s b.b
}
