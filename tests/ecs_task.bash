# shellcheck shell=bash disable=SC2034,SC2154 # used by, and set by, the tests that load this
# A team's task definitions, and what ecs-task-definition makes of them, or says of them.

setup() {
	cd "$BATS_TEST_TMPDIR" || return 1
	ecs=$top/scripts/ecs-task-definition
	inputs=$top/tests/fixtures/ecs
	golden=$inputs/golden
	digest=sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
	image=registry.example/handbook-data@$digest
	path=/usr/share/nginx/html
	pin=(--image "$image" --path "$path")
}

# Writes what the script makes of a fixture to the file `out`.
make() { # FIXTURE [OPTION...]
	local from=$inputs/$1.json
	shift
	"$ecs" "${pin[@]}" "$@" "$from" >out 2>err
}

# One line on standard error that has all of the parts, nothing on standard output.
says_one_line() { # STATUS PART...
	local want=$1 part
	shift
	if [ "$status" -ne "$want" ] || [ -n "$output" ] || [ "$(wc -l <<<"$stderr")" -ne 1 ] ||
		[[ $stderr != ecs-task-definition:\ *:\ *:\ * ]]; then
		printf '%s\n' "status $status" "$output" "$stderr" >&2
		return 1
	fi
	for part; do
		[[ $stderr == *"$part"* ]] || {
			printf 'no "%s" in: %s\n' "$part" "$stderr" >&2
			return 1
		}
	done
}

refuses() { # ARGUMENT...
	run --separate-stderr "$ecs" "$@" </dev/null
	says_one_line 2
}

# Fails for what is in the definition: the fixture, changed by a jq program.
fails_on() { # JQ-PROGRAM FIXTURE [OPTION...]
	local program=$1
	jq "$program" "$inputs/$2.json" >changed.json
	shift 2
	run --separate-stderr "$ecs" "${pin[@]}" "$@" changed.json
	says_one_line 1
}

data() { # JQ-PROGRAM: of the data container in `out`
	jq -c ".containerDefinitions[] | select(.name == \"data\") | $1" out
}

app() { # NAME JQ-PROGRAM
	jq -c ".containerDefinitions[] | select(.name == \"$1\") | $2" out
}
