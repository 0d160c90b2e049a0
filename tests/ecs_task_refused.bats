#!/usr/bin/env bats
# ecs-task-definition: the options and definitions that it refuses.

load helpers
load ecs_task

@test "an image that is not pinned is refused, unless tags are allowed, and then it warns" {
	for name in registry.example/data registry.example/data:v1 localhost:5000/data:v1 "registry.example/data@${digest%?}" \
		"data@${digest}0" "data@sha512:${digest#sha256:}" "data@sha256:${digest#sha256:?}X" "@$digest" "a@b@$digest" ' ' '-x'; do
		refuses --image "$name" --path "$path"
	done
	"$ecs" --image registry.example/data:v1 --path "$path" --allow-tag "$inputs/handbook.json" >out 2>err
	[ "$(data .image)" = '"registry.example/data:v1"' ]
	grep -q 'registry.example/data:v1: not pinned' err
	refuses --image "data@${digest%?}" --path "$path" --allow-tag
}

@test "paths that cannot be a volume are refused" {
	for bad in '' srv ./srv / // /srv/ /srv//a /srv/../a /srv/./a /decant /bundle/a /proc /sys/x /dev '/a b' '/a"b' '/a:b'; do
		refuses --image "$image" --path "$bad"
	done
	refuses --image "$image"
	refuses --path "$path"
}

@test "values that are none are refused" {
	for option in --app=a.b --app= --name=a/b --volume=a:b --app-image=-x "--app-image=a b=c" --efs=vol-1 --efs=fs-xyz \
		--efs=fs-12:ap-12 --efs=fs-12:fsap- --start-timeout=1 --start-timeout=x --start-timeout=010 --memory=8 \
		--ephemeral-storage=0 --ephemeral-storage=1e2 --other-storage=x --app=data; do
		refuses "${pin[@]}" "$option"
	done
	run -2 "$ecs" "${pin[@]}" --app $'a\nb' </dev/null
	refuses "${pin[@]}" --efs-iam
	refuses "${pin[@]}" --efs fs-12345678 --volumes-from
	refuses "${pin[@]}" absent.json
	[[ $stderr == *': no such file' ]]
	refuses "${pin[@]}" .
	[[ $stderr == *': is a directory' ]]
	refuses "${pin[@]}" ''
	refuses "${pin[@]}" --bundle .
	[[ $stderr == *': is a directory' ]]
	refuses "${pin[@]}" one.json two.json
	refuses "${pin[@]}" --app
	refuses "${pin[@]}" --no-such
}

@test "what is no task definition is refused in one line" {
	for text in '' '{' '[]' '{}' '{} {}' '"text"' '7' '{"containerDefinitions": []}' '{"family": "f", "containerDefinitions": [1]}' \
		'{"containerDefinitions": [{"name": "a", "image": "i"}]}' '{"family": "f", "containerDefinitions": [{"image": "i"}]}' \
		'{"family": "f", "containerDefinitions": [{"name": "a", "image": "i"}, {"name": "a", "image": "i"}]}' \
		'{"family": "f", "containerDefinitions": [{"name": "a", "image": "i", "essential": false}]}' \
		'{"family": "f", "volumes": 1, "containerDefinitions": [{"name": "a", "image": "i"}]}' \
		'{"Family": "f", "ContainerDefinitions": [{"Name": "a"}]}'; do
		printf '%s' "$text" >bad.json
		run --separate-stderr "$ecs" "${pin[@]}" bad.json
		says_one_line 1 bad.json
	done
}

@test "names that ECS does not take are refused, and no message has more lines or control characters for them" {
	# What stands before the first line that is a brace alone would be taken for a note.
	for program in '.containerDefinitions[1].name = "side\n{\nx"' '.containerDefinitions[1].name = "side\n"' \
		'.containerDefinitions[1].name = "a b"' '.volumes += [{name: "v\n"}]' '.volumes += [{}]'; do
		fails_on "$program" fleet
		[[ $stderr == *'without a name of letters, digits, - and _' ]]
	done
	fails_on '.runtimePlatform.operatingSystemFamily = "W\n\u001b[31m\u009b[31m"' fleet
	[[ $stderr == *'a task for W??[31m?[31m, and'* ]]
}

