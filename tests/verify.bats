#!/usr/bin/env bats
# verify names each difference between a volume and a bundle, and needs nothing but to read.

load helpers

setup_file() {
	cd "$BATS_FILE_TMPDIR"
	small_tree tree
	setfattr -n user.note -v here tree/index.html
	pack tree b.tar.zst
}

setup() {
	cd "$BATS_TEST_TMPDIR"
	cp "$BATS_FILE_TMPDIR/b.tar.zst" .
	cp -a "$BATS_FILE_TMPDIR/tree" v
}

# What verify prints is exactly LINE, or begins with it.
finds() { # LINE
	run -16 --separate-stderr verify b.tar.zst v
	[ "${#lines[@]}" -eq 1 ]
	[[ $output == "$1"* ]]
}

keep_times() { # DIR COMMAND...
	local dir=$1
	shift
	"$@"
	touch -r "$BATS_FILE_TMPDIR/tree/$dir" "v/$dir"
}

@test "a right volume has no differences, and no output" {
	run --separate-stderr verify b.tar.zst v
	[ "$status" -eq 0 ]
	[ -z "$output" ]
	[[ $stderr == *" 0 differences"* ]]
}

@test "missing: a file" { keep_times css rm v/css/a.css && finds "missing: css/a.css"; }

@test "missing: a link" { keep_times css rm v/css/home && finds "missing: css/home"; }

@test "missing: an empty directory" { keep_times . rmdir v/empty && finds "missing: empty"; }

@test "a missing directory is told, with or without what was in it" {
	keep_times . rm -r v/css
	run -16 --separate-stderr verify b.tar.zst v
	[[ ${lines[0]} == "missing: css"* ]]
}

@test "extra: only when asked for" {
	keep_times css touch v/css/extra
	verify b.tar.zst v
	run -16 --separate-stderr verify b.tar.zst v --extra
	[ "$output" = "extra: css/extra" ]
}

@test "type: a directory where a file belongs" {
	keep_times . bash -c 'rm v/none; mkdir v/none'
	finds "type: none"
}

@test "type: a link where a directory belongs" {
	keep_times . bash -c 'rmdir v/empty; ln -s css v/empty'
	finds "type: empty"
}

@test "type: a fifo where a file belongs, without waiting for a writer" {
	keep_times . bash -c 'rm v/none; mkfifo v/none'
	run -16 --separate-stderr timeout 10 "$decant" verify --dest v b.tar.zst
	[[ $output == "type: none"* ]]
}

@test "content: one byte" {
	printf X | dd of=v/css/numbers bs=1 seek=77 conv=notrunc status=none
	touch -r "$BATS_FILE_TMPDIR/tree/css/numbers" v/css/numbers
	finds "content: css/numbers"
}

@test "content: one byte of the first, of a middle and of the last piece of a large file" {
	mkdir s w
	head -c 5000001 /dev/urandom >s/large
	pack s large.tar.zst
	fill large.tar.zst w
	for at in 0 262143 262144 2500000 5000000; do
		damage w/large "$at"
		touch -r s/large w/large
		run -16 --separate-stderr verify large.tar.zst w
		[ "$output" = "content: large" ]
		damage w/large "$at"
		touch -r s/large w/large
		verify large.tar.zst w
	done
}

@test "size: one byte more" {
	echo >>v/css/numbers
	touch -r "$BATS_FILE_TMPDIR/tree/css/numbers" v/css/numbers
	finds "size: css/numbers"
}

@test "mode: of a file, of a directory, of the root" {
	chmod 0600 v/css/a.css
	chmod 0711 v/empty
	chmod 0700 v
	run -16 --separate-stderr verify b.tar.zst v
	[ "${#lines[@]}" -eq 3 ]
	[[ ${lines[0]} == "mode: .: "* ]]
	grep -q '^mode: css/a.css: .*600.*644' <<<"$output"
	grep -q '^mode: empty: ' <<<"$output"
}

@test "owner: of a file, a link and a directory, unless --no-owner" {
	chown -h 5:6 v/css/home v/css/a.css v/empty
	run -16 --separate-stderr verify b.tar.zst v
	[ "$(grep -c '^owner: ' <<<"$output")" -eq 3 ]
	[ "${#lines[@]}" -eq 3 ]
	verify b.tar.zst v --no-owner
}

@test "mtime: one nanosecond" {
	touch -d '2024-01-02 03:04:05.678901235' v/css/a.css
	finds "mtime: css/a.css"
}

