#!/usr/bin/env bats
# Strangers' directories that give way: what is in them goes, however much, wide or deep it is; what may not go hides and
# holds up nothing.

load helpers

setup() {
	cd "$BATS_TEST_TMPDIR"
	chmod 755 .
	mkdir s
	echo x | tee s/a >s/b
	pack s b.tar.zst
	mount_tmpfs v size=500m,nr_inodes=0 # the newest name comes first
	chown 1000:1000 v
	chmod 777 v
	as=(setpriv --reuid 1000 --regid 1000 --clear-groups)
	stranger=(setpriv --reuid 2000 --regid 2000 --clear-groups)
}

# DEPTH directories, one in the other, in DIR.
deep() { # DIR DEPTH
	perl -e 'umask 0; mkdir $ARGV[0]; chdir $ARGV[0]; for (1 .. $ARGV[1]) { mkdir "d" or die; chdir "d" or die }' "$1" "$2"
}

@test "directories that may be moved, and not be emptied, cost their number, not that of all levels" {
	"${stranger[@]}" bash -c 'umask 0; mkdir v/b; cd v/b; mkdir w{1..2000}; for n in {1..2000}; do : >w$n/f; done; chmod 1777 w*'
	"${stranger[@]}" bash -c "$(declare -f deep)"'; deep v/b/z 4000'
	for _ in 1 2; do
		timeout 10 "${as[@]}" "$decant" fill --dest v - <b.tar.zst
		"${as[@]}" "$decant" verify --dest v --extra - <b.tar.zst
		[ "$(find v/.decant/tmp -name f | wc -l)" -eq 2000 ]
		[ -z "$(find v/.decant/tmp -name d)" ]
	done
	# When they can go, they do.
	chown -R 1000 v/.decant/tmp
	"${as[@]}" "$decant" fill --dest v - <b.tar.zst
	[ -z "$(ls v/.decant/tmp)" ]
}

@test "a stranger's directory of any depth gives way, and no fill fails for what is left of it" {
	deep v/b 600000
	for _ in 1 2 3; do
		"$decant" fill --dest v b.tar.zst
		"$decant" verify --dest v --extra b.tar.zst
	done
	[ -z "$(ls v/.decant/tmp)" ]
}

@test "names that may not be removed hide none that may" {
	"${stranger[@]}" bash -c 'umask 0; mkdir v/b; cd v/b; head -c 5000000 /dev/zero >big
		mkdir $(seq 5000); umask 022; for n in $(seq 5000); do : >$n/f; done; chmod 755 [0-9]*'
	"${as[@]}" "$decant" fill --dest v - <b.tar.zst
	[ -z "$(find v/.decant/tmp -name big)" ]
	[ "$(find v/.decant/tmp -name f | wc -l)" -eq 5000 ]
}

# A volume of DECANT's user 1000 on an ext file system with OPTIONS, in "v".
mount_ext() { # SIZE OPTION...
	umount v
	truncate -s "$1" disk.img
	shift
	mkfs.ext4 -q "$@" disk.img 2>log
	mount -o loop disk.img v
	rmdir v/lost+found
	chown 1000:1000 v
	chmod 777 v
}

@test "a directory of which nothing may be removed is tried once, and by one name from then on, until that goes" {
	"${stranger[@]}" bash -c 'umask 0; mkdir v/b; chmod 1777 v/b; cd v/b; touch $(seq 20000)'
	"${as[@]}" "$decant" fill --dest v - <b.tar.zst
	[ "$(find v/.decant/tmp -name '[0-9]*' | wc -l)" -eq 20000 ]
	for _ in 1 2; do
		strace -f -qq -o trace -e trace=unlinkat,renameat "${as[@]}" "$decant" fill --dest v - <b.tar.zst
		[ "$(wc -l <trace)" -lt 50 ]
	done
	chown -R 1000 v/.decant/tmp
	"${as[@]}" "$decant" fill --dest v - <b.tar.zst
	[ -z "$(ls v/.decant/tmp)" ]
}

