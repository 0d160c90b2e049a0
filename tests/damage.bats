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
	# Every bit has its turn further down, in one process; here the program itself meets some of them.
	flip=61
	[ -z "$DECANT_TEST_ALL" ] || step=1 flip=1
	mkdir v
}

@test "the index ends where the first frame begins" {
	[ "$index_end" -gt 100 ]
	[ "$index_end" -lt "$size" ]
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
	for ((bit = 0; bit < index_end * 8; bit += flip)); do
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
	for ((bit = index_end * 8; bit < size * 8; bit += 5 * flip)); do
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
	# The journal is written: the index is read and checked, and the frames come next. All but it becomes zero.
	strace -f -qq -o trace -e trace=pwrite64 -e inject=pwrite64:signal=STOP:when=2 \
		"$decant" fill --threads 1 --dest v changing.tar.zst 2>log &
	tracer=$!
	for ((i = 0; i < 500; i++)); do
		! grep -qs 'stopped by SIGSTOP' trace || break
		sleep 0.02
	done
	end=$((17 + $(od -An -tu4 -j 13 -N 4 big.tar.zst)))
	dd if=/dev/zero of=changing.tar.zst bs=1 seek="$end" count=$(($(stat -c %s big.tar.zst) - end)) conv=notrunc status=none
	kill -CONT "$(sed -n '1s/ .*//p' trace)"
	status=0
	wait "$tracer" || status=$?
	[ "$status" -eq 10 ]
	grep -q '^decant: changing.tar.zst: ' log
	fill big.tar.zst v
	verify big.tar.zst v --extra
}

# Every way to damage the smallest bundle that has one of each kind of entry, in one process for speed
# (fuzz/damage.c says what is watched).
every() { # bits|cuts HOW [STEP]
	mkdir -p least/d/e older/d/b
	echo one >least/a
	ln least/a least/d/b
	ln -s ../a least/d/l
	: >least/d/none
	echo two >older/a
	echo file >older/d/e
	ln -s a older/d/l
	find least older -exec touch -h -d '2024-01-02 03:04:05.678901234' {} +
	pack least least.tar.zst
	pack older older.tar.zst
	"$top/build/tests/damage" "$1" "$2" "${3:-1}" least.tar.zst older.tar.zst 2>result || {
		cat result
		return 1
	}
	tail -n 1 result
	refused=$(sed -n 's/.*: \([0-9]*\) refused.*/\1/p' result)
	harmless=$(sed -n 's/.* \([0-9]*\) harmless.*/\1/p' result)
	size=$(stat -c %s least.tar.zst)
}

@test "every bit of a small bundle, flipped, leaves an empty volume with a right tree or a refusal" {
	every bits fill
	[ "$((refused + harmless))" -eq "$((8 * size))" ] && [ "$harmless" -lt "$size" ]
}

@test "every third bit of a small bundle, flipped in a pipe, likewise" {
	every bits pipe 3
	[ "$((refused + harmless))" -ge "$((8 * size / 3))" ] && [ "$harmless" -lt "$size" ]
}

@test "every bit of a small bundle, flipped, leaves an older tree as it was or becomes the newer one" {
	every bits refill
	[ "$((refused + harmless))" -eq "$((8 * size))" ] && [ "$harmless" -lt "$size" ]
}

@test "every bit of a small bundle, flipped, never makes verify take another tree for its own" {
	every bits verify
	[ "$refused" -gt "$((8 * size))" ]
}

@test "every cut of a small bundle is refused: from a file, a pipe, on an older tree, by verify" {
	for how in fill pipe refill verify; do
		every cuts "$how"
		[ "$harmless" -eq 0 ]
		[ "$refused" -ge "$size" ]
		rm -rf least older
	done
}

@test "a header that promises gigabytes takes no memory before they come" {
	# A pipe with a lead and a header whose sum is right, and which says that 2 GiB of blocks follow.
	base64 -d >short.tar.zst <<-'END'
		KLUv/SAAAQAAXSpNGDgBAABkZWNhbnQaCgEAAAADAAAAAAAAAAEAAADUAAAA4AAAAP///38AAAAAHAAAAAAAAAAQAAAAAAAAAAAAAAAAAAAA0jS7tQ7HvTHsf4N5OtXa2ZvcM6nLlcUt
	END
	[ "$(od -An -tu8 -j 49 -N 8 short.tar.zst | tr -d ' ')" -gt 2000000000 ]
	status=0
	bash -c 'ulimit -v 200000; exec "$0" info -' "$decant" <short.tar.zst 2>log || status=$?
	[ "$status" -eq 10 ]
	grep -q 'cut short' log
}

@test "a file of somebody else's that is linked in the place of one with links stays as it is" {
	mkdir t out
	: >t/a
	ln t/a t/b
	pack t t.tar.zst
	fill t.tar.zst v
	# The same content, and as many names as the bundle's own file: one of them is outside.
	: >out/canary
	chmod 600 out/canary
	chown 1234:1234 out/canary
	rm v/a v/b
	ln out/canary v/a
	fill t.tar.zst v
	[ "$(stat -c '%a %u %h' out/canary)" = '600 1234 1' ]
	verify t.tar.zst v --extra
	same_tree t v
}

@test "a file of ours that has a name elsewhere in the place of one of its own is made anew" {
	mkdir t
	echo x >t/a
	ln t/a t/b
	pack t t.tar.zst
	fill t.tar.zst v
	ln v/a elsewhere
	rm v/b
	fill t.tar.zst v
	verify t.tar.zst v --extra
	[ "$(stat -c %h elsewhere)" = 1 ]
}

