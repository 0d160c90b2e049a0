#!/usr/bin/env bats
# What can be said about the source without running it.

load helpers

setup() {
	cd "$top" || return 1
}

# What is in the repository, or would be after `git add -A`.
files() { # [PATTERN...]
	git ls-files --cached --others --exclude-standard -- "$@" | while read -r file; do
		[ ! -f "$file" ] || printf '%s\n' "$file"
	done
}

# Files whose first line names a shell.
shell_scripts() {
	files | while read -r file; do
		if head -n 1 "$file" | grep -aqE '^#!.*\b(sh|bash|bats)$'; then
			printf '%s\n' "$file"
		fi
	done
}

warnings() {
	make -s -pn 2>/dev/null | sed -n 's/^WARNINGS :\{0,1\}= //p'
}

# As init/ is compiled for the sanitizers, with the machine's own libraries.
syntax_only() { # COMPILER
	local flags
	flags=$(warnings)
	[[ $flags == *-Wconversion*-Werror* ]]
	# shellcheck disable=SC2086 # a list of flags
	"$1" -fsyntax-only -std=c11 -pthread -D_GNU_SOURCE '-DDECANT_VERSION="0"' '-DDECANT_LIBC="0"' $flags init/*.c
}

@test "shellcheck has nothing to say about the shell scripts" {
	shell_scripts | grep -v '\.bats$' >"$BATS_TEST_TMPDIR/scripts"
	grep -qx scripts/test "$BATS_TEST_TMPDIR/scripts"
	grep -qx docker/rootfs "$BATS_TEST_TMPDIR/scripts"
	grep -qx .ci/run "$BATS_TEST_TMPDIR/scripts"
	xargs shellcheck -x -- <"$BATS_TEST_TMPDIR/scripts"
	# What is sourced, too.
	files 'tests/*.bash' 'tests/bench/*.sh' >"$BATS_TEST_TMPDIR/sourced"
	grep -qx tests/inject.bash "$BATS_TEST_TMPDIR/sourced"
	grep -qx tests/bench/fill.sh "$BATS_TEST_TMPDIR/sourced"
	xargs -a "$BATS_TEST_TMPDIR/sourced" shellcheck -x scripts/lib.sh scripts/registry.sh --
}

@test "what shellcheck is not to say has its reason beside it, or above" {
	files scripts docker .ci 'tests/*.bats' 'tests/*.bash' 'tests/bench/*.sh' | xargs awk '
		/[#] shellcheck .*disable=/ && !/disable=[A-Z0-9,]+ # ./ && before !~ /^[ \t]*# / { print FILENAME ":" FNR ":" $0 }
		{ before = $0 }' >"$BATS_TEST_TMPDIR/bare"
	cat "$BATS_TEST_TMPDIR/bare"
	[ ! -s "$BATS_TEST_TMPDIR/bare" ]
}

@test "shellcheck has nothing to say about the tests" {
	# SC2154: helpers.bash and bats set names. SC2164: bats ends a test where cd fails. Less than a warning is
	# about text meant for a shell of its own, pipes that are what is tested, and the like.
	files 'tests/*.bats' | xargs shellcheck -s bats -S warning -e SC2154,SC2164 --
}

@test "no test drops half of what it asks: [ A ] && [ B ] ends one only as the last line of a function" {
	files 'tests/*.bats' 'tests/*.bash' | xargs awk '
		FNR == 1 { before = "" }
		before && !/^}/ { print before }
		{ before = /^\t+\[.* \]\]? && \[\[? .*\]$/ ? FILENAME ":" FNR ":" $0 : "" }' >"$BATS_TEST_TMPDIR/dropped"
	cat "$BATS_TEST_TMPDIR/dropped"
	[ ! -s "$BATS_TEST_TMPDIR/dropped" ]
}

@test "a file is executable when it begins with #!, and only then" {
	files | while read -r file; do
		[ "$file" != "${file%.bats}" ] && continue
		line=
		# A bundle has no lines.
		LC_ALL=C read -r -n 2 line <"$file" 2>/dev/null || :
		if [ "$line" = '#!' ]; then
			[ -x "$file" ] || echo "$file: not executable"
		else
			[ ! -x "$file" ] || echo "$file: executable"
		fi
	done >"$BATS_TEST_TMPDIR/wrong"
	cat "$BATS_TEST_TMPDIR/wrong"
	[ ! -s "$BATS_TEST_TMPDIR/wrong" ]
}

@test "no line ends in white space, and every text file ends in a newline" {
	files >"$BATS_TEST_TMPDIR/files"
	[ "$(wc -l <"$BATS_TEST_TMPDIR/files")" -gt 50 ]
	xargs -a "$BATS_TEST_TMPDIR/files" grep -nIE '[[:blank:]]+$' >"$BATS_TEST_TMPDIR/blanks" || :
	cat "$BATS_TEST_TMPDIR/blanks"
	[ ! -s "$BATS_TEST_TMPDIR/blanks" ]
	xargs -a "$BATS_TEST_TMPDIR/files" perl -0777 -ne 'print "$ARGV: no newline at its end\n" unless /\n\z/' \
		>"$BATS_TEST_TMPDIR/cut"
	cat "$BATS_TEST_TMPDIR/cut"
	[ ! -s "$BATS_TEST_TMPDIR/cut" ]
}

@test "the C code is laid out as .clang-format says" {
	files 'init/*.[ch]' 'tests/*.[ch]' 'tests/unit/*.[ch]' | xargs clang-format --dry-run -Werror --
}

@test "gcc has no warning about the C code" {
	syntax_only gcc
}

@test "clang has no warning about the C code" {
	syntax_only clang
}

@test "every header can be included alone" {
	for header in init/*.h; do
		printf '#include "%s"\n' "$header" | gcc -fsyntax-only -std=c11 -D_GNU_SOURCE -Wall -Werror -I. -x c -
	done
}

# With as little optimizing as puts small functions into their callers, for the analyzer to see both.
analyze() { # FILE
	local waived=()
	case $1 in
	# run: where calloc fails, done is false, and the loop that uses tasks is never entered.
	init/main.c) waived=(-Wno-analyzer-null-dereference) ;;
	# names_add: the list keeps what was allocated, by way of a callback's context, and names_free frees it.
	init/names.c) waived=(-Wno-analyzer-malloc-leak) ;;
	# judge_large: the worker keeps the piece, and run frees it.
	init/plan_make.c) waived=(-Wno-analyzer-malloc-leak) ;;
	# fill_node: the name is kept in a node of the tree, which the array holds.
	init/scan.c) waived=(-Wno-analyzer-malloc-leak) ;;
	# differs: the worker keeps the lines, and verify_volume frees them.
	init/verify.c) waived=(-Wno-analyzer-malloc-leak) ;;
	# xattrs_same_value: where malloc fails, len is -1, and no value is that long.
	init/xattrs.c) waived=(-Wno-analyzer-null-argument) ;;
	esac
	gcc -fanalyzer "${waived[@]}" -Werror -O1 -c -o /dev/null -std=c11 -pthread -D_GNU_SOURCE '-DDECANT_VERSION="0"' \
		'-DDECANT_LIBC="0"' "$1"
}

@test "gcc's analyzer finds no bug" {
	export -f analyze
	printf '%s\n' init/*.c | xargs -P 2 -I {} bash -c 'analyze {}'
	# It does find one.
	printf '#include <stdlib.h>\nint late(int *a)\n{\n\tfree(a);\n\treturn *a;\n}\n' >"$BATS_TEST_TMPDIR/late.c"
	refute analyze "$BATS_TEST_TMPDIR/late.c"
}

check_c() { # FILE|DIRECTORY
	# missingIncludeSystem: the system's headers would make it slower, and find no more.
	# scan.c: what realloc did not move is still at its place in the array.
	# tar.c: a path as short as a literal returns before the loop that is meant.
	cppcheck -q -j 2 --std=c11 -D_GNU_SOURCE '-DDECANT_VERSION="0"' '-DDECANT_LIBC="0"' \
		--enable=warning,portability,performance --suppress=missingIncludeSystem \
		--suppress=memleakOnRealloc:init/scan.c --suppress=arrayIndexOutOfBounds:init/tar.c \
		--error-exitcode=1 "$1"
}

@test "cppcheck finds no error" {
	check_c init
	# It does find one.
	printf 'int none(void)\n{\n\tint *a = 0;\n\treturn *a;\n}\n' >"$BATS_TEST_TMPDIR/none.c"
	refute check_c "$BATS_TEST_TMPDIR/none.c"
}

@test "clang-tidy finds no bug" {
	# Left out, for they say more about taste than about bugs:
	#   easily-swappable-parameters    two numbers side by side are no bug
	#   branch-clone                   an else-if chain reads best in the order of its conditions
	#   narrowing-conversions, implicit-widening-of-multiplication-result
	#                                  -Wconversion is stricter about what can go wrong
	#   not-null-terminated-result     names here have lengths, not NULs
	#   sizeof-expression              an array of pointers is what is meant
	#   insecureAPI                    wants Annex K's functions, which no libc here has
	#   valist.Uninitialized           does not know va_start when it is a builtin
	checks='-*,bugprone-*,clang-analyzer-*'
	for check in bugprone-easily-swappable-parameters bugprone-branch-clone bugprone-narrowing-conversions \
		bugprone-implicit-widening-of-multiplication-result bugprone-not-null-terminated-result \
		bugprone-sizeof-expression 'clang-analyzer-security.insecureAPI.*' \
		clang-analyzer-valist.Uninitialized; do
		checks=$checks,-$check
	done
	# Fewer nodes than the default: a sixth of the time, and the same findings but for paths of no interest.
	# Beside them a file with a bug, which must be found.
	mkdir -p "$BATS_TEST_TMPDIR/init"
	printf '#include <stdlib.h>\nint late(int *a)\n{\n\tfree(a);\n\treturn *a;\n}\n' >"$BATS_TEST_TMPDIR/init/late.c"
	printf '%s\0' init/*.c "$BATS_TEST_TMPDIR/init/late.c" | xargs -0 -P 2 -n 5 sh -c '
		clang-tidy --quiet "--checks=$0" "$@" -- -std=c11 -D_GNU_SOURCE "-DDECANT_VERSION=\"0\"" \
			"-DDECANT_LIBC=\"0\"" -Xclang -analyzer-config -Xclang max-nodes=40000' "$checks" \
		>"$BATS_TEST_TMPDIR/log" 2>&1 || [ -s "$BATS_TEST_TMPDIR/log" ]
	grep -q 'warnings generated' "$BATS_TEST_TMPDIR/log"
	sed -nE 's/^.*(init\/[a-z_]*\.[ch]):[0-9:]+ (warning|error): .*\[(.*)\]$/\1 \3/p' "$BATS_TEST_TMPDIR/log" |
		sort -u >"$BATS_TEST_TMPDIR/found"
	# False alarms:
	#   main.c     a run has at least one bundle, so the array has an element
	#   bundle.c   the reader keeps what it allocates until it is closed
	#   old.c      the map's element was set when its parent was visited
	#   inodes.c, scan.c   a table with room is there
	sort >"$BATS_TEST_TMPDIR/known" <<-'KNOWN'
		init/bundle.c clang-analyzer-unix.Malloc
		init/inodes.c clang-analyzer-core.NullDereference
		init/late.c clang-analyzer-unix.Malloc
		init/main.c clang-analyzer-core.NullDereference
		init/main.c clang-analyzer-optin.portability.UnixAPI
		init/old.c clang-analyzer-core.uninitialized.Assign
		init/scan.c clang-analyzer-core.NullDereference
	KNOWN
	comm -23 "$BATS_TEST_TMPDIR/found" "$BATS_TEST_TMPDIR/known" >"$BATS_TEST_TMPDIR/new"
	cut -d ' ' -f 2 "$BATS_TEST_TMPDIR/new" | grep -F -f - "$BATS_TEST_TMPDIR/log" >&2 || :
	[ ! -s "$BATS_TEST_TMPDIR/new" ]
	# What is known no more must go.
	comm -13 "$BATS_TEST_TMPDIR/found" "$BATS_TEST_TMPDIR/known" >"$BATS_TEST_TMPDIR/stale"
	cat "$BATS_TEST_TMPDIR/stale"
	[ ! -s "$BATS_TEST_TMPDIR/stale" ]
}

@test "the top level holds what it is known to hold, and nothing else" {
	files | sed 's,/.*,,' | sort -u >"$BATS_TEST_TMPDIR/top"
	printf '%s\n' .ci .clang-format .dockerignore .editorconfig .gitignore .shellcheckrc LICENSE Makefile README.md \
		docker init scripts tests | sort | diff - "$BATS_TEST_TMPDIR/top"
}

@test "every test that tests/cases.md names is there" {
	grep '^| ' tests/cases.md | grep -v '^| case | test |$' >"$BATS_TEST_TMPDIR/rows"
	[ "$(wc -l <"$BATS_TEST_TMPDIR/rows")" -gt 100 ]
	# What each file has: a unit's test is defined, and runs.
	(
		cd tests
		grep -H '^@test ".*" {' ./*.bats | sed -E 's,^\./([^:]*):@test "(.*)" \{.*$,`\1`: \2,'
		sort <(grep -HoP '^START_TEST\(\K\w+(?=\)$)' unit/*.c) <(grep -HoP '^\s+\K\w+(?=,$)' unit/*.c | sort -u) |
			uniq -d | sed -E 's,^([^:]*):(.*)$,`\1`: \2,'
	) >"$BATS_TEST_TMPDIR/there"
	sed -E 's/^\| .* \| (`[a-z_/]+\.(bats|c)`: .+) \|$/\1/' "$BATS_TEST_TMPDIR/rows" |
		grep -vxF -f "$BATS_TEST_TMPDIR/there" >"$BATS_TEST_TMPDIR/missing" || :
	cat "$BATS_TEST_TMPDIR/missing"
	[ ! -s "$BATS_TEST_TMPDIR/missing" ]
}

@test "the Dockerfiles' lower halves are in step" {
	lower() {
		sed -n '/^ARG DEST=/h; /^ARG DEST=/!H; $ { g; p; }' "$1" | grep -v '^ *#' | sed '/^$/d'
	}
	lower docker/Dockerfile >"$BATS_TEST_TMPDIR/one"
	grep -q '^ENTRYPOINT' "$BATS_TEST_TMPDIR/one"
	lower docker/packed.Dockerfile | diff "$BATS_TEST_TMPDIR/one" -
}

# The long options in a text that --help prints, and in the synopsis of a man page in mdoc.
options_of_help() {
	grep -oE -e '--[a-z][a-z-]*' | grep -vx -e --help -e --version | sort -u
}

options_of_page() {
	sed -n 's/\\-/-/g; /^\.Sh SYNOPSIS/,/^\.Sh DESCRIPTION/p' "$1" | grep -oE 'Fl (-[a-z][a-z-]*|[a-zA-Z0-9])' |
		sed 's/^Fl /-/' | grep -E '^--' | grep -vx -e --help -e --version | sort -u
}

# The options that a man page explains, not only names in its synopsis.
options_explained() {
	sed -n 's/\\-/-/g; /^\.It Fl/p' "$1" | grep -oE 'Fl -[a-z][a-z-]*' | sed 's/^Fl /-/' |
		grep -vx -e --help -e --version | sort -u
}

@test "decant --help, its man page's synopsis and its explanations have the same options" {
	"$decant" --help | options_of_help >"$BATS_TEST_TMPDIR/help"
	grep -qx -e --lock-timeout "$BATS_TEST_TMPDIR/help"
	options_of_page init/decant.1 | diff "$BATS_TEST_TMPDIR/help" -
	options_explained init/decant.1 | diff "$BATS_TEST_TMPDIR/help" -
}

@test "decant-pack --help, its man page's synopsis and its explanations have the same options" {
	"$decant_pack" --help | options_of_help >"$BATS_TEST_TMPDIR/help"
	grep -qx -e --skip-special "$BATS_TEST_TMPDIR/help"
	options_of_page init/decant-pack.1 | diff "$BATS_TEST_TMPDIR/help" -
	options_explained init/decant-pack.1 | diff "$BATS_TEST_TMPDIR/help" -
}

@test "every option that the programs take is in their --help, and the reverse" {
	sed -n 's/^ *{"\([a-z-]*\)", .*_argument.*/--\1/p' init/options.c | grep -vx -e --help -e --version | sort -u >"$BATS_TEST_TMPDIR/taken"
	"$decant" --help | options_of_help | diff "$BATS_TEST_TMPDIR/taken" -
	sed -n 's/^ *{"\([a-z-]*\)", .*_argument.*/--\1/p' init/pack_options.c | grep -vx -e --help -e --version | sort -u >"$BATS_TEST_TMPDIR/taken"
	"$decant_pack" --help | options_of_help | diff "$BATS_TEST_TMPDIR/taken" -
}