@test "mtime: of a link and of a directory" {
	touch -h -d @1 v/css/home
	touch -d @1 v/empty
	run -16 --separate-stderr verify b.tar.zst v
	[ "$(grep -c '^mtime: ' <<<"$output")" -eq 2 ]
}

@test "target: of a link" {
	keep_times css ln -sfn ../index.htm v/css/home
	touch -h -r "$BATS_FILE_TMPDIR/tree/css/home" v/css/home
	finds "target: css/home"
}

@test "links: a hard link that is a copy" {
	keep_times . bash -c 'cp -a v/same.html x; rm v/same.html; mv x v/same.html'
	setfattr -n user.note -v here v/same.html
	run -16 --separate-stderr verify b.tar.zst v
	grep -q '^links: ' <<<"$output"
	[ "${#lines[@]}" -le 2 ]
}

@test "links: one more name of a file, outside the volume" {
	ln v/none outside
	finds "links: none: 2 names instead of 1"
	rm outside
	ln v/same.html outside
	finds "links: index.html: 3 names instead of 2"
}

@test "links: names that are swapped between two equal files" {
	mkdir s w
	for file in a b; do
		echo same >s/$file-1
		ln s/$file-1 s/$file-2
	done
	find s -exec touch -d @1000000000 {} +
	pack s pairs.tar.zst
	fill pairs.tar.zst w
	verify pairs.tar.zst w
	ln -f w/a-1 w/x
	ln -f w/b-1 w/a-2
	mv w/x w/b-2
	touch -r s w
	[ "$(stat -c %h w/a-2 w/b-2 | paste -sd ' ')" = "2 2" ]
	run -16 --separate-stderr verify pairs.tar.zst w
	[ "$output" = "$(printf 'links: %s: not the same file as its target\n' a-2 b-2)" ]
}

@test "xattr: of a directory, and of the root" {
	setfattr -n user.more -v x v/css
	finds "xattr: css: user.more"
	setfattr -x user.more v/css
	setfattr -n user.more -v x v
	finds "xattr: .: user.more"
}

@test "xattr: a capability that the bundle does not have, which a fill takes away" {
	fill b.tar.zst v
	setfattr -n security.capability -v 0x0100000200200000000000000000000000000000 v/css/numbers
	finds "xattr: css/numbers: security.capability"
	fill b.tar.zst v
	verify b.tar.zst v --extra
	refute getfattr -n security.capability v/css/numbers
}

@test "xattr: one that is missing, one that differs, one too many" {
	setfattr -n user.note -v there v/index.html
	finds "xattr: index.html"
	setfattr -x user.note v/index.html
	finds "xattr: index.html"
	setfattr -n user.note -v here v/index.html
	verify b.tar.zst v
	setfattr -n user.more -v x v/index.html
	finds "xattr: index.html"
}

@test "all differences come, in the same order with one thread and with eight" {
	"$maketree" 5 big 150
	pack big big.tar.zst --preserve-owner
	mkdir w
	fill big.tar.zst w
	find w -name '*7*' -type f -exec sh -c 'echo more >>"$1"' - {} \;
	find w -name '*3*' -type f -exec chmod 0111 {} +
	find w -name '*5*' ! -type d -delete
	run -16 --separate-stderr verify big.tar.zst w --extra --threads 1
	one=$output
	[ "${#lines[@]}" -gt 10 ]
	for _ in 1 2 3; do
		run -16 --separate-stderr verify big.tar.zst w --extra --threads 8
		[ "$output" = "$one" ]
	done
}

@test "names are escaped" {
	mkdir odd w
	touch "$(printf 'odd/new\nline')" "$(printf 'odd/\xff\\x')" odd/café
	pack odd odd.tar.zst
	run -16 --separate-stderr verify odd.tar.zst w
	grep -qxF 'missing: new\x0aline' <<<"$output"
	grep -qxF 'missing: \xff\\x' <<<"$output"
	grep -qxF 'missing: café' <<<"$output"
}

@test "a volume that decant never saw can be verified, and gets nothing written to it" {
	before=$(find v -printf '%p %i %C@\n' | sort)
	verify b.tar.zst v
	[ ! -e v/.decant ]
	[ "$before" = "$(find v -printf '%p %i %C@\n' | sort)" ]
}

@test "a read-only mount can be verified" {
	mkdir ro
	mount --bind v ro
	mount -o remount,ro,bind ro
	verify b.tar.zst ro
	echo other >v/index.html
	run -16 verify b.tar.zst ro
}

