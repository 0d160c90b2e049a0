#!/usr/bin/env bats
# What others may do with files and directories that are not finished yet: no more than the bundle gives them.

load helpers
load inject

setup_file() {
	cd "$BATS_FILE_TMPDIR"
	mkdir s s/team s/tmp s/hidden s/zz
	echo old >s/old
	pack s old.b
	for name in s/shared s/team/shared s/tmp/shared; do echo shared >$name && chmod 664 $name; done
	for name in s/secret s/team/secret s/hidden/secret; do echo secret >$name && chmod 640 $name; done
	echo tool >s/tool
	chmod 4775 s/tool
	head -c 9000000 /dev/urandom >s/zz/large
	chmod 664 s/zz/large
	mkdir s/new s/new/tmp s/new/hidden
	echo hidden >s/new/hidden/secret
	chmod 640 s/new/hidden/secret
	chmod 775 s/team s/new
	chmod 1777 s/tmp s/new/tmp
	chmod 750 s/hidden s/new/hidden
	pack s new.b --setid
}

setup() {
	cd "$BATS_TEST_TMPDIR"
	cp "$BATS_FILE_TMPDIR"/*.b .
	chmod 711 .
}

# What is of group 5000 in v, whose group shall be 0, gives that group no more than all, and where all may write
# names the sticky bit is set.
nothing_granted() {
	find v -mindepth 1 -path v/.decant -prune -o ! -type l -gid 5000 \
		\( -perm /040 ! -perm /004 -o -perm /020 ! -perm /002 -o -perm /010 ! -perm /001 \) -ls \
		-o -type d -perm /002 ! -perm /1000 -ls >granted
	[[ ! -s granted ]] || {
		cat granted >&2
		return 1
	}
}

# A volume of KIND, and in WHO the group of its fills, if it is not 0.
volume() { # new-setgid|new-egid|old-setgid|old-egid
	rm -rf v
	mkdir -m 755 v
	who=()
	[[ $1 == new-* ]] || fill old.b v
	case $1 in
	*-setgid)
		chgrp 5000 v
		chmod 2755 v
		;;
	*) who=(setpriv --regid 5000 --clear-groups) ;;
	esac
}

@test "whatever group and mode new names get at first, and wherever a fill ends, they grant nobody more than the bundle" {
	for kind in new-setgid new-egid old-setgid old-egid; do
		places=0
		for call in openat mkdirat fchown fchmod renameat; do
			for ((n = 1; ; n++)); do
				volume $kind
				status=0
				{ "${who[@]}" strace -f -qq -o trace -e trace=$call -e inject=$call:signal=KILL:when=$n \
					"$decant" fill --setid --threads 1 --dest v new.b; } 2>err || status=$?
				[[ $status -ne 0 ]] || break
				[[ $status -eq 137 ]]
				nothing_granted
				places=$((places + 1))
			done
			verify new.b v --extra
		done
		echo "# $kind: $places places" >&3
		[[ $places -ge 40 ]]
	done
}

@test "who may not write to a volume, and is of its group, can do no more with it while it is filled" {
	volume new-setgid
	mkfifo pipe
	"$decant" fill --setid --threads 1 --dest v - <pipe 2>err &
	exec 8>pipe
	head -c -1000 new.b >&8
	for ((i = 0; i < 500; i++)); do
		[[ $(stat -c %s v/zz/large 2>/dev/null) -lt 4000000 ]] || break
		sleep 0.02
	done
	# All but the last frame is there.
	[[ -e v/shared && -e v/tmp/shared && -e v/team/shared && -e v/secret ]]
	cat >attack <<-'END'
		for file in v/shared v/team/shared v/tmp/shared v/zz/large v/tool; do true >>$file && echo "wrote $file"; done
		for file in v/secret v/team/secret v/hidden/secret; do cat $file && echo "read $file"; done
		for dir in v v/team v/tmp v/new v/new/tmp; do mv $dir/shared $dir/moved && echo "moved $dir/shared"; done
		true
	END
	setpriv --reuid 1000 --regid 5000 --clear-groups sh attack >did 2>log
	tail -c 1000 new.b >&8
	exec 8>&-
	wait $!
	cat did >&2
	[[ ! -s did ]]
	verify new.b v --extra
}

@test "a directory that comes into a filled volume has owner and mode before anything in it has a name" {
	for as in any bare; do
		rm -rf c
		mkdir c c/d
		pack c old2.b
		echo new >c/d/file
		mkdir c/inner c/inner/deep
		echo new | tee c/inner/file >c/inner/deep/file
		chmod 750 c/inner
		chmod 700 c/inner/deep
		who=()
		if [[ $as == any ]]; then
			chown -R 5000:5000 c/inner
		else
			who=(setpriv --bounding-set -all --inh-caps -all)
		fi
		pack c new2.b --preserve-owner
		places=0
		for ((n = 1; ; n++)); do
			rm -rf v
			mkdir v
			fill old2.b v
			status=0
			{ "${who[@]}" strace -f -qq -o trace -e trace=renameat -e inject=renameat:signal=KILL:when=$n \
				"$decant" fill --threads 1 --dest v new2.b; } 2>err || status=$?
			[[ $status -ne 0 ]] || break
			for dir in inner inner/deep; do
				[[ ! -e v/$dir/file ]] || {
					[[ $(stat -c %u:%g:%a v/$dir) == "$(stat -c %u:%g:%a c/$dir)" ]]
					places=$((places + 1))
				}
			done
		done
		[[ $places -ge 3 ]]
		verify new2.b v --extra
	done
}

@test "a directory whose group changes gives neither group, nor anybody, what neither release gives" {
	mkdir -p r1/d r2/d
	echo same | tee r1/d/file >r2/d/file
	places=0
	for modes in 775:755 755:775 750:750 770:705 705:770 777:750 2775:755 730:703; do
		chown -R 0:2000 r1
		chown -R 0:3000 r2
		chmod "${modes%:*}" r1/d
		chmod "${modes#*:}" r2/d
		pack r1 r1.b --preserve-owner --setid
		pack r2 r2.b --preserve-owner --setid
		old=$((8#${modes%:*})) new=$((8#${modes#*:}))
		for call in fchown fchmod utimensat; do
			for ((n = 1; ; n++)); do
				rm -rf v
				mkdir v
				fill r1.b v --setid
				inject r2.b $call:$n signal=KILL --setid
				((injected)) || break
				read -r group mode < <(stat -c '%g %a' v/d)
				mode=$((8#$mode)) is=$((group == 3000 ? new : old))
				[[ $((mode & ~is & 077)) -eq 0 ]] || {
					echo "$modes, $call $n: $(stat -c '%g %a' v/d)" >&2
					return 1
				}
				places=$((places + 1))
			done
			verify r2.b v --extra
		done
	done
	[[ $places -gt 30 ]]
}

@test "nor does one that is somebody else's at first, by root without CAP_FOWNER" {
	mkdir -p r1/d r2/d
	chown 33:2000 r1/d
	chown 0:3000 r2/d
	chmod 775 r1/d
	chmod 755 r2/d
	pack r1 r1.b --preserve-owner
	pack r2 r2.b --preserve-owner
	places=0
	for call in fchown fchmod; do
		for ((n = 1; ; n++)); do
			rm -rf v
			mkdir v
			fill r1.b v
			status=0
			{ setpriv --bounding-set '-all,+chown,+dac_override' --inh-caps -all strace -f -qq -o trace -e trace=$call \
				-e inject=$call:signal=KILL:when=$n "$decant" fill --threads 1 --dest v r2.b; } 2>err || status=$?
			[[ $status -ne 0 ]] || break
			[[ $(stat -c '%g %a' v/d) == @("2000 775"|"2000 755"|"3000 755") ]]
			places=$((places + 1))
		done
		verify r2.b v --extra
	done
	[[ $places -ge 4 ]]
	# One that does not become root's is left as it is.
	chown 34:3000 r2/d
	chmod 775 r2/d
	pack r2 r2.b --preserve-owner
	rm -rf v
	mkdir v
	fill r1.b v
	run -15 --separate-stderr setpriv --bounding-set '-all,+chown,+dac_override' --inh-caps -all \
		"$decant" fill --dest v r2.b
	says "v/d: set owner: Operation not permitted"
	[[ $(stat -c '%u %g %a' v/d) == "33 2000 775" ]]
}

@test "who may no longer read a file, or a directory, never reads the attributes that it gets with that" {
	for held in yes no; do
		seen=0
		for ((n = 1; ; n++)); do
			rm -rf s v
			mkdir -p s/d v
			echo key >s/f
			chmod 644 s/f
			pack s old.b
			fill old.b v
			[[ $held == yes ]] || rm -r v/.decant
			chmod 600 s/f
			chmod 700 s/d
			setfattr -n user.token -v secret s/f s/d
			pack s new.b
			inject new.b fchmod:$n signal=KILL
			((injected)) || break
			seen=$((seen + 1))
			for name in f d; do
				refute setpriv --reuid 1234 --regid 1234 --clear-groups getfattr --only-values -n user.token v/$name 2>err
			done
		done
		[[ $seen -ge 2 ]]
		verify new.b v --extra
	done
}

@test "a directory whose group may not be changed is left with the mode that it had" {
	mkdir -p r1/d r2/d
	chown 0:0 r1/d
	chown 0:3000 r2/d
	chmod 750 r1/d r2/d
	pack r1 r1.b --preserve-owner
	pack r2 r2.b --preserve-owner
	mkdir v
	fill r1.b v
	run -15 --separate-stderr setpriv --bounding-set -all --inh-caps -all "$decant" fill --dest v r2.b
	says "v/d: set owner"
	[[ $(stat -c %g:%a v/d) == 0:750 ]]
}

@test "a directory that somebody else has come to own is taken back without CAP_FOWNER, too" {
	mkdir -p r1/d
	chmod 750 r1/d
	pack r1 r1.b
	mkdir v
	fill r1.b v
	chown 1000:1000 v/d
	setpriv --bounding-set -all,+chown,+dac_override --inh-caps -all "$decant" fill --dest v r1.b
	verify r1.b v
}

@test "what a file has less than its mode at first, it gets where the volume's habits differ from one to the next" {
	mkdir v m
	for ((n = 0; n < 40; n++)); do
		echo $n >m/$n
		chmod $((n % 4 == 0 ? 664 : n % 4 == 1 ? 640 : n % 4 == 2 ? 604 : 666)) m/$n
		chown $((n % 3)):$((n % 5 * 1000)) m/$n
		head -c 4300000 /dev/urandom >m/large$n
		chmod $((n % 2 ? 664 : 640)) m/large$n
		chgrp $((n % 3 * 1000)) m/large$n
	done
	pack m m.b --preserve-owner
	for mode in 755 2755; do
		for threads in 1 8; do
			rm -rf v
			mkdir v
			chgrp 1000 v
			chmod $mode v
			fill m.b v --threads $threads
			verify m.b v --extra
		done
	done
}