@test "what is wrong with one container is said of that container" {
	while read -r field; do
		printf '{"family": "f", "containerDefinitions": [{"name": "a", %s}]}' "$field" >bad.json
		run --separate-stderr "$ecs" "${pin[@]}" bad.json
		says_one_line 1 'container a: '
	done <<-'END'
		"image": "i", "mountPoints": {}
		"image": "i", "dependsOn": ["b"]
		"image": "i", "mountPoints": [null]
		"image": 7
		"image": ""
		"image": null
		"cpu": 0
	END
}

@test "a definition in which the volume would harm something is refused" {
	# A container, or a volume, that is somebody else's.
	fails_on '.containerDefinitions[0].name = "data"' mesh
	[[ $stderr == *'container data: add: another one has this name'* ]]
	fails_on '.volumes += [{name: "data"}]' mesh
	[[ $stderr == *'volume data: add: another one has this name'* ]]
	# The app has something else at the path.
	fails_on ".containerDefinitions[3].mountPoints[0].containerPath = \"$path\"" mesh
	[[ $stderr == *'container app:'*scratch* ]]
	fails_on ".containerDefinitions[3].mountPoints[0].containerPath = \"$path/\"" mesh
	[[ $stderr == *'container app:'*scratch* ]]
	fails_on ".taskDefinition.containerDefinitions[0].linuxParameters.tmpfs = [{containerPath: \"$path/\", size: 16}]" handbook
	[[ $stderr == *"container web: mount $path: a tmpfs is mounted there already"* ]]
	# So has the data container.
	fails_on . golden/handbook --volume other
	[[ $stderr == *"container data: mount $path: volume data is mounted there already"* ]]
	# Another container fills the path already, and is one that this could update, or is not.
	jq '(.containerDefinitions[] | select(.name == "data")) |= (.name = "data_source" | .image = "other.example/pages:1")
		| .containerDefinitions[0].volumesFrom[0].sourceContainer = "data_source"
		| .containerDefinitions[0].dependsOn[0].containerName = "data_source"' "$golden/handbook.json" >source.json
	run --separate-stderr "$ecs" "${pin[@]}" --volume other source.json
	says_one_line 1 "container data_source: read: fills $path already (--name data_source updates it)"
	"$ecs" "${pin[@]}" --name data_source source.json >out
	[ "$(jq -c '[.containerDefinitions[] | [.name, (.mountPoints | length)]]' out)" = '[["web",0],["data_source",1]]' ]
	jq '(.containerDefinitions[] | select(.name == "data_source")).essential = true' source.json >running.json
	run --separate-stderr "$ecs" "${pin[@]}" --volume other --app web running.json
	says_one_line 1 "container web: mount $path: container data_source has volume data there already"
	# A second writer: this image, under another name.
	fails_on . golden/handbook --name files
	[[ $stderr == *'container data:'*'runs this image already'* ]]
	# Nobody may wait for who waits for them.
	fails_on . mesh --app app --app log_router
	[[ $stderr == *'container log_router: wait for data: data waits for it'* ]]
	fails_on '.containerDefinitions[1].dependsOn = [{containerName: "data", condition: "START"}]
		| .containerDefinitions += [{name: "data", image: "registry.example/handbook-data", essential: false,
			dependsOn: [{containerName: "app", condition: "START"}]}]' mesh --app app
	[[ $stderr == *'container app: wait for data: data waits for it'* ]]
}

@test "a definition that ECS would refuse afterwards is refused" {
	fails_on . handbook --start-timeout 121
	[[ $stderr == *"Fargate's 2 to 120"* ]]
	fails_on '.containerDefinitions += [range(9) | {name: "c\(.)", image: "i"}]' fleet
	[[ $stderr == *'at most 10'* ]]
	fails_on '.taskDefinition.runtimePlatform.operatingSystemFamily = "WINDOWS_SERVER_2022_CORE"' handbook
	[[ $stderr == *Linux* ]]
	fails_on '.taskDefinition.volumes = [{name: "site", host: {sourcePath: "/srv"}}]' handbook --volume site
	[[ $stderr == *'volume site:'*Fargate* ]]
	fails_on . handbook --app nobody
	[[ $stderr == *'--app nobody'* ]]
	fails_on . fleet --app-image registry.example/lean:1
	fails_on . fleet --app web --app-image worker=registry.example/lean:1
}

@test "without jq it says so in one line" {
	mkdir bin
	for tool in sh cat dirname sed tr; do
		ln -s "$(command -v "$tool")" bin/
	done
	run --separate-stderr env PATH="$PWD/bin" "$ecs" "${pin[@]}" "$inputs/handbook.json"
	says_one_line 1 jq
}
