# shellcheck shell=bash disable=SC2034,SC2154 # used by, and set by, the tests that load this
# What the tests share. A test runs in a folder of its own, $PWD, which bats removes afterwards.

bats_require_minimum_version 1.5.0

top=$(cd "$BATS_TEST_DIRNAME/.." && pwd)
decant=${DECANT:-$top/build/decant}
decant_pack=${DECANT_PACK:-$top/build/decant-pack}
maketree=$top/build/tests/maketree

export LC_ALL=C.UTF-8 TZ=UTC
unset DECANT_DEST SOURCE_DATE_EPOCH
umask 022

setup() {
	cd "$BATS_TEST_TMPDIR" || return 1
}

# A command that must fail; a bare "! command" does not end a bats test.
refute() {
	if "$@"; then
		echo "did not fail: $*" >&2
		return 1
	fi
}

# Everything that two trees must have in common, but what decant keeps for itself at the root.
describe() { # DIR
	"$top/build/tests/describe" "$1"
}

same_tree() { # DIR DIR
	describe "$1" >one.tree || return 1
	describe "$2" >other.tree || return 1
	diff -a one.tree other.tree
}

# A bundle of a small tree of a known content: enough for all that is not about content.
small_tree() { # DIR
	mkdir -p "$1/css" "$1/empty"
	printf '<h1>one</h1>\n' >"$1/index.html"
	printf 'body { }\n' >"$1/css/a.css"
	seq 1 2000 >"$1/css/numbers"
	: >"$1/none"
	ln -s ../index.html "$1/css/home"
	ln "$1/index.html" "$1/same.html"
	find "$1" -exec touch -h -d '2024-01-02 03:04:05.678901234' {} +
}

pack() { # DIR BUNDLE [OPTION...]
	local from=$1 to=$2
	shift 2
	"$decant_pack" --quiet "$@" -o "$to" "$from"
}

# Fill and verify; what they say is in $PWD/log.
fill() { # BUNDLE DIR [OPTION...]
	local bundle=$1 dir=$2
	shift 2
	if ! "$decant" fill --dest "$dir" "$@" "$bundle" 2>log; then
		cat log >&2
		return 1
	fi
}

verify() { # BUNDLE DIR [OPTION...]
	local bundle=$1 dir=$2
	shift 2
	"$decant" verify --dest "$dir" "$@" "$bundle"
}

# One number of the summary line in $PWD/log: how many "files", "written", "unchanged", "removed" ...
summary() { # WORD
	sed -n "s/.*: bundle .*[ ,]\([0-9]*\) $1\(,.*\)\{0,1\}$/\1/p" log
}

# As the kubelet does for fsGroup: SetVolumeOwnership of kubernetes/pkg/volume. Of volume v.
kubelet() {
	chgrp -R -h 7777 v
	find v -type d -exec chmod ug+rwx,g+s {} +
	find v -type f -exec chmod ug+rw {} +
}

# The error is the last line of standard error, has three parts, and names OBJECT.
says() { # LINE-PART...
	local last=${stderr##*$'\n'} part
	[[ $last == decant*:\ *:\ *:\ * ]] || {
		printf 'not an error line: %s\n' "$last" >&2
		return 1
	}
	for part; do
		[[ $last == *"$part"* ]] || {
			printf 'no "%s" in: %s\n' "$part" "$last" >&2
			return 1
		}
	done
}

# From here on the programs are copies in this directory: who has no capabilities may not reach the checkout, below a
# home directory, nor this one by its path.
within_reach() {
	cp "$decant" decant
	cp "$decant_pack" decant-pack
	decant=./decant decant_pack=./decant-pack
}

# A file system of its own, of SIZE, on DIR; all are unmounted when the test ends.
mount_tmpfs() { # DIR OPTIONS
	mkdir -p "$1"
	mount -t tmpfs -o "$2" tmpfs "$1"
}

# A file system that keeps whole seconds.
mount_seconds() { # DIR
	truncate -s 64M ext4.img
	mkfs.ext4 -q -I 128 ext4.img 2>log
	mount -o loop ext4.img "$1"
	touch -d @1000.5 "$1/a"
	[[ $(stat -c %.Y "$1/a") == 1000.000* ]]
	rm -r "$1/a" "$1/lost+found"
}

next_second() {
	sleep "0.$((1000 - 10#$(date +%N | cut -c 1-3)))"
}

teardown() {
	local point
	cd / || return 1
	# Without it, every mount of the machine would be below it.
	[ -n "$BATS_TEST_TMPDIR" ] || return 1
	awk -v dir="$BATS_TEST_TMPDIR/" 'index($2, dir) == 1 { print $2 }' /proc/mounts | sort -r |
		while read -r point; do
			umount -l "$point"
		done
}

# Change byte AT of FILE.
damage() { # FILE AT
	local old
	old=$(od -An -tu1 -j "$2" -N 1 "$1")
	printf "%b" "\\x$(printf %02x $((old ^ 1)))" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}
