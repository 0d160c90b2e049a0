#!/usr/bin/env bats
# A volume that holds an older release becomes the new one, and nothing that was right is touched.

load helpers

setup_file() {
	cd "$BATS_FILE_TMPDIR"
	small_tree old
	"$maketree" 21 a 150
	"$maketree" 22 b 150
	pack a a.tar.zst --preserve-owner
	pack b b.tar.zst --preserve-owner
	pack old old.tar.zst
}

setup() {
	cd "$BATS_TEST_TMPDIR"
	share=$BATS_FILE_TMPDIR
	cp -a "$share/old" new
	mkdir v
	fill "$share/old.tar.zst" v
}

refill() { # [OPTION...]
	pack new new.tar.zst
	fill new.tar.zst v "$@"
}

@test "a second fill of the same bundle changes nothing and says unchanged" {
	before=$(find v -path v/.decant -prune -o -printf '%p %i %C@\n' | sort)
	fill "$share/old.tar.zst" v
	grep -q ': unchanged: ' log
	[ "$(summary written)" -eq 0 ]
	[ "$before" = "$(find v -path v/.decant -prune -o -printf '%p %i %C@\n' | sort)" ]
}

@test "an unchanged volume costs no write and few calls for each file" {
	"$maketree" --plain 2000 many
	pack many many.tar.zst
	mkdir w
	fill many.tar.zst w
	strace -f -qq -o trace "$decant" fill --threads 1 --dest w many.tar.zst 2>log
	grep -q ': unchanged: ' log
	# The one write left is the summary line.
	[ "$(grep -cE '(pwrite|writev?|pwritev|ftruncate|copy_file_range|sendfile)[0-9]*\(' trace)" -le 2 ]
	[ "$(grep -cE '(rename|unlink|mkdir|link|symlink|chmod|chown|utimens)[a-z0-9]*\(' trace)" -le 4 ]
	[ "$(wc -l <trace)" -lt 4000 ]
}

@test "a changed, a removed and an added file" {
	echo changed >new/index.html
	rm new/none
	echo added >new/css/added
	mkdir new/dir
	echo deep >new/dir/deep
	refill
	same_tree new v
	[ "$(summary removed)" -ge 1 ]
	verify new.tar.zst v --extra
}

@test "only what changed is written" {
	inode=$(stat -c %i v/css/numbers)
	echo other >new/css/a.css
	refill
	same_tree new v
	[ "$(summary written)" -le 2 ]
	[ "$inode" = "$(stat -c %i v/css/numbers)" ]
}

@test "a changed file is a new file: who reads the old one reads on" {
	exec 5<v/css/numbers
	seq 3000 >new/css/numbers
	refill
	cmp "$share/old/css/numbers" - <&5
	same_tree new v
}

@test "every type can become every other type" {
	for from in file dir link none; do
		for to in file dir link none; do
			for which in old new; do
				kind=$from
				[ $which = old ] || kind=$to
				mkdir -p "types-$which"
				case $kind in
				file) echo "$which" >"types-$which/$from-$to" ;;
				dir) mkdir "types-$which/$from-$to" && echo in >"types-$which/$from-$to/in" ;;
				link) ln -s "to-$which" "types-$which/$from-$to" ;;
				none) ;;
				esac
			done
		done
	done
	pack types-old 1.tar.zst
	pack types-new 2.tar.zst
	mkdir w
	fill 1.tar.zst w
	fill 2.tar.zst w
	same_tree types-new w
	fill 1.tar.zst w
	same_tree types-old w
}

@test "a mode, a time, a link target, an owner and an attribute that changed alone" {
	chmod 0600 new/index.html
	touch -d @1234567890.5 new/css/a.css
	ln -sfn elsewhere new/css/home
	chmod 0711 new/empty
	setfattr -n user.note -v here new/css/numbers || skip "this file system has no user xattrs"
	refill
	same_tree new v
	chown -R 7:8 new
	pack new new.tar.zst --preserve-owner
	fill new.tar.zst v
	same_tree new v
	setfattr -x user.note new/css/numbers
	pack new new.tar.zst --preserve-owner
	fill new.tar.zst v
	same_tree new v
}

