# shellcheck shell=sh disable=SC2034,SC2154 # sourced by scripts/bench
# What was measured, as Markdown with charts.

part_report() {
	:
}

machine() {
	echo "- $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), $(nproc) CPUs," \
		"$(awk '/^MemTotal/ { printf "%.0f", $2 / 1e6 }' /proc/meminfo) GB; Linux $(uname -r | sed 's/[^0-9.].*//')"
	echo "- decant $("$decant" --version | head -n 1 | cut -d ' ' -f 2-), $(stat -c %s "$decant") bytes"
	for package in tar libarchive-tools squashfs-tools casync erofs-utils busybox-static rsync zstd \
		docker.io; do
		dpkg-query -W -f '- ${Package} ${Version}\n' "$package" 2>/dev/null || :
	done
	echo "- zstd's level $level for all; $runs counted runs of each; medians"
}

# The sets that took part, as they are.
describe_sets() {
	echo '| set | packages | files | links | MB |'
	echo '|---|---|---|---|---|'
	for data in $(jq -r .set "$results" | sort -u); do
		echo "| $data | $(packages_of "$data" | tr ' ' ',') | $(find "$sets/$data" -type f | wc -l) |" \
			"$(find "$sets/$data" -type l | wc -l) |" \
			"$(find "$sets/$data" -type f -printf '%s\n' | awk '{ s += $1 } END { printf "%.0f", s / 1e6 }') |"
	done
}

# One chart: seconds of each tool, for each set, on one kind of file system.
chart() { # VOLUME
	jq -sr --arg volume "$1" -f "$here/chart.jq" "$results" >"$work/chart.tsv"
	[ "$(wc -l <"$work/chart.tsv")" -gt 1 ] || return 0
	gnuplot -e "data='$work/chart.tsv'; out='$work/chart.svg'; what='fill, $1'; columns=$(head -n 1 "$work/chart.tsv" | wc -w)" \
		 "$here/chart.gp"
	# gnuplot leaves blanks at the ends of lines, which git and tests/static.bats complain of.
	sed 's/[[:blank:]]*$//' "$work/chart.svg" >"$out/fill-$1.svg"
	echo "![fill, $1](fill-$1.svg)"
}

report() { # PART...
	{
		echo '# decant beside its peers'
		echo
		echo "Made by \`scripts/bench${full:+ --full}\`. In the tables decant stands with its seconds, the others with how many" \
			"times as long they took. \`floor\` is no copier: it writes the same files from memory with the" \
			"fewest system calls, and checks nothing."
		echo
		machine
		echo
		describe_sets
		echo
		for fs in ext4 xfs tmpfs; do
			chart "$fs"
		done
		jq -sr -f "$here/report.jq" "$results"
	} >"$out/report.md"
	say "report: $out/report.md"
}
