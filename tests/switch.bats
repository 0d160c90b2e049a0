#!/usr/bin/env bats
# Whole trees in one directory, and a link that is switched from one to the next.

# shellcheck disable=SC2154 # helpers sets decant; inject sets status and injected
load helpers
load inject

# Release N: two files that tell N, one of them deep; one that never changes, a link, a hard link.
release() { # N DIR
	mkdir -p "$2/deep/er" "$2/empty"
	echo "release $1" >"$2/index.html"
	seq -f "release $1 line %g" 400 >"$2/deep/er/page"
	echo same >"$2/same"
	echo "release $1" >"$2/current"
	ln -s deep/er/page "$2/link"
	ln "$2/same" "$2/deep/hard"
	find "$2" -exec touch -h -d '2024-01-02 03:04:05.678901234' {} +
}

setup_file() {
	local n
	cd "$BATS_FILE_TMPDIR"
	for n in 1 2 3 4 5; do
		release $n r$n
		pack r$n r$n.tar.zst --revision r$n
	done
}

setup() {
	cd "$BATS_TEST_TMPDIR"
	share=$BATS_FILE_TMPDIR
	mkdir v
}

id_of() { # N
	"$decant" info "$share/r$1.tar.zst" | sed -n 's/^bundle: //p'
}

to() { # N [OPTION...]
	local n=$1
	shift
	fill "$share/r$n.tar.zst" v --switch "$@"
}

# Readers see release N and no other, and it is whole. (In a condition a function goes on after what fails, so these
# return.)
shows() { # N
	[ "$(readlink v/current)" = "$(id_of "$1")" ] || return 1
	verify "$share/r$1.tar.zst" v --switch --extra || return 1
	same_tree "$share/r$1" v/current/.
}

# The directory has the trees of these releases and nothing else; all are whole, and none but they has a record.
holds() { # N [OLDER...]
	local n
	shows "$1" || return 1
	{
		printf '%s\n' .decant current
		for n; do id_of "$n"; done
	} | sort >want
	find v -mindepth 1 -maxdepth 1 -printf '%f\n' | sort >have
	diff want have || return 1
	for n; do
		same_tree "$share/r$n" "v/$(id_of "$n")" || return 1
	done
	[ -z "$(ls -A v/.decant/tmp)" ] || return 1
	shift
	kept="$*"
	[ "$(info_kept)" = "${kept:+r${kept// / r}}" ]
}

info_kept() {
	"$decant" info v | sed -n 's/^kept: .*revision \(.*\), filled .*/\1/p' | paste -sd ' '
}

@test "the first fill makes a tree and a relative link to it" {
	to 1
	holds 1
	[ "$(cat v/current/index.html)" = 'release 1' ]
	[ "$(stat -c %a v/.decant)" = 700 ]
	grep -q "^decant: v/$(id_of 1): filled: " log
	grep -qx 'decant: v: switched' log
	mv v elsewhere
	[ "$(cat elsewhere/current/index.html)" = 'release 1' ]
}

@test "the next fill leaves the tree before it, and removes older ones" {
	to 1
	inode=$(stat -c %i v/current/index.html)
	to 2
	holds 2 1
	[ "$inode" = "$(stat -c %i "v/$(id_of 1)/index.html")" ]
	to 3
	holds 3 2
	grep -qx "decant: v/$(id_of 1): removed" log
	to 4 --keep-releases 3
	to 5 --keep-releases 3
	holds 5 4 3 2
	to 1 --keep-releases 0
	holds 1
	[ "$(ls v/.decant)" = "$(printf '%s\n' "journal-$(id_of 1)" lock switched tmp)" ]
}

@test "the same bundle again changes nothing; a smaller number removes" {
	for n in 1 2 3; do to $n --keep-releases 2; done
	find v -printf '%p %i %C@\n' | grep -v -e '/.decant' | sort >before
	for _ in 1 2; do
		to 3 --keep-releases 2
		grep -q ': unchanged: ' log
		refute grep -q switched log
	done
	find v -printf '%p %i %C@\n' | grep -v -e '/.decant' | sort | diff before -
	holds 3 2 1
	to 3 --keep-releases 1
	holds 3 2
	to 3 --keep-releases 5
	holds 3 2
}

