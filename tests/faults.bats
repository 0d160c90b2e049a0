#!/usr/bin/env bats
# What fails under a fill: calls, space, permissions, the process itself. Each ends in a non-zero exit with one
# clear line, and the next fill makes the volume right.

load helpers

setup_file() {
	cd "$BATS_FILE_TMPDIR"
	small_tree one
	head -c 5000000 /dev/urandom >one/large
	ln one/large one/css/large
	cp -a one two
	rm -r two/css/numbers two/none
	seq 5 >two/none.html
	printf '<h1>two</h1>\n' >two/index.html
	head -c 4900000 /dev/urandom >two/large
	mkdir two/new
	seq 100 >two/new/n
	"$decant_pack" --quiet -o one.tar.zst one
	"$decant_pack" --quiet -o two.tar.zst two
}

# A volume "v" as it is before the fill under test: nothing, or the release before.
prepare() { # fresh|refill
	rm -rf v
	mkdir v
	[[ $1 == fresh ]] || fill "$BATS_FILE_TMPDIR/one.tar.zst" v
}

# Fill "v" from two with strace's --inject RULES; the exit status is in $status, the error in err.
inject() { # RULE [OPTION...]
	local rule=$1
	shift
	status=0
	# One thread, because strace counts calls by thread.
	strace -f -o trace -e "trace=${rule%%:*}" -e "inject=$rule" "$decant" fill --threads 1 --dest v "$@" \
		"$BATS_FILE_TMPDIR/two.tar.zst" 2>err || status=$?
}

# The next fill makes the volume right, with nothing left over.
converges() {
	fill "$BATS_FILE_TMPDIR/two.tar.zst" v
	verify "$BATS_FILE_TMPDIR/two.tar.zst" v --extra 2>>log || {
		cat log >&2
		return 1
	}
	same_tree "$BATS_FILE_TMPDIR/two" v
	[[ -z $(ls -A v/.decant/tmp) ]]
	[[ -z $(find v/.decant -name 'journal-*') ]]
}

@test "ENOSPC, EDQUOT, EIO and EMFILE at any call of a fill end in the right code and one line" {
	for kind in fresh refill; do
		for rule in openat:ENOSPC:12 pwrite64:ENOSPC:12 pwrite64:EDQUOT:12 pwrite64:EIO:13 renameat:EIO:13 \
			utimensat:EIO:13 mkdirat:ENOSPC:12 linkat:EIO:13 close:EIO:13 fstat:EIO:13 openat2:EIO:13 \
			openat:EMFILE:13 symlinkat:EDQUOT:12 pread64:EIO:13; do
			IFS=: read -r call error code <<<"$rule"
			for when in 1 3 7; do
				prepare "$kind"
				inject "$call:error=$error:when=$when"
				# Not every fill makes so many calls; and some calls may fail without harm.
				[[ $status -eq 0 ]] || {
					[[ $status -eq $code && $(grep -c '^decant: .*: .*: .' err) -eq 1 ]] || {
						echo "$kind $rule at $when: exit $status: $(cat err)" >&2
						return 1
					}
				}
				converges || {
					echo "$kind $rule at $when" >&2
					return 1
				}
			done
		done
	done
}

@test "writes that return short and calls that are interrupted do no harm" {
	prepare fresh
	inject pwrite64:error=EINTR:when=2+3
	[[ $status -eq 0 ]]
	converges
	prepare fresh
	inject pread64:error=EINTR:when=2+2
	[[ $status -eq 0 ]]
	converges
}

@test "killed at any call, the next fill makes the volume right" {
	survived=0
	for kind in fresh refill; do
		for call in openat openat2 pwrite64 mkdirat renameat linkat unlinkat utimensat fchmod symlinkat close flock; do
			for when in 1 2 4 8 16; do
				prepare "$kind"
				inject "$call:signal=KILL:when=$when"
				[[ $status -eq 0 || $status -eq 137 ]]
				[[ $status -ne 137 ]] || survived=$((survived + 1))
				converges || {
					echo "$kind: killed at $call $when" >&2
					return 1
				}
			done
		done
	done
	echo "# $survived kills survived" >&3
	[[ $survived -ge 60 ]]
}

@test "killed in the middle, then filled from the release before, then again: nothing is left of the new one" {
	for when in 2 4 6 8; do
		prepare refill
		inject "renameat:signal=KILL:when=$when"
		[[ $status -eq 137 ]]
		fill "$BATS_FILE_TMPDIR/one.tar.zst" v
		verify "$BATS_FILE_TMPDIR/one.tar.zst" v --extra
		converges
	done
}

