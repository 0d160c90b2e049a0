#!/usr/bin/env bats
# ecs-local: what it refuses, and that nothing is left behind, whatever a definition asks for.

load helpers
load engine
load ecs_local

setup_file() {
	cd "$BATS_FILE_TMPDIR" || return 1
	engine_up
	base=$(base_image "$BATS_FILE_TMPDIR")
	export base
}

teardown_file() { engine_down; }

@test "what ECS would refuse, or cannot be had here, is refused before anything starts" {
	task '{"name": "a", "run": "true"}' '{"name": "b", "essential": false, "run": "true"}'
	while read -r program; do
		jq "$program" task.json >changed.json
		refuses 1 changed.json
	done <<-'END'
		.containerDefinitions[1].dependsOn = [{containerName: "a", condition: "SUCCESS"}]
		.containerDefinitions[1].dependsOn = [{containerName: "a", condition: "COMPLETE"}]
		.containerDefinitions[1].dependsOn = [{containerName: "a", condition: "HEALTHY"}]
		.containerDefinitions[1].dependsOn = [{containerName: "a", condition: "READY"}]
		.containerDefinitions[1].dependsOn = [{containerName: "c", condition: "START"}]
		.containerDefinitions[1].dependsOn = [{containerName: "b", condition: "START"}]
		.containerDefinitions[0].dependsOn = [{containerName: "b", condition: "START"}] | .containerDefinitions[1].links = ["a"]
		.containerDefinitions[0].volumesFrom = [{sourceContainer: "c"}]
		.containerDefinitions[0].mountPoints = [{sourceVolume: "v", containerPath: "/v"}]
		.volumes = [{name: "v"}] | .containerDefinitions[0].mountPoints = [{sourceVolume: "v", containerPath: "v"}]
		.volumes = [{name: "v", dockerVolumeConfiguration: {scope: "shared"}}]
		.containerDefinitions[0].essential = false
		.containerDefinitions[0].environmentFiles = [{type: "s3", value: "arn:aws:s3:::b/f.env"}]
		.containerDefinitions[0].resourceRequirements = [{type: "GPU", value: "1"}]
		.containerDefinitions[0].healthCheck = {command: ["true"]}
		.containerDefinitions[0].name = "b"
		.containerDefinitions[0].name = "a b"
		.containerDefinitions[0].image = "--privileged"
		.networkMode = "awsvpc" | .containerDefinitions[0].links = ["b"]
		.networkMode = "awsvpc" | .containerDefinitions[0].hostname = "h"
		.networkMode = "macvlan"
		.proxyConfiguration = {containerName: "b"}
		.runtimePlatform.operatingSystemFamily = "WINDOWS_SERVER_2022_CORE"
		.containerDefinitions = []
		[.]
		.containerDefinitions[0].environment = 1
		.containerDefinitions[0].portMappings = [{}]
		.containerDefinitions[0].portMappings = [{containerPort: "80"}]
		.containerDefinitions[0].portMappings = [{containerPort: 0}]
		.containerDefinitions[0].portMappings = [{containerPortRange: "80"}]
	END
	echo '{' >changed.json
	refuses 1 changed.json
	: >changed.json
	refuses 1 changed.json
}

@test "what is left out here is said, and what is not known, too" {
	task '{"name": "a", "run": "true", "restartPolicy": {"enabled": true}, "surprise": 1, "environmentFiles": []}'
	jq '.cpu = "256" | .taskRoleArn = "arn:x" | .novelty = {} | .runtimePlatform.cpuArchitecture = "PDP11" | .volumes = [{name: "e", efsVolumeConfiguration: {fileSystemId: "fs-1"}}]' \
		task.json >full.json
	ecs 0 full.json
	for part in "the task's cpu: not applied" 'taskRoleArn: no container has credentials' 'novelty: left out' \
		'container a: surprise: left out' 'container a: restartPolicy: left out' \
		'the task is for PDP11' 'volume e: an empty one'; do
		grep -q "$part" err
	done
}

