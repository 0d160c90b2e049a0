#!/usr/bin/env bats
# The programs under the address, undefined behaviour and thread sanitizers: any report ends a run with a
# status that no test here expects, and is looked for in what was said, too.

load helpers

setup_file() {
	local seed
	cd "$BATS_FILE_TMPDIR" || return 1
	if ! make -s -C "$top" -j 2 SANITIZE=address,undefined >make.log 2>&1 ||
		! make -s -C "$top" -j 2 SANITIZE=thread >>make.log 2>&1; then
		tail -n 30 make.log >&2
		return 1
	fi
	gcc -O1 -Wall -Wextra -Werror -o unconfined -x c - <<-'END'
		/* Runs a command for which the kernel has no Landlock. A confined decant cannot read /proc, which the
		 * search for leaks needs; the other builds are confined as ever. */
		#include <errno.h>
		#include <linux/filter.h>
		#include <linux/seccomp.h>
		#include <stddef.h>
		#include <sys/prctl.h>
		#include <sys/syscall.h>
		#include <unistd.h>

		int main(int argc, char **argv)
		{
			struct sock_filter code[] = {
				BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
				BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_landlock_create_ruleset, 0, 1),
				BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
				BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
			};
			struct sock_fprog program = {sizeof code / sizeof *code, code};
			if (argc > 1 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0)
				execv(argv[1], argv + 1);
			return 98;
		}
	END
	for seed in 21 22; do
		"$maketree" "$seed" "$PWD/$seed"
		"$decant_pack" --quiet --preserve-owner -o "$seed.tar.zst" "$seed"
	done
	small_tree tree
	# More than one frame, and a file that is larger than a frame.
	seq 1 2000000 >tree/large
	head -c 3000000 /dev/urandom >tree/random
	truncate -s 20M tree/hole
	pack tree tree.tar.zst --level 1
}

setup() {
	cd "$BATS_TEST_TMPDIR" || return 1
	share=$BATS_FILE_TMPDIR
	# 99 is no exit code of decant. Reports go to standard error, with addresses only: a confined decant can open
	# no file for them, nor start a symbolizer.
	export ASAN_OPTIONS=exitcode=99:detect_leaks=0:detect_stack_use_after_return=1:symbolize=0
	export UBSAN_OPTIONS=exitcode=99:print_stacktrace=1:halt_on_error=1:symbolize=0
	export TSAN_OPTIONS=exitcode=99:halt_on_error=0:symbolize=0
	mkdir v
}

# Runs PROGRAM of the build with SANITIZERS; it must exit with STATUS, and no sanitizer may speak. The one that
# knows addresses looks for leaks, too.
sane() { # STATUS SANITIZERS PROGRAM ARGUMENT...
	local wanted=$1 program=$top/build/sanitize-$2/$3 got=0 first=()
	[ "$2" = thread ] || first=(env "ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=1:symbolize=1" "$share/unconfined")
	shift 3
	timeout -k 5 120 "${first[@]}" "$program" "$@" >out 2>err </dev/null || got=$?
	quiet || return 1
	if [ "$got" -ne "$wanted" ]; then
		printf 'exit %s, expected %s: %s\n' "$got" "$wanted" "$*" >&2
		cat err >&2
		return 1
	fi
}

quiet() {
	if grep -aE 'Sanitizer|runtime error:' err; then
		head -n 40 err >&2
		return 1
	fi
}

both() {
	printf '%s\n' address-undefined thread
}

@test "the sanitizers are in these builds" {
	grep -aq __asan_report "$top/build/sanitize-address-undefined/decant"
	grep -aq __ubsan_handle "$top/build/sanitize-address-undefined/decant"
	grep -aq __tsan_ "$top/build/sanitize-thread/decant-pack"
}

@test "packing, with one thread and with eight, has no report and gives the same bytes" {
	for kind in $(both); do
		for threads in 1 8; do
			sane 0 "$kind" decant-pack --preserve-owner --threads "$threads" -o b.tar.zst "$share/21"
			"$decant" list b.tar.zst >list
			[ -s list ]
			cp b.tar.zst "$kind.$threads"
		done
		cmp "$kind.1" "$kind.8"
	done
	cmp address-undefined.1 thread.8
}

@test "packing large files at a level of its own has no report" {
	for kind in $(both); do
		sane 0 "$kind" decant-pack --level 3 --threads 4 --exclude '**/n*' --exclude '!css/*' --revision x --dest /srv \
			-o "$kind.tar.zst" "$share/tree"
	done
	cmp address-undefined.tar.zst thread.tar.zst
}

@test "filling, with one thread and with eight, has no report" {
	for kind in $(both); do
		for threads in 1 8; do
			mkdir "$kind.$threads"
			sane 0 "$kind" decant fill --threads "$threads" --dest "$kind.$threads" "$share/21.tar.zst"
			same_tree "$share/21" "$kind.$threads"
		done
	done
}

