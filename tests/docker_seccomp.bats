#!/usr/bin/env bats
# docker/seccomp.json: with it decant does all that it does, and the kernel refuses nearly all else.

# shellcheck disable=SC2154 # helpers and engine set top, decant, maketree, run, engine_network
load helpers
load engine

profile=$top/docker/seccomp.json
mount=/srv/site

setup_file() {
	cd "$BATS_FILE_TMPDIR" || return 1
	engine_up
	base=$(base_image "$BATS_FILE_TMPDIR")
	export base
	small_tree site
	"$maketree" --plain 300 site/plain
	truncate -s 3M site/hole
	echo end >>site/hole
	setfattr -n user.colour -v blue site/index.html
	cp -a site site2
	seq 1 300000 >site2/numbers
	rm -r site2/css
	"$top/scripts/build-image" --source site --dest "$mount" --tag "$run-one" --base "$base" --level 3 >one.out
	"$top/scripts/build-image" --source site2 --dest "$mount" --tag "$run-two" --base "$base" --level 3 >two.out
}

teardown_file() {
	engine_down
}

setup() {
	cd "$BATS_TEST_TMPDIR" || return 1
	share=$BATS_FILE_TMPDIR
	name=$BATS_TEST_NAME
	# shellcheck source=scripts/lib.sh
	. "$top/scripts/lib.sh"
	vol=$run-v$BATS_TEST_NUMBER
	# The options that the README gives. Without no-new-privileges runc itself would run under the profile.
	hard=(--rm --network none --read-only --cap-drop ALL --security-opt no-new-privileges)
	own=(--security-opt "seccomp=$profile")
}

# All that an image does in its life, on the test's volume.
life() { # DOCKER-OPTION...
	# -t: a progress bar, so a terminal's calls.
	docker run -t "${hard[@]}" "$@" -v "$vol:$mount" "$run-one" >log
	grep -q ': filled: ' log
	docker run "${hard[@]}" "$@" -v "$vol:$mount" "$run-one" 2>log
	grep -q ': unchanged: ' log
	docker run "${hard[@]}" "$@" -v "$vol:$mount:ro" "$run-one" verify --extra
	docker run "${hard[@]}" "$@" -v "$vol:$mount" "$run-two" fill --sync 2>log
	grep -qE ', [1-9][0-9]* removed, ' log
	docker run "${hard[@]}" "$@" -v "$vol:$mount:ro" "$run-two" verify --extra
	docker run "${hard[@]}" "$@" -v "$vol:$mount:ro" "$run-one" info "$mount" >log
	grep -q '^bundle: ' log
	docker run "${hard[@]}" "$@" "$run-one" list /bundle/site.tar.zst >log
	grep -qx index.html log
}

@test "under the profile an image fills, refills, takes a new release, syncs and verifies" {
	life "${own[@]}"
}

@test "under Docker's own profile, too" {
	life
}

@test "under the profile a bundle comes through a pipe, and a user without privileges fills a volume of theirs" {
	pack "$share/site" b.tar.zst
	docker run "${hard[@]}" "${own[@]}" -i -v "$vol:$mount" "$run-one" fill --dest "$mount" - <b.tar.zst
	docker run --rm --network none -v "$vol-2:$mount" --entrypoint /bin/busybox "$base" chown 1234:1234 "$mount"
	docker run "${hard[@]}" "${own[@]}" --user 1234:1234 -v "$vol-2:$mount:nocopy" "$run-two"
	docker run "${hard[@]}" "${own[@]}" --user 1234:1234 -v "$vol-2:$mount:ro" "$run-two" verify --no-owner
}

@test "under the profile docker stop ends a fill with exit 143" {
	docker create -i --name "$vol" --network none --security-opt no-new-privileges "${own[@]}" -v "$vol:$mount" \
		"$run-one" fill --dest "$mount" -
	mkfifo pipe
	docker start -ai "$vol" <pipe >log 2>&1 3>&- &
	client=$!
	exec 9>pipe
	is_running() {
		[ "$(docker inspect --format '{{.State.Running}}' "$vol")" = true ]
	}
	until_true is_running
	docker stop -t 20 "$vol"
	exec 9>&-
	wait "$client" || :
	[ "$(docker inspect --format '{{.State.ExitCode}}' "$vol")" -eq 143 ]
}

# busybox, from the image, does what decant never does.
busybox_in() { # DOCKER-OPTION... -- ARGUMENT...
	local options=()
	while [ "$1" != -- ]; do
		options+=("$1")
		shift
	done
	shift
	docker run "${hard[@]}" "${options[@]}" -v "$vol:$mount" --entrypoint /bin/busybox "$run-one" "$@"
}

@test "what decant never does is refused by the profile, and not by the other options" {
	# A socket, a fifo, a signal to another process.
	run -1 --separate-stderr busybox_in -- nc 127.0.0.1 1
	[[ $stderr == *refused* ]]
	run -1 --separate-stderr busybox_in "${own[@]}" -- nc 127.0.0.1 1
	[[ $stderr == *socket*"not permitted"* ]]

	busybox_in -- mkfifo "$mount/one"
	run -1 --separate-stderr busybox_in "${own[@]}" -- mkfifo "$mount/two"
	[[ $stderr == *"not permitted"* ]]

	busybox_in -- kill -0 1
	run -1 --separate-stderr busybox_in "${own[@]}" -- kill -0 1
	[[ $stderr == *"not permitted"* ]]

	# It is the calls that are refused, not the program.
	busybox_in "${own[@]}" -- true
}

