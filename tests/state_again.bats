#!/usr/bin/env bats
# What a state vouches for, and what was changed since.

load helpers

setup() {
	cd "$BATS_TEST_TMPDIR"
	mkdir v
	small_tree s
	pack s b.tar.zst
}

# Other bytes, of the size and time that the bundle's have.
change() {
	sed -i s/body/bady/ v/css/a.css
	touch -r s/css/a.css v/css/a.css
	touch -r s/css v/css
}

@test "what was changed right after a fill is found, whatever is done to the state then" {
	for touch in true 'chmod 600 v/.decant/state' 'chown root v/.decant/state' 'touch v/.decant/state' \
		'find v -exec chown root:root {} +' 'cp -p v/.decant/state x && cat x >v/.decant/state'; do
		rm -rf v/* v/.decant
		fill b.tar.zst v
		change
		$SHELL -c "$touch"
		for _ in 1 2; do
			fill b.tar.zst v
			verify b.tar.zst v --extra
		done
	done
}

@test "a state's own ctime has no say, and what it has seen is kept unread" {
	fill b.tar.zst v
	sleep 0.02
	chmod 600 v/.decant/state
	strace -qq -y -o trace -e trace=openat,openat2 "$decant" fill --threads 1 --dest v b.tar.zst 2>log
	grep -q ': unchanged: ' log
	refute grep -q 'a.css' trace
}

@test "too little memory for a state that a group could write is a fault, too, and forgets no name of it" {
	mkdir a
	for ((n = 0; n < 900; n++)); do ln -s "$(head -c 3000 /dev/urandom | base64 -w 0 | tr / _ | head -c 4000)" a/l$n; done
	pack a a.b
	: >ended
	for limit in 3000 3500 4000 4500 5000 6000 8000; do
		rm -rf v/* v/.decant
		fill a.b v
		kubelet
		status=0
		(ulimit -v $limit && exec "$decant" fill --threads 1 --dest v b.tar.zst) 2>err || status=$?
		echo $status >>ended
		case $status in
		0) [[ -z $(find v -type l -name 'l*') ]] ;;
		1) grep -q 'memory$' err ;;
		*) cat err >&2 && return 1 ;;
		esac
	done
	[[ $(sort -u ended | paste -sd ,) == 0,1 ]]
}

@test "a mark that a group has planted makes no fill of a bad bundle remove what they could not" {
	mkdir -p old/d new/d
	echo old | tee old/a >old/d/b
	echo newer | tee new/a >new/d/b
	pack old old.tar.zst
	pack new new.tar.zst
	for plant in 'mv state journal-x; : >first' 'mv state journal-x; mkdir first'; do
		rm -rf v
		mkdir v
		"$decant" fill --dest v old.tar.zst
		chgrp 7777 v
		chmod 2770 v
		chgrp -R 7777 v/.decant
		chmod -R g+rwX v/.decant
		(cd v/.decant && setpriv --reuid 2000 --regid 7777 --clear-groups bash -c "$plant")
		run -10 --separate-stderr "$decant" fill --dest v - < <(head -c $(($(stat -c %s new.tar.zst) - 20)) new.tar.zst)
		[[ $(cat v/a v/d/b | paste -sd ,) == old,old ]]
		"$decant" fill --dest v new.tar.zst
		"$decant" verify --dest v --extra new.tar.zst
		[[ $(ls v/.decant | paste -sd ,) == lock,state,tmp,é ]]
	done
}

@test "a link in the place of .decant is not followed by verify" {
	mkdir -p old v out
	echo old >old/a
	pack old old.tar.zst
	"$decant" fill --dest v old.tar.zst
	mv v/.decant out/there
	ln -s ../out/there v/.decant
	touch -r old v
	strace -f -y -qq -o trace -e trace=%file "$decant" verify --dest v old.tar.zst
	grep -q '/v>, ".decant"' trace
	refute grep -E '"\.decant/|/out/' trace
}

# Mounts DIR on TO with the owners 0 to 9999, and 65534, alone: mount_setattr(2), with numbers of calls that all machines
# have. All others show as 65534.
mount_idmapped() { # DIR TO
	local holder
	unshare --user sleep 60 3>&- 4>&- &
	holder=$!
	until [[ $(readlink /proc/$holder/ns/user) != "$(readlink /proc/self/ns/user)" ]]; do
		kill -0 $holder
	done
	printf '0 0 10000\n65534 65534 1\n' | tee /proc/$holder/uid_map >/proc/$holder/gid_map
	perl -e 'my ($holder, $from, $to) = @ARGV; $empty = "";
		open my $ns, "<", "/proc/$holder/ns/user" or die $!;
		my $tree = syscall 428, -100, $from, 1;
		my $attr = pack "Q4", 1 << 20, 0, 0, fileno $ns;
		$tree >= 0 && syscall(442, $tree, $empty, 0x1000, $attr, 32) == 0 &&
			syscall(429, $tree, $empty, -100, $to, 4) == 0 or die $!' $holder "$1" "$2"
	kill $holder
	wait $holder || :
}

@test "an owner that an idmapped mount has no number for is nobody of ours, which no map of a user namespace tells" {
	chmod 777 .
	rm -rf s
	mkdir s idm
	echo good >s/file
	touch -d @1000000000 s s/file
	pack s nobody.b --owner 65534:65534
	mount_tmpfs t size=20M,mode=0755
	mkdir -m 1777 t/v
	nobody=(setpriv --reuid 65534 --regid 65534 --clear-groups)
	setpriv --reuid 50000 --regid 50000 --clear-groups "$decant" fill --dest t/v - <nobody.b
	chmod -R a+rX t/v/.decant
	chmod 666 t/v/.decant/lock
	mount_idmapped t idm
	[[ $(stat -c %u idm/v/.decant) == 65534 ]]
	status=0
	"${nobody[@]}" "$decant" fill --dest idm/v - <nobody.b 2>err || status=$?
	[[ $status -eq 11 ]]
	grep -q 'v/.decant: open: belongs to, or can be written by, somebody else$' err
	# A file that only seems to have its owner, which nobody can change through this mount.
	rm -rf t/v
	mkdir t/v
	cp -a s/file t/v/file
	chown 50000:65534 t/v/file
	run -15 --separate-stderr "$decant" fill --dest idm/v nobody.b
	says idm/v/file 'its owner has no number here'
	run -16 "$decant" verify --dest idm/v nobody.b
	[[ $output == *'owner: file: one without a number here'* ]]
	# What nobody has there is its own.
	rm -rf t/v
	mkdir -m 1777 t/v
	"${nobody[@]}" "$decant" fill --dest idm/v - <nobody.b
	"${nobody[@]}" "$decant" fill --dest idm/v - <nobody.b 2>log
	grep -q ': unchanged: ' log
	"${nobody[@]}" "$decant" verify --extra --dest idm/v - <nobody.b
}

@test "nor is a file, of which the state says that nobody has changed it" {
	rm -r s
	mkdir s
	echo good >s/file
	chown 65534 s/file
	pack s nobody.b --preserve-owner
	fill nobody.b v
	"$decant" fill --switch --create --dest w nobody.b
	sleep 0.05
	unshare --user --map-root-user bash -c '
		"$0" fill --dest v nobody.b; [[ $? -eq 15 ]] &&
			{ "$0" fill --switch --dest w nobody.b; [[ $? -eq 15 ]]; }' "$decant" 2>err
	grep -q 'v/file: set owner: its owner has no number here$' err
	fill nobody.b v
	"$decant" fill --dest v nobody.b 2>log
	grep -q ': unchanged: ' log
	verify nobody.b v
}

@test "what 65534 may not read is its own all the same, and stays" {
	chmod 777 .
	rm -r s
	mkdir s
	echo good | tee s/a s/c >s/b
	chmod 200 s/a
	chmod 000 s/b
	pack s b.tar.zst
	chown 65534 v
	for result in filled unchanged unchanged; do
		setpriv --reuid 65534 --regid 65534 --clear-groups "$decant" fill --dest v - <b.tar.zst 2>log
		grep -q ": $result: " log
		sleep 0.05
	done
}

# As a kubelet does it for fsGroup.
give_to_group() {
	chgrp -R 7777 v
	chmod -R g+rwX v
	find v -type d -exec chmod g+s {} +
}

@test "by an index that a group can write each directory is walked to once, however many files it has" {
	deep=$(printf 'd/%.0s' {1..30})
	rm -r s
	mkdir -p "s/$deep" "other/$deep"
	for n in {1..8}; do head -c 2500000 /dev/urandom >"s/$deep$n"; done
	echo other >"other/$deep/file"
	pack s b.tar.zst --level 1
	pack other other.b
	fill b.tar.zst v
	give_to_group
	strace -f -qq -o trace -e trace=openat2 "$decant" fill --threads 1 --dest v other.b
	verify other.b v --extra
	[[ $(grep -c ', "d", ' trace) -le 35 ]]
}

@test "a directory of which an index has any number of parts is listed once where names are folded" {
	rm -r s
	mkdir -p s/large other
	for n in {1..12}; do head -c 2500000 /dev/urandom >"s/large/$n"; done
	echo other >other/file
	pack s b.tar.zst --level 1
	pack other other.b
	fill b.tar.zst v
	: >v/.decant/$'e\u0301'
	strace -f -y -qq -o trace -e trace=getdents64 "$decant" fill --threads 1 --dest v other.b
	verify other.b v --extra
	# Nothing else asks: there is no directory in it.
	[[ $(grep -c 'getdents64([0-9]*</.*/v/large>.* = [1-9]' trace) -eq 1 ]]
}

