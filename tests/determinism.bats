#!/usr/bin/env bats
# The same tree gives the same bytes, whoever copied it, and whatever the machine does.

load helpers

setup_file() {
	"$maketree" 11 "$BATS_FILE_TMPDIR/tree" 300
	"$decant_pack" --quiet --preserve-owner -o "$BATS_FILE_TMPDIR/b.tar.zst" "$BATS_FILE_TMPDIR/tree"
}

setup() {
	cd "$BATS_TEST_TMPDIR"
	tree=$BATS_FILE_TMPDIR/tree
	b=$BATS_FILE_TMPDIR/b.tar.zst
}

same_bundle() { # DIR [OPTION...]
	local dir=$1
	shift
	pack "$dir" again.tar.zst --preserve-owner "$@"
	cmp "$b" again.tar.zst
}

@test "a copy by cp -a gives the same bundle" {
	cp -a "$tree" copy
	same_bundle copy
}

@test "a copy by rsync gives the same bundle" {
	# -S keeps holes, -U and -N are of no interest: neither atime nor crtime is in a bundle.
	rsync -aHXS "$tree/" copy/
	same_bundle copy
}

@test "a copy by tar gives the same bundle" {
	mkdir copy
	tar --format=posix --xattrs --numeric-owner --sort=inode -cf - -C "$tree" . |
		tar --xattrs --xattrs-include='user.*' --numeric-owner -xpf - -C copy 2>/dev/null
	same_bundle copy
}

@test "a copy on another file system, with its names in another order, gives the same bundle" {
	mount_tmpfs other size=200m
	cp -a "$tree" other/copy 2>log || skip "tmpfs takes no user xattrs: $(head -n 1 log)"
	(cd "$tree" && find . -depth -print0 | sort -zr) >names
	same_bundle other/copy
}

@test "what decant filled gives the same bundle, when its own folder is left out" {
	mkdir v
	fill "$b" v
	same_bundle v --exclude /.decant
}

@test "names made in another order give the same bundle" {
	mkdir up down
	for i in $(seq 300); do echo "$i" >"up/$i"; done
	for i in $(seq 300 -1 1); do echo "$i" >"down/$i"; done
	touch -d @1700000000 up/* down/* up down
	pack up 1.tar.zst
	pack down 2.tar.zst
	cmp 1.tar.zst 2.tar.zst
}

@test "any number of threads gives the same bundle" {
	for threads in 1 2 3 8; do
		same_bundle "$tree" --threads "$threads"
	done
}

@test "one CPU gives the same bundle" {
	taskset -c 0 "$decant_pack" --quiet --preserve-owner -o again.tar.zst "$tree"
	cmp "$b" again.tar.zst
}

@test "umask, locale, time zone, folder and environment give the same bundle" {
	umask 077
	(cd "$tree" && LC_ALL=C TZ=Pacific/Auckland HOME=/nowhere "$decant_pack" --quiet --preserve-owner -o "$BATS_TEST_TMPDIR/again.tar.zst" .)
	cmp "$b" again.tar.zst
	same_bundle "$tree/"
	same_bundle "$tree/../tree/."
}

@test "another day gives the same bundle" {
	touch -a -d '2001-01-01' "$tree" "$tree"/*
	same_bundle "$tree"
}

@test "one byte, one mode, one nanosecond give another id" {
	cp -a "$tree" copy
	id() { "$decant" info "$1" | sed -n 's/^bundle: //p'; }
	one=$(id "$b")
	echo x | dd of=copy/sizes/4096 bs=1 conv=notrunc status=none
	touch -r "$tree/sizes/4096" copy/sizes/4096
	pack copy 2.tar.zst --preserve-owner
	cp -p "$tree/sizes/4096" copy/sizes/4096
	chmod 0123 copy/sizes/512
	pack copy 3.tar.zst --preserve-owner
	chmod --reference="$tree/sizes/512" copy/sizes/512
	touch -d @1700000000.000000001 copy/sizes/512
	pack copy 4.tar.zst --preserve-owner
	touch -d @1700000000.000000002 copy/sizes/512
	pack copy 5.tar.zst --preserve-owner
	[ "$(printf '%s\n' "$one" "$(id 2.tar.zst)" "$(id 3.tar.zst)" "$(id 4.tar.zst)" "$(id 5.tar.zst)" | sort -u | wc -l)" -eq 5 ]
}

@test "SOURCE_DATE_EPOCH clamps later times, and leaves earlier ones" {
	mkdir src
	touch -d '2030-01-01 00:00:00.5' src/later
	touch -d '2020-01-01 00:00:00.123456789' src/earlier
	touch -d '2021-01-01 00:00:00' src
	SOURCE_DATE_EPOCH=1600000000 "$decant_pack" --quiet -o b.tar.zst src
	mkdir v
	fill b.tar.zst v
	[ "$(stat -c %.9Y v/later)" = 1600000000.000000000 ]
	[ "$(stat -c %.9Y v/earlier)" = 1577836800.123456789 ]
	[ "$(stat -c %.9Y v)" = 1600000000.000000000 ]
	touch src/later src
	SOURCE_DATE_EPOCH=1600000000 "$decant_pack" --quiet -o c.tar.zst src
	cmp b.tar.zst c.tar.zst
	SOURCE_DATE_EPOCH=soon run -2 --separate-stderr "$decant_pack" --quiet -o d.tar.zst src
}

@test "a file that grows leaves most frames as they were" {
	mkdir big
	for i in $(seq 40); do head -c 400000 /dev/urandom >"big/$i"; done
	touch -d @1700000000 big/* big
	pack big 1.tar.zst
	head -c 50000 /dev/urandom >>big/10
	touch -d @1700000000 big/*  big
	pack big 2.tar.zst
	# 10 sorts second: were frames cut by position alone, nearly all would differ.
	zstd -q --long=27 --patch-from=1.tar.zst 2.tar.zst -o patch
	echo "$(stat -c %s patch) of $(stat -c %s 2.tar.zst) bytes are new"
	[ "$(stat -c %s patch)" -lt $(($(stat -c %s 2.tar.zst) / 3)) ]
}