@test "more names than one fill tries, which may not be removed, hide nothing that a killed fill left" {
	local names=530000
	[ -n "$DECANT_TEST_ALL" ] || skip "long: scripts/test --all"
	umount v
	truncate -s 4G disk.img
	mkfs.xfs -q disk.img # the oldest name comes first
	mount -o loop disk.img v
	chown 1000:1000 v
	chmod 777 v
	"${stranger[@]}" env names=$names perl -e 'umask 0; mkdir "v/b"; chmod 01777, "v/b"; chdir "v/b";
		for (1 .. $ENV{names}) { open F, ">", $_ or die; close F }'
	"${as[@]}" "$decant" fill --dest v - <b.tar.zst
	echo y >s/c
	pack s c.tar.zst
	strace -f -qq -o trace -e trace=fsync -e inject=fsync:signal=KILL:when=1 "${as[@]}" "$decant" fill --dest v - <c.tar.zst || :
	[ -e v/.decant/tmp/journal ]
	"${as[@]}" "$decant" fill --dest v - <c.tar.zst
	"${as[@]}" "$decant" verify --dest v --extra - <c.tar.zst
	[ "$(find v/.decant/tmp -type f | wc -l)" -eq $names ]
}

@test "a killed refill of more files than one fill tries to remove is made good by the next" {
	[ -n "$DECANT_TEST_ALL" ] || skip "long: scripts/test --all"
	umount v
	mount_tmpfs v size=8g,nr_inodes=0
	mkdir v/many
	(cd v/many && perl -e 'for (0 .. 599999) { my $d = int $_ / 2000; mkdir $d; open F, ">", "$d/$_" or die; close F }')
	pack v/many many.tar.zst
	rm -r v/many
	"$decant" fill --dest v b.tar.zst
	strace -f --seccomp-bpf -qq -o trace -e trace=renameat -e inject=renameat:signal=KILL:when=1 \
		"$decant" fill --dest v many.tar.zst || :
	ls -f v/.decant/tmp | wc -l
	[ "$(ls -f v/.decant/tmp | wc -l)" -gt 550000 ]
	"$decant" fill --dest v many.tar.zst
	"$decant" verify --dest v --extra many.tar.zst
	[ -z "$(ls v/.decant/tmp)" ]
}

@test "names in tmp that are not a stranger's go, whatever was tried before them" {
	"$decant" fill --dest v b.tar.zst
	echo y >s/a
	pack s c.tar.zst
	# Nothing in a directory can be removed, or not now.
	for error in EPERM EIO; do
		mkdir v/.decant/tmp/journal v/.decant/tmp/0
		touch v/.decant/tmp/{journal,0}/x
		strace -f -qq -o trace -P "$PWD/v/.decant/tmp/0" -P "$PWD/v/.decant/tmp/journal" -P "$PWD/v/.decant/tmp/trash-0" \
			-P "$PWD/v/.decant/tmp/trash-1" -e inject=unlinkat:error=$error "$decant" fill --dest v c.tar.zst
		grep -q INJECTED trace
		"$decant" verify --dest v --extra c.tar.zst
		"$decant" fill --dest v b.tar.zst
		[ -z "$(ls v/.decant/tmp)" ]
	done
}

