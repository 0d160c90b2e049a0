#!/usr/bin/env bats
# Somebody else may write the volume, before a fill or while it runs: nothing outside the volume is read for the
# tree's content, written, made, removed or given another mode, owner or time.

load helpers

setup_file() {
	cd "$BATS_FILE_TMPDIR"
	small_tree one
	"$maketree" --plain 800 one/many
	mkdir -p one/a/b/c
	seq 8000 >one/a/b/c/deep
	cp -a one two
	rm -r two/css/numbers two/none two/many/dir-00
	printf '<h1>two</h1>\n' >two/index.html
	echo changed >two/a/b/c/deep
	for n in 1 2 3 4 5 6; do echo "$n" >"two/css/new-$n"; done
	pack one one.tar.zst
	pack two two.tar.zst
	# The same with less in it, where there is no race.
	pack one small-one.tar.zst --exclude many
	pack two small-two.tar.zst --exclude many
}

setup() {
	cd "$BATS_TEST_TMPDIR"
	one=$BATS_FILE_TMPDIR/one.tar.zst
	two=$BATS_FILE_TMPDIR/two.tar.zst
	mkdir v
}

# "outside" has the same names as the volume, so that whoever is led there finds what he looks for, and more.
make_outside() {
	cp -a "$BATS_FILE_TMPDIR/one" outside
	for dir in outside outside/css outside/a/b outside/many/dir-01; do echo canary >"$dir/canary"; done
	echo canary >outside/index.html
	chmod 0640 outside/css/a.css
	chown -R 77:88 outside
	mkfifo outside/fifo
	# A read moves an access time that is older than the content's.
	find outside -type f -exec touch -a -d '2001-01-01' {} +
	census >census.before
}

# The change time tells of any write, and of any other name for a file.
census() {
	find outside -type f -printf 'read %A@ %p\n' | sort
	find outside -printf '%p %i %n %y %m %U:%G %s %T@ %C@ %l\n' | sort
}

untouched() {
	census | diff census.before - | head -n 20
	[[ ${PIPESTATUS[1]} -eq 0 ]]
}

stop() { # PID
	kill -TERM "$1"
	wait "$1"
}

# ROUNDS of fills and verifies while names are swapped; HOW runs before decant. Fails when the race was lost,
# and when it was not one: no swap, no fill that got through, no fill that was refused. (What was moved out of the
# volume Landlock refuses, with 15.)
race() { # ROUNDS PRUNE PAUSE HOW...
	local rounds=$1 prune=$2 pause=$3 round bundle status filled=0 refused=0 same=0 different=0
	shift 3
	make_outside
	mkdir -p aside/a
	fill "$one" v
	"$top/build/tests/swap" "$PWD/v" "$PWD/aside" "$PWD/outside" "$pause" css many a/b index.html >swaps 2>swap.err &
	swapper=$!
	# More rounds while only one of the two has come to pass.
	for ((round = 0; round < rounds || (round < 20 * rounds && (filled == 0 || refused == 0)); round++)); do
		bundle=$two
		((round % 2)) || bundle=$one
		[[ $prune != all ]] || mkdir -p v/stranger/deep v/empty/stranger
		status=0
		"$@" "$decant" fill --prune "$prune" --dest v "$bundle" 2>err || status=$?
		case $status in
		0) filled=$((filled + 1)) ;;
		11 | 15) refused=$((refused + 1)) ;;
		*)
			echo "round $round: fill: exit $status: $(cat err)" >&2
			stop "$swapper"
			return 1
			;;
		esac
		status=0
		"$@" "$decant" verify --extra --dest v "$bundle" >said 2>err || status=$?
		case $status in
		0) same=$((same + 1)) ;;
		11 | 15 | 16) different=$((different + 1)) ;;
		*)
			echo "round $round: verify: exit $status: $(cat err)" >&2
			stop "$swapper"
			return 1
			;;
		esac
	done
	stop "$swapper"
	untouched
	echo "# ${*#"$top/build/tests/"}${1:+, }--prune $prune: $(cat swaps) swaps, fill $filled done, $refused refused; verify $same same, $different not" >&3
	[[ $(cat swaps) -gt $round && $filled -gt 0 && $refused -gt 0 ]]
	# Peace: what the attacker left is made good.
	"$@" "$decant" fill --prune all --dest v "$two" 2>err
	verify "$two" v --extra
	untouched
}