@test "what a group names that who fills may not touch stays theirs, and ends no fill" {
	rm -r s
	mkdir -p s/{mine,theirs/in,closed,away/in} other
	echo x | tee s/mine/file s/theirs/file s/theirs/in/file s/closed/file >s/away/in/file
	echo other >other/file
	pack s b.tar.zst
	pack other other.b
	install -m 755 "$decant" decant
	as=(setpriv --reuid 1000 --regid 1000 --clear-groups --)
	for shared in yes no; do
		rm -rf v
		mkdir v
		chown 1000:7777 v
		"${as[@]}" ./decant fill --dest v - <b.tar.zst
		chgrp 7777 v/mine v/.decant/state
		chmod 0775 v v/mine
		chown -R 1001:7777 v/theirs v/closed v/away
		chmod 0775 v/theirs v/theirs/in v/away/in
		chmod 0770 v/closed v/away
		if [[ $shared == no ]]; then
			run -15 --separate-stderr "${as[@]}" ./decant fill --dest v - <other.b
			says "v/away/in: read directory: Permission denied"
			chmod 0755 v/away
			run -15 --separate-stderr "${as[@]}" ./decant fill --dest v - <other.b
			says "v/away/in/file: remove: Permission denied"
			continue
		fi
		chmod 0660 v/.decant/state
		"${as[@]}" ./decant fill --dest v - <other.b
		"${as[@]}" ./decant verify --dest v - <other.b
		[[ ! -e v/mine && -e v/theirs/file && -e v/theirs/in/file && -e v/closed/file && -e v/away/in/file ]]
	done
}

