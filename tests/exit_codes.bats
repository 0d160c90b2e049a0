#!/usr/bin/env bats
# Every exit code, provoked once. Each error is one line, the last one, with object, action and reason.

load helpers

setup_file() {
	cd "$BATS_FILE_TMPDIR"
	small_tree tree
	pack tree b.tar.zst
}

setup() {
	cd "$BATS_TEST_TMPDIR"
	cp -a "$BATS_FILE_TMPDIR/tree" "$BATS_FILE_TMPDIR/b.tar.zst" .
	mkdir v
}

@test "0: done and checked" {
	"$decant" fill --dest v b.tar.zst
	"$decant" verify --dest v b.tar.zst
	"$decant" list b.tar.zst
	"$decant" info b.tar.zst
	"$decant" info v
	"$decant" --help
	"$decant" --version
	"$decant_pack" --help
	"$decant_pack" --version
}

@test "1: no memory, no descriptors" {
	head -c 9000000 /dev/urandom >tree/big
	pack tree big.tar.zst
	run -1 --separate-stderr bash -c 'ulimit -v 5000; exec "$0" fill --threads 1 --dest v big.tar.zst' "$decant"
	says "memory"
	run -1 --separate-stderr bash -c 'ulimit -n 9; exec "$0" fill --threads 1 --dest v big.tar.zst' "$decant"
	says "file descriptors"
}

@test "2: usage" {
	for words in "--no-such-option" "fill --threads" "fill --threads 0" "fill --threads x" "fill --threads -1" \
		"fill --prune some --dest v b.tar.zst" "fill --log xml --dest v b.tar.zst" "verify --prune all b.tar.zst" \
		"list" "list b.tar.zst b.tar.zst" "info" "fill --lock-timeout -1 --dest v b.tar.zst" \
		"fill --expect zz --dest v b.tar.zst" "fill --dest v b.tar.zst b.tar.zst" "fill --dest" \
		"fill --progress loud --dest v b.tar.zst" "list --extra b.tar.zst" "fill --dest v - -"; do
		# shellcheck disable=SC2086 # words
		run --separate-stderr "$decant" $words </dev/null
		echo "$words: $status $stderr"
		[ "$status" -eq 2 ]
		says
	done
	# It is the option that is told, also behind a bundle.
	for words in "fill b.tar.zst --bogus" "fill b.tar.zst --threads" "list b.tar.zst --sync" "fill --dest v b.tar.zst -x"; do
		# shellcheck disable=SC2086 # words
		run -2 --separate-stderr "$decant" $words
		[[ $stderr == "decant: ${words##* }: usage: "* ]]
	done
	run -2 --separate-stderr "$decant_pack" tree --bogus -o b
	[[ $stderr == 'decant-pack: --bogus: usage: '* ]]
	run -2 --separate-stderr "$decant" fill --dest '' b.tar.zst
	for number in ' 1' +1 -1 ' -18446744073709551615' 1x ''; do
		run -2 --separate-stderr "$decant" fill --threads "$number" --dest v b.tar.zst
		says
	done
	for words in "" "--no-such-option tree" "tree tree" "--level 0 tree" "--level 20 tree" "--level 23 --ultra tree" \
		"--level x tree" "--owner nobody tree" "--owner 1 tree" "--owner 1: tree" "--owner 5000000000:0 tree" \
		"--owner 1:1 --preserve-owner tree" "--threads 0 tree" "--dest relative -o x.tar.zst tree" \
		"--dest /a/../b -o x.tar.zst tree" "-o"; do
		# shellcheck disable=SC2086 # words
		run --separate-stderr "$decant_pack" $words
		echo "decant-pack $words: $status $stderr"
		[ "$status" -eq 2 ]
		says
	done
	[ ! -e x.tar.zst ]
	[ -z "$(ls -A v)" ]
}

