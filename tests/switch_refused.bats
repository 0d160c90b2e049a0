#!/usr/bin/env bats
# What --switch refuses, waits for, and leaves alone.

# shellcheck disable=SC2154 # helpers, switch and inject set names
load helpers
load inject
load switch

# Nothing of these changes; a lock may be made.
untouched() { # COMMAND...
	find v -path v/.decant/lock -prune -o -printf '%p %i %y %m %T@ %l\n' | sort >before
	"$@"
	find v -path v/.decant/lock -prune -o -printf '%p %i %y %m %T@ %l\n' | sort | diff before -
}

refused() { # WORD...
	run -11 --separate-stderr "$decant" fill --switch --dest v "$share/r2.tar.zst"
	says "$@"
}

@test "11: current is no symbolic link, at first and later" {
	echo file >v/current
	untouched refused 'v/current: ' 'no symbolic link'
	[ ! -e v/.decant ]
	rm v/current
	mkdir -p v/current/dir
	untouched refused 'v/current: ' 'no symbolic link'
	rm -r v/current
	to 1
	rm v/current
	mkfifo v/current
	untouched refused 'v/current: ' 'no symbolic link'
}

@test "11: current becomes a file while the tree is filled" {
	to 1
	mkfifo pipe
	"$decant" fill --switch --dest v - <pipe 2>log &
	pid=$!
	exec 8>pipe
	head -c $(($(stat -c %s "$share/r2.tar.zst") - 1)) "$share/r2.tar.zst" >&8
	until [ -d "v/$(id_of 2)" ]; do sleep 0.05; done
	rm v/current
	echo file >v/current
	tail -c 1 "$share/r2.tar.zst" >&8
	exec 8>&-
	status=0
	wait "$pid" || status=$?
	[ "$status" -eq 11 ]
	[ ! -L v/current ]
	[ "$(cat v/current)" = file ]
	same_tree "$share/r1" "v/$(id_of 1)"
}

@test "current that leads elsewhere is replaced, and nothing is written there" {
	mkdir outside
	echo outside >outside/file
	for target in ../outside /etc outside/../../outside "./$(id_of 1)" "$(id_of 1)/" "$(id_of 1)x" nowhere "" current; do
		rm -rf v
		mkdir v
		to 1
		[ -z "$target" ] || ln -sfn "$target" v/current
		before=$(find outside -printf '%p %T@ %C@\n')
		to 2
		shows 2
		[ "$before" = "$(find outside -printf '%p %T@ %C@\n')" ]
		to 3 --keep-releases 0
		holds 3
	done
}

@test "what current led to before it was led elsewhere is not removed before the switch" {
	to 1
	ln -sfn "$PWD/v/$(id_of 1)" v/current
	head -c $(($(stat -c %s "$share/r2.tar.zst") - 40)) "$share/r2.tar.zst" >part.tar.zst
	run -10 bash -c '"$0" fill --switch --dest v - <part.tar.zst' "$decant"
	[ "$(cat v/current/index.html)" = 'release 1' ]
}

@test "11: the tree's place has a symbolic link, a file, a mount point or somebody's .decant" {
	to 1
	mkdir outside
	ln -s "$PWD/outside" "v/$(id_of 2)"
	refused "v/$(id_of 2): "
	[ -z "$(ls -A outside)" ]
	rm "v/$(id_of 2)"
	echo file >"v/$(id_of 2)"
	refused "v/$(id_of 2): "
	rm "v/$(id_of 2)"
	mount_tmpfs "v/$(id_of 2)" size=1m
	refused "v/$(id_of 2): "
	umount "v/$(id_of 2)"
	mkdir "v/$(id_of 2)/.decant"
	chown 77 "v/$(id_of 2)/.decant"
	refused "v/$(id_of 2)/.decant"
	shows 1
	rm -r "v/$(id_of 2)"
	to 2
	holds 2 1
}