rounds() {
	if [[ -n $DECANT_TEST_ALL ]]; then echo 2000; else echo 16; fi
}

@test "names swapped for links while fills run, --prune managed: nothing outside changes" {
	race "$(rounds)" managed 12000
}

@test "names swapped for links while fills run, --prune all: nothing outside changes" {
	race "$(rounds)" all 12000
}

@test "the same on a kernel without openat2, Landlock, statx and copy_file_range" {
	race "$(rounds)" managed 12000 "$top/build/tests/refuse" ENOSYS openat2,landlock,statx,copy_file_range
}

@test "the same under a filter that refuses these calls, --prune all" {
	race "$(rounds)" all 12000 "$top/build/tests/refuse" EPERM openat2,landlock,statx,copy_file_range
}

@test "the same with openat2 and without Landlock" {
	race "$(rounds)" all 12000 "$top/build/tests/refuse" ENOSYS landlock
}

@test "the same with Landlock and without openat2" {
	race "$(rounds)" managed 12000 "$top/build/tests/refuse" ENOSYS openat2
}

small() {
	one=$BATS_FILE_TMPDIR/small-one.tar.zst
	two=$BATS_FILE_TMPDIR/small-two.tar.zst
}

@test "links, fifos, sockets and devices in the place of files and directories are replaced and never opened" {
	small
	make_outside
	echo canary >linked
	touch -d '2001-01-01' linked
	for how in "" "$top/build/tests/refuse ENOSYS openat2,landlock,statx,copy_file_range"; do
		for prune in managed all; do
			for plant in 'ln -s "$PWD/outside/$name"' 'ln -s ../outside/$name' 'ln -s nowhere' 'ln -s .' 'mkfifo' \
				'mknod_char' 'mknod_block' 'socket' 'hardlink' 'mkdir' 'file'; do
				rm -rf v
				mkdir v
				fill "$one" v
				for name in css/a.css css/home a/b empty index.html none; do
					rm -rf "v/$name"
					case $plant in
					mknod_char) mknod "v/$name" c 1 5 ;;
					mknod_block) mknod "v/$name" b 7 200 ;;
					socket) perl -MIO::Socket::UNIX -e 'IO::Socket::UNIX->new(Local => $ARGV[0], Listen => 1) or die' "v/$name" ;;
					hardlink) ln linked "v/$name" ;;
					file) echo mine >"v/$name" ;;
					*) eval "$plant v/$name" ;;
					esac
				done
				# shellcheck disable=SC2086 # words
				timeout 20 $how "$decant" verify --dest v "$two" >said 2>err || [[ $? -eq 16 ]]
				# shellcheck disable=SC2086 # words
				timeout 20 $how "$decant" fill --prune "$prune" --dest v "$two" 2>err || {
					echo "$plant, $prune: $(cat err)" >&2
					return 1
				}
				# A directory in the place of a file that is gone is somebody else's now: only "all" removes it.
				if [[ $plant == mkdir && $prune == managed ]]; then
					rmdir v/none
					fill "$two" v
				fi
				verify "$two" v --extra || {
					echo "$plant, $prune" >&2
					return 1
				}
			done
		done
	done
	untouched
	[[ $(cat linked) == canary && $(stat -c '%a %u %Y' linked) == "644 0 978307200" ]]
}

@test "a hard link to a file outside is never written through, nor given a mode, owner or time" {
	small
	fill "$one" v
	cp -a v filled
	for name in index.html css/a.css css/numbers a/b/c/deep none .decant/state; do
		# As large as what belongs there: somebody's with other bytes, and one of ours that is even the same.
		for owner in 77:88 0:0; do
			rm -f linked
			cp "filled/$name" linked
			[[ $owner == 0:0 || ! -s linked ]] || damage linked 5
			chmod 0640 linked
			chown "$owner" linked
			touch -d '2001-01-01' linked
			cp -a linked canary
			for bundle in "$two" "$one"; do
				rm -rf v
				mkdir v
				fill "$one" v
				ln -f linked "v/$name"
				fill "$bundle" v --prune all
				verify "$bundle" v --extra
				cmp linked canary
				[[ $(stat -c '%a %u:%g %Y' linked) == "640 $owner 978307200" ]]
			done
		done
	done
}

