#!/usr/bin/env bats
# A damaged bundle is refused; where the index shows it, before anything is written. No damage gives a
# wrong tree and exit 0.

load helpers

setup_file() {
	cd "$BATS_FILE_TMPDIR"
	small_tree tree
	pack tree b.tar.zst
}

setup() {
	cd "$BATS_TEST_TMPDIR"
	tree=$BATS_FILE_TMPDIR/tree
	cp "$BATS_FILE_TMPDIR/b.tar.zst" .
	size=$(stat -c %s b.tar.zst)
	# The lead (13 bytes), the skippable frame's size (4), then the index.
	index_end=$((17 + $(od -An -tu4 -j 13 -N 4 b.tar.zst)))
	step=13
	[ -z "$DECANT_TEST_ALL" ] || step=1
	mkdir v
}

@test "the index ends where the first frame begins" {
	[ "$index_end" -gt 100 ] && [ "$index_end" -lt "$size" ]
	[ "$(od -An -tx4 -j "$index_end" -N 4 b.tar.zst | tr -d ' ')" = fd2fb528 ]
}

@test "every truncation is a bad bundle" {
	for ((cut = 0; cut < size; cut += cut < index_end ? step : 5 * step)); do
		head -c "$cut" b.tar.zst >cut.tar.zst
		status=0
		"$decant" fill --dest v cut.tar.zst 2>log || status=$?
		[ "$status" -eq 10 ] || {
			echo "cut to $cut bytes: $status: $(tail -n 1 log)"
			return 1
		}
		[ "$cut" -ge "$index_end" ] || [ -z "$(ls -A v)" ]
	done
}

@test "every truncation of a pipe is a bad bundle" {
	for ((cut = 0; cut < size; cut += 3 * step)); do
		status=0
		head -c "$cut" b.tar.zst | "$decant" fill --dest v - 2>log || status=$?
		[ "$status" -eq 10 ] || {
			echo "cut to $cut bytes: $status: $(tail -n 1 log)"
			return 1
		}
	done
	"$decant" fill --dest v b.tar.zst
	same_tree "$tree" v
}

# A bit of zstd's own coding may mean nothing: then the plain index is the same, and so is the tree.
@test "a flipped bit in the index is found before the volume is touched, or harmless" {
	for ((bit = 0; bit < index_end * 8; bit += step)); do
		cp b.tar.zst bad.tar.zst
		perl -e 'open F, "+<:raw", "bad.tar.zst" or die; seek F, $ARGV[0] >> 3, 0; read F, $c, 1;
			seek F, $ARGV[0] >> 3, 0; print F chr(ord($c) ^ 1 << ($ARGV[0] & 7))' "$bit"
		status=0
		"$decant" fill --dest v bad.tar.zst 2>log || status=$?
		if [ "$status" -eq 0 ] && [ "$bit" -gt $(((17 + 88) * 8)) ]; then
			"$decant" verify --extra --dest v b.tar.zst 2>log
			rm -rf v
			mkdir v
		elif [ "$status" -ne 10 ] || [ -n "$(ls -A v)" ]; then
			echo "bit $bit: $status: $(tail -n 1 log)"
			return 1
		fi
	done
}

@test "a flipped bit in a frame is found, or harmless" {
	for ((bit = index_end * 8; bit < size * 8; bit += 9 * step)); do
		cp b.tar.zst bad.tar.zst
		perl -e 'open F, "+<:raw", "bad.tar.zst" or die; seek F, $ARGV[0] >> 3, 0; read F, $c, 1;
			seek F, $ARGV[0] >> 3, 0; print F chr(ord($c) ^ 1 << ($ARGV[0] & 7))' "$bit"
		status=0
		"$decant" fill --dest v bad.tar.zst 2>log || status=$?
		if [ "$status" -eq 0 ]; then
			verify b.tar.zst v
		elif [ "$status" -ne 10 ]; then
			echo "bit $bit: $status: $(tail -n 1 log)"
			return 1
		fi
	done
	"$decant" fill --dest v b.tar.zst
	same_tree "$tree" v
}

@test "bytes after the last frame are refused, from a file and from a pipe" {
	for tail in x "$(printf '%600s' '')"; do
		cp b.tar.zst long.tar.zst
		printf %s "$tail" >>long.tar.zst
		run -10 --separate-stderr "$decant" fill --dest v long.tar.zst
		says long.tar.zst
		[ -z "$(ls -A v)" ]
		mkdir w
		run -10 --separate-stderr bash -c '"$0" fill --dest w - <long.tar.zst; ' "$decant"
		run -10 --separate-stderr bash -c 'cat long.tar.zst | "$0" fill --dest w -' "$decant"
		rm -r w
	done
	cat b.tar.zst b.tar.zst >twice.tar.zst
	run -10 "$decant" fill --dest v twice.tar.zst
}

@test "a damaged frame on a refill leaves an older release whole, or a code that is not 0" {
	fill b.tar.zst v
	"$maketree" 4 big 50
	pack big big.tar.zst
	damage big.tar.zst $(($(stat -c %s big.tar.zst) - 1000))
	run -10 --separate-stderr "$decant" fill --dest v big.tar.zst
	says big.tar.zst
	verify b.tar.zst v
	"$decant" fill --dest v b.tar.zst
	verify b.tar.zst v --extra
}

@test "verify and list find the damage, too" {
	for at in 5 30 100; do
		cp b.tar.zst bad.tar.zst
		damage bad.tar.zst "$at"
		run -10 "$decant" list bad.tar.zst
		run -10 "$decant" info bad.tar.zst
		run -10 "$decant" verify --dest "$tree" bad.tar.zst
	done
}

@test "a bundle that changes while it is read is not believed" {
	"$maketree" 4 big 50
	pack big big.tar.zst
	cp big.tar.zst changing.tar.zst
	# 0.3 s into the fill, every byte of the second half becomes zero.
	strace -f -qq -o /dev/null -e inject=pread64:delay_enter=50000 "$decant" fill --dest v changing.tar.zst 2>log &
	pid=$!
	sleep 0.15
	dd if=/dev/zero of=changing.tar.zst bs=4096 seek=60 count=500 conv=notrunc status=none
	status=0
	wait "$pid" || status=$?
	[ "$status" -eq 10 ] || { [ "$status" -eq 0 ] && verify big.tar.zst v; }
}