@test "rolling back finds the tree as it was, and keeps the one that was left" {
	for n in 1 2; do to $n; done
	ctime=$(stat -c %z "v/$(id_of 1)/deep/er/page")
	to 1
	holds 1 2
	grep -q ': unchanged: .* 0 written' log
	[ "$ctime" = "$(stat -c %z v/current/deep/er/page)" ]
	to 2
	holds 2 1
	# One that is there no more is filled again.
	to 3
	holds 3 2
	to 1
	holds 1 3
}

@test "what is wrong in a tree that is gone back to is put right before readers are led there" {
	for n in 1 2; do to $n; done
	echo damaged >"v/$(id_of 1)/index.html"
	rm "v/$(id_of 1)/link"
	to 1
	holds 1 2
}

@test "going to and fro pushes no tree out and leaves no record behind" {
	to 1
	for _ in 1 2 3; do
		to 2
		to 1
	done
	holds 1 2
	[ "$(find v/.decant -name 'release-*' | wc -l)" -eq 1 ]
	[ "$(find v/.decant -name 'journal-*' | wc -l)" -eq 1 ]
}

@test "info tells the present tree and those that are kept" {
	for n in 1 2 3; do to $n --keep-releases 2; done
	"$decant" info v >seen
	grep -qx "bundle: $(id_of 3)" seen
	grep -qx "current: $(id_of 3)" seen
	grep -qE "^kept: $(id_of 2), revision r2, filled [0-9-]+T[0-9:]+Z$" seen
	"$decant" info --log json v >seen
	jq -e --arg three "$(id_of 3)" --arg two "$(id_of 2)" --arg one "$(id_of 1)" '.kind == "volume" and
		.bundle == $three and .current == $three and [.releases[].bundle] == [$two, $one] and
		.releases[0].revision == "r2"' seen
	# A volume that is no such directory has no such key.
	mkdir plain
	fill "$share/r1.tar.zst" plain
	"$decant" info --log json plain | jq -e 'has("current") | not'
	rm v/current
	run -11 --separate-stderr "$decant" info v
	says 'v: ' 'no finished fill'
}

@test "verify looks at the tree that current leads to, which must be the bundle's" {
	for n in 1 2; do to $n; done
	verify "$share/r2.tar.zst" v --switch
	run -16 --separate-stderr "$decant" verify --switch --dest v "$share/r1.tar.zst"
	says 'v: verify: ' "$(id_of 1)"
	echo damaged >v/current/same
	run -16 --separate-stderr "$decant" verify --switch --dest v "$share/r2.tar.zst"
	says "v/$(id_of 2): verify: "
	[[ $output == *'size: same'* || $output == *'content: same'* ]]
	# Not what it leads to by another way.
	ln -sfn "$PWD/v/$(id_of 2)" v/current
	run -16 "$decant" verify --switch --dest v "$share/r2.tar.zst"
	rm v/current
	run -16 "$decant" verify --switch --dest v "$share/r2.tar.zst"
	mkdir v/current
	run -11 "$decant" verify --switch --dest v "$share/r2.tar.zst"
	rmdir v/current
	ln -s "$(id_of 2)" v/current
	rm -r "v/$(id_of 2)"
	run -11 "$decant" verify --switch --dest v "$share/r2.tar.zst"
}

# ---- strangers ----------------------------------------------------------------------------------

@test "a file that is not decant's stays with its directory, says so, and goes no further" {
	to 1
	echo mine >"v/$(id_of 1)/deep/mine"
	echo other >v/other
	to 2
	to 3
	grep -qx "decant: v/$(id_of 1): note: stays, because it holds what decant did not make" log
	[ "$(cd "v/$(id_of 1)" && find . -path ./.decant -prune -o ! -type d -print)" = ./deep/mine ]
	[ "$(info_kept)" = r2 ]
	# It takes nobody's place, however many are kept, and goes when it is empty.
	to 4 --keep-releases 9
	[ "$(info_kept)" = 'r3 r2' ]
	[ "$(grep -c 'note: stays' log)" -eq 1 ]
	rm "v/$(id_of 1)/deep/mine"
	to 5 --keep-releases 9
	grep -qx "decant: v/$(id_of 1): removed" log
	[ "$(cat v/other)" = other ]
	rm v/other
	holds 5 4 3 2
}

@test "a stranger's tree is filled, and only what the fill made is removed" {
	mkdir -p "v/$(id_of 1)/theirs"
	echo theirs >"v/$(id_of 1)/theirs/file"
	to 1
	to 2 --keep-releases 0
	shows 2
	[ "$(cd "v/$(id_of 1)" && find . -path ./.decant -prune -o ! -type d -print)" = ./theirs/file ]
}