@test "states and journals that are forged, cut, huge, fifos, links, directories or of other bundles do no harm" {
	small
	make_outside
	fill "$one" v
	cp v/.decant/state state.one
	for name in state journal-00000000000000000000000000000000 journal- journal-x; do
		echo canary >linked
		for plant in 'ln -s "$PWD/outside/canary"' 'ln linked' 'ln -s /dev/zero' mkfifo 'mknod_zero' mkdir deep random cut \
			empty huge other newer; do
			rm -rf v
			mkdir v
			fill "$one" v
			rm -rf "v/.decant/$name"
			at=v/.decant/$name
			case $plant in
			mknod_zero) mknod "$at" c 1 5 ;;
			deep) mkdir -p "$at/a/b/c" && echo x >"$at/a/b/c/d" ;;
			random) head -c 100000 /dev/urandom >"$at" ;;
			cut) head -c 200 state.one >"$at" ;;
			empty) : >"$at" ;;
			huge) truncate -s 50G "$at" ;;
			other) cp state.one "$at" && damage "$at" 300 ;;
			newer) cp state.one "$at" && damage "$at" 8 ;;
			*) eval "$plant $at" ;;
			esac
			timeout 20 "$decant" fill --prune all --dest v "$two" 2>err || {
				echo "$name: $plant: $(cat err)" >&2
				return 1
			}
			verify "$two" v --extra
			[[ -z $(find v/.decant -name 'journal*') && -z $(ls -A v/.decant/tmp) ]] || {
				echo "$name: $plant: left over" >&2
				return 1
			}
		done
	done
	untouched
	[[ $(cat linked) == canary ]]
}

@test "temporary names that are planted, of any kind, are emptied away" {
	small
	make_outside
	for plant in 'ln -s "$PWD/outside" v/.decant/tmp' 'mkfifo v/.decant/tmp' ': >v/.decant/tmp' 'mknod v/.decant/tmp c 1 5' \
		'mkdir v/.decant/tmp; ln -s "$PWD/outside" v/.decant/tmp/0; ln -s "$PWD/outside/canary" v/.decant/tmp/journal' \
		'mkdir v/.decant/tmp; for n in $(seq 0 40); do mkfifo v/.decant/tmp/$n; mkdir -p v/.decant/tmp/trash-$n/x; done' \
		'mkdir v/.decant/tmp; cp -a "$BATS_FILE_TMPDIR/two/css" v/.decant/tmp/trash-0; chmod 0 v/.decant/tmp/trash-0' \
		'mkdir v/.decant/tmp; chmod 0777 v/.decant/tmp; mkdir v/.decant/tmp/journal'; do
		rm -rf v
		mkdir v
		fill "$one" v
		rm -rf v/.decant/tmp
		eval "$plant"
		timeout 20 "$decant" fill --prune all --dest v "$two" 2>err || {
			echo "$plant: $(cat err)" >&2
			return 1
		}
		verify "$two" v --extra
		[[ -z $(ls -A v/.decant/tmp) ]]
		untouched
	done
}

@test "a lock that is a link, a hard link, a fifo, a device or a directory is refused, and nothing is written" {
	small
	make_outside
	echo canary >linked
	for plant in 'ln -s "$PWD/outside/canary"' 'ln -s "$PWD/outside/new"' 'ln linked' mkfifo mkdir mknod_null; do
		rm -rf v
		mkdir v
		fill "$one" v
		rm v/.decant/lock
		if [[ $plant == mknod_null ]]; then mknod v/.decant/lock c 1 3; else eval "$plant v/.decant/lock"; fi
		status=0
		timeout 20 "$decant" fill --dest v "$two" 2>err || status=$?
		[[ $status -eq 11 && $(grep -c '^decant: .*lock' err) -eq 1 ]] || {
			echo "$plant: exit $status: $(cat err)" >&2
			return 1
		}
		verify "$one" v --extra
	done
	untouched
	[[ $(cat linked) == canary ]]
}