@test "10: the bundle is damaged" {
	damage b.tar.zst 200
	run -10 --separate-stderr "$decant" fill --dest v b.tar.zst
	says b.tar.zst
	[ -z "$(ls -A v)" ]
	run -10 --separate-stderr "$decant" verify --dest v b.tar.zst
	run -10 --separate-stderr "$decant" list b.tar.zst
	run -10 --separate-stderr "$decant" info b.tar.zst
}

@test "10: it is no bundle at all" {
	: >empty
	echo text >text
	tar --zstd -cf plain.tar.zst tree
	head -c 100000 /dev/zero >zeros
	for file in empty text plain.tar.zst zeros; do
		run -10 --separate-stderr "$decant" fill --dest v "$file"
		says "$file"
	done
	[ -z "$(ls -A v)" ]
}

@test "10: its name leads to a directory, or to nothing" {
	run --separate-stderr "$decant" fill --dest v tree
	[ "$status" -eq 10 ] || [ "$status" -eq 13 ] || [ "$status" -eq 2 ]
	says tree
	run --separate-stderr "$decant" fill --dest v not-there.tar.zst
	[ "$status" -ne 0 ]
	says not-there.tar.zst "No such file"
}

@test "10: its name leads nowhere at all" {
	ln -s loop loop
	touch plain
	local long
	long=$(printf 'n%.0s' {1..300})
	perl -e 'use IO::Socket::UNIX; IO::Socket::UNIX->new(Local => "socket", Listen => 1) or die'
	for name in plain/b.tar.zst loop "$long" socket; do
		for command in 'fill --dest v' 'verify --dest v' list info; do
			# shellcheck disable=SC2086 # a command and its options
			run -10 --separate-stderr "$decant" $command "$name"
			says "decant: ${name:0:20}"
			refute grep -q swapped <<<"$stderr"
		done
	done
	# The directory that an image has bundles in.
	unshare -m bash -c 'mount -t tmpfs none /opt && mkdir /opt/root && cp "$1" /opt/root/decant && echo x >/opt/root/bundle &&
		exec chroot /opt/root /decant' - "$decant" 2>err || status=$?
	[ "$status" -eq 10 ]
	grep -q '^decant: /bundle: read directory: Not a directory$' err
}

@test "11: the volume is missing, a file, a link" {
	run -11 --separate-stderr "$decant" fill --dest missing b.tar.zst
	says missing
	echo file >file
	run -11 --separate-stderr "$decant" fill --dest file b.tar.zst
	says file
	ln -s v link
	run -11 --separate-stderr "$decant" fill --dest link b.tar.zst
	says link
	run -11 --separate-stderr "$decant" fill --create --dest link b.tar.zst
	run -11 --separate-stderr "$decant" verify --dest link b.tar.zst
	run -11 --separate-stderr "$decant" info v
	[ -z "$(ls -A v)" ]
}

@test "11: the volume is mounted read-only" {
	mount_tmpfs ro ro,size=1m
	run -11 --separate-stderr "$decant" fill --dest ro b.tar.zst
	says ro "Read-only file system"
}

@test "11: the source has a fifo" {
	mkfifo tree/css/pipe
	run -11 --separate-stderr "$decant_pack" -o new.tar.zst tree
	says tree/css/pipe fifo --skip-special
	[ ! -e new.tar.zst ]
}

@test "12: no space, known before the first write" {
	"$maketree" 1 big 10
	pack big big.tar.zst
	mount_tmpfs small size=4m
	run -12 --separate-stderr "$decant" fill --dest small big.tar.zst
	says small
	[ -z "$(find small -mindepth 1 -path small/.decant -prune -o -mindepth 1 -print)" ]
	run -12 --separate-stderr bash -c '"$0" fill --dest small - <big.tar.zst' "$decant"
}

@test "12: no space, found while writing" {
	"$maketree" 1 big 10
	pack big big.tar.zst --no-xattrs
	mount_tmpfs small size=4m
	run -12 --separate-stderr "$decant" fill --no-space-check --dest small big.tar.zst
	says small/ "No space left on device"
	mount -o remount,size=100m small
	"$decant" fill --dest small big.tar.zst
	verify big.tar.zst small
}