@test "a tree in which somebody filled another bundle is put right" {
	to 1
	fill "$share/r3.tar.zst" "v/$(id_of 1)"
	mkdir "v/$(id_of 2)"
	fill "$share/r3.tar.zst" "v/$(id_of 2)"
	to 2
	shows 2
	[ -z "$(find "v/$(id_of 2)/.decant" -name 'release-*')" ]
	to 1
	holds 1 2
}

@test "a tree that somebody removed, or put something else for, is no tree any more" {
	for n in 1 2 3; do to $n --keep-releases 2; done
	mkdir outside
	echo outside >outside/file
	rm -r "v/$(id_of 1)" "v/$(id_of 2)"
	ln -s ../outside "v/$(id_of 1)"
	echo file >"v/$(id_of 2)"
	to 4 --keep-releases 0
	shows 4
	[ "$(readlink "v/$(id_of 1)")" = ../outside ]
	[ "$(cat "v/$(id_of 2)" outside/file)" = "$(printf 'file\noutside')" ]
	[ "$(ls v/.decant)" = "$(printf '%s\n' "journal-$(id_of 4)" lock switched tmp)" ]
}

@test "what only looks like a record counts as none" {
	for n in 1 2; do to $n; done
	: >v/.decant/journal-x
	: >v/.decant/release-
	: >v/.decant/release-9999999999-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
	mkdir -p v/.decant/release-dir/in
	: >v/.decant/release-0000000000-bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb
	: >v/.decant/journal-cccccccccccccccccccccccccccccccc
	to 3
	holds 3 2
	[ "$(find v/.decant -name 'release-*' | wc -l)" -eq 1 ]
}

@test "directories that their owner must not write are filled and removed, by root and by others" {
	cp -a "$share/r1" strict
	chmod -R a-w strict
	pack strict strict.tar.zst
	mkdir -m 555 nothing
	pack nothing nothing.tar.zst
	cp "$share"/r[23].tar.zst .
	chmod 777 .
	for user in root nobody; do
		rm -rf v
		as=
		[ $user = root ] || as="setpriv --reuid 65534 --regid 65534 --clear-groups"
		$as "$decant" fill --create --switch --dest v strict.tar.zst
		$as "$decant" verify --switch --dest v strict.tar.zst
		[ "$(stat -c %a v/current/.)" = 555 ]
		$as "$decant" fill --switch --dest v nothing.tar.zst
		$as "$decant" fill --switch --dest v r2.tar.zst
		$as "$decant" fill --switch --dest v r3.tar.zst
		[ "$(find v -mindepth 1 -maxdepth 1 | wc -l)" -eq 4 ]
	done
}

# ---- refusals -----------------------------------------------------------------------------------

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

@test "12: no room; what the fill left is gone before the next bundle needs it" {
	mount_tmpfs v size=3m
	mkdir big
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
}

# ---- kills --------------------------------------------------------------------------------------

# The places where a fill to N changes a name, a line each: CALL:N, as inject takes it, and the call itself.
name_places() { # N [OPTION...]
	local n=$1
	shift
	strace -qq -o places.trace "$decant" fill --threads 1 --switch --dest v "$@" "$share/r$n.tar.zst" 2>log
	sed -nE 's/^([a-z][a-z0-9_]*)\((.*)/\1 \2/p' places.trace | awk '{ at = ++n[$1] }
		$1 ~ /^(mkdir|rename|unlink|symlink|link)/ || ($1 == "openat" && /O_CREAT/) { print $1 ":" at "\t" $0 }'
}

# "v" as it was before: filled from the releases named.
prepare() { # N... -- OPTION...
	local n
	rm -rf v start
	mkdir v
	while [ "$1" != -- ]; do
		n=$1
		shift
		to "$n" --keep-releases 2
	done
	cp -a v start
}

# What readers see is whole: release BEFORE or N, and a tree that is to be removed is so only after the switch.
in_between() { # BEFORE N
	local led
	led=$(readlink v/current || :)
	if [ "$led" = "$(id_of "$2")" ]; then
		verify "$share/r$2.tar.zst" v --switch --extra
	elif [ -z "$1" ]; then
		[ -z "$led" ]
	else
		[ "$led" = "$(id_of "$1")" ] || return 1
		verify "$share/r$1.tar.zst" v --switch --extra || return 1
		verify "$share/r1.tar.zst" "v/$(id_of 1)" --extra
	fi
}