@test "filling large files and holes has no report" {
	for kind in $(both); do
		mkdir "$kind"
		sane 0 "$kind" decant fill --threads 8 --sync --dest "$kind" "$share/tree.tar.zst"
		same_tree "$share/tree" "$kind"
	done
}

@test "a refill with another bundle, with every kind of --prune, has no report" {
	for kind in $(both); do
		mkdir "$kind"
		for prune in managed all none; do
			for bundle in 21 22 tree; do
				sane 0 "$kind" decant fill --threads 8 --prune "$prune" --dest "$kind" "$share/$bundle.tar.zst"
				"$decant" verify --dest "$kind" "$share/$bundle.tar.zst"
			done
		done
		sane 0 "$kind" decant fill --prune all --dest "$kind" "$share/22.tar.zst"
		sane 0 "$kind" decant fill --threads 8 --dest "$kind" "$share/22.tar.zst"
		same_tree "$share/22" "$kind"
	done
}

@test "two fills of one volume at once have no report" {
	for kind in $(both); do
		mkdir "$kind" "$kind.second"
		(sane 0 "$kind" decant fill --threads 4 --dest "$kind" "$share/21.tar.zst") &
		other=$!
		(cd "$kind.second" && sane 0 "$kind" decant fill --threads 4 --dest "../$kind" "$share/22.tar.zst")
		wait "$other"
		"$decant" verify --dest "$kind" "$share/21.tar.zst" || "$decant" verify --dest "$kind" "$share/22.tar.zst"
	done
}

@test "verify, list and info have no report, whether there is a difference or not" {
	"$decant" fill --dest v "$share/21.tar.zst"
	for kind in $(both); do
		sane 0 "$kind" decant verify --threads 8 --extra --dest v "$share/21.tar.zst"
		sane 16 "$kind" decant verify --threads 8 --extra --dest v "$share/22.tar.zst"
		sane 0 "$kind" decant list --long "$share/21.tar.zst"
		[ -s out ]
		sane 0 "$kind" decant list --null "$share/22.tar.zst"
		sane 0 "$kind" decant info "$share/21.tar.zst"
		sane 0 "$kind" decant info --log json v
		sane 0 "$kind" decant --version
		sane 0 "$kind" decant --help
		sane 0 "$kind" decant-pack --help
		sane 2 "$kind" decant --no-such-option
		sane 11 "$kind" decant fill --dest none "$share/21.tar.zst"
	done
}

@test "a bundle from a pipe, and a decant that is confined, have no report" {
	for kind in $(both); do
		mkdir "$kind"
		"$top/build/sanitize-$kind/decant" fill --threads 8 --dest "$kind" - <"$share/tree.tar.zst" 2>err
		quiet
		cat "$share/21.tar.zst" | "$top/build/sanitize-$kind/decant" fill --threads 8 --dest "$kind" - 2>err
		quiet
		"$decant" verify --dest "$kind" "$share/21.tar.zst"
	done
}

@test "damaged and cut bundles are refused without a report" {
	size=$(stat -c %s "$share/21.tar.zst")
	index=$((17 + $(od -An -tu4 -j 13 -N 4 "$share/21.tar.zst")))
	# The last four bytes of a block or a frame are zstd's own checksum; decant has better ones, and does not look.
	for at in 0 13 14 16 17 25 29 33 37 41 45 49 57 65 81 97 105 $((105 + index / 8)) $((index / 3)) $((index - 6)) \
		"$index" $((index + 9)) $(((index + size) / 2)) $((size - 6)); do
		cp "$share/21.tar.zst" b.tar.zst
		damage b.tar.zst "$at"
		sane 10 address-undefined decant fill --threads 2 --dest v b.tar.zst
		# To verify, the index is enough.
		[ "$at" -ge "$index" ] || sane 10 address-undefined decant verify --threads 2 --dest v b.tar.zst
	done
	for keep in 0 1 12 13 17 50 104 105 200 $((index - 1)) "$index" $((index + 100)) $((size - 1)); do
		head -c "$keep" "$share/21.tar.zst" >b.tar.zst
		sane 10 address-undefined decant fill --threads 2 --dest v b.tar.zst
		got=0
		"$top/build/sanitize-address-undefined/decant" fill --dest v - <b.tar.zst 2>err || got=$?
		quiet
		[ "$got" -eq 10 ]
	done
	cp "$share/tree.tar.zst" b.tar.zst
	damage b.tar.zst $(($(stat -c %s b.tar.zst) * 2 / 3))
	sane 10 thread decant fill --threads 8 --dest v b.tar.zst
}

@test "a full volume is reported by decant, and by nobody else" {
	mount_tmpfs small size=2m
	for kind in $(both); do
		sane 12 "$kind" decant fill --threads 8 --dest small "$share/tree.tar.zst"
		sane 12 "$kind" decant fill --threads 8 --no-space-check --dest small "$share/tree.tar.zst"
	done
}
