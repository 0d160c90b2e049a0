#!/usr/bin/env bats
# The program that goes into the image: one static file that needs nothing, small, hardened.

load helpers

@test "decant is a static ELF program without an interpreter" {
	readelf -hlW "$decant" >elf
	refute grep -q INTERP elf
	refute grep -q 'NEEDED' <(readelf -dW "$decant")
	[[ $(file -b "$decant") == *ELF*64-bit* ]]
	[[ $(file -b "$decant") == *static* ]]
	[[ $(file -b "$decant") == *", stripped"* ]]
}

@test "decant has no executable stack, no writable code, RELRO, and a random address" {
	readelf -lW "$decant" >elf
	grep -q GNU_STACK elf
	refute grep -qE 'GNU_STACK.* RWE' elf
	refute grep -qE 'LOAD .* RWE' elf
	grep -q GNU_RELRO elf
	readelf -hW "$decant" | grep -qE 'Type: +DYN'
}

@test "decant is at most 192 KiB" {
	[ "$(stat -c %s "$decant")" -le 196608 ]
}

@test "decant has the decoder of zstd and not the encoder" {
	[ -f "$top/build/obj/parts.a" ]
	refute grep -qa 'ZSTD_compress' "$decant"
	[[ $("$decant" --version) == *zstd* && $("$decant" --version) == *musl* ]]
}

@test "decant-pack is static, too" {
	refute grep -q INTERP <(readelf -lW "$decant_pack")
	refute grep -qE 'GNU_STACK.* RWE' <(readelf -lW "$decant_pack")
}

@test "neither program holds the path of the place it was built in" {
	refute grep -qaF "$top" "$decant" "$decant_pack"
}

# A copy of what a build needs, so that other builds do not disturb the one under test.
copy_source() {
	mkdir source
	cp -a "$top/init" "$top/Makefile" "$top/scripts" source/
	[ ! -f "$top/LICENSE" ] || cp "$top/LICENSE" "$top/README.md" source/
	export DECANT_DEPS=${DECANT_DEPS:-$top/.deps}
}

@test "two builds give the same bytes" {
	copy_source
	make -s -C source
	cmp source/build/decant "$decant"
	cmp source/build/decant-pack "$decant_pack"
}

@test "make CC=clang builds, without a warning, a decant that works" {
	copy_source
	make -s -C source CC=clang 2>warnings
	refute grep -q 'warning:' warnings
	small_tree tree
	mkdir v
	source/build/decant-pack --quiet -o b.tar.zst tree
	source/build/decant --dest v b.tar.zst
	same_tree tree v
	pack tree gcc.tar.zst
	cmp b.tar.zst gcc.tar.zst
}

@test "make install honours DESTDIR and PREFIX" {
	copy_source
	cp -a "$top/build" source/
	make -s -C source install DESTDIR="$PWD/stage" PREFIX=/usr
	"$PWD/stage/usr/bin/decant" --version
	[ -x stage/usr/bin/decant-pack ]
	find stage -name 'decant.1*' | grep -q man1
	find stage -name 'decant-pack.1*' | grep -q man1
	[ -z "$(find stage ! -path 'stage/usr*' ! -path stage)" ]
}

@test "make clean leaves nothing in build" {
	copy_source
	make -s -C source
	make -s -C source clean
	[ ! -e source/build/decant ]
}

@test "make ARCH=aarch64 builds for arm64; it fills and verifies under qemu" {
	(cd "$top" && scripts/bootstrap --arch aarch64 </dev/null)
	make -s -C "$top" ARCH=aarch64
	arm=$top/build/aarch64/decant
	[[ $(file -b "$arm") == *aarch64* ]]
	refute grep -q INTERP <(readelf -lW "$arm")
	[ "$(stat -c %s "$arm")" -le 262144 ]
	"$maketree" 8 tree 100
	pack tree b.tar.zst --preserve-owner
	mkdir v
	qemu-aarch64-static "$arm" fill --dest v b.tar.zst
	qemu-aarch64-static "$arm" verify --dest v b.tar.zst
	same_tree tree v
	qemu-aarch64-static "$top/build/aarch64/decant-pack" --quiet --preserve-owner -o arm.tar.zst tree
	cmp b.tar.zst arm.tar.zst
}