# Kill the fill from BEFORE to N at each STEPth place, or with --all each one; see that readers are served, then
# that COMMAND makes all good. $led is the release that current leads to then.
killed_at_each() { # STEP BEFORE N COMMAND [OPTION...]
	local step=$1 before=$2 n=$3 command=$4 place call switched=0 count=0
	shift 4
	name_places "$n" "$@" | thin "$step" >all
	[ -s all ]
	while IFS=$'\t' read -r place call; do
		rm -rf v
		cp -a start v
		inject "$share/r$n.tar.zst" "$place" signal=KILL --switch "$@"
		if [ "$injected" -ne 1 ] || ! in_between "$before" "$n" >seen 2>&1; then
			cat seen
			echo "killed at $place, $call: $status"
			return 1
		fi
		led=$before
		[ "$(readlink v/current)" != "$(id_of "$n")" ] || led=$n
		[ "$led" != "$n" ] || switched=$((switched + 1))
		count=$((count + 1))
		"$command" "$@" >seen 2>&1 || {
			cat seen
			echo "then: killed at $place, $call"
			return 1
		}
	done <all
	# Before the switch and after it, where there is something to remove.
	[ "$switched" -lt "$count" ]
	[ -z "$before" ] || [ "$switched" -gt 0 ]
	printf '# killed at each of %d changes of a name (%s), %d of them after the switch\n' "$count" \
		"$(sed 's/:.*//' all | sort | uniq -c | awk '{ print $1, $2 }' | paste -sd ,)" "$switched" >&3
}

again() {
	to 3 "$@" && holds 3 2
}

again_without() {
	to 3 "$@" && holds 3
}

first() {
	to 3 "$@" && holds 3
}

# The tree that was begun is gone, or is the one before.
another() {
	to 4 "$@" && holds 4 "$led"
}

back() {
	to 2 "$@" || return 1
	if [ "$led" = 3 ]; then holds 2 3; else holds 2 1; fi
}

@test "a first fill that is killed at any change of a name is made good by the next" {
	prepare --
	killed_at_each 1 '' 3 first
}

@test "a fill that is killed at any change of a name shows one whole tree, and the next converges" {
	prepare 1 2 --
	killed_at_each 1 2 3 again --sync
}

@test "a fill that keeps no release and is killed converges, too" {
	prepare 1 2 --
	killed_at_each 3 2 3 again_without --keep-releases 0
}

@test "a fill that is killed is made good by another release" {
	prepare 1 2 --
	killed_at_each 3 2 3 another
}

@test "a fill that is killed is made good by going back" {
	prepare 1 2 --
	killed_at_each 3 2 3 back
}

@test "a roll back that is killed is made good, forth and back" {
	forth() {
		to 3 && holds 3 "$(if [ "$led" = 1 ]; then echo 1; else echo 2; fi)"
	}
	prepare 1 2 --
	killed_at_each 1 2 1 forth
}

@test "a removal that stopped half-way is no tree to keep, but one to go back to" {
	prepare 1 2 --
	name_places 3 | grep '^unlinkat.*"index.html"' | cut -f 1 >place
	rm -rf v
	cp -a start v
	inject "$share/r3.tar.zst" "$(cat place)" signal=KILL --switch
	[ "$injected" -eq 1 ]
	cp -a v half
	[ "$(info_kept)" = r2 ]
	run -11 "$decant" info "v/$(id_of 1)"
	to 3 --keep-releases 9
	holds 3 2
	rm -r v
	mv half v
	to 1
	holds 1 3
}

@test "SIGTERM leaves current as it was, and says 143" {
	to 1
	mkfifo pipe
	"$decant" fill --switch --dest v - <pipe 2>log &
	pid=$!
	exec 8>pipe
	head -c $(($(stat -c %s "$share/r2.tar.zst") - 1)) "$share/r2.tar.zst" >&8
	until [ -d "v/$(id_of 2)" ]; do sleep 0.05; done
	kill -TERM "$pid"
	status=0
	wait "$pid" || status=$?
	exec 8>&-
	[ "$status" -eq 143 ]
	shows 1
	to 2
	holds 2 1
}

# ---- on disk ------------------------------------------------------------------------------------

