#!/usr/bin/env bats
# ecs-local: a task definition on a real Docker Engine, with real nginx.

load helpers
load engine
load ecs_local

mount=/usr/share/nginx/html
share=$BATS_FILE_TMPDIR
ours=(--image "web=$run-app" --image "data=$run-data")

setup_file() {
	local data_container
	cd "$BATS_FILE_TMPDIR" || return 1
	engine_up
	base=$(base_image "$BATS_FILE_TMPDIR")
	nginx=$(nginx_image "$BATS_FILE_TMPDIR")
	export base

	small_tree site
	"$top/scripts/build-image" --source site --dest "$mount" --tag "$run-data" --base "$base" --level 3 --revision v1 >data.out
	docker build -q ${engine_network:+"$engine_network"} --build-arg "BASE=$nginx" --tag "$run-app" \
		-f "$top/docker/app.Dockerfile" "$top/docker" >/dev/null
	# The same data image, with one byte of a file's content changed.
	mkdir damaged
	data_container=$(docker create "$run-data")
	docker cp "$data_container:/bundle/site.tar.zst" damaged/site.tar.zst 2>/dev/null
	docker rm -v "$data_container" >/dev/null
	damage damaged/site.tar.zst $(($(stat -c %s damaged/site.tar.zst) - 100))
	printf 'FROM %s\nCOPY site.tar.zst /bundle/site.tar.zst\n' "$run-data" >damaged/Dockerfile
	docker build -q --tag "$run-damaged" damaged >/dev/null
	# The team's own definition, with a user's tmpfs for nginx and no secret, becomes the task under test.
	jq '.taskDefinition | .containerDefinitions[0] |= (del(.secrets, .healthCheck)
		| .linuxParameters.tmpfs = [{containerPath: "/tmp", size: 16}])' "$top/tests/fixtures/ecs/handbook.json" |
		"$top/scripts/ecs-task-definition" --path "$mount" \
			--image "registry.example/handbook-data@sha256:$(printf 'a%.0s' {1..64})" >task.json
}

teardown_file() { engine_down; }

# ---- the real thing -----------------------------------------------------------------------------

@test "the generated task fills the volume, then nginx serves each page as it was packed" {
	ecs_background "${ours[@]}" "$share/task.json"
	until_line err 'web: started, 8080/tcp at 127'
	address=$(sed -n 's/.*web: started, 8080.tcp at //p' err)
	for path in index.html same.html css/a.css css/numbers css/home none; do
		curl -fsS --retry 20 --retry-connrefused --retry-delay 1 --max-time 30 "http://$address/$path" |
			cmp - "$share/site/$path"
	done
	grep -q "^data | decant: $mount: filled: .*revision v1" out
	# The app sees the files, and cannot write them.
	app=$(docker ps -q --filter "ancestor=$run-app")
	refute docker exec -u 0 "$app" touch "$mount/index.html"
	kill -TERM "$task"
	ends_with 143
	grep -q 'web: stopped, exit status' err
}

@test "with a damaged bundle nginx never starts, and the exit status tells" {
	# With its fraction: the test before this one may have made its containers in this very second.
	began=$(date +%s.%N)
	ecs 122 --image "web=$run-app" --image "data=$run-damaged" "$share/task.json"
	grep -q '^data | decant: /bundle/site.tar.zst: ' out
	grep -qx 'ecs-local: data: ended, exit status 10' err
	grep -qx 'ecs-local: web: not started: it waits for data (SUCCESS), which ended with exit status 10' err
	refute grep -q 'web: started' err
	# The engine says the same: no container was ever made of the app's image.
	docker events --since "$began" --until "$(($(date +%s) + 1))" --filter event=create --filter type=container \
		--format '{{.From}}' >made
	grep -q damaged made
	refute grep -qx "$run-app" made
}

