# shellcheck shell=sh disable=SC2034,SC2154 # sourced by scripts/bench
# From a directory to an image, and from a registry to a filled volume, through a real engine. Each run has
# an engine of its own on a file system that nothing has used before.

site=/usr/share/nginx/html
names_of_bases=

# Images that every engine starts with: what all have pulled long ago.
bases_make() {
	[ -z "$names_of_bases" ] || return 0
	engine_fresh
	base=$(base_image "$work")
	nginx=$(nginx_image "$work")
	names_of_bases="$base $nginx"
	# shellcheck disable=SC2086 # two names
	docker save -o "$work/bases.tar" $names_of_bases
}

engine_fresh() {
	engine_end
	volume_new ext4
	engine_start "$volume/e" 2>/dev/null
	[ ! -f "$work/bases.tar" ] || docker load --quiet -i "$work/bases.tar" >/dev/null
}

# Containers and the engine go; the file system is thrown away as it is.
engine_end() {
	engine_stop
	unset DOCKER_HOST
	volume_remove
}

registry_begin() {
	if [ -z "$registry_pid" ]; then
		mkdir "$memory/registry"
		registry_start "$memory/registry"
	fi
}

# Tries COMMAND until it is done; at most a minute.
wait_for() { # COMMAND...
	waited=0
	until "$@" 2>/dev/null; do
		waited=$((waited + 1))
		[ "$waited" -lt 1200 ] || fail "$1" wait 'not there after a minute'
		sleep 0.05
	done
}

image_end() {
	[ -z "$engine_dir" ] || engine_stop
	registry_stop
}

# A data image of SET as TAG.
build_with() { # TOOL SET TAG
	case $1 in
	decant)
		run "$root/scripts/build-image" --source "$sets/$2" --dest "$site" --tag "$3" --base "$base" \
			--level "$level"
		;;
	copy)
		printf 'FROM %s\nCOPY . %s\nVOLUME %s\nCMD ["true"]\n' "$base" "$site" "$site" >"$work/Dockerfile"
		run docker build --quiet --no-cache --tag "$3" -f "$work/Dockerfile" "$sets/$2"
		;;
	esac
}

image_build_once() { # TOOL
	engine_fresh
	build_with "$1" "$set_" bench
	[ "$round" -ne 1 ] || note "$row" "$kind" "$set_" "$1" bytes "$(docker image inspect --format '{{.Size}}' bench)"
	engine_end
}

# Pulls IMAGE and runs it once with a new volume: what a task does before its app starts.
image_start_once() { # TOOL
	engine_fresh
	docker volume create filled >/dev/null
	run "$here/pull-and-run" "$registry/$1" filled "$site"
	if [ "$round" -eq 0 ]; then
		tool=$1
		same_as "$sets/$set_" "$(docker volume inspect --format '{{.Mountpoint}}' filled)"
	fi
	engine_end
}

part_image() {
	volume_gigabytes=4
	rm -f "$memory/ext4.img"
	bases_make
	registry_begin
	for data in icons docs; do
		make_set "$data"
		turns image_build_once 'data image: build' ext4 "$data" decant copy
		for builder in decant copy; do
			engine_fresh
			build_with "$builder" "$data" "$registry/$builder"
			docker push --quiet "$registry/$builder" >/dev/null
			engine_end
		done
		turns image_start_once 'data image: pull, unpack, fill' ext4 "$data" decant copy
	done
}
