#!/usr/bin/env bats
# --sync: exit 0 means that all is on disk, also after a disk that could not write for a while.

load helpers

setup() {
	cd "$BATS_TEST_TMPDIR"
	mkdir m
}

# "m" is TYPE on a loop device whose image lies in a tmpfs, "t", and has no room there for the contents of src's
# files but for a few, as on a thin pool that is full: then writes fail that nobody waits for. relieve makes room.
starved() { # TYPE [OPTION OF FILL...]
	local type=$1 n from to make=(mkfs.ext4 -q -F -O ^has_journal)
	shift
	[ "$type" = ext4 ] || make=(mkfs.xfs -q -f -K)
	mkdir src
	for n in {10..49}; do head -c 500000 /dev/urandom >src/$n; done
	pack src b
	mount_tmpfs t size=520M
	head -c 400000000 /dev/zero >t/img
	"${make[@]}" t/img
	mount -o loop t/img m
	fill b m --sync "$@"
	find m -type f -size +400k | while read -r n; do
		filefrag -v -b4096 "$n" | sed -n 's/^ *[0-9]*: *[0-9]*\.\. *[0-9]*: *\([0-9]*\)\.\. *\([0-9]*\):.*/\1 \2/p'
	done >extents
	umount m
	head -c 400000000 /dev/zero | dd of=t/img conv=notrunc status=none iflag=fullblock bs=1M
	"${make[@]}" t/img
	mount -o loop t/img m
	while read -r from to; do
		fallocate -p -o $((from * 4096)) -l $(((to - from + 1) * 4096)) t/img
	done <extents
	cat /dev/zero >t/ballast 2>/dev/null || true
	truncate -s -6M t/ballast
}

relieve() {
	rm t/ballast
}

# Not what memory says of it.
on_disk() {
	umount m
	mount -o loop t/img m
	verify b m "$@"
}

@test "what a disk could not write is written by the next fill with --sync, though memory has it right" {
	starved ext4
	run ! "$decant" fill --sync --dest m b
	relieve
	# Now and then memory has let go of it already.
	verify b m || echo '# not that memory has it right, this time' >&3
	fill b m --sync
	on_disk
}

@test "the same of trees, and on xfs" {
	starved xfs --switch
	run ! "$decant" fill --switch --sync --dest m b
	[ ! -e m/current ]
	relieve
	fill b m --switch --sync
	on_disk --switch
}

@test "what was filled without --sync, and could not be written, is not taken for synced" {
	starved ext4
	fill b m
	sync -f m || true
	relieve
	fill b m --sync
	on_disk
}

@test "on overlayfs, where nobody is told of such a disk, no state says synced, and the next fill with --sync reads all" {
	mkdir src low up work
	echo x | tee src/a >src/b
	pack src b
	mount_tmpfs disk size=20m
	mkdir disk/up disk/work
	mount -t overlay overlay -o lowerdir=low,upperdir=disk/up,workdir=disk/work m
	for _ in 1 2; do
		strace -f -qq -o trace -e trace=pread64 "$decant" fill --sync --dest m b
		"$decant" info m | grep -qx 'synced: no'
	done
	[ "$(grep -c '"x\\n"' trace)" -eq 2 ]
	# Unlike what is below.
	fill b disk/up --sync
	"$decant" info disk/up | grep -qx 'synced: yes'
}

@test "a link and a directory that somebody has put back are on disk when --sync says so" {
	mkdir -p src/links
	ln -s elsewhere src/links/a
	touch -hd @1700000000 src/links/a src/links src
	pack src b
	truncate -s 64M img
	mkfs.ext4 -q img
	mount -o loop,commit=60 img m
	fill b m --sync
	rm m/links/a
	sync -f m
	tar --zstd -C m -xpf b
	strace -f -qq -o trace -e trace=syncfs "$decant" fill --sync --dest m b 2>log
	grep -q ': unchanged: ' log
	cp img copy
	mkdir c
	mount -o loop copy c
	verify b c
	umount c m
	grep -q syncfs trace
}
