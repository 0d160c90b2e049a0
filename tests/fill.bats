#!/usr/bin/env bats
# A fill of a new volume, and what a fill says.

load helpers

setup_file() {
	cd "$BATS_FILE_TMPDIR"
	small_tree tree
	pack tree b.tar.zst --revision r42 --dest /vol/one
	"$decant" info b.tar.zst >info
}

setup() {
	cd "$BATS_TEST_TMPDIR"
	cp "$BATS_FILE_TMPDIR/b.tar.zst" .
	tree=$BATS_FILE_TMPDIR/tree
	id=$(sed -n 's/^bundle: //p' "$BATS_FILE_TMPDIR/info")
	mkdir v
}

@test "fill makes the tree, and the word fill may be left out" {
	"$decant" --dest v b.tar.zst
	same_tree "$tree" v
}

@test "the summary line has bundle, revision, files, bytes, written, unchanged, removed, seconds and rate" {
	run --separate-stderr "$decant" fill --dest v b.tar.zst
	[ "$status" -eq 0 ]
	[ -z "$output" ]
	[[ ${stderr##*$'\n'} =~ ^decant:\ v:\ filled:\ bundle\ $id,\ revision\ r42,\ [0-9]+\ files,\ [0-9]+\ bytes,\ [0-9]+\ written,\ 0\ unchanged,\ 0\ removed,\ [0-9.]+\ s,\ [0-9.]+\ MB/s$ ]]
}

@test "--log json writes one JSON object a line, and the summary has all keys" {
	"$decant" fill --log json --progress lines --dest v b.tar.zst 2>log
	jq -e . log >/dev/null
	jq -se 'map(select(.event == "summary")) | length == 1' log
	jq -se --arg id "$id" '.[] | select(.event == "summary") | .dest == "v" and .result == "filled" and .bundle == $id
		and .revision == "r42" and .files > 0 and .bytes > 0 and .written > 0 and .unchanged == 0 and .removed == 0
		and (.seconds | type) == "number" and (.mb_per_s | type) == "number"' log
	"$decant" fill --log json --dest v b.tar.zst 2>log
	jq -se '.[] | select(.event == "summary") | .result == "unchanged"' log
}

@test "--log json is JSON alone, whatever shows the progress" {
	for progress in auto bar lines none; do
		rm -rf v/* v/.decant
		"$decant" fill --log json --progress $progress --dest v b.tar.zst 2>json
		jq -e .event json
		rm -rf v/* v/.decant
		script -qec "'$decant' fill --log json --progress $progress --dest v b.tar.zst" /dev/null >json </dev/null
		jq -e .event json
	done
}

@test "an error in JSON has code, object, action and reason" {
	run -11 --separate-stderr "$decant" fill --log json --dest missing b.tar.zst
	jq -e '.event == "error" and .code == 11 and (.object | length) > 0 and (.action | length) > 0 and (.reason | length) > 0' <<<"$stderr"
}

@test "a name with odd bytes does not break the JSON log" {
	mkdir odd
	touch "$(printf 'odd/new\nline"quote\\\xff')"
	pack odd odd.tar.zst
	mkdir "$(printf 'dest\n"\xff')"
	"$decant" fill --log json --dest "$(printf 'dest\n"\xff')" odd.tar.zst 2>log
	jq -e . log >/dev/null
}

@test "without --dest the bundle goes to the place that it records" {
	pack "$tree" here.tar.zst --dest "$PWD/v"
	"$decant" here.tar.zst
	same_tree "$tree" v
}

@test "DECANT_DEST overrides what the bundle records, --dest overrides both" {
	pack "$tree" here.tar.zst --dest "$PWD/v"
	mkdir w x
	DECANT_DEST=$PWD/w "$decant" here.tar.zst
	same_tree "$tree" w
	DECANT_DEST=$PWD/w "$decant" --dest x here.tar.zst
	same_tree "$tree" x
	[ -z "$(ls -A v)" ]
}

@test "a bundle without a record needs --dest" {
	pack "$tree" none.tar.zst
	run -2 --separate-stderr "$decant" none.tar.zst
	says none.tar.zst
}

@test "several bundles go to several places" {
	mkdir w other
	echo other >other/file
	pack "$tree" 1.tar.zst --dest "$PWD/v"
	pack other 2.tar.zst --dest "$PWD/w"
	run --separate-stderr "$decant" 1.tar.zst 2.tar.zst
	[ "$status" -eq 0 ]
	[ "$(grep -c ': filled: ' <<<"$stderr")" -eq 2 ]
	same_tree "$tree" v
	same_tree other w
}

@test "two bundles for one place are refused before anything is written" {
	pack "$tree" 1.tar.zst --dest "$PWD/v"
	pack "$tree" 2.tar.zst --dest "$PWD/v"
	run -2 --separate-stderr "$decant" 1.tar.zst 2.tar.zst
	says
	run -2 --separate-stderr "$decant" --dest v 1.tar.zst 2.tar.zst
	says
	[ -z "$(ls -A v)" ]
}

@test "of several bundles one that is refused keeps every volume as it was" {
	mkdir other
	touch other/file
	chmod 4755 other/file
	pack "$tree" good.tar.zst --dest "$PWD/v"
	pack other setid.tar.zst --setid --dest "$PWD/w"
	pack "$tree" cut.tar.zst --dest "$PWD/w"
	truncate -s -1 cut.tar.zst
	for refused in setid cut; do
		for create in "" --create; do
			run -10 --separate-stderr "$decant" $create good.tar.zst $refused.tar.zst
			says $refused.tar.zst
			[ -z "$(ls -A v)" ]
			[ ! -e w ]
		done
	done
	rmdir v
	run -10 --separate-stderr "$decant" --create good.tar.zst setid.tar.zst
	[ ! -e v ]
	run --separate-stderr "$decant" --create --setid good.tar.zst setid.tar.zst
	[ "$status" -eq 0 ]
	same_tree other w
	run --separate-stderr "$decant" verify good.tar.zst setid.tar.zst
	[ "$status" -eq 0 ]
}

@test "two ways to write one place are still one place" {
	pack "$tree" 1.tar.zst --dest "$PWD/v"
	pack "$tree" 2.tar.zst --dest "$PWD/v/"
	run -2 --separate-stderr "$decant" 1.tar.zst 2.tar.zst
	[ -z "$(ls -A v)" ]
}

@test "no argument fills from every bundle in /bundle, by name" {
	mkdir -p root/bundle root/one root/two
	cp "$decant" root/decant
	small_tree other
	pack "$tree" root/bundle/1.tar.zst --dest /one
	pack other root/bundle/2.tar.zst --dest /two
	echo no >root/bundle/README
	chroot root /decant 2>log
	same_tree "$tree" root/one
	same_tree other root/two
	grep -n filled log | sed 's/: filled.*//' >order
	diff order <(printf '1:decant: /one\n2:decant: /two\n')
	chroot root /decant verify
}

@test "no argument and no bundle is an error" {
	mkdir root
	cp "$decant" root/decant
	run --separate-stderr chroot root /decant
	[ "$status" -ne 0 ]
	says /bundle
}

@test "--create makes the last component with mode 0755, and no more than that" {
	run -11 "$decant" fill --dest new b.tar.zst
	"$decant" fill --create --dest new b.tar.zst
	same_tree "$tree" new
	run -11 "$decant" fill --create --dest not/there b.tar.zst
	[ ! -e not ]
	mkdir bare
	mkdir -p from
	pack from empty.tar.zst
	(umask 077 && "$decant" fill --create --dest made empty.tar.zst)
	[ "$(stat -c %a made)" = "$(stat -c %a from)" ]
}

@test "--expect accepts the right id and refuses another one" {
	run -10 --separate-stderr "$decant" fill --dest v --expect 00000000000000000000000000000000 b.tar.zst
	says b.tar.zst
	[ -z "$(ls -A v)" ]
	"$decant" fill --dest v --expect "$id" b.tar.zst
	same_tree "$tree" v
}

@test "--sync fills, and info says that it is on disk" {
	"$decant" fill --sync --dest v b.tar.zst
	same_tree "$tree" v
	"$decant" info v | grep -x 'synced: yes'
	mkdir w
	"$decant" fill --dest w b.tar.zst
	"$decant" info w | grep -x 'synced: no'
	# The state of a fill that changes nothing else is a new one, too.
	"$decant" fill --dest w --sync b.tar.zst
	"$decant" info w | grep -x 'synced: yes'
}

@test "the umask changes nothing" {
	(umask 0777 && "$decant" fill --dest v b.tar.zst)
	same_tree "$tree" v
}

@test "a volume with a setgid root and a default ACL gets the bundle's modes and owners" {
	chgrp 1234 v
	chmod 2775 v
	setfacl -d -m u:1:rwx,g::rwx,o::--- v || skip "this file system has no ACLs"
	"$decant" fill --dest v b.tar.zst
	same_tree "$tree" v
	verify b.tar.zst v
}

@test "mode, owner and time of the root come from the bundle" {
	chmod 0700 v
	"$decant" fill --dest v b.tar.zst
	[ "$(stat -c '%a %u %y' v)" = "$(stat -c '%a %u %y' "$tree")" ]
}

@test ".decant is closed to everybody else" {
	"$decant" fill --dest v b.tar.zst
	[ "$(stat -c '%F %a' v/.decant)" = 'directory 700' ]
	[ -z "$(ls -A v/.decant/tmp 2>/dev/null)" ]
	[ -z "$(find v/.decant -name 'journal-*')" ]
}

@test "strangers in a volume that was never filled stay" {
	mkdir v/sub
	echo mine >v/mine
	echo mine >v/sub/mine
	"$decant" fill --dest v b.tar.zst
	[ "$(cat v/mine v/sub/mine)" = $'mine\nmine' ]
	verify b.tar.zst v
	run -16 verify b.tar.zst v --extra
	[ "$(grep -c ^extra: <<<"$output")" -ge 2 ]
}

@test "what stands in a file's place is replaced, and what a link points to is left alone" {
	mkdir outside
	echo canary >outside/canary
	chmod 0640 outside/canary
	touch -d @1000000000 outside/canary outside
	ln -s ../outside/canary v/index.html
	ln outside/canary v/none
	ln -s ../outside v/css
	describe outside >before
	mkfifo v/same.html
	echo file >v/empty
	timeout 20 "$decant" fill --dest v b.tar.zst
	same_tree "$tree" v
	describe outside >after
	diff before after
}

@test "a socket, a device and a directory that is not empty are replaced by files" {
	perl -MSocket -e 'socket(S, AF_UNIX, SOCK_STREAM, 0) and bind(S, sockaddr_un("v/index.html")) or die'
	mknod v/none c 1 3
	mkdir -p v/same.html/deep/down
	touch v/same.html/deep/down/file
	timeout 20 "$decant" fill --dest v b.tar.zst
	same_tree "$tree" v
}

@test "a directory link that leads out of the volume is not followed" {
	mkdir outside
	ln -s "$PWD/outside" v/css
	"$decant" fill --dest v b.tar.zst
	[ -z "$(ls -A outside)" ]
	[ -d v/css ]
	[ ! -L v/css ]
	same_tree "$tree" v
}

@test "a mount point inside the volume is not written to" {
	mount_tmpfs v/css size=1m
	run -11 --separate-stderr "$decant" fill --dest v b.tar.zst
	says css
	[ -z "$(ls -A v/css)" ]
}

@test "lost+found at the root is left alone, even by --prune all" {
	mkdir v/lost+found
	echo kept >v/lost+found/kept
	"$decant" fill --prune all --dest v b.tar.zst
	[ "$(cat v/lost+found/kept)" = kept ]
	verify b.tar.zst v --extra
}

@test "on blocks of less than 4 KiB what fits is not refused, holes or not, and what does not is before it is begun" {
	mkdir s
	for ((n = 0; n < 1500; n++)); do echo x >s/$n; done
	truncate -s 8M s/hole
	pack s holes.b
	truncate -s 6M disk.img
	mkfs.ext4 -q -b 1024 -N 4000 disk.img
	mount -o loop disk.img v
	fill holes.b v
	[[ $(stat -c %b v/hole) -eq 0 ]]
	verify holes.b v
	rm -rf v/* v/.decant
	head -c 6000000 /dev/urandom >s/hole
	pack s large.b
	run -12 --separate-stderr "$decant" fill --dest v large.b
	says "check space" "bytes needed"
	[[ $(ls -A v) == .decant ]]
	# Files that are in their inodes take no block.
	umount v
	mkfs.ext4 -q -m 0 -b 1024 -I 256 -O inline_data disk.img 6M
	mount -o loop disk.img v
	mkdir v/v few
	for ((n = 0; n < 600; n++)); do echo x >few/$n; done
	pack few few.b
	head -c $((($(df -k --output=avail v | tail -n 1) - 300) * 1024)) /dev/zero >v/noise
	fill few.b v/v
	verify few.b v/v
}

@test "zeros at the end of a file with holes, and where a frame ends in it, need no room" {
	mkdir s
	for ((n = 0; n < 40; n++)); do truncate -s 124K "s/$n"; done
	# The parts of a window in two frames: zeros in the one, bytes in the other.
	for ((n = 0; n < 20; n++)); do
		truncate -s 4M "s/large$n"
		echo tail >>"s/large$n"
	done
	pack s b.tar.zst
	truncate -s 2M disk.img
	mkfs.ext4 -q -m 0 -O ^has_journal disk.img
	mount -o loop disk.img v
	fill b.tar.zst v
	verify b.tar.zst v
	# By FORMAT.md: 5 MiB less a window, and less two for the end of a frame.
	head -c 5242880 /dev/urandom >large
	dd if=/dev/zero of=large bs=64K seek=4 count=1 conv=notrunc status=none
	rm s/*
	mv large s
	pack s b.tar.zst
	"$decant" info b.tar.zst | grep -x "disk: $((5242880 - 3 * 65536))"
}

@test "a bundle comes through a pipe" {
	cat b.tar.zst | "$decant" fill --dest v -
	same_tree "$tree" v
}

@test "a bundle comes through a pipe, byte by byte" {
	perl -e '$| = 1; while (sysread STDIN, $b, 37) { syswrite STDOUT, $b; select undef, undef, undef, 0.001 }' <b.tar.zst |
		"$decant" fill --dest v -
	same_tree "$tree" v
}

@test "a bundle comes from a socket and from a file as standard input" {
	"$decant" fill --dest v - <b.tar.zst
	same_tree "$tree" v
	mkdir w
	perl -MSocket -e 'socketpair(A, B, AF_UNIX, SOCK_STREAM, 0) or die;
		if (fork == 0) { close A; open F, "<", "b.tar.zst"; local $/; syswrite B, <F>; exit 0 }
		close B; open STDIN, "<&A" or die; exec @ARGV' "$decant" fill --dest w -
	same_tree "$tree" w
}

@test "a pipe that ends early is a bad bundle" {
	run -10 --separate-stderr bash -c 'head -c 300 b.tar.zst | "$0" fill --dest v -' "$decant"
	says
	run -10 --separate-stderr bash -c 'head -c -5 b.tar.zst | "$0" fill --dest v -' "$decant"
	says
	run -10 --separate-stderr "$decant" fill --dest v - </dev/null
	says
	"$decant" fill --dest v b.tar.zst
	same_tree "$tree" v
}

@test "a big tree comes through a slow pipe with several threads" {
	"$maketree" 9 big 200
	pack big big.tar.zst --preserve-owner
	perl -e '$| = 1; while (sysread STDIN, $b, 65536) { syswrite STDOUT, $b; select undef, undef, undef, 0.005 }' <big.tar.zst |
		"$decant" fill --threads 4 --dest v -
	same_tree big v
}

@test "setuid, setgid and sticky bits need --setid on both sides" {
	mkdir s
	touch s/suid s/plain
	chmod 4755 s/suid
	mkdir s/sticky
	chmod 1777 s/sticky
	run --separate-stderr "$decant_pack" -o no.tar.zst s
	[ "$status" -eq 0 ]
	grep -q 2 <<<"$stderr"
	fill no.tar.zst v
	[ "$(stat -c %a v/suid v/sticky)" = $'755\n777' ]
	pack s yes.tar.zst --setid
	mkdir w
	run -10 --separate-stderr "$decant" fill --dest w yes.tar.zst
	says yes.tar.zst
	[ -z "$(ls -A w)" ]
	fill yes.tar.zst w --setid
	same_tree s w
}

@test "a setgid bit that the kernel drops is no success" {
	local as=(setpriv --reuid 1000 --regid 1000 --clear-groups) bare=(setpriv --bounding-set=-all --inh-caps=-all --clear-groups)
	mkdir s d
	echo x | tee s/tool >d/tool
	chmod 2755 s/tool
	chmod 2775 d
	pack s file.tar.zst --setid
	pack d dir.tar.zst --setid
	pack s group.tar.zst --setid --owner 0:50
	# What is made in a volume of group 50 has that group, and it is not one of the user's.
	made() { # BUNDLE OWNER MODE OBJECT COMMAND...
		local bundle=$1 object=$4
		rm -rf v
		install -d -o "$2" -g 50 -m "$3" v
		shift 4
		run -15 --separate-stderr "$@" "$decant" fill --setid --dest v - <"$bundle"
		says "$object" "set mode: Operation not permitted"
	}
	chmod 755 .
	made file.tar.zst 1000 2755 v/tool "${as[@]}"
	made dir.tar.zst 1000 0755 v "${as[@]}"
	made group.tar.zst 0 2755 v/tool "${bare[@]}"
	# Where it is, that is no error.
	rm -rf v
	install -d -o 1000 -g 1000 v
	"${as[@]}" "$decant" fill --setid --dest v - <dir.tar.zst
	"${as[@]}" "$decant" verify --dest v - <dir.tar.zst
}

@test "capabilities that the kernel does not give back as they were set are no success" {
	local head=010000030004000000000000000000000000000000
	mkdir s
	cp /bin/true s/tool
	# Revision 3, of a user namespace whose root is 1000; and for a bundle that no packer makes, 0.
	setfattr -n security.capability -v 0x${head:0:40}e8030000 s/tool
	pack s right.tar.zst --setid
	strace -f -qq -o trace -e trace=fgetxattr -e inject=fgetxattr:poke_exit=@arg3=${head:0:40}00000000:when=2 \
		"$decant_pack" --quiet --setid -o wrong.tar.zst s
	grep -q INJECTED trace
	run -11 --separate-stderr "$decant" fill --setid --dest v wrong.tar.zst
	says v/tool "set xattr"
	fill right.tar.zst v --setid
	verify right.tar.zst v
}

@test "fill makes no output but one line on a quiet run" {
	run "$decant" fill --progress none --dest v b.tar.zst
	[ "${#lines[@]}" -eq 1 ]
}

@test "a bar is drawn on a terminal" {
	"$maketree" 3 big 50
	pack big big.tar.zst
	script -qec "'$decant' fill --progress bar --dest v big.tar.zst" typescript >/dev/null </dev/null
	grep -q $'\r' typescript
	verify big.tar.zst v
}