# The calls of a fill to N that flush, switch or remove.
flushes() { # N [OPTION...]
	local n=$1
	shift
	strace -qq -o trace -e trace=syncfs,renameat,unlinkat "$decant" fill --threads 1 --switch --dest v "$@" "$share/r$n.tar.zst" 2>log
	sed -n -e 's/^syncfs.*/sync/p' -e 's/^renameat.*"current".*/switch/p' -e 's/^unlinkat.*"index.html".*/remove/p' trace | paste -sd ' '
}

@test "--sync: the tree is on disk before the switch, the switch before a removal" {
	for n in 1 2; do to $n; done
	[ "$(flushes 3 --sync)" = 'sync switch sync remove' ]
	"$decant" info v | grep -qx 'synced: yes'
	[ "$(flushes 4)" = 'switch remove' ]
	# What is there already may not be on disk yet, neither the tree nor the link.
	[ "$(flushes 4 --sync)" = 'sync sync' ]
	[ "$(flushes 4 --sync)" = sync ]
}

# ---- readers ------------------------------------------------------------------------------------

# Until there is a file "stop": open the directory that current leads to, once, and read all of the tree by it; or
# read each file by its path. Each round leaves its number in the file COUNT.
reader() { # by-fd|by-path COUNT
	perl -e '
		use strict;
		my ($how, $count) = @ARGV;
		my ($rounds, $last, $switches, $top) = (0, 0, 0, `pwd`);
		chomp $top;
		my @names = qw(index.html deep/er/page same link deep/hard current);
		sub slurp { local $/; open my $f, "<", $_[0] or die "no $_[0]: $!\n"; <$f> }
		until (-e "$top/stop") {
			my $from = "$top/v/current";
			my $n = 0;
			if ($how eq "by-fd") {
				opendir my $d, $from or die "no tree: $!\n";
				chdir $d or die "no tree: $!\n";
				$from = ".";
			}
			for my $name (@names) {
				my $text = slurp("$from/$name");
				if ($name eq "same" || $name eq "deep/hard") {
					die "$name is torn\n" if $text ne "same\n";
					next;
				}
				my ($is) = $text =~ /^release (\d+)/ or die "$name is empty\n";
				my @lines = split /^/, $text;
				die "$name is torn\n" if ($name eq "link" || $name =~ /page/) &&
					(@lines != 400 || grep { !/^release $is line/ } @lines);
				die "a mix: $name is of $is, the others of $n\n" if $how eq "by-fd" && $n && $is != $n;
				die "$name is of $is, after one of $last\n" if $is < $last;
				$switches++ if $last && $is != $last;
				$n = $last = $is;
			}
			chdir $top;
			$rounds++;
			open my $c, ">", "$count.new"; print $c "$rounds\n"; close $c;
			rename "$count.new", $count;
		}
		print "$rounds rounds, $switches switches\n";
	' "$1" "$2"
}

@test "readers see one tree or the next, whole, during 30 switches" {
	for n in $(seq 101 131); do
		release "$n" tree
		pack tree "r$n.tar.zst"
		rm -r tree
	done
	share=$PWD
	to 101
	pids=()
	for how in by-fd by-path by-fd by-path; do
		reader $how "count.${#pids[@]}" >"seen.${#pids[@]}" 2>&1 &
		pids+=($!)
	done
	for n in $(seq 102 131); do
		# The readers have been round since the last switch, so none is two trees behind.
		for i in 0 1 2 3; do
			was=$(cat "count.$i" 2>/dev/null || echo 0)
			while [ "$(cat "count.$i" 2>/dev/null || echo 0)" -le $((was + 1)) ]; do
				kill -0 "${pids[i]}" || break 3
				sleep 0.01
			done
		done
		case $((n % 3)) in
		0) inject "r$n.tar.zst" "renameat:$((n % 5 + 1))" signal=KILL --switch ;;
		1) strace --seccomp-bpf -f -qq -o /dev/null -e trace=renameat,symlinkat,unlinkat -e inject=renameat,symlinkat,unlinkat:delay_exit=2000 \
			"$decant" fill --switch --dest v "r$n.tar.zst" 2>log ;;
		esac
		to "$n"
	done
	: >stop
	for pid in "${pids[@]}"; do
		wait "$pid" || {
			cat seen.*
			return 1
		}
	done
	cat seen.*
	[ "$(grep -cE '^[0-9]+ rounds, (2[0-9]|30) switches$' seen.* | grep -c ':1$')" -eq 4 ]
	verify r131.tar.zst v --switch --extra
	[ "$(find v -mindepth 1 -maxdepth 1 -type d | wc -l)" -eq 3 ]
}
