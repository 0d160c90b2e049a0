#!/usr/bin/env bats
# The programs as files: what is in them, what they need, and that others can build the same.

load helpers

# The repository's files, without what was built.
copy_tree() { # DIR
	mkdir -p "$1"
	(
		cd "$top"
		git ls-files -z --cached --others --exclude-standard | while IFS= read -r -d '' file; do
			[ ! -e "$file" ] || printf '%s\0' "$file"
		done | tar --null -T - -cf -
	) | tar -C "$1" -xf -
}

# Runs a build; whether it worked is for the tests to say, which name it: built NAME.
build() { # NAME COMMAND...
	local name=$1 status=0
	shift
	"$@" >"$name.log" 2>&1 </dev/null || status=$?
	echo "$status" >"$name.status"
}

built() { # NAME
	if [ "$(cat "$BATS_FILE_TMPDIR/$1.status")" != 0 ]; then
		tail -n 30 "$BATS_FILE_TMPDIR/$1.log" >&2
		return 1
	fi
}

build_aarch64() {
	"$top/scripts/bootstrap" --arch aarch64 && make -C "$top" -j 2 ARCH=aarch64
}

build_elsewhere() {
	umask 077
	# It leaves alone the files' times, which make compares.
	NO_FAKE_STAT=1 faketime '2031-02-03 04:05:06' env TZ=Pacific/Auckland LC_ALL=C HOME=/nowhere \
		sh -c 'date +%Y && make -C "a longer path/to the second" -j 1'
}

setup_file() {
	local DECANT_DEPS=${DECANT_DEPS:-$top/.deps}
	export DECANT_DEPS
	cd "$BATS_FILE_TMPDIR" || return 1
	copy_tree one
	copy_tree "a longer path/to the second"
	copy_tree clang
	build one make -C one -j 2 "LDFLAGS=-Wl,-Map,$PWD/one.map" build/decant
	# Other folder, day, time zone, language, umask and number of jobs.
	build two build_elsewhere
	build clang make -C clang -j 2 CC=clang
	build aarch64 build_aarch64
	small_tree tree
	"$maketree" 7 "$PWD/big"
	pack tree b.tar.zst --dest /volume --revision r1
	pack big big.tar.zst --preserve-owner
}

setup() {
	cd "$BATS_TEST_TMPDIR" || return 1
	share=$BATS_FILE_TMPDIR
	arm=$top/build/aarch64
}

programs() {
	printf '%s\n' "$decant" "$decant_pack" "$arm/decant" "$arm/decant-pack"
}

# Each program must meet a condition.
each() { # FUNCTION
	local program
	built aarch64
	programs | while read -r program; do
		if ! "$1" "$program"; then
			echo "not so: $program" >&2
			return 1
		fi
	done
}

@test "the programs are static: no interpreter, no library to load" {
	check() {
		readelf -lW "$1" >segments && readelf -dW "$1" >dynamic && grep -q LOAD segments &&
			! grep -qE 'INTERP|Requesting' segments && ! grep -q NEEDED dynamic
	}
	each check
}

@test "no stack can be executed, and no segment is writable and executable" {
	check() {
		readelf -lW "$1" >segments &&
			grep -qE 'GNU_STACK +(0x0+ +)+RW +0x' segments &&
			grep -q 'LOAD .* R E ' segments && ! grep -qE ' [R ]WE ' segments
	}
	each check
}

@test "what relocation writes is read-only afterwards" {
	check() {
		readelf -lW "$1" | grep -q GNU_RELRO && readelf -dW "$1" | grep -qE 'FLAGS.*\bBIND_NOW|FLAGS_1.*\bNOW'
	}
	each check
	# The kernel does nothing about it, and no loader is there that could: decant does.
	strace -qq -o trace "$decant" --version
	grep -A 5 '^execve' trace | grep -E '^mprotect\(0x[0-9a-f]+000, [0-9]+, PROT_READ\) += 0$'
}

@test "the programs are position independent, and no code is relocated" {
	check() {
		readelf -hW "$1" | grep -qE 'Type: +DYN' && readelf -dW "$1" >dynamic &&
			grep -q 'FLAGS_1.*PIE' dynamic && ! grep -q TEXTREL dynamic
	}
	each check
}

@test "the programs are stripped and hold no path of the machine that built them" {
	check() {
		readelf -SW "$1" >sections && grep -q '\.text' sections &&
			! grep -qE '\.(symtab|debug_info|note\.gnu\.build-id)' sections &&
			! grep -aqF -e "$top" -e "$HOME/" "$1"
	}
	each check
}