@test "12: no inodes left" {
	"$maketree" --plain 500 many
	pack many many.tar.zst
	mount_tmpfs small size=100m,nr_inodes=200
	run -12 --separate-stderr "$decant" fill --dest small many.tar.zst
	says small
	run -12 --separate-stderr "$decant" fill --no-space-check --dest small many.tar.zst
	says small
}

@test "12: over quota" {
	run -12 --separate-stderr strace -f -qq -o trace -e inject=write,pwrite64:error=EDQUOT \
		"$decant" fill --dest v b.tar.zst
}

@test "13: a write fails" {
	run -13 --separate-stderr strace -f -qq -o trace -e inject=pwrite64,copy_file_range,pwritev:error=EIO:when=1+ \
		"$decant" fill --dest v b.tar.zst
	says v "I/O error"
	"$decant" fill --dest v b.tar.zst
	verify b.tar.zst v
}

@test "13: the bundle cannot be read" {
	run -13 --separate-stderr strace -f -qq -o trace -e inject=pread64,preadv:error=EIO \
		"$decant" fill --dest v b.tar.zst
	says b.tar.zst "I/O error"
}

@test "14: somebody else keeps the lock" {
	"$decant" fill --dest v b.tar.zst
	exec 7<v/.decant/lock
	flock 7
	run -14 --separate-stderr "$decant" fill --lock-timeout 0 --dest v b.tar.zst
	says v lock
	began=$SECONDS
	run -14 --separate-stderr "$decant" fill --lock-timeout 2 --dest v b.tar.zst
	[ $((SECONDS - began)) -ge 1 ] && [ $((SECONDS - began)) -le 5 ]
}

@test "15: the volume is not ours to write" {
	run -15 --separate-stderr setpriv --reuid 1000 --regid 1000 --clear-groups "$decant" fill --dest v b.tar.zst
	says v "Permission denied"
}

@test "15: the source has a file that cannot be read" {
	chmod 0 tree/css/a.css
	mkdir -m 0777 out
	run -15 --separate-stderr setpriv --reuid 1000 --regid 1000 --clear-groups \
		"$decant_pack" -o out/new.tar.zst tree
	says tree/css/a.css "Permission denied"
	[ -z "$(ls -A out)" ]
}

@test "15: root that may not give files away" {
	chown 1000:1000 v
	pack tree owned.tar.zst --owner 1234:1234
	run -15 --separate-stderr setpriv --bounding-set -chown --inh-caps -chown "$decant" fill --dest v owned.tar.zst
	says v "Operation not permitted"
}

@test "16: the volume is not what the bundle says" {
	"$decant" fill --dest v b.tar.zst
	echo other >v/index.html
	run -16 --separate-stderr "$decant" verify --dest v b.tar.zst
	grep -q ': index.html' <<<"$output"
}

@test "143: SIGTERM while a pipe is slow" {
	mkfifo pipe
	"$decant" fill --dest v - <pipe 2>log &
	pid=$!
	exec 8>pipe
	head -c 100 b.tar.zst >&8
	sleep 0.3
	began=$(date +%s%N)
	kill -TERM "$pid"
	status=0
	wait "$pid" || status=$?
	[ "$status" -eq 143 ]
	[ $(($(date +%s%N) - began)) -lt 1000000000 ]
}

@test "130 and 129: SIGINT and SIGHUP" {
	for signal in INT:130 HUP:129; do
		rm -f pipe
		mkfifo pipe
		env --default-signal setsid "$decant" fill --dest v - <pipe 2>log &
		pid=$!
		exec 8>pipe
		sleep 0.3
		kill "-${signal%:*}" "$pid"
		status=0
		wait "$pid" || status=$?
		exec 8>&-
		[ "$status" -eq "${signal#*:}" ]
	done
}