@test "a directory of somebody else's in the tree's place is no tree of ours, to fill and to verify" {
	local id
	id=$(id_of 2)
	chmod 755 .
	chmod 1777 v
	as=(setpriv --reuid 1234 --regid 1234 --clear-groups)
	stranger=(setpriv --reuid 1000 --regid 1000 --clear-groups)
	"${stranger[@]}" mkdir -m 777 "v/$id"
	run -15 --separate-stderr "${as[@]}" "$decant" fill --switch --dest v - <"$share/r2.tar.zst"
	says "v/$id: "
	[ ! -e v/current ]
	rm -r "v/$id"
	"${as[@]}" "$decant" fill --switch --dest v - <"$share/r2.tar.zst"
	"${stranger[@]}" "$decant" verify --switch --dest v - <"$share/r2.tar.zst"
	chmod 777 "v/$id"
	for who in "${as[*]}" "${stranger[*]}"; do
		# shellcheck disable=SC2086 # words
		run -16 $who "$decant" verify --switch --dest v - <"$share/r2.tar.zst"
	done
}

@test "11: a directory that was filled without --switch, finished or not" {
	rm -r v
	cp -a "$share/r1" v
	rm v/current
	cp -a v other
	pack v other.tar.zst
	fill other.tar.zst v
	untouched refused 'v: ' 'without --switch' 'another directory'
	same_tree other v
	mv v/.decant/state v/.decant/journal-"$(id_of 1)"
	untouched refused 'v: ' 'without --switch'
	: >v/.decant/journal-"$(id_of 1)"
	untouched refused 'v: ' 'without --switch'
}

@test "11: a directory of trees is not filled without --switch" {
	to 1
	for prune in managed all none; do
		untouched run -11 --separate-stderr "$decant" fill --prune $prune --dest v "$share/r2.tar.zst"
		says 'v: ' 'with --switch'
	done
	holds 1
	# Nor is current, as ever.
	run -11 "$decant" fill --dest v/current "$share/r2.tar.zst"
}

@test "11: the directory is a symbolic link" {
	ln -s v link
	run -11 "$decant" fill --switch --dest link "$share/r1.tar.zst"
	[ -z "$(ls -A v)" ]
}

@test "2: what --switch does not go with" {
	for words in "list --switch $share/r1.tar.zst" "info --switch v" \
		"fill --switch --prune all --dest v $share/r1.tar.zst" "fill --switch --prune none --keep-releases 0 --dest v $share/r1.tar.zst" \
		"fill --switch --dest v $share/r1.tar.zst $share/r2.tar.zst" "verify --switch --keep-releases 1 --dest v $share/r1.tar.zst"; do
		# shellcheck disable=SC2086 # words
		run -2 "$decant" $words
	done
	[ -z "$(ls -A v)" ]
}

@test "bundles that record different directories go each to its own" {
	mkdir w
	pack "$share/r1" one.tar.zst --dest "$PWD/v"
	pack "$share/r2" two.tar.zst --dest "$PWD/w"
	"$decant" fill --switch one.tar.zst two.tar.zst
	"$decant" verify --switch one.tar.zst two.tar.zst
	same_tree "$share/r1" v/current/.
	same_tree "$share/r2" w/current/.
}

@test "14: one fill at a time; the next waits" {
	to 1
	exec 7<v/.decant/lock
	flock 7
	run -14 --separate-stderr "$decant" fill --switch --lock-timeout 0 --dest v "$share/r2.tar.zst"
	says 'v: lock: '
	"$decant" fill --switch --dest v "$share/r2.tar.zst" 2>log &
	pid=$!
	sleep 0.3
	kill -0 "$pid"
	shows 1
	flock -u 7
	wait "$pid"
	holds 2 1
	# Also when they fill different trees.
	mkfifo pipe
	"$decant" fill --switch --dest v - <pipe 2>log &
	pid=$!
	exec 8>pipe
	head -c $(($(stat -c %s "$share/r3.tar.zst") - 1)) "$share/r3.tar.zst" >&8
	until [ -d "v/$(id_of 3)" ]; do sleep 0.05; done
	run -14 "$decant" fill --switch --lock-timeout 0 --dest v "$share/r4.tar.zst"
	tail -c 1 "$share/r3.tar.zst" >&8
	exec 8>&-
	wait "$pid"
	holds 3 2
}

