#!/usr/bin/env bats
# From a data repository to an app's task definition: what is published, and what is tested before it is deployed.

load helpers
load engine

mount=/usr/share/nginx/html

setup_file() {
	cd "$BATS_FILE_TMPDIR" || return 1
	engine_up
	# shellcheck source=scripts/registry.sh
	. "$top/scripts/registry.sh"
	registry_start "$PWD" 3>&- 4>&-
	echo "$registry_pid" >registry.pid
	disown "$registry_pid"
	nginx=$(nginx_image "$PWD")
	small_tree site
	docker build -q --build-arg "BASE=$nginx" -t "$run-app" -f "$top/docker/app.Dockerfile" "$top/docker" >/dev/null
	"$top/scripts/publish-data" --image "$registry/site" --revision v1 --source site --dest "$mount" \
		-- --base scratch --level 3 >release.json
	export registry
}

teardown_file() {
	cd "$BATS_FILE_TMPDIR" || return 1
	[ ! -s registry.pid ] || kill "$(cat registry.pid)" || :
	engine_down
}

setup() {
	cd "$BATS_TEST_TMPDIR" || return 1
	share=$BATS_FILE_TMPDIR
	release=$share/release.json
	publish=("$top/scripts/publish-data" --image "$registry/site" --revision v1 --source "$share/site" --dest "$mount")
	pair=("$top/scripts/test-pair" --release "$release" --app "$run-app" --page index.html)
}

# One line on standard error, nothing on standard output, exit status 2.
refuses() { # SCRIPT ARGUMENT...
	run --separate-stderr "$@"
	if [ "$status" -ne 2 ] || [ -n "$output" ] || [ "$(wc -l <<<"$stderr")" -ne 1 ] || [ -z "$stderr" ]; then
		printf '%s\n' "$*" "status $status" "$output" "$stderr" >&2
		return 1
	fi
}

