#!/usr/bin/env bats
# How the scripts answer: help, usage, and refusals that come before any work.

load helpers

# What a user can run, docker/ and scripts/ alike.
scripts() {
	find "$top/scripts" "$top/docker" -type f -perm -u+x | sort
}

# One line on standard error, nothing on standard output, exit status 2.
refuses() { # SCRIPT ARGUMENT...
	run --separate-stderr "$@"
	if [ "$status" -ne 2 ] || [ -n "$output" ] || [ "$(wc -l <<<"$stderr")" -ne 1 ] || [ -z "$stderr" ]; then
		printf '%s\n' "$*" "status $status" "$output" "$stderr" >&2
		return 1
	fi
}

setup() {
	cd "$BATS_TEST_TMPDIR" || return 1
	mkdir site
	echo page >site/index.html
	image=$top/scripts/build-image
}

@test "all that the README names in scripts and docker is there" {
	grep -oE '(scripts|docker|tests)/[a-z0-9][A-Za-z0-9./-]*[A-Za-z0-9]' "$top/README.md" | sort -u >names
	[ "$(wc -l <names)" -ge 10 ]
	while read -r name; do
		[ -e "$top/$name" ] || {
			echo "README.md: $name: is not there"
			exit 1
		}
	done <names
}

@test "every script explains itself with --help, on standard output, and exits 0" {
	scripts | while read -r script; do
		run -0 --separate-stderr "$script" --help
		[[ $output == *"${script##*/}"* ]]
		[[ $output == *--* ]]
		[ -z "$stderr" ]
	done
}

@test "every option that a script's text knows is in its --help" {
	scripts | while read -r script; do
		"$script" --help >help
		grep -oE '^[[:blank:]]+(--[a-z-]+( \| )?)+\)' "$script" | grep -oE -e '--[a-z-]+' | grep -vx -e --help |
			sort -u >options
		while read -r option; do
			grep -qF -e "$option" help || {
				echo "$script: $option is not in --help"
				exit 1
			}
		done <options
	done
}

@test "every script refuses an unknown option in one line, with exit 2" {
	[ "$(scripts | wc -l)" -ge 5 ]
	scripts | while read -r script; do
		# A shell's echo may make a line's end of what it says.
		refuses "$script" '--no-such\noption'
		[[ $stderr == *'--no-such\noption'* ]]
		[[ $stderr == *"${script##*/}"* ]]
	done
}

@test "scripts can be started from any folder, by a path with a link in it" {
	ln -s "$top" link
	cd /
	"$BATS_TEST_TMPDIR/link/scripts/build-image" --help
	"$BATS_TEST_TMPDIR/link/docker/rootfs" --help
	"$BATS_TEST_TMPDIR/link/scripts/bootstrap" --help
}

@test "the scripts are for any POSIX shell" {
	scripts | while read -r script; do
		[ "$(head -n 1 "$script")" = '#!/bin/sh' ]
		busybox sh -n "$script"
	done
	busybox sh "$image" --help | grep -q -e --source
}

@test "bootstrap refuses an architecture that decant is not for" {
	refuses "$top/scripts/bootstrap" --arch
	refuses "$top/scripts/bootstrap" --arch vax
	[[ $stderr == *vax* ]]
}

@test "bootstrap does nothing when all is there" {
	run -0 --separate-stderr "$top/scripts/bootstrap" --build
	[ -z "$output$stderr" ]
}

@test "test refuses a file that is not there, and a filter without a pattern" {
	refuses "$top/scripts/test" tests/none.bats
	refuses "$top/scripts/test" --filter
}

@test "demo refuses a source that is no directory and a port that is none" {
	refuses "$top/scripts/demo" --source "$PWD/site/index.html"
	refuses "$top/scripts/demo" --source
	refuses "$top/scripts/demo" --port http
	refuses "$top/scripts/demo" --port 123456
}

@test "build-image refuses to go without a source, a destination or a tag" {
	refuses "$image"
	refuses "$image" --source site --dest /srv
	refuses "$image" --source site --tag t
	refuses "$image" --dest /srv --tag t
	refuses "$image" --source
	refuses "$image" --source site --dest /srv --tag ''
}

@test "build-image refuses a source that is no directory" {
	refuses "$image" --source none --dest /srv --tag t
	[[ $stderr == *none* ]]
	refuses "$image" --source site/index.html --dest /srv --tag t
}

