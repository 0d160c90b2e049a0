# shellcheck shell=bash disable=SC2034,SC2154 # used by, and set by, the tests that load this
# A Docker Engine for one test file: the one that answers, or a private one. lib.sh's lives as long as the
# shell that started it, and bats runs setup_file and teardown_file in two shells: what the second needs is
# kept in a file.

# Exports $run, the prefix of all names that this file's tests give to images, containers and volumes.
engine_up() {
	name=${BATS_TEST_FILENAME##*/}
	# shellcheck source=scripts/lib.sh
	. "$top/scripts/lib.sh"
	# Short, for a socket's path; bats' own is not.
	engine=$(mktemp -d "${TMPDIR:-/tmp}/decant-e.XXXXXX")
	echo "$engine" >"$BATS_FILE_TMPDIR/engine"
	chmod 755 "$engine"
	# The engine must not keep the descriptors that bats reads until they are closed.
	engine_start "$engine/d" 3>&- 4>&-
	[ -z "$engine_pid" ] || disown "$engine_pid"
	run=decant-test-$$
	export run engine_network
	declare -p engine_dir engine_pid engine_bridge run >"$BATS_FILE_TMPDIR/engine.state"
}

engine_down() {
	local left
	name=${BATS_TEST_FILENAME##*/}
	# shellcheck source=scripts/lib.sh
	. "$top/scripts/lib.sh"
	if [ ! -s "$BATS_FILE_TMPDIR/engine.state" ]; then
		return 0
	fi
	# shellcheck source=/dev/null
	. "$BATS_FILE_TMPDIR/engine.state"
	for left in $(docker ps -aq --filter "name=$run"); do
		docker rm -f -v "$left" >/dev/null 2>&1 || :
	done
	for left in $(docker volume ls -q --filter "name=$run"); do
		docker volume rm -f "$left" >/dev/null 2>&1 || :
	done
	for left in $(docker image ls -q --filter "reference=$run-*"); do
		docker image rm -f "$left" >/dev/null 2>&1 || :
	done
	# `wait` knows only children; the engine's end has to be seen here before its folder goes.
	if [ -n "$engine_pid" ]; then
		for left in $(docker ps -aq); do
			docker rm -f -v "$left" >/dev/null 2>&1 || :
		done
		docker network prune -f >/dev/null 2>&1 || :
		kill "$engine_pid" || :
		for _ in $(seq 100); do
			kill -0 "$engine_pid" 2>/dev/null || break
			sleep 0.1
		done
	fi
	engine_stop
	read -r engine <"$BATS_FILE_TMPDIR/engine"
	rm -rf -- "$engine"
}

# Waits until a command succeeds; for what comes sooner or later, never for how long something takes.
until_true() { # COMMAND...
	for _ in $(seq 600); do
		"$@" && return 0
		sleep 0.1
	done
	echo "never came true: $*" >&2
	return 1
}
