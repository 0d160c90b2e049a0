#!/usr/bin/env bats
# The power fails: what was not flushed is gone, the machine starts again, and the next fill makes the volume right
# or says that it cannot.
#
# The cut is the file system's own (FS_IOC_SHUTDOWN): from that moment nothing more reaches the image, then it is
# mounted again and replays its journal. The start is another boot id. Both file systems are made to lose as much
# as they can: with the journal flushed at the cut, names and sizes are there and contents are not.

load helpers
load inject

setup_file() {
	cd "$BATS_FILE_TMPDIR"
	small_tree one
	"$maketree" --plain 100 one/many
	head -c 3000000 /dev/urandom >one/large
	cp -a one two
	rm -r two/css/numbers two/none two/many/dir-00
	printf '<h1>two</h1>\n' >two/index.html
	head -c 3000000 /dev/urandom >two/large
	for n in 1 2 3 4 5 6; do seq "$n" 900 >"two/css/new-$n"; done
	pack one one.tar.zst
	pack two two.tar.zst
	for type in ext4 xfs; do
		truncate -s 320M "$type.img"
		"mkfs.$type" -q "$type.img"
	done
}

setup() {
	cd "$BATS_TEST_TMPDIR"
	one=$BATS_FILE_TMPDIR/one.tar.zst
	two=$BATS_FILE_TMPDIR/two.tar.zst
	mkdir m
	# shellcheck disable=SC2034 # inject.bash takes it
	volume=m/v
}

# A new file system of TYPE on "m", with the volume m/v: nothing, or the release before, flushed or not.
disk() { # ext4|xfs fresh|refill|refill-sync
	! mountpoint -q m || off
	rm -f disk.img
	cp --sparse=always "$BATS_FILE_TMPDIR/$1.img" disk.img
	# Another mount namespace may still hold the one before, which has the same number.
	as=loop
	[ "$1" = ext4 ] || as=loop,nouuid
	mount -o "$as" disk.img m
	mkdir m/v
	cat /proc/sys/kernel/random/boot_id >boot
	case $2 in
	refill) booted fill "$one" ;;
	refill-sync) booted fill "$one" --sync ;;
	esac
	sync -f m
}

# Off, and the image with it: a mount elsewhere, in the namespace of a fill that has just ended, may hold it a little.
off() {
	umount m
	while losetup -j disk.img | grep -q .; do sleep 0.01; done
}

# decant under this boot's id.
booted() { # COMMAND BUNDLE [OPTION...]
	local command=$1 bundle=$2
	shift 2
	rm -f trace
	unshare -m sh -c 'mount --bind "$1" /proc/sys/kernel/random/boot_id; shift; exec "$@"' sh "$PWD/boot" \
		"$decant" "$command" --dest m/v "$@" "$bundle" 2>log
}

# decant where the boot's id is an empty file, or where there is no /proc.
without_id() { # empty|none COMMAND BUNDLE
	if [[ $1 == empty ]]; then
		booted "$2" "$3"
	else
		unshare -m sh -c 'umount -l /proc && exec "$@"' sh "$decant" "$2" --dest m/v "$3" 2>log
	fi
}

# Cut the power, flushing the file system's journal before or not, and start again.
cut() { # flushed|lost
	if [[ $1 == flushed ]]; then
		xfs_io -x -c 'shutdown -f' m
	else
		xfs_io -x -c shutdown m
	fi
	off
	mount -o "$as" disk.img m
	cat /proc/sys/kernel/random/uuid >boot
}

