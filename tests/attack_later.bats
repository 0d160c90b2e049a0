#!/usr/bin/env bats
# Somebody changes what decant has looked at already: the bundle, the state, the journal, a link, a file that he has
# open. See attack.bats for what stands in the way from the beginning, and for races.

load helpers

setup_file() {
	cd "$BATS_FILE_TMPDIR"
	small_tree one
	pack one one.tar.zst
}

setup() {
	cd "$BATS_TEST_TMPDIR"
	cp "$BATS_FILE_TMPDIR/one.tar.zst" .
	mkdir v
}

# Two bundles of the same sums and size: "good" has a file aaaaaaaaaaaaaaaaa, "bad" one ../outside/canary.
make_twofaced() {
	"$top/build/tests/twoface" aaaaaaaaaaaaaaaaa ../outside/canary good bad
	mkdir outside
	run -10 --separate-stderr "$decant" list bad
	says "not a path component"
}

@test "a bundle that changes after it was checked, to one of the same sums, writes nothing outside" {
	make_twofaced
	mkdir -m 0700 v/.decant
	cp good bundle
	exec 9>v/.decant/lock
	flock 9
	"$top/build/tests/refuse" ENOSYS landlock "$decant" fill --dest v bundle 2>err 9>&- &
	sleep 1
	cat bad 1<>bundle
	exec 9>&-
	status=0
	wait $! || status=$?
	[[ $status -eq 10 ]]
	grep -q '^decant: bundle: .*has changed since it was checked$' err
	[[ -z $(find outside v -mindepth 1 ! -path "v/.decant*") ]]
}

@test "a state that changes after it was checked, to one of the same sums, removes nothing outside" {
	make_twofaced
	echo canary >outside/canary
	fill good v
	mkfifo pipe
	"$top/build/tests/refuse" ENOSYS landlock "$decant" fill --dest v - <pipe 2>err &
	exec 8>pipe
	head -c -1 one.tar.zst >&8
	sleep 1
	tail -c +18 bad | head -c "$(($(stat -c %s v/.decant/state) - 84))" |
		dd of=v/.decant/state bs=84 seek=1 conv=notrunc status=none
	tail -c 1 one.tar.zst >&8
	exec 8>&-
	status=0
	wait $! || status=$?
	[[ $status -eq 11 && $(cat outside/canary) == canary ]]
	grep -q '^decant: .*has changed since it was checked$' err
	# What is left is no state: the next fill comes to its end.
	fill one.tar.zst v --prune all
	verify one.tar.zst v --extra
}

@test "what takes the place of the journal while a fill runs is not opened, let alone written to" {
	id=$("$decant" info one.tar.zst | sed -n 's/^bundle: //p')
	for plant in 'ln canary' 'ln -s "$PWD/canary"' mkfifo 'mknod_zero'; do
		rm -rf v
		echo canary >canary
		touch -d 2001-01-01 canary
		mkdir v
		rm -f pipe
		mkfifo pipe
		timeout 20 "$decant" fill --dest v - <pipe 2>err &
		exec 8>pipe
		head -c -1 one.tar.zst >&8
		for ((i = 0; i < 500; i++)); do
			[[ ! -e v/.decant/journal-$id ]] || break
			sleep 0.02
		done
		rm "v/.decant/journal-$id"
		if [[ $plant == mknod_zero ]]; then
			mknod "v/.decant/journal-$id" c 1 5
		else
			eval "$plant v/.decant/journal-$id"
		fi
		tail -c 1 one.tar.zst >&8
		exec 8>&-
		# Landlock does not let decant give a fifo or a device another name.
		status=0
		wait $! || status=$?
		[[ $status -eq 0 || $status -eq 15 ]] || {
			echo "$plant: exit $status: $(cat err)" >&2
			return 1
		}
		[[ $(cat canary) == canary && $(stat -c '%a %Y' canary) == "644 978307200" ]]
		# What stands there now is no state.
		fill one.tar.zst v
		verify one.tar.zst v --extra
	done
}

