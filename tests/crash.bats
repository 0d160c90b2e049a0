#!/usr/bin/env bats
# After any kill, error or full disk the next fill ends with a right volume.

load helpers

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

# How many system calls a fill makes, in one thread.
calls() { # BUNDLE
	strace -f -qq -o trace "$decant" fill --threads 1 --dest v "$1" 2>log
	grep -cE '^[0-9]+ +[a-z]' trace
}

# The system calls, by number: kill the fill at each STEPth of them and see the next one make all good.
converges() { # FROM TO STEP
	local n count status
	rm -rf v
	mkdir v
	[ -z "$1" ] || fill "$1" v
	count=$(calls "$2")
	[ "$count" -gt 30 ]
	for ((n = 2; n < count; n += $3)); do
		rm -rf v
		mkdir v
		[ -z "$1" ] || fill "$1" v
		status=0
		strace -f -qq -o /dev/null -e inject=all:signal=KILL:when="$n" \
			"$decant" fill --threads 1 --dest v "$2" 2>log || status=$?
		[ "$status" -eq 137 ] || [ "$status" -eq 0 ]
		# A volume that is not whole does not pass for one.
		if ! "$decant" verify --dest v "$2" >/dev/null 2>&1; then
			refute grep -qs "^bundle: $("$decant" info "$2" | sed -n 's/^bundle: //p')" <("$decant" info v 2>&1)
		fi
		"$decant" fill --threads 1 --dest v "$2" 2>log || {
			echo "killed at call $n of $count, then: $(tail -n 1 log)"
			return 1
		}
		verify "$2" v --extra || {
			echo "killed at call $n of $count"
			return 1
		}
	done
}

step_of() {
	if [ -n "$DECANT_TEST_ALL" ]; then echo 1; else echo "$1"; fi
}

@test "a first fill that is killed at any call is made good by the next" {
	converges '' "$new" "$(step_of 5)"
	same_tree "$BATS_FILE_TMPDIR/new" v
}

@test "a refill that is killed at any call is made good by the next" {
	converges "$old" "$new" "$(step_of 9)"
	same_tree "$BATS_FILE_TMPDIR/new" v
}

@test "a refill that is killed can go back to the old release" {
	fill "$old" v
	count=$(calls "$new")
	for ((n = count / 3; n < count; n += count / 8)); do
		rm -rf v
		mkdir v
		fill "$old" v
		strace -f -qq -o /dev/null -e inject=all:signal=KILL:when="$n" "$decant" fill --threads 1 --dest v "$new" 2>log || status=$?
		fill "$old" v
		verify "$old" v --extra
	done
	same_tree "$BATS_FILE_TMPDIR/old" v
}

@test "a refill never shows half a file: each name is the old or the new one at any time" {
	fill "$old" v
	count=$(calls "$new")
	for ((n = 10; n < count; n += $(step_of 17))); do
		rm -rf v
		mkdir v
		fill "$old" v
		strace -f -qq -o /dev/null -e inject=all:signal=KILL:when="$n" "$decant" fill --threads 1 --dest v "$new" 2>log || status=$?
		cmp -s v/index.html "$BATS_FILE_TMPDIR/old/index.html" || cmp v/index.html "$BATS_FILE_TMPDIR/new/index.html"
		cmp v/css/numbers "$BATS_FILE_TMPDIR/old/css/numbers"
	done
}

@test "a big fill with several threads that is killed is made good" {
	"$maketree" 6 a 200
	"$maketree" 7 b 200
	pack a a.tar.zst --preserve-owner
	pack b b.tar.zst --preserve-owner
	for wait in 0.005 0.02 0.05 0.1 0.2; do
		"$decant" fill --threads 4 --dest v a.tar.zst 2>log &
		pid=$!
		sleep "$wait"
		kill -KILL "$pid" 2>/dev/null || echo "too late"
		wait "$pid" || status=$?
		"$decant" fill --threads 4 --dest v b.tar.zst 2>log
		verify b.tar.zst v --extra
		"$decant" fill --threads 4 --dest v b.tar.zst 2>log
		grep -q ': unchanged: ' log
	done
	same_tree b v
}

# Each call of a kind fails once; the fill says so, or does without; the next one is right.
fails_well() { # FROM CALLS ERROR STEP
	local n status hits
	for ((n = 1; ; n += $4)); do
		rm -rf v
		mkdir v
		[ -z "$1" ] || fill "$1" v
		status=0
		strace -f -qq -o trace -e trace="$2" -e inject="$2":error="$3":when="$n" \
			"$decant" fill --threads 1 --dest v "$new" 2>log || status=$?
		hits=$(grep -c INJECTED trace || :)
		if [ "$status" -eq 0 ]; then
			verify "$new" v
		else
			[[ $(tail -n 1 log) == decant:\ *:\ *:\ * && $status -lt 128 ]] || {
				echo "call $n: $status: $(tail -n 1 log)"
				grep INJECTED trace
				return 1
			}
		fi
		"$decant" fill --threads 1 --dest v "$new" 2>log
		verify "$new" v --extra
		[ "$hits" -gt 0 ] || break
	done
	[ "$n" -gt 1 ]
}

@test "any call that fails with EIO is reported, and the next fill is right" {
	fails_well '' openat,openat2,mkdirat,pwrite64,renameat,linkat,symlinkat,fchmod,fchown,fchownat,utimensat,fstat,newfstatat,statx,ftruncate,getdents64,close EIO "$(step_of 6)"
}

@test "any call of a refill that fails with EIO is reported, and the next fill is right" {
	fails_well "$old" openat,openat2,mkdirat,pwrite64,renameat,linkat,symlinkat,unlinkat,fchmod,fchown,fchownat,utimensat,fstat,newfstatat,statx,getdents64 EIO "$(step_of 11)"
}

@test "any write that finds no space is 12, and the next fill is right" {
	fails_well "$old" mkdirat,pwrite64,symlinkat,linkat,renameat,ftruncate ENOSPC "$(step_of 2)"
}

@test "EINTR changes nothing" {
	strace -f -qq -o trace -e inject=pread64,pwrite64,read,write:error=EINTR:when=1+3 "$decant" fill --threads 1 --dest v "$new" 2>log
	grep -q INJECTED trace
	verify "$new" v
}

@test "two fills of one volume at once: both end well, the volume is right" {
	for _ in 1 2 3; do
		rm -rf v
		mkdir v
		"$decant" fill --dest v "$old" 2>log.1 &
		one=$!
		"$decant" fill --dest v "$new" 2>log.2 &
		two=$!
		wait "$one"
		wait "$two"
		"$decant" verify --extra --dest v "$old" >/dev/null 2>&1 || verify "$new" v --extra
	done
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