@test "build-image refuses destinations that cannot be a volume" {
	for dest in srv ./srv / // /srv/ /srv//a /srv/../a /srv/./a /decant /bundle /bundle/a /proc /proc/1 /sys /dev '/a b' '/a"b' \
		'/a:b' '/a,b' "/a\$b"; do
		refuses "$image" --source site --dest "$dest" --tag t
	done
	# A newline in a name may make two lines of the answer, but never of the image.
	run -2 "$image" --source site --dest $'/a\nb' --tag t
}

@test "build-image refuses values that are none" {
	for option in --level=0 --level=23 --level=x --level=9x --owner=root --owner=1 --owner=1:x --owner=-1:0 \
		--owner=4294967295:0 --user=9999999999 --user=www --user=1: --mount-owner=1 --mount-mode=9 \
		--mount-mode=07777x --platform=linux/vax --tag=-x '--tag=a b'; do
		refuses "$image" --source site --dest /srv --tag t "$option"
		[[ $stderr == *"${option%%=*}"* ]]
	done
}

@test "build-image refuses a bundle with what only a source can have" {
	pack site b.tar.zst --dest /srv
	refuses "$image" --bundle none.tar.zst --tag t
	refuses "$image" --bundle b.tar.zst --source site --tag t
	refuses "$image" --bundle b.tar.zst --dest /srv --tag t
	refuses "$image" --bundle b.tar.zst --in-docker --tag t
}

@test "build-image says in one line that no engine answers" {
	run -1 --separate-stderr env DOCKER_HOST="unix://$PWD/none" "$image" --source site --dest /srv --tag t
	[ -z "$output" ]
	[ "$(wc -l <<<"$stderr")" -eq 1 ]
	[[ $stderr == *"$PWD/none"* ]]
}

# A docker that answers, builds whatever it is asked for, and runs COMMAND in place of a build.
fake_docker() { # COMMAND
	mkdir bin tmp
	printf '%s\n' '#!/bin/sh' "case \$1 in version) echo linux/amd64 ;; build) $1 ;; esac" >bin/docker
	chmod +x bin/docker
	export PATH="$PWD/bin:$PATH" TMPDIR="$PWD/tmp"
}

@test "build-image refuses what a build in Docker would lose" {
	fake_docker 'echo built >&2; exit 1'
	for lost in .wh.index.html css/.wh..wh..opq socket; do
		mkdir -p site/css
		case $lost in
		socket) perl -MIO::Socket::UNIX -e 'IO::Socket::UNIX->new(Local => "site/socket", Listen => 1)' ;;
		*) touch "site/$lost" ;;
		esac
		refuses "$image" --source site --dest /srv --tag t --in-docker
		[[ $stderr == "build-image: site/$lost: "* ]]
		rm "site/$lost"
	done
	run -1 "$image" --source site --dest /srv --tag t --in-docker
	[[ $output == *built* ]]
}

@test "build-image takes a source whose name begins with a dash" {
	fake_docker 'echo built >&2; exit 1'
	mv site ./-s
	run -1 --separate-stderr "$image" --source -s --dest /srv --tag t
	[[ $stderr == *built* ]]
	[[ $stderr != *option* ]]
}

@test "build-image and publish-data leave nothing when they are hung up, or lose their reader" {
	# As a terminal does: to all that runs there.
	fake_docker 'kill -s "$SIGNAL" 0; sleep 60'
	for signal in HUP:129 INT:130 PIPE:141 TERM:143; do
		export SIGNAL=${signal%:*}
		for script in "build-image --tag t" "publish-data --image t --revision t --output out.json"; do
			# shellcheck disable=SC2086 # a list
			run -"${signal#*:}" env --default-signal setsid "$top/scripts/"$script --source site --dest /srv
			[ -z "$(ls -A tmp)" ]
			[ "$(ls)" = $'bin\nsite\ntmp' ]
		done
	done
}

@test "bootstrap leaves nothing of its own view of apt when it is hung up" {
	# Only where there is an apt does it make one.
	if command -v dpkg-query >/dev/null; then
		mkdir bin tmp
		printf '%s\n' '#!/bin/sh' 'kill -s HUP 0; sleep 60' >bin/apt-get
		chmod +x bin/apt-get
		run -129 env --default-signal DECANT_DEPS="$PWD/deps" TMPDIR="$PWD/tmp" PATH="$PWD/bin:$PATH" \
			setsid "$top/scripts/bootstrap" --build
		[ -z "$(ls -A tmp)" ]
	fi
}