@test "an index of so deep directories, from a group, that to walk to them took minutes counts as none" {
	deep=$(printf 'd/%.0s' {1..2000})
	for top in x y z; do
		mkdir -p "s/$top/$deep"
		echo "$top" >"s/$top/${deep}file"
	done
	mkdir other
	echo other >other/file
	pack s b.tar.zst
	pack other other.b
	fill b.tar.zst v
	give_to_group
	timeout 60 "$decant" fill --threads 1 --dest v other.b
	verify other.b v
	[[ $(cat "v/y/${deep}file") == y ]]
}

@test "what is wrong with the state while it is read is told of that file, and is no fault of the bundle" {
	seq 500 | sed 's,.*,mkdir -p s/d/&; echo & >s/d/&/file,' | sh
	pack s one.b
	echo more >s/more
	pack s two.b
	failed=0
	for what in error=EIO:13 retval=0:11; do
		for n in {2..12}; do
			rm -rf v
			mkdir v
			fill one.b v
			status=0
			strace -qq -y -o trace -e trace=pread64 -e inject=pread64:${what%:*}:when="$n" \
				"$decant" fill --threads 1 --dest v two.b 2>err || status=$?
			grep INJECTED trace | grep -q '/v/.decant/\(state\|journal-\)' || continue
			# A state that is not whole from the beginning is none.
			[[ $status -ne 0 ]] || continue
			stderr=$(cat err)
			[[ $status -eq ${what#*:} && $stderr == *"decant: v/.decant/"*": read: "* ]] || {
				echo "$what, $n: exit $status: $stderr" >&2
				return 1
			}
			failed=$((failed + 1))
		done
	done
	[[ $failed -gt 4 ]]
}

@test "attributes that a bundle lacks are removed by the list, however many there are" {
	mount_tmpfs t size=20M
	fill b.tar.zst t
	# Names of twelve bytes: 5,000 are what one list can hold, nearly.
	for file in t/css t/none; do
		perl -e 'print "# file: $ARGV[0]\n", map { sprintf "user.%06d=\"\"\n", $_ } 1 .. 5000' $file | setfattr --restore=-
	done
	strace -f -qq -o trace -e trace=flistxattr,fremovexattr "$decant" fill --dest t b.tar.zst 2>log
	verify b.tar.zst t
	[[ $(grep -c fremovexattr trace) -ge 5000 && $(grep -c flistxattr trace) -lt 50 ]]
}

@test "what is right and somebody else's stays, and what is not is replaced: no fill fails for it" {
	chmod 755 .
	as=(setpriv --reuid 1000 --regid 1000 --clear-groups)
	mkdir -p s/d
	echo hello | tee s/d/f >s/f
	setfattr -n user.x -v 1 s/d
	find s -exec touch -d @1600000000 {} +
	pack s one.b
	touch -d @1700000000 s/f
	pack s two.b
	chmod 444 s/f
	pack s three.b
	# All is root's, and right.
	mkdir -p v/d
	cp -a s/d v/
	cp s/f v/f
	chmod 644 v/f
	touch -d @1600000000 v/f
	chown 1000:1000 v
	for bundle in one two three; do
		"${as[@]}" "$decant" fill --dest v - <$bundle.b
		"${as[@]}" "$decant" verify --extra --dest v - <$bundle.b
		[ "$(stat -c %u v/d)" -eq 0 ]
		sleep 0.05
	done
	# Root may not change such a directory, either.
	mkdir w
	fill one.b w
	chattr +i w/d
	status=0
	fill two.b w || status=$?
	chattr -i w/d
	[ "$status" -eq 0 ]
	verify two.b w
}

@test "what is below a directory that was moved in is looked at, its attributes, too" {
	mkdir -p s/x/y
	echo a >s/x/f
	pack s b.tar.zst
	touch -d 2020-01-01 s/new
	pack s new.b
	fill b.tar.zst v
	cp -a v/x v/x2
	setfattr -n user.foo -v bar v/x2/y
	# This one has seen the last change of x2/y.
	fill new.b v
	mv v/x v/old
	mv v/x2 v/x
	touch -r s v
	fill new.b v
	verify new.b v
	refute getfattr -n user.foo v/x/y
}

@test "a file that was changed in the second in which it is looked at is written anew" {
	mount_seconds v
	rm -r s
	mkdir s
	printf AAAA >s/file
	chmod 640 s/file
	touch -d 2020-01-01 s/file
	pack s b.tar.zst
	fill b.tar.zst v
	sleep 2
	next_second
	chmod 644 v/file
	strace -f -qq -o trace -e trace=renameat,utimensat -e inject=renameat:delay_enter=400000:when=1 \
		-e inject=utimensat:delay_exit=800000:when=2 "$decant" fill --dest v b.tar.zst 2>log &
	until grep -qs renameat trace; do
		kill -0 $!
		sleep 0.02
	done
	printf BBBB | dd of=v/file conv=notrunc status=none
	wait $! || fill b.tar.zst v
	verify b.tar.zst v
	# One that changed earlier is amended, as ever.
	chmod 644 v/file
	sleep 2
	before=$(stat -c %i v/file)
	fill b.tar.zst v
	verify b.tar.zst v
	[ "$(stat -c %i v/file)" = "$before" ]
}

@test "a file that was changed in the second in which it is compared, for longer than that, is written anew" {
	mount_seconds v
	rm -r s
	mkdir s
	head -c 9000000 /dev/urandom >s/file
	touch -d 2020-01-01 s/file
	pack s b.tar.zst
	fill b.tar.zst v
	sleep 2
	next_second
	chmod 600 v/file
	# A slow disk, for two seconds.
	strace -f -qq -o trace -P "$PWD/v/file" -e trace=pread64 -e inject=pread64:delay_exit=60000 \
		"$decant" fill --threads 1 --dest v b.tar.zst 2>log &
	while [ -n "$(jobs -r)" ] && ! grep -qs pread64 trace; do sleep 0.02; done
	[ -z "$(jobs -r)" ] || printf EVIL | dd of=v/file conv=notrunc status=none
	wait $! || fill b.tar.zst v
	verify b.tar.zst v
}

@test "a fill without rights vouches for nothing of the root, which it leaves as it is" {
	rm -r s
	mkdir s
	echo a >s/a
	setfattr -n user.x -v 1 s
	chown 1000:1000 s
	pack s b.tar.zst --preserve-owner
	fill b.tar.zst v
	setfattr -x user.x v
	setpriv --bounding-set=-all --inh-caps=-all "$decant" fill --sync --dest v b.tar.zst
	fill b.tar.zst v --sync
	verify b.tar.zst v
	[ "$(getfattr --only-values -n user.x v)" = 1 ]
}

# An image of a directory: mke2fs may cut all times to whole seconds, on a file system that keeps more.
image() { # DIR
	mkfs.ext4 -q -F -I 256 -d "$1" disk.img 16M
	mount -o loop disk.img v
}

@test "in an image of a filled directory times that lost their fractions are found" {
	find s -exec touch -hd '2020-01-01 00:00:00.123456789' {} +
	pack s b.tar.zst
	mkdir stage
	fill b.tar.zst stage --sync
	image stage
	fill b.tar.zst v
	verify b.tar.zst v
	find v -type f -not -path 'v/.decant*' -exec touch -d '2020-01-01' {} +
	run -16 "$decant" verify --dest v b.tar.zst
}

@test "verify goes by what a fill has found out of times, where none of the others has a fraction" {
	find s -exec touch -hd '2020-01-01 00:00:00.123456789' {} +
	pack s b.tar.zst
	mkdir -p stage/v
	fill b.tar.zst stage/v
	image stage
	[[ $(find v/v -printf '%C@\n' | grep -vc '\.0*$') -eq 0 ]] || skip "this mke2fs keeps fractions"
	verify b.tar.zst v/v # as README says
	touch -d @0.111111111 v/v/.decant/lock # as a fill does, before it writes anything else
	run -16 "$decant" verify --dest v/v b.tar.zst
}

@test "in an image of a filled directory what was changed in the second of the fill is found" {
	find s -exec touch -hd '2020-01-01' {} +
	pack s b.tar.zst
	mkdir stage
	next_second
	fill b.tar.zst stage --sync
	sleep 0.02
	mv v v.old
	mv stage v
	change
	mv v stage
	mkdir v
	image stage
	fill b.tar.zst v --sync
	verify b.tar.zst v
}
