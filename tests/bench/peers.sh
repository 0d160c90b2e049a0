# shellcheck shell=sh disable=SC2034,SC2154 # sourced by scripts/bench, which sets $sets, $volume, $threads ...
# Everything that a user could take instead, each with its best settings. $sets/NAME is the tree,
# $sets/NAME.* what each tool unpacks, all with zstd at level $level but erofs, whose version here has lz4.

# What TOOL is started with, to put set NAME into the empty $volume.
fill_with() { # TOOL NAME
	case $1 in
	decant) run "$decant" fill --log json --progress none --threads "$threads" --dest "$volume" "$sets/$2.tar.zst" ;;
	tar) run tar -C "$volume" --zstd -xpf "$sets/$2.solid.tar.zst" ;;
	bsdtar) run bsdtar -C "$volume" -xpf "$sets/$2.solid.tar.zst" ;;
	unsquashfs) run unsquashfs -n -q -f -p "$threads" -d "$volume" "$sets/$2.sqfs" ;;
	casync) run casync extract --store="$sets/$2.castr" "$sets/$2.caidx" "$volume" ;;
	erofs) run fsck.erofs --preserve --overwrite "--extract=$volume" "$sets/$2.erofs" ;;
	busybox) run busybox cp -a "$sets/$2/." "$volume" ;;
	cp) run cp -a "$sets/$2/." "$volume" ;;
	rsync) run rsync -a "$sets/$2/" "$volume/" ;;
	floor) "$tools/floor" "$measured" "$threads" "$sets/$2.tar.zst" "$sets/$2" "$volume" ;;
	esac
}

# What TOOL unpacks set NAME from; nothing when it is there already, of this packer and level.
pack_for() { # TOOL NAME
	case $1 in
	decant | floor) pack_once "$2.tar.zst" "$packer" --quiet --level "$level" -o "$sets/$2.tar.zst" "$sets/$2" ;;
	tar | bsdtar) pack_once "$2.solid.tar.zst" "$here/solid" "$level" "$sets/$2" "$sets/$2.solid.tar.zst" ;;
	unsquashfs)
		pack_once "$2.sqfs" mksquashfs "$sets/$2" "$sets/$2.sqfs" -quiet -no-progress -noappend \
			-comp zstd -Xcompression-level "$level"
		;;
	casync) pack_once "$2.caidx" casync make --store="$sets/$2.castr" "$sets/$2.caidx" "$sets/$2" ;;
	erofs) pack_once "$2.erofs" mkfs.erofs -zlz4hc "$sets/$2.erofs" "$sets/$2" ;;
	esac
}

pack_once() { # FILE COMMAND...
	made=$sets/$1
	made_by="level $level, $(cksum <"$packer")"
	if [ "$(cat "$made.done" 2>/dev/null)" != "$made_by" ]; then
		say "packing $1"
		rm -rf -- "${made:?}" "$made.done"
		shift
		"$@" >/dev/null
		echo "$made_by" >"$made.done"
	fi
}
