#!/usr/bin/env bats
# After any kill, error or full disk the next fill ends with a right volume.

load helpers
load inject

setup_file() {
	cd "$BATS_FILE_TMPDIR"
	small_tree old
	cp -a old new
	echo changed >new/index.html
	rm new/none
	mkdir new/added
	echo added >new/added/file
	ln -sfn added new/css/home
	pack old old.tar.zst
	pack new new.tar.zst
}

setup() {
	cd "$BATS_TEST_TMPDIR"
	old=$BATS_FILE_TMPDIR/old.tar.zst
	new=$BATS_FILE_TMPDIR/new.tar.zst
	mkdir v
}

# A volume "v" that holds nothing, or BUNDLE.
volume() { # [BUNDLE]
	rm -rf v
	mkdir v
	[ -z "$1" ] || fill "$1" v
}

# Kill the fill after one of STEP of its system calls and see the next one make all good.
survives_kills() { # FROM TO STEP
	local place id killed=0
	id=$("$decant" info "$2" | sed -n 's/^bundle: //p')
	volume "$1"
	places "$2" --sync >all
	[ "$(wc -l <all)" -gt 100 ]
	thin "$3" <all >todo
	while read -r place; do
		volume "$1"
		inject "$2" "$place" signal=KILL --sync
		[ "$injected" -eq 1 ] || {
			echo "not killed at $place: $status"
			return 1
		}
		killed=$((killed + 1))
		# A volume that is not whole does not pass for one.
		if ! "$decant" verify --dest v "$2" >/dev/null 2>&1; then
			refute grep -qs "^bundle: $id" <("$decant" info v 2>&1)
		fi
		"$decant" fill --threads 1 --dest v "$2" 2>log || {
			echo "killed at $place, then: $(tail -n 1 log)"
			return 1
		}
		verify "$2" v --extra || {
			echo "killed at $place"
			return 1
		}
	done <todo
	printf '# %s: killed after %d of %d system calls, right after the next fill each time\n' \
		"$([ -z "$1" ] && echo fresh || echo refill)" "$killed" "$(wc -l <all)" >&3
}

@test "a first fill that is killed after any call is made good by the next" {
	survives_kills '' "$new" 5
	same_tree "$BATS_FILE_TMPDIR/new" v
}

@test "a refill that is killed after any call is made good by the next" {
	survives_kills "$old" "$new" 7
	same_tree "$BATS_FILE_TMPDIR/new" v
}

@test "a refill that is killed can go back to the old release" {
	volume "$old"
	places "$new" | thin 12 >todo
	while read -r place; do
		volume "$old"
		inject "$new" "$place" signal=KILL
		[ "$status" -eq 137 ]
		fill "$old" v
		verify "$old" v --extra
	done <todo
	same_tree "$BATS_FILE_TMPDIR/old" v
}

@test "a refill never shows half a file: each name is the old or the new one at any time" {
	volume "$old"
	places "$new" | thin 12 >todo
	while read -r place; do
		volume "$old"
		inject "$new" "$place" signal=KILL
		[ "$status" -eq 137 ]
		cmp -s v/index.html "$BATS_FILE_TMPDIR/old/index.html" || cmp v/index.html "$BATS_FILE_TMPDIR/new/index.html"
		cmp v/css/numbers "$BATS_FILE_TMPDIR/old/css/numbers"
	done <todo
}

@test "a big fill with several threads that is killed is made good" {
	"$maketree" 6 a 200
	"$maketree" 7 b 200
	pack a a.tar.zst --preserve-owner
	pack b b.tar.zst --preserve-owner
	hits=0
	for wait in 0.005 0.02 0.05 0.1 0.2; do
		"$decant" fill --threads 4 --dest v a.tar.zst 2>log &
		pid=$!
		sleep "$wait"
		kill -KILL "$pid" 2>/dev/null || echo "too late"
		status=0
		wait "$pid" || status=$?
		[ "$status" -ne 137 ] || hits=$((hits + 1))
		"$decant" fill --threads 4 --dest v b.tar.zst 2>log
		verify b.tar.zst v --extra
		"$decant" fill --threads 4 --dest v b.tar.zst 2>log
		grep -q ': unchanged: ' log
	done
	[ "$hits" -ge 1 ]
	same_tree b v
}