@test "bad options are refused" {
	task '{"name": "a", "run": "true"}'
	refuses 2
	refuses 2 absent.json
	refuses 2 .
	[[ $stderr == *': is a directory' ]]
	refuses 2 ''
	for option in --image --publish --volume --pause-image; do
		refuses 2 task.json "$option"
		refuses 2 task.json "$option="
	done
	refuses 2 --no-such task.json
	refuses 2 task.json task.json
	for option in --image=a --image==i --image= --volume=v --volume=v=/a:/b --publish=80 --publish=80:http --publish=80:80:80 \
		--publish=:80 --publish=800000:80; do
		refuses 2 "$option" task.json
	done
	# Docker would make it, and leave it there.
	refuses 2 --volume "v=$PWD/absent" task.json
	[[ $stderr == "ecs-local: --volume v=$PWD/absent: open: no such directory" ]]
	refuses 2 --volume v=./absent task.json
	refuses 2 --volume v=./task.json task.json
	[ ! -e absent ]
	refuses 1 --image b=i task.json
	refuses 1 --volume v=/tmp task.json
	refuses 1 --publish 80:80 task.json
	refuses 1 --image a=--privileged task.json
	run -1 --separate-stderr env DOCKER_HOST="unix://$PWD/none" "$ecs" task.json
	[[ $stderr == *"$PWD/none"* ]]
}

@test "what is no name, number, port or protocol of ECS is refused before it gets into a command" {
	task '{"name": "a", "run": "true"}' '{"name": "b", "essential": false, "run": "true"}'
	while read -r program; do
		jq "$program" task.json >changed.json
		refuses 1 changed.json
	done <<-'END'
		.containerDefinitions[0].name = "a\n"
		.containerDefinitions[0].image += "\n"
		.volumes = [{name: "v\n"}]
		.networkMode = "host" | .containerDefinitions[0].portMappings = [{containerPort: 80, protocol: "* /etc/p*"}]
		.containerDefinitions[0].portMappings = [{containerPort: 80, protocol: "sctp"}]
		.containerDefinitions[0].portMappings = [{containerPort: 80.5}]
		.containerDefinitions[0].portMappings = [{containerPort: 65536}]
		.containerDefinitions[0].portMappings = [{containerPortRange: "80-82\n"}]
		.containerDefinitions[0].portMappings = [{containerPortRange: "82-80"}]
		.containerDefinitions[0].portMappings = [{containerPortRange: "0-1"}]
		.containerDefinitions[0].portMappings = [{containerPortRange: "65535-65536"}]
		.containerDefinitions[0].startTimeout = 1e300
		.containerDefinitions[0].startTimeout = 1.5
		.containerDefinitions[0].stopTimeout = 1e300
		.containerDefinitions[0].stopTimeout = -1
		.containerDefinitions[0].stopTimeout = "1"
		.containerDefinitions[0].cpu = "256"
		.containerDefinitions[0].memory = 64.5
		.containerDefinitions[0].memoryReservation = "64"
		.containerDefinitions[0].healthCheck = {command: ["CMD", "true"], interval: "1m30"}
		.containerDefinitions[0].healthCheck = {command: ["CMD", "true"], retries: 1e300}
		.containerDefinitions[0].linuxParameters.sharedMemorySize = "64"
		.containerDefinitions[0].linuxParameters.maxSwap = -2
		.containerDefinitions[0].linuxParameters.tmpfs = [{containerPath: "/t", size: "1m,exec"}]
		.containerDefinitions[0].ulimits = [{name: "nofile", softLimit: "1:2", hardLimit: 4}]
		.containerDefinitions[0].ulimits = [{name: "nofile", softLimit: 1, hardLimit: 4.5}]
	END
}

