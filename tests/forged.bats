#!/usr/bin/env bats
# What somebody has taken pains over: sums that are right again, a whole bundle in the place of another, a whole state
# of another volume.

load helpers

setup_file() {
	cd "$BATS_FILE_TMPDIR"
	small_tree one
	cp -a one two
	printf '<h1>two</h1>\n' >two/index.html
	rm two/none
	pack one one.tar.zst
	pack two two.tar.zst
}

setup() {
	cd "$BATS_TEST_TMPDIR"
	cp "$BATS_FILE_TMPDIR"/*.tar.zst .
	mkdir v
}

# BUNDLE with byte AT changed, and its header's sum right again, as bad.tar.zst.
forge() { # BUNDLE AT
	cp "$1" bad.tar.zst
	damage bad.tar.zst "$2"
	"$top/build/tests/resum" bundle <bad.tar.zst >new && mv new bad.tar.zst
}

@test "a bundle's id that is not that of its index is refused, though the header's own sum is right" {
	"$top/build/tests/resum" bundle <one.tar.zst | cmp one.tar.zst
	for at in 81 88 96; do
		forge one.tar.zst "$at"
		run -10 --separate-stderr "$decant" fill --dest v bad.tar.zst
		says bad.tar.zst "catalog's checksum is wrong"
		[[ -z $(ls -A v) ]]
		run -10 "$decant" fill --dest v - <bad.tar.zst
		run -10 "$decant" verify --dest "$BATS_FILE_TMPDIR/one" bad.tar.zst
	done
}

@test "a bundle of a later version is refused by its version, not by a sum" {
	# 1 becomes 0, and 257.
	for at in 25 26; do
		forge one.tar.zst "$at"
		run -10 --separate-stderr "$decant" fill --dest v bad.tar.zst
		says bad.tar.zst "version is not known"
		[[ -z $(ls -A v) ]]
	done
}

@test "a bundle that becomes another whole one while it is read is refused" {
	# Noise of the same size: all but the sums and the content is the same, and every frame is a right one of zstd's.
	# The index has noise, too, and now and then packs to some bytes more or less: then other noise is taken.
	mkdir a b
	tries=0
	until [[ -s a.tar.zst && $(stat -c %s a.tar.zst) -eq $(stat -c %s b.tar.zst) ]]; do
		[[ $((tries += 1)) -le 30 ]]
		for dir in a b; do
			for n in 1 2 3 4 5; do head -c 4000000 /dev/urandom >"$dir/noise-$n"; done
			find "$dir" -exec touch -d @1000000000 {} +
			pack "$dir" "$dir.tar.zst"
		done
	done
	cp a.tar.zst changing.tar.zst
	strace -f -qq -o trace -e trace=pwrite64 -e inject=pwrite64:signal=STOP:when=3 \
		"$decant" fill --threads 1 --dest v changing.tar.zst 2>log &
	tracer=$!
	until grep -qs 'stopped by SIGSTOP' trace; do sleep 0.05; done
	dd if=b.tar.zst of=changing.tar.zst conv=notrunc status=none
	kill -CONT "$(sed -n '1s/ .*//p' trace)"
	status=0
	wait "$tracer" || status=$?
	[[ $status -eq 10 ]]
	grep -q '^decant: changing.tar.zst: .*: .*checksum' log
	# All that is there now is of the second one.
	fill b.tar.zst v
	verify b.tar.zst v --extra
}

@test "a whole state of another bundle makes no wrong tree" {
	mkdir w
	fill two.tar.zst w
	for bundle in one two; do
		for prune in managed all; do
			rm -rf v
			mkdir v
			fill one.tar.zst v
			# Later than anything in v, of this boot, and with all sums right.
			cp w/.decant/state v/.decant/state
			chmod 0600 v/.decant/state
			[[ $("$decant" info v) == *"$("$decant" info two.tar.zst | grep '^bundle: ')"* ]]
			fill "$bundle.tar.zst" v --prune "$prune"
			verify "$bundle.tar.zst" v
			# What the state does not name is a stranger's, for "managed".
			[[ $bundle$prune == twomanaged ]] || verify "$bundle.tar.zst" v --extra
		done
	done
}

@test "a state of a later version counts as none, though its sum is right" {
	fill one.tar.zst v
	cp v/.decant/state state
	"$top/build/tests/resum" state <state | cmp state
	damage state 8
	"$top/build/tests/resum" state <state >v/.decant/state
	run -11 --separate-stderr "$decant" info v
	echo keep >v/mine
	rm v/none
	fill two.tar.zst v
	verify two.tar.zst v
	[[ -e v/mine ]]
	fill two.tar.zst v
	grep -q ': unchanged: ' log
}

@test "an index that says of its files that they need more than a number can say is refused for want of room" {
	for disk in 18446744073709551615 18446744073709551000; do
		"$top/build/tests/heavybundle" 1 0 "$disk" >large
		run -12 --separate-stderr "$decant" fill --dest v large
		says v "bytes needed"
		[[ -z $(ls v) ]]
	done
	fill large v --no-space-check
	verify large v
}
