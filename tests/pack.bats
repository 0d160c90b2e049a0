#!/usr/bin/env bats
# decant-pack: its options, what it refuses, and that a bundle appears only when it is whole.

load helpers

setup() {
	cd "$BATS_TEST_TMPDIR"
	small_tree tree
	mkdir out
}

# No bundle, and no temporary file either.
nothing_in_out() {
	[ -z "$(ls -A out)" ]
}

ids() { # BUNDLE
	"$decant" list --long "$1" | awk '{ print $2 }' | sort -u
}

@test "owners are 0:0 unless said otherwise" {
	chown -hR 7:8 tree
	pack tree 1.tar.zst
	[ "$(ids 1.tar.zst)" = 0/0 ]
	pack tree 2.tar.zst --owner 33:1000
	[ "$(ids 2.tar.zst)" = 33/1000 ]
	pack tree 3.tar.zst --preserve-owner
	[ "$(ids 3.tar.zst)" = 7/8 ]
	pack tree 4.tar.zst --owner=4294967294:0
	[ "$(ids 4.tar.zst)" = 4294967294/0 ]
	run -2 "$decant_pack" --owner 4294967295:0 -o out/x.tar.zst tree
	nothing_in_out
}

@test "revision and destination are recorded" {
	pack tree b.tar.zst --revision v1.2.3 --dest /srv/www
	"$decant" info b.tar.zst >info
	grep -qx 'revision: v1.2.3' info
	grep -qx 'dest: /srv/www' info
}

