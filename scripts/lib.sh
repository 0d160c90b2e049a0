# shellcheck shell=sh disable=SC2034,SC2154 # $name comes from the script that sources this, $engine_network goes to it
# What the scripts share. Sourced, never run; the script that sources it has set $name.
#
#   refuse, fail, say, need        messages and exits
#   refuse_unreadable              what is no file to read from
#   finish_at_end                  has the script's finish run, whatever ends it
#   yaml_documents                 what is in a YAML file, as JSON
#   token                          eight characters for a name that nobody has
#   forget_git                     what git tells a hook's processes is not for other repositories
#   engine_start DIR, engine_stop  a Docker Engine: the one that answers, or a private one below DIR
#   compose                        Compose v2 or docker-compose 1.29
#   image_here NAME                the engine has an image, or can pull it
#   forget_images PATTERN          takes away the names that match, and with the last one the image
#   stand_ins, forget_stand_ins    the names of the images below that are made here
#   base_image, nginx_image, debian_image
#                                  print the name of an image: the real one, or a stand-in made here

# One line, as every program here says it: who, what, doing what, why.
refuse() { # object action reason
	say "$1: $2: $3"
	exit 2
}

fail() { # object action reason
	say "$1: $2: $3"
	exit 1
}

# Names may have any bytes, of which control characters would make more lines, or obey.
say() {
	printf '%s\n' "$(printf '%s' "$name: $*" | LC_ALL=C tr '\001-\037\177' '?')" >&2
}

# Stops when PATH is nothing to read from. A pipe is.
refuse_unreadable() { # object action PATH
	[ -n "$3" ] || refuse "$1" "$2" 'empty name'
	[ ! -d "$3" ] || refuse "$1" "$2" 'is a directory'
	[ -e "$3" ] || refuse "$1" "$2" 'no such file'
	[ -r "$3" ] || refuse "$1" "$2" 'permission denied'
}

# Stops at the first of its arguments that is no command.
need() {
	for want; do
		command -v "$want" >/dev/null 2>&1 ||
			fail "$want" run "not found (scripts/bootstrap --demo installs it)"
	done
}

# Has the script's own finish run once when the script ends, also by a signal, for which dash would not run an
# EXIT trap. finish finds the exit status in $status, and may change it.
finish_at_end() {
	trap finish_undisturbed EXIT
	trap 'exit 129' HUP
	trap 'exit 130' INT
	trap 'exit 141' PIPE
	trap 'exit 143' TERM
}

finish_undisturbed() {
	status=$?
	trap '' HUP INT PIPE TERM
	trap - EXIT
	# What cannot be taken away is no reason to leave the rest.
	set +e
	# A terminal sends Ctrl-C to all that runs in it, and docker's client minds it even where its parent does not.
	if command -v setsid >/dev/null 2>&1; then
		# shellcheck disable=SC2317 # finish calls it
		docker() {
			setsid docker "$@"
		}
	fi
	finish
	exit "$status"
}

# Lower case, for names of images. Others on the same engine or network may have our process id: a container
# can have process ids of its own.
token() {
	mktemp -u XXXXXXXX | tr '[:upper:]' '[:lower:]'
}

# GIT_DIR and its like, by which any git would work on the repository whose hook runs this.
forget_git() {
	command -v git >/dev/null 2>&1 || return 0
	# shellcheck disable=SC2046 # a list of names
	unset $(git rev-parse --local-env-vars)
}

# Prints the documents of a YAML file as JSON, one a line. yq is the wrapper of jq, not the program in Go that has
# the same name. It reads YAML 1.2, Kubernetes and Compose 1.1, to which yes, no, on and off are no text where they
# stand without quotes; where any may, yq is asked how all is written.
yaml_documents() { # FILE WORK, where yq's complaints are in "error" when it fails
	if LC_ALL=C grep -qE '(^|[[:space:],[{])([YyNn]|[Yy]es|YES|[Nn]o|NO|[Oo]n|ON|[Oo]ff|OFF)[[:space:]]*([],}#]|$)' <"$1"; then
		yq --yaml-roundtrip tojson <"$1" >"$2/noted" 2>"$2/error" &&
			yq -r . <"$2/noted" >"$2/annotated" 2>"$2/error" &&
			jq -c -f "$root/scripts/yaml-words.jq" "$2/annotated"
	else
		yq -c . <"$1" 2>"$2/error"
	fi
}