@test "bootstrap takes the version before one that is in the archive's index and not in the archive" {
	if command -v dpkg-query >/dev/null; then
		mkdir bin
		printf '%s\n' '#!/bin/sh' 'printf "%s\n" "Version: 1.9" "Version: 1.10" "Version: 1.8"' >bin/apt-cache
		# What it gets is no zstd, so that nothing is compiled for long.
		# shellcheck disable=SC2016 # the program's own
		printf '%s\n' '#!/bin/sh' 'case "$*" in' '*libzstd=1.9*) mkdir -p libzstd-1.9/lib/common libzstd-1.9/lib/decompress' \
			'cd libzstd-1.9/lib; echo "#error 1.9" | tee zstd.h zstd_errors.h common/a.c >decompress/zstd_decompress.c ;;' \
			'*libzstd=*) echo "E: not there" >&2; exit 100 ;;' 'esac' >bin/apt-get
		chmod +x bin/*
		run -1 --separate-stderr env DECANT_DEPS="$PWD/deps" PATH="$PWD/bin:$PATH" "$top/scripts/bootstrap" --build
		[[ $stderr == *"libzstd 1.10: get source: the archive does not have it"*"#error 1.9"* ]]
		# And when it has none, that is the end.
		sed -i 's/=1\.9/=none/' bin/apt-get
		rm -r deps
		run -1 --separate-stderr env DECANT_DEPS="$PWD/deps" PATH="$PWD/bin:$PATH" "$top/scripts/bootstrap" --build
		[[ $stderr == *"E: not there"*"libzstd: get source: apt-get failed, see above" ]]
	fi
}

@test "demo ends the engine that it is starting when it is hung up" {
	mkdir bin
	# To dockerd this signal is an order to read its settings again.
	printf '%s\n' '#!/bin/sh' "trap '' HUP" "echo \$\$ >$PWD/dockerd.pid" 'kill -HUP "$PPID"' 'exec sleep 600' >bin/dockerd
	printf '%s\n' '#!/bin/sh' 'exit 1' >bin/docker
	printf '%s\n' '#!/bin/sh' "echo \"\$@\" >>$PWD/ip.log" >bin/ip
	chmod +x bin/*
	# Short, for a socket's path.
	tmp=$(mktemp -d /tmp/decant.XXXXXX)
	run env -u DOCKER_HOST --default-signal PATH="$PWD/bin:$PATH" TMPDIR="$tmp" "$top/scripts/demo" --no-bootstrap --source site
	refute kill "$(cat dockerd.pid)"
	[ "$status" -eq 129 ]
	[ "$(cut -d ' ' -f 1-2 ip.log | tr '\n' ' ')" = 'link add link delete ' ]
	rmdir "$tmp"
}

@test "rootfs lays out decant, the bundle, the licences and the mount point" {
	pack site b.tar.zst --dest /var/www/site
	umask 077
	"$top/docker/rootfs" --decant "$decant" --bundle b.tar.zst --dest /var/www/site --owner 12:34 --mode 2770 --out root
	cmp root/decant "$decant"
	cmp root/bundle/site.tar.zst b.tar.zst
	[ "$(stat -c '%a %u:%g' root/var/www/site)" = '2770 12:34' ]
	[ -z "$(ls -A root/var/www/site)" ]
	[ "$(stat -c %a root/decant root/bundle root/bundle/site.tar.zst root/var/www root/usr/share/licenses | tr '\n' ' ')" = \
		'755 755 644 755 755 ' ]
	for license in decant musl zstd xxhash; do
		find "root/usr/share/licenses/$license" -type f -size +500c | grep -q .
	done
}

@test "rootfs gives directories that a system has the modes that they have there" {
	pack site b.tar.zst
	"$top/docker/rootfs" --decant "$decant" --bundle b.tar.zst --dest /tmp/site --out one
	[ "$(stat -c %a one/tmp)" = 1777 ]
	"$top/docker/rootfs" --decant "$decant" --bundle b.tar.zst --dest /root/site --out two
	[ "$(stat -c %a two/root)" = 700 ]
}

@test "rootfs refuses what is missing, and a folder that is there" {
	pack site b.tar.zst
	refuses "$top/docker/rootfs" --decant "$decant" --bundle b.tar.zst --dest /srv
	refuses "$top/docker/rootfs" --decant none --bundle b.tar.zst --dest /srv --out root
	refuses "$top/docker/rootfs" --decant "$decant" --bundle none --dest /srv --out root
	for dest in srv / /a/../b /bundle /dev/x; do
		refuses "$top/docker/rootfs" --decant "$decant" --bundle b.tar.zst --dest "$dest" --out root
	done
	[ ! -e root ]
	mkdir root
	run -1 "$top/docker/rootfs" --decant "$decant" --bundle b.tar.zst --dest /srv --out root
	[ -z "$(ls -A root)" ]
}
