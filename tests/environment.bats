#!/usr/bin/env bats
# Kernels, limits and users that a container may meet.

load helpers

setup_file() {
	cd "$BATS_FILE_TMPDIR"
	"$maketree" 31 tree 150
	"$decant_pack" --quiet --preserve-owner -o b.tar.zst tree
	small_tree small
	pack small small.tar.zst
}

setup() {
	cd "$BATS_TEST_TMPDIR"
	tree=$BATS_FILE_TMPDIR/tree
	b=$BATS_FILE_TMPDIR/b.tar.zst
	small=$BATS_FILE_TMPDIR/small.tar.zst
	mkdir v
}

# A fill under COMMAND... makes the tree, and so does the refill over a small one.
works_under() {
	"$@" "$decant" fill --dest v "$b" 2>log || {
		cat log
		return 1
	}
	same_tree "$tree" v
	mkdir w
	fill "$small" w
	"$@" "$decant" fill --dest w "$b" 2>log || {
		cat log
		return 1
	}
	same_tree "$tree" w
	"$@" "$decant" verify --dest w "$b" 2>log
}

without() { # SYSTEM-CALLS ERROR
	works_under strace -f -qq -o trace -e trace="$1" -e inject="$1":error="$2"
	grep -q INJECTED trace
}

@test "a kernel without openat2" { without openat2 ENOSYS; }

@test "a filter that refuses openat2" { without openat2 EPERM; }

@test "a kernel without Landlock" { without landlock_create_ruleset ENOSYS; }

@test "a filter that refuses Landlock" { without landlock_create_ruleset EPERM; }

@test "no threads to be had" { without clone,clone3 EAGAIN; }

@test "no more than 16 open files" { works_under bash -c 'ulimit -n 16; exec "$0" "$@"'; }

@test "256 KiB of stack; less is refused" {
	works_under bash -c 'ulimit -s 256; exec "$0" "$@"'
	# Arguments and environment count, and Linux lets them have half of that.
	rm -rf w
	works_under bash -c 'export a b; a=$(printf "%60000s" x) b=$a; ulimit -s 256; exec "$0" "$@"'
	mkdir less
	for kib in 40 64 255; do
		run -1 --separate-stderr bash -c 'ulimit -s $1; exec "$0" fill --dest less "$2"' "$decant" $kib "$small"
		says 'stack: use: limited to less than 256 KiB'
		run -1 --separate-stderr bash -c 'ulimit -s $1; exec "$0" -o b less' "$decant_pack" $kib
		says 'stack: use: limited to less than 256 KiB'
	done
	[[ -z $(ls -A less) && ! -e b ]]
}

@test "64 MiB of address space" { works_under bash -c 'ulimit -v 65536; exec "$0" "$@"'; }

@test "one CPU" { works_under taskset -c 0; }

@test "no /proc and no /sys" {
	works_under unshare -m bash -c 'umount -l /sys /proc && exec "$0" "$@"'
}

@test "no /tmp, no /dev, nothing but the program" {
	mkdir -p root/v root/bundle
	cp "$decant" root/decant
	cp "$b" root/bundle/b.tar.zst
	chroot root /decant fill --dest /v
	same_tree "$tree" root/v
	chroot root /decant verify --dest /v
}

@test "a read-only root file system" {
	mkdir root
	mkdir -p tmp/v
	cp "$decant" "$b" tmp/
	mount --bind tmp root
	mount -o remount,ro,bind root
	mount_tmpfs root/v size=100m
	chroot root /decant fill --dest /v /b.tar.zst
	chroot root /decant verify --dest /v /b.tar.zst
}

@test "closed standard input, output and error" {
	"$decant" fill --dest v "$b" <&- >&- 2>&-
	same_tree "$tree" v
	for fd in 0 1 2; do
		rm -rf v
		mkdir v
		eval "\"\$decant\" fill --dest v \"\$b\" $fd>&-"
		same_tree "$tree" v
		"$decant" verify --dest v "$b"
	done
}