@test "a second fill waits for the lock" {
	fill "$old" v
	exec 7<v/.decant/lock
	flock 7
	"$decant" fill --dest v "$new" 2>log &
	pid=$!
	sleep 0.5
	kill -0 "$pid"
	verify "$old" v
	flock -u 7
	wait "$pid"
	verify "$new" v --extra
}

@test "a fill that waits for the lock can be told to stop" {
	fill "$old" v
	exec 7<v/.decant/lock
	flock 7
	"$decant" fill --dest v "$new" 2>log &
	pid=$!
	sleep 0.3
	kill -TERM "$pid"
	status=0
	wait "$pid" || status=$?
	[ "$status" -eq 143 ]
}

@test "SIGTERM ends a fill within a second, also as process 1" {
	mkfifo pipe
	unshare --pid --fork --kill-child bash -c 'exec "$0" fill --dest v - <pipe' "$decant" 2>log &
	pid=$!
	exec 8>pipe
	head -c 2000 "$new" >&8
	sleep 0.4
	child=$(pgrep -P "$pid")
	began=$(date +%s%N)
	kill -TERM "$child"
	status=0
	wait "$pid" || status=$?
	[ "$status" -eq 143 ]
	[ $(($(date +%s%N) - began)) -lt 1000000000 ]
	exec 8>&-
	fill "$new" v
	verify "$new" v --extra
}

@test "a signal before the fill begins is not lost" {
	mkfifo pipe
	exec 8<>pipe
	"$decant" fill --dest v - <pipe 2>log &
	pid=$!
	sleep 0.2
	kill -TERM "$pid"
	status=0
	wait "$pid" || status=$?
	[ "$status" -eq 143 ]
	[ -z "$(ls -A v)" ]
}