@test "below nohup SIGHUP ends no fill, and SIGTERM does" {
	small_tree s
	pack s b.tar.zst
	mkfifo pipe
	env --ignore-signal=HUP setsid "$decant" fill --dest v - <pipe 2>log &
	pid=$!
	exec 8>pipe
	sleep 0.3
	kill -HUP "$pid"
	cat b.tar.zst >&8
	exec 8>&-
	wait "$pid"
	verify b.tar.zst v
	env --ignore-signal=HUP setsid "$decant" fill --dest v - <pipe 2>log &
	pid=$!
	exec 8>pipe
	sleep 0.3
	kill -TERM "$pid"
	status=0
	wait "$pid" || status=$?
	exec 8>&-
	[ "$status" -eq 143 ]
}

@test "143: SIGTERM while an index of gigabytes, from a bundle of megabytes, is checked" {
	"$top/build/tests/heavybundle" 2000 >heavy
	for command in "fill --dest v" "verify --dest v" info list; do
		# shellcheck disable=SC2086 # words
		"$decant" $command heavy >said 2>err &
		pid=$!
		sleep 0.5
		kill -TERM "$pid"
		for ((i = 0; i < 20; i++)); do
			kill -0 "$pid" 2>/dev/null || break
			sleep 0.1
		done
		kill -KILL "$pid" 2>/dev/null || :
		status=0
		wait "$pid" || status=$?
		[[ $status -eq 143 ]] || {
			echo "$command: exit $status" >&2
			return 1
		}
	done
}

@test "143: SIGTERM that the parent had blocked" {
	mkfifo pipe
	perl -MPOSIX -e 'sigprocmask(SIG_BLOCK, POSIX::SigSet->new(SIGTERM)); exec @ARGV' \
		"$decant" fill --dest v - <>pipe 2>log &
	pid=$!
	sleep 0.5
	kill -TERM "$pid"
	sleep 1
	kill -KILL "$pid" 2>/dev/null || :
	status=0
	wait "$pid" || status=$?
	[ "$status" -eq 143 ]
}

@test "0: what follows a bundle for ever is not read by those who need no more of it" {
	mkdir -p v
	"$decant" fill --dest v b.tar.zst
	for command in "fill --dest v" "verify --dest v" info list; do
		# shellcheck disable=SC2086 # words
		timeout 10 "$decant" $command - < <(cat b.tar.zst && yes) >said
	done
}

@test "a path cannot make up a line: its odd bytes are escaped in errors, notes and JSON" {
	bad=$'no\ndecant: v: verified\e[2J'
	for format in text json; do
		run -11 --separate-stderr "$decant" fill --log "$format" --dest "$bad" b.tar.zst
		[ "$(wc -l <<<"$stderr")" -eq 1 ]
		[[ $stderr == *'no\x0adecant: v: verified\x1b[2J'* || $stderr == *'no\\x0adecant: v: verified\\x1b[2J'* ]]
	done
	jq -e --arg bad 'no\x0adecant: v: verified\x1b[2J' '.object == $bad' <<<"$stderr"
	# What is in the bundle.
	mkdir -p odd w
	: >"odd/$bad"
	pack odd odd.tar.zst
	mkdir "w/$bad"
	mount_tmpfs "w/$bad" size=1M
	run -11 --separate-stderr "$decant" fill --dest w odd.tar.zst
	[ "$(wc -l <<<"$stderr")" -eq 1 ]
	[[ $stderr == *'no\x0adecant: v: verified\x1b[2J'* ]]
	umount "w/$bad"
	# A note: as process 1, with a volume that is no mount point.
	mkdir "$bad"
	run -0 --separate-stderr unshare --pid --fork --kill-child "$decant" fill --dest "$bad" b.tar.zst
	[[ ${stderr%%$'\n'*} == 'decant: no\x0adecant: v: verified\x1b[2J: note: '* ]]
	[ "$(wc -l <<<"$stderr")" -eq 2 ]
}
