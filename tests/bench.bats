#!/usr/bin/env bats
# The bench makes a report from what it ran.

load helpers

# shellcheck disable=SC2154 # helpers sets top, bats stderr

@test "a bench of one part reports every tool with a ratio, and draws what it should" {
	[ -n "${DECANT_TEST_ALL:-}" ] || skip "minutes long: scripts/test --all"
	"$top/scripts/bench" --no-bootstrap --runs 1 --out "$PWD/report" fill verify
	for tool in decant floor tar unsquashfs busybox rsync xxhsum sha256sum; do
		grep -qE "^\| docs \| (ext4|tmpfs) \| $tool \| [0-9.]+ \| [0-9.]+–[0-9.]+ \|" report/report.md
	done
	grep -qE '^\|  \|( [a-z0-9]+ \|)+$' report/report.md
	grep -qE '^\| docs, ext4 \| [0-9.]+ s \|( [0-9.]+× \|)+$' report/report.md
	grep -q '<svg' report/fill-ext4.svg
	jq -es 'length >= 17 and all(.wall > 0)' report/results.jsonl
}

@test "the bench refuses what it does not know in one line" {
	for wrong in "--runs 0" "--runs x" "--level" "nonsense" "--level -3"; do
		# shellcheck disable=SC2086 # words
		run --separate-stderr "$top/scripts/bench" $wrong
		[ "$status" -eq 2 ]
		[ "$(wc -l <<<"$stderr")" -eq 1 ]
		[[ $stderr == bench:\ *:\ *:\ * ]]
	done
}
