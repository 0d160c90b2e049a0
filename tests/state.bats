#!/usr/bin/env bats
# What .decant says, and for how long it is believed.

load helpers
load inject

setup_file() {
	cd "$BATS_FILE_TMPDIR"
	small_tree one
	cp -a one two
	printf '<h1>two</h1>\n' >two/index.html
	rm two/none
	mkdir one/old
	echo old >one/old/file
	pack one one.b
	pack two two.b
	# An index of more than 100 kB, of names that do not pack.
	mkdir many
	(cd many && head -c 180000 /dev/urandom | od -An -v -tx1 -w30 | tr -d ' ' | xargs touch)
	pack many many.b
	echo x >many/0
	pack many other.b
}

setup() {
	cd "$BATS_TEST_TMPDIR"
	one=$BATS_FILE_TMPDIR/one.b
	two=$BATS_FILE_TMPDIR/two.b
	many=$BATS_FILE_TMPDIR/many.b
	mkdir v
}

# decant after a start of the machine.
booted() { # COMMAND BUNDLE [OPTION...]
	local command=$1 bundle=$2
	shift 2
	[[ -s boot ]] || cat /proc/sys/kernel/random/uuid >boot
	unshare -m sh -c 'mount --bind "$1" /proc/sys/kernel/random/boot_id; shift; exec "$@"' sh "$PWD/boot" \
		"$decant" "$command" --dest v "$@" "$bundle" 2>log || {
		cat log >&2
		return 1
	}
}

# Leave 40 kB of volume "v".
leave_little() {
	local free
	free=$(($(stat -f -c '%a * %S' v) - 40960))
	head -c "$free" /dev/zero >v/filler
	[[ $(stat -c %s v/filler) -eq $free ]]
}