@test "standard error that is full, or a pipe that nobody reads" {
	"$decant" fill --dest v "$b" 2>/dev/full
	same_tree "$tree" v
	rm -rf v
	mkdir v
	bash -c '"$0" fill --progress lines --dest v "$1" 2>&1 >/dev/null | exec 0<&-; exit "${PIPESTATUS[0]}"' "$decant" "$b"
	same_tree "$tree" v
}

@test "any user: files are its own, and that is no error" {
	cp "$small" .
	chmod 0644 small.tar.zst
	chown 1000:1000 v
	setpriv --reuid 1000 --regid 1000 --clear-groups "$decant" fill --dest v small.tar.zst
	[ -z "$(find v ! -uid 1000 -o ! -gid 1000)" ]
	setpriv --reuid 1000 --regid 1000 --clear-groups "$decant" verify --dest v small.tar.zst
	setpriv --reuid 1000 --regid 1000 --clear-groups "$decant" fill --dest v small.tar.zst 2>log
	grep -q ': unchanged: ' log
	pack "$tree/modes" modes.tar.zst
	setpriv --reuid 1000 --regid 1000 --clear-groups "$decant" fill --dest v modes.tar.zst
	verify modes.tar.zst v --no-owner
	[ ! -e v/index.html ]
}

@test "a volume whose root is somebody else's, but open to us: its root stays as it is" {
	cp "$small" .
	chmod 1777 v
	touch -d @1000000000 v
	setpriv --reuid 1000 --regid 1000 --clear-groups "$decant" fill --dest v small.tar.zst
	[ "$(stat -c '%a %u' v)" = '1777 0' ]
	setpriv --reuid 1000 --regid 1000 --clear-groups "$decant" verify --dest v small.tar.zst
}

@test "root without capabilities, in a volume of its own" {
	cp "$small" .
	setpriv --bounding-set=-all --inh-caps=-all --no-new-privs "$decant" fill --dest v small.tar.zst
	verify small.tar.zst v
	setpriv --bounding-set=-all --inh-caps=-all --no-new-privs "$decant" fill --dest v small.tar.zst 2>log
	grep -q ': unchanged: ' log
}

@test "root without capabilities: closed directories are refilled, removed and emptied" {
	bare=(setpriv --bounding-set=-all --inh-caps=-all --no-new-privs)
	mkdir -p s/d/e s/gone/deep
	for n in one two; do
		echo $n >s/d/e/f
		echo $n >s/d/f
		echo $n >s/gone/deep/f
		chmod 555 s/d s/d/e s/gone s/gone/deep
		pack s $n.b
		chmod 755 s/d s/d/e s/gone s/gone/deep
		rm -r s/gone
		mkdir -p s/gone/deep
	done
	rmdir s/gone/deep s/gone
	pack s three.b
	for n in one two three; do
		mkdir -p v/stranger/closed
		echo x >v/stranger/closed/f
		chmod 555 v/stranger/closed v/stranger
		"${bare[@]}" "$decant" fill --prune all --dest v $n.b 2>log || {
			cat log
			return 1
		}
		verify $n.b v --extra
		[ -z "$(ls -A v/.decant/tmp)" ]
	done
}

@test "root that may change owners but not pass modes: somebody else's files get a new time, private ones anew" {
	some=(setpriv '--bounding-set=-all,+chown,+fowner' --inh-caps=-all)
	mkdir s
	echo private >s/f
	echo public >s/g
	chmod 600 s/f
	chown 1000:1000 s/f s/g
	pack s one.b --preserve-owner
	touch -d '2021-02-03' s/f s/g
	pack s two.b --preserve-owner
	"${some[@]}" "$decant" fill --dest v one.b
	before=$(stat -c %i v/g)
	next_second
	"${some[@]}" "$decant" fill --dest v two.b
	verify two.b v
	[[ $(stat -c %i v/g) == "$before" ]]
}

