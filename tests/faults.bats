#!/usr/bin/env bats
# What fails under a fill: calls, space, permissions, the process itself. Each ends in a non-zero exit with one
# clear line, and the next fill makes the volume right.

load helpers
load inject

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
	[[ $1 == fresh ]] || fill "$BATS_FILE_TMPDIR/one.tar.zst" v --sync
}

# The next fill makes the volume right, with nothing left over.
converges() {
	fill "$BATS_FILE_TMPDIR/two.tar.zst" v || return 1
	verify "$BATS_FILE_TMPDIR/two.tar.zst" v --extra 2>>log || {
		cat log >&2
		return 1
	}
	same_tree "$BATS_FILE_TMPDIR/two" v || return 1
	[[ -z $(ls -A v/.decant/tmp) ]] || return 1
	[[ -z $(find v/.decant -name 'journal-*') ]]
}

# May a fill that meets ERROR in the call of this line of a trace say 0? Where not, it would have to notice, and a look
# at the tree would not tell: what is in memory is right, whatever became of the disk.
done_without() { # fresh|refill ERROR LINE
	local kind=$1 error=$2 line=$3 path
	case $line in
	# What an older kernel, a filter or a container does not have.
	openat2\(*'"."'* | landlock_* | prctl\(* | capget\(* | capset\(* | mprotect\(* | close_range\(* | ioctl\(*) return ;;
	open\('"/proc/'* | open\('"/dev/null"'* | read\(*'</proc/'*) return ;;
	# They cannot fail, or only where nothing comes of it.
	geteuid\(* | getpid\(* | prlimit64\(* | umask\(* | munmap\(* | rt_sig* | fcntl\(*F_SETFD* | mmap\(*PROT_NONE*) return ;;
	brk\(*) return ;; # then it is mmap
	utimensat\(*'/lock>'*) return ;; # tells how much of a time the volume keeps, where nothing else does
	fadvise64\(*) return ;; # what memory has of a file is right, but for a disk that failed before
	newfstatat\(*'"first"'*) return ;; # only with journals does it say anything
	# May others rename in that directory? Then its link is made aside.
	fstat\(*'/v/css>'*) [[ $kind == fresh ]] && return ;;
	# What is left in tmp the next fill removes.
	getdents64\(*'/.decant/tmp'* | openat\(*'/.decant/tmp>, "."'* | unlinkat\(*'/.decant/tmp'*) return ;;
	# Standard error.
	poll\(* | write\(2\<* | fstat\(2\<*) return ;;
	# Does the volume ignore case, or forms of Unicode? And what is found then: directories' attributes are looked at
	# before and after.
	openat2\(*'".decant", {flags='*'O_PATH'* | fstat\(*'/.decant>'* | newfstatat\(*'/.decant>, "'*) return ;;
	newfstatat\(*'".DECANT"'* | openat\(*'"\303\251"'* | flistxattr\(*) return ;;
	# Of what nothing was written to.
	close\(*)
		path=${line#*<} path=${path%%>*}
		[[ $error == EINTR || -d $path || $path != "$PWD/v/"* || $path == */lock || $path == *'/\303\251' || $line == *'(deleted)'* ]] && return
		# A refill writes aside.
		[[ $kind == refill && $path != */.decant/* ]] && return
		;;
	esac
	# A journal that cannot be taken over is written anew.
	[[ $kind == refill && $line =~ ^openat\(.*\"journal-.*O_RDWR ]] && return
	# It is made again.
	[[ $error == EINTR && $line =~ ^(flock|read|pread64|pwrite64)\( ]] && return
	# What cannot be compared is made anew. index.html is all that is opened for that.
	[[ $kind == refill && $line == newfstatat\(* ]] && return
	[[ $kind == refill && $line =~ ^(openat2\(.*\"index\.html\"|(fstat|pread64)\(.*/index\.html\>) ]]
}

# Each error at each place of a fill: CODE and one line where the fill does not do without the call; a fill that says 0
# has made the tree; the next fill is right. A line of the table for each error.
each_place() { # fresh|refill STEP ERROR:CODE...
	local kind=$1 step=$2 rule error place line n=0 bad
	local -A tried=() harmless=() reported=() count=()
	shift 2
	prepare "$kind"
	places "$BATS_FILE_TMPDIR/two.tar.zst" --sync >all
	[[ $(wc -l <all) -gt 150 ]]
	# The errors take turns, so that a thin run, too, has all of them.
	for rule; do
		while read -r place; do echo "$rule $place"; done <all | awk -v n="$((n++))" '{ print NR, n, $0 }'
	done | sort -n -k 1 -k 2 | cut -d ' ' -f 3- | thin "$step" >todo
	# None of these is left out: only they tell what became of what was written.
	while read -r line; do
		place=${line%%(*}
		count[$place]=$((${count[$place]:-0} + 1))
		done_without "$kind" EIO "$line" || echo "EIO:13 $place:${count[$place]}"
	done < <(grep -E '^(fsync|syncfs|close)\(' places.trace) >writes
	[[ $(grep -c close writes) -gt 3 && $(grep -c sync writes) -ge 3 ]]
	cat writes >>todo
	while read -r rule place; do
		error=${rule%%:*}
		prepare "$kind"
		inject "$BATS_FILE_TMPDIR/two.tar.zst" "$place" "error=$error" --sync
		[[ $injected -eq 1 ]] || continue
		bad=
		tried[$error]=$((${tried[$error]:-0} + 1))
		if [[ $status -eq 0 ]]; then
			harmless[$error]=$((${harmless[$error]:-0} + 1))
			line=$(grep INJECTED trace)
			verify "$BATS_FILE_TMPDIR/two.tar.zst" v --extra >said 2>&1 || bad="0 with a wrong tree"
			done_without "$kind" "$error" "$line" || bad="0 in spite of $line"
		else
			reported[$error]=$((${reported[$error]:-0} + 1))
			# For want of memory.
			[[ $place != mmap:* && $place != brk:* ]] || rule=$error:1
			[[ $status -eq ${rule#*:} && $(grep -c '^decant: .*: .*: .' err) -eq 1 ]] || bad="wrong code or line"
		fi
		[[ -n $bad ]] || converges >said 2>&1 || bad="the next fill does not make it right: $(cat said)"
		[[ -z $bad ]] || {
			printf '%s, %s at %s: %s: exit %s: %s\n' "$kind" "$error" "$place" "$bad" "$status" "$(cat err)" >&2
			return 1
		}
	done <todo
	for rule; do
		error=${rule%%:*}
		printf '# %-6s %-6s  tried %4d  done without %4d  reported %4d  right after the next fill %4d\n' "$kind" \
			"$error" "${tried[$error]:-0}" "${harmless[$error]:-0}" "${reported[$error]:-0}" "${tried[$error]:-0}" >&3
		# A fault that was never made, or that nothing came of, was not tested.
		[[ ${tried[$error]:-0} -gt 3 && ${reported[$error]:-0} -gt 0 ]]
	done
}

@test "an error of any call of a first fill is reported or does no harm, and the next fill is right" {
	each_place fresh 37 ENOSPC:12 EDQUOT:12 EIO:13 EINTR:13
}

@test "an error of any call of a refill is reported or does no harm, and the next fill is right" {
	each_place refill 53 ENOSPC:12 EDQUOT:12 EIO:13 EINTR:13
}

@test "reads and writes that all come out short do no harm" {
	for kind in fresh refill; do
		prepare "$kind"
		"$top/build/tests/shorten" "$decant" fill --threads 3 --dest v "$BATS_FILE_TMPDIR/two.tar.zst" 2>err
		[[ $(sed -n 's/^shortened: //p' err) -gt 30 ]]
		verify "$BATS_FILE_TMPDIR/two.tar.zst" v --extra
		"$top/build/tests/shorten" "$decant" verify --dest v "$BATS_FILE_TMPDIR/two.tar.zst" 2>err
		converges
	done
	rm -rf v
	mkdir v
	"$top/build/tests/shorten" "$decant" fill --threads 3 --dest v - <"$BATS_FILE_TMPDIR/two.tar.zst" 2>err
	converges
}

@test "calls that are interrupted again and again do no harm" {
	for kind in fresh refill; do
		for call in pread64 pwrite64 flock read; do
			prepare "$kind"
			local bundle=$BATS_FILE_TMPDIR/two.tar.zst
			[[ $call != read ]] || bundle=-
			cat "$BATS_FILE_TMPDIR/two.tar.zst" | strace -f -qq -o trace -e trace="$call" \
				-e inject="$call:error=EINTR:when=1+2" "$decant" fill --dest v "$bundle" 2>err
			grep -q INJECTED trace
			converges
		done
	done
}

@test "killed in the middle, then filled from the release before, then again: nothing is left of the new one" {
	for when in 2 4 6 8; do
		prepare refill
		inject "$BATS_FILE_TMPDIR/two.tar.zst" "renameat:$when" signal=KILL
		[[ $status -eq 137 ]]
		fill "$BATS_FILE_TMPDIR/one.tar.zst" v
		verify "$BATS_FILE_TMPDIR/one.tar.zst" v --extra
		converges
	done
}

@test "while a refill is staging, the volume holds the old release, whole" {
	for when in 1 2 3; do
		prepare refill
		inject "$BATS_FILE_TMPDIR/two.tar.zst" "pwrite64:$when" signal=KILL
		[[ $status -eq 137 ]]
		verify "$BATS_FILE_TMPDIR/one.tar.zst" v --extra
	done
}

# A volume of its own with OPTIONS, empty or with the release before, in which no more than that fits.
small_volume() { # fresh|refill OPTIONS
	mount_tmpfs v size=40M
	[[ $1 == fresh ]] || fill "$BATS_FILE_TMPDIR/one.tar.zst" v
	mount -o "remount,$2" v
}

@test "a volume that is too small is refused before anything is written" {
	small_volume fresh size=2M
	run -12 --separate-stderr "$decant" fill --dest v "$BATS_FILE_TMPDIR/two.tar.zst"
	says "v: check space" bytes needed free
	[[ $(ls -A v) == .decant ]]
	# What killed fills left in tmp is removed first, for its room.
	[[ $(ls -A v/.decant | paste -sd ' ') == "lock tmp é" ]]
	[[ -z $(ls -A v/.decant/tmp) ]]
	umount v
	small_volume refill size=6M
	run -12 --separate-stderr "$decant" fill --dest v "$BATS_FILE_TMPDIR/two.tar.zst"
	says "v: check space" bytes needed free
	verify "$BATS_FILE_TMPDIR/one.tar.zst" v --extra
	[[ $(ls -A v/.decant | sort | tr '\n' ' ') == "lock state tmp é " ]]
}

@test "a volume without enough inodes is refused before anything is written" {
	mount_tmpfs v size=20M,nr_inodes=8
	run -12 --separate-stderr "$decant" fill --dest v "$BATS_FILE_TMPDIR/two.tar.zst"
	says inodes
	[[ $(ls -A v) == .decant ]]
	umount v
	mount_tmpfs v size=20M,nr_inodes=17
	fill "$BATS_FILE_TMPDIR/one.tar.zst" v
	touch -r v before
	: >v/taken
	touch -r before v
	run -12 --separate-stderr "$decant" fill --dest v "$BATS_FILE_TMPDIR/two.tar.zst"
	says inodes
	verify "$BATS_FILE_TMPDIR/one.tar.zst" v
}

@test "room that the file system has yet to count is no reason to refuse, and is asked for once" {
	prepare fresh
	# As btrfs does until it commits: f_type, f_bsize, and of 1,000,000 blocks none is free.
	local none
	none=@arg2=9419020100000000001000000000000040420f0000000000$(printf '00%.0s' {1..16})
	run -12 --separate-stderr strace -qq -o trace -e trace=fstatfs,syncfs -e inject=fstatfs:poke_exit="$none" \
		"$decant" fill --dest v "$BATS_FILE_TMPDIR/two.tar.zst"
	says "bytes needed, 0 free"
	[[ $(sed 's/(.*//' trace | paste -sd ,) == fstatfs,syncfs,fstatfs ]]
	strace -qq -o trace -e trace=fstatfs,syncfs -e inject=fstatfs:when=1:poke_exit="$none" \
		"$decant" fill --dest v "$BATS_FILE_TMPDIR/two.tar.zst"
	grep -q f_bfree=0 trace
	converges
	# Where there is room nothing is flushed.
	strace -qq -o trace -e trace=fstatfs,syncfs "$decant" fill --dest v "$BATS_FILE_TMPDIR/one.tar.zst"
	refute grep syncfs trace
}

@test "a volume that fills up all the same is 12, and is right once there is room" {
	mount_tmpfs v size=3M
	run -12 --separate-stderr "$decant" fill --no-space-check --dest v "$BATS_FILE_TMPDIR/two.tar.zst"
	says "No space left on device"
	mount -o remount,size=30M v
	converges
	umount v
	small_volume refill size=6M
	run -12 --separate-stderr "$decant" fill --no-space-check --dest v "$BATS_FILE_TMPDIR/two.tar.zst"
	says "No space left on device"
	# It was still staging: the release before is whole, and what was staged takes no room.
	[[ -z $(ls -A v/.decant/tmp) ]]
	verify "$BATS_FILE_TMPDIR/one.tar.zst" v --extra
	mount -o remount,size=30M v
	converges
}

@test "a volume that runs out of inodes, some more each time, is 12 until there are enough" {
	for kind in fresh refill; do
		local refused=0 inodes step=2
		[ -z "$DECANT_TEST_ALL" ] || step=1
		for ((inodes = 3; inodes < 60; inodes += step)); do
			mount_tmpfs v size=30M
			[[ $kind == fresh ]] || fill "$BATS_FILE_TMPDIR/one.tar.zst" v
			# A file system may not have fewer inodes than it uses.
			mount -o "remount,nr_inodes=$inodes" v 2>said || {
				umount v
				continue
			}
			status=0
			"$decant" fill --no-space-check --dest v "$BATS_FILE_TMPDIR/two.tar.zst" 2>err || status=$?
			[[ $status -eq 0 || ($status -eq 12 && $(grep -c '^decant: .*: .*: .' err) -eq 1) ]]
			[[ $status -eq 0 ]] || refused=$((refused + 1))
			mount -o remount,nr_inodes=1000 v
			converges
			umount v
			[[ $status -ne 0 ]] || break
		done
		echo "# $kind: $refused numbers of inodes too small, the volume right after each" >&3
		[[ $refused -gt 2 && $inodes -lt 60 ]]
	done
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

@test "without a call that an older kernel or a filter refuses the volume comes out the same" {
	for error in ENOSYS EPERM; do
		for calls in openat2 landlock openat2,landlock,statx,copy_file_range; do
			for kind in fresh refill; do
				prepare "$kind"
				"$top/build/tests/refuse" "$error" "$calls" "$decant" fill --dest v "$BATS_FILE_TMPDIR/two.tar.zst"
				"$top/build/tests/refuse" "$error" "$calls" "$decant" verify --extra --dest v "$BATS_FILE_TMPDIR/two.tar.zst"
				converges
			done
		done
	done
	prepare fresh
	strace -f -qq -o trace -e trace=prctl -e inject=prctl:error=EPERM \
		"$decant" fill --dest v "$BATS_FILE_TMPDIR/two.tar.zst"
	grep -q INJECTED trace
	converges
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

@test "directories whose owners root may not give are 15 as well, but for the volume's own root" {
	mkdir -p s/d v
	pack s owned.tar.zst --owner 101:101
	run -15 --separate-stderr setpriv --bounding-set=-all --inh-caps=-all "$decant" fill --dest v owned.tar.zst
	says v/d: "set owner"
}

@test "SIGTERM ends a fill between two pieces of a file" {
	mkdir s v
	yes 'a long text that packs well' | head -c 120000000 >s/large
	pack s large.tar.zst
	[[ $("$decant" info large.tar.zst | sed -n 's/^frames: //p') -gt 20 ]]
	strace -f -qq -o trace -e trace=pwrite64 -e inject=pwrite64:delay_enter=100000 \
		"$decant" fill --threads 1 --dest v large.tar.zst 2>err &
	until [[ $(grep -cs DELAYED trace) -ge 4 ]]; do sleep 0.02; done
	kill -TERM "$(sed -n '1s/ .*//p' trace)"
	began=$(date +%s%N)
	status=0
	wait $! || status=$?
	[[ $status -eq 143 ]]
	[[ $((($(date +%s%N) - began) / 1000000)) -lt 1000 ]]
}

@test "a kernel that is unsure where a path led is asked again, but not for ever" {
	for kind in fresh refill; do
		prepare "$kind"
		strace -f -qq -o trace -e trace=openat2 -e inject=openat2:error=EAGAIN:when=2..4 \
			"$decant" fill --threads 1 --dest v "$BATS_FILE_TMPDIR/two.tar.zst" 2>err
		[[ $(grep -c INJECTED trace) -eq 3 ]]
		converges
		prepare "$kind"
		status=0
		timeout -s KILL 20 strace -f -qq -o trace -e trace=openat2 -e inject=openat2:error=EAGAIN:when=2+ \
			"$decant" fill --threads 1 --dest v "$BATS_FILE_TMPDIR/two.tar.zst" 2>err || status=$?
		[[ $status -eq 13 && $(grep -c '^decant: .*: .*: .' err) -eq 1 ]]
		converges
	done
}