@test ".decant that is a link, a file or somebody else's is refused, and nothing is written" {
	small
	make_outside
	mkdir good
	fill "$one" good
	for plant in 'ln -s "$PWD/outside" v/.decant' ': >v/.decant' 'mkfifo v/.decant' \
		'mkdir v/.decant; chown 77 v/.decant'; do
		rm -rf v
		mkdir v
		fill "$one" v
		rm -rf v/.decant
		eval "$plant"
		status=0
		timeout 20 "$decant" fill --dest v "$two" 2>err || status=$?
		[[ $status -eq 11 && $(grep -c '^decant: .*\.decant' err) -eq 1 ]] || {
			echo "$plant: exit $status: $(cat err)" >&2
			return 1
		}
		describe v | grep -av '^	' >now.tree
		describe "$BATS_TEST_TMPDIR/good" | grep -av '^	' | diff -a - now.tree
		untouched
	done
}

@test "a mount point in the place of a directory of the bundle is refused; one in the way of --prune stays" {
	small
	fill "$one" v
	mount_tmpfs v/css size=1M
	echo theirs >v/css/theirs
	for how in "" "$top/build/tests/refuse ENOSYS openat2,landlock"; do
		# shellcheck disable=SC2086 # words
		run -11 --separate-stderr $how "$decant" fill --prune all --dest v "$two"
		says css
		[[ $(ls v/css) == theirs ]]
	done
	umount v/css
	mkdir v/disk
	mount_tmpfs v/disk size=1M
	echo theirs >v/disk/theirs
	for how in "" "$top/build/tests/refuse ENOSYS openat2,landlock"; do
		status=0
		# shellcheck disable=SC2086 # words
		$how "$decant" fill --prune all --dest v "$two" 2>err || status=$?
		[[ $status -ne 0 && $(ls v/disk) == theirs ]]
	done
}

@test "a directory of the bundle on which another of the same file system is mounted is refused, and nothing is removed" {
	small
	fill "$one" v
	mkdir theirs
	echo theirs >theirs/file
	# In one files are to be changed; of the other, which is empty in the bundle, only a look at it tells.
	for place in css empty; do
		fill "$one" v
		mount --bind theirs v/$place
		describe theirs >before
		for how in "" "$top/build/tests/refuse EPERM openat2,landlock" "$top/build/tests/refuse ENOSYS openat2,landlock"; do
			# shellcheck disable=SC2086 # words
			run -11 --separate-stderr $how "$decant" fill --prune all --dest v "$two"
			says $place
			describe theirs | diff -a before -
		done
		umount v/$place
	done
}

@test "what is mounted where only the release before had something stays, and stops no fill" {
	small
	mkdir theirs
	echo theirs >theirs/file
	cp -a "$BATS_FILE_TMPDIR/one" s
	mkdir -p s/old/deep
	for name in old/file old/deep/file alone; do echo old >s/$name; done
	pack s old.b
	for place in old old/deep alone; do
		for how in "" "$top/build/tests/refuse EPERM openat2,landlock"; do
			rm -rf v/* v/.decant
			fill old.b v
			if [[ $place == alone ]]; then mount --bind theirs/file v/alone; else mount --bind theirs v/$place; fi
			# shellcheck disable=SC2086 # words
			$how "$decant" fill --dest v "$two" 2>err || {
				echo "$place, $how: $(cat err)" >&2
				return 1
			}
			verify "$two" v
			[[ $(cat theirs/file) == theirs && -e v/$place ]]
			[[ $(ls theirs) == file ]]
			umount v/$place
			# What is not under it went.
			[[ -e v/alone && $place == alone || -e v/old && $place != alone ]]
			[[ $place == old || ! -e v/old/file ]]
		done
	done
}

@test "a mount below a directory that gives way: it moves aside with that, keeps its files, and stops no fill" {
	mkdir -p s/next v
	echo one >s/file
	echo two >s/next/file
	pack s one.b
	fill one.b v
	rm v/file
	mkdir -p v/file/more/deep v/file/disk
	echo gone >v/file/more/deep/file
	mount_tmpfs v/file/disk size=1M
	echo theirs >v/file/disk/theirs
	fill one.b v
	verify one.b v --extra
	# What was beside the mount is gone.
	[[ $(cd v/.decant/tmp && find . -type f) == ./kept-*/disk/theirs ]]
	echo three >s/file
	pack s two.b
	fill two.b v
	verify two.b v --extra
	[[ $(find v/.decant/tmp -type f -exec cat {} +) == theirs ]]
	umount v/.decant/tmp/*/disk
	fill two.b v
	[[ -z $(ls -A v/.decant/tmp) ]]
}