@test "a definition for Fargate gets nothing of the host, and what Fargate takes it gets" {
	task '{"name": "a", "run": "grep /scratch /proc/mounts", "privileged": false, "dockerSecurityOptions": [],
		"linuxParameters": {"capabilities": {"add": ["SYS_PTRACE"]}, "devices": [],
			"tmpfs": [{"containerPath": "/scratch", "size": 1}]},
		"mountPoints": [{"sourceVolume": "v", "containerPath": "/v"}]}'
	jq '. + {requiresCompatibilities: ["EC2", "FARGATE"], networkMode: "awsvpc", pidMode: "task",
		volumes: [{name: "v", host: {}}]}' task.json >fargate.json
	ecs 0 fargate.json
	grep -q '^a | tmpfs /scratch' out
	while read -r program; do
		jq "$program" fargate.json >changed.json
		refuses 1 changed.json
		[[ $stderr == *Fargate* ]]
	done <<-'END'
		.volumes[0].host.sourcePath = "/"
		.containerDefinitions[0].privileged = true
		.containerDefinitions[0].dockerSecurityOptions = ["no-new-privileges"]
		.containerDefinitions[0].linuxParameters.devices = [{hostPath: "/dev/null"}]
		.containerDefinitions[0].linuxParameters.sharedMemorySize = 64
		.containerDefinitions[0].linuxParameters.maxSwap = 0
		.containerDefinitions[0].linuxParameters.swappiness = 0
		.containerDefinitions[0].linuxParameters.capabilities.add += ["SYS_ADMIN"]
		.pidMode = "host"
		.ipcMode = "task"
		.networkMode = "host"
		del(.networkMode)
	END
}

@test "of a container's security options none can name a file of the host" {
	task '{"name": "a", "run": "grep NoNewPrivs /proc/self/status",
		"dockerSecurityOptions": ["no-new-privileges", "label:disable"]}'
	ecs 0 task.json
	grep -qx "a | NoNewPrivs:.1" out
	for option in seccomp=/etc/shadow seccomp:/etc/shadow seccomp=unconfined systempaths=unconfined \
		no-new-privileges=false credentialspec:file://a.json $'label:a\n'; do
		jq --arg option "$option" '.containerDefinitions[0].dockerSecurityOptions = [$option]' task.json >changed.json
		refuses 1 changed.json
		[[ $stderr == *dockerSecurityOptions* ]]
	done
}

@test "a directory of the host is there before, or the definition is refused, and nothing is made" {
	mkdir there
	task '{"name": "a", "run": "echo mine >/v/file", "mountPoints": [{"sourceVolume": "v", "containerPath": "/v"}]}'
	jq --arg path "$PWD/there" '.volumes = [{name: "v", host: {sourcePath: $path}}, {name: "w", host: {sourcePath: ""}}]
		| .containerDefinitions[0].mountPoints += [{sourceVolume: "w", containerPath: "/w"}]' task.json >there.json
	ecs 0 there.json
	[ "$(cat there/file)" = mine ]
	for path in "$PWD/new" "$run-relative" ./there "$PWD/there:/x"; do
		jq --arg path "$path" '.volumes = [{name: "v", host: {sourcePath: $path}}]' task.json >changed.json
		refuses 1 changed.json
		[[ $stderr == 'ecs-local: volume v: '* ]]
	done
	[ ! -e new ]
	refute grep -qx "$run-relative" <(docker volume ls -q)
	# What takes its place is all that counts.
	ecs 0 --volume "v=$PWD/there" changed.json
	# Docker would take what follows the : for another path.
	mkdir -p a:b/own
	cd a:b
	refuses 2 --volume v=./own ../task.json
}

@test "a message is one line without control characters, whatever the definition has in its names" {
	task '{"name": "a", "run": "true"}'
	while read -r program; do
		jq "$program" task.json >changed.json
		refuses 1 changed.json
		[[ $stderr == *'?b ?[31m'* ]]
		refute grep -qP '[\x00-\x1f\x7f-\x{9f}]' <<<"$stderr"
	done <<-'END'
		.containerDefinitions[0].dependsOn = [{containerName: "a\nb \u001b[31m", condition: "START"}]
		.containerDefinitions[0].dependsOn = [{containerName: "a", condition: "\u0085b \u009b[31m"}]
		.networkMode = "\u007fb \t[31m"
	END
	jq '.containerDefinitions[0]["x\ny\u001b[1m\u009b[1m"] = 1' task.json >changed.json
	ecs 0 changed.json
	grep -qx 'ecs-local: container a: x?y?\[1m?\[1m: left out, not known here' err
}

