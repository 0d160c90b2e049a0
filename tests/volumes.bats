#!/usr/bin/env bats
# Volumes on file systems that cannot hold all that a bundle says: names that differ in case alone, nanoseconds;
# and directories that nobody may enter.

load helpers

setup() {
	cd "$BATS_TEST_TMPDIR"
	mkdir v
}

mount_ntfs() { # DIR OPTIONS
	[ -c /dev/fuse ] || skip "no FUSE here"
	truncate -s 64M ntfs.img
	mkntfs -qF ntfs.img >log 2>&1
	# It stays as long as the mount, and must not hold what bats reads.
	lowntfs-3g -o "$2" ntfs.img "$1" >log 2>&1 3>&- 4>&-
}

# lowntfs-3g is at hand where the kernel has no file system that ignores case.
mount_caseless() { # DIR
	mount_ntfs "$1" ignore_case,permissions
	# It does ignore case.
	: >"$1/a"
	[[ -e $1/A ]]
	rm "$1/a"
}

# Trees with two names for such a volume's one: files that differ, files that do not, links, directories, a file
# and a directory, a hard link and its file.
pairs='files same links dirs mixed hard deep'
pair() { # KIND DIR
	small_tree "$2"
	case $1 in
	files) echo one >"$2/css/NAME" && echo two >"$2/css/name" ;;
	same) touch -d @1000000000 "$2/css/NAME" "$2/css/name" ;;
	links) ln -s one "$2/css/NAME" && ln -s two "$2/css/name" ;;
	dirs) mkdir "$2/css/NAME" "$2/css/name" && echo one >"$2/css/NAME/one" && echo two >"$2/css/name/two" ;;
	mixed) mkdir "$2/css/NAME" && echo two >"$2/css/name" ;;
	hard) echo one >"$2/css/NAME" && ln "$2/css/NAME" "$2/css/name" ;;
	deep) mkdir -p "$2/css/x/y/Z" "$2/css/x/y/z" ;;
	esac
}

# As exit 11 with one line about the name.
refused_for_case() { # BUNDLE [OPTION...]
	local bundle=$1
	shift
	run -11 --separate-stderr "$decant" fill --dest v "$@" "$bundle"
	says v/css/ "ignores case"
	[[ $(grep -c '^decant: ' <<<"$stderr") -eq 1 ]]
	refute grep -q '^bundle: '"$("$decant" info "$bundle" | sed -n 's/^bundle: //p')" <("$decant" info v 2>&1)
}

