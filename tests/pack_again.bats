#!/usr/bin/env bats
# What decant-pack makes of files that change while it reads them, and where the bundle goes.

load helpers

setup() {
	cd "$BATS_TEST_TMPDIR" || return 1
	mkdir tree
}

# Pack "tree" while what the read with number N gets of its file "big" is not what the one before, or after, gets:
# as a program that has it mapped can have it, without any change of size or time.
pack_changing() { # N
	status=0
	strace -f -qq -o trace -P "$PWD/tree/big" -e trace=pread64 \
		-e "inject=pread64:poke_exit=@arg2=deadbeef:when=$1" \
		"$decant_pack" --threads 1 --level 1 -o b.tar.zst tree 2>err || status=$?
	grep -q INJECTED trace
}

@test "13: a file that spans frames, and is not the same when it is read again" {
	head -c 9000000 /dev/urandom >tree/big
	echo small >tree/small
	strace -f -qq -o trace -P "$PWD/tree/big" -e trace=pread64 \
		"$decant_pack" --threads 1 --level 1 -o good.tar.zst tree
	reads=$(grep -c pread64 trace)
	[ "$reads" -gt 9 ]
	for ((n = 1; n <= reads; n++)); do
		pack_changing $n
		[ "$status" -eq 13 ] || {
			echo "read $n of $reads: exit $status" >&2
			return 1
		}
		grep -qx 'decant-pack: tree/big: read: changed while it was read' err
		[ "$(ls)" = $'err\ngood.tar.zst\ntrace\ntree' ]
	done
}

@test "files of all sizes around a frame's end are the same when they are read again" {
	for size in 4190000 4193000 4194304 4194305 4195000 8388000 8388608 8389000; do
		head -c $size /dev/urandom >tree/big
		head -c $size /dev/urandom >tree/bigger
		for threads in 1 3; do
			"$decant_pack" --quiet --threads $threads --level 1 -o b.tar.zst tree
			rm -rf v
			fill b.tar.zst v --create
			verify b.tar.zst v
			cmp tree/bigger v/bigger
		done
	done
}

@test "where the bundle's name is a link to a file, the file becomes the bundle and the link stays" {
	echo x >tree/file
	mkdir there
	echo old >there/b.tar.zst
	ln -s there/b.tar.zst link
	ln -s link second
	for name in link second; do
		"$decant_pack" --quiet -o $name tree
		[ -L $name ]
		fill there/b.tar.zst v --create
		verify there/b.tar.zst v
	done
	[ "$(ls there)" = b.tar.zst ]
	# As /dev/stdout is one.
	ln -s /proc/self/fd/1 stdout
	"$decant_pack" --quiet -o stdout tree >out.tar.zst
	cmp out.tar.zst there/b.tar.zst
	"$decant_pack" --quiet -o stdout tree | cat >out.tar.zst
	cmp out.tar.zst there/b.tar.zst
	[ "$(readlink stdout)" = /proc/self/fd/1 ]
	# One that leads nowhere gives way.
	ln -s nowhere dangling
	"$decant_pack" --quiet -o dangling tree
	cmp dangling there/b.tar.zst
}