@test "hard links come, go and move" {
	rm new/same.html
	ln new/css/a.css new/zzz
	ln new/css/a.css new/aaa
	refill
	same_tree new v
	rm new/css/a.css
	cp -a new/aaa new/css/a.css
	refill
	same_tree new v
	fill "$share/old.tar.zst" v
	same_tree "$share/old" v
}

@test "random trees replace each other, again and again" {
	mkdir w
	for bundle in a b a b; do
		fill "$share/$bundle.tar.zst" w
		same_tree "$share/$bundle" w
	done
}

@test "a refill through a pipe" {
	mkdir w
	for bundle in a b a; do
		cat "$share/$bundle.tar.zst" | "$decant" fill --dest w -
		same_tree "$share/$bundle" w
	done
}

@test "--prune managed removes what the older bundle made, and leaves strangers" {
	echo mine >v/stranger
	echo mine >v/css/stranger
	rm -r new/css new/none
	refill
	[ -f v/stranger ]
	[ -f v/css/stranger ]
	[ ! -e v/css/a.css ]
	[ ! -e v/none ]
	verify new.tar.zst v
}

@test "--prune managed forgets nothing over two releases" {
	rm new/none
	refill
	rm -r new/css
	refill
	same_tree new v
}

@test "--prune all removes strangers, however deep" {
	mkdir -p v/x/y/z v/css/sub
	touch v/x/y/z/file v/css/sub/file v/stranger
	chmod 0 v/x/y
	mkdir outside
	echo canary >outside/canary
	ln -s "$PWD/outside" v/x/out
	refill --prune all
	same_tree new v
	[ -f outside/canary ]
}

@test "--prune none removes nothing" {
	echo mine >v/stranger
	rm -r new/css
	refill --prune none
	[ -f v/stranger ]
	[ -f v/css/a.css ]
	verify new.tar.zst v
}

@test "what --prune none left is removed by a later managed fill, or stays; strangers always stay" {
	echo mine >v/stranger
	rm new/none
	refill --prune none
	[ -e v/none ]
	refill --prune managed
	[ -f v/stranger ]
	verify new.tar.zst v
}

@test "a removed name that has become somebody else's directory stays" {
	rm v/none
	mkdir v/none
	touch v/none/theirs
	rm new/none
	refill
	[ -f v/none/theirs ]
}

@test "same size, same time, other bytes: repaired" {
	cp -p v/css/numbers ref
	printf X | dd of=v/css/numbers bs=1 seek=100 conv=notrunc status=none
	touch -r ref v/css/numbers
	fill "$share/old.tar.zst" v
	same_tree "$share/old" v
	grep -q ': filled: ' log
}

@test "a file of zeros, as after a power cut, is repaired when the state cannot be trusted" {
	head -c "$(stat -c %s v/css/numbers)" /dev/zero >zeros
	touch -r v/css/numbers zeros
	cp -p zeros v/css/numbers
	rm v/.decant/state
	fill "$share/old.tar.zst" v
	same_tree "$share/old" v
}

@test "anything that was done to a volume is undone" {
	chmod 0777 v/index.html
	chown 5:6 v/css/numbers
	touch v/css/a.css v/css
	rm v/none
	ln -sfn /etc v/css/home
	rmdir v/empty
	chmod 0 v/css
	fill "$share/old.tar.zst" v
	same_tree "$share/old" v
}

@test "a hard link that was cut is made again" {
	cp -p v/index.html copy
	rm v/same.html
	cp -p copy v/same.html
	fill "$share/old.tar.zst" v
	same_tree "$share/old" v
}

@test "a file with hard links never gets another mode, owner or time: it is made anew, with its links" {
	[ "$(stat -c %h v/index.html)" = 2 ]
	# As if both names were of a file that has more, elsewhere; the state is believed at first, and then not.
	for state in believed gone; do
		[ "$state" = believed ] || rm v/.decant/state
		ln v/index.html elsewhere
		chmod 0600 v/index.html
		before=$(stat -c '%i %a' elsewhere)
		rm v/same.html
		fill "$share/old.tar.zst" v
		same_tree "$share/old" v
		[ "$before" = "$(stat -c '%i %a' elsewhere)" ]
		rm elsewhere
		chmod 0600 v/index.html
		before=$(stat -c %i v/index.html)
		[ "$state" = believed ] || rm v/.decant/state
		fill "$share/old.tar.zst" v
		same_tree "$share/old" v
		[ "$before" != "$(stat -c %i v/index.html)" ]
		[ "$(stat -c %i v/same.html)" = "$(stat -c %i v/index.html)" ]
	done
}