@test "the summary has bundle, revision, files, bytes and size; --quiet leaves it out" {
	run --separate-stderr "$decant_pack" --revision r1 -o b.tar.zst tree
	[ "$status" -eq 0 ]
	[ -z "$output" ]
	[[ ${stderr##*$'\n'} =~ ^decant-pack:\ b.tar.zst:\ packed:\ bundle\ [0-9a-f]{32},\ revision\ r1,\ [0-9]+\ files,\ [0-9]+\ bytes,\ $(stat -c %s b.tar.zst)\ packed,\ [0-9.]+\ s,\ [0-9.]+\ MB/s$ ]]
	run "$decant_pack" --quiet -o c.tar.zst tree
	[ -z "$output" ]
	cmp b.tar.zst c.tar.zst || "$decant" info c.tar.zst
}

@test "a higher level makes a smaller bundle of the same tree" {
	seq 300000 >tree/big
	for level in 1 12 19; do
		pack tree "$level.tar.zst" --level "$level"
		mkdir "v$level"
		fill "$level.tar.zst" "v$level"
		same_tree tree "v$level"
	done
	pack tree ultra.tar.zst --level 22 --ultra
	mkdir v
	fill ultra.tar.zst v
	same_tree tree v
	[ "$(stat -c %s 19.tar.zst)" -lt "$(stat -c %s 1.tar.zst)" ]
	level=$("$decant_pack" --help | sed -n 's/.*--level N.*default:\{0,1\} \([0-9]*\).*/\1/p')
	pack tree default.tar.zst
	pack tree same.tar.zst --level "$level"
	cmp default.tar.zst same.tar.zst
}

@test "without -o, or with -o -, the bundle goes to standard output" {
	"$decant_pack" --quiet tree >1.tar.zst
	"$decant_pack" --quiet -o - tree >2.tar.zst
	"$decant_pack" --quiet tree | cat >3.tar.zst
	pack tree 4.tar.zst
	cmp 1.tar.zst 2.tar.zst
	cmp 1.tar.zst 3.tar.zst
	cmp 1.tar.zst 4.tar.zst
}

@test "no bundle is written to a terminal" {
	run -2 script -qec "'$decant_pack' tree" typescript </dev/null
	grep -q terminal typescript
	[ "$(wc -c <typescript)" -lt 1000 ]
}

@test "a fifo, a socket and a device are refused by name, and --skip-special leaves them out" {
	mkfifo tree/css/pipe
	run -11 --separate-stderr "$decant_pack" -o out/b.tar.zst tree
	says tree/css/pipe fifo
	nothing_in_out
	rm tree/css/pipe
	perl -MSocket -e 'socket(S, AF_UNIX, SOCK_STREAM, 0) and bind(S, sockaddr_un("tree/socket")) or die'
	run -11 --separate-stderr "$decant_pack" -o out/b.tar.zst tree
	says tree/socket socket
	rm tree/socket
	mknod tree/null c 1 3
	run -11 --separate-stderr "$decant_pack" -o out/b.tar.zst tree
	says tree/null device
	mkfifo tree/css/pipe
	run --separate-stderr "$decant_pack" --skip-special -o b.tar.zst tree
	[ "$status" -eq 0 ]
	grep -qE 'left out 2 |2 .*left out' <<<"$stderr"
	refute grep -qE 'null|pipe' <("$decant" list b.tar.zst)
	mkfifo tree/pipe2
	pack tree c.tar.zst --skip-special --exclude css/pipe --exclude pipe2 --exclude null
}

@test "an excluded fifo is no error" {
	mkfifo tree/pipe
	pack tree b.tar.zst --exclude pipe
}

@test ".decant at the root is refused" {
	mkdir tree/.decant
	run -11 --separate-stderr "$decant_pack" -o out/b.tar.zst tree
	says tree/.decant
	nothing_in_out
	rmdir tree/.decant
	mkdir tree/css/.decant
	pack tree b.tar.zst
}

@test "what is no directory, or missing, is refused" {
	run --separate-stderr "$decant_pack" -o out/b.tar.zst missing
	[ "$status" -eq 11 ] || [ "$status" -eq 2 ] || [ "$status" -eq 13 ]
	says missing
	run --separate-stderr "$decant_pack" -o out/b.tar.zst tree/index.html
	[ "$status" -ne 0 ]
	says tree/index.html
	run --separate-stderr "$decant_pack" -o no/such/b.tar.zst tree
	[ "$status" -ne 0 ]
	says no/such
	nothing_in_out
}

@test "xattrs are packed, and --no-xattrs leaves them out" {
	setfattr -n user.note -v here tree/index.html || skip "this file system has no user xattrs"
	pack tree 1.tar.zst
	pack tree 2.tar.zst --no-xattrs
	mkdir v1 v2
	fill 1.tar.zst v1
	fill 2.tar.zst v2
	[ "$(getfattr --only-values -n user.note v1/index.html)" = here ]
	refute getfattr -n user.note v2/index.html
}

@test "more than 64 KiB of xattrs on one file are refused in one line" {
	mount_tmpfs source size=4m
	echo x >source/file
	python3 -c 'import os; [os.setxattr("source/file", f"user.{n}", b"x" * 30000) for n in (1, 2)]' ||
		skip "this tmpfs has no user xattrs"
	pack source two.tar.zst
	python3 -c 'import os; os.setxattr("source/file", "user.3", b"x" * 30000)'
	run -11 --separate-stderr "$decant_pack" -o out/b.tar.zst source
	says source/file "has more than 64 KiB of xattrs"
	nothing_in_out
}

@test "a directory that is another one when it is read is an error, and leaves no bundle" {
	mkdir -p tree/later other
	echo 1 | tee tree/later/file >other/file
	# The directory is looked at, and then opened a second later.
	strace -f -o trace -P later -P "$PWD/tree/later" -e trace=openat -e inject=openat:delay_enter=1000000 \
		"$decant_pack" -o out/b.tar.zst tree 2>err &
	pid=$!
	sleep 0.4
	mv tree/later gone
	mv other tree/later
	wait "$pid" || status=$?
	[ "$status" -eq 13 ]
	stderr=$(cat err)
	says tree "changed while it was read"
	nothing_in_out
}

@test "a file that changes while it is read is an error, and leaves no bundle" {
	head -c 40000000 /dev/urandom >tree/big
	while :; do
		printf x | dd of=tree/big bs=1 seek=39999999 conv=notrunc status=none
		sleep 0.01
	done &
	pid=$!
	run -13 --separate-stderr "$decant_pack" --level 15 -o out/b.tar.zst tree
	kill "$pid"
	says tree/big "changed while it was read"
	nothing_in_out
}

@test "a file that is cut or grows while it is read is an error, too" {
	for change in 'truncate -s 1000 tree/big' 'head -c 100000 /dev/zero >>tree/big' 'rm tree/big'; do
		head -c 40000000 /dev/urandom >tree/big
		(sleep 0.3 && eval "$change") &
		pid=$!
		run --separate-stderr "$decant_pack" --threads 1 --level 17 -o out/b.tar.zst tree
		wait "$pid"
		echo "$change: $status"
		[ "$status" -eq 13 ]
		says tree/big
		nothing_in_out
	done
}

@test "the bundle appears under its name only when it is whole" {
	echo old >out/b.tar.zst
	head -c 9000000 /dev/urandom >tree/big
	"$decant_pack" --quiet --threads 1 --level 17 -o out/b.tar.zst tree &
	pid=$!
	while kill -0 "$pid" 2>/dev/null; do
		size=$(stat -c %s out/b.tar.zst)
		[ "$size" -eq 4 ] || [ "$size" -gt 8900000 ]
		sleep 0.02
	done
	wait "$pid"
	[ "$(ls -A out)" = b.tar.zst ]
	mkdir v
	fill out/b.tar.zst v
}

@test "SIGTERM leaves no bundle and no temporary file" {
	head -c 9000000 /dev/urandom >tree/big
	"$decant_pack" --quiet --threads 1 --level 17 -o out/b.tar.zst tree &
	pid=$!
	sleep 0.3
	kill -TERM "$pid"
	status=0
	wait "$pid" || status=$?
	[ "$status" -eq 143 ]
	nothing_in_out
}

@test "no space for the bundle is 12, and leaves nothing" {
	mount_tmpfs small size=1m
	head -c 5000000 /dev/urandom >tree/big
	run -12 --separate-stderr "$decant_pack" -o small/b.tar.zst tree
	says decant-pack: small: "write temporary file"
	[ -z "$(ls -A small)" ]
	run -12 --separate-stderr bash -c '"$0" -o - tree >/dev/full' "$decant_pack"
}

@test "a path longer than PATH_MAX is refused by name" {
	perl -e 'chdir "tree"; my $n = "d" x 200; for (1 .. 21) { mkdir $n or die; chdir $n or die }'
	run -11 --separate-stderr "$decant_pack" -o out/b.tar.zst tree
	says tree/ddd /ddd "ddd...: pack: holds a name whose path is longer than PATH_MAX"
	nothing_in_out
}

@test "the bundle can be read by those whom the umask allows" {
	(umask 027 && pack tree out/b.tar.zst)
	[ "$(stat -c %a out/b.tar.zst)" = 640 ]
}

@test "the bundle's own directory may be packed without the bundle in it" {
	pack tree tree/b.tar.zst
	[ "$("$decant" list tree/b.tar.zst | grep -c 'tar.zst')" -eq 0 ]
}

@test "any user can pack, and gets the same bytes" {
	chmod 0777 out . ..
	setpriv --reuid 1000 --regid 1000 --clear-groups "$decant_pack" --quiet -o out/b.tar.zst tree
	pack tree b.tar.zst
	cmp b.tar.zst out/b.tar.zst
}

# ---- what is left out --------------------------------------------------------------------------------

# The names left of a tree that has each of these, with the patterns of the arguments.
left_with() {
	local pattern options=()
	for pattern; do
		options+=(--exclude "$pattern")
	done
	pack ignore-tree b.tar.zst "${options[@]}"
	"$decant" list b.tar.zst | sed 's,^\./$,,; /^$/d' | LC_ALL=C sort | tr '\n' ' ' | sed 's/ $//'
}

ignore_tree() {
	mkdir -p ignore-tree/a/b ignore-tree/c
	touch ignore-tree/{x.log,x.txt,README.md} ignore-tree/a/{x.log,README.md} ignore-tree/a/b/{x.log,y} ignore-tree/c/x.txt
}

@test "patterns mean what they mean in a .dockerignore file" {
	ignore_tree
	everything='README.md a/ a/README.md a/b/ a/b/x.log a/b/y a/x.log c/ c/x.txt x.log x.txt'
	[ "$(left_with)" = "$everything" ]
	# pattern(s), separated by spaces | what is left
	while IFS='|' read -r patterns left; do
		# shellcheck disable=SC2086 # words, and no file may match
		seen=$(set -f && left_with $patterns)
		[ "$seen" = "$left" ] || {
			printf 'patterns: %s\nwanted:   %s\nseen:     %s\n' "$patterns" "$left" "$seen"
			return 1
		}
	done <<-'END'
		*.log|README.md a/ a/README.md a/b/ a/b/x.log a/b/y a/x.log c/ c/x.txt x.txt
		*/*.log|README.md a/ a/README.md a/b/ a/b/x.log a/b/y c/ c/x.txt x.log x.txt
		**/*.log|README.md a/ a/README.md a/b/ a/b/y c/ c/x.txt x.txt
		a|README.md c/ c/x.txt x.log x.txt
		/a|README.md c/ c/x.txt x.log x.txt
		a/|README.md c/ c/x.txt x.log x.txt
		./a/../c|README.md a/ a/README.md a/b/ a/b/x.log a/b/y a/x.log x.log x.txt
		a/b|README.md a/ a/README.md a/x.log c/ c/x.txt x.log x.txt
		**/b|README.md a/ a/README.md a/x.log c/ c/x.txt x.log x.txt
		a/**|README.md a/ c/ c/x.txt x.log x.txt
		x.?xt|README.md a/ a/README.md a/b/ a/b/x.log a/b/y a/x.log c/ c/x.txt x.log
		[a-b]|README.md c/ c/x.txt x.log x.txt
		[^a]|README.md a/ a/README.md a/b/ a/b/x.log a/b/y a/x.log x.log x.txt
		X.LOG|README.md a/ a/README.md a/b/ a/b/x.log a/b/y a/x.log c/ c/x.txt x.log x.txt
		**/README.md !README.md|README.md a/ a/b/ a/b/x.log a/b/y a/x.log c/ c/x.txt x.log x.txt
		!README.md **/README.md|a/ a/b/ a/b/x.log a/b/y a/x.log c/ c/x.txt x.log x.txt
		* !c|c/ c/x.txt
		* !a/b/y|a/ a/b/ a/b/y
		a !a/b|README.md a/ a/b/ a/b/x.log a/b/y c/ c/x.txt x.log x.txt
		\x.log|README.md a/ a/README.md a/b/ a/b/x.log a/b/y a/x.log c/ c/x.txt x.txt
	END
}

@test ".decantignore is read, and not packed" {
	ignore_tree
	printf '# a comment\n\n  *.log  \r\n!x.log\nc/\n#a\n' >ignore-tree/.decantignore
	[ "$(left_with)" = 'README.md a/ a/README.md a/b/ a/b/x.log a/b/y a/x.log x.log x.txt' ]
	pack ignore-tree b.tar.zst --no-ignore-file
	"$decant" list b.tar.zst | grep -qx c/x.txt
}

@test "--ignore-file names another file, and --exclude comes after it" {
	ignore_tree
	echo 'c' >rules
	echo 'a' >ignore-tree/.decantignore
	pack ignore-tree b.tar.zst --ignore-file rules --exclude '!c' --exclude 'x.*'
	"$decant" list b.tar.zst | grep -qx c/x.txt
	"$decant" list b.tar.zst | grep -qx a/b/y
	refute grep -qx x.log <("$decant" list b.tar.zst)
	run --separate-stderr "$decant_pack" --ignore-file no-such-rules -o out/b.tar.zst ignore-tree
	[ "$status" -ne 0 ]
	says no-such-rules
	nothing_in_out
}

@test "a pattern that is none is refused" {
	for pattern in '[' 'a[' '[]a' '[-]' 'a\'; do
		run -2 --separate-stderr "$decant_pack" --exclude "$pattern" -o out/b.tar.zst tree
		says
		nothing_in_out
	done
}

@test "a device is written to, never replaced" {
	small_tree other
	mknod sink c 1 3
	pack other sink
	[ -c sink ]
}

@test "a fifo or a device called .decantignore is refused, and not waited for" {
	for plant in mkfifo 'mknod_zero' mkdir; do
		rm -rf odd
		mkdir odd
		if [[ $plant == mknod_zero ]]; then mknod odd/.decantignore c 1 5; else "$plant" odd/.decantignore; fi
		run -11 --separate-stderr timeout 10 "$decant_pack" --quiet -o out/b.tar.zst odd
		says odd/.decantignore "is not a file"
	done
}

@test "a sparse file of exabytes is refused before memory is out" {
	mount_tmpfs far size=1M
	truncate -s 7E far/f
	run -11 --separate-stderr timeout 20 bash -c 'ulimit -v 1000000; "$@"' - "$decant_pack" --quiet -o out/b.tar.zst far
	says far "over the format's limit"
}

@test "13: a directory that is swapped for a link and back while attributes of a file in it are read" {
	mkdir -p s/bin other
	echo theirs >s/bin/tool
	echo right >other/tool
	setfattr -n user.theirs -v 1 s/bin/tool
	setfattr -n security.capability -v 0x0100000200000000000000000000000000000000 other/tool
	# The list is asked for while the other directory has the name, and the rest is read when that is over.
	strace -qq -o trace -e trace=flistxattr,llistxattr,fgetxattr,lgetxattr -e inject=flistxattr:delay_enter=1000000:when=3 \
		-e inject=llistxattr:delay_enter=1000000:when=1 -e inject=fgetxattr,lgetxattr:delay_exit=1000000:when=1 \
		"$decant_pack" --quiet --setid -o out/b.tar.zst s 2>err &
	packer=$!
	sleep 0.5
	mv s/bin aside
	ln -s "$PWD/other" s/bin
	sleep 1
	rm s/bin
	mv aside s/bin
	status=0
	wait $packer || status=$?
	[ "$(grep -c DELAYED trace)" -eq 2 ]
	[ "$status" -eq 13 ]
	grep -qx 'decant-pack: s: read: changed while it was read' err
	[ -z "$(ls out)" ]
}

@test "an attribute whose name tar programs read as another is refused by name" {
	for name in user.a=b user.p%3Dq; do
		rm -rf odd
		mkdir -p odd
		echo x >odd/file
		setfattr -n "$name" -v 1 odd/file
		run -11 --separate-stderr "$decant_pack" --quiet -o out/b.tar.zst odd
		says odd/file "= or %"
		nothing_in_out
		"$decant_pack" --quiet --no-xattrs -o plain.tar.zst odd
	done
}

@test "a path of 4,095 bytes is packed, filled and verified" {
	mkdir far v
	perl -e 'chdir "far" or die; for (1 .. 15) { my $n = "d" x 255; mkdir $n or die; chdir $n or die }
		open my $f, ">", "f" x 255 or die; print $f "far\n"'
	pack far far.tar.zst
	[ "$("$decant" list far.tar.zst | awk '{ if (length > n) n = length } END { print n }')" -eq 4095 ]
	fill far.tar.zst v
	verify far.tar.zst v --extra
}

@test "a size that no file has is refused" {
	mkdir odd
	echo x >odd/file
	hex=$(perl -e '@s = lstat "odd/file"; print unpack "H*", pack "QQQLLLLQq", @s[0, 1, 3, 2, 4, 5], 0, 0, -5')
	run -11 --separate-stderr strace -qq -o trace -e trace=newfstatat -e inject=newfstatat:retval=0:poke_exit=@arg3=$hex \
		"$decant_pack" --quiet -o out/b.tar.zst odd
	says odd/file "size below 0"
	nothing_in_out
}

@test "a directory that was taken back needs no --setid" {
	mkdir -p odd/x v
	echo x >odd/file
	chmod 2755 odd/x
	pack odd b.tar.zst --setid --exclude x --exclude '!none'
	fill b.tar.zst v
	pack odd b.tar.zst --setid
	run -10 "$decant" fill --dest v b.tar.zst
}

@test "standard output that is closed is an error, and an empty TMPDIR is none" {
	run -13 --separate-stderr bash -c '"$0" --quiet tree >&-' "$decant_pack"
	says "standard output"
	pack tree b.tar.zst
	run -13 --separate-stderr bash -c '"$0" list b.tar.zst >&-' "$decant"
	says "standard output"
	TMPDIR='' strace -qq -o trace -e trace=openat,open "$decant_pack" --quiet tree >c.tar.zst
	cmp b.tar.zst c.tar.zst
	refute grep -E '"/"|"/[^"/]*\.[^"/]*"' trace
	grep -q '"/tmp' trace
}

@test "nanoseconds that no time has, as a damaged disk tells them, are refused" {
	mkdir -p odd/dir m
	echo x >odd/file
	for name in file dir; do
		truncate -s 2M disk.img
		mkfs.ext4 -q -F -I 256 -d odd disk.img
		debugfs -w -R "set_inode_field $name mtime_extra 0xfffffffc" disk.img 2>said
		mount -o loop disk.img m
		[[ $(stat -c %.Y m/$name) == *.1073741823* ]]
		run -11 --separate-stderr "$decant_pack" --quiet --exclude lost+found -o out/b.tar.zst m
		says "m/$name" "nanoseconds are out of range"
		nothing_in_out
		# Where they are left out they do no harm.
		SOURCE_DATE_EPOCH=1000000000 "$decant_pack" --quiet --exclude lost+found -o b.tar.zst m
		"$decant" info b.tar.zst
		umount m
	done
}
