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