# A fill of TWO that is stopped at PLACE, and the power cut there. False when it ends before.
cut_at() { # PLACE flushed|lost [OPTION...]
	local call=${1%:*} when=${1#*:} how=$2 pid
	shift 2
	unshare -m sh -c 'mount --bind "$1" /proc/sys/kernel/random/boot_id; shift; exec "$@"' sh "$PWD/boot" \
		strace -qq -o trace -e trace="$call" -e inject="$call:signal=STOP:when=$when" \
		"$decant" fill --threads 1 --dest m/v "$@" "$two" 2>log &
	tracer=$!
	until grep -q 'stopped by SIGSTOP' trace 2>/dev/null; do
		kill -0 "$tracer" 2>/dev/null || return 1
		sleep 0.01
	done
	pid=$(pgrep -P "$tracer")
	xfs_io -x -c "shutdown$([[ $how == lost ]] || echo ' -f')" m
	kill -KILL "$pid"
	wait "$tracer" 2>/dev/null || :
	off
	mount -o "$as" disk.img m
	cat /proc/sys/kernel/random/uuid >boot
}

# After the start: a fill that says 0 has made the tree.
recovers() {
	booted fill "$two" || return 1
	booted verify "$two" --extra || return 1
	describe m/v >now.tree
	describe "$BATS_FILE_TMPDIR/two" | diff -a - now.tree
}

# Cuts at one of STEP places of a fill with OPTIONS.
cuts() { # ext4|xfs STEP [OPTION...]
	local type=$1 step=$2 kind how place n=0 cuts=0
	shift 2
	for kind in fresh refill refill-sync; do
		disk "$type" "$kind"
		places "$two" "$@" >all
		# From the first change on; what only reads changes nothing.
		sed -n '/^flock/,$p' all | grep -E '^(mkdirat|openat|pwrite64|ftruncate|symlinkat|linkat|renameat|unlinkat|utimensat|fsync|syncfs|close|write):' |
			thin "$step" >todo
		while read -r place; do
			how=flushed
			((n++ % 3)) || how=lost
			disk "$type" "$kind"
			cut_at "$place" "$how" "$@" || {
				echo "not cut at $place: $(cat log)" >&2
				return 1
			}
			cuts=$((cuts + 1))
			recovers >said 2>&1 || {
				echo "$type, $kind, $*, cut at $place, $how: $(cat said log)" >&2
				return 1
			}
		done <todo
	done
	echo "# $type${*:+ }$*: $cuts cuts, right after the next fill each time" >&3
	[[ $cuts -gt 5 ]]
}

@test "ext4: a fill that the power ends is made good by the next" { cuts ext4 151; }

@test "ext4: so is one with --sync" { cuts ext4 167 --sync; }

@test "xfs: a fill that the power ends is made good by the next" { cuts xfs 151; }

@test "xfs: so is one with --sync" { cuts xfs 167 --sync; }

@test "after exit 0 with --sync the volume is right though the power fails at once, without another fill" {
	for type in ext4 xfs; do
		for kind in fresh refill refill-sync; do
			for how in flushed lost; do
				disk "$type" "$kind"
				booted fill "$two" --sync
				cut "$how"
				booted verify "$two" --extra
				"$decant" info m/v | grep -qx 'synced: yes'
				[[ $("$decant" info m/v | sed -n 's/^bundle: //p') == $("$decant" info "$two" | sed -n 's/^bundle: //p') ]]
				# Its state was on disk, too. (A journal of the release before may be back.)
				journals=$(find m/v/.decant -name 'journal-*')
				booted fill "$two"
				[[ -n $journals ]] || grep -q ': unchanged: ' log
				[[ $kind != fresh || -z $journals ]]
				[[ $(summary written) -eq 0 ]]
			done
		done
	done
}

@test "after exit 0 without --sync a cut may lose contents; the next fill finds and mends them" {
	damaged=0
	for type in ext4 xfs; do
		for kind in fresh refill; do
			for how in flushed lost; do
				disk "$type" "$kind"
				booted fill "$two"
				cut "$how"
				booted verify "$two" >said || damaged=$((damaged + 1))
				recovers
			done
		done
	done
	echo "# $damaged of 8 cuts did harm" >&3
	[[ $damaged -gt 0 ]]
}

# Zero the blocks of FILE in the image, below the file system: size, times and change time stay.
zero_blocks() { # FILE
	local block
	sync -f m
	off
	for block in $(debugfs -R "blocks /v/$1" disk.img 2>said); do
		dd if=/dev/zero of=disk.img bs="$(dumpe2fs -h disk.img 2>said | sed -n 's/^Block size: *//p')" seek="$block" count=1 \
			conv=notrunc status=none
	done
	mount -o loop disk.img m
}

@test "a file whose content became zeros, with size and all times right, is found by the first fill after the start" {
	for bundle in "$two" "$one"; do
		disk ext4 refill
		before=$(stat -c '%s %y %z %i' m/v/css/home m/v/css/a.css m/v/same.html m/v/many/dir-01/*)
		zero_blocks css/a.css
		zero_blocks many/dir-01/file-000001.html
		[[ $before == "$(stat -c '%s %y %z %i' m/v/css/home m/v/css/a.css m/v/same.html m/v/many/dir-01/*)" ]]
		[[ -z $(tr -d '\0' <m/v/css/a.css | head -c 1) ]]
		cat /proc/sys/kernel/random/uuid >boot
		booted fill "$bundle"
		booted verify "$bundle" --extra
		# That fill has compared all: the next one, in the same boot, believes its state.
		booted fill "$bundle"
		grep -q ': unchanged: ' log
	done
}

@test "verify finds such a file whatever the state says" {
	disk ext4 refill-sync
	zero_blocks css/a.css
	status=0
	booted verify "$one" >said || status=$?
	[[ $status -eq 16 ]]
	grep -qx 'content: css/a.css.*' said
}

@test "where the start has no id that can be read, nobody vouches for a file that became zeros" {
	for how in empty none; do
		disk ext4 fresh
		: >boot
		without_id "$how" fill "$one"
		zero_blocks css/a.css
		without_id "$how" fill "$one"
		verify "$one" m/v --extra
	done
}

@test "what a fill made goes with the next release, though the power failed right after it, or in the middle" {
	for type in ext4 xfs; do
		for how in flushed lost; do
			for sync in '' --sync; do
				disk "$type" fresh
				# shellcheck disable=SC2086 # one word or none
				booted fill "$two" $sync
				cut "$how"
				booted fill "$one"
				booted verify "$one" --extra
			done
			disk "$type" refill-sync
			places "$two" >all
			disk "$type" refill-sync
			cut_at "$(grep '^renameat:' all | tail -n 2 | head -n 1)" "$how"
			booted fill "$one"
			booted verify "$one" --extra
		done
	done
}