@test "the mount style works as volumesFrom does, and a directory of one's own is filled and stays" {
	"$top/scripts/ecs-task-definition" --path "$mount" --mount --image "r.example/d@sha256:$(printf 'b%.0s' {1..64})" \
		"$share/task.json" | jq '(.containerDefinitions[] | select(.name == "web")) |= (.image = "'"$base"'"
			| .command = ["sha256sum", "'"$mount"'/css/numbers"])' >mounted.json
	mkdir -m 755 own
	ecs 0 --image "data=$run-data" --volume "data=$PWD/own" mounted.json
	grep -q "^web | $(sha256sum <"$share/site/css/numbers" | cut -d ' ' -f 1) " out
	same_tree own "$share/site"
	ecs 0 --image "data=$run-data" --volume data=./own mounted.json
	grep -q ': unchanged: ' out
}

# ---- order --------------------------------------------------------------------------------------

@test "containers start when START, COMPLETE, SUCCESS and HEALTHY are so, and not before" {
	v='"mountPoints": [{"sourceVolume": "v", "containerPath": "/v"}]'
	# Each writes a line when its moment has come; the last one prints what is there when it starts.
	task "{\"name\": \"last\", \"run\": \"cat /v/log; exit 7\", $v, \"dependsOn\": [
			{\"containerName\": \"one\", \"condition\": \"COMPLETE\"}, {\"containerName\": \"two\", \"condition\": \"SUCCESS\"},
			{\"containerName\": \"three\", \"condition\": \"START\"}, {\"containerName\": \"four\", \"condition\": \"HEALTHY\"}]}" \
		"{\"name\": \"two\", \"essential\": false, \"run\": \"sleep 0.5; echo two >>/v/log\", $v,
			\"dependsOn\": [{\"containerName\": \"one\", \"condition\": \"COMPLETE\"}]}" \
		"{\"name\": \"one\", \"essential\": false, \"run\": \"sleep 0.5; echo one >>/v/log; exit 3\", $v}" \
		'{"name": "three", "run": "sleep 600"}' \
		"{\"name\": \"four\", \"run\": \"sleep 1; echo four >>/v/log; sleep 600\", $v,
			\"dependsOn\": [{\"containerName\": \"two\", \"condition\": \"SUCCESS\"}],
			\"healthCheck\": {\"command\": [\"CMD\", \"grep\", \"four\", \"/v/log\"], \"interval\": 1}}"
	jq '.volumes = [{name: "v"}]' task.json >full.json
	ecs 7 full.json
	grep '^last' out | diff - <(printf 'last | %s\n' one two four)
	in_short err >order
	[[ $(cat order) == *'one: started;'*'one: ended;two: started;two: ended;four: started;four: healthy;last: started;last: ended;'* ]]
}

@test "a dependency that fails keeps a container from starting, and the task goes on without one that is not essential" {
	task '{"name": "fails", "essential": false, "run": "exit 9"}' \
		'{"name": "extra", "essential": false, "run": "echo never", "dependsOn": [{"containerName": "fails", "condition": "SUCCESS"}]}' \
		'{"name": "more", "essential": false, "run": "echo never", "dependsOn": [{"containerName": "extra", "condition": "START"}]}' \
		'{"name": "app", "run": "sleep 1; echo done", "dependsOn": [{"containerName": "fails", "condition": "COMPLETE"}]}'
	ecs 0 task.json
	grep -qx 'app | done' out
	refute grep -q never out
	grep -q 'extra: not started: it waits for fails (SUCCESS), which ended with exit status 9' err
	grep -q 'more: not started: it waits for extra (START), which did not start' err
}

@test "a container that ends before it is healthy keeps the app from starting" {
	task '{"name": "app", "run": "echo never", "dependsOn": [{"containerName": "db", "condition": "HEALTHY"}]}' \
		'{"name": "db", "essential": false, "run": "sleep 0.5", "healthCheck": {"command": ["CMD-SHELL", "exit 1"]}}'
	ecs 122 task.json
	refute grep -q never out
}

@test "startTimeout ends the wait for a container, and so the task" {
	task '{"name": "data", "essential": false, "startTimeout": 2, "run": "echo slow; sleep 600"}' \
		'{"name": "app", "run": "echo never", "dependsOn": [{"containerName": "data", "condition": "SUCCESS"}]}'
	ecs 124 task.json
	grep -qx 'data | slow' out
	refute grep -q never out
	grep -q 'app: not started: it waits for data (SUCCESS), whose startTimeout of 2 seconds is over' err
	grep -q 'data: stopped' err
}

@test "the end of an essential container ends the task: dependents stop first, and stopTimeout is the limit" {
	task '{"name": "db", "run": "trap \"echo db ends; exit 0\" TERM; sleep 600 & wait", "stopTimeout": 20}' \
		'{"name": "deaf", "essential": false, "run": "trap \"sleep 20; exit 0\" TERM; while :; do sleep 0.2; done",
			"dependsOn": [{"containerName": "db", "condition": "START"}]}' \
		'{"name": "app", "run": "sleep 1; exit 42", "dependsOn": [{"containerName": "deaf", "condition": "START"}]}'
	ecs 42 task.json
	grep -q 'deaf: stopped, exit status 137' err
	grep -q 'db: stopped, exit status 0' err
	grep -qx 'db | db ends' out
	[[ $(in_short err) == *'app: ended;deaf: stopped;db: stopped;'* ]]
	# One that is not essential ends alone.
	task '{"name": "side", "essential": false, "run": "exit 5"}' '{"name": "app", "run": "sleep 1; echo still here"}'
	ecs 0 task.json
	grep -qx 'app | still here' out
}

@test "an essential container that cannot be pulled, made or started ends the task with 125" {
	task '{"name": "app", "image": "localhost:1/none/such", "run": "true"}'
	ecs 125 task.json
	grep -q 'app: localhost:1/none/such: pull: ' err
	task '{"name": "app", "command": ["/no/such/program"]}'
	ecs 125 task.json
	grep -q 'app: start: .*/no/such/program' err
	task '{"name": "side", "essential": false, "command": ["/no/such/program"]}' \
		'{"name": "app", "run": "true", "dependsOn": [{"containerName": "side", "condition": "SUCCESS"}]}'
	ecs 122 task.json
}

@test "a signal stops the task in its order, and a second one at once" {
	task '{"name": "app", "run": "trap \"echo bye; exit 0\" TERM; echo up; sleep 600 & wait", "stopTimeout": 20}'
	# A shell's background job ignores INT, and all of it HUP below nohup, unless it is told otherwise.
	perl -e '$SIG{HUP} = "DEFAULT"; exec @ARGV' "$ecs" task.json >out 2>err 3>&- &
	task=$!
	until_line out 'app | up'
	kill -HUP "$task"
	ends_with 129
	grep -qx 'app | bye' out
	task '{"name": "app", "run": "trap \"echo asked\" TERM; echo up; while :; do sleep 0.2; done", "stopTimeout": 100}'
	perl -e '$SIG{INT} = "DEFAULT"; exec @ARGV' "$ecs" task.json >out 2>err 3>&- &
	task=$!
	until_line out 'app | up'
	kill -INT "$task"
	until_line out 'app | asked'
	kill -INT "$task"
	ends_with 130
	grep -q 'app: stopped, exit status 137' err
}

# ---- what a container gets ----------------------------------------------------------------------

@test "with awsvpc containers meet at localhost, and with bridge each has its own, and links" {
	server='{"name": "server", "run": "mkdir /w; echo hello >/w/index.html; httpd -f -p 127.0.0.1:8000 -h /w & httpd -f -p 8001 -h /w"}'
	client='until wget -q -O - http://localhost:8000/; do sleep 0.2; done'
	task "$server" "{\"name\": \"client\", \"run\": \"$client\"}"
	jq '.networkMode = "awsvpc"' task.json >awsvpc.json
	ecs 0 awsvpc.json
	grep -qx 'client | hello' out
	# The server is up when its health check says so; the client sees its name, and not its port.
	task "$(jq -c '.healthCheck = {command: ["CMD-SHELL", "wget -q -O - http://127.0.0.1:8000/"], interval: 1}' <<<"$server")" \
		'{"name": "client", "links": ["server:web"], "dependsOn": [{"containerName": "server", "condition": "HEALTHY"}],
			"run": "grep web /etc/hosts; wget -q -O - http://127.0.0.1:8001/ && exit 9; echo alone"}'
	ecs 0 task.json
	grep -qE '^client \| [0-9.]+[[:blank:]]+web ' out
	grep -qx 'client | alone' out
}

