#!/usr/bin/env bats
# A volume that apps read while releases come and go.

load helpers
load inject

# Release N: pages that name assets of N, of which two are also those of the release before, or after it; a file
# that all have, with other content; one that never changes; hard links to both.
release() { # N DIR
	local page k pair
	mkdir -p "$2/assets/deep" "$2/only-$1" "$2/zz"
	for k in 1 2 3 4 5 6; do
		seq "$1$k" 100 20000 | head -n 40 >"$2/assets/a$k-$1.js"
		echo "deep $1 $k" >"$2/assets/deep/d$k-$1.css"
		echo "late $1 $k" >"$2/zz/z$k-$1.png"
	done
	for pair in "$(($1 - 1))$1" "$1$(($1 + 1))"; do
		echo "pair $pair" >"$2/assets/pair-$pair.js"
		touch -d @1700000000 "$2/assets/pair-$pair.js"
	done
	echo "only $1" >"$2/only-$1/file"
	echo "style $1" >"$2/style.css"
	echo same >"$2/same.txt"
	ln "$2/style.css" "$2/assets/hard-$1.css"
	ln "$2/same.txt" "$2/zz/link-$1.txt"
	ln -s "a1-$1.js" "$2/assets/soft-$1.js"
	for page in "$2/index.html" "$2/aaa.html" "$2/zz/page.html"; do
		(cd "$2" && find assets zz -name "*-$1.*" -printf "release $1 %p\n" -o -name 'pair-*' -printf "release $1 %p\n" | sort) >"$page.part"
		seq -f "release $1 line %g" 1500 >>"$page.part"
		mv "$page.part" "$page"
	done
}

setup_file() {
	local n
	cd "$BATS_FILE_TMPDIR"
	for n in 1 2 3 4; do
		release $n r$n
		pack r$n r$n.tar.zst --revision "r$n"
	done
}

setup() {
	cd "$BATS_TEST_TMPDIR"
	share=$BATS_FILE_TMPDIR
	mkdir v
}

to() { # N [OPTION...]
	local n=$1
	shift
	fill "$share/r$n.tar.zst" v "$@"
}

# The volume has the names of these releases and no other, and all that the first has is right. (In a condition a
# function goes on after what fails, so this one returns.)
holds() { # N...
	local n
	for n; do
		(cd "$share/r$n" && find . -mindepth 1)
	done | sort -u >want
	(cd v && find . -mindepth 1 -path ./.decant -prune -o -mindepth 1 -print) | sort >have
	diff want have || return 1
	verify "$share/r$1.tar.zst" v || return 1
	for n; do
		cmp "v/assets/a3-$n.js" "$share/r$n/assets/a3-$n.js" || return 1
		cmp "v/assets/hard-$n.css" "$share/r$n/assets/hard-$n.css" || return 1
	done
}

id_of() { # N
	"$decant" info "$share/r$1.tar.zst" | sed -n 's/^bundle: //p'
}

kept() {
	"$decant" info v | sed -n 's/^kept: .*revision \(.*\), filled .*/\1/p' | paste -sd ' '
}

@test "an earlier release's files stay for as many releases as was said" {
	to 1 --keep-releases 2
	to 2 --keep-releases 2
	holds 2 1
	to 3 --keep-releases 2
	holds 3 2 1
	[ "$(summary removed)" -eq 0 ]
	to 4 --keep-releases 2
	holds 4 3 2
	[ "$(summary removed)" -gt 20 ]
	[ "$(kept)" = 'r3 r2' ]
}

@test "without the option nothing of an earlier release stays, kept or not" {
	to 1
	to 2
	holds 2
	to 3 --keep-releases 5
	holds 3 2
	to 4
	same_tree "$share/r4" v
	[ -z "$(find v/.decant -name 'release-*')" ]
}

@test "the same release again changes nothing and pushes nothing out" {
	to 1 --keep-releases 1
	to 2 --keep-releases 1
	before=$(find v ! -path 'v/.decant*' -printf '%p %i %C@\n' | sort)
	for _ in 1 2 3; do
		to 2 --keep-releases 1
		grep -q ': unchanged: ' log
	done
	[ "$before" = "$(find v ! -path 'v/.decant*' -printf '%p %i %C@\n' | sort)" ]
	holds 2 1
	# Nor does one that has to be repaired.
	echo damaged >v/index.html
	to 2 --keep-releases 1
	holds 2 1
	[ "$(kept)" = r1 ]
}

