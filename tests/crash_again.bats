#!/usr/bin/env bats
# What a fill that was killed, or stopped, leaves to those after it: which release the volume held, and what is
# nobody's to remove.

load helpers
load inject

setup() {
	cd "$BATS_TEST_TMPDIR"
	mkdir v
}

# Releases 1 to 3, each with a file of its own.
releases() {
	local n
	for n in 1 2 3; do
		mkdir r$n
		echo $n | tee r$n/index.html >r$n/app-$n.js
		pack r$n r$n.b --revision r$n
	done
}

@test "a repair that ends in the middle forgets no release where a kubelet has opened its state, either" {
	releases
	chgrp 7777 v
	chmod 2775 v
	for how in error=EIO signal=KILL signal=TERM; do
		for place in renameat:4 renameat:5; do
			fill r1.b v --keep-releases 2
			kubelet
			fill r2.b v --keep-releases 2
			kubelet
			inject r2.b "$place" "$how" --keep-releases 2
			[ $status -ne 0 ]
			[ ! -e v/.decant/state ]
			kubelet
			fill r3.b v --keep-releases 2
			[ "$(ls v)" = $'app-1.js\napp-2.js\napp-3.js\nindex.html' ]
			verify r3.b v
			find v -mindepth 1 -delete
		done
	done
}

@test "of two states of one second the later one counts, where a kill has left both" {
	mount_seconds v
	releases
	for order in '1 2' '2 1'; do
		read -r before last <<<"$order"
		# Both in the same second, by the file system's clock.
		until [ -n "${both:-}" ]; do
			find v -mindepth 1 -delete
			next_second
			fill r$before.b v
			inject r$last.b unlinkat:3 signal=KILL
			[ $status -eq 137 ]
			[ "$(find v/.decant -name 'journal-*' | wc -l)" -ne 2 ] ||
				[ "$(stat -c %.Y v/.decant/journal-* | uniq | wc -l)" -ne 1 ] || both=yes
		done
		both=
		fill r3.b v --keep-releases 1
		[ "$("$decant" info v | sed -n 's/^kept: .*revision \(r.\),.*/\1/p')" = r$last ]
		[ "$(ls v)" = $'app-3.js\n'"app-$last.js"$'\nindex.html' ] || [ "$(ls v)" = "app-$last.js"$'\napp-3.js\nindex.html' ]
	done
}

@test "a fill that fails after a first one that was killed leaves what no journal names" {
	mkdir a b
	head -c 300000 /dev/urandom >a/both
	echo x >a/left
	ln a/both a/twin
	pack a a.b
	head -c 300000 /dev/urandom | tee b/both b/mine >/dev/null
	echo other >b/short
	ln b/both b/twin
	ln b/mine b/yours
	touch -d @1700000000 b/mine
	pack b b.b
	for prune in none managed; do
		find v -mindepth 1 -delete
		inject a.b utimensat:2 signal=KILL # the first is the lock's
		[ $status -eq 137 ]
		[ -e v/.decant/first ]
		# Of the size and time that b's have, and not.
		head -c 300000 /dev/urandom >v/mine
		touch -d @1700000000 v/mine
		echo precious >v/short
		cp -p v/mine v/short .
		chmod 600 v/both
		for bytes in 1000 100; do
			run -10 bash -c 'head -c -'$bytes' b.b | "$0" fill --threads 1 --prune '$prune' --dest v -' "$decant"
			cmp mine v/mine
			cmp short v/short
		done
		# What it names makes room.
		[ ! -e v/both ]
		fill b.b v
		verify b.b v --extra
	done
}

@test "which release was the last does not go by clocks" {
	releases
	for ahead in 0 3600; do
		find v -mindepth 1 -delete
		fill r1.b v
		# As by a clock that has been set back since.
		perl -0777 -pe 'substr($_, 52, 8) = pack("q<", unpack("q<", substr($_, 52, 8)) + '$ahead')' v/.decant/state |
			"$top/build/tests/resum" state >state
		cat state >v/.decant/state
		touch -d "+$ahead seconds" v/.decant/state
		fill r2.b v --keep-releases 1
		rm v/index.html
		inject r2.b renameat:2 signal=KILL --keep-releases 1
		[ $status -eq 137 ]
		[ ! -e v/.decant/state ]
		fill r3.b v --keep-releases 1
		[ "$(ls v)" = $'app-2.js\napp-3.js\nindex.html' ]
	done
}

@test "a volume is not new for good because a fill of it once began: its files stay until they are replaced" {
	releases
	for how in error=EIO signal=KILL; do
		find v -mindepth 1 -delete
		inject r1.b renameat:1 $how
		[ $status -eq 13 ] || [ $status -eq 137 ]
		[ -e v/.decant/first ]
		# Then somebody else fills it, and another fill ends too soon.
		echo "by hand" >v/index.html
		touch -d 2020-01-01 v/index.html
		inject r1.b renameat:2 signal=KILL
		[ $status -eq 137 ]
		[ "$(cat v/index.html)" = 'by hand' ]
		run -10 bash -c 'head -c -10 r1.b | "$0" fill --threads 1 --dest v -' "$decant"
		[ "$(cat v/index.html)" = 'by hand' ]
		fill r1.b v
		verify r1.b v --extra
		[ ! -e v/.decant/first ]
	done
}