# What yq had against a file, in one line.
yq_reason() { # ITS-STANDARD-ERROR
	tr '\n' ' ' <"$1" | sed 's/^yq: Error running jq: //; s/ *$//' | cut -c 1-200
}

# Runs a command that must not wait for a network for ever. busybox has timeout, too.
briefly() { # seconds command...
	if command -v timeout >/dev/null 2>&1; then
		timeout "$@"
	else
		shift
		"$@"
	fi
}

# ---- the engine -------------------------------------------------------------------------------

engine_dir=
engine_pid=
engine_bridge=

engine_answers() {
	briefly 20 docker version --format '{{.Server.Version}}' >/dev/null 2>&1
}

# Uses the engine that answers. Without one, root starts a private one: own socket, data and
# containerd below $1, own bridge, no packet filter rules. So it disturbs no other engine, and after
# engine_stop nothing of it is left. It routes nothing to the outside: builds that need a network
# take docker build's --network=host, which $engine_network then holds. DECANT_ENGINE_NETWORK is for who starts
# one for other scripts: what they shall have there.
engine_start() { # DIR
	engine_network=${DECANT_ENGINE_NETWORK:-}
	need docker
	if engine_answers; then
		return 0
	fi
	# An engine that somebody named is the one they want.
	[ -z "${DOCKER_HOST:-}" ] || fail "$DOCKER_HOST" connect 'no engine answers (DOCKER_HOST)'
	[ "$(id -u)" -eq 0 ] || fail docker connect 'no engine answers, and only root can start one'
	PATH=$PATH:/usr/sbin:/sbin
	need dockerd ip setsid
	# A socket's path has room for 107 bytes, and containerd appends its own part to ours.
	[ ${#1} -le 60 ] || fail "$1" 'start an engine' 'the path is too long for a socket (set TMPDIR)'
	mkdir -p "$1"
	engine_dir=$1
	engine_network=--network=host
	DOCKER_HOST=unix://$engine_dir/socket
	unset DOCKER_CONTEXT DOCKER_TLS_VERIFY DOCKER_CERT_PATH
	export DOCKER_HOST
	say "starting a private Docker Engine in $engine_dir"
	# `--bridge none` would be simpler, but deletes the docker0 of another engine.
	bridge=decant$(token)
	ip link add "$bridge" type bridge || fail "$bridge" 'add a bridge' 'failed, see above'
	engine_bridge=$bridge
	# In a session of its own: a terminal's Ctrl-C and its end are for the script, which ends the engine last.
	setsid dockerd --data-root "$engine_dir/data" --exec-root "$engine_dir/exec" --host "$DOCKER_HOST" \
		--pidfile "$engine_dir/pid" --bridge "$engine_bridge" --iptables=false --ip6tables=false \
		--ip-forward=false --ip-masq=false >"$engine_dir/log" 2>&1 &
	engine_pid=$!
	engine_wait=0
	until engine_answers; do
		if ! kill -0 "$engine_pid" 2>/dev/null || [ "$engine_wait" -ge 60 ]; then
			tail -n 5 "$engine_dir/log" >&2
			fail dockerd start 'no answer, see its last lines above'
		fi
		engine_wait=$((engine_wait + 1))
		sleep 0.5
	done
}

# Ends the private engine with all that it holds. Does nothing when there is none.
engine_stop() {
	[ -n "$engine_dir" ] || return 0
	if [ -n "$engine_pid" ] && kill -0 "$engine_pid" 2>/dev/null; then
		# A network's bridge outlives the engine, so networks go first, and containers before them.
		for engine_container in $(docker ps --all --quiet 2>/dev/null); do
			docker rm --force "$engine_container" >/dev/null 2>&1 || :
		done
		docker network prune --force >/dev/null 2>&1 || :
		kill "$engine_pid" 2>/dev/null || :
		wait "$engine_pid" 2>/dev/null || :
	fi
	[ -z "$engine_bridge" ] || ip link delete "$engine_bridge" 2>/dev/null || :
	# rm never follows a mount that an engine left behind: it would empty a live file system.
	awk -v dir="$engine_dir/" '{ gsub(/\\040/, " ", $2) } index($2, dir) == 1 { print $2 }' /proc/mounts | sort -r |
		while IFS= read -r engine_mount; do
			umount "$engine_mount" 2>/dev/null || umount -l "$engine_mount" 2>/dev/null || :
		done
	rm -rf -- "$engine_dir"
	engine_dir=
	engine_pid=
	engine_bridge=
}

# Compose v2 when the client has it, else docker-compose 1.29.
compose() {
	if docker compose version >/dev/null 2>&1; then
		docker compose "$@"
	else
		docker-compose "$@"
	fi
}

# ---- images -----------------------------------------------------------------------------------

image_here() { # NAME
	docker image inspect "$1" >/dev/null 2>&1 && return 0
	briefly 90 docker pull --quiet "$1" >/dev/null 2>&1
}

# By its id an image would go with the names that others gave it: a build from the same files has the same id.
forget_images() { # PATTERN
	for image in $(docker image ls --quiet --filter "reference=$1" | sort -u); do
		docker image inspect "$image" 2>/dev/null | jq -r '.[] | .RepoTags[], .RepoDigests[]'
	done | while read -r image; do
		# shellcheck disable=SC2254 # a pattern
		case $image in
		$1*) docker image rm --force "$image" >/dev/null 2>&1 || : ;;
		esac
	done
}

stand_ins() {
	docker image ls --format '{{.Repository}}' --filter 'reference=decant-stand-in/*' | tr '\n' ' '
}

# Those that were there before stay.
forget_stand_ins() { # WHAT-STAND_INS-SAID-BEFORE
	for image in $(stand_ins); do
		case " $1 " in
		*" $image "*) ;;
		*) docker image rm "$image" >/dev/null 2>&1 || : ;;
		esac
	done
}