@test "root without capabilities: the owner of the volume's own root cannot be given, and that is no success" {
	mkdir s
	echo page >s/page
	chmod 711 s
	chown 1000:1000 s
	pack s b.b --preserve-owner
	chmod 700 v
	run -15 --separate-stderr setpriv --bounding-set=-all --inh-caps=-all "$decant" fill --dest v b.b
	says "v: set owner"
}

@test "root without capabilities, in somebody else's volume: its root stays as it is, and is not compared" {
	cp "$small" .
	chown 1000:1000 v
	chmod 777 v
	for result in filled unchanged; do
		setpriv --bounding-set=-all --inh-caps=-all "$decant" fill --dest v small.tar.zst 2>log
		grep -q ": $result: " log
	done
	setpriv --bounding-set=-all --inh-caps=-all "$decant" verify --dest v small.tar.zst
	[ "$(stat -c '%a %u' v)" = '777 1000' ]
}

@test "root of a user namespace, in a volume whose owner has no number there: its root is not compared, either" {
	cp "$small" .
	chown 1000:1000 v
	chmod 777 v
	touch -d @1000000000 v
	for result in filled unchanged; do
		unshare --user --map-root-user "$decant" fill --dest v small.tar.zst 2>log
		grep -q ": $result: " log
	done
	unshare --user --map-root-user "$decant" verify --dest v small.tar.zst
	[ "$(stat -c '%a %u' v)" = '777 1000' ]
}

@test "a fill takes at most 24 MiB with two threads" {
	[ -x "$top/build/tests/peak" ]
	"$top/build/tests/peak" "$decant" fill --threads 2 --dest v "$b" 2>log
	peak=$(sed -n 's/^peak: \([0-9]*\) KiB$/\1/p' log)
	echo "$peak KiB"
	[ "$peak" -gt 100 ]
	[ "$peak" -le 24576 ]
	"$top/build/tests/peak" bash -c 'cat "$1" | "$0" fill --threads 2 --dest v -' "$decant" "$b" 2>log
	peak=$(sed -n 's/^peak: \([0-9]*\) KiB$/\1/p' log)
	[ "$peak" -gt 100 ]
	[ "$peak" -le 24576 ]
}

# A cgroup of its own with a quarter of a CPU, in whichever version has the cpu controller here.
quarter() {
	local mount
	for mount in $(awk '$3 == "cgroup2" { print $2 }' /proc/mounts) /sys/fs/cgroup/cpu; do
		group=$mount/decant-test-$$
		mkdir "$group" 2>/dev/null || continue
		if echo '25000 100000' 2>/dev/null >"$group/cpu.max" || echo 25000 2>/dev/null >"$group/cpu.cfs_quota_us"; then
			return 0
		fi
		rmdir "$group"
	done
	return 1
}

@test "a quarter of a CPU makes one worker" {
	[ "$(nproc)" -ge 2 ] || skip "one CPU makes one worker anyhow"
	workers() { strace -f -qq -o trace -e trace=clone,clone3 "$decant" fill --dest "$1" "$b" && grep -c CLONE_THREAD trace; }
	mkdir w
	[ "$(workers w)" -ge 1 ]
	quarter || skip "no cgroup with a CPU quota can be made here"
	bash -c 'echo $$ >"$1/cgroup.procs"; exec strace -f -qq -o trace -e trace=clone,clone3 "$0" fill --dest v "$2"' \
		"$decant" "$group" "$b" || status=$?
	rmdir "$group"
	[ "${status:-0}" -eq 0 ]
	same_tree "$tree" v
	refute grep -q CLONE_THREAD trace
}