@test "an older name of a file that --prune none leaves is no longer a link to the new one" {
	mkdir -p t/old
	echo x >t/a
	ln t/a t/old/b
	pack t t.tar.zst
	mv t/old t/new
	pack t n.tar.zst
	fill t.tar.zst v
	fill n.tar.zst v --prune none
	verify n.tar.zst v
	[ -f v/old/b ]
	fill n.tar.zst v --prune none
	grep -q unchanged log
}

@test "content that is not what its hash says is refused before a volume can vouch for it" {
	# Its only file with content has the hash of another: no packer that is right makes such a bundle.
	base64 -d >lie.tar.zst <<-'END'
		KLUv/SAAAQAAXSpNGEkEAABkZWNhbnQaCgEAAAAFAAAAAwAAAAEAAAAYAwAAJAMAAM0AAAAAAAAAMwAAAAAAAAAnAAAAAAAAAAAA
		AAAAAAAA/mVJo70mSNw+5Sj1akzvPehHFp3a3hlzKLUv/aAYAwAAwRgAAAAAAAIAAAABAAAAAAAAAAQAAAAAAAAAABAAAAAAAAAE
		AC9zcnYCAHYxFwBkZWNhbnQgMC4xLjAgenN0ZCAxLjUuNAAAAAAAAAAAAAABAAAAAAAAAAMAAAABAAAAAQAAAAEAAAAAAAAAAAAA
		AO0B7QHtAe0B7QEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAJX2TZQAAAAAlfZNlAAAAACV9k2UAAAAA
		AQAAAAAAAAABAAAAAAAAAPI1dyjyNXco8jV3KAAAAAAAAAAAAAEB//8AAAAAAAAAAAAAAAAAAAAAAAAAADMAAAAnAAAAv183SOld
		IYUDAAAAzQAAAMEAAADOAyVe7qFb5WRlaGhoaGhoaGhoaGhoaGhoaGhoaGhoaGhoaGhoaGhoaGhoaGhoaGhoaGhoaGhoaGhoaGho
		aGhoaGhoaGhoaGhoaGhoaGhoaGhoaGhoaGhoaGhoaGhoaGhoaGhoaGhoaGhoaGhoaGhoaGhoaGhoaGhoaGhoaGhoaGhoaGhoaGho
		aGhoaGhoaGhoaGhoaGhoaGhoaGhoaGhoaGhoaGhoaGhoaGhoaGhoaGhoaGhoaGhoaGhoaGhoaGhoaGhoaGhoaGhoaGhoaGhoaGho
		aGhoaGhoaGhoaGhoaGhoaGhoaGhoaGhoaGhoaGhoaGhoaGhoaGhoaGhoaGhoaGhoaGhoaGhoenp6enp6enp6enp6enp6enp6enp6
		enp6enp6enp6enp6enp6enp6enp6enp6enp6enp6enp6enp6enp6enp6enp6enp6enp6enp6enp6enp6enp6enp6enp6enp6enp6
		enp6enp6enp6enp6enp6enp6enp6enp6enp6enp6enp6enp6enp6enp6enp6enp6enp6enp6enp6enp6enp6enp6enp6enp6enp6
		enp6enp6enp6enp6enp6enp6enp6enp6enp6enp6enp6enp6enp6enp6enp6enp6enp6enp6enp6enp6enp6enp6enp6enp6enp6
		enp6enp6enp6KLUv/aDBAAAACQYAAAEAAAABpAH/AaQBAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAJX2TZQAAAAAlfZNlAAAAAAAA
		AAAAAAAA8jV3KPI1dygAAAAABAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAEAAAAAAAAAAAAAAABlZ8FqHeGCU40S5z9ibWUAAAAAAA
		AAAAAAAAAAAAAACZqgbTAUeY2GABwyRGjUl/AQEKAAAEAAAAAAAAAAAAAAAAAAAAYWxjenex+XBwdFlqLi4vYSi1L/2gJwAAADkB
		AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==
	END
	run -10 --separate-stderr "$decant" fill --dest v lie.tar.zst
	says lie.tar.zst hash
	run -10 "$decant" fill --dest v - <lie.tar.zst
	"$decant" fill --dest v b.tar.zst
	same_tree "$tree" v
}

@test "the same of a file that spans frames, whose pieces each are what their frame's sum says" {
	for letter in a b; do
		mkdir "$letter"
		head -c 3000 /dev/zero | tr '\0' "$letter" >"$letter/file"
		find "$letter" -exec touch -d @1000000000 {} +
		pack "$letter" "$letter.tar.zst"
		"$top/build/tests/lie" 1000 "$letter.tar.zst" >"$letter.small"
	done
	"$top/build/tests/lie" 1000 b.tar.zst a.tar.zst >lie
	"$decant" info a.small | grep -qx 'frames: 4'
	for threads in 1 4; do
		rm -rf v
		mkdir v
		run -10 --separate-stderr "$decant" fill --threads "$threads" --dest v lie
		says lie hash
		run -10 "$decant" fill --threads "$threads" --dest v - <lie
		# Were it believed, nothing would be changed here.
		"$decant" fill --threads "$threads" --dest v a.small
		same_tree a v
		"$decant" fill --threads "$threads" --dest v - <b.small
		same_tree b v
	done
}