@test "the default level is the same in --help and in the man page" {
	level=$("$decant_pack" --help | sed -n 's/.*--level N.*(default: \([0-9]*\)).*/\1/p')
	[ -n "$level" ]
	[ "$(sed -n '/^\.It Fl .*level/,/^\.It/s/^Default: \([0-9]*\)\.$/\1/p' init/decant-pack.1)" = "$level" ]
}

@test "every exit code of the format of exit codes is in the man page, --help and README" {
	for code in 0 1 2 10 11 12 13 14 15 16; do
		grep -qx ".It $code" init/decant.1
		grep -qE "(^|[^0-9])$code([^0-9]|\$)" <("$decant" --help | sed -n '/^Exit codes/,$p')
		grep -qE "^\| *\`?$code\`? *\|" README.md
	done
}

@test "mandoc finds nothing wrong with the man pages" {
	for page in init/*.1; do
		mandoc -T lint -W style "$page" >"$BATS_TEST_TMPDIR/lint" || :
		# The pages are older than mandoc's own database of names; FORMAT.md is no page.
		grep -v -e 'referenced manual not found' -e 'Mdocdate missing' -e 'operating system' -e 'lexicographical' \
			-e 'text line longer' "$BATS_TEST_TMPDIR/lint" >"$BATS_TEST_TMPDIR/left" || :
		cat "$BATS_TEST_TMPDIR/left"
		[ ! -s "$BATS_TEST_TMPDIR/left" ]
		mandoc -T ascii "$page" | sed 's/.\x08//g' | grep -x 'EXIT STATUS'
	done
}
