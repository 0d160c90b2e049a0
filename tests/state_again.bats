#!/usr/bin/env bats
# What a state vouches for, and what was changed since.

load helpers

setup() {
	cd "$BATS_TEST_TMPDIR"
	mkdir v
	small_tree s
	pack s b.tar.zst
}

# Other bytes, of the size and time that the bundle's have.
change() {
	sed -i s/body/bady/ v/css/a.css
	touch -r s/css/a.css v/css/a.css
	touch -r s/css v/css
}

@test "what was changed right after a fill is found, whatever is done to the state then" {
	for touch in true 'chmod 600 v/.decant/state' 'chown root v/.decant/state' 'touch v/.decant/state' \
		'find v -exec chown root:root {} +' 'cp -p v/.decant/state x && cat x >v/.decant/state'; do
		rm -rf v/* v/.decant
		fill b.tar.zst v
		change
		$SHELL -c "$touch"
		for _ in 1 2; do
			fill b.tar.zst v
			verify b.tar.zst v --extra
		done
	done
}

@test "a state's own ctime has no say, and what it has seen is kept unread" {
	fill b.tar.zst v
	sleep 0.02
	chmod 600 v/.decant/state
	strace -qq -y -o trace -e trace=openat,openat2 "$decant" fill --threads 1 --dest v b.tar.zst 2>log
	grep -q ': unchanged: ' log
	refute grep -q 'a.css' trace
}

@test "a mark that a group has planted makes no fill of a bad bundle remove what they could not" {
	mkdir -p old/d new/d
	echo old | tee old/a >old/d/b
	echo newer | tee new/a >new/d/b
	pack old old.tar.zst
	pack new new.tar.zst
	for plant in 'mv state journal-x; : >first' 'mv state journal-x; mkdir first'; do
		rm -rf v
		mkdir v
		"$decant" fill --dest v old.tar.zst
		chgrp 7777 v
		chmod 2770 v
		chgrp -R 7777 v/.decant
		chmod -R g+rwX v/.decant
		(cd v/.decant && setpriv --reuid 2000 --regid 7777 --clear-groups bash -c "$plant")
		run -10 --separate-stderr "$decant" fill --dest v - < <(head -c $(($(stat -c %s new.tar.zst) - 20)) new.tar.zst)
		[[ $(cat v/a v/d/b | paste -sd ,) == old,old ]]
		"$decant" fill --dest v new.tar.zst
		"$decant" verify --dest v --extra new.tar.zst
		[[ $(ls v/.decant | paste -sd ,) == lock,state,tmp,é ]]
	done
}

@test "a link in the place of .decant is not followed by verify" {
	mkdir -p old v out
	echo old >old/a
	pack old old.tar.zst
	"$decant" fill --dest v old.tar.zst
	mv v/.decant out/there
	ln -s ../out/there v/.decant
	touch -r old v
	strace -f -y -qq -o trace -e trace=%file "$decant" verify --dest v old.tar.zst
	grep -q '/v>, ".decant"' trace
	refute grep -E '"\.decant/|/out/' trace
}
