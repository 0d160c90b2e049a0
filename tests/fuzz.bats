#!/usr/bin/env bats
# The fuzz targets build, run, and find what is wrong. Short: scripts/fuzz runs them for as long as one likes.

load helpers

setup_file() {
	# Builds the targets and makes the inputs to begin with.
	"$top/scripts/fuzz" 0 >"$BATS_FILE_TMPDIR/log" 2>&1 || {
		tail -n 30 "$BATS_FILE_TMPDIR/log"
		return 1
	}
}

# Inputs tried, of the line that scripts/fuzz prints for a target.
tried() { # TARGET
	sed -n "s/^$1: \([0-9]*\) inputs.*/\1/p" log
}

@test "every target takes its inputs, and no promise breaks in the first seconds" {
	status=0
	"$top/scripts/fuzz" 1 >log 2>err || status=$?
	cat log err
	[ "$status" -eq 0 ]
	"$top/scripts/fuzz" --list | cut -d ' ' -f 1 >targets
	[ "$(wc -l <targets)" -eq 6 ]
	while read -r target; do
		[ "$(tried "$target")" -gt 20 ]
	done <targets
}

# The same number of inputs, all made from one bundle, with and without knowing what a bundle is.
from_one_bundle() { # NAME [VARIABLE=VALUE]
	mkdir -p "$1/corpus"
	cp "$top/build/fuzz/seeds/fill/small" "$1/corpus"
	(
		cd "$1" || exit 1
		# shellcheck disable=SC2086 # one word, or none
		env DECANT_FUZZ_TALLY=1 ${2:-} "$top/build/fuzz/bin/fill" -runs=1500 -seed=1 -max_len=8192 -close_fd_mask=3 \
			corpus >log 2>&1
	) || {
		# What it found would be lost with this folder.
		grep -aE '^broken: |ERROR: |SUMMARY: ' "$1/log" || tail -n 5 "$1/log"
		base64 "$1"/*-????????????????????????????????????????
		return 1
	}
	filled=$(sed -n 's/^fill: \([0-9]*\) x exit 0.*/\1/p' "$1/log")
	covered=$(sed -n 's/.*DONE *cov: \([0-9]*\).*/\1/p' "$1/log")
	echo "$1: $filled fills with exit 0, $covered edges"
}

@test "the mutator gets behind the checksums, where changed bytes alone do not" {
	from_one_bundle bytes DECANT_FUZZ_PLAIN=1
	plain_filled=$filled plain_covered=$covered
	from_one_bundle structure
	# A fill with exit 0 is repeated at once, so each counts twice.
	[ "$plain_filled" -lt 20 ]
	[ "$filled" -gt 80 ]
	[ "$covered" -gt "$((plain_covered + 100))" ]
}

@test "a defect is found, and the command that is printed finds it again" {
	mkdir -p copy/build
	cp -a "$top/init" "$top/scripts" "$top/tests" "$top/Makefile" copy/
	cp -a "$top/build/decant" "$top/build/decant-pack" "$top/build/obj" "$top/build/tests" "$top/build/fuzz" copy/build/
	ln -s "$top/.deps" copy/.deps
	rm -rf copy/build/fuzz/run
	# A name with a NUL in it passes.
	sed -i "s/ && !memchr(name, '.0', len)//" copy/init/path.c
	refute cmp -s copy/init/path.c "$top/init/path.c"
	status=0
	copy/scripts/fuzz path 20 >log 2>err || status=$?
	cat log err
	[ "$status" -eq 1 ]
	# The rule for names serves the rules for paths: either may be what the fuzzer meets first.
	broken=$(grep -m1 -x 'broken: [a-z]*_valid' err)
	input=$(sed -n 's/^fuzz: path: input: //p' err)
	[ -s "$input" ]
	repeat=$(sed -n 's/^fuzz: path: repeat: //p' err)
	cd copy
	# shellcheck disable=SC2086 # the command as it was printed
	run -1 $repeat
	[[ $output == *"$broken"* ]]
}

@test "filling, refilling and verifying changed bundles with eight workers has no race" {
	mutants=60
	[ -z "$DECANT_TEST_ALL" ] || mutants=2000
	status=0
	"$top/scripts/fuzz" --threads "$mutants" >log 2>&1 || status=$?
	cat log
	[ "$status" -eq 0 ]
	[ "$(grep -c "^$mutants runs\$" log)" -eq 3 ]
}

@test "what cannot be run is refused" {
	run -2 --separate-stderr "$top/scripts/fuzz" none
	[[ $stderr == *none* ]]
	run -2 "$top/scripts/fuzz" --run none none
	run -2 "$top/scripts/fuzz" --run path
	run -2 "$top/scripts/fuzz" --run path "$PWD/none"
}
