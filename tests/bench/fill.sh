# shellcheck shell=sh disable=SC2034,SC2154 # sourced by scripts/bench
# An empty volume is filled.

fill_once() { # TOOL
	volume_new "$kind"
	fill_with "$1" "$set_"
	if [ "$round" -eq 0 ]; then
		same_as "$sets/$set_" "$volume"
		[ "$1" != decant ] || "$decant" verify --dest "$volume" "$sets/$set_.tar.zst" >/dev/null
	fi
	volume_remove
}

# Makes SET and what each TOOL unpacks, and reads all into the page cache.
ready() { # SET TOOL...
	make_set "$1"
	into=$1
	shift
	for tool; do
		pack_for "$tool" "$into"
	done
	find "$sets" -path "$sets/$into*" -type f -exec cat {} + >/dev/null
}

part_fill() {
	kinds='ext4 tmpfs'
	names=docs
	fillers='decant floor tar unsquashfs busybox rsync'
	if [ -n "$full" ]; then
		kinds='ext4 xfs tmpfs'
		names='icons docs media'
		fillers='decant floor tar bsdtar unsquashfs casync erofs busybox cp rsync'
	fi
	for data in $names; do
		# shellcheck disable=SC2086 # a list of names
		ready "$data" $fillers
		for fs in $kinds; do
			# shellcheck disable=SC2086 # a list of names
			turns fill_once fill "$fs" "$data" $fillers
		done
	done
}

part_one() {
	fillers='decant tar bsdtar unsquashfs casync erofs busybox rsync'
	threads=1
	for quota in icons:100 docs:100 icons:25 docs:25; do
		data=${quota%:*}
		percent=${quota#*:}
		# shellcheck disable=SC2086 # a list of names
		ready "$data" $fillers
		quota_begin "$percent" || fail "$percent % of a CPU" 'make a cgroup' 'no controller for it here'
		# shellcheck disable=SC2086 # a list of names
		turns fill_once "fill, $percent % of a CPU" tmpfs "$data" $fillers
		quota_end
	done
	threads=$(nproc)
}