@test "decant is not larger than 200 KiB, or 216 KiB where the code is less dense" {
	[ "$(stat -c %s "$decant")" -le $((200 * 1024)) ]
	built aarch64
	[ "$(stat -c %s "$arm/decant")" -le $((216 * 1024)) ]
}

@test "no part of libzstd's encoder is linked into decant" {
	built one
	grep -oE 'libzstd[a-z-]*\.a\([a-z0-9_]+\.o\)' "$share/one.map" | sort -u >members
	grep -q '(zstd_decompress\.o)' members
	refute grep -E '\((zstd_compress|zstd_fast|zstd_lazy|zstd_opt|zstdmt|fse_compress|huf_compress|hist)' members
}

@test "no glibc is linked into decant" {
	built one
	refute grep -aE '^(LOAD|/).*(x86_64-linux-gnu|/usr/lib64?)/libc\.a' "$share/one.map"
	refute grep -aE 'GNU C Library|GLIBC_' "$decant"
	grep -aq musl "$decant"
}

@test "--version names decant, zstd, xxHash and musl with their versions" {
	for program in "$decant" "$decant_pack"; do
		version=$("$program" --version)
		echo "$version"
		[[ $version =~ ^(decant|decant-pack)\ [0-9]+\.[0-9]+\.[0-9]+\  ]]
		for library in zstd xxHash musl; do
			[[ $version =~ $library\ [0-9]+\.[0-9]+\.[0-9]+ ]]
		done
	done
}

@test "decant works where nothing else is: no /proc, no /sys, no /dev, no /tmp, no library" {
	mkdir -p root/bundle root/volume
	cp "$decant" root/decant
	cp "$share/b.tar.zst" root/bundle/site.tar.zst
	chroot root /decant
	chroot root /decant verify --extra
	[ "$(chroot root /decant info /volume | sed -n 's/^revision: //p')" = r1 ]
	chroot root /decant 2>log
	grep -q ': unchanged: ' log
	same_tree "$share/tree" root/volume
	[ "$(find root -mindepth 1 -maxdepth 1 -printf '%f\n' | sort | tr '\n' ' ')" = 'bundle decant volume ' ]
}

@test "decant-pack works where nothing else is" {
	mkdir root
	cp "$decant_pack" root/decant-pack
	cp -a "$share/tree" root/tree
	chroot root /decant-pack --dest /volume --revision r1 -o /b.tar.zst /tree
	cmp root/b.tar.zst "$share/b.tar.zst"
}

@test "decant runs with no environment, no standard streams and few descriptors" {
	mkdir v
	cp "$share/b.tar.zst" .
	bash -c 'ulimit -n 32; exec env -i "$0" fill --dest v b.tar.zst <&- >&- 2>&-' "$decant"
	same_tree "$share/tree" v
}

@test "two builds in different folders on different days are the same bytes" {
	built two
	[ "$(head -n 1 "$share/two.log")" = 2031 ]
	cmp "$share/a longer path/to the second/build/decant" "$top/build/decant"
	cmp "$share/a longer path/to the second/build/decant-pack" "$top/build/decant-pack"
}

@test "libraries built anew in another folder, on another day, give the same bytes" {
	[ -n "${DECANT_TEST_ALL:-}" ] || skip "compiles zstd again: scripts/test --all"
	mkdir deps
	cp -a "${DECANT_DEPS:-$top/.deps}/zstd" deps/
	copy_tree again
	DECANT_DEPS=$PWD/deps NO_FAKE_STAT=1 faketime '2031-02-03 04:05:06' again/scripts/bootstrap --build
	[ -e "deps/$(uname -m)/lib/libzstd.a" ]
	make -C again DECANT_DEPS="$PWD/deps"
	cmp again/build/decant "$top/build/decant"
	cmp again/build/decant-pack "$top/build/decant-pack"
}

@test "clang builds programs that fill, verify and pack the same bytes" {
	built clang
	grep -aq clang "$share/clang/build/decant"
	mkdir v
	"$share/clang/build/decant" fill --dest v "$share/big.tar.zst"
	"$decant" verify --extra --dest v "$share/big.tar.zst"
	"$share/clang/build/decant" verify --extra --dest v "$share/big.tar.zst"
	"$share/clang/build/decant-pack" --preserve-owner -o b.tar.zst "$share/big"
	cmp b.tar.zst "$share/big.tar.zst"
	readelf -lW "$share/clang/build/decant" >segments
	refute grep INTERP segments
	grep -q GNU_RELRO segments
}

