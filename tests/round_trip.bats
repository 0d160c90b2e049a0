#!/usr/bin/env bats
# A tree comes out of a bundle as it went in, whoever unpacks it. GNU tar and libarchive's bsdtar are the
# judges that know nothing of decant.

load helpers

setup_file() {
	for seed in 1 2 3 4 5; do
		"$maketree" "$seed" "$BATS_FILE_TMPDIR/$seed"
		"$decant_pack" --quiet --preserve-owner -o "$BATS_FILE_TMPDIR/$seed.tar.zst" "$BATS_FILE_TMPDIR/$seed"
	done
}

by_gnu_tar() { # BUNDLE DIR
	mkdir "$2"
	tar --zstd -xpf "$1" -C "$2" --numeric-owner --xattrs --xattrs-include='user.*'
}

# bsdtar 3.6 misreads a time before 1970 that has a fraction of a second, and gives "." no time, whoever made
# the archive. So it gets trees without the one, and the other is set for it.
for_bsdtar() { # SEED
	cp -a "$BATS_FILE_TMPDIR/$1" "tree$1"
	find "tree$1" -depth ! -newermt 1970-01-02 -exec touch -h -d @-86400 {} +
	touch -r "$BATS_FILE_TMPDIR/$1" "tree$1"
	pack "tree$1" "$1.tar.zst" --preserve-owner
}

by_bsdtar() { # BUNDLE DIR
	mkdir "$2"
	bsdtar -xpf "$1" -C "$2" --numeric-owner
	touch -d '2020-09-13 12:26:40.123456789' "$2"
}

@test "decant fill makes the tree that was packed" {
	for seed in 1 2 3 4 5; do
		mkdir "v$seed"
		fill "$BATS_FILE_TMPDIR/$seed.tar.zst" "v$seed"
		same_tree "$BATS_FILE_TMPDIR/$seed" "v$seed"
	done
}

@test "decant verify agrees, with every tree" {
	for seed in 1 2 3 4 5; do
		mkdir "v$seed"
		fill "$BATS_FILE_TMPDIR/$seed.tar.zst" "v$seed"
		verify "$BATS_FILE_TMPDIR/$seed.tar.zst" "v$seed" --extra
	done
}

@test "decant verify finds the tree that was packed to be the same as the bundle" {
	verify "$BATS_FILE_TMPDIR/1.tar.zst" "$BATS_FILE_TMPDIR/1" --extra
}

@test "one thread and eight threads fill alike" {
	for threads in 1 4 8; do
		mkdir "v$threads"
		fill "$BATS_FILE_TMPDIR/1.tar.zst" "v$threads" --threads "$threads"
		same_tree "$BATS_FILE_TMPDIR/1" "v$threads"
	done
}

@test "GNU tar makes the same tree" {
	for seed in 1 2 3; do
		by_gnu_tar "$BATS_FILE_TMPDIR/$seed.tar.zst" "v$seed"
		same_tree "$BATS_FILE_TMPDIR/$seed" "v$seed"
	done
}

@test "bsdtar makes the same tree" {
	for seed in 1 2 3; do
		for_bsdtar "$seed"
		by_bsdtar "$seed.tar.zst" "v$seed"
		same_tree "tree$seed" "v$seed"
	done
}

@test "bsdtar in the C locale makes the same tree" {
	for_bsdtar 4
	LC_ALL=C by_bsdtar 4.tar.zst v
	same_tree tree4 v
}

@test "decant verify accepts what GNU tar and bsdtar made" {
	by_gnu_tar "$BATS_FILE_TMPDIR/5.tar.zst" gnu
	verify "$BATS_FILE_TMPDIR/5.tar.zst" gnu --extra
	for_bsdtar 5
	by_bsdtar 5.tar.zst bsd
	verify 5.tar.zst bsd --extra
}

@test "tar lists what find finds" {
	(cd "$BATS_FILE_TMPDIR/2" && find . -mindepth 1 -printf '%P\n' | LC_ALL=C sort) >found
	tar --zstd -tf "$BATS_FILE_TMPDIR/2.tar.zst" --quoting-style=literal | sed 's,^\./,,; s,/$,,; /^$/d' | LC_ALL=C sort >listed
	diff found listed
}

@test "zstd -t passes the bundle, and file knows it" {
	zstd -q -t "$BATS_FILE_TMPDIR/1.tar.zst"
	[[ $(file -b --mime-type "$BATS_FILE_TMPDIR/1.tar.zst") == application/zstd ]]
	[[ $(file -b "$BATS_FILE_TMPDIR/1.tar.zst") == Zstandard* ]]
}

@test "zstd -dc gives a tar archive that has a proper end" {
	zstd -q -dc "$BATS_FILE_TMPDIR/1.tar.zst" >plain.tar
	[[ $(($(stat -c %s plain.tar) % 512)) -eq 0 ]]
	tail -c 1024 plain.tar | cmp - <(head -c 1024 /dev/zero)
	[[ $(file -b plain.tar) == *"tar archive"* ]]
}

@test "an empty directory makes a bundle that everybody reads" {
	mkdir empty v
	touch -d '2020-09-13 12:26:40.123456789' empty
	pack empty b.tar.zst
	zstd -q -t b.tar.zst
	by_gnu_tar b.tar.zst gnu
	by_bsdtar b.tar.zst bsd
	fill b.tar.zst v
	same_tree empty v
	same_tree empty gnu
	same_tree empty bsd
}

@test "holes stay holes" {
	mkdir tree v
	truncate -s 64M tree/hole
	printf end >>tree/hole
	pack tree b.tar.zst
	fill b.tar.zst v
	cmp tree/hole v/hole
	[[ $(stat -c %b v/hole) -le 256 ]]
}

@test "a file of more than 8 GiB keeps its size" {
	[ -n "$DECANT_TEST_ALL" ] || skip "long: scripts/test --all"
	mkdir tree v
	truncate -s 8590000000 tree/big
	printf end >>tree/big
	pack tree b.tar.zst --level 1
	[[ $(tar --zstd -tvf b.tar.zst | awk '/big$/ { print $3 }') == 8590000003 ]]
	fill b.tar.zst v
	[[ $(stat -c %s v/big) -eq 8590000003 ]]
	[[ $(tail -c 3 v/big) == end ]]
	verify b.tar.zst v
}

@test "10,000 directories deep is refused or restored, never half made" {
	mkdir tree
	perl -e 'chdir "tree" or die; for (1 .. 2000) { mkdir "d" or die; chdir "d" or die; } open F, ">f" or die'
	pack tree b.tar.zst
	mkdir v
	fill b.tar.zst v
	same_tree tree v
	perl -e 'chdir "tree" or die; for (1 .. 2000) { chdir "d" or die; } for (1 .. 8000) { mkdir "d" or die; chdir "d" or die; }'
	run -11 --separate-stderr "$decant_pack" -o c.tar.zst tree
	says tree
	[ ! -e c.tar.zst ]
}

@test "100,000 entries come out as they went in" {
	[ -n "$DECANT_TEST_ALL" ] || skip "long: scripts/test --all"
	"$maketree" --plain 100000 tree
	pack tree b.tar.zst
	mkdir v
	fill b.tar.zst v
	same_tree tree v
	by_gnu_tar b.tar.zst gnu
	same_tree tree gnu
	by_bsdtar b.tar.zst bsd
	same_tree tree bsd
}