@test "going back to a kept release writes only what differs, and keeps the one that was left" {
	to 1 --keep-releases 2
	to 2 --keep-releases 2
	inode=$(stat -c %i v/assets/a1-1.js)
	to 1 --keep-releases 2
	[ "$inode" = "$(stat -c %i v/assets/a1-1.js)" ]
	holds 1 2
	[ "$(kept)" = r2 ]
	to 3 --keep-releases 2
	[ "$(kept)" = 'r1 r2' ]
	holds 3 1 2
	to 2 --keep-releases 1
	holds 2 3
}

@test "a smaller number removes with the next fill, also of the same bundle" {
	for n in 1 2 3 4; do
		to $n --keep-releases 3
	done
	holds 4 3 2 1
	to 4 --keep-releases 1
	holds 4 3
	grep -q ': filled: ' log
	to 4 --keep-releases 1
	grep -q ': unchanged: ' log
	to 4 --keep-releases 3
	grep -q ': unchanged: ' log
	holds 4 3
	to 4
	same_tree "$share/r4" v
}

@test "a name that changed its type is the new release's, and what is left of a kept one goes in time" {
	mkdir -p a b c
	echo a >a/x
	mkdir a/y
	echo a >a/y/in
	mkdir b/x
	echo b >b/x/in
	echo b >b/y
	echo c >c/c
	for tree in a b c; do
		pack $tree $tree.tar.zst
	done
	fill a.tar.zst v --keep-releases 2
	fill b.tar.zst v --keep-releases 2
	same_tree b v
	fill c.tar.zst v --keep-releases 2
	verify c.tar.zst v
	[ "$(cat v/x/in)" = b ]
	[ "$(cat v/y)" = b ]
	fill a.tar.zst v --keep-releases 1
	verify a.tar.zst v
	fill c.tar.zst v
	same_tree c v
}

@test "a file that is nobody's stays, whatever goes around it" {
	to 1 --keep-releases 1
	echo mine >v/only-1/mine
	to 2 --keep-releases 1
	to 3 --keep-releases 1
	[ "$(ls v/only-1)" = mine ]
}

@test "random trees come and go, and nothing is left of them in the end" {
	for seed in 31 32 33; do
		"$maketree" $seed t$seed 120
		pack t$seed t$seed.tar.zst --preserve-owner
	done
	for seed in 31 32 33 31 33 32 31; do
		fill t$seed.tar.zst v --keep-releases 2
		verify t$seed.tar.zst v
	done
	fill t33.tar.zst v
	same_tree t33 v
}

@test "info tells which releases are kept, and the log how many" {
	for n in 1 2 3; do
		"$decant" fill --log json --dest v --keep-releases 2 "$share/r$n.tar.zst" 2>log
		jq -e "select(.event == \"summary\").kept_releases == $n - 1" log
	done
	"$decant" info v >seen
	grep -qE "^kept: $(id_of 2), revision r2, filled [0-9-]+T[0-9:]+Z$" seen
	[ "$(grep -c '^kept: ' seen)" -eq 2 ]
	"$decant" info --log json v >seen
	jq -e --arg two "$(id_of 2)" --arg one "$(id_of 1)" \
		'[.releases[].bundle] == [$two, $one] and .releases[1].revision == "r1" and .releases[0].filled' seen
	to 3
	"$decant" info --log json v | jq -e '.releases == []'
}

@test "verify finds a volume with kept files right, and --extra names them" {
	to 1 --keep-releases 1
	to 2 --keep-releases 1
	verify "$share/r2.tar.zst" v
	run "$decant" verify --extra --dest v "$share/r2.tar.zst"
	[ "$status" -eq 16 ]
	[[ $output == *'extra: assets/a1-1.js'* ]]
}

@test "usage: a number from 0 to 100, with fill and --prune managed alone" {
	for wrong in -1 101 x '' 1x; do
		run -2 --separate-stderr "$decant" fill --dest v --keep-releases "$wrong" "$share/r1.tar.zst"
		says keep-releases
	done
	for prune in all none; do
		run -2 --separate-stderr "$decant" fill --dest v --prune $prune --keep-releases 1 "$share/r1.tar.zst"
		says keep-releases managed
		to 1 --prune $prune --keep-releases 0
	done
	run -2 "$decant" verify --dest v --keep-releases 1 "$share/r1.tar.zst"
}