@test "a container has its environment, secrets, user, limits, mounts and command as the definition says" {
	task '{"name": "first", "essential": false, "run": "echo mine >/v/file; mkdir /v/open; chmod 777 /v/open; touch /w/x; ls -A /w >/v/listed",
			"mountPoints": [{"sourceVolume": "v", "containerPath": "/v"}, {"sourceVolume": "w", "containerPath": "/w", "readOnly": true}]}' \
		'{"name": "app", "entryPoint": ["sh", "-c"], "user": "1234:99", "workingDirectory": "/v", "readonlyRootFilesystem": true,
			"dependsOn": [{"containerName": "first", "condition": "SUCCESS"}],
			"volumesFrom": [{"sourceContainer": "first", "readOnly": true}],
			"environment": [{"name": "QUOTED", "value": "a \"b\" '"\\u0027"'c'"\\u0027"' $HOME `d` \\ e\nf"}, {"name": "EMPTY", "value": ""}],
			"secrets": [{"name": "TOKEN", "valueFrom": "arn:aws:ssm:x"}],
			"ulimits": [{"name": "nofile", "softLimit": 123, "hardLimit": 456}], "memory": 64,
			"linuxParameters": {"tmpfs": [{"containerPath": "/scratch", "size": 1, "mountOptions": ["mode=1777"]}],
				"capabilities": {"drop": ["ALL"]}, "initProcessEnabled": true},
			"systemControls": [{"namespace": "kernel.msgmax", "value": "4242"}]}'
	jq '.volumes = [{name: "v"}, {name: "w", host: {}}]
		| .containerDefinitions[1].command = ["id -u; id -g; pwd; printf \"%s|%s|%s\\n\" \"$QUOTED\" \"$EMPTY\" \"$TOKEN\"
			cat file; ulimit -n; ulimit -H -n; cat /proc/sys/kernel/msgmax; echo s >/scratch/s && echo tmpfs
			touch /v/open/x 2>/dev/null || echo read-only; touch /x 2>/dev/null || echo root
			grep CapBnd /proc/self/status; exec 2>&1; wc -c <listed"]' task.json >full.json
	TOKEN='s3 "cret' ecs 0 full.json
	printf 'app | %s\n' 1234 99 /v "a \"b\" 'c' \$HOME \`d\` \\ e" 'f||s3 "cret' mine 123 456 4242 tmpfs read-only root \
		"$(printf 'CapBnd:\t0000000000000000')" 0 | diff - <(grep '^app' out)
	# A secret that has no value is missed before anything starts.
	refuses 1 full.json
	[[ $stderr == *TOKEN* ]]
}

@test "a task can share its processes, and a free port is found or the one asked for is taken" {
	task '{"name": "app", "run": "until [ -f /v/ok ]; do sleep 0.1; done", "portMappings": [{"containerPort": 8000}, {"containerPort": 53, "protocol": "udp"}],
			"mountPoints": [{"sourceVolume": "v", "containerPath": "/v"}]}' \
		'{"name": "other", "essential": false, "run": "ps | grep -v grep | grep -q v/ok && touch /v/ok",
			"dependsOn": [{"containerName": "app", "condition": "START"}],
			"mountPoints": [{"sourceVolume": "v", "containerPath": "/v"}]}'
	port=$(perl -MIO::Socket::INET -e 'print IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1")->sockport')
	jq '.volumes = [{name: "v"}] | .pidMode = "task" | .networkMode = "awsvpc"' task.json >shared.json
	ecs 0 --publish "$port:8000" shared.json
	grep -qE "app: started, 53/udp at 127.0.0.1:[0-9]+, 8000/tcp at 127.0.0.1:$port\$" err
}
