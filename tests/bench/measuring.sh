# shellcheck shell=sh disable=SC2034,SC2154 # sourced by scripts/bench, which sets $work, $tools, $measured, $results ...
# One measurement, and how several take turns.

limit= # a command that limits the CPU, in front of what is measured

# Runs a command and measures it. What it says shows only when it fails.
run() { # COMMAND...
	# Word splitting makes arguments of $limit.
	# shellcheck disable=SC2086
	$limit "$tools/measure" "$measured" "$@" >"$work/said" 2>&1 || {
		tail -n 20 "$work/said" >&2
		fail "$1" run 'failed, see above'
	}
}

# Adds the last measurement to the results: what TOOL took for SET on VOLUME, in PART.
record() { # PART VOLUME SET TOOL
	jq -c --arg part "$1" --arg volume "$2" --arg set "$3" --arg tool "$4" \
		'{part: $part, volume: $volume, set: $set, tool: $tool} + .' "$measured" >>"$results"
}

# A figure that is no time, as the field NAME.
note() { # PART VOLUME SET TOOL NAME NUMBER
	jq -cn --arg part "$1" --arg volume "$2" --arg set "$3" --arg tool "$4" --arg name "$5" --argjson number "$6" \
		'{part: $part, volume: $volume, set: $set, tool: $tool, ($name): $number}' >>"$results"
}

# All TOOLs in turns, first once to warm up, each time beginning with another one: what else the machine
# does meets them all. ONCE is called with a tool and must measure it; it finds $kind, $set_ and $round.
turns() { # ONCE PART VOLUME SET TOOL...
	once=$1
	row=$2
	kind=$3
	set_=$4
	shift 4
	round=0
	while [ "$round" -le "$runs" ]; do
		for tool; do
			"$once" "$tool"
			[ "$round" -eq 0 ] || record "$row" "$kind" "$set_" "$tool"
		done
		first=$1
		shift
		set -- "$@" "$first"
		round=$((round + 1))
	done
	jq -sr --arg part "$row" --arg volume "$kind" --arg set "$set_" '
		def median: sort | .[length / 2 | floor];
		map(select(.part == $part and .volume == $volume and .set == $set and .wall)) | group_by(.tool)
		| map("\(.[0].tool) \(map(.wall) | median * 1000 | round / 1000)") | join(", ")
		| "\($part), \($volume), \($set): \(.)"' "$results" >&2
}

# Is what $tool left in DIR the tree FROM, by names, kinds, contents and links?
same_as() { # FROM DIR
	diff -r --no-dereference --exclude=.decant "$1" "$2" >"$work/diff" || {
		head -n 3 "$work/diff" >&2
		fail "$tool" compare 'not the tree that was packed, see above'
	}
}

# ---- less than all CPUs -----------------------------------------------------------------------

quota_group=

# From here on what is measured has PERCENT of one CPU. False: no cgroup can limit that here.
quota_begin() { # PERCENT
	for mount in $(awk '$3 == "cgroup2" { print $2 }' /proc/mounts) /sys/fs/cgroup/cpu; do
		quota_group=$mount/decant-bench-$$
		mkdir "$quota_group" 2>/dev/null || continue
		if { echo "${1}000 100000" >"$quota_group/cpu.max"; } 2>/dev/null ||
			{ echo "${1}000" >"$quota_group/cpu.cfs_quota_us"; } 2>/dev/null; then
			limit="$here/in-group $quota_group/cgroup.procs"
			return 0
		fi
		rmdir "$quota_group"
	done
	quota_group=
	return 1
}

quota_end() {
	[ -z "$quota_group" ] || rmdir "$quota_group"
	quota_group=
	limit=
}