@test "a fill that is refused or fails leaves current as it was" {
	to 1
	head -c $(($(stat -c %s "$share/r2.tar.zst") - 40)) "$share/r2.tar.zst" >part.tar.zst
	run -10 bash -c '"$0" fill --switch --dest v - <part.tar.zst' "$decant"
	shows 1
	run -10 "$decant" fill --switch --expect "$(id_of 3)" --dest v "$share/r2.tar.zst"
	shows 1
	# The next one of another bundle removes what it left.
	to 3
	holds 3 1
}

@test "a fill that fails where somebody removed current, or its tree, takes no tree away" {
	to 1
	rm v/current
	head -c $(($(stat -c %s "$share/r2.tar.zst") - 40)) "$share/r2.tar.zst" >part.tar.zst
	run -10 bash -c '"$0" fill --switch --dest v - <part.tar.zst' "$decant"
	verify "$share/r1.tar.zst" "v/$(id_of 1)"
	ln -s "$(id_of 5)" v/current
	run -10 bash -c '"$0" fill --switch --dest v - <part.tar.zst' "$decant"
	verify "$share/r1.tar.zst" "v/$(id_of 1)"
	# The one that ends removes what is not needed any more, which is not what current led to.
	to 3
	holds 3 1
}

@test "10: a bundle that needs --setid leaves nothing behind" {
	mkdir s
	echo x >s/su
	chmod 4755 s/su
	pack s b --setid
	run -10 "$decant" fill --switch --dest v b
	[ -z "$(ls -A v)" ]
	fill b v --switch --setid
	[ "$(stat -c %a v/current/su)" = 4755 ]
}

@test "a tree that cannot be removed keeps nobody from filling" {
	to 1
	mkdir "v/$(id_of 1)/deep/mounted"
	mount_tmpfs "v/$(id_of 1)/deep/mounted" size=1m
	for n in 2 3 4; do
		to $n --keep-releases 0 2>log
		shows $n
		[ -d "v/$(id_of 1)" ]
	done
	umount "v/$(id_of 1)/deep/mounted"
	rmdir "v/$(id_of 1)/deep/mounted"
	to 5 --keep-releases 0
	holds 5
}

@test "12: no room; what the fill left is gone before the next bundle needs it" {
	mount_tmpfs v size=3m,nr_inodes=150
	mkdir big
	for ((n = 0; n < 60; n++)); do : >big/$n; done
	cp -a "$share/r1" fits
	head -c 2200000 /dev/urandom >big/file
	head -c 3000000 /dev/urandom >big/more
	head -c 2200000 /dev/urandom >fits/file
	pack big big.tar.zst
	pack fits fits.tar.zst
	to 1
	run -12 "$decant" fill --switch --no-space-check --dest v big.tar.zst
	shows 1
	fill fits.tar.zst v --switch
	same_tree fits v/current/.
	# Also where no tree was ever whole.
	rm -rf v/* v/.decant
	cp -a fits other
	head -c 2200000 /dev/urandom >other/file
	pack other other.tar.zst
	run -10 bash -c 'head -c -100 other.tar.zst | "$0" fill --switch --dest v --threads 1 -' "$decant"
	[[ $(du -sk v | cut -f 1) -gt 1000 ]]
	fill fits.tar.zst v --switch
	same_tree fits v/current/.
	# Where there is no inode left, a tree that was killed at once, and has no .decant, is in the way of no other.
	rm -rf v/* v/.decant
	to 1
	run -12 "$decant" fill --switch --no-space-check --dest v big.tar.zst
	for n in 00000000000000000000000000000000 ffffffffffffffffffffffffffffffff; do
		mkdir v/$n
		: >v/.decant/journal-$n
	done
	for ((n = 0; n < 150; n++)); do (: >v/full-$n) 2>/dev/null || break; done
	[ "$n" -lt 150 ]
	fill fits.tar.zst v --switch
	same_tree fits v/current/.
}