# Prints the path of a program, also in a busybox shell, to which its own applets have none.
path_of() { # NAME
	(
		IFS=:
		for directory in $PATH; do
			[ -x "$directory/$1" ] && echo "$directory/$1" && exit
		done
		exit 1
	)
}

# busybox with a link for each applet, where a base image or a stand-in has its /bin.
unpack_busybox() { # ROOT
	mkdir -p "$1/bin"
	program=$(path_of busybox) || fail busybox copy 'not found'
	cp "$program" "$1/bin/busybox"
	# A shared one would find no C library in there.
	if command -v ldd >/dev/null 2>&1 && ldd "$1/bin/busybox" >/dev/null 2>&1; then
		fail busybox copy 'not static (install busybox-static)'
	fi
	for applet in $("$1/bin/busybox" --list); do
		[ -e "$1/bin/$applet" ] || ln -s busybox "$1/bin/$applet"
	done
	mkdir -p "$1/etc" "$1/usr/bin" "$1/usr/share" "$1/var" "$1/root" "$1/tmp" "$1/proc" "$1/sys" "$1/dev"
	chmod 1777 "$1/tmp"
	chmod 700 "$1/root"
	echo 'root:x:0:0:root:/root:/bin/sh' >"$1/etc/passwd"
	echo 'nobody:x:65534:65534:nobody:/:/bin/false' >>"$1/etc/passwd"
	echo 'root:x:0:' >"$1/etc/group"
	echo 'nogroup:x:65534:' >>"$1/etc/group"
}

# What a stand-in's tree lacks from the apt archive. It reads the machine's own apt sources.
fetch_debs() { # DIR PACKAGE...
	(
		cd "$1" || exit
		shift
		# apt's sandbox user may not write here; root may.
		apt-get -qq -o APT::Sandbox::User=root download "$@" >/dev/null 2>&1
	)
}

