#!/usr/bin/env bats
# A bundle that is not whole is refused with 10; none ever gives exit 0 and a wrong tree.

load helpers

setup_file() {
	cd "$BATS_FILE_TMPDIR"
	mkdir -p tree/d
	printf hi >tree/a
	ln -s a tree/l
	ln tree/a tree/h
	seq 300 >tree/d/n
	"$decant_pack" --quiet -o b.tar.zst tree
}

# Try the bundle "broken": refused with 10, or filled and right.
try() {
	rm -rf v
	mkdir v
	status=0
	"$decant" fill --dest v broken 2>err || status=$?
	case $status in
	10) [[ $(wc -l <err) -eq 1 ]] && grep -q '^decant: broken: .*: .' err ;;
	0) touch -r "$BATS_FILE_TMPDIR/tree" v && same_tree "$BATS_FILE_TMPDIR/tree" v ;;
	*) false ;;
	esac || {
		echo "exit $status: $(cat err)" >&2
		return 1
	}
}

@test "every truncation of a small bundle is refused" {
	size=$(stat -c %s "$BATS_FILE_TMPDIR/b.tar.zst")
	step=${DECANT_TEST_ALL:+1}
	step=${step:-3}
	for ((n = 0; n < size; n += step)); do
		head -c "$n" "$BATS_FILE_TMPDIR/b.tar.zst" >broken
		try
		[[ $status -eq 10 ]] || {
			echo "$n of $size bytes were accepted" >&2
			return 1
		}
	done
}

@test "every truncation of a small bundle that comes by a pipe is refused" {
	size=$(stat -c %s "$BATS_FILE_TMPDIR/b.tar.zst")
	for ((n = 0; n < size; n += 41)); do
		rm -rf v
		mkdir v
		run -10 --separate-stderr "$decant" fill --dest v - < <(head -c "$n" "$BATS_FILE_TMPDIR/b.tar.zst")
		says "standard input"
	done
}

@test "no flipped bit gives exit 0 and a wrong tree" {
	size=$(stat -c %s "$BATS_FILE_TMPDIR/b.tar.zst")
	step=${DECANT_TEST_ALL:+1}
	refused=0
	for ((bit = 0; bit < size * 8; bit += ${step:-17})); do
		perl -e 'local $/; open F, "<", $ARGV[0]; $b = <F>; vec($b, $ARGV[1], 1) ^= 1; print $b' \
			"$BATS_FILE_TMPDIR/b.tar.zst" "$bit" >broken
		try || {
			echo "bit $bit of byte $((bit / 8))" >&2
			return 1
		}
		[[ $status -ne 10 ]] || refused=$((refused + 1))
	done
	# Some bits of zstd's own headers mean nothing; most must be noticed.
	[[ $((refused * ${step:-17})) -gt $((size * 7)) ]]
}

@test "damage that the index shows leaves a filled volume as it was" {
	mkdir v
	fill "$BATS_FILE_TMPDIR/b.tar.zst" v
	describe v >before
	find v/.decant -printf '%P %T@ %C@\n' | sort >state
	for at in 20 60 110 150; do
		cp "$BATS_FILE_TMPDIR/b.tar.zst" broken
		damage broken "$at"
		run -10 --separate-stderr "$decant" fill --dest v broken
		says broken
	done
	describe v | diff before -
	find v/.decant -printf '%P %T@ %C@\n' | sort | diff state -
}

@test "damage in a frame is 10, and the next fill with a whole bundle makes it right" {
	mkdir v tree
	head -c 6000000 /dev/urandom >tree/noise
	seq 1000 >tree/text
	pack tree b.tar.zst
	cp b.tar.zst broken
	damage broken 3000000
	run -10 --separate-stderr "$decant" fill --dest v broken
	says broken frame
	fill b.tar.zst v
	same_tree tree v
}

@test "damage in a frame of a new release leaves the old one on the volume, whole" {
	mkdir v one two
	seq 1000 >one/text
	pack one one.tar.zst
	fill one.tar.zst v
	head -c 6000000 /dev/urandom >two/noise
	seq 2000 >two/text
	pack two two.tar.zst
	damage two.tar.zst 3000000
	run -10 "$decant" fill --dest v two.tar.zst
	verify one.tar.zst v --extra
	"$decant" info v | grep -F "$("$decant" info one.tar.zst | grep ^bundle:)"
}

@test "bytes after the end are refused, in a file and in a pipe" {
	cat "$BATS_FILE_TMPDIR/b.tar.zst" - <<<x >broken
	mkdir v
	run -10 --separate-stderr "$decant" fill --dest v broken
	says broken
	[[ -z $(ls -A v) ]]
	run -10 --separate-stderr "$decant" fill --dest v - <broken
	says "standard input"
}

@test "what is no bundle is refused by name" {
	mkdir v
	: >empty
	echo hello >text
	zstd -q text
	mkdir dir
	for b in empty text text.zst dir missing; do
		run -10 --separate-stderr "$decant" fill --dest v "$b"
		says "$b"
	done
	[[ -z $(ls -A v) ]]
}