@test "a managed file that is a hard link to a canary outside leaves the canary as it is" {
	echo canary >canary
	chmod 0640 canary
	touch -d @1000000000 canary
	ln -f canary v/css/a.css
	before=$(stat -c '%a %s %Y %u' canary)
	refill
	same_tree new v
	[ "$before" = "$(stat -c '%a %s %Y %u' canary)" ]
	[ "$(cat canary)" = canary ]
}

@test "0444 files and closed directories are replaced" {
	chmod 0444 new/css/numbers
	chmod 0555 new/css
	refill
	chmod 0755 new/css
	echo more >>new/css/numbers
	chmod 0555 new/css
	refill
	same_tree new v
}

@test "a running program's file is replaced" {
	cp /bin/sleep new/program
	refill
	v/program 30 &
	pid=$!
	echo later >>new/program
	refill
	kill "$pid"
	same_tree new v
}

@test "a forged, a cut, a huge and a fifo state count as none" {
	echo mine >v/stranger
	for what in forged cut fifo dir link; do
		rm -rf v/.decant/state
		case $what in
		forged) head -c 5000 /dev/urandom >v/.decant/state ;;
		cut) head -c 100 "$share/old.tar.zst" >v/.decant/state ;;
		fifo) mkfifo v/.decant/state ;;
		dir) mkdir v/.decant/state ;;
		link) ln -s /dev/zero v/.decant/state ;;
		esac
		rm -f v/css/a.css
		timeout 20 "$decant" fill --dest v "$share/old.tar.zst"
		verify "$share/old.tar.zst" v
		[ -f v/stranger ]
	done
}

@test "every byte of the state, damaged, harms nothing" {
	size=$(stat -c %s v/.decant/state)
	cp v/.decant/state good
	step=41
	[ -z "$DECANT_TEST_ALL" ] || step=1
	for ((at = 0; at < size; at += step)); do
		rm -f v/.decant/state
		cp good v/.decant/state
		damage v/.decant/state "$at"
		rm -f v/css/a.css
		"$decant" fill --dest v "$share/old.tar.zst" 2>log
		verify "$share/old.tar.zst" v --extra 2>log
	done
}

@test "planted names in .decant do no harm" {
	mkdir outside
	echo canary >outside/canary
	rm -rf v/.decant/tmp
	ln -s "$PWD/outside" v/.decant/tmp
	echo changed >new/index.html
	pack new new.tar.zst
	run --separate-stderr "$decant" fill --dest v new.tar.zst
	[ "$status" -eq 0 ] || [ "$status" -eq 11 ]
	[ "$status" -ne 0 ] || same_tree new v
	[ "$(ls -A outside)" = canary ] && [ "$(cat outside/canary)" = canary ]
}

@test ".decant that is a link, and a lock that is one, are refused and not followed" {
	rm -rf v/.decant
	mkdir outside
	ln -s "$PWD/outside" v/.decant
	run -11 --separate-stderr "$decant" fill --dest v "$share/old.tar.zst"
	says .decant
	[ -z "$(ls -A outside)" ]
	rm v/.decant
	mkdir -m 0700 v/.decant
	ln -s "$PWD/outside/made" v/.decant/lock
	run -11 --separate-stderr "$decant" fill --dest v "$share/old.tar.zst"
	says lock
	[ ! -e outside/made ]
}

@test "directories that changed places are seen, though no file in them was touched" {
	mkdir -p tree/v1 tree/v2 w
	echo one >tree/v1/f
	echo two >tree/v2/f
	find tree -exec touch -d '2024-01-01' {} +
	pack tree places.tar.zst
	fill places.tar.zst w
	mv w/v1 w/t
	mv w/v2 w/v1
	mv w/t w/v2
	fill places.tar.zst w
	same_tree tree w
}