@test "any user can verify what it can read; owners are then not compared" {
	chown -R 7:7 v
	chmod 0755 . ..
	setpriv --reuid 1000 --regid 1000 --clear-groups "$decant" verify --dest v b.tar.zst
	chmod 0600 v/index.html
	run -15 --separate-stderr setpriv --reuid 1000 --regid 1000 --clear-groups "$decant" verify --dest v b.tar.zst
}

@test "the bundle may come through a pipe" {
	cat b.tar.zst | "$decant" verify --dest v -
	echo other >v/none
	run -16 bash -c 'cat b.tar.zst | "$0" verify --dest v -' "$decant"
	[[ $output == *none* ]]
}

@test "--log json has a summary" {
	echo other >v/none
	run -16 --separate-stderr "$decant" verify --log json --dest v b.tar.zst
	jq -es 'map(select(.event == "verified")) | length == 1' <<<"$stderr"
}

@test "verify of a file that grows or is cut while it is read ends" {
	run -16 --separate-stderr timeout 10 bash -c ': >v/css/numbers; "$0" verify --dest v b.tar.zst' "$decant"
}

@test "SIGTERM ends a verify whose output nobody reads, whichever thread writes" {
	mkdir s void
	(cd s && seq -f 'f%06g' 1 40000 | xargs touch)
	pack s b
	mkfifo pipe
	"$decant" verify --threads 4 --dest void b >pipe 2>err &
	pid=$!
	exec 8<pipe
	sleep 1
	kill -TERM "$pid"
	for ((i = 0; i < 20; i++)); do
		kill -0 "$pid" 2>/dev/null || break
		sleep 0.1
	done
	kill -KILL "$pid" 2>/dev/null || :
	status=0
	wait "$pid" || status=$?
	exec 8<&-
	[[ $status -eq 143 ]]
}

@test "the name of an attribute cannot make up a line" {
	setfattr -n $'user.a\nextra: forged\e[31m' v/index.html
	run -16 --separate-stderr "$decant" verify --dest v b.tar.zst
	[[ $output == 'xattr: index.html: user.a\x0aextra: forged\x1b[31m is not in the bundle' ]]
	cp -a v other
	setfattr -n $'user.b\nforged' other/index.html
	pack other other.tar.zst
	run -16 --separate-stderr "$decant" verify --dest v other.tar.zst
	refute grep -q '^forged' <<<"$output"
}

@test "more attributes than the kernel can list are not taken for none" {
	truncate -s 400M xfs.img
	mkfs.xfs -q xfs.img
	mkdir x
	mount -o loop xfs.img x
	fill b.tar.zst x
	many() { # FILE
		perl -e 'print "# file: $ARGV[0]\n", map { sprintf "user.%0200d=\"\"\n", $_ } 1 .. 700' "$1" | setfattr --restore=-
	}
	many x/none
	run -11 --separate-stderr "$decant" verify --dest x b.tar.zst
	says x/none "list xattrs: has more or longer"
	fill b.tar.zst x
	verify b.tar.zst x
	# A directory is not made anew.
	many x/css
	run -11 --separate-stderr "$decant" fill --dest x b.tar.zst
	says x/css "set xattr: has more or longer"
	rm -r x/css
	fill b.tar.zst x
	verify b.tar.zst x
}

@test "attributes that cannot be listed are an error" {
	status=0
	strace -qq -o trace -e trace=flistxattr -e inject=flistxattr:error=EIO \
		"$decant" verify --threads 1 --dest v b.tar.zst >out 2>err || status=$?
	[[ $status -eq 13 ]]
	grep -q 'list xattrs: I/O error' err
}

@test "an error of any call of a verify does not make a wrong volume pass for a right one" {
	damage v/css/numbers 77
	touch -r "$BATS_FILE_TMPDIR/tree/css/numbers" v/css/numbers
	strace -qq -o trace "$decant" verify --threads 1 --dest v b.tar.zst >out 2>err || [ $? -eq 16 ]
	sed -n 's/^\([a-z][a-z0-9_]*\)(.*/\1/p' trace | grep -vE '^(execve|exit.*|arch_prctl|set_tid_address)$' |
		awk '{ print $1, ++n[$1] }' >all
	[ "$(wc -l <all)" -gt 80 ]
	grep -E '^(fstat|fstatat|newfstatat|statx|pread64|openat|openat2|flistxattr|read|readlink.*) ' all >todo
	[ "$(wc -l <todo)" -gt 30 ]
	[ -z "$DECANT_TEST_ALL" ] || cp all todo
	while read -r call when; do
		status=0
		strace -qq -o trace -e trace="$call" -e inject="$call:error=EIO:when=$when" \
			"$decant" verify --threads 1 --dest v b.tar.zst >out 2>err || status=$?
		grep -q INJECTED trace
		[ "$status" -eq 13 ] || [ "$status" -eq 16 ] || [[ $status -eq 1 && $call == mmap ]] || {
			echo "EIO at $call $when: exit $status: $(cat out err)"
			return 1
		}
	done <todo
}