# The base of a data image.
base_image() { # WORK
	for image in alpine:3.20 alpine; do
		if image_here "$image"; then
			say "base image: $image"
			echo "$image"
			return 0
		fi
	done
	image=decant-stand-in/base
	if ! docker image inspect "$image" >/dev/null 2>&1; then
		command -v busybox >/dev/null 2>&1 || fail alpine pull 'failed, and without busybox there is no stand-in'
		mkdir "$1/base"
		unpack_busybox "$1/base"
		tar -C "$1/base" --numeric-owner -cf - . | docker import --change 'CMD ["/bin/sh"]' - "$image" >/dev/null
	fi
	say "base image: $image, busybox-static standing in for alpine, which could not be pulled"
	echo "$image"
}

# An image with nginx in it.
nginx_image() { # WORK
	image=nginx:alpine
	if image_here "$image"; then
		say "nginx image: $image"
		echo "$image"
		return 0
	fi
	image=decant-stand-in/nginx
	if ! docker image inspect "$image" >/dev/null 2>&1; then
		for tool in apt-get apt-cache dpkg-deb busybox; do
			command -v "$tool" >/dev/null 2>&1 ||
				fail nginx:alpine pull "failed, and without $tool there is no stand-in"
		done
		tree=$1/nginx
		mkdir -p "$1/nginx.debs" "$tree"
		# nginx, its libraries, and nothing that only a maintainer script wants.
		packages=$(apt-cache depends --important nginx | awk '
			/Depends:/ && $NF ~ /^(lib|zlib|nginx)/ && !seen[$NF]++ { print $NF }')
		# shellcheck disable=SC2086 # a list of names
		fetch_debs "$1/nginx.debs" nginx $packages || fail nginx download 'apt-get failed'
		for deb in "$1"/nginx.debs/*.deb; do
			dpkg-deb -x "$deb" "$tree"
		done
		unpack_busybox "$tree"
		mkdir -p "$tree/var/log/nginx" "$tree/var/lib/nginx" "$tree/run"
		# Only running it shows whether a library is missing.
		chroot "$tree" /usr/sbin/nginx -v >/dev/null 2>&1 || fail nginx run 'the stand-in is not whole'
		tar -C "$tree" --numeric-owner -cf - . |
			docker import --change 'CMD ["nginx", "-g", "daemon off;"]' \
				--change 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' \
				- "$image" >/dev/null
	fi
	say "nginx image: $image, from the machine's own packages, standing in for nginx:alpine, which could not be pulled"
	echo "$image"
}

# A Debian with apt sources in it, as a builder.
debian_image() { # WORK
	image=debian:bookworm-slim
	if image_here "$image"; then
		say "builder image: $image"
		echo "$image"
		return 0
	fi
	image=decant-stand-in/debian
	if ! docker image inspect "$image" >/dev/null 2>&1; then
		command -v debootstrap >/dev/null 2>&1 ||
			fail debian:bookworm-slim pull 'failed, and without debootstrap there is no stand-in'
		mirror=$(apt-cache policy | awk '$2 ~ /^https?:/ && $3 ~ /^bookworm\/main$/ { print $2; exit }')
		[ -n "$mirror" ] || fail debian:bookworm-slim pull 'failed, and no apt source of this machine has bookworm'
		debootstrap --variant=minbase bookworm "$1/debian" "$mirror" >"$1/debian.log" 2>&1 || {
			tail -n 5 "$1/debian.log" >&2
			fail "$mirror" debootstrap 'failed, see above'
		}
		rm -f -- "$1"/debian/var/cache/apt/archives/*.deb
		tar -C "$1/debian" --numeric-owner -cf - . | docker import --change 'CMD ["bash"]' - "$image" >/dev/null
		rm -rf -- "$1/debian"
	fi
	say "builder image: $image, from debootstrap, standing in for debian:bookworm-slim, which could not be pulled"
	echo "$image"
}