@test "a file that was written while a fill still ran is not believed afterwards" {
	mkdir tree w
	echo AAAA >tree/f
	pack tree late.tar.zst
	strace -f -qq -o trace -e trace=renameat -e inject=renameat:delay_enter=800000 "$decant" fill --dest w late.tar.zst 2>log &
	pid=$!
	until [ -s w/f ]; do sleep 0.05; done
	sleep 0.1
	echo BBBB >w/f
	wait "$pid"
	fill late.tar.zst w
	same_tree tree w
}

@test "a fill that failed before it changed a name claims no file of somebody else's" {
	mkdir one two w
	echo keep >one/keep
	cp one/keep two/keep
	echo bundle >two/notes
	head -c 3000000 /dev/urandom >two/noise
	pack one one.tar.zst
	pack two two.tar.zst
	fill one.tar.zst w
	echo mine >w/notes
	damage two.tar.zst 2000000
	run -10 "$decant" fill --dest w two.tar.zst
	fill one.tar.zst w
	[ "$(cat w/notes)" = mine ]
}

@test "a file system that does not count inodes is filled" {
	mkdir tree
	touch tree/a tree/b
	pack tree count.tar.zst
	mount_tmpfs w size=4M,nr_inodes=0
	fill count.tar.zst w
	verify count.tar.zst w
}

@test "a directory of many frames is gone through once" {
	mkdir s
	for ((n = 1000; n < 1300; n++)); do truncate -s 2200000 s/$n; done
	pack s one.tar.zst
	echo more >s/2000
	pack s two.tar.zst
	rm -r s
	fill one.tar.zst v
	strace -qq -o trace -e trace=pread64 "$decant" fill --threads 1 --keep-releases 1 --dest v two.tar.zst 2>log
	verify two.tar.zst v --extra
	# Of the state's blocks and of the bundle's, each a few times; not each for each.
	[[ $(wc -l <trace) -gt 300 && $(wc -l <trace) -lt 6000 ]]
}

@test "a file of another user with the right content and another time is replaced by who may not set that" {
	mkdir s
	echo same >s/file
	pack s b.tar.zst
	mkdir -m 777 u
	chown 1000:1000 u
	cp s/file u/file # root's
	touch -d @1000000000 u/file
	chmod 755 .
	user=(setpriv --reuid 1000 --regid 1000 --clear-groups)
	"${user[@]}" "$decant" fill --dest u b.tar.zst 2>log || {
		cat log
		return 1
	}
	"${user[@]}" "$decant" verify --extra --dest u b.tar.zst
	# And one of its own that it may neither read nor write.
	mkdir w
	chown 1000:1000 w
	chmod 111 s/file
	pack s closed.tar.zst
	"${user[@]}" "$decant" fill --dest w closed.tar.zst
	"${user[@]}" "$decant" fill --dest w b.tar.zst 2>log || {
		cat log
		return 1
	}
	"${user[@]}" "$decant" verify --extra --dest w b.tar.zst
}

@test "on an overlay files are told apart from mounts, with openat2 and without" {
	mount_tmpfs low size=1m
	mount_tmpfs high size=1m
	mkdir low/tree high/up high/work over
	small_tree s
	pack s b.tar.zst
	fill b.tar.zst low/tree
	touch -r low/tree high/up
	mount -t overlay overlay -o "lowerdir=low/tree,upperdir=high/up,workdir=high/work" over
	for how in "" "$top/build/tests/refuse ENOSYS openat2,landlock"; do
		# shellcheck disable=SC2086 # words
		$how "$decant" verify --dest over b.tar.zst
		# shellcheck disable=SC2086 # words
		$how "$decant" fill --dest over b.tar.zst 2>log
		[ "$(summary written)" -eq 0 ]
	done
	umount over
}

@test "on an overlay that does not redirect, --prune all removes empty directories of a lower layer, and no others" {
	mount_tmpfs disk size=1m
	mkdir -p disk/{low/{bare,full},up,work} over
	echo theirs >disk/low/full/f
	small_tree s
	pack s b.tar.zst
	mount -t overlay overlay -o lowerdir=disk/low,upperdir=disk/up,workdir=disk/work,redirect_dir=off over
	run -11 --separate-stderr "$decant" fill --prune all --dest over b.tar.zst
	says "over/full: remove"
	[ ! -e over/bare ]
	rm -r over/full
	"$decant" fill --prune all --dest over b.tar.zst
	verify b.tar.zst over --extra
	umount over
}