@test "what is wrong among the kept indexes counts as none and is cleared away" {
	to 1 --keep-releases 3
	to 2 --keep-releases 3
	to 3 --keep-releases 3
	two=$(ls v/.decant/release-*-"$(id_of 2)")
	one=$(ls v/.decant/release-*-"$(id_of 1)")
	truncate -s -1 "$two"
	cp -a "$one" "v/.decant/release-0000000004-$(id_of 1)"
	cp -a "$one" "v/.decant/release-0000000005-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	cp -a v/.decant/state "v/.decant/release-0000000006-$(id_of 3)"
	: >v/.decant/release-
	: >v/.decant/release-1
	: >"v/.decant/release-9999999999-$(id_of 1)"
	: >"v/.decant/release-00000000x1-$(id_of 1)"
	ln -s /etc/passwd v/.decant/release-0000000007-bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb
	mkdir -p "v/.decant/release-dir/in/it"
	mkfifo v/.decant/release-fifo
	to 4 --keep-releases 9
	holds 4 3 1 2
	[ "$(kept)" = 'r3 r1' ]
	to 4 --keep-releases 1
	[ "$(kept)" = r3 ]
	[ "$(ls v/.decant)" = "$(printf '%s\n' lock "release-0000000008-$(id_of 3)" state tmp é)" ]
	[ -s /etc/passwd ]
}

@test "which release comes after the others does not go by one that counts as none" {
	to 1 --keep-releases 2
	to 2 --keep-releases 2
	inject "$share/r3.tar.zst" unlinkat:1 signal=KILL --keep-releases 2
	[ "$injected" -eq 1 ]
	[ ! -e v/.decant/state ]
	truncate -s -1 v/.decant/release-*-"$(id_of 2)"
	to 3 --keep-releases 2
	[ "$(od -An -t u8 -j 68 -N 8 v/.decant/state)" -gt "$(od -An -t u8 -j 68 -N 8 v/.decant/release-*-"$(id_of 1)")" ]
}

# A volume with release 2, and 1 kept.
two_kept() {
	rm -rf v
	mkdir v
	to 1 --keep-releases 1
	to 2 --keep-releases 1
}

# Kill a fill from 2 to 3, with 1 kept, after one of STEP of its calls; do $@ each time.
killed_at_each() { # STEP COMMAND...
	local place step=$1
	shift
	two_kept
	places "$share/r3.tar.zst" --keep-releases 1 >all
	[ "$(wc -l <all)" -gt 300 ]
	thin "$step" <all >todo
	while read -r place; do
		two_kept
		inject "$share/r3.tar.zst" "$place" signal=KILL --keep-releases 1
		[ "$injected" -eq 1 ] || {
			echo "not killed at $place: $status"
			return 1
		}
		"$@" || {
			echo "killed at $place: $(tail -n 1 log)"
			return 1
		}
	done <todo
	echo "# killed after $(wc -l <todo) of $(wc -l <all) calls" >&3
}

again() {
	to 3 --keep-releases 1 && holds 3 2 && [ "$(kept)" = r2 ]
}

# What a release that never was complete made is gone; that of the one before is whole.
another() {
	to 4 --keep-releases 1 && verify "$share/r4.tar.zst" v || return 1
	if [ "$(kept)" = r2 ]; then holds 4 2; else holds 4 3; fi
}

back() {
	to 2 --keep-releases 1 && verify "$share/r2.tar.zst" v && to 2 && same_tree "$share/r2" v
}

@test "a fill that is killed at any call is made good by the same release" {
	killed_at_each 29 again
}

@test "a fill that is killed at any call is made good by another release" {
	killed_at_each 37 another
}

@test "a fill that is killed at any call is made good by the release before" {
	killed_at_each 41 back
}

# ---- readers ------------------------------------------------------------------------------------

