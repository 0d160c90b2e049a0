#!/usr/bin/env bats
# What can be said of the source without running it.

load helpers

setup() {
	cd "$top"
}

@test "shellcheck passes all scripts" {
	grep -lE '^#!.*/(env )?(ba)?sh$' scripts/* .ci/* docker/* 2>/dev/null >"$BATS_TEST_TMPDIR/scripts"
	[ "$(wc -l <"$BATS_TEST_TMPDIR/scripts")" -ge 4 ]
	xargs shellcheck --external-sources <"$BATS_TEST_TMPDIR/scripts"
	shellcheck --external-sources --shell=sh scripts/lib.sh
	shellcheck tests/helpers.bash
}

@test "clang-format has nothing to change" {
	clang-format --dry-run -Werror init/*.c init/*.h tests/*.c tests/unit/*.c
}

@test "gcc and clang compile all of it without a warning" {
	for cc in gcc clang; do
		for file in init/*.c; do
			$cc -std=c11 -D_GNU_SOURCE -DDECANT_VERSION='"0"' -DDECANT_LIBC='"libc"' -Wall -Wextra -Wpedantic \
				-Wshadow -Wconversion -Werror -O1 -fsyntax-only "$file"
		done
	done
}

@test "each header stands alone" {
	for file in init/*.h; do
		echo "#include \"$file\"" |
			gcc -std=c11 -D_GNU_SOURCE -Wall -Wextra -Werror -I. -fsyntax-only -x c -
	done
}

@test "only main, pack and nobody else calls exit" {
	refute grep -nE '\b(_exit|exit|abort)\(' $(ls init/*.c | grep -vE '/(main|pack)\.c$')
}

@test "only pool starts threads" {
	refute grep -ln 'pthread_create' $(ls init/*.c | grep -v /pool.c)
}

@test "no function that trusts a path, or a length, is used" {
	refute grep -nE '\b(strcpy|vsprintf|gets|system|popen|tmpnam|mktemp|alloca|access)\(' init/*.c
}

@test "the manual pages have no errors" {
	for page in init/*.1; do
		[ -f "$page" ]
		[ -z "$(man --warnings -E UTF-8 -l -Tutf8 -Z "$page" 2>&1 >/dev/null)" ] || groff -man -ww -z "$page"
	done
}

@test "every exit code and every option of the help is in the manual" {
	for program in decant decant-pack; do
		"$top/build/$program" --help | grep -oE -- '--[a-z][a-z-]+' | sort -u | while read -r option; do
			sed 's/\\-/-/g; s/\\//g' "init/$program.1" | grep -q -- "$option" || {
				echo "$program.1 has no $option"
				exit 1
			}
		done
	done
	for code in 10 11 12 13 14 15 16; do grep -q "$code" init/decant.1; done
}