# The last line names the script, OBJECT and why.
fails() { # PART... -- COMMAND...
	local parts=()
	while [ "$1" != -- ]; do
		parts+=("$1")
		shift
	done
	shift
	run -1 --separate-stderr "$@"
	for part in "${parts[@]}"; do
		[[ ${stderr##*$'\n'} == *"$part"* ]] || {
			printf 'no "%s" in: %s\n' "$part" "$stderr" >&2
			return 1
		}
	done
}

# Nothing of test-pair's is left in the engine.
is_clean() {
	[ -z "$(docker ps -aq --filter name=decant-pair)" ]
	[ -z "$(docker volume ls -q --filter name=decant-pair)" ]
}

# ---- publish-data -------------------------------------------------------------------------------

@test "publish-data pushes an image and says which, with the bundle in it" {
	pack "$share/site" b.tar.zst --dest "$mount" --level 3 --revision v1
	"$decant" info b.tar.zst >info
	field() {
		sed -n "s/^$1: //p" info
	}
	[ "$(jq -r 'keys_unsorted | join(" ")' "$release")" = 'image bundle revision dest sizes' ]
	[ "$(jq -r .bundle "$release")" = "$(field bundle)" ]
	[ "$(jq -r .revision "$release")" = v1 ]
	[ "$(jq -r .dest "$release")" = "$mount" ]
	[ "$(jq .sizes.packed "$release")" -eq "$(stat -c %s b.tar.zst)" ]
	[ "$(jq .sizes.unpacked "$release")" -eq "$(field bytes)" ]
	[ "$(jq .sizes.disk "$release")" -eq "$(field disk)" ]
	# The root counts, and a hard link is an entry, too.
	[ "$(jq .sizes.entries "$release")" -eq "$(find "$share/site" | wc -l)" ]

	# The digest is the registry's own.
	image=$(jq -r .image "$release")
	[[ $image == "$registry/site@sha256:"* ]]
	curl -fsS -o manifest -H 'Accept: application/vnd.docker.distribution.manifest.v2+json' \
		-H 'Accept: application/vnd.oci.image.manifest.v1+json' "http://$registry/v2/site/manifests/v1"
	[ "sha256:$(sha256sum manifest | cut -d ' ' -f 1)" = "${image#*@}" ]
}

@test "publish-data refuses what it cannot use, before it builds anything" {
	refuses "$top/scripts/publish-data"
	for option in --image --revision --source --dest --output; do
		refuses "${publish[@]}" "$option"
		refuses "${publish[@]}" "$option" ''
		refuses "${publish[@]}" "$option="
		[[ $stderr == "publish-data: $option: "* ]]
	done
	for image in site:v1 "$registry/site:v1" "site@sha256:0" -site 'a b' site/ a//b; do
		refuses "${publish[@]}" --image "$image"
		[[ $stderr == *"$image"* ]]
	done
	for revision in -v1 .v1 'v 1' v/1 v:1 "$(printf '%0129d' 0)"; do
		refuses "${publish[@]}" --revision "$revision"
	done
	refuses "${publish[@]}" --source none
	refuses "${publish[@]}" --source "$release"
	refuses "${publish[@]}" "$share/site"
	refuses "${publish[@]}" --output none/release.json
	refuses "${publish[@]}" --output "$PWD"
	# No room in the name for that of the file that becomes it.
	refuses "${publish[@]}" --output "$(printf '%0250d' 0)"
	# What build-image has to say comes from build-image.
	refuses "${publish[@]}" --dest relative
	refuses "${publish[@]}" -- --no-such-option
	refuses "${publish[@]}" -- --level 99
	# They are no mistake to build-image, which then builds nothing.
	refuses "${publish[@]}" -- --help
	refuses "${publish[@]}" -- --base scratch -h
}

@test "publish-data without a registry: exit 1, and the release that was there stays" {
	mkdir out
	echo old >out/release.json
	fails 127.0.0.1:1/site push -- "${publish[@]}" --image 127.0.0.1:1/site --output out/release.json -- --base scratch
	[ "$(cat out/release.json)" = old ]
	[ "$(ls out)" = release.json ]
	docker image rm -f 127.0.0.1:1/site:v1 >/dev/null
	fails "$PWD/none" connect -- env DOCKER_HOST="unix://$PWD/none" "${publish[@]}"
}

@test "publish-data puts its output in the place of what has that name, and touches nothing else" {
	echo victim >victim
	ln -s victim out.json.new
	echo old >out.json
	for output in out.json -data.json; do
		"${publish[@]}" --revision v2 --output="$output" -- --base scratch
		[ "$(stat -c '%F %a' "./$output")" = 'regular file 644' ]
		[ "$(jq -r .revision "./$output")" = v2 ]
	done
	[ "$(cat victim)" = victim ]
	[ "$(find . -mindepth 1 | wc -l)" -eq 4 ]
}

@test "publish-data writes to what is a pipe or a device, and follows a link" {
	local kind
	mkfifo fifo
	mknod null c 1 3
	echo old >target
	ln -s target link
	ln -s missing dangling
	timeout 60 cat fifo >got 3>&- &
	reader=$!
	for kind in fifo null link dangling; do
		"${publish[@]}" --revision v2 --output $kind -- --base scratch
	done
	wait "$reader"
	[ "$(stat -c %F fifo null link dangling | paste -sd ,)" = 'fifo,character special file,symbolic link,symbolic link' ]
	for kind in got target missing; do
		[ "$(jq -r .revision $kind)" = v2 ]
	done
	[ "$(find . -name 'null.*' -o -name 'fifo.*' -o -name 'link.*' | wc -l)" -eq 0 ]
	is_clean
}

@test "publish-data says of what it has built, whoever gives the tag to another image meanwhile" {
	"$top/scripts/build-image" --source "$share/site/css" --dest "$mount" --tag "$run-other" --base scratch
	mkdir bin
	cat >bin/docker <<-END
		#!/bin/sh
		take() {
			[ "\$1" != "push \$WHEN" ] || $(command -v docker) tag $run-other $registry/site:v4
		}
		take "\$1 before"
		$(command -v docker) "\$@" || exit
		take "\$1 after"
	END
	chmod +x bin/docker
	WHEN=after PATH=$PWD/bin:$PATH "${publish[@]}" --revision v4 -- --base scratch >out.json
	docker run --rm --network none "$(jq -r .image out.json)" info /bundle/site.tar.zst >info
	grep -qx "bundle: $(jq -r .bundle out.json)" info
	grep -qx "revision: v4" info
	fails "$registry/site:v4" 'another image' -- env WHEN=before PATH="$PWD/bin:$PATH" "${publish[@]}" --revision v4 -- \
		--base scratch
}

# ---- test-pair ----------------------------------------------------------------------------------

@test "test-pair runs the release, then the app, and compares pages" {
	run -0 "${pair[@]}" --page=css/a.css --page="css/home=index.html" --page css/home -- --read-only --tmpfs /tmp
	grep -qx "filled: $mount: bundle $(jq -r .bundle "$release")" <<<"$output"
	# One is a symbolic link, by its own name and by that of the file.
	[ "$(grep -c '^same bytes: /' <<<"$output")" -eq 4 ]
	is_clean
}

@test "test-pair fails when the app does not serve a page as it was packed" {
	# Another file's name, another file's content, a name that the app does not know.
	fails css/none find -- "${pair[@]}" --page css/none
	fails /index.html compare -- "${pair[@]}" --page index.html=css/a.css
	fails /nothing get -- "${pair[@]}" --page nothing=index.html
	is_clean
}

@test "test-pair fails when the release is not what it says" {
	jq '.bundle = "0123456789abcdef0123456789abcdef"' "$release" >other.json
	fails 0123456789abcdef0123456789abcdef "$(jq -r .bundle "$release")" -- "${pair[@]}" --release other.json
	jq '.image |= sub("sha256:.*"; "sha256:" + "0" * 64)' "$release" >none.json
	fails 0000000000000000 pull -- "${pair[@]}" --release none.json
	is_clean
}

@test "test-pair fails when the data container fails, and does not start the app" {
	container=$(docker create "$(jq -r .image "$release")")
	docker cp "$container:/bundle/site.tar.zst" site.tar.zst 2>/dev/null
	docker rm -v "$container" >/dev/null
	damage site.tar.zst 200
	printf 'FROM %s\nCOPY site.tar.zst /bundle/site.tar.zst\n' "$(jq -r .image "$release")" >Dockerfile
	docker build -q -t "$registry/damaged" . >/dev/null
	docker push -q "$registry/damaged" >/dev/null
	jq --arg image "$(docker image inspect --format '{{index .RepoDigests 0}}' "$registry/damaged")" '.image = $image' \
		"$release" >damaged.json
	fails "$registry/damaged" 'exit 10' -- "${pair[@]}" --release damaged.json
	[[ $stderr == *'decant: /bundle/site.tar.zst: '* ]]
	docker image rm -f "$registry/damaged" >/dev/null
	is_clean
}

@test "test-pair fails when the app ends, or listens elsewhere" {
	# What follows -- goes to docker run.
	fails "$run-app" 'the app ended' -- "${pair[@]}" -- --entrypoint false
	fails "$run-app" 'no answer within 1 seconds' -- "${pair[@]}" --port 8081 --timeout 1
	fails no-such-image pull -- "${pair[@]}" --app "$registry/no-such-image"
	is_clean
}

app_runs() {
	[ -n "$(docker ps -q --filter 'name=decant-pair-.*-app')" ]
}

@test "test-pair leaves nothing when its reader goes, when it is hung up, and at a second Ctrl-C" {
	mkdir tmp
	export TMPDIR=$PWD/tmp
	env --default-signal "${pair[@]}" 2>log | true
	is_clean
	[ -z "$(ls -A tmp)" ]
	# As a terminal does: to all that runs there.
	for signals in HUP:129 INT:130 'INT INT:130'; do
		env --default-signal setsid "${pair[@]}" --port 8081 >log 2>&1 3>&- &
		group=$!
		until_true app_runs
		for signal in ${signals%:*}; do
			kill -s "$signal" -- "-$group"
			sleep 0.05
		done
		status=0
		wait "$group" || status=$?
		is_clean
		[ -z "$(ls -A tmp)" ]
		[ "$status" -eq "${signals#*:}" ]
	done
}

@test "test-pair refuses what it cannot use, before it runs anything" {
	refuses "$top/scripts/test-pair"
	refuses "$top/scripts/test-pair" --release "$release" --app "$run-app"
	for option in --release --app --page --port --timeout; do
		refuses "${pair[@]}" "$option="
		refuses "${pair[@]}" "$option"
		[[ $stderr == "test-pair: $option: "* ]]
	done
	for page in /index.html ../a a/../b 'a b' 'a?b' a//b a=b=c =a a= a/; do
		refuses "${pair[@]}" --page "$page"
	done
	for port in x 0 123456 -1 80x; do
		refuses "${pair[@]}" --port "$port"
		refuses "${pair[@]}" --timeout "$port"
	done
	refuses "${pair[@]}" --app '-x'
	refuses "${pair[@]}" --release none.json
	refuses "${pair[@]}" --release="$PWD"
	[[ $stderr == *': is a directory' ]]
	refuses "${pair[@]}" "$release"
}

@test "test-pair says what is wrong with a release" {
	printf '{' >broken.json
	refuses "${pair[@]}" --release broken.json
	[[ $stderr == *': not JSON' ]]
	: >empty.json
	refuses "${pair[@]}" --release empty.json
	echo '[]' >list.json
	refuses "${pair[@]}" --release list.json
	cat "$release" "$release" >two.json
	refuses "${pair[@]}" --release two.json
	jq '.image |= sub("@.*"; ":v1")' "$release" >tag.json
	refuses "${pair[@]}" --release tag.json
	[[ $stderr == *': no usable image' ]]
	jq 'del(.bundle) | .dest = "srv"' "$release" >keys.json
	refuses "${pair[@]}" --release keys.json
	[[ $stderr == *': no usable bundle, dest' ]]
}

# ---- the whole ----------------------------------------------------------------------------------

@test "the app's pipeline pins its own image, where the engine knows another repository's digest of it, too" {
	for APP_IMAGE in "$registry/app-b" "$registry/app-a" "$registry/app-c"; do
		docker tag "$run-app" "$APP_IMAGE:1"
		docker push -q "$APP_IMAGE:1"
	done
	yq -r '.phases.build.commands[]' "$top/docker/pipeline/app/buildspec.yml" | grep 'docker image inspect' >line
	for APP_IMAGE in "$registry/app-a" "$registry/app-b" "$registry/app-c"; do
		APP_IMAGE=$APP_IMAGE REVISION=1 sh -eu line
		[[ $(cat app-image) == "$APP_IMAGE@sha256:"* && $(wc -l <app-image) -eq 1 ]]
	done
	docker image rm -f "$registry/app-a:1" "$registry/app-b:1" "$registry/app-c:1" >/dev/null
}

@test "two repositories, one pipeline: published, tested, run, stopped, taken back" {
	# As git sets it for a hook: that is nobody's repository here.
	git init -q -b main mine
	git -C mine -c user.name=a -c user.email=a@example.org commit -qm mine --allow-empty
	GIT_DIR=$PWD/mine/.git "$top/scripts/pipeline-demo" --no-bootstrap --keep out >log 2>&1 || {
		cat log
		return 1
	}
	image() { # CONTAINER NAME
		jq -r --arg name "$1" '.containerDefinitions[] | select(.name == $name).image' "out/$2.rendered.json"
	}
	for n in 1 2; do
		[ "$(image data "deploy-$n")" = "$(jq -r .image "out/r$n.data.json")" ]
		[[ $(image app "deploy-$n") == *@sha256:* ]]
		[ "$(jq -r '.containerDefinitions[] | select(.name == "app").dependsOn[0].condition' "out/deploy-$n.rendered.json")" = SUCCESS ]
	done
	# One release differs from the other in one image, and what came back is what was.
	[ "$(diff out/deploy-1.rendered.json out/deploy-2.rendered.json | grep -c '^>')" -eq 1 ]
	[ "$(image data deploy-1)" != "$(image data deploy-2)" ]
	cmp out/deploy-1.rendered.json out/deploy-3.rendered.json
	[ -e out/r3.data.json ]
	[ "$(git -C mine log --all --format=%s)" = mine ]
	[ -z "$(git -C mine tag)$(git -C mine status --short)" ]
	[ "$(find out -type f | wc -l)" -eq 6 ]
	# Tasks ran, each with the page of its release, and only after the data container was done.
	[ "$(grep '^served: the page of ' log | tr -dc 'r12\n' | tr '\n' ' ')" = 'rr1 rr2 rr1 ' ]
	grep -E '^ecs-local: (data: (started|ended)|app: (started|not started))' log | sed 's/, 8080.*//' >tasks
	ended() { # STATUS WHAT-THE-APP-DID
		printf 'ecs-local: %s\n' 'data: started' "data: ended, exit status $1" "app: $2"
	}
	{
		for _ in 1 2 3; do ended 0 started; done
		ended 10 'not started: it waits for data (SUCCESS), which ended with exit status 10'
	} | diff - tasks
	# What was stopped, was for its own reason.
	grep -q '^test-pair: css/site.css: ' log
	grep -qx 'stopped: data-r3 was not merged' log
	grep -q '^rendered.json: app: ecs-start-timeout-range (error): ' log
	grep -qx 'stopped: proposal-slow was not merged' log
	[ -z "$(docker ps -aq --filter label=decant.ecs-local)" ]
	is_clean
	docker image ls --format '{{.Repository}}' >images
	grep -qx "$registry/site" images
	refute grep '/site-data$\|/site-app$' images
	# This one has the files, and so the id, of the demo's app.
	grep -qx "$run-app" images
}

@test "pipeline-demo refuses a folder that is there" {
	mkdir out
	refuses "$top/scripts/pipeline-demo" --keep=out
	refuses "$top/scripts/pipeline-demo" --keep none/out
	refuses "$top/scripts/pipeline-demo" --keep
	refuses "$top/scripts/pipeline-demo" --no-such-option
	refuses "$top/scripts/pipeline-demo" out
}

@test "the README's way from one container to a running task, as far as it needs no account" {
	sed -n '/^### Amazon ECS/,/^### Docker Compose/p' "$top/README.md" >section
	awk '/^```json$/ { inside = 1; next } /^```$/ { exit } inside' section >single.json
	awk '/^ *```sh$/ { n++; inside = 1; next } /^ *```$/ { inside = 0 } inside { sub(/^   /, ""); print >("step" n) }' section
	port=$(perl -MIO::Socket::INET -e 'print IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1")->sockport')
	# Another registry and port, no login, and a base that need not be pulled: all else is the reader's.
	sed -i "s,scripts/,$top/&,; s,^registry=.*,registry=$registry,; /^aws /d; s,--output data.json,& -- --base scratch," step1 step2 step3
	sed -i "s/8080:8080/$port:8080/; s/ *#.*//; s/.*ecs-local/exec &/" step3
	cp -r "$share/site" public
	docker tag "$run-app" "$registry/handbook:lean"
	docker push -q "$registry/handbook:lean"
	cat step1 step2 step3 >steps
	[ "$(grep -c 'scripts/[a-z-]*' steps)" -eq 4 ]
	sh -eu steps >log 2>&1 3>&- &
	task=$!
	curl -fsS --retry 60 --retry-all-errors --retry-delay 1 "http://127.0.0.1:$port/index.html" 2>curl.log |
		cmp - public/index.html || {
		kill "$task"
		cat log curl.log
		return 1
	}
	kill "$task"
	status=0
	wait "$task" || status=$?
	[ "$status" -eq 143 ]
	grep -q '^data | decant: .*: filled: .*, revision 42, ' log
	refute grep '^task.json: ' log
	docker image rm -f "$registry/handbook:lean" "$registry/handbook-data:42" >/dev/null
	[ -z "$(docker ps -aq --filter label=decant.ecs-local)" ]
}