@test "the profile makes threads and no namespaces, with capabilities, too" {
	privileged=(--rm --network none --security-opt no-new-privileges --cap-add SYS_ADMIN -v "$vol:$mount"
		--entrypoint /bin/busybox)
	docker run "${privileged[@]}" "$run-one" unshare -m true
	run --separate-stderr docker run "${privileged[@]}" "${own[@]}" "$run-one" unshare -m true
	[ "$status" -ne 0 ]
	[[ $stderr == *"not permitted"* ]]
}

@test "a service of Compose takes the profile" {
	cat >compose.yaml <<-CONF
		services:
		  data:
		    image: $run-one
		    network_mode: none
		    read_only: true
		    cap_drop: [ALL]
		    security_opt: ["no-new-privileges:true", "seccomp:$profile"]
		    volumes: ["site:$mount"]
		volumes:
		  site:
	CONF
	export COMPOSE_PROJECT_NAME=$run-c
	compose -f compose.yaml up >log 2>&1 || {
		cat log
		false
	}
	data=$(docker ps -aq --filter "label=com.docker.compose.project=$COMPOSE_PROJECT_NAME")
	[ "$(docker inspect --format '{{.State.ExitCode}}' "$data")" -eq 0 ]
	docker inspect --format '{{json .HostConfig.SecurityOpt}}' "$data" | grep -q SCMP_ACT_ERRNO
	docker logs "$data" 2>&1 | grep -q ': filled: '
	compose -f compose.yaml down -v >/dev/null 2>&1
}

@test "the profile refuses by default, and allows less than a fifth of what containers usually may" {
	[ "$(jq -r .defaultAction "$profile")" = SCMP_ACT_ERRNO ]
	allowed=$(jq '[.syscalls[] | select(.action == "SCMP_ACT_ALLOW") | .names[]] | unique | length' "$profile")
	# What podman comes with, which follows Docker's.
	usual=$(jq '[.syscalls[] | select(.action == "SCMP_ACT_ALLOW") | .names[]] | unique | length' \
		/usr/share/containers/seccomp.json)
	echo "$allowed of $usual"
	[ "$usual" -gt 300 ]
	[ $((allowed * 5)) -lt "$usual" ]
	jq . "$profile" | cmp - "$profile"
}

# ---- without an engine --------------------------------------------------------------------------

traced() { # COMMAND...; any exit status
	strace -f -qq -e signal=none -o "trace.$((++traces))" "$@" >/dev/null 2>&1 || :
}

@test "no run of decant makes a call that the profile does not have, fallbacks included" {
	a=a.tar.zst b=b.tar.zst traces=0
	cp -a "$share/site" one
	rm -r one/plain
	cp -a one two
	rm two/same.html
	seq 1 300000 >two/numbers
	pack one "$a"
	pack two "$b"
	mkdir v w x
	traced "$decant" fill --dest v "$a"
	traced "$decant" fill --dest v --sync --threads 8 --log json --progress lines "$b"
	touch v/stranger
	find v -type f -size -8k | head -n 20 | while read -r file; do
		echo more >>"$file"
		chmod 600 "$file"
		chown 5:5 "$file"
	done
	traced "$decant" verify --dest v "$b"
	traced "$decant" fill --dest v --prune all "$b"
	rm v/.decant/state
	traced "$decant" fill --dest v "$a"
	traced "$decant" verify --dest v --extra "$a"
	traced "$decant" list --long "$a"
	traced "$decant" info v
	traced "$decant" fill --dest w - <"$a"
	traced "$decant" fill --create --dest w/new - < <(cat "$b")
	head -c 5000 "$a" >short
	traced "$decant" fill --dest x short
	traced -e inject=openat2:signal=TERM:when=3 "$decant" fill --dest x "$a"
	traced "$decant" fill --dest none "$a"
	exec 9<v/.decant/lock
	flock -x 9
	traced "$decant" fill --lock-timeout 1 --dest v "$b" 9>&-
	exec 9<&-
	for error in ENOSYS EPERM; do
		mkdir "y-$error"
		traced -e "inject=openat2:error=$error" "$decant" fill --dest "y-$error" "$a"
		traced -e "inject=openat2:error=$error" "$decant" fill --dest "y-$error" --sync "$b"
		traced -e "inject=openat2:error=$error" "$decant" verify --dest "y-$error" "$b"
	done
	for call in landlock_create_ruleset close_range capget sched_getaffinity; do
		mkdir "y-$call"
		traced -e "inject=$call:error=ENOSYS" "$decant" fill --dest "y-$call" "$a"
	done
	# What another user's fill has to open before it can empty it.
	within_reach
	mkdir z
	chown nobody z
	chmod 711 .
	traced -u nobody "$decant" fill --dest z - <"$a"
	mkdir -p z/.decant/tmp/x/y
	chown -R nobody z/.decant/tmp
	chmod 0 z/.decant/tmp/x
	traced -u nobody "$decant" fill --dest z - <"$b"
	[ -e z/numbers ]
	[ -z "$(ls -A z/.decant/tmp)" ]
	[ "$traces" -eq 26 ]
	cat trace.* | sed -n 's/^[0-9]* *\([a-z0-9_]*\)(.*/\1/p' | sort -u >made
	grep -qx openat2 made
	grep -qx landlock_restrict_self made
	grep -qx setitimer made
	grep -qx fchmodat made
	jq -r '.syscalls[].names[]' "$profile" | sort -u >allowed
	comm -23 made allowed >missing
	cat missing
	[ ! -s missing ]
}