# A mapping changes a file that has become a setuid one, and the kernel leaves it one.
@test "a file that somebody has open never becomes one with setuid bits or capabilities" {
	mkdir s
	seq 1000 >s/su
	seq 2000 >s/cap
	chmod 4755 s/su
	setfattr -n security.capability -v 0x0100000200200000000000000000000000000000 s/cap
	pack s b --setid
	pack s plain
	cp -p s/su s/cap v
	chmod 0755 v/su
	chown 1000 v/su v/cap
	before=$(stat -c %i v/su v/cap)
	fill b v --setid
	verify b v --extra
	refute grep -Fxf <(echo "$before") <(stat -c %i v/su v/cap)
	# Files that are right are left alone, and such that were right as plain ones are not.
	before=$(stat -c %i v/su v/cap)
	fill b v --setid
	[[ $(summary unchanged) == 2 && $(stat -c %i v/su v/cap) == "$before" ]]
	fill plain v
	before=$(stat -c %i v/su v/cap)
	fill b v --setid
	verify b v --extra
	refute grep -Fxf <(echo "$before") <(stat -c %i v/su v/cap)
}

@test "what takes the place of a new symbolic link gets neither its owner nor its time" {
	mkdir -p s/d
	chmod 777 s/d # where others may rename
	ln -s target s/d/link
	chown -h 7:7 s/d/link
	pack s b --preserve-owner
	echo canary >linked
	touch -d '2001-01-01' linked
	# Each of the calls waits while another file takes the name, if it is there already.
	for call in symlinkat:delay_exit fchownat:delay_enter fchownat:delay_exit utimensat:delay_enter; do
		first=1
		[[ $call != utimensat:* ]] || first=2 # after the lock's
		rm -rf v
		mkdir v
		strace -qq -o /dev/null -e trace="${call%:*}" -e inject="$call=700000:when=$first" \
			"$decant" fill --threads 1 --dest v b 2>err &
		for ((i = 0; i < 100; i++)); do
			[[ ! -d v/d ]] || break
			sleep 0.02
		done
		sleep 0.3
		ln -f linked v/d/link
		wait $!
		[[ $(stat -c '%u %Y' linked) == "0 978307200" && $(readlink v/d/link) == target ]]
		verify b v --extra
	done
}

# A page that is dirty when the fill ends can be written through a mapping later, and no time tells of it.
@test "a file of somebody else's, who may have it open, is not taken over, even if it is right" {
	fill one.tar.zst v
	rm -r v/.decant
	chown 1000 v/index.html v/css/a.css v/none
	before=$(stat -c %i v/index.html v/css/a.css v/none)
	kept=$(stat -c %i v/css/numbers)
	fill one.tar.zst v
	verify one.tar.zst v --extra
	refute grep -Fxf <(echo "$before") <(stat -c %i v/index.html v/css/a.css v/none)
	[[ $(stat -c %i v/css/numbers) == "$kept" ]]
}

@test "a file that a release gives to another owner is a new one, which the old owner has not open" {
	mkdir s
	echo same >s/file
	chown 1000 s/file
	pack s one.b --preserve-owner
	chown 0 s/file
	pack s two.b --preserve-owner
	fill one.b v
	before=$(stat -c %i v/file)
	fill two.b v
	verify two.b v
	[[ $(stat -c %u v/file) == 0 && $(stat -c %i v/file) != "$before" ]]
}

# Stop the fill that strace runs at its Nth write, do what follows, and let it go on.
at_stop() { # NUMBER COMMAND...
	local number=$1 i
	shift
	for ((i = 0; i < 500; i++)); do
		[[ $(grep -cs 'stopped by SIGSTOP' trace) -lt $number ]] || break
		sleep 0.02
	done
	[[ $(grep -c 'stopped by SIGSTOP' trace) -eq $number ]]
	"$@"
	kill -CONT "$(sed -n '1s/ .*//p' trace)"
}

@test "an index that changes while it is copied to the state, and back, is not kept" {
	for letter in a b; do
		mkdir "$letter"
		echo "$letter" >"$letter/file"
		find "$letter" -exec touch -d @1000000000 {} +
		pack "$letter" "$letter.tar.zst"
	done
	"$top/build/tests/lie" 100000 b.tar.zst >bundle
	cp bundle true
	"$top/build/tests/lie" 100000 b.tar.zst a.tar.zst >lie
	[[ $(stat -c %s lie) -eq $(stat -c %s true) ]]
	# The journal's head is written, then its index; then come the frames.
	strace -f -qq -o trace -e trace=pwrite64 -e inject=pwrite64:signal=STOP:when=1..2 \
		"$decant" fill --threads 1 --dest v bundle 2>err &
	at_stop 1 dd if=lie of=bundle conv=notrunc status=none
	at_stop 2 dd if=true of=bundle conv=notrunc status=none
	status=0
	wait $! || status=$?
	[[ $status -eq 10 ]]
	grep -q '^decant: bundle: copy index: .*changed since it was checked$' err
	# Were it kept, b's file would pass for a's.
	fill a.tar.zst v
	verify a.tar.zst v --extra
}

