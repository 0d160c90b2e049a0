# shellcheck shell=sh disable=SC2034,SC2154 # sourced by scripts/bench
# A volume that holds a release gets the same one again, or one in which 1 % of the files are others.

# A tree like SET's in which each hundredth file has one more line.
make_next() { # SET
	[ ! -e "$sets/$1-next.ready" ] || return 0
	say "making $1-next"
	rm -rf -- "${sets:?}/$1-next"
	cp -a "$sets/$1" "$sets/$1-next"
	find "$sets/$1-next" -type f | LC_ALL=C sort | awk 'NR % 100 == 0' | while read -r file; do
		echo '<!-- changed -->' >>"$file"
	done
	: >"$sets/$1-next.ready"
}

refill_once() { # TOOL
	volume_new "$kind"
	# What stands there before was put there by the same tool.
	fill_with "$1" "$set_"
	fill_with "$1" "$next"
	[ "$round" -ne 0 ] || same_as "$sets/$next" "$volume"
	volume_remove
}

part_refill() {
	kinds='ext4 tmpfs'
	names=docs
	if [ -n "$full" ]; then
		kinds='ext4 xfs tmpfs'
		names='icons docs'
	fi
	for data in $names; do
		ready "$data" decant unsquashfs
		make_next "$data"
		pack_for decant "$data-next"
		for fs in $kinds; do
			next=$data
			turns refill_once 'refill, nothing changed' "$fs" "$data" decant unsquashfs rsync
			next=$data-next
			turns refill_once 'refill, 1 % changed' "$fs" "$data" decant rsync
		done
	done
}