# Reads pages, then what they name, until there is a file "stop". A page must be whole and of one release. What
# it names must be there, and right, for as long as the page is, or, with KEEP, for as long as the page there is
# at most KEEP releases younger.
reader() { # KEEP
	perl -e '
		use strict;
		my ($keep) = @ARGV;
		my ($pages, $switches, %last) = (0, 0);
		sub slurp { local $/; my $f = shift; my $s = <$f>; defined $s ? $s : "" }
		sub release { open my $f, "<", "v/$_[0]" or die "no page $_[0]: $!\n"; (slurp($f) =~ /^release (\d+) /)[0] }
		until (-e "stop") {
			for my $page (qw(index.html aaa.html zz/page.html)) {
				open my $f, "<", "v/$page" or die "no page $page: $!\n";
				my $text = slurp($f);
				my ($n) = $text =~ /^release (\d+) / or die "$page begins with nothing\n";
				my @lines = split /^/, $text;
				die "$page is torn\n" if $lines[-1] ne "release $n line 1500\n" || grep { !/^release $n / } @lines;
				$pages++;
				$switches++ if ($last{$page} // $n) != $n;
				$last{$page} = $n;
				for my $name (map { /^release \d+ (\S+)$/ ? $1 : () } @lines) {
					if (open my $a, "<", "v/$name") {
						(my $good = $name) =~ s/^/$ENV{share}\/r$n\//;
						open my $g, "<", $good or die "$good: $!\n";
						die "$name is not what it was made of\n" if slurp($a) ne slurp($g);
						next;
					}
					my @is = stat "v/$page";
					die "$page names $name, which is not there\n" if @is && $is[1] == (stat $f)[1];
					my $now = release($page);
					die "$page is at $now, and $name is gone\n" if $keep && $now - $n <= $keep;
				}
			}
		}
		print "$pages pages, $switches switches\n";
	' "$1"
}

# Fill with what widens the gaps between names, or kills at one of them, and then the whole again.
roughly() { # N OPTION...
	local n=$1 status=0
	shift
	strace --seccomp-bpf -f -qq -o /dev/null -e trace=renameat,unlinkat,linkat \
		-e inject=renameat,unlinkat:delay_exit=3000 -e inject=linkat:delay_enter=30000 \
		"$decant" fill --dest v "$@" "$share/r$n.tar.zst" 2>log
}

# Kill one at a change of a name, one of the first MOST. strace counts those of each thread by itself, and sends no
# signals with --seccomp-bpf.
killed() { # N MOST OPTION...
	local n=$1 when=$((RANDOM % $2 + 1)) status=0
	shift 2
	strace -f -qq -o /dev/null -e trace=renameat,unlinkat,linkat \
		-e inject=renameat,unlinkat,linkat:signal=KILL:when="$when" \
		"$decant" fill --threads 1 --dest v "$@" "$share/r$n.tar.zst" 2>log || status=$?
	[ "$status" -eq 137 ] || {
		echo "not killed at $when: exit $status"
		return 1
	}
}

mount_loop() {
	truncate -s 64M image
	mkfs.ext4 -q -F image
	mount -o loop image v
	rmdir v/lost+found
}

# The readers ended well, and saw something.
readers_end() { # PID...
	local pid
	: >stop
	for pid; do
		wait "$pid" || {
			cat readers.*
			return 1
		}
	done
	cat readers.*
	[ "$(grep -c '^[1-9][0-9]* pages, [1-9][0-9]* switches$' readers.*)" = "$(printf 'readers.%s:1\n' 1 2)" ]
}

@test "readers never see half a file, nor a page before what it names" {
	export share
	mount_loop
	to 1
	reader 0 >readers.1 2>&1 &
	one=$!
	reader 0 >readers.2 2>&1 &
	two=$!
	for n in 2 3 1 2 4 3 1 4; do
		killed $n 25
		roughly $n
		killed $((n % 4 + 1)) 25
		to $n
	done
	readers_end $one $two
	same_tree "$share/r4" v
}

@test "with --keep-releases 1 a client with a page of the release before finds all that it names" {
	export share
	mount_loop
	to 1 --keep-releases 1
	reader 1 >readers.1 2>&1 &
	one=$!
	reader 1 >readers.2 2>&1 &
	two=$!
	for n in 2 3 4; do
		killed $n 20 --keep-releases 1
		killed $n 5 --keep-releases 1
		roughly $n --keep-releases 1
		sed -n "s/^release $((n - 1)) \([a-z].*[^0-9]\)$/\1/p" "$share/r$((n - 1))/index.html" | grep / >named
		[ "$(wc -l <named)" -gt 20 ]
		while read -r name; do
			cmp "v/$name" "$share/r$((n - 1))/$name"
		done <named
	done
	readers_end $one $two
}
