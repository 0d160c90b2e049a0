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
