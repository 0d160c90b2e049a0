#!/usr/bin/env bats
# Much of everything. With --all alone: minutes, and 10 GB of disk.

load helpers

setup() {
	cd "$BATS_TEST_TMPDIR"
	mkdir v
}

all_only() {
	[[ -n $DECANT_TEST_ALL ]] || skip "long: scripts/test --all"
}

# A file system of its own on "disk", for many names: without a journal, and gone at once when the test ends, where
# to remove a million names from the machine's own takes minutes.
many_names() {
	truncate -s 24G disk.img
	mkfs.ext4 -q -O ^has_journal -i 8192 disk.img
	mkdir disk
	mount -o loop,noatime disk.img disk
	cd disk
	mkdir v
}

# GIB of room where the test writes, or the reason why it did not run.
needs() { # GIB
	[[ $(df --output=avail -k . | tail -n 1) -gt $(($1 * 1048576)) ]] || skip "needs $1 GiB of disk"
}

# COMMAND's peak of memory, in KiB, is in $peak.
peak_of() { # COMMAND...
	"$top/build/tests/peak" "$@" 2>peak.log || {
		tail -n 3 peak.log >&2
		return 1
	}
	peak=$(sed -n 's/^peak: \([0-9]*\) KiB$/\1/p' peak.log)
	[[ $peak -gt 100 ]]
}

# A cgroup of its own, $group, with LIMIT bytes of memory, in whichever version has the memory controller here.
limit_memory() { # LIMIT
	local mount
	for mount in $(awk '$3 == "cgroup2" { print $2 }' /proc/mounts) /sys/fs/cgroup/memory; do
		group=$mount/decant-load-$$
		mkdir "$group" 2>/dev/null || continue
		if echo "$1" 2>/dev/null >"$group/memory.max" || echo "$1" 2>/dev/null >"$group/memory.limit_in_bytes"; then
			return 0
		fi
		rmdir "$group"
	done
	return 1
}

@test "200 fills in a row under 32 MiB: none fails, and none takes more than the first" {
	local count=200
	[[ -n $DECANT_TEST_ALL ]] || count=20
	"$maketree" --plain 300 one
	head -c 9000000 /dev/urandom >one/large
	cp -a one two
	rm -r two/dir-00
	head -c 9000000 /dev/urandom >two/large
	pack one one.tar.zst
	pack two two.tar.zst
	limit_memory 33554432
	local first='' most=0 status=0 names=''
	for ((n = 0; n < count; n++)); do
		bundle=one.tar.zst
		((n % 2)) || bundle=two.tar.zst
		# By file and by pipe; both count what the page cache holds against the limit.
		local from=$bundle
		((n % 3)) || from=-
		bash -c 'echo $$ >"$1/cgroup.procs"; shift; exec "$@"' bash "$group" "$top/build/tests/peak" "$decant" fill --threads 2 \
			--dest v "$from" < <(cat "$bundle") 2>log || {
			status=$?
			echo "fill $n: exit $status: $(tail -n 2 log)" >&2
			break
		}
		peak=$(sed -n 's/^peak: \([0-9]*\) KiB$/\1/p' log)
		[[ $n -ne 5 ]] || first=$peak names=$(find v | wc -l)
		((peak <= most)) || most=$peak
	done
	for ((n = 0; n < 100; n++)); do rmdir "$group" 2>/dev/null && break; sleep 0.05; done
	[[ $status -eq 0 ]]
	echo "# peak of one of the first fills $first KiB, of all $most KiB" >&3
	[[ $most -le $((first + 4096)) ]]
	[[ $(find v | wc -l) -eq $names ]]
	verify "$bundle" v --extra
}

@test "one process that fills 200 volumes keeps nothing of one for the next" {
	local count=200 bundles=()
	[[ -n $DECANT_TEST_ALL ]] || count=60
	"$maketree" --plain 300 tree
	head -c 5000000 /dev/urandom >tree/large
	for ((n = 0; n < count; n++)); do
		mkdir "v$n"
		from=tree
		((n < 2)) || from=tree/dir-01
		pack "$from" "b$n.tar.zst" --dest "$PWD/v$n"
	done
	peak_of "$decant" fill --threads 2 b0.tar.zst b1.tar.zst
	local two=$peak
	for ((n = 0; n < count; n++)); do bundles+=("b$n.tar.zst"); done
	rm -rf v0 v1
	mkdir v0 v1
	(
		# Two descriptors for each volume, which are open from the start, and a few to work with.
		ulimit -n $((2 * count + 16))
		peak_of "$decant" fill --threads 2 "${bundles[@]}"
		echo "$peak" >most
	)
	echo "# peak with 2 volumes $two KiB, with $count $(cat most) KiB" >&3
	[[ $(cat most) -le $((two + 30 * count)) ]]
	for ((n = 0; n < count; n++)); do "$decant" verify --extra "b$n.tar.zst" 2>log; done
}

