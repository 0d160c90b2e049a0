# shellcheck shell=bash disable=SC2034,SC2154 # used by, and set by, the tests that load this
# Runs of ecs-local on a real Docker Engine.

setup() {
	cd "$BATS_TEST_TMPDIR" || return 1
	ecs=$top/scripts/ecs-local
}

# Nothing of a run is left, whatever else an engine may hold. Of a teardown bats sees the last status alone.
teardown() {
	[ -z "${task:-}" ] || kill -KILL "$task" 2>/dev/null || :
	left=$(docker ps -aq --filter label=decant.ecs-local &&
		docker volume ls -q --filter label=decant.ecs-local &&
		docker network ls -q --filter label=decant.ecs-local) || return 1
	[ -z "$left" ] || {
		echo "left behind: $left" >&2
		return 1
	}
}

# Runs a task to its end: its exit status is $status, the logs are in `out` and what became of it is in `err`.
ecs() { # STATUS ARGUMENT...
	local want=$1
	shift
	status=0
	timeout -k 10 60 "$ecs" "$@" >out 2>err 3>&- || status=$?
	if [ "$status" -ne "$want" ]; then
		cat out err >&2
		echo "status $status" >&2
		return 1
	fi
}

# The same in the background, as $task.
ecs_background() { # ARGUMENT...
	"$ecs" "$@" >out 2>err 3>&- &
	task=$!
}

# Waits until a file has a line.
until_line() { # FILE PATTERN
	for _ in $(seq 300); do
		! grep -q -e "$2" "$1" || return 0
		sleep 0.1
	done
	cat out err >&2
	return 1
}

# The background task's end.
ends_with() { # STATUS
	status=0
	wait "$task" || status=$?
	task=
	[ "$status" -eq "$1" ] || {
		cat out err >&2
		echo "status $status" >&2
		return 1
	}
}

# A definition of containers that run shell commands: each argument is a JSON object that has at least a name, and in
# "run" the command. Without networkMode, which is bridge: no container for a network is needed.
task() { # CONTAINER...
	printf '%s\n' "$@" | jq -s --arg base "$base" '{family: "t", containerDefinitions: map(
		{image: $base, stopTimeout: 1} + (if .run then {command: ["sh", "-c", .run]} else {} end) + del(.run))}' >task.json
}

# The lines of a file, without what follows the first comma, on one line.
in_short() { # FILE
	sed 's/^ecs-local: //; s/,.*//' "$1" | tr '\n' ';'
}

# Fails at once, in one line.
refuses() { # STATUS ARGUMENT...
	local want=$1
	shift
	run --separate-stderr "$ecs" "$@" </dev/null
	if [ "$status" -ne "$want" ] || [ -n "$output" ] || [ "$(wc -l <<<"$stderr")" -ne 1 ] ||
		[[ $stderr != ecs-local:\ *:\ *:\ * ]]; then
		printf '%s\n' "$*" "status $status" "$output" "$stderr" >&2
		return 1
	fi
}