@test "while a refill is staging, the volume holds the old release, whole" {
	for when in 1 2 3; do
		prepare refill
		inject "pwrite64:signal=KILL:when=$when"
		[[ $status -eq 137 ]]
		verify "$BATS_FILE_TMPDIR/one.tar.zst" v --extra
	done
}

@test "a volume that is too small is refused before anything is written" {
	mount_tmpfs v size=2M
	run -12 --separate-stderr "$decant" fill --dest v "$BATS_FILE_TMPDIR/two.tar.zst"
	says "v: check space" bytes needed free
	[[ $(ls -A v) == .decant ]]
	[[ $(ls -A v/.decant) == lock ]]
}

@test "a volume without enough inodes is refused before anything is written" {
	mount_tmpfs v size=20M,nr_inodes=8
	run -12 --separate-stderr "$decant" fill --dest v "$BATS_FILE_TMPDIR/two.tar.zst"
	says inodes
	[[ $(ls -A v) == .decant ]]
}

@test "a volume that fills up all the same is 12, and is right once there is room" {
	mount_tmpfs v size=3M
	run -12 --separate-stderr "$decant" fill --no-space-check --dest v "$BATS_FILE_TMPDIR/two.tar.zst"
	says "No space left on device"
	mount -o remount,size=30M v
	converges
}

@test "a read-only volume is 11, with a line that says so" {
	mount_tmpfs v size=20M,ro
	run -11 --separate-stderr "$decant" fill --dest v "$BATS_FILE_TMPDIR/two.tar.zst"
	says "Read-only file system"
}

@test "a few descriptors and little memory are enough" {
	prepare fresh
	(
		ulimit -n 16
		fill "$BATS_FILE_TMPDIR/two.tar.zst" v
	)
	converges
	prepare fresh
	(
		ulimit -v 65536
		fill "$BATS_FILE_TMPDIR/two.tar.zst" v --threads 2
	)
	converges
}

@test "closed standard streams end up in no file" {
	prepare fresh
	"$decant" fill --dest v "$BATS_FILE_TMPDIR/two.tar.zst" <&- >&- 2>&-
	converges
	prepare fresh
	"$decant" fill --dest v "$BATS_FILE_TMPDIR/two.tar.zst" 2>/dev/full
	converges
}

@test "SIGTERM ends a fill with 143 within a second, also as process 1" {
	mkfifo pipe
	mkdir v w
	"$decant" fill --dest v - <pipe 2>err &
	pid=$!
	exec 7>pipe
	head -c 5000 "$BATS_FILE_TMPDIR/two.tar.zst" >&7
	sleep 0.3
	kill -TERM "$pid"
	began=$(date +%s%N)
	status=0
	wait "$pid" || status=$?
	[[ $status -eq 143 ]]
	[[ $((($(date +%s%N) - began) / 1000000)) -lt 1000 ]]
	[[ $(cat err) == "decant: decant: stop: "* ]]

	unshare --pid --fork --kill-child sh -c 'exec "$1" fill --dest w - <pipe' sh "$decant" 2>err &
	pid=$!
	sleep 0.5
	child=$(pgrep -P "$pid")
	kill -TERM "$child"
	status=0
	wait "$pid" || status=$?
	exec 7>&-
	[[ $status -eq 143 ]]
}

@test "without openat2 the volume comes out the same" {
	for error in ENOSYS EPERM; do
		prepare fresh
		inject "openat2:error=$error"
		[[ $status -eq 0 ]]
		verify "$BATS_FILE_TMPDIR/two.tar.zst" v --extra
		prepare refill
		inject "openat2:error=$error"
		[[ $status -eq 0 ]]
		converges
	done
}

@test "without Landlock and without prctl the volume comes out the same" {
	prepare fresh
	inject landlock_create_ruleset:error=ENOSYS
	[[ $status -eq 0 ]]
	converges
	prepare fresh
	inject prctl:error=EPERM
	[[ $status -eq 0 ]]
	converges
}

@test "symbolic links planted in the place of directories and files lead nowhere" {
	mkdir outside
	echo canary >outside/canary
	for fallback in '' ENOSYS; do
		prepare refill
		rm -r v/css
		ln -s "$PWD/outside" v/css
		ln -sf "$PWD/outside/canary" v/index.html
		rm v/large
		ln outside/canary v/large
		if [[ -n $fallback ]]; then
			inject "openat2:error=$fallback"
			[[ $status -eq 0 ]]
		fi
		converges
		[[ $(cat outside/canary) == canary ]]
		[[ $(ls -A outside) == canary ]]
	done
}