@test "valgrind sees no leak, no descriptor left open and no bad access in fills, a refill and a verify" {
	all_only
	local sources
	mapfile -t sources < <(find "$top/init" -name '*.c' ! -name pack.c)
	gcc -std=c11 -D_GNU_SOURCE -O1 -g -pthread -DDECANT_VERSION='"0"' -DDECANT_LIBC='"glibc"' -I"$top/init" \
		-o glibc-decant "${sources[@]}" -lzstd -lxxhash
	"$maketree" 5 one 150
	"$maketree" 6 two 150
	head -c 9000000 /dev/urandom >one/large
	pack one one.tar.zst --preserve-owner
	pack two two.tar.zst --preserve-owner
	head -c 30000 two.tar.zst >cut.tar.zst
	for words in "0 fill one.tar.zst" "0 verify one.tar.zst" "16 verify two.tar.zst" "10 fill cut.tar.zst" \
		"0 fill --prune all two.tar.zst" "0 fill two.tar.zst" "0 fill --sync -"; do
		read -r code command rest <<<"$words"
		status=0
		# shellcheck disable=SC2086 # words
		cat one.tar.zst | valgrind -q --error-exitcode=99 --leak-check=full --show-leak-kinds=all --errors-for-leak-kinds=all --track-fds=yes \
			./glibc-decant "$command" --threads 3 --dest v $rest >said 2>log 3>&- 4>&- || status=$?
		[[ $status -eq $code ]] || {
			echo "$words: exit $status: $(tail -n 30 log)" >&2
			return 1
		}
		refute grep -E 'definitely lost|still reachable|Open (file descriptor [3-9]|AF)' log
	done
	verify one.tar.zst v
}

@test "1,000,000 entries" {
	all_only
	needs 10
	many_names
	mkdir tree
	# Every tenth has content: what is much here are names.
	perl -e 'for my $d (0 .. 999) { mkdir "tree/dir-$d" or die; for (0 .. 998) { open F, ">tree/dir-$d/name-$_" or die;
		print F "$d $_\n" x 9 unless $_ % 10; } }'
	pack tree b.tar.zst
	peak_of "$decant" fill --threads 2 --dest v b.tar.zst
	echo "# 1,000,000 entries: bundle $(stat -c %s b.tar.zst) bytes, peak of the fill $peak KiB" >&3
	verify b.tar.zst v --extra
	[[ $(find v -path v/.decant -prune -o -print | wc -l) -eq 1000001 ]]
	fill b.tar.zst v
	grep -q ': unchanged: ' log
	rm -r tree/dir-42
	pack tree c.tar.zst
	fill c.tar.zst v
	[[ $(summary removed) -ge 999 && ! -e v/dir-42 ]]
}

@test "a directory of 200,000 names" {
	all_only
	needs 5
	many_names
	mkdir -p tree/dir
	perl -e 'for (1 .. 200000) { open F, ">tree/dir/a-somewhat-long-name-$_.html" or die; print F $_ }'
	pack tree b.tar.zst
	fill b.tar.zst v
	verify b.tar.zst v --extra
	[[ $(find v/dir -type f | wc -l) -eq 200000 ]]
	mkdir w
	touch w/stranger
	fill b.tar.zst w --prune all
	verify b.tar.zst w --extra
	find v/dir -name '*7.html' -delete
	fill b.tar.zst v
	verify b.tar.zst v --extra
}

@test "a file of 20 GiB with holes" {
	all_only
	# There holes take no page cache when they are read; elsewhere 20 GiB of zeros would drive out all else.
	mount_tmpfs sparse size=16M
	truncate -s 20G sparse/big
	for at in 0 5000000000 11111111111 21474836479; do
		printf x | dd of=sparse/big bs=1 seek="$at" conv=notrunc status=none
	done
	pack sparse sparse.tar.zst --level 1
	peak_of "$decant" fill --threads 2 --dest v sparse.tar.zst
	echo "# 20 GiB with holes: peak of the fill $peak KiB, $(stat -c %b v/big) blocks" >&3
	[[ $(stat -c %s v/big) -eq 21474836480 && $(stat -c %b v/big) -lt 4096 && $peak -le 32768 ]]
	verify sparse.tar.zst v
}

@test "a file of 2 GiB without holes" {
	all_only
	needs 8
	mkdir dense
	head -c 2147483648 /dev/urandom >dense/big
	pack dense dense.tar.zst --level 1
	peak_of "$decant" fill --threads 2 --dest v dense.tar.zst
	echo "# 2 GiB: peak of the fill $peak KiB" >&3
	[[ $peak -le 32768 ]]
	cmp dense/big v/big
	verify dense.tar.zst v
}

@test "10,000 levels of directories are refused by the packer and, in a bundle that says so, by the fill" {
	perl -e 'mkdir "tree"; chdir "tree" or die; for (1 .. 10000) { mkdir "d" or die; chdir "d" or die; }'
	run -11 --separate-stderr "$decant_pack" -o b.tar.zst tree
	says tree
	[[ ! -e b.tar.zst ]]
	for levels in 2049 10000 1000000; do
		"$top/build/tests/deepbundle" "$levels" >deep.tar.zst
		run -10 --separate-stderr "$decant" fill --dest v deep.tar.zst
		says deep.tar.zst PATH_MAX
		[[ -z $(ls -A v) ]]
		run -10 --separate-stderr "$decant" verify --dest v deep.tar.zst
		run -10 --separate-stderr "$decant" list deep.tar.zst
	done
	# What may be so deep is filled: it is the depth that was refused.
	"$top/build/tests/deepbundle" 500 >deep.tar.zst
	fill deep.tar.zst v
	verify deep.tar.zst v --extra
	[[ $(find v -name d | wc -l) -eq 500 ]]
}
