# shellcheck shell=sh disable=SC2034,SC2154 # sourced by scripts/bench
# All contents are read and compared with what they should be; read-all only reads them.

verify_once() { # TOOL
	case $1 in
	decant) run "$decant" verify --threads "$threads" --dest "$volume" "$sets/$set_.tar.zst" ;;
	sha256sum) run "$here/in-directory" "$volume" sha256sum --quiet -c "$work/sha256sum" ;;
	xxhsum) run "$here/in-directory" "$volume" xxhsum -q -c "$work/xxhsum" ;;
	b3sum) run "$here/in-directory" "$volume" b3sum --quiet -c "$work/b3sum" ;;
	read-all) run "$here/read-all" "$volume" ;;
	esac
}

part_verify() {
	names=docs
	[ -z "$full" ] || names='icons docs media'
	for data in $names; do
		ready "$data" decant
		volume_new tmpfs
		fill_with decant "$data"
		for sum in sha256sum xxhsum b3sum; do
			(cd "$volume" && find . -path ./.decant -prune -o -type f -print0 | xargs -0 "$sum") \
				>"$work/$sum" 2>/dev/null
		done
		turns verify_once verify tmpfs "$data" decant read-all sha256sum xxhsum b3sum
		volume_remove
	done
}
