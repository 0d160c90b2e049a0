# shellcheck shell=sh disable=SC2034,SC2154 # sourced by scripts/bench
# A tree becomes one file: time on all cores, and size.

pack_once_with() { # TOOL
	made=$work/packed
	rm -f -- "$made"
	case $1 in
	decant-pack) run "$packer" --quiet --level "$level" -o "$made" "$sets/$set_" ;;
	tar-zstd) run "$here/solid" "$level" "$sets/$set_" "$made" ;;
	mksquashfs)
		run mksquashfs "$sets/$set_" "$made" -quiet -no-progress -noappend \
			-comp zstd -Xcompression-level "$level"
		;;
	esac
	[ "$round" -ne 1 ] || note pack file "$set_" "$1" bytes "$(stat -c %s "$made")"
}

part_pack() {
	names=docs
	[ -z "$full" ] || names='icons docs media'
	for data in $names; do
		ready "$data" decant
		turns pack_once_with pack file "$data" decant-pack tar-zstd mksquashfs
	done
}