@test "while another process swaps directories for links, nothing outside the volume changes" {
	mkdir -p outside/css outside/new
	echo canary >outside/css/a.css
	find outside -printf '%p %m %U %T@ %C@ %s\n' | sort >before
	cat >swap.pl <<'END'
require "syscall.ph" if 0;
my ($v, $out) = @ARGV;
symlink "$out/css", "$v/.swap";
# renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE)
while (1) { syscall 316, -100, "$v/css", -100, "$v/.swap", 2; }
END
	for fallback in '' openat2:error=ENOSYS; do
		prepare refill
		perl swap.pl "$PWD/v" "$PWD/outside" &
		swapper=$!
		for b in two one two one two one; do
			if [[ -n $fallback ]]; then
				strace -f -o trace -e trace=openat2 -e "inject=$fallback" "$decant" fill --prune all --dest v \
					"$BATS_FILE_TMPDIR/$b.tar.zst" 2>>err || [[ $? -eq 11 ]]
			else
				"$decant" fill --prune all --dest v "$BATS_FILE_TMPDIR/$b.tar.zst" 2>>err || [[ $? -eq 11 ]]
			fi
			"$decant" verify --dest v "$BATS_FILE_TMPDIR/$b.tar.zst" >>out 2>&1 || [[ $? -eq 16 || $? -eq 11 ]]
		done
		kill "$swapper"
		wait "$swapper" || [[ $? -eq 143 ]]
		find outside -printf '%p %m %U %T@ %C@ %s\n' | sort | diff before -
		rm -f v/.swap
		[[ ! -L v/css ]] || rm v/css
		converges
	done
}

@test "forged and planted things in .decant do no harm" {
	echo canary >canary
	for plant in 'ln -s "$PWD/canary" v/.decant/state' 'mkfifo v/.decant/state' 'mkdir -p v/.decant/state/deep' \
		'head -c 100000 /dev/urandom >v/.decant/state' 'ln -s "$PWD" v/.decant/tmp' 'mkfifo v/.decant/tmp' \
		'mkdir -p v/.decant/tmp/a/b/c; touch v/.decant/tmp/a/b/c/d' ': >v/.decant/state' \
		'ln -s "$PWD/canary" v/.decant/journal-00000000000000000000000000000000' \
		'mkdir v/.decant/journal-x' 'truncate -s 5G v/.decant/state'; do
		prepare refill
		rm -rf v/.decant/state v/.decant/tmp
		eval "$plant"
		# Without its state the volume's older files are strangers.
		fill "$BATS_FILE_TMPDIR/two.tar.zst" v --prune all
		converges || {
			echo "planted: $plant" >&2
			return 1
		}
		[[ $(cat canary) == canary ]]
	done
	prepare refill
	rm v/.decant/lock
	ln -s "$PWD/canary" v/.decant/lock
	run -11 --separate-stderr "$decant" fill --dest v "$BATS_FILE_TMPDIR/two.tar.zst"
	says lock
	[[ $(cat canary) == canary ]]
}

@test "as any user, without capabilities, a fill works and owners stay that user's" {
	mkdir v
	chown 4321:4321 v
	chmod 755 .
	setpriv --reuid 4321 --regid 4321 --clear-groups --bounding-set=-all --no-new-privs \
		"$decant" fill --dest v - <"$BATS_FILE_TMPDIR/two.tar.zst"
	setpriv --reuid 4321 --regid 4321 --clear-groups "$decant" verify --extra --dest v - <"$BATS_FILE_TMPDIR/two.tar.zst"
	[[ $(stat -c %u:%g v/index.html) == 4321:4321 ]]
}

@test "a volume that this user may not write is 15" {
	mkdir v
	run -15 --separate-stderr setpriv --reuid 4321 --clear-groups "$decant" fill --dest v "$BATS_FILE_TMPDIR/two.tar.zst"
	says "Permission denied"
}

@test "owners that root may not give without CAP_CHOWN are 15, and say so" {
	pack "$BATS_FILE_TMPDIR/one" owned.tar.zst --owner 101:101
	mkdir v
	run -15 --separate-stderr setpriv --bounding-set=-all --inh-caps=-all "$decant" fill --dest v owned.tar.zst
	says "set owner"
}