@test "names that differ in case alone: a volume that ignores case is refused, empty or not, and by verify" {
	small_tree plain
	pack plain plain.tar.zst
	mount_caseless v
	for kind in $pairs; do
		pair "$kind" "$kind"
		pack "$kind" "$kind.tar.zst"
		rm -rf v/* v/.decant
		refused_for_case "$kind.tar.zst"
		# Over another release, which comes back afterwards.
		rm -rf v/* v/.decant
		fill plain.tar.zst v
		refused_for_case "$kind.tar.zst"
		refused_for_case "$kind.tar.zst" --prune all
		run -16 --separate-stderr "$decant" verify --dest v "$kind.tar.zst"
		fill plain.tar.zst v --prune all
		verify plain.tar.zst v --extra
	done
}

@test "a volume that ignores case: what it holds as the bundle says is filled, found unchanged, and right, and nothing else is" {
	mount_caseless v
	small_tree one
	echo text >one/css/read
	mkdir one/css/dir
	pack one one.tar.zst
	fill one.tar.zst v
	verify one.tar.zst v --extra
	fill one.tar.zst v
	grep -q ': unchanged: ' log
	# This one shows all names in small letters.
	for name in read dir; do
		rm -rf two
		cp -a one two
		mv "two/css/$name" "two/css/${name^}"
		pack two two.tar.zst
		for prune in managed all none; do
			refused_for_case two.tar.zst --prune "$prune"
			run -16 --separate-stderr "$decant" verify --dest v two.tar.zst
			grep -q "^missing: css/${name^}" <<<"$output"
		done
		fill one.tar.zst v
		verify one.tar.zst v --extra
		rm -rf v/* v/.decant
		refused_for_case two.tar.zst
		rm -rf v/* v/.decant
		fill one.tar.zst v
	done
}

@test "a volume that ignores case: directories that a new release lacks go, and each of their parents is listed once" {
	mount_caseless v
	small_tree one
	mkdir -p one/css/of/{1..300}/deep
	pack one one.tar.zst
	small_tree two
	pack two two.tar.zst
	fill one.tar.zst v
	run -0 strace -f -qq -o trace -e trace=getdents64 "$decant" fill --dest v two.tar.zst
	verify two.tar.zst v --extra
	[[ ! -e v/css/of ]]
	[[ $(wc -l <trace) -lt 1500 ]]
}

@test "a volume that ignores case: what a refused fill spelt otherwise is not removed under another's name" {
	mount_caseless v
	mkdir -p one/Docs/of two/docs three
	echo text | tee one/Docs/read one/Docs/of/read two/docs/read >three/index
	touch -d @1000000000 one/Docs/read two/docs/read
	for tree in one two three; do
		pack "$tree" "$tree.tar.zst"
	done
	for prune in managed all none; do
		run -11 "$decant" fill --dest v one.tar.zst
		fill two.tar.zst v --prune "$prune"
		verify two.tar.zst v
		rm -rf v/* v/.decant
	done
	# Nor when it is now a stranger's.
	run -11 "$decant" fill --dest v one.tar.zst
	rm -r v/docs
	mkdir -p v/docs/of
	echo mine | tee v/docs/read >v/docs/of/read
	fill three.tar.zst v
	[[ $(cat v/docs/read v/docs/of/read) == $'mine\nmine' ]]
}

@test "a name that the file system does not take is named, and the release before comes back" {
	mount_ntfs v permissions,windows_names
	small_tree one
	pack one one.tar.zst
	for name in read:me $'caf\xe9'; do
		for of in file first new dir; do
			rm -rf v/* v/.decant two
			[[ $of == first ]] || fill one.tar.zst v
			cp -a one two
			case $of in
			file | first) echo new >"two/css/$name" ;;
			new) mkdir two/new && echo new >"two/new/$name" ;;
			dir) mkdir "two/$name" && echo new >"two/$name/file" ;;
			esac
			pack two two.tar.zst
			run -11 --separate-stderr "$decant" fill --dest v two.tar.zst
			says v/ "the file system does not take such a name"
			[[ $(grep -c '^decant: ' <<<"$stderr") -eq 1 ]]
			fill one.tar.zst v
			verify one.tar.zst v --extra
		done
		rm -rf v/* v/.decant
		run -11 --separate-stderr "$decant" fill --switch --dest v two.tar.zst
		says v/ "the file system does not take such a name"
		fill one.tar.zst v --switch
		[[ $(ls v | wc -l) -eq 2 ]]
	done
}

@test "directories of many names are listed whole where a server of FUSE forgets what it is not asked for at once" {
	mount_caseless v
	small_tree one
	pack one one.tar.zst
	fill one.tar.zst v
	touch v/css/{1..300}
	run -16 --separate-stderr "$decant" verify --dest v --extra one.tar.zst
	[[ $(grep -c '^extra: css/' <<<"$output") -eq 300 ]]
	fill one.tar.zst v --prune all
	[[ ! -e v/css/1 && ! -e v/css/300 ]]
}

@test "a volume that ignores case is told from others by verify where .decant is not there, too" {
	mount_caseless v
	small_tree one
	echo same | tee one/css/NAME one/css/name one/READ
	touch -d @1000000000 one/css/NAME one/css/name one/READ
	pack one one.tar.zst
	small_tree v
	echo same | tee v/css/name v/read
	touch -d @1000000000 v/css/name v/read
	chmod 755 v
	touch -r one v
	touch -r one/css v/css
	[[ ! -e v/.decant ]]
	run -16 --separate-stderr "$decant" verify --dest v one.tar.zst
	[[ $output == *"missing: READ: there in another spelling"* && $output == *"missing: css/NAME: "* ]]
	[[ $(wc -l <<<"$output") -eq 2 ]]
	cp -a v/. two
	pack two two.tar.zst
	verify two.tar.zst v --extra
}

# FILE SYSTEM on v, and what a refill and a verify make of it.
keeps_coarse_times() {
	"$maketree" --plain 300 tree
	mkdir tree/dir
	echo half >tree/half
	ln -s half tree/link
	touch -h -d '2024-01-02 03:04:05.678901234' tree/half tree/link tree/dir
	touch -d '2024-01-02 03:04:05' tree/dir-01/*
	pack tree b.tar.zst
	fill b.tar.zst v
	verify b.tar.zst v --extra
	# With a state that is younger than the files, and so believed.
	sleep 1.1
	for _ in 1 2; do
		fill b.tar.zst v
		grep -q ': unchanged: ' log
		[[ $(summary written) -eq 0 ]]
	done
	# What differs by more than the file system's step is found and mended.
	touch -h -d '2024-01-02 03:04:06.678901234' v/half v/link
	run -16 --separate-stderr "$decant" verify --dest v b.tar.zst
	[[ $(grep -c '^mtime: ' <<<"$output") -eq 2 ]]
	echo HALF >v/half
	touch -d '2024-01-02 03:04:05.678901234' v/half
	fill b.tar.zst v
	verify b.tar.zst v --extra
	[[ $(cat v/half) == half ]]
}

@test "a file system with whole seconds is filled, found unchanged, and right" {
	mount_seconds v
	keeps_coarse_times
}

@test "a file system with tenths of microseconds is filled, found unchanged, and right" {
	mount_ntfs v permissions
	touch -d @1000.123456789 v/a
	[[ $(stat -c %.Y v/a) == 1000.123456700 ]]
	rm v/a
	keeps_coarse_times
}

@test "a time that the file system cannot hold is refused, empty or not, and whole seconds before 1970 are held" {
	mount_seconds v
	small_tree old
	cp -a old new
	cp -a old far
	touch -d '1960-01-02 03:04:05.5' old/css/a.css
	touch -d '2060-01-02 03:04:05.5' new/css/a.css
	touch -h -d '2060-01-02' far/css/home
	pack old old.tar.zst
	for name in new far; do
		pack "$name" "$name.tar.zst"
		run -11 --separate-stderr "$decant" fill --dest v "$name.tar.zst"
		says v/css/ "set time: the file system cannot hold it"
		rm -rf v/* v/.decant
		fill old.tar.zst v
		verify old.tar.zst v --extra
		run -11 --separate-stderr "$decant" fill --dest v "$name.tar.zst"
		says v/css/ "set time: the file system cannot hold it"
		fill old.tar.zst v
		verify old.tar.zst v --extra
	done
}

@test "read-only files and closed directories are replaced by a user without privileges, too" {
	small_tree one
	chmod 0444 one/css/numbers one/index.html
	cp -a one two
	echo more >>two/css/numbers
	echo new >two/css/new
	rm two/css/a.css
	chmod 0555 one/css one two/css two
	pack one one.tar.zst
	pack two two.tar.zst
	chmod 755 .
	chown 4321:4321 v
	for bundle in one two one; do
		setpriv --reuid 4321 --regid 4321 --clear-groups --bounding-set=-all --no-new-privs \
			"$decant" fill --dest v - <"$bundle.tar.zst"
		verify "$bundle.tar.zst" v --extra --no-owner
		[[ $(stat -c %a v/css v/css/numbers | tr '\n' ' ') == '555 444 ' ]]
	done
}

@test "a directory that nobody may enter is made; a refill by that user is refused until it is open" {
	small_tree one
	echo deep >one/css/deep
	mkdir one/css/in
	echo in >one/css/in/file
	cp -a one two
	echo changed >two/css/in/file
	rm two/css/deep
	chmod 0 one/css one/css/in two/css two/css/in
	pack one one.tar.zst
	pack two two.tar.zst
	chmod 755 .
	chown 4321:4321 v
	user=(setpriv --reuid 4321 --regid 4321 --clear-groups)
	"${user[@]}" "$decant" fill --dest v - <one.tar.zst
	verify one.tar.zst v --extra --no-owner
	[[ $(stat -c '%a %u' v/css v/css/in | tr '\n' ' ') == '0 4321 0 4321 ' ]]
	for bundle in one two; do
		run -15 --separate-stderr "${user[@]}" "$decant" fill --dest v "$bundle.tar.zst"
		says v/css: "Permission denied"
		run -15 --separate-stderr "${user[@]}" "$decant" verify --dest v "$bundle.tar.zst"
		says v/css: "Permission denied"
		verify one.tar.zst v --extra --no-owner
	done
	chmod 0700 v/css v/css/in
	"${user[@]}" "$decant" fill --dest v - <two.tar.zst
	verify two.tar.zst v --extra --no-owner
	[[ $(stat -c %a v/css v/css/in | tr '\n' ' ') == '0 0 ' ]]
}

@test "directories that their owner may not write to, in bundle and volume, are refilled and emptied by that user" {
	mkdir -p one/a/b two/a
	echo 1 | tee one/a/b/file one/top >one/a/file
	echo 2 | tee two/top >two/a/new
	chmod 0555 one/a/b one/a one two/a two
	pack one one.tar.zst
	pack two two.tar.zst
	chmod 755 .
	user=(setpriv --reuid 4321 --regid 4321 --clear-groups)
	for options in "" "--prune all" "--switch"; do
		rm -rf v
		mkdir v
		chown 4321:4321 v
		for bundle in one two one two; do
			read -ra words <<<"$options"
			"${user[@]}" "$decant" fill "${words[@]}" --dest v - <"$bundle.tar.zst"
			[ "$options" != --switch ] || words=(--switch)
			[ "$options" != "--prune all" ] || words=()
			"${user[@]}" "$decant" verify "${words[@]}" --extra --no-owner --dest v - <"$bundle.tar.zst"
		done
	done
}

@test "--prune all empties closed directories of strangers; one that can be neither read nor moved is named" {
	small_tree one
	pack one one.tar.zst
	chmod 755 .
	user=(setpriv --reuid 4321 --regid 4321 --clear-groups)
	for mode in 0500 0300 0700; do
		for inner in 0500 0300 0100 0; do
			rm -rf v
			mkdir -p v/strange/inner
			echo deep | tee v/strange/file >v/strange/inner/file
			chown -R 4321:4321 v
			chmod "$inner" v/strange/inner
			chmod "$mode" v/strange
			"${user[@]}" "$decant" fill --prune all --dest v - <one.tar.zst
			verify one.tar.zst v --extra --no-owner
			[ -z "$(ls -A v/.decant/tmp)" ]
		done
	done
	for mode in 0100 0; do
		mkdir -p v/strange/inner
		chown 4321:4321 v/strange
		chmod "$mode" v/strange
		run -15 --separate-stderr "${user[@]}" "$decant" fill --prune all --dest v - <one.tar.zst
		says v/strange: "Permission denied"
		rmdir v/strange/inner
		"${user[@]}" "$decant" fill --prune all --dest v - <one.tar.zst
		verify one.tar.zst v --extra --no-owner
	done
	"${user[@]}" "$decant" fill --prune all --dest v - <one.tar.zst
	verify one.tar.zst v --extra --no-owner
}

@test "what is in tmp is given a name only when nobody else can write there" {
	small_tree one
	pack one one.tar.zst
	mkdir -m 0700 v/.decant
	mkdir -m 0770 v/.decant/tmp
	chown 4321 v/.decant/tmp
	run -11 --separate-stderr "$decant" fill --dest v one.tar.zst
	says v/.decant/tmp: "belongs to, or can be written by, somebody else"
	chown 0 v/.decant/tmp
	"$decant" fill --dest v one.tar.zst
	verify one.tar.zst v --extra
	[[ $(stat -c %a v/.decant/tmp) == 700 ]]
}

@test "a link in a directory of all gets its time by calls that Linux before 5.8 has, and needs no /proc" {
	mkdir one
	echo x >one/file
	ln -s file one/link
	touch -h -d @1000000000.5 one/link
	pack one one.tar.zst
	chmod 0777 v
	strace -f -o calls -e trace=utimensat,openat \
		unshare -m sh -c 'mount -t tmpfs none /proc && exec "$@"' sh "$decant" fill --threads 1 --dest v - <one.tar.zst
	refute grep AT_EMPTY_PATH calls
	[ "$(grep -c 'utimensat.*AT_SYMLINK_NOFOLLOW' calls)" -eq 1 ]
	[ "$(stat -c %.Y v/link)" = 1000000000.500000000 ]
	verify one.tar.zst v --extra
}

@test "64 workers fill, refill and verify" {
	"$maketree" --plain 3000 one
	# A job for each.
	truncate -s 300M one/large
	cp -a one two
	for n in 10 20 30 40 50 60; do
		echo "changed $n" >"two/dir-$n/new"
		rm "two/dir-$n/"*"$n.html"
	done
	pack one one.tar.zst
	pack two two.tar.zst
	for bundle in one two; do
		strace -f -qq -o trace -e trace=clone,clone3 "$decant" fill --threads 64 --dest v "$bundle.tar.zst"
		[[ $bundle != one || $(grep -c CLONE_THREAD trace) -eq 63 ]]
		"$decant" verify --extra --threads 64 --dest v "$bundle.tar.zst"
		same_tree "$bundle" v
	done
	"$decant" fill --threads 64 --dest v - <one.tar.zst
	verify one.tar.zst v --extra
}

@test "a volume that ignores case: no name of a bundle is that of .decant" {
	small_tree plain
	pack plain plain.tar.zst
	cp -a plain evil
	mkdir evil/.DECANT
	echo forged | tee evil/.DECANT/state evil/.DECANT/lock >evil/.DECANT/journal-0123456789abcdef0123456789abcdef
	pack evil evil.tar.zst
	mount_caseless v
	run -11 "$decant" fill --dest v evil.tar.zst
	[[ $(ls -A v/.decant) == $'lock\ntmp\né' && ! -s v/.decant/lock ]]
	rm -rf v/* v/.decant
	fill plain.tar.zst v
	before=$(md5sum v/.decant/state)
	run -11 --separate-stderr "$decant" fill --dest v evil.tar.zst
	says v/.DECANT "ignores case"
	[[ $(ls -A v/.decant) == $'lock\nstate\ntmp\né' && $(md5sum v/.decant/state) == "$before" ]]
	fill plain.tar.zst v
	grep -q ': unchanged: ' log
}

@test "a directory that alone ignores case is refused" {
	small_tree t
	pack t t.tar.zst
	fill t.tar.zst v
	# Not every kernel has such a file system (chattr +F): what it would say of each of the three. The first call
	# asks for a terminal.
	for when in 2 3 4; do
		run -11 strace -f -qq -o trace -e trace=ioctl \
			-e inject=ioctl:retval=0:poke_exit=@arg3=00000040:when=$when \
			"$decant" fill --threads 1 --dest v t.tar.zst
		grep -q 'FS_IOC_GETFLAGS.*INJECTED' trace
		[[ $output == "decant: v"*": open: this directory alone ignores the case of names" ]]
	done
	fill t.tar.zst v
	# verify then asks all directories for their names, and finds nothing wrong with them.
	for when in 2 3 4; do
		run -0 strace -f -qq -o trace -e trace=ioctl,getdents64 \
			-e inject=ioctl:retval=0:poke_exit=@arg3=00000040:when=$when \
			"$decant" verify --threads 1 --dest v t.tar.zst
		[[ $(grep -c 'getdents64.* = 0$' trace) -eq 3 ]]
	done
	strace -f -qq -o trace -e trace=ioctl,getdents64 "$decant" verify --threads 1 --dest v t.tar.zst
	refute grep -q getdents64 trace
}

@test "a volume that takes one form of Unicode for another is known by .decant, and so is one that does not" {
	small_tree tree
	pack tree b.tar.zst
	reads() { # how many lists of names a verify reads
		strace -qq -f -o trace -e trace=getdents64 "$decant" verify --dest v b.tar.zst
		grep -c '^[0-9]* *getdents64.*= [1-9]' trace || :
	}
	fill b.tar.zst v
	[ "$(reads)" -eq 0 ]
	# There the name in its other form leads to what is made here.
	: >v/.decant/$'e\u0301'
	[ "$(reads)" -gt 2 ]
	rm v/.decant/$'e\u0301' v/.decant/é
	[ "$(reads)" -gt 2 ]
	fill b.tar.zst v
	[ "$(reads)" -eq 0 ]
}

@test "a file system that drops owners and modes without a word is no success" {
	echo x >file
	mkdir tree
	cp file tree
	pack tree owned.tar.zst --owner 1000:1000
	chmod 750 tree
	pack tree closed.tar.zst
	mkdir n
	mount_ntfs n silent
	chmod 700 n # without an error
	[ "$(stat -c %a n)" -eq 777 ]
	mkdir n/v n/w
	run -15 --separate-stderr "$decant" fill --dest n/v owned.tar.zst
	says "set owner: Operation not permitted"
	run -15 --separate-stderr "$decant" fill --dest n/w closed.tar.zst
	says "set mode: Operation not permitted"
	umount n
}

@test "a file system that forces modes is filled where they are the right ones, whether it refuses others or drops them" {
	mkdir -p one two/d
	echo same | tee one/a two/a >two/d/b
	for modes in no_def_opts,umask=0027:750 umask=0227:550; do
		chmod -R u+w one two
		chmod -R "${modes#*:}" one two
		pack one one.b
		pack two two.b
		mkdir -p m
		mount_ntfs m "${modes%:*}" || { cat log >&2; return 1; }
		mkdir m/v
		for bundle in one.b two.b; do
			fill $bundle m/v
			verify $bundle m/v
		done
		umount m
		while pgrep -f "ntfs.img m" >pids; do sleep 0.02; done
	done
}

@test "a file system that drops times without a word is no success, and one time is never set alone" {
	small_tree tree
	pack tree t.tar.zst
	run -11 --separate-stderr strace -f -qq -o trace -e trace=utimensat -e inject=utimensat:retval=0 \
		"$decant" fill --dest v t.tar.zst
	says v/ "set time: the file system cannot hold it"
	rm -rf v/* v/.decant
	strace -f -qq -o trace -e trace=utimensat "$decant" fill --dest v t.tar.zst
	chmod -R u+x v
	touch -d @1000000000 v/css
	strace -f -qq -a 1 -o again -e trace=utimensat "$decant" fill --dest v t.tar.zst
	[[ $(grep -c utimensat trace) -gt 5 && $(grep -c utimensat again) -gt 1 ]]
	refute grep -q UTIME_OMIT trace again
}

@test "a file system that does not show two names to be one file is no success" {
	small_tree tree
	pack tree t.tar.zst
	for kind in fresh refill; do
		rm -rf v/* v/.decant
		[[ $kind == fresh ]] || { fill t.tar.zst v && rm v/same.html; }
		cp -a v before
		strace -qq -o trace -e trace=newfstatat "$decant" fill --threads 1 --dest v t.tar.zst 2>log
		rm -rf v
		mv before v
		# What such a one says of the name that it has just made.
		at=$(grep -n 'newfstatat(.*"same.html"' trace | tail -n 1 | cut -d : -f 1)
		run -11 --separate-stderr strace -qq -o trace -e trace=newfstatat \
			-e inject=newfstatat:poke_exit=@arg3=ffffffff:when="$at" "$decant" fill --threads 1 --dest v t.tar.zst
		says v/same.html "link: the file system cannot hold it"
		rm -rf v/* v/.decant
		[[ $kind == fresh ]] || { fill t.tar.zst v && rm v/same.html; }
		run -13 --separate-stderr strace -qq -o trace -e trace=newfstatat \
			-e inject=newfstatat:error=EIO:when="$at" "$decant" fill --threads 1 --dest v t.tar.zst
		says v/same.html "link: I/O error"
	done
}

@test "the same of what only some of the files have, after others that are right as they are made" {
	local kind
	mkdir n tree
	mount_ntfs n silent,fmask=022,dmask=022
	for kind in file link setuid; do
		rm -rf tree/z
		echo x >tree/a
		case $kind in
		file) echo x >tree/z && chown 1000:1000 tree/z ;;
		link) ln -s a tree/z && chown -h 1000:1000 tree/z ;;
		setuid) echo x >tree/z ;;
		esac
		chmod 755 tree/a
		[ $kind = link ] || chmod 755 tree/z
		[ $kind != setuid ] || chmod u+s tree/z
		mkdir n/$kind
		pack tree $kind.tar.zst --preserve-owner --setid
		for _ in 1 2; do
			run -15 --separate-stderr "$decant" fill --threads 1 --setid --dest n/$kind $kind.tar.zst
			says "n/$kind/z: set" "Operation not permitted"
		done
	done
	umount n
}
