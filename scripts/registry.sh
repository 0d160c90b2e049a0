# shellcheck shell=sh disable=SC2034,SC2154 # for scripts that have sourced lib.sh, which use $registry
# A registry on loopback, to push to and pull from: Debian's docker-registry, installed or downloaded for
# the occasion. An engine on the same machine takes it without TLS. Sourced, never run.
#
#   registry_start DIR   its data goes below DIR; sets $registry to HOST:PORT
#   registry_stop

registry_pid=

registry_start() { # DIR
	registry_program=$(path_of docker-registry) || {
		command -v apt-get >/dev/null 2>&1 || fail docker-registry run 'not found, and apt is not here to get it'
		mkdir -p "$1/registry.debs"
		fetch_debs "$1/registry.debs" docker-registry || fail docker-registry download 'apt-get failed'
		dpkg-deb -x "$1"/registry.debs/*.deb "$1/registry.program"
		registry_program=$1/registry.program/usr/bin/docker-registry
	}
	cat >"$1/registry.yml" <<-CONFIG
		version: 0.1
		log: { level: info, formatter: json }
		storage: { filesystem: { rootdirectory: "$1/registry.data" } }
		http: { addr: "127.0.0.1:0" }
	CONFIG
	"$registry_program" serve "$1/registry.yml" >"$1/registry.log" 2>&1 &
	registry_pid=$!
	registry_wait=0
	# It takes any free port, and says which.
	until registry=$(sed -n 's/.*"listening on \([0-9.]*:[0-9]*\)".*/\1/p' "$1/registry.log") &&
		[ -n "$registry" ] && curl -fsS -o /dev/null "http://$registry/v2/" 2>/dev/null; do
		if ! kill -0 "$registry_pid" 2>/dev/null || [ "$registry_wait" -ge 100 ]; then
			tail -n 5 "$1/registry.log" >&2
			fail docker-registry start 'no answer, see its last lines above'
		fi
		registry_wait=$((registry_wait + 1))
		sleep 0.1
	done
}

registry_stop() {
	[ -n "$registry_pid" ] || return 0
	kill "$registry_pid" 2>/dev/null || :
	wait "$registry_pid" 2>/dev/null || :
	registry_pid=
}