@test "a first fill that was killed needs no more room than any first fill" {
	mount_tmpfs v size=60m
	mkdir s
	head -c 40000000 /dev/urandom >s/large
	echo small >s/small
	pack s large.tar.zst
	for kind in "" --switch; do
		rm -f pipe
		mkfifo pipe
		"$decant" fill $kind --dest v - <pipe 2>err &
		filler=$!
		exec 8>pipe
		head -c 36000000 large.tar.zst >&8
		for ((i = 0; i < 500; i++)); do
			[[ $(du -sm v | cut -f 1) -lt 32 ]] || break
			sleep 0.02
		done
		kill -KILL "$filler"
		exec 8>&-
		wait "$filler" || :
		[[ $(du -sm v | cut -f 1) -ge 32 ]]
		fill large.tar.zst v $kind
		"$decant" verify $kind --dest v large.tar.zst
		rm -rf v/* v/.decant
	done
}

@test "a first fill that was killed at its end makes room of hard links and in closed directories, too" {
	mount_tmpfs v size=60m
	chown 1000:1000 v
	mkdir -p s/closed s/links
	head -c 40000000 /dev/urandom >s/closed/large
	ln s/closed/large s/links/same
	ln s/closed/large s/links/wrong
	chmod 555 s/closed s/links
	pack s large.b
	user=(setpriv --reuid 1000 --regid 1000 --clear-groups)
	within_reach
	status=0
	"${user[@]}" strace -qq -o /dev/null -e trace=unlinkat -e inject=unlinkat:signal=KILL:when=2 \
		"$decant" fill --threads 1 --dest v large.b 2>err || status=$?
	[[ $status -eq 137 && -e v/.decant/first ]]
	[[ $(stat -c %a-%h v/closed v/closed/large | paste -sd ,) = 555-2,644-3 ]]
	# As a power cut may leave it.
	damage v/closed/large 20000000
	ln -sf nowhere v/links/wrong
	status=0
	"${user[@]}" "$decant" fill --dest v large.b 2>err || status=$?
	[[ $status -eq 0 ]] || {
		cat err
		return 1
	}
	"${user[@]}" "$decant" verify --extra --dest v large.b
	[[ $(stat -c %h v/links/wrong) -eq 3 ]]
}

@test "a first fill that was killed makes room of files with holes, and of those that had no owner yet" {
	mount_tmpfs v size=24m
	mkdir s
	for n in 1 2; do
		head -c 10000000 /dev/urandom >s/$n
		dd if=/dev/zero of=s/$n bs=65536 seek=3 count=1 conv=notrunc status=none
	done
	pack s holes.b
	inject holes.b ftruncate:2 signal=KILL # all written but the end
	[[ $status -eq 137 && $(stat -c %b v/2) -gt 19000 ]]
	truncate -s -4096 v/2
	fill holes.b v
	verify holes.b v --extra
	rm -rf v/* v/.decant
	for n in 1 2; do head -c 3000000 /dev/urandom >s/$n; done
	umount v
	mount_tmpfs v size=6500k
	pack s owner.b --owner 1000:1000
	inject owner.b fchown:2 signal=KILL
	[[ $status -eq 137 && $(stat -c %u-%s v/1 v/2 | paste -sd ,) = 1000-3000000,0-3000000 ]]
	fill owner.b v
	verify owner.b v --extra
}

@test "what a killed first fill left takes neither room nor inodes from another bundle, nor hard links any" {
	mount_tmpfs v size=60m
	mkdir s
	head -c 40000000 /dev/urandom >s/one
	pack s one.b
	rm s/one
	head -c 30000000 /dev/urandom >s/two
	pack s two.b
	inject one.b unlinkat:2 signal=KILL
	[[ $status -eq 137 && -e v/.decant/first && -e v/one ]]
	fill two.b v
	verify two.b v --extra
	umount v
	rm s/two
	echo x >s/file
	for ((n = 0; n < 100; n++)); do ln s/file s/$n; done
	pack s links.b
	mkfs.ext4 -q -N 64 disk.img 8m # in a tmpfs a link counts as an inode
	mount -o loop disk.img v
	inject links.b linkat:3 signal=KILL
	[[ $status -eq 137 ]]
	fill links.b v
	verify links.b v --extra
	umount v
}

@test "what may not be removed from tmp is in the way of no later fill" {
	mkfs.ext4 -q -O ^has_journal disk.img 8m
	mount -o loop disk.img v
	mkdir s
	echo x >s/file
	pack s b.b
	fill b.b v
	mkdir -p v/mine/deep
	echo mine >v/mine/deep/fixed
	echo mine >v/mine/deep/other
	chattr +i v/mine/deep/fixed
	fill b.b v --prune all
	verify b.b v --extra
	[[ $(cd v/.decant/tmp && find . -type f | sed 's,.*/,,') = fixed ]]
	echo y >s/file
	pack s c.b
	fill c.b v
	verify c.b v --extra
	chattr -i v/.decant/tmp/*/fixed
	fill c.b v
	[[ -z $(ls -A v/.decant/tmp) ]]
	umount v
}

@test "a purge of tmp that was stopped is carried on, whatever it left" {
	mkdir -p s/assets
	for ((n = 0; n < 400; n++)); do mkdir -p s/assets/$n/{a,b}/c; done
	for ((n = 0; n < 400; n++)); do : >s/assets/$n/a/c/x; done
	pack s old.b
	rm -r s/assets
	ln -s elsewhere s/assets
	pack s new.b
	fill old.b v
	inject new.b unlinkat:900 signal=KILL
	[[ $status -eq 137 && $(ls v/.decant/tmp | wc -l) -gt 300 ]]
	cp -a v/.decant/tmp left
	fill new.b v
	verify new.b v --extra
	[[ -z $(ls -A v/.decant/tmp) ]]
	# Also when the fill that comes across it has nothing else to do.
	cp -a left/. v/.decant/tmp
	fill new.b v
	[[ -z $(ls -A v/.decant/tmp) ]]
}

@test "no room is made in a volume that is in use: a repair that was killed, and then does not fit" {
	mount_tmpfs v size=60m
	mkdir s
	head -c 40000000 /dev/urandom >s/large
	echo small >s/small
	pack s large.b
	fill large.b v
	echo other >v/small
	inject large.b renameat:2 signal=KILL
	[[ $status -eq 137 && ! -e v/.decant/state && $(ls v/.decant) = *journal-* ]]
	damage v/large 20000000
	cp v/large before
	run -12 --separate-stderr "$decant" fill --dest v large.b
	says "check space"
	cmp before v/large
	rm v/large
	fill large.b v
	verify large.b v --extra
}

@test "what a killed refill left aside takes no room from those after it" {
	mount_tmpfs v size=100m
	mkdir s
	for release in one two; do
		for n in 1 2 3 4 5 6 7 8; do head -c 5000000 /dev/urandom >"s/$n"; done
		pack s "$release.b"
	done
	fill one.b v
	mkfifo pipe
	"$decant" fill --dest v - <pipe 2>err &
	filler=$!
	exec 8>pipe
	head -c 36000000 two.b >&8
	for ((i = 0; i < 500; i++)); do
		[[ $(du -sm v/.decant/tmp | cut -f 1) -lt 30 ]] || break
		sleep 0.02
	done
	kill -KILL "$filler"
	exec 8>&-
	wait "$filler" || :
	[[ $(du -sm v/.decant/tmp | cut -f 1) -ge 30 ]]
	cp -a v before
	fill one.b v
	grep -q ': unchanged: ' log
	[[ -z $(ls -A v/.decant/tmp) ]]
	cp -a before/.decant/tmp/. v/.decant/tmp
	fill two.b v
	verify two.b v --extra
}

@test "a large file that nobody vouches for is compared, and kept when it is right" {
	mount_tmpfs v size=60m
	mkdir s
	head -c 40000000 /dev/urandom >s/large
	pack s large.tar.zst
	fill large.tar.zst v
	before=$(stat -c %i v/large)
	rm v/.decant/state
	fill large.tar.zst v
	[[ $(stat -c %i v/large) == "$before" && $(summary written) == 0 ]]
	rm v/.decant/state
	touch v/large
	sleep 0.02 # a tick of ctimes
	fill large.tar.zst v
	verify large.tar.zst v --extra
	[[ $(stat -c %i v/large) == "$before" ]]
	rm v/.decant/state
	for at in 0 20000000 39999999; do
		damage v/large "$at"
		touch -r s/large v/large
		# Two do not fit; one that is wrong is not worth keeping, but there may be readers.
		run -12 "$decant" fill --dest v large.tar.zst
	done
	mount -o remount,size=100m v
	fill large.tar.zst v
	verify large.tar.zst v --extra
	[[ $(stat -c %i v/large) != "$before" ]]
}

@test "SIGTERM while what was in a file's place is emptied away is 143, too" {
	mkdir v/index.html
	(cd v/index.html && seq 1 5000 | xargs touch)
	status=0
	strace -f -qq -o trace -e trace=unlinkat -e inject=unlinkat:signal=TERM:when=2000 \
		"$decant" fill --threads 1 --dest v "$old" 2>log || status=$?
	[[ $status -eq 143 ]]
	fill "$old" v
	verify "$old" v --extra
}

@test "a repair that ends in the middle forgets no release: the next one keeps its files" {
	local n how
	for n in 1 2 3; do
		mkdir r$n
		echo $n | tee r$n/index.html >r$n/app-$n.js
		pack r$n r$n.b
	done
	for how in error=EIO signal=KILL; do
		fill r1.b v --keep-releases 1 --create
		fill r2.b v --keep-releases 1
		echo other >v/index.html
		status=0
		strace -qq -o trace -e trace=renameat -e inject=renameat:$how:when=2 \
			"$decant" fill --keep-releases 1 --dest v r2.b 2>err || status=$?
		[ $status -eq 13 ] || [ $status -eq 137 ]
		fill r3.b v --keep-releases 1
		[ "$(ls v)" = $'app-2.js\napp-3.js\nindex.html' ]
		verify r3.b v
		rm -r v
	done
}