@test "what is wrong is told by its own name" {
	task '{"name": "a", "links": ["c:d"], "run": "true"}'
	refuses 1 task.json
	[[ $stderr == 'ecs-local: container a: links: no container c' ]]
	# What docker's client says stands before its hint.
	task '{"name": "a", "hostname": "h", "extraHosts": [{"hostname": "a", "ipAddress": "b"}], "run": "true"}'
	ecs 125 task.json
	grep -q 'a: start: .*invalid' err
	echo '{} {}' >two.json
	refuses 1 two.json
	echo '{"a": [}' >broken.json
	refuses 1 broken.json
	[[ $stderr == 'ecs-local: broken.json: parse: '*' at line 1, column 8' ]]
	task '{"name": "a", "repositoryCredentials": {"credentialsParameter": "arn:x"}, "run": "true",
		"logConfiguration": {"logDriver": "awslogs"}}'
	ecs 0 task.json
	grep -q 'container a: repositoryCredentials: left out' err
	grep -q 'awslogs: left out' err
}

# ---- what it gets right, whatever the definition ------------------------------------------------

@test "text comes into a container as it stands in the definition, however long its line" {
	# More than the 64 KiB that a buffer has, and characters of two bytes at odd places.
	task '{"name": "a", "run": "printf %s \"$TEXT\" | sha256sum"}'
	jq -c '.containerDefinitions[0].environment = [{name: "TEXT", value: ("Привет, мир. " * 4000)}]' \
		task.json >long.json
	ecs 0 long.json
	grep -qx "a | $(jq -jn '"Привет, мир. " * 4000' | sha256sum)" out
}

@test "a label of the definition that is ecs-local's own is not taken, and all is removed" {
	task '{"name": "a", "run": "sleep 600", "dockerLabels": {"decant.ecs-local": "mine", "other": "yes"}}'
	ecs_background task.json
	until_line err 'a: started'
	[ "$(docker ps -q --filter label=decant.ecs-local --filter label=other=yes | wc -l)" -eq 1 ]
	kill -TERM "$task"
	ends_with 143
	[ -z "$(docker ps -aq --filter label=other=yes)" ]
}

@test "when nobody reads any more the task is stopped in its order, and all is removed" {
	mkdir own tmp
	task '{"name": "side", "essential": false, "run": "sleep 1"}' \
		'{"name": "app", "run": "trap \"echo >/v/stopped; exit 0\" TERM; sleep 600 & wait", "stopTimeout": 20,
			"mountPoints": [{"sourceVolume": "v", "containerPath": "/v"}, {"sourceVolume": "w", "containerPath": "/w"}]}'
	jq '.volumes = [{name: "v"}, {name: "w"}]' task.json >full.json
	TMPDIR=$PWD/tmp timeout -k 10 60 "$ecs" --volume v=./own full.json 2>&1 3>&- | head -n 1 >first &&
		status=${PIPESTATUS[0]}
	[ "$status" -eq 141 ]
	[ -s first ]
	[ -f own/stopped ]
	[ -z "$(ls -A tmp)" ]
	# Nor is it a second signal after one.
	rm own/stopped
	mkfifo pipe
	jq '.containerDefinitions[0] |= (.command[2] = "sleep 600" | .dependsOn = [{containerName: "app", condition: "START"}])
		| .containerDefinitions[1].command[2] |= sub("echo"; "sleep 1; echo")' full.json >slow.json
	perl -e '$SIG{$_} = "DEFAULT" for "INT", "PIPE"; exec @ARGV' "$ecs" --volume v=./own slow.json >pipe 2>&1 3>&- &
	task=$!
	grep -m 1 'side: started' pipe
	kill -INT "$task"
	touch out err
	ends_with 130
	[ -f own/stopped ]
}

@test "two runs at one time do not meet, even with one process id" {
	# Each is the first of its own processes, at one second.
	mkdir bin
	printf '#!/bin/sh\necho 1700000000\n' >bin/date
	chmod +x bin/date
	for status in 8 9; do
		task "{\"name\": \"a\", \"run\": \"sleep 2; exit $status\"}"
		mv task.json "$status.json"
	done
	PATH=$PWD/bin:$PATH unshare --pid --fork "$ecs" 8.json >8.out 2>&1 3>&- &
	task=$!
	status=0
	PATH=$PWD/bin:$PATH unshare --pid --fork "$ecs" 9.json >9.out 2>&1 3>&- || status=$?
	cat 9.out
	[ "$status" -eq 9 ]
	touch out err
	ends_with 8
}
