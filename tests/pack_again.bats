#!/usr/bin/env bats
# What decant-pack makes of files that change while it reads them, and where the bundle goes.

load helpers

setup() {
	cd "$BATS_TEST_TMPDIR" || return 1
	mkdir tree
}

# Pack "tree" while what the read with number N gets of its file "big" is not what the one before, or after, gets:
# as a program that has it mapped can have it, without any change of size or time.
pack_changing() { # N
	status=0
	strace -f -qq -o trace -P "$PWD/tree/big" -e trace=pread64 \
		-e "inject=pread64:poke_exit=@arg2=deadbeef:when=$1" \
		"$decant_pack" --threads 1 --level 1 -o b.tar.zst tree 2>err || status=$?
	grep -q INJECTED trace
}

@test "13: a file that spans frames, and is not the same when it is read again" {
	head -c 9000000 /dev/urandom >tree/big
	echo small >tree/small
	strace -f -qq -o trace -P "$PWD/tree/big" -e trace=pread64 \
		"$decant_pack" --threads 1 --level 1 -o good.tar.zst tree
	reads=$(grep -c pread64 trace)
	[ "$reads" -gt 9 ]
	for ((n = 1; n <= reads; n++)); do
		pack_changing $n
		[ "$status" -eq 13 ] || {
			echo "read $n of $reads: exit $status" >&2
			return 1
		}
		grep -qx 'decant-pack: tree/big: read: changed while it was read' err
		[ "$(ls)" = $'err\ngood.tar.zst\ntrace\ntree' ]
	done
}

@test "files of all sizes around a frame's end are the same when they are read again" {
	for size in 4190000 4193000 4194304 4194305 4195000 8388000 8388608 8389000; do
		head -c $size /dev/urandom >tree/big
		head -c $size /dev/urandom >tree/bigger
		for threads in 1 3; do
			"$decant_pack" --quiet --threads $threads --level 1 -o b.tar.zst tree
			rm -rf v
			fill b.tar.zst v --create
			verify b.tar.zst v
			cmp tree/bigger v/bigger
		done
	done
}

@test "where the bundle's name is a link to a file, the file becomes the bundle and the link stays" {
	echo x >tree/file
	mkdir there
	echo old >there/b.tar.zst
	ln -s there/b.tar.zst link
	ln -s link second
	for name in link second; do
		"$decant_pack" --quiet -o $name tree
		[ -L $name ]
		fill there/b.tar.zst v --create
		verify there/b.tar.zst v
	done
	[ "$(ls there)" = b.tar.zst ]
	# As /dev/stdout is one.
	ln -s /proc/self/fd/1 stdout
	"$decant_pack" --quiet -o stdout tree >out.tar.zst
	cmp out.tar.zst there/b.tar.zst
	"$decant_pack" --quiet -o stdout tree | cat >out.tar.zst
	cmp out.tar.zst there/b.tar.zst
	[ "$(readlink stdout)" = /proc/self/fd/1 ]
	# One that leads nowhere gives way.
	ln -s nowhere dangling
	"$decant_pack" --quiet -o dangling tree
	cmp dangling there/b.tar.zst
}

@test "13: a file that was empty when it was found, and is not any more" {
	head -c 9000000 /dev/urandom >tree/big
	: >tree/empty
	strace -f -qq -o trace -P "$PWD/tree/big" -e trace=pread64 -e inject=pread64:delay_enter=2000000:when=1 \
		"$decant_pack" --threads 1 --level 1 -o b.tar.zst tree 2>err &
	until [ -s trace ]; do sleep 0.05; done
	echo late >tree/empty
	status=0
	wait $! || status=$?
	[ "$status" -eq 13 ]
	grep -qx 'decant-pack: tree/empty: read: changed while it was read' err
	[ ! -e b.tar.zst ]
}

@test "13: a directory that tells a name twice while it changes" {
	echo x >tree/aa
	# Two entries as getdents64(2) gives them: inode, offset, 24 bytes, a file, "aa".
	one=01000000000000000100000000000000180008616100000000
	one=${one:0:48}
	status=0
	strace -f -qq -o trace -P "$PWD/tree" -e trace=getdents64 \
		-e inject=getdents64:retval=48:poke_exit=@arg2=$one$one:when=1 "$decant_pack" -o b.tar.zst tree 2>err || status=$?
	grep -q INJECTED trace
	[ "$status" -eq 13 ]
	grep -qx 'decant-pack: tree: read: changed while it was read' err
}

