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
	"${stranger[@]}" bash -c 'umask 0; mkdir v/b; cd v/b; for n in {1..2000}; do mkdir w$n; : >w$n/f; done; chmod 1777 w*'
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
