#!/usr/bin/env bats
# Two fills of one volume at once: one after the other, or one of them says that the volume is taken.

load helpers

setup_file() {
	cd "$BATS_FILE_TMPDIR"
	"$maketree" --plain 400 one
	seq 20000 >one/numbers
	cp -a one two
	rm -r two/dir-00
	for n in 1 2 3 4 5 6 7 8; do echo "changed $n" >"two/dir-0$n/new"; done
	echo changed >two/numbers
	pack one one.tar.zst
	pack two two.tar.zst
}

setup() {
	cd "$BATS_TEST_TMPDIR"
	one=$BATS_FILE_TMPDIR/one.tar.zst
	two=$BATS_FILE_TMPDIR/two.tar.zst
	mkdir v
}

rounds() {
	if [[ -n $DECANT_TEST_ALL ]]; then echo 500; else echo 10; fi
}

# Fills of BUNDLES at once, each with --lock-timeout TIMEOUT; counts what they end with in $done and $taken.
together() { # TIMEOUT BUNDLE...
	local timeout=$1 bundle pids=() pid status
	shift
	for bundle; do
		"$decant" fill --lock-timeout "$timeout" --dest v "$bundle" 2>"err.${#pids[@]}" &
		pids+=($!)
	done
	for pid in "${pids[@]}"; do
		status=0
		wait "$pid" || status=$?
		case $status in
		0) done=$((done + 1)) ;;
		14) taken=$((taken + 1)) ;;
		*)
			echo "exit $status: $(cat err.*)" >&2
			return 1
			;;
		esac
	done
}

# The volume is one of BUNDLES, whole, and says so itself; nothing is left over.
is_one_of() { # BUNDLE...
	local bundle
	for bundle; do
		[[ $("$decant" info v | sed -n 's/^bundle: //p') == $("$decant" info "$bundle" | sed -n 's/^bundle: //p') ]] || continue
		verify "$bundle" v --extra || return 1
		[[ -z $(ls -A v/.decant/tmp) && -z $(find v/.decant -name 'journal-*') ]]
		return
	done
	echo "the volume's state is of none" >&2
	return 1
}

@test "fills that wait for each other all end well, of one bundle and of different ones" {
	done=0 taken=0
	for ((round = 0; round < $(rounds); round++)); do
		((round % 5)) || rm -rf v
		mkdir -p v
		together 60 "$one" "$one"
		is_one_of "$one"
		together 60 "$one" "$two" "$one" "$two"
		is_one_of "$one" "$two"
	done
	echo "# $done fills done, $taken refused" >&3
	[[ $taken -eq 0 && $done -eq $((6 * $(rounds))) ]]
}

@test "fills that do not wait: those that come too late end with 14, and the volume is one of the bundles" {
	done=0 taken=0
	for ((round = 0; round < $(rounds); round++)); do
		((round % 5)) || rm -rf v
		mkdir -p v
		together 0 "$one" "$two" "$one"
		is_one_of "$one" "$two"
	done
	echo "# $done fills done, $taken refused" >&3
	[[ $done -ge $(rounds) && $taken -gt 0 ]]
}

# A fill of BUNDLE that stops in the middle, with the lock; $pid is it, and it is stopped.
holder() { # BUNDLE
	strace -f -qq -o holder.trace -e trace=renameat -e inject=renameat:signal=STOP:when=3 \
		"$decant" fill --threads 1 --dest v "$1" 2>holder.err &
	tracer=$!
	until grep -qs 'stopped by SIGSTOP' holder.trace; do
		kill -0 "$tracer" || return 1
		sleep 0.05
	done
	pid=$(sed -n '1s/ .*//p' holder.trace)
}

# What a test that failed leaves stopped would stay for ever.
teardown() {
	[[ -z $tracer ]] || kill -KILL "$pid" "$tracer" 2>/dev/null || :
}

@test "a fill that is stuck makes another one end with 14, and lets go when it is killed" {
	fill "$one" v
	holder "$two"
	run -14 --separate-stderr "$decant" fill --lock-timeout 1 --dest v "$one"
	says v lock "1 s"
	"$decant" fill --dest v "$one" 2>err &
	waiter=$!
	kill -KILL "$pid"
	wait "$tracer" || :
	wait "$waiter"
	is_one_of "$one"
}

@test "a fill that is stuck and goes on ends well, and so does who waited" {
	fill "$one" v
	holder "$two"
	"$decant" fill --dest v "$one" 2>err &
	waiter=$!
	kill -CONT "$pid"
	wait "$tracer"
	wait "$waiter"
	is_one_of "$one" "$two"
}

@test "a lock that was removed and made anew under a fill: it blocks nobody, and the volume comes out right" {
	fill "$one" v
	holder "$two"
	rm v/.decant/lock
	# What the stuck one had begun is not there for the second, which does not wait.
	"$decant" fill --lock-timeout 0 --dest v "$one" 2>err
	is_one_of "$one"
	kill -CONT "$pid"
	status=0
	wait "$tracer" || status=$?
	echo "the one that was overtaken: exit $status: $(tail -n 1 holder.err)"
	[[ $status -ne 0 ]] || verify "$two" v
	fill "$two" v
	is_one_of "$two"
}

@test "a lock that is removed while a fill waits for it is 11: nobody fills under a lock that others do not see" {
	for remove in 'rm v/.decant/lock' 'mv v/.decant aside' 'mv v/.decant aside2; cp -a aside2 v/.decant'; do
		fill "$one" v
		exec 7<v/.decant/lock
		flock 7
		strace -f -qq -o trace -e trace=flock "$decant" fill --dest v "$two" 2>err &
		pid=$!
		until grep -qs flock trace; do
			kill -0 $pid
			sleep 0.05
		done
		eval "$remove"
		flock -u 7
		status=0
		wait "$pid" || status=$?
		[[ $status -eq 11 ]]
		grep -q 'lock was removed meanwhile' err
		[[ $remove == rm* ]] || touch -r "$BATS_FILE_TMPDIR/one" v # it had a name moved
		verify "$one" v --extra
		rm trace
	done
}

@test "a verify beside a fill needs no lock and changes nothing" {
	fill "$one" v
	exec 7<v/.decant/lock
	flock 7
	timeout 20 "$decant" verify --dest v "$one"
}

@test "a group that can write to .decant while a fill waits for the lock is found out" {
	mkdir -p old/assets new/assets
	echo old | tee old/page >old/assets/old
	echo new | tee new/page >new/assets/new
	pack old old.b
	pack new new.b
	head -c $(($(stat -c %s new.b) - 20)) new.b >cut.b
	for who in kubelet member; do
		rm -rf v
		mkdir v
		chgrp 7777 v
		chmod 2775 v
		fill old.b v
		exec 8>>v/.decant/lock
		flock 8
		if [[ $who == kubelet ]]; then
			"$decant" fill --dest v new.b 2>err 8>&- &
			sleep 0.3
			kubelet
			flock -u 8
			wait $!
			[[ $(stat -c %a v/.decant) == 700 && ! -e v/assets/old ]]
			verify new.b v --extra
			continue
		fi
		cat cut.b | "$decant" fill --dest v - 2>err 8>&- &
		sleep 0.3
		chgrp 7777 v/.decant
		chmod 2770 v/.decant
		(cd v/.decant && setpriv --reuid 2000 --regid 7777 --clear-groups sh -c 'mv state journal-x && : >first')
		flock -u 8
		status=0
		wait $! || status=$?
		# It has touched nothing of what it was led to believe is of no release.
		[[ $status -eq 10 && $(cat v/page v/assets/old | paste -sd ,) == old,old ]]
	done
}