# Somebody moves a directory out of the tree, and a link to where it went in, between the moment that it was found and
# the one, CALL number N with PATH, that it is opened. COMMAND is what packs.
swapped() { # CALL N PATH COMMAND...
	local call=$1 when=$2 path=$3
	shift 3
	rm -rf tree outside trace
	mkdir -p tree/mid/zz outside
	echo x >tree/file
	strace -f -qq -o trace -P "$path" -e trace="$call" -e inject="$call:delay_enter=2000000:when=$when" \
		"$@" "$decant_pack" -o b.tar.zst tree 2>err &
	until [ -s trace ] && [ "$(grep -c "\"$path\"" trace)" -ge "$when" ]; do
		kill -0 $! # it has not ended without that call
		sleep 0.05
	done
	mv tree/mid/zz outside/zz
	echo secret >outside/zz/private
	mv tree/mid away
	ln -s ../outside tree/mid
	status=0
	wait $! || status=$?
	rm -r away
	grep -q DELAYED trace
}

@test "13: a directory that was swapped for a link before it is read; nothing outside is packed" {
	swapped openat2 1 mid/zz
	[ "$status" -eq 13 ]
	grep -qx 'decant-pack: tree/mid/zz: read: changed while it was read' err
	# Where there is no openat2, too.
	swapped openat 2 mid "$top/build/tests/refuse" ENOSYS openat2
	[ "$status" -eq 13 ]
	grep -qx 'decant-pack: tree/mid/zz: read: changed while it was read' err
	[ ! -e b.tar.zst ]
}

# Packs "tree", each call of a kind slowed down, and makes a change when the trace has a text: that of the call is there
# when it begins.
changed_at() { # INJECTION TEXT CHANGE
	rm -f trace
	strace -f -qq -o trace -e trace="${1%%:*}" -e inject="$1" "$decant_pack" --threads 1 -o b.tar.zst tree 2>err &
	until [ -s trace ] && grep -q "$2" trace; do
		kill -0 $!
		sleep 0.02
	done
	eval "$3"
	status=0
	wait $! || status=$?
	echo "$3: $status: $(cat err)"
	[ "$status" -eq 13 ]
	grep -qxE 'decant-pack: tree/(a|b|a/deep|file|link|late|[.]decantignore): read: changed while it was read' err
	[ ! -e b.tar.zst ]
}

@test "13: a file, or a link, that is gone or another one when it is looked at again" {
	local found change
	for change in 'rm tree/file' 'ln -sfn /etc/passwd tree/file' 'ln -sfn new tree/link; touch -h -d 2020-01-01 tree/link' \
		'rm tree/link' 'rm tree/link; echo x >tree/link' 'rm tree/late'; do
		rm -rf tree
		mkdir tree
		echo x | tee tree/file >tree/late
		ln -s old tree/link
		# When it has been found, or, the one that is late, before that.
		case $change in *link*) found='"link"' ;; *) found='"file"' ;; esac
		changed_at newfstatat:delay_exit=1000000 "$found" "$change"
	done
}

@test "13: a file that has become something else before it is read" {
	local change
	for change in 'mkdir tree/file' 'mkfifo tree/file' 'perl -MIO::Socket::UNIX -e "IO::Socket::UNIX->new(Local => q(tree/file), Listen => 1)"'; do
		rm -rf tree
		mkdir tree
		echo x >tree/file
		changed_at openat2:delay_enter=1000000:when=2 '"file"' "rm tree/file; $change"
	done
}

@test "13: a file that moves from a directory that is yet to be read into one that has been" {
	mkdir -p tree/a tree/b tree/z/y
	echo important >tree/z/y/file
	changed_at openat2:delay_enter=1000000:when=4 '"z"' 'mv tree/z/y/file tree/a'
}

@test "13: a file that moves into a directory that is left out but for what is taken back" {
	mkdir -p tree/a/deep tree/z/y
	echo important >tree/z/y/late
	printf '%s\n' a '!a/deep/late' >tree/.decantignore
	changed_at openat2:delay_enter=1000000:when=4 '"z"' 'mv tree/z/y/late tree/a/deep'
	# It is packed there; and a directory of the kind that does not change does no harm.
	"$decant_pack" --quiet -o b.tar.zst tree
	tar --zstd -tf b.tar.zst | grep -x 'a/deep/late'
	mv tree/a/deep/late tree/z/y
	"$decant_pack" --quiet -o b.tar.zst tree
	tar --zstd -tf b.tar.zst >names
	grep -x 'z/y/late' names
	! grep '^a' names
}

@test "13: what has been read, and changes before all has" {
	local found=openat2:delay_enter=1000000
	mkdir tree/z
	ln -s old tree/link
	for file in file late; do echo old >tree/$file; done
	changed_at $found:when=4 '"late"' 'echo more >>tree/file'
	changed_at $found:when=2 '"z"' 'chown -h 5:5 tree/link'
	changed_at $found:when=2 '"z"' 'chmod 600 tree/file'
	# A link to it from elsewhere is a change, too.
	changed_at $found:when=2 '"z"' 'ln tree/file outside'
}