@test "what takes the place of a file whose metadata alone changes is not taken over" {
	mkdir -p s/d
	chmod 777 s/d
	echo same >s/d/file
	head -c 5000000 /dev/urandom >s/noise
	find s -exec touch -d @1000000000 {} +
	pack s one.b
	touch -d @1000000001 s/d/file
	head -c 5000000 /dev/urandom >s/noise
	pack s two.b
	fill one.b v
	sleep 0.02 # a tick of ctimes
	mkfifo pipe
	"$decant" fill --dest v - <pipe 2>err &
	exec 8>pipe
	head -c 3000000 two.b >&8
	sleep 1
	setpriv --reuid 1000 --clear-groups sh -c 'echo evil >v/d/new && mv v/d/new v/d/file'
	tail -c +3000001 two.b >&8
	exec 8>&-
	status=0
	wait $! || status=$?
	[[ $status -eq 11 && $(stat -c '%u' v/d/file) -eq 1000 ]]
	grep -q '^decant: v/d/file: change (it was replaced meanwhile): ' err
	fill two.b v
	verify two.b v --extra
}

@test "a file with a name outside, in the place of one whose metadata alone changes, stays as it is" {
	mkdir s
	echo same >s/file
	find s -exec touch -d @1000000000 {} +
	pack s one.b
	touch -d @1000000001 s/file
	chmod 600 s/file
	pack s two.b
	fill one.b v
	sleep 0.02 # a tick of ctimes
	# Of our own, and as large: but its other name is outside.
	echo mine >canary
	touch -d '2001-01-01' canary
	strace -f -qq -o trace -e trace=renameat -e inject=renameat:signal=STOP:when=1 \
		"$decant" fill --threads 1 --dest v two.b 2>err &
	at_stop 1 ln -f canary v/file
	status=0
	wait $! || status=$?
	[[ $status -eq 11 ]]
	grep -q '^decant: v/file: change (it was replaced meanwhile): ' err
	[[ $(cat canary) == mine && $(stat -c '%a %Y %h' canary) == "644 978307200 2" ]]
	fill two.b v
	verify two.b v --extra
	[[ $(stat -c '%a %Y %h' canary) == "644 978307200 1" ]]
}

@test "a file that is mounted in the volume is not given mode or time, nor taken for one of it" {
	mkdir s
	echo same >s/file
	find s -exec touch -d @1000000000 {} +
	pack s one.b
	chmod 600 s/file
	touch -d @1000000001 s/file
	pack s two.b
	fill one.b v
	echo same >outside
	chmod 644 outside
	touch -d @1000000000 outside
	mount --bind outside v/file
	run -11 --separate-stderr "$decant" fill --dest v two.b
	[[ $(stat -c '%a %Y' outside) == "644 1000000000" ]]
	run -16 "$decant" verify --dest v one.b
	[[ $output == *"type: file: a mount point instead of a file"* ]]
	umount v/file
	fill two.b v
	verify two.b v --extra
}

# The state is a group's word for p/q/file, which that group cannot come to; it may rename in the volume's root.
give_to_group() {
	rm -rf v
	mkdir v
	fill one.tar.zst v
	mkdir -p v/p/q v/fake
	echo precious >v/p/q/file
	chgrp -R 7777 v
	chmod 2775 v v/p/q v/fake
	chmod 0700 v/p
	cat forged/.decant/state >v/.decant/state
	chmod 660 v/.decant/state
}

@test "who swaps a directory above for his own has nothing removed that he could not come to" {
	mkdir -p forged/s/p/q
	echo x >forged/s/p/q/file
	pack forged/s forged.b
	fill forged.b forged
	give_to_group
	chmod 0710 v/p
	fill one.tar.zst v
	[[ ! -e v/p/q/file ]]
	give_to_group
	strace -f -qq -o trace -e trace=openat2 "$decant" fill --threads 1 --dest v one.tar.zst
	[[ $(cat v/p/q/file) == precious ]]
	grep -nE '"(p|p/q)"' trace | cut -d: -f1 >places
	[[ -s places ]]
	while read -r place <&7; do
		give_to_group
		rm trace
		strace -f -qq -o trace -e trace=openat2 -e inject=openat2:signal=STOP:when="$place" \
			"$decant" fill --threads 1 --dest v one.tar.zst 7<&- &
		at_stop 1 eval 'mv v/p v/aside && mv v/fake v/p'
		wait $!
		[[ $(cat v/aside/q/file) == precious ]]
		verify one.tar.zst v
	done 7<places
}
