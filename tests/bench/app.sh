# shellcheck shell=sh disable=SC2034,SC2154 # sourced by scripts/bench
# An app image with its files in it (fat) against one without (lean), which gets them from a volume.

# The image of the web server: lean, or with SET in it.
app_build() { # fat|lean SET TAG
	case $1 in
	lean)
		run docker build --quiet --no-cache --build-arg "BASE=$nginx" --tag "$3" \
			-f "$root/docker/app.Dockerfile" "$root/docker"
		;;
	fat)
		docker build --quiet --build-arg "BASE=$nginx" --tag lean -f "$root/docker/app.Dockerfile" \
			"$root/docker" >/dev/null
		printf 'FROM lean\nCOPY . %s\n' "$site" >"$work/Dockerfile"
		run docker build --quiet --no-cache --tag "$3" -f "$work/Dockerfile" "$sets/$2"
		;;
	esac
}

app_build_once() { # TOOL
	engine_fresh
	app_build "$1" "$set_" app
	[ "$round" -ne 1 ] || note "$row" "$kind" "$set_" "$1" bytes "$(docker image inspect --format '{{.Size}}' app)"
	engine_end
}

# From a registry to the first page that is served.
app_start_once() { # TOOL
	engine_fresh
	run "$here/first-page" "$1" "$registry/$1-$set_" "$registry/data-$set_" \
		"$site" "$page"
	engine_end
}

# Requests a second, of all pages in turn.
app_load_once() { # TOOL
	docker run --detach --name "$1" --tmpfs /tmp -v filled:/filled:ro "$1" >/dev/null
	address=$(docker inspect --format '{{.NetworkSettings.IPAddress}}' "$1"):8080
	wait_for curl -fsS -o /dev/null "http://$address/$page"
	run wrk -t 1 -c 16 -d 5s -s "$here/pages.lua" "http://$address" -- "$work/pages"
	[ "$round" -eq 0 ] ||
		note "$row" "$kind" "$set_" "$1" 'per second' "$(awk '$1 == "Requests/sec:" { print $2 }' "$work/said")"
	docker rm --force "$1" >/dev/null
}

pages_of() { # SET
	(cd "$sets/$1" && find . -type f -name '*.html' -printf '/%P\n' | grep -v '[^A-Za-z0-9/._-]' |
		LC_ALL=C sort) >"$work/pages"
	page=$(sed -n '1s/^.//p' "$work/pages")
}

part_app() {
	volume_gigabytes=10
	rm -f "$memory/ext4.img"
	bases_make
	registry_begin
	for data in 150 750 2250; do
		make_set "$data"
		turns app_build_once 'app image: build' ext4 "$data" fat lean
	done
	for data in 80 300; do
		make_set "$data"
		pages_of "$data"
		for which in fat lean; do
			engine_fresh
			app_build "$which" "$data" "$registry/$which-$data"
			docker push --quiet "$registry/$which-$data" >/dev/null
		done
		build_with decant "$data" "$registry/data-$data"
		docker push --quiet "$registry/data-$data" >/dev/null
		engine_end
		turns app_start_once 'app: registry to first page' ext4 "$data" fat lean
	done
	load
}

load() {
	pages_of 300
	engine_fresh
	app_build fat 300 fat
	sed "s,$site,/filled," "$root/docker/nginx.conf" >"$work/nginx.conf"
	printf 'FROM lean\nCOPY nginx.conf /etc/nginx/nginx.conf\n' >"$work/Dockerfile"
	docker build --quiet --tag lean-filled -f "$work/Dockerfile" "$work" >/dev/null
	build_with decant 300 data
	docker run --rm --network none -v "filled:$site" data 2>/dev/null
	turns app_load_once 'app: load' ext4 300 fat lean-filled
	engine_end
}