@test "directories swapped for links while a fill runs lead nowhere outside" {
	mkdir outside
	for name in a b c; do echo "canary $name" >"outside/$name"; done
	"$maketree" --plain 3000 many
	pack many many.tar.zst
	perl -e 'my $out = shift; for (;;) { for my $d (0 .. 99) { my $n = sprintf "v/dir-%02d", $d;
		rename $n, "$n.away"; symlink $out, $n; unlink $n; rename "$n.away", $n; } }' "$PWD/outside" &
	pid=$!
	for how in plain walk; do
		for _ in 1 2 3; do
			status=0
			if [ "$how" = plain ]; then
				"$decant" fill --dest v many.tar.zst 2>log || status=$?
			else
				strace -f -qq -o /dev/null -e trace=openat2 -e inject=openat2:error=ENOSYS "$decant" fill --dest v many.tar.zst 2>log || status=$?
			fi
			[ "$status" -lt 128 ]
			"$decant" verify --dest v many.tar.zst >/dev/null 2>&1 || status=$?
			[ "$status" -lt 128 ]
		done
	done
	kill "$pid"
	wait "$pid" || status=$?
	[ "$(ls outside | tr '\n' ' ')" = 'a b c ' ]
	[ "$(cat outside/*)" = $'canary a\ncanary b\ncanary c' ]
	"$decant" fill --prune all --dest v many.tar.zst
	verify many.tar.zst v --extra
}

@test "root without capabilities: the time and the mode of a read-only file with attributes are put right" {
	mkdir s
	echo hi >s/f
	setfattr -n user.k -v v s/f
	chmod 444 s/f
	pack s one.b
	touch -d 2020-01-01 s/f
	pack s two.b
	chmod 400 s/f
	pack s three.b
	for n in one two three; do
		setpriv --bounding-set=-all --inh-caps=-all "$decant" fill --dest v $n.b
		verify $n.b v
		touch v/f
		setpriv --bounding-set=-all --inh-caps=-all "$decant" fill --dest v $n.b
		verify $n.b v
	done
}

@test "as process 1 it notes when what it fills is on no volume, and says nothing of one that is" {
	noted() { # HOW-TO-MOUNT DIR
		rm -rf v other
		mkdir -p v other
		unshare --mount --pid --fork sh -c "$1; exec \"\$0\" fill --create --dest $2 \"\$1\"" "$decant" "$small" 2>err
		grep -q 'note: is on no volume, and gone with this container' err
	}
	noted true v
	noted 'mount -t tmpfs none other' v
	# Of the same device; and below a volume.
	refute noted 'mount --bind other v' v
	refute noted 'mount -t tmpfs none v' v
	refute noted 'mount -t tmpfs none v' v/site
	grep -q 'v/site: filled: ' err
}

@test "a volume that its owner may not write any more is filled again, also without .decant" {
	chmod 777 .
	chown 1000 v
	as=(setpriv --reuid 1000 --regid 1000 --clear-groups)
	"${as[@]}" "$decant" fill --dest v - <"$small"
	"${as[@]}" chmod -R a-w v
	"${as[@]}" "$decant" fill --dest v - <"$small"
	"${as[@]}" "$decant" verify --dest v --extra - <"$small"
	"${as[@]}" chmod -R a-w v
	rm -rf v/.decant
	"${as[@]}" "$decant" fill --dest v - <"$small"
	"${as[@]}" "$decant" verify --dest v --extra - <"$small"
}

@test "a .decant that somebody has opened for reading, or closed to its owner, is as it was after the next fill" {
	chmod 777 .
	mkdir open
	chown 1000 open
	as=(setpriv --reuid 1000 --regid 1000 --clear-groups)
	for mode in a+rX a-w; do
		"${as[@]}" "$decant" fill --dest open - <"$small"
		find open/.decant -type d -exec chmod "$mode" {} +
		"${as[@]}" "$decant" fill --dest open - <"$small"
		[ "$(stat -c %a open/.decant open/.decant/tmp | paste -sd ' ')" = '700 700' ]
		"${as[@]}" "$decant" verify --dest open --extra - <"$small"
	done
}
