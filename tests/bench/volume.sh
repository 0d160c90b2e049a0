# shellcheck shell=sh disable=SC2034,SC2154 # sourced by scripts/bench, which sets $memory, $volume
# A volume that nothing has used before, for each run. Files made right after many were deleted are several
# times slower on ext4: it passes over inodes deleted in the last seconds one by one. So each run gets a new
# file system, on a loop device over a file in memory, which was written once: memory that is touched for the
# first time is slow in virtual machines.

volume_gigabytes=3

volume_image() { # FS
	image=$memory/$1.img
	if [ ! -f "$image" ]; then
		dd if=/dev/zero of="$image" bs=1M count=$((volume_gigabytes * 1024)) status=none
	fi
}

# Mounts a new, empty file system of kind FS on $volume.
volume_new() { # FS
	volume_remove
	mkdir -p "$volume"
	case $1 in
	tmpfs)
		mount -t tmpfs -o "size=${volume_gigabytes}g,mode=755" bench "$volume"
		return 0
		;;
	ext4)
		volume_image ext4
		mkfs.ext4 -q -F -i 4096 -E nodiscard "$image"
		mount -o loop,noinit_itable,nodiscard "$image" "$volume"
		rmdir "$volume/lost+found"
		;;
	xfs)
		volume_image xfs
		mkfs.xfs -q -f -K "$image"
		mount -o loop,nodiscard "$image" "$volume"
		;;
	esac
}

# A container of anybody's that started meanwhile may hold the mount for a while longer.
volume_remove() {
	if mountpoint -q "$volume" 2>/dev/null; then
		umount "$volume"
	fi
	tries=0
	for image in "$memory"/*.img; do
		while [ -n "$(losetup -j "$image" 2>/dev/null)" ]; do
			tries=$((tries + 1))
			[ "$tries" -lt 600 ] || fail "$image" unmount 'something still uses it'
			sleep 0.1
		done
	done
}