@test "a volume with less room than the index is filled again: after a start, with --sync, and to mend it" {
	mount_tmpfs v size=4m
	fill "$many" v
	leave_little
	[[ $(stat -c %s v/.decant/state) -gt 100000 ]]
	kept=$(stat -c %i v/.decant/state)
	booted fill "$many"
	[[ $(summary written) -eq 0 ]]
	booted verify "$many"
	fill "$many" v --sync
	grep -q ': unchanged: ' log
	[[ $(stat -c %i-%a v/.decant/state) == "$kept-600" && $(ls v/.decant | paste -sd ,) == lock,state,tmp,é ]]
	# A file that is wrong costs no room for the index, either.
	for first in v/*; do [[ $first == v/filler ]] || break; done
	rm "$first"
	fill "$many" v
	[[ $(summary written) -eq 1 ]]
	verify "$many" v
	# Another bundle has no index there.
	run -12 --separate-stderr "$decant" fill --dest v "$BATS_FILE_TMPDIR/other.b"
	says "check space"
	verify "$many" v
	# What is not the same is not taken over, and not written to.
	damage v/.decant/state 1000
	cp v/.decant/state before
	run -12 "$decant" fill --dest v "$many"
	cmp before v/.decant/state
}

@test "a first fill that was killed at its end, and left less room than the index, is made good" {
	for from in file pipe damaged; do
		mount_tmpfs v size=4m
		at=$(places "$many" | grep utimensat | tail -n 1) # the root's time, the last of all
		rm -rf v/* v/.decant
		inject "$many" "$at" signal=KILL
		[[ $status -eq 137 && -e v/.decant/first && ! -e v/.decant/state ]] || {
			cat trace
			return 1
		}
		kept=$(stat -c %i v/.decant/journal-*)
		# One that is not whole is not used.
		if [[ $from == damaged ]]; then damage v/.decant/journal-* 1000; else leave_little; fi
		if [[ $from == file ]]; then fill "$many" v; else "$decant" fill --dest v - <"$many"; fi
		verify "$many" v
		if [[ $(stat -c %i v/.decant/state) == "$kept" ]]; then got=kept; else got=new; fi
		[[ $got-$from == kept-file || $got-$from == kept-pipe || $got-$from == new-damaged ]]
		[[ $(ls v/.decant | paste -sd ,) == lock,state,tmp,é ]]
		fill "$many" v
		grep -q ': unchanged: ' log
		umount v
	done
}

@test "a persistent volume that a kubelet gave to a group is filled again, and its .decant closed" {
	for user in 0 1000; do
		rm -rf v
		mkdir v
		as=(setpriv --reuid "$user" --regid "$user" --clear-groups)
		[[ $user -eq 0 ]] || as=(setpriv --reuid "$user" --regid "$user" --groups 7777)
		chown $user v
		kubelet
		"${as[@]}" "$decant" fill --dest v - <"$one"
		kubelet
		[[ $(stat -c '%a %g' v/.decant v/.decant/state | paste -sd ,) == "2770 7777,660 7777" ]]
		"${as[@]}" "$decant" fill --dest v - <"$two" 2>log || {
			cat log
			return 1
		}
		# What the state named went, too.
		[[ $(summary removed) -eq 3 && ! -e v/old ]]
		"${as[@]}" "$decant" verify --extra --dest v - <"$two"
		[[ $(stat -c %a v/.decant v/.decant/state v/.decant/tmp | paste -sd ,) == 700,600,700 ]]
		"${as[@]}" "$decant" fill --dest v - <"$two" 2>log
		grep -q ': unchanged: ' log
		kubelet
		"${as[@]}" "$decant" fill --dest v - <"$two"
		"${as[@]}" "$decant" verify --extra --dest v - <"$two"
	done
}

# Content that changed, with the right time, and a state that has seen it.
lie() {
	touch -r v/css/numbers stamp
	damage v/css/numbers 100
	touch -r stamp v/css/numbers
	perl -0777 -pe 'substr($_, 60, 8) = pack("q<", time + 1)' v/.decant/state | "$top/build/tests/resum" state >forged
	cat forged >v/.decant/state
}

@test "a state is not believed where others could write to .decant since the last fill that ended" {
	fill "$one" v
	lie
	fill "$one" v
	grep -q ': unchanged: ' log # it can lie, at all
	for mode in 770 777 702; do
		chmod $mode v/.decant
		fill "$one" v
		[[ $(summary written) -eq 1 ]]
		verify "$one" v --extra
		[[ $(stat -c %a v/.decant) == 700 ]]
		lie
		# A fill that failed in between has not made it good.
		chmod $mode v/.decant
		for call in flock:1 renameat:3; do
			inject "$one" "$call" error=EIO
			[[ $status -eq 13 && $injected -eq 1 ]] || {
				echo "$call: exit $status: $(cat err)" >&2
				return 1
			}
		done
		[[ $(stat -c %a v/.decant) == 1700 ]]
		fill "$one" v
		[[ $(summary written) -eq 1 && $(stat -c %a v/.decant) == 700 ]]
		verify "$one" v --extra
		lie
	done
	# Nor one that others can write themselves, nor does it become the journal.
	chmod 0775 v
	chmod 0660 v/.decant/state
	fill "$one" v
	[[ $(summary written) -eq 1 && $(stat -c %a v/.decant/state) == 600 ]]
	verify "$one" v --extra
}

@test "a state that a group can write names what goes only where that group may write to the volume's root" {
	for case in "0 7777 660 0775 gone" "0 7777 660 0755 stays" "0 7777 660 1775 stays" "0 7778 660 0775 stays" \
		"0 7777 666 0775 stays" "5 7777 660 0775 stays"; do
		read -r owner group mode root want <<<"$case"
		rm -rf v
		mkdir v
		fill "$one" v
		chown "$owner:7777" v/.decant/state
		chmod "$mode" v/.decant/state
		chgrp 7777 v/old
		chmod 0775 v/old
		chgrp "$group" v
		chmod "$root" v
		fill "$two" v
		verify "$two" v
		if [[ -e v/old/file ]]; then got=stays; else got=gone; fi
		[[ $got == "$want" ]] || {
			echo "$case: $got" >&2
			return 1
		}
	done
}

@test "by a state that it can write a group removes nothing from where it could not by hand" {
	mkdir s forged
	echo x >s/file
	pack s b.b
	chgrp 7777 v
	fill b.b v
	cp -a s forged/s
	mkdir -p forged/s/{private,closed}/inner forged/s/theirs forged/s/sticky
	for dir in private private/inner closed/inner theirs sticky; do echo x >forged/s/$dir/file; done
	pack forged/s f.b
	for dir in private private/inner closed/inner theirs sticky; do
		mkdir -p v/$dir
		echo precious >v/$dir/file
	done
	fill f.b forged
	chgrp -R 7777 v
	chmod 0775 v v/theirs v/private/inner v/closed/inner
	chmod 0705 v/closed
	chmod 0750 v/private
	chmod 1775 v/sticky
	chmod 0660 v/.decant/state
	cat forged/.decant/state >v/.decant/state
	pack s again.b --revision 2
	fill again.b v
	for dir in private closed/inner sticky; do [[ -e v/$dir/file ]]; done
	[[ ! -e v/theirs && ! -e v/private/inner/file ]]
	verify again.b v
}

@test "after a kill in a volume that a group could write to, what was made and set aside goes, too" {
	for place in mkdirat:2 renameat:6; do
		rm -rf v
		mkdir v
		chgrp 7777 v
		chmod 2775 v
		fill "$two" v
		kubelet
		inject "$one" "$place" signal=KILL
		[[ $injected -eq 1 ]]
		printf '%s: ' "$place" && ls v/.decant v/.decant/tmp | paste -sd ' '
		fill "$two" v
		verify "$two" v --extra
		[[ $(ls v/.decant | paste -sd ,) == lock,state,tmp,é && -z $(ls v/.decant/tmp) ]]
	done
}

@test "what stays in tmp hides nothing that a fill needs" {
	chmod 777 .
	chown 1000 v
	as=(setpriv --reuid 1000 --regid 1000 --clear-groups)
	"${as[@]}" "$decant" fill --dest v - <"$two"
	mkdir v/.decant/tmp/trash-x{1..6000}
	printf '%s/x\n' v/.decant/tmp/trash-x* | xargs touch
	for n in {0..20} journal; do (umask 0; echo x >v/.decant/tmp/$n; chown 1000 v/.decant/tmp/$n); done
	"${as[@]}" "$decant" fill --dest v - <"$one"
	"${as[@]}" "$decant" verify --dest v - <"$one"
	[[ $(ls v/.decant/tmp | wc -l) -eq 6000 ]]
}

@test "what a group plants where decant looks whether names are folded goes with the next fill, whatever it is" {
	for planted in 'mkdir -p NAME/in' 'touch NAME' 'ln -s / NAME'; do
		chgrp 7777 v
		fill "$one" v
		kubelet
		(cd v/.decant && ${planted/NAME/$'e\u0301'})
		fill "$two" v
		[[ $(ls v/.decant | paste -sd ,) == lock,state,tmp,é ]]
		verify "$two" v
		rm -rf v/* v/.decant
	done
}

@test "a state that a group has made to need more memory than there is, or hours, counts as none" {
	chgrp 7777 v
	# A catalog of 256 MiB, the format's limit, that packs to some KB.
	head -c 268435456 /dev/zero | zstd -q --stream-size=268435456 >catalog
	{
		head -c 17 /dev/zero
		perl -e 'print pack("a8 v v V V V V V x32 x16 x8", "decant\x1a\n", 1, 0, 1, 0, 1, 1 << 28, $ARGV[0])' \
			"$(stat -c %s catalog)"
		cat catalog
	} | "$top/build/tests/resum" bundle >large
	# 15 GB of blocks, and the names of 8,000,000 files.
	"$top/build/tests/heavybundle" 2000 30000 >long
	"$top/build/tests/heavybundle" 31000 0 >many
	# 200,000,000 hard links, says the catalog.
	"$top/build/tests/heavybundle" 2000 30000 0 100000 >links
	for planted in large:300 long:300 many:25000 links:300; do
		fill "$one" v
		kubelet
		head -c 84 v/.decant/state >bomb
		perl -e 'read STDIN, $_, 17; $size = unpack "x13 V"; local $/; $_ = <STDIN>; print $size ? substr $_, 0, $size : $_' \
			<${planted%:*} >>bomb
		cat bomb >v/.decant/state
		strace -f -qq -o trace -e trace=mmap,pread64 "$decant" fill --threads 1 --dest v "$two"
		verify "$two" v
		# What is too much is not even begun: of the last one 256 MiB of small blocks.
		[[ $(wc -l <trace) -lt ${planted#*:} ]]
		refute grep -E 'mmap\(NULL, [0-9]{9}' trace
	done
}

# As uid 65534, which a user namespace shows for each owner that it has no number for, of a namespace that has no other.
nobody() { # COMMAND...
	unshare --user --map-user=65534 --map-group=65534 "$@"
}

@test "an owner that the user namespace has no number for is nobody of ours: not in .decant, not of files" {
	chmod 777 .
	mkdir s
	echo good >s/file
	touch -d @1000000000 s/file
	pack s s.b
	# What belongs to it is its own.
	nobody "$decant" fill --dest v - <s.b
	nobody "$decant" verify --extra --dest v - <s.b
	nobody "$decant" fill --dest v - <s.b 2>log
	grep -q ': unchanged: ' log
	# Somebody else's is not.
	rm -rf v
	mkdir -m 1777 v
	within_reach
	setpriv --reuid 2000 --regid 2000 --clear-groups bash -c '"$0" fill --dest v - && echo evil >v/file && touch -d @1000000000 v/file
		sleep 0.05; chmod -R a+rX v/.decant && chmod 666 v/.decant/lock' "$decant" <s.b
	status=0
	nobody "$decant" fill --dest v - <s.b 2>err || status=$?
	[[ $status -eq 11 ]]
	grep -q 'v/.decant: open: belongs to, or can be written by, somebody else$' err
	# As root of a namespace: a file that has, it seems, the owner that the bundle says.
	pack s nobody.b --owner 65534:65534
	rm -rf v
	mkdir v
	cp -a s/file v/file
	chown 2000:2000 v/file
	touch -r s v
	for command in fill:15 verify:16; do
		status=0
		unshare --user --map-root-user "$decant" ${command%:*} --dest v - <nobody.b >out 2>err || status=$?
		[[ $status -eq ${command#*:} ]] || {
			echo "$command: $status: $(cat err)" >&2
			return 1
		}
	done
	grep -qx 'owner: file: one without a number here' out
	# Where all owners are mapped, so is this one.
	rm -rf v
	mkdir v
	fill nobody.b v
	verify nobody.b v
	setpriv --bounding-set -all --inh-caps -all -- "$decant" verify --dest v nobody.b
}

@test "what a group has put into .decant while it could is in the way of no later fill" {
	chmod 777 .
	as=(setpriv --reuid 1000 --regid 1000 --groups 7777)
	group=(setpriv --reuid 2000 --regid 7777 --clear-groups)
	for plant in 'mkdir tmp/0 tmp/1 tmp/2 tmp/3 tmp/4; touch tmp/{0,1,2,3,4}/x; chmod 555 tmp/?' \
		'mkdir tmp/journal tmp/journal/x; chmod 555 tmp/journal' \
		'rm state; mkdir -m 555 state' 'rm state; mkdir first' 'rm state; mkfifo first' 'rm state; ln -s x first' \
		'cd tmp; for n in {0..20} journal current trash-{0..9000}; do echo $n; done | xargs mkdir; touch {0..20}/x journal/x trash-*/x
			chmod 555 {0..20} journal trash-*' \
		'touch switched' 'mv tmp t2; mkdir tmp' 'rm state; echo x >state; chmod 600 state' \
		'echo x >journal-00000000000000000000000000000000; chmod 600 journal-*' \
		'mkdir -m 555 journal-'"$("$decant" info "$two" | sed -n 's/^bundle: //p')"; do
		for user in root other; do
			rm -rf v
			mkdir v
			run=()
			[[ $user == root ]] || run=("${as[@]}")
			[[ $user == root ]] || chown 1000 v
			"${run[@]}" "$decant" fill --dest v - <"$one"
			kubelet
			[[ $plant != *first* ]] || rm -rf v/*
			(cd v/.decant && "${group[@]}" bash -c "$plant")
			"${run[@]}" "$decant" fill --dest v - <"$two" || {
				echo "$plant, $user" >&2
				return 1
			}
			"${run[@]}" "$decant" verify --dest v - <"$two"
			"${run[@]}" "$decant" fill --dest v - <"$two" 2>log
			grep -q ': unchanged: ' log
		done
	done
}

@test "a directory of somebody else's with many names gives way within little memory" {
	mkdir s
	echo x >s/a
	pack s s.b
	mkdir v/a
	(cd v/a && seq -f "%0250.0f" 40000 | xargs touch)
	"$top/build/tests/peak" "$decant" fill --threads 1 --dest v s.b 2>log
	[[ $(sed -n 's/^peak: \([0-9]*\) KiB$/\1/p' log) -lt 10000 ]]
	[[ $(cat v/a) == x && -z $(ls -A v/.decant/tmp) ]]
	verify s.b v --extra
}

@test "an owner that the user namespace has no number for is 15" {
	mkdir s
	echo x >s/file
	ln -s x s/link
	pack s whole.b --owner 77:77
	rm s/file
	pack s link.b --owner 77:77
	for bundle in whole link; do
		status=0
		unshare --user --map-root-user "$decant" fill --dest v "$bundle.b" 2>err || status=$?
		[[ $status -eq 15 && $(grep -c 'set owner: its owner has no number here$' err) -eq 1 ]] || {
			echo "exit $status: $(cat err)" >&2
			return 1
		}
		rm -rf v/* v/.decant
	done
}

# The answer of statfs(2) on x86-64: blocks of 1 MiB, 8 of them free.
forged_space() {
	local field
	for field in 1 1048576 100 8 8 0 0 0 255 1048576 0 0 0 0 0; do
		perl -e 'print unpack("H*", pack("q<", $ARGV[0]))' "$field"
	done
}

@test "a refill of small files fits where the file system counts in MiB" {
	[[ $(uname -m) == x86_64 ]] || skip "the layout of x86-64"
	mkdir s
	for ((n = 0; n < 40; n++)); do echo 1 >s/$n; done
	pack s 1.b
	for ((n = 0; n < 40; n++)); do echo other >s/$n; done
	pack s 2.b
	head -c 9000000 /dev/urandom >s/large
	pack s 3.b
	fill 1.b v
	status=0
	run -12 --separate-stderr strace -qq -o trace -e trace=fstatfs \
		-e inject=fstatfs:retval=0:poke_exit=@arg2="$(forged_space)" "$decant" fill --dest v 3.b
	says "check space" "8388608 free"
	strace -qq -o trace -e trace=fstatfs -e inject=fstatfs:retval=0:poke_exit=@arg2="$(forged_space)" \
		"$decant" fill --dest v 2.b
	grep -q INJECTED trace
	verify 2.b v --extra
}

@test "--sync flushes the removal of the old release's journal, too" {
	fill "$one" v --sync
	strace -qq -y -f -o trace -e trace=fsync,renameat,unlinkat "$decant" fill --sync --dest v "$two"
	awk '/unlinkat.*"journal-/ { at = NR } /fsync.*\.decant>/ { flushed = NR } END { exit !(at && flushed > at) }' trace
}

@test "a journal that could not be removed does not pass for the last release" {
	for n in a b c; do
		mkdir s$n
		echo $n | tee s$n/index >s$n/only-$n
		pack s$n $n.b
	done
	for when in 1 2 3 4 5; do
		rm -rf v
		fill a.b v --create
		strace -f -qq -o trace -e trace=unlinkat -e inject=unlinkat:error=EIO:when=$when \
			"$decant" fill --threads 1 --dest v b.b || :
		"$decant" verify --extra --dest v b.b || continue # not come that far
		strace -f -qq -o trace -e trace=renameat -e inject=renameat:error=ENOSPC:when=3 \
			"$decant" fill --threads 1 --keep-releases 1 --dest v c.b || [ $? -eq 12 ]
		fill c.b v --keep-releases 1
		echo "$when: $(ls v | paste -sd ' ')" >>seen
	done
	[ "$(wc -l <seen) $(sed 's/.*: //' seen | sort -u)" = '3 index only-b only-c' ]
}