@test "the arm64 programs are arm64 programs" {
	built aarch64
	readelf -hW "$arm/decant" | grep -qE 'Machine: +AArch64'
	readelf -hW "$arm/decant-pack" | grep -qE 'Machine: +AArch64'
}

@test "the arm64 decant fills and verifies what this machine packed" {
	built aarch64
	mkdir v
	qemu-aarch64-static "$arm/decant" fill --threads 2 --dest v "$share/big.tar.zst"
	same_tree "$share/big" v
	qemu-aarch64-static "$arm/decant" verify --extra --dest v "$share/big.tar.zst"
	qemu-aarch64-static "$arm/decant" fill --dest v "$share/b.tar.zst"
	"$decant" verify --dest v "$share/b.tar.zst"
	printf x >>v/index.html
	run -16 qemu-aarch64-static "$arm/decant" verify --dest v "$share/b.tar.zst"
}

@test "the arm64 decant makes no call that docker/seccomp.json does not have" {
	built aarch64
	mkdir v
	cp -a "$share/tree" next
	echo next >next/index.html
	rm next/none
	pack next next.tar.zst
	for command in "fill --dest v $share/b.tar.zst" "fill --sync --dest v next.tar.zst" "verify --extra --dest v next.tar.zst" \
		"fill --dest v - " "list next.tar.zst" "info v" "fill --dest none next.tar.zst"; do
		# shellcheck disable=SC2086 # a list of arguments
		qemu-aarch64-static -strace "$arm/decant" $command <next.tar.zst 2>&1 >/dev/null | cat >>trace
	done
	sed -n 's/^[0-9]* \([a-z0-9_]*\)(.*/\1/p' trace | sort -u >made
	grep -qx utimensat made
	jq -r '.syscalls[].names[]' "$top/docker/seccomp.json" | sort -u >allowed
	comm -23 made allowed >missing
	cat missing
	[ ! -s missing ]
}

@test "the arm64 decant refuses a damaged bundle" {
	built aarch64
	mkdir v
	cp "$share/b.tar.zst" .
	damage b.tar.zst 120
	run -10 qemu-aarch64-static "$arm/decant" fill --dest v b.tar.zst
	[ -z "$(ls -A v)" ]
}

@test "the arm64 decant-pack makes the bytes that this machine's makes" {
	built aarch64
	qemu-aarch64-static "$arm/decant-pack" --quiet --preserve-owner -o b.tar.zst "$share/big"
	cmp b.tar.zst "$share/big.tar.zst"
}

@test "make install puts programs and man pages below DESTDIR and PREFIX" {
	umask 077
	make -s -C "$top" install DESTDIR="$PWD/a root" PREFIX=/opt/decant
	(cd "a root" && find . -type f -printf '%m %P\n' | sort) >installed
	diff - installed <<-'END'
		644 opt/decant/share/man/man1/decant-pack.1
		644 opt/decant/share/man/man1/decant.1
		755 opt/decant/bin/decant
		755 opt/decant/bin/decant-pack
	END
	cmp "a root/opt/decant/bin/decant" "$top/build/decant"
	make -s -C "$top" install DESTDIR="$PWD/default"
	[ -x default/usr/local/bin/decant ]
}

@test "make dist packs what is committed, nothing else, and twice the same" {
	copy_tree clone
	cd clone
	git init -q .
	git add -A
	git -c user.name=n -c user.email=e@example.org commit -q -m all
	echo stray >stray
	make -s dist
	set -- decant-*.tar.gz
	[ $# -eq 1 ]
	name=${1%.tar.gz}
	[ "$name" = "$("$decant" --version | sed 's/^\([a-z]*\) \([0-9.]*\) .*/\1-\2/')" ]
	tar -tzf "$1" | grep -v '/$' | sort >../listed
	git ls-tree -r --name-only HEAD | sed "s,^,$name/," | sort | diff - ../listed
	cp "$1" ../first
	sleep 1.1
	make -s dist
	cmp "$1" ../first
	# Not of nothing.
	rm -rf .git "$1"
	run ! env GIT_CEILING_DIRECTORIES="${PWD%/*}" make -s dist
	[ ! -e "$1" ]
}

@test "make clean removes what make made, and nothing that is in the repository" {
	built two
	copy_tree clean
	mkdir -p clean/build/obj
	touch clean/build/decant
	make -s -C clean clean
	[ ! -e clean/build ]
	copy_tree other
	diff -r clean other
}

@test "make without its libraries says in one line what to run" {
	copy_tree bare
	run -2 --separate-stderr make -s -C bare DECANT_DEPS="$PWD/none"
	[[ $stderr == *scripts/bootstrap* ]]
	[ ! -e bare/build/decant ]
}