@test "an error of any call of a verify does not make a right volume pass for a wrong one" {
	mkdir s w
	echo x >s/a
	ln s/a s/b
	ln -s a s/l
	mkdir s/d
	ln s/a s/d/c
	setfattr -n user.k -v value s/a
	setfattr -n user.k -v value s/d
	pack s b
	fill b w
	strace -qq -o trace "$decant" verify --threads 1 --dest w b
	sed -n 's/^\([a-z][a-z0-9_]*\)(.*/\1/p' trace |
		grep -E '^(fstat|fstatat|newfstatat|statx|pread64|openat2|flistxattr|fgetxattr|read|readlink.*)$' |
		awk '{ print $1, ++n[$1] }' >todo
	[ "$(grep -cE 'openat2|readlink|fgetxattr|newfstatat' todo)" -gt 12 ]
	while read -r call when; do
		for error in EIO:13 EMFILE:1; do
			status=0
			strace -qq -o trace -e trace="$call" -e inject="$call:error=${error%:*}:when=$when" \
				"$decant" verify --threads 1 --dest w b >out 2>err || status=$?
			grep -q INJECTED trace
			[ "$status" -eq "${error#*:}" ] || { [ "$status" -eq 0 ] && echo "$call" >>passed; } || {
				echo "$error at $call $when: exit $status: $(cat out err)"
				return 1
			}
		done
	done <todo
	# Not one that looks at what is compared: what cannot be found out by the way is only done otherwise.
	refute grep -E 'pread64|flistxattr|fgetxattr|readlink' passed
}

@test "names of attributes that no call takes: a file system that lists them is refused, and nothing is overrun" {
	local hex
	# What a server's file system may say: names of 260 and of 405 bytes, and a list without its last NUL.
	for n in 255 400; do
		hex=757365722e$(printf '41%.0s' $(seq "$n"))00
		for command in verify fill; do
			status=0
			strace -qq -o trace -e trace=flistxattr -e inject=flistxattr:retval=$((n + 6)):poke_exit=@arg2=$hex \
				"$decant" $command --threads 1 --dest v b.tar.zst >out 2>err || status=$?
			grep -q INJECTED trace || [ "$command" = fill ] # which may look at no file
			[ "$command $status" = "$command 11" ] || [ "$command $status" = 'fill 0' ]
		done
	done
	touch v/css v/none # the fill looks now
	run -11 --separate-stderr strace -qq -o trace -e trace=flistxattr \
		-e inject=flistxattr:retval=406:poke_exit=@arg2=$hex "$decant" fill --threads 1 --dest v b.tar.zst
	says "more or longer"
	status=0
	strace -qq -o trace -e trace=flistxattr -e inject=flistxattr:retval=8:poke_exit=@arg2=757365722e414243ffffffff \
		"$decant" verify --threads 1 --dest v b.tar.zst >out 2>err || status=$?
	[ "$status" -eq 16 ]
	grep -q 'user.ABC is not in the bundle' out err
}

@test "what goes away while it is compared is not taken for a matter of spelling, where .decant may not be looked into" {
	rm -rf s v
	mkdir s v
	echo x >s/file
	pack s b.b
	fill b.b v
	chmod 777 .
	user=(setpriv --reuid 1000 --regid 1000 --clear-groups)
	within_reach
	"${user[@]}" strace -qq -o trace -e trace=openat2 "$decant" verify --threads 1 --dest v - <b.b
	at=$(grep -n '"file"' trace | cut -d : -f 1)
	run -11 --separate-stderr "${user[@]}" strace -qq -o trace -e trace=openat2 \
		-e inject="openat2:error=ENOENT:when=$at" "$decant" verify --threads 1 --dest v - <b.b
	says "v/file: open: No such file or directory"
}