@test "13: patterns that change after they were read" {
	mkdir -p tree/a/b
	echo none >tree/.decantignore
	changed_at openat2:delay_enter=1000000:when=2 '"a"' \
		'echo a/b/secret >tree/.decantignore; echo secret >tree/a/b/secret'
	rm tree/.decantignore
	changed_at open:delay_enter=1000000:when=4 decantignore 'echo a/b/secret >tree/.decantignore'
}

@test "13: changes in the second in which all was made, where a file system keeps no more than that" {
	mount_seconds tree
	fresh() {
		rm -rf tree/*
		next_second
		mkdir tree/a tree/b
		for file in file late b/x; do echo old >tree/$file; done
	}
	fresh
	changed_at openat2:delay_enter=500000:when=3 '"b"' 'mv tree/b/x tree/a'
	fresh
	changed_at openat2:delay_enter=500000:when=5 '"late"' 'for file in file late; do echo new >tree/$file; done'
	fresh
	echo none >tree/.decantignore
	changed_at open:delay_enter=500000:when=4 O_DIRECTORY 'echo file >tree/.decantignore'
	rm tree/.decantignore
	# It waits for the next second, no longer.
	fresh
	local began=$SECONDS
	"$decant_pack" --quiet -o b.tar.zst tree
	[ $((SECONDS - began)) -le 4 ]
	began=$SECONDS
	for n in {1..20}; do "$decant_pack" --quiet -o b.tar.zst tree; done
	[ $((SECONDS - began)) -le 10 ]
}

@test "a file that changes all the time is waited for no longer than others" {
	echo x >tree/file
	while :; do echo x >>tree/file; done &
	local writer=$! status=0
	for n in {1..20}; do
		timeout 10 "$decant_pack" --quiet -o b.tar.zst tree 2>err || status=$?
		[ $status -eq 0 ] || [ $status -eq 13 ]
	done
	kill $writer
	# Where the file system's clock ticks slowly, one tick hides many changes.
	mount_seconds tree
	: >tree/file
	timeout 60 perl -e 'open F, "+<", "tree/file"; while (1) { syswrite F, ++$n; sysseek F, 0, 0; select undef, undef, undef, 0.0001 }' &
	writer=$!
	for n in {1..3}; do run -13 "$decant_pack" --quiet -o b.tar.zst tree; done
	kill $writer
}

@test "the temporary file may have a name in the tree, where there are none without" {
	echo x >tree/file
	echo b.tar.zst >tree/.decantignore
	strace -qq -o trace -e trace=open -e inject=open:error=EOPNOTSUPP:when=2 "$decant_pack" --threads 1 --quiet \
		-o tree/b.tar.zst tree
	grep 'O_TMPFILE.*INJECTED' trace
	[ "$("$decant" list tree/b.tar.zst)" = file ]
	[ "$(ls -A tree)" = $'.decantignore\nb.tar.zst\nfile' ]
}

@test "a pipe or a device in a directory that is not the user's gets a bundle, and TMPDIR is named when it cannot" {
	local as=(setpriv --reuid 1000 --regid 1000 --clear-groups)
	echo x >tree/file
	chmod 755 .
	mkdir closed
	mkfifo -m 666 closed/pipe
	pack tree b.tar.zst
	within_reach
	"${as[@]}" sh -c '"$0" --quiet -o /dev/stdout tree | cmp - b.tar.zst' "$decant_pack"
	"${as[@]}" "$decant_pack" --quiet -o /dev/null tree
	timeout 10 cmp closed/pipe b.tar.zst &
	"${as[@]}" "$decant_pack" --quiet -o closed/pipe tree
	wait $!
	TMPDIR=$PWD/closed run -15 --separate-stderr "${as[@]}" "$decant_pack" -o /dev/null tree
	says "$PWD/closed" "create temporary file: Permission denied"
}

@test "without openat2 the same tree gives the same bundle" {
	small_tree tree
	mkdir -p tree/a/b/c
	head -c 5000000 /dev/urandom >tree/a/b/c/big
	pack tree one.tar.zst
	"$top/build/tests/refuse" ENOSYS openat2 "$decant_pack" -o two.tar.zst tree
	cmp one.tar.zst two.tar.zst
}

@test "a tree as deep as paths go needs no more stack than another" {
	perl -e 'chdir "tree"; for (1 .. 2040) { mkdir "d" or die; chdir "d" or die } open F, ">", "file" or die'
	# 128 KiB: environment has the rest.
	(a=$(printf '%60000s' x) && b=$a && export a b && ulimit -s 256 && "$decant_pack" --quiet -o b.tar.zst tree)
	verify b.tar.zst tree
}

@test "a directory whose ctime changes when it is listed has not changed: an overlay takes a mark off" {
	mount_tmpfs o size=20M
	mkdir o/low o/up o/work over
	echo hi >o/low/file
	mount -t overlay overlay -o lowerdir=o/low,upperdir=o/up,workdir=o/work over
	mkdir over/src
	mv over/file over/src
	gzip over/src/file
	before=$(stat -c %z over/src)
	"$decant_pack" --quiet -o b.tar.zst over/src
	[ "$(stat -c %z over/src)" != "$before" ]
	fill b.tar.zst v --create
	cmp over/src/file.gz v/file.gz
	umount over
}

@test "directories whose ctimes change when they are listed are waited for together" {
	mkdir disk over
	mount_seconds disk
	mkdir disk/{low,up,work}
	echo hi | tee disk/low/{1,2,3,4,5,6} >/dev/null
	mount -t overlay overlay -o lowerdir=disk/low,upperdir=disk/up,workdir=disk/work over
	for n in {1..6}; do
		mkdir -p over/src/$n
		mv over/$n over/src/$n/file
		gzip over/src/$n/file
	done
	sleep 2
	local began=$SECONDS
	"$decant_pack" --quiet -o b.tar.zst over/src
	[ $((SECONDS - began)) -le 5 ]
	[ "$("$decant" list b.tar.zst | grep -c gz)" -eq 6 ]
	umount over
}

@test "a directory whose ctime changes when its names are looked up has not changed: an overlay sets a mark" {
	mount_tmpfs o size=20M
	mkdir -p o/low/src/d/e o/up/src/d o/work over
	echo a >o/low/src/d/f
	echo b >o/up/src/d/g
	mount -t overlay overlay -o lowerdir=o/low,upperdir=o/up,workdir=o/work over
	before=$(stat -c %z over/src)
	"$decant_pack" --quiet -o b.tar.zst over/src
	[ "$(stat -c %z over/src)" != "$before" ]
	[ "$("$decant" list b.tar.zst | paste -sd ,)" = d/,d/f,d/g,d/e/ ]
	umount over
}

@test "a directory that an overlay gives another inode number has not changed" {
	mkdir low up over
	mount_tmpfs low size=20M
	mount_tmpfs up size=20M
	mkdir low/src up/up up/work
	mkdir low/src/{1..50}
	mount -t overlay overlay -o lowerdir=low,upperdir=up/up,workdir=up/work over
	"$decant_pack" --quiet -o one.tar.zst over/src
	for n in 1 2 3; do
		strace -f -qq -o trace -e trace=openat2 -e inject=openat2:delay_enter=300000:when=2 \
			"$decant_pack" --quiet -o two.tar.zst over/src &
		sleep 0.15
		echo 2 >/proc/sys/vm/drop_caches
		wait $!
		cmp one.tar.zst two.tar.zst
	done
	umount over
}

@test "a directory that is left out, and that no pattern takes something back in, need not be fit to be packed" {
	mkdir -p tree/{public,private,odd,.decant,docs}
	echo a | tee tree/public/a tree/private/a tree/.decant/state tree/docs/a.md >tree/docs/keep.md
	chmod 700 tree/private
	setfattr -n user.a=b -v 1 tree/odd
	chmod 777 .
	user=(setpriv --reuid 1000 --regid 1000 --clear-groups)
	"${user[@]}" "$decant_pack" --quiet --exclude '*' --exclude '!public' -o b.tar.zst tree
	[ "$("$decant" list b.tar.zst | paste -sd ,)" = public/,public/a ]
	# One in which it may is read.
	run -11 --separate-stderr "$decant_pack" --exclude odd --exclude '!**/keep.md' -o c.tar.zst tree
	setfattr -x user.a=b tree/odd
	"$decant_pack" --quiet --exclude .decant --exclude odd --exclude 'docs/*' --exclude '!**/keep.md' -o b.tar.zst tree
	[ "$("$decant" list b.tar.zst | paste -sd ,)" = docs/,docs/keep.md,private/,private/a,public/,public/a ]
}

@test "an attribute that is told twice, as a server may, is no bundle with a name twice" {
	echo x >tree/file
	setfattr -n user.a -v 1 tree/file
	setfattr -n user.a -v 1 tree
	run -13 --separate-stderr strace -qq -o trace -e trace=flistxattr \
		-e inject=flistxattr:retval=14:poke_exit=@arg2=757365722e6100757365722e6100 "$decant_pack" --quiet -o b.tar.zst tree
	says tree "changed while"
	[ ! -e b.tar.zst ]
}

@test "an attribute whose name is nothing but its namespace, as a server may tell it, is none" {
	echo x >tree/file
	strace -qq -o trace -e trace=flistxattr,fgetxattr -e inject=flistxattr:retval=6:poke_exit=@arg2=757365722e00 \
		-e inject=fgetxattr:retval=0 "$decant_pack" --quiet -o b.tar.zst tree
	grep -q 'flistxattr.*INJECTED' trace
	"$decant" info b.tar.zst
}