@test "a file in tmp itself that may not be removed is in no fill's way" {
	mount_ext 100M
	"$decant" fill --dest v b.tar.zst
	echo y >s/a
	pack s c.tar.zst
	echo x | tee v/.decant/tmp/0 >v/.decant/tmp/journal
	chattr +i v/.decant/tmp/*
	for bundle in c b c; do
		"$decant" fill --dest v $bundle.tar.zst
		"$decant" verify --dest v --extra $bundle.tar.zst
	done
	[ "$(find v/.decant/tmp -type f | wc -l)" -eq 2 ]
	find v/.decant/tmp -type f -exec chattr -i {} +
	"$decant" fill --dest v b.tar.zst
	[ -z "$(ls v/.decant/tmp)" ]
	umount v
}

@test "more directories give way than one directory can hold" {
	mount_ext 200M -t ext2 -I 128 -N 150000
	mkdir v/b
	(cd v/b && perl -e 'for my $n (1 .. 700) { mkdir $n; for (1 .. 100) { mkdir "$n/$_"; mkdir "$n/$_/x" or die } }')
	for _ in 1 2; do
		"$decant" fill --dest v b.tar.zst
		"$decant" verify --dest v --extra b.tar.zst
	done
	[ -z "$(ls v/.decant/tmp)" ]
	umount v
}

@test "a disk without a free block is no reason to keep what gives way, or to fail when all is done" {
	mount_ext 20M -m 0 -N 5000 -O ^has_journal
	mkdir -p many/assets/d{1..1500}
	for dir in many/assets/*; do echo x >$dir/f; done
	pack many old.tar.zst
	rm -r many/assets
	ln -s elsewhere many/assets
	pack many new.tar.zst
	: >traces
	for free in 1 2 4; do
		rm -rf v/volume
		"$decant" fill --create --dest v/volume old.tar.zst
		# A directory takes a block.
		mkdir -p v/disk/d{1..4}
		for ((n = 0; n < 50; n++)); do
			dd if=/dev/zero of=v/disk/g$n bs=4k conv=fsync 2>log || :
			[ -s v/disk/g$n ] || break
		done
		for ((n = 1; n <= free; n++)); do rmdir v/disk/d$n; done
		sync
		strace -f -qq -o trace -e trace=renameat "$decant" fill --dest v/volume new.tar.zst
		cat trace >>traces
		[ -z "$(ls v/volume/.decant/tmp)" ]
		rm -r v/disk
		"$decant" verify --dest v/volume --extra new.tar.zst
	done
	grep -q ENOSPC traces
	umount v
}

@test "no error of emptying tmp is a fault, and what is left goes with the next fill" {
	"$decant" fill --dest v b.tar.zst
	for error in EIO ENOKEY EMLINK ENOSPC EDQUOT ENOMEM EROFS ENAMETOOLONG; do
		for call in unlinkat renameat getdents64 openat openat2; do
			mkdir -p v/.decant/tmp/trash-{0,1,2}/{x,y}/z
			touch v/.decant/tmp/trash-{0,1,2}/{f,x/f}
			strace -f -qq -o trace -P "$PWD/v/.decant/tmp/trash-0" -P "$PWD/v/.decant/tmp/trash-1" -P "$PWD/v/.decant/tmp/trash-2" \
				-e inject=$call:error=$error "$decant" fill --dest v b.tar.zst || {
				echo "$error at $call" >&2
				return 1
			}
			"$decant" verify --dest v --extra b.tar.zst 2>log
		done
	done
	rm -rf v/.decant/tmp/*
	"$decant" fill --dest v b.tar.zst
	[ -z "$(ls v/.decant/tmp)" ]
}

@test "of any number of directories that could not be emptied those go that can be later on" {
	"${stranger[@]}" bash -c 'umask 0; mkdir v/b; cd v/b; mkdir $(seq 6000); for n in $(seq 6000); do : >$n/f; done; chmod 1777 [0-9]*'
	"${as[@]}" "$decant" fill --dest v - <b.tar.zst
	[ "$(find v/.decant/tmp -mindepth 1 -maxdepth 1 | wc -l)" -eq 6000 ]
	find v/.decant/tmp -mindepth 1 -maxdepth 1 | tail -n 1000 | xargs chown -R 1000:1000
	"${as[@]}" "$decant" fill --dest v - <b.tar.zst
	[ "$(find v/.decant/tmp -mindepth 1 -maxdepth 1 | wc -l)" -eq 5000 ]
}

@test "a directory that may not be read goes when it is empty" {
	"${stranger[@]}" sh -c 'umask 0; mkdir v/b; chmod 0733 v/b'
	"${as[@]}" "$decant" fill --dest v - <b.tar.zst
	[ -z "$(ls v/.decant/tmp)" ]
}

@test "files that come back under another name, because somebody has them open, cost few tries" {
	"$decant" fill --dest v b.tar.zst
	# As libfuse does it, to see from what the call says.
	for dir in v/.decant/tmp/trash-0 v/.decant/tmp; do
		mkdir -p $dir
		touch $dir/f
		timeout 20 strace -f -qq -o trace -P "$PWD/$dir" -e inject=unlinkat:retval=0 "$decant" fill --dest v b.tar.zst
		[ "$(grep -c 'unlinkat(.*"f"' trace)" -lt 300 ]
		rm -r v/.decant/tmp/*
	done
}

@test "a name that is longer than Linux has them hides no other" {
	umount v
	[ -c /dev/fuse ] || skip "no FUSE here"
	truncate -s 64M ntfs.img
	mkntfs -qF ntfs.img >log 2>&1
	mount_ntfs() { lowntfs-3g -o permissions ntfs.img v >log 2>&1 3>&- 4>&-; } # it stays, and must not hold what bats reads
	mount_ntfs
	"$decant" fill --dest v b.tar.zst
	rm v/b
	mkdir v/b
	umount v
	ntfscp -q ntfs.img s/a "b/$(printf '\u4e00%.0s' {1..100})"
	mount_ntfs
	for name in A z $'\u4dff' $'\u9fff'; do touch "v/b/$name"{0..4}; done # listed before it and after it
	[ "$(ls v/b | wc -c)" -gt 300 ]
	"$decant" fill --dest v b.tar.zst
	[[ $(cat v/b) == x ]]
	[ -z "$(find v/.decant/tmp -mindepth 2 -name '*[0-4]' 2>/dev/null)" ]
	umount v
}

@test "a new tmp that was not finished, and one among many names, hold what goes with the next fill" {
	mount_ext 100M
	"$decant" fill --dest v b.tar.zst
	echo y >s/a
	pack s c.tar.zst
	head -c 3000000 /dev/zero >v/.decant/tmp/journal
	chattr +i v/.decant/tmp/journal
	# Killed when the old one is aside, and when the new one is there.
	for n in 2 3; do
		strace -f -qq -o trace -e trace=mkdirat,renameat -e inject=mkdirat:signal=KILL:when=3 \
			"$decant" fill --dest v c.tar.zst || :
	done
	cat trace
	chattr -R -i v/.decant
	"$decant" fill --dest v c.tar.zst
	"$decant" fill --dest v c.tar.zst
	[ -z "$(find v/.decant -size +1M)" ]
	chgrp 7777 v
	chmod 2775 v
	chgrp -R 7777 v/.decant
	chmod -R g+w v/.decant
	chmod g+rwxs v/.decant v/.decant/tmp
	setpriv --reuid 2000 --regid 7777 --clear-groups bash -c 'cd v/.decant; head -c 3000000 /dev/zero >tmp/big; touch p{1..20000}'
	"$decant" fill --dest v b.tar.zst
	[ -z "$(find v/.decant -size +1M)" ]
	umount v
}

@test "what a killed fill left in a tmp that a group could write to takes no room" {
	head -c 10000000 /dev/urandom >s/big
	pack s c.tar.zst
	umount v
	mount_tmpfs v size=20m
	"$decant" fill --dest v b.tar.zst
	head -c 12000000 /dev/zero >v/.decant/tmp/0
	chgrp -R 7777 v/.decant
	chmod g+rwxs v/.decant v/.decant/tmp
	"$decant" fill --dest v c.tar.zst
	"$decant" verify --dest v --extra c.tar.zst
}

@test "on a disk without room for another directory a tmp that a group could write to is emptied all the same" {
	umount v
	mount_tmpfs v size=20m,nr_inodes=100
	"$decant" fill --dest v b.tar.zst
	for killed in '' killed; do
		touch v/.decant/tmp/{0..9}
		chgrp -R 7777 v/.decant
		chmod g+rwxs v/.decant v/.decant/tmp
		[ -z "$killed" ] || mv v/.decant/tmp v/.decant/trash-0
		for n in {1..100}; do (: >v/more-$n) 2>said || break; done
		refute mkdir v/dir
		"$decant" fill --dest v b.tar.zst
		"$decant" verify --dest v b.tar.zst
		[ -z "$(ls v/.decant/tmp)" ]
		rm v/more-*
	done
}

@test "what could not be moved up for want of room goes with the next fill, beside what may not be removed" {
	mount_ext 100M
	"$decant" fill --dest v b.tar.zst
	mkdir -p v/.decant/tmp/trash-0/{x,y,z}/deep
	touch v/.decant/tmp/trash-0/{1..200}
	chattr +i v/.decant/tmp/trash-0/{1..200}
	strace -f -qq -o trace -P "$PWD/v/.decant/tmp/trash-0" -e inject=renameat:error=ENOSPC "$decant" fill --dest v b.tar.zst
	[ "$(grep -c 'ENOSPC.*INJECTED' trace)" -ge 3 ]
	[ "$(find v/.decant/tmp -name deep | wc -l)" -eq 3 ]
	"$decant" fill --dest v b.tar.zst
	[ -z "$(find v/.decant/tmp -name deep)" ]
	[ "$(find v/.decant/tmp -type f | wc -l)" -eq 200 ]
	chattr -R -i v/.decant/tmp
	umount v
}
