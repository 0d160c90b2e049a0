#!/usr/bin/env bats
# Whole trees in one directory, and a link that is switched from one to the next.

# shellcheck disable=SC2154 # helpers, switch and inject set names
load helpers
load inject
load switch

# All that .decant has are the records of these releases, from the oldest to the present one.
records() { # N...
	local n
	[ "$(ls v/.decant | sed -E 's/^(release)-[0-9]{10}-/\1-/')" = "$(
		echo lock
		for n; do echo "release-$(id_of "$n")"; done
		printf '%s\n' switched tmp é
	)" ]
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
	records 1
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
	# Nor does it write, or need to.
	find v -printf '%p %i %C@\n' | sort >before
	strace -f -o trace -e trace=%file "$decant" fill --dest v --switch --keep-releases 2 "$share/r3.tar.zst"
	refute grep -E 'O_CREAT.*O_EXCL|rename|symlink|unlink|mkdir' <(grep -v -e ' = -1 ' trace)
	find v -printf '%p %i %C@\n' | sort | diff before -
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
	records 2 1
}

@test "info tells the present tree and those that are kept" {
	for n in 1 2 3; do to $n --keep-releases 2; done
	strace -qq -o trace -e trace=close "$decant" info v >seen
	refute grep -E '^close\([012]\)|EBADF' trace
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

# ---- links that others have changed ----------------------------------------------------------------

@test "what current led to stays, where somebody has led it elsewhere since, or away" {
	for n in 1 2; do to $n --keep-releases 5; done
	ln -sfn "$(id_of 1)" v/current
	# Whether the next fill fails or not.
	head -c $(($(stat -c %s "$share/r3.tar.zst") - 40)) "$share/r3.tar.zst" >part.tar.zst
	run -10 bash -c '"$0" fill --switch --keep-releases 5 --dest v - <part.tar.zst' "$decant"
	shows 1
	verify "$share/r2.tar.zst" "v/$(id_of 2)"
	to 3 --keep-releases 5
	holds 3 1 2
	records 2 1 3
	to 4 --keep-releases 2
	holds 4 3 1
	for link in '' "$PWD/v/$(id_of 4)" "$(id_of 4)/" "./$(id_of 4)" elsewhere; do
		rm v/current
		[ -z "$link" ] || ln -s "$link" v/current
		to 5 --keep-releases 1
		holds 5 4
		to 4
		holds 4 5
	done
}

@test "what current leads to stays, however somebody has spelt that" {
	ln -s v/. here
	for form in %s %s/ ./%s ././%s// "$PWD/v/%s" "$PWD/v/./%s/" ../v/%s %s/. "$PWD/here/%s" ../chain; do
		rm -rf v
		mkdir v
		ln -sfn "v/$(id_of 1)" chain
		for n in 1 2; do to $n; done
		# shellcheck disable=SC2059 # it is a format
		ln -sfn "$(printf "$form" "$(id_of 1)")" v/current
		"$decant" verify --switch --dest "$PWD/v" "$share/r1.tar.zst"
		"$decant" info "$PWD/v" | grep -q "$(id_of 1)"
		fill "$share/r3.tar.zst" "$PWD/v" --switch
		holds 3 1
	done
	# Not what is only called like one.
	mkdir -p "elsewhere/$(id_of 3)"
	ln -sfn "../elsewhere/$(id_of 3)" v/current
	run -16 --separate-stderr "$decant" verify --switch --dest v "$share/r3.tar.zst"
	to 4 --keep-releases 1
	holds 4 3
	[ -z "$(ls -A "elsewhere/$(id_of 3)")" ]
}

@test "what current leads to is found among any number of other names" {
	mount_tmpfs v size=20m # the newest name comes first
	for n in 1 2; do to $n; done
	ln -sfn "../v/$(id_of 1)" v/current
	(cd v && seq 6000 | xargs touch)
	"$decant" verify --switch --dest v "$share/r1.tar.zst"
	to 3
	verify "$share/r1.tar.zst" "v/$(id_of 1)"
	shows 3
}

@test "an old tree that cannot be read is left to the next fill" {
	to 1
	to 2
	cp -a v copy
	strace -qq -y -o trace -e trace=openat "$decant" fill --threads 1 --switch --dest copy "$share/r3.tar.zst" 2>log
	grep -q "/$(id_of 1): removed" log
	# Its state.
	n=$(grep -n "/$(id_of 1)/.decant>, \"state\"" trace | head -n 1 | cut -d : -f 1)
	strace -qq -o trace -e trace=openat -e inject=openat:error=EIO:when="$n" \
		"$decant" fill --threads 1 --switch --dest v "$share/r3.tar.zst" 2>log
	grep -q "^decant: v/$(id_of 1).*: note: stays: " log
	shows 3
	to 3
	holds 3 2
}

@test "many names in an old tree's root take no memory" {
	to 1
	(cd "v/$(id_of 1)" && seq -f "%0250.0f" 40000 | xargs touch)
	for n in 2 3; do
		"$top/build/tests/peak" "$decant" fill --threads 1 --switch --keep-releases 0 --dest v "$share/r$n.tar.zst" 2>log
		[ "$(sed -n 's/^peak: \([0-9]*\) KiB$/\1/p' log)" -lt 10000 ]
		shows $n
	done
}

@test "numbers of releases end, and records do not" {
	to 1
	: >v/.decant/release-4000000000-ffffffffffffffffffffffffffffffff
	mkdir v/.decant/release-4000000000-"$(id_of 2)"
	for n in 2 3 4; do
		to $n --keep-releases 2
		shows $n
	done
	[ "$(find v/.decant -name 'release-*' ! -name 'release-4000000000-*' | wc -l)" -eq 0 ]
	[ "$(find v -mindepth 1 -maxdepth 1 -type d ! -name .decant | wc -l)" -le 3 ]
}

@test "the record of the last number is not taken for one of before" {
	to 1
	to 2
	(cd v/.decant && for file in release-*; do mv "$file" "release-4000000000-${file##*-}"; done)
	for n in 1 2 1 2; do
		to $n
		[ -e "v/.decant/release-4000000000-$(id_of $n)" ]
	done
	rm v/current
	for n in 3 4 5 3 4 5; do to $n; done
	holds 5 4
}

@test "a fifo that a group has put in a journal's place is in no fill's way" {
	chgrp 7777 v
	chmod 2775 v
	to 1
	kubelet
	setpriv --reuid 2000 --regid 7777 --clear-groups mkfifo "v/.decant/journal-$(id_of 2)"
	to 2
	shows 2
}

@test "an old tree that somebody has locked is left to the next fill" {
	for n in 1 2; do to $n; done
	flock "v/$(id_of 1)/.decant/lock" sleep 100 3>&- 4>&- &
	locker=$!
	until ! flock -n "v/$(id_of 1)/.decant/lock" true; do sleep 0.02; done
	# It is not waited for.
	SECONDS=0
	to 3
	[[ $SECONDS -lt 30 ]]
	grep -q "^decant: v/$(id_of 1): note: stays: .*another fill of this volume" log
	shows 3
	verify "$share/r2.tar.zst" "v/$(id_of 2)"
	pkill -P $locker || :
	kill $locker 2>/dev/null || :
	wait $locker || :
	to 4
	holds 4 3
}

@test "of an old tree that stays the note has its name as all messages have it" {
	mkdir $'we\nird\\'
	for n in 1 2 3; do
		fill "$share/r$n.tar.zst" $'we\nird\\' --switch --keep-releases 1
		chmod 2777 $'we\nird\\'/"$(id_of 1)"
		rm -rf $'we\nird\\'/"$(id_of 1)"/.decant
		: >$'we\nird\\'/"$(id_of 1)"/.decant
	done
	cat log
	grep -F "we\\x0aird\\\\/$(id_of 1)/.decant: note: stays: open: " log
}

@test "what current leads to stays, where the fill that led it there was killed before it could say so" {
	to 1
	mv v/.decant/release-*-"$(id_of 1)" v/.decant/journal-"$(id_of 1)"
	head -c $(($(stat -c %s "$share/r2.tar.zst") - 40)) "$share/r2.tar.zst" >part.tar.zst
	run -10 bash -c '"$0" fill --switch --dest v - <part.tar.zst' "$decant"
	shows 1
	to 3
	holds 3 1
	to 4
	holds 4 3
	records 3 4
}

@test "a directory of trees that a kubelet opened to a group is closed again" {
	to 1
	chgrp -R -h 7777 v
	find v -type d -exec chmod ug+rwx,g+s {} +
	find v -type f -exec chmod ug+rw {} +
	head -c $(($(stat -c %s "$share/r2.tar.zst") - 40)) "$share/r2.tar.zst" >part.tar.zst
	run -10 bash -c '"$0" fill --switch --dest v - <part.tar.zst' "$decant"
	[ "$(stat -c %a v/.decant)" = 1700 ]
	to 2
	[ "$(stat -c %a v/.decant)" = 700 ]
	to 3
	holds 3 2
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
	records 4
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
	[ "$(find v/.decant -name 'release-*' | wc -l)" -eq 2 ]
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
