#!/usr/bin/env bats
# ecs-task-definition: what it makes of a team's own task definition.

load helpers
load ecs_task

# A golden file's options, as its test gives them.
options_of() { # GOLDEN
	case $1 in
	handbook | fleet | mesh) ;;
	handbook.mount) echo --mount ;;
	handbook.efs) echo --efs fs-0123456789abcdef0:fsap-0fedcba9876543210 --efs-iam ;;
	handbook.lean) echo --app-image registry.example/handbook-lean:7 --name files --volume site --start-timeout 45 \
		--memory 128 --ephemeral-storage 50 ;;
	fleet.web) echo --app web --app-image web=registry.example/lean:1 --start-timeout 600 --mount ;;
	*) return 1 ;;
	esac
}

# Amazon's own client. The distribution's, which bootstrap installs, rather than another one on the PATH.
takes() { # FILE
	AWS_CONFIG_FILE=/dev/null AWS_PAGER='' /usr/bin/aws ecs register-task-definition --region us-east-1 \
		--generate-cli-skeleton output --cli-input-json "file://$1" | grep -q taskDefinitionArn
}

# ---- what it makes ------------------------------------------------------------------------------

@test "each fixture becomes the golden definition, byte for byte" {
	[ "$(ls "$golden"/*.json | wc -l)" -eq 7 ]
	for want in "$golden"/*.json; do
		want=${want##*/}
		want=${want%.json}
		# shellcheck disable=SC2046 # a list of options
		make "${want%%.*}" $(options_of "$want")
		diff "$golden/$want.json" out
	done
}

@test "the same run on its own output changes no byte, with all options and with the least" {
	for want in "$golden"/*.json; do
		want=${want##*/}
		want=${want%.json}
		# shellcheck disable=SC2046 # a list of options
		"$ecs" "${pin[@]}" $(options_of "$want") "$golden/$want.json" 2>err | diff "$golden/$want.json" -
		[ "$want" != handbook.lean ] || continue
		"$ecs" "${pin[@]}" <"$golden/$want.json" 2>err | diff "$golden/$want.json" -
	done
}

@test "Amazon's own model takes every golden definition" {
	export -f takes
	printf '%s\n' "$golden"/*.json | xargs -P 2 -I {} bash -c 'takes {}'
	# And it does refuse: what describe-task-definition adds, for one.
	jq '.revision = 3' "$golden/handbook.json" >revision.json
	refute takes revision.json
}

@test "what ECS adds to a definition is gone, and tags stay, but for those of aws:" {
	make handbook
	for field in taskDefinitionArn revision status requiresAttributes compatibilities registeredAt registeredBy; do
		jq -e ".taskDefinition | has(\"$field\")" "$inputs/handbook.json"
		jq -e "has(\"$field\") | not" out
	done
	[ "$(jq -c .tags out)" = '[{"key":"cost-center","value":"docs"}]' ]
}

@test "what is null is as what is not there, for ECS takes no null" {
	make handbook
	mv out without
	jq '.taskDefinition |= ({ipcMode: null, volumes: null} + del(.volumes)
		| .containerDefinitions[0] += {repositoryCredentials: null, mountPoints: null, volumesFrom: null, dependsOn: null}
		| .containerDefinitions[0].logConfiguration.options.empty = null)' "$inputs/handbook.json" >null.json
	"$ecs" "${pin[@]}" null.json >out
	diff <(jq -S 'del(.. | .mountPoints?)' without) <(jq -S 'del(.. | .mountPoints?)' out)
	[ "$(jq '[.. | select(. == null)] | length' out)" -eq 0 ]
	takes out
}

@test "a definition gives the same as described, as registered, and by standard input" {
	make handbook
	mv out described
	jq '.taskDefinition + {tags: [.tags[0]]} | del(.revision, .status, .compatibilities)' "$inputs/handbook.json" >registered.json
	"$ecs" "${pin[@]}" registered.json | diff described -
	"$ecs" "${pin[@]}" - <registered.json | diff described -
	"$ecs" "${pin[@]}" <"$inputs/handbook.json" | diff described -
}

@test "text stays as it is, however long its line" {
	# More than the 64 KiB that a buffer has, and characters of two bytes at odd places.
	jq -c '.taskDefinition.containerDefinitions[0].environment += [{name: "TEXT", value: ("Привет, мир. " * 4000)}]' \
		"$inputs/handbook.json" >long.json
	"$ecs" "${pin[@]}" long.json >out
	diff <(jq .taskDefinition.containerDefinitions[0].environment long.json) <(app web .environment | jq .)
}

@test "nothing of the definition's own is lost or changed" {
	for fixture in handbook fleet mesh; do
		make "$fixture"
		# Without what was added, it is the input again.
		jq -S 'del(.containerDefinitions[] | select(.name == "data"))
			| .containerDefinitions[] |= (.dependsOn |= map(select(.containerName != "data"))
				| .volumesFrom |= map(select(.sourceContainer != "data"))
				| if .dependsOn == [] then del(.dependsOn) else . end
				| if .volumesFrom == [] then del(.volumesFrom) else . end)
			| .volumes |= map(select(.name != "data"))' \
			<(jq '.containerDefinitions[] |= {dependsOn: [], volumesFrom: []} + .' out) >back
		jq -S '(.taskDefinition // .) + (if .taskDefinition then {tags: [.tags[0]]} else {} end)
			| del(.taskDefinitionArn, .revision, .status, .requiresAttributes, .compatibilities, .registeredAt, .registeredBy)
			| .containerDefinitions[] |= if .volumesFrom == [] then del(.volumesFrom) else . end' \
			"$inputs/$fixture.json" | diff - back
	done
}

@test "the data container is not essential, logs as the app does, and each app waits for its success" {
	make handbook
	[ "$(data .essential)" = false ]
	[ "$(data .startTimeout)" = 120 ]
	[ "$(data .image)" = "\"$image\"" ]
	[ "$(data .logConfiguration)" = "$(app web .logConfiguration)" ]
	[ "$(app web .dependsOn)" = '[{"containerName":"data","condition":"SUCCESS"}]' ]
	[ "$(app web .volumesFrom)" = '[{"sourceContainer":"data","readOnly":true}]' ]
	[ "$(data .mountPoints)" = "[{\"sourceVolume\":\"data\",\"containerPath\":\"$path\",\"readOnly\":false}]" ]
	[ "$(jq -c .volumes out)" = '[{"name":"data"}]' ]
}

@test "with several containers all essential ones use the files, but not the log router and the proxy" {
	make fleet
	[ "$(jq -c '[.containerDefinitions[] | select(any(.dependsOn[]?; .containerName == "data")) | .name]' out)" = \
		'["cache","web","worker"]' ]
	grep -qx 'ecs-task-definition: data fills for cache, web, worker (--app chooses)' err
	make mesh
	[ "$(jq -c '[.containerDefinitions[] | select(any(.dependsOn[]?; .containerName == "data")) | .name]' out)" = '["app"]' ]
	make fleet --app worker --app=web
	[ ! -s err ]
	[ "$(app cache .dependsOn)" = null ]
	[ "$(app web '.dependsOn[1].condition')" = '"SUCCESS"' ]
	# What was chosen stays so, and another can join.
	cp out chosen.json
	"$ecs" "${pin[@]}" chosen.json | diff chosen.json -
	"$ecs" "${pin[@]}" --app cache chosen.json >out
	[ "$(jq -c '[.containerDefinitions[] | select(any(.dependsOn[]?; .containerName == "data")) | .name]' out)" = \
		'["cache","web","worker"]' ]
}

@test "a dependsOn of the wrong condition is put right at its place" {
	jq '.containerDefinitions[1].dependsOn |= [{containerName: "data", condition: "START"}] + .' "$inputs/fleet.json" >wrong.json
	"$ecs" "${pin[@]}" --app web wrong.json >out
	[ "$(app web '[.dependsOn[] | .containerName + " " + .condition]')" = '["data SUCCESS","cache HEALTHY"]' ]
}

@test "the next release is a run with another image on what ECS describes" {
	make handbook --mount
	next=registry.example/handbook-data@sha256:$(printf 'f%.0s' {1..64})
	# What describe-task-definition makes of it.
	jq '{taskDefinition: (. + {revision: 42, status: "ACTIVE"}
		| .containerDefinitions[] |= {cpu: 0, environment: [], volumesFrom: [], systemControls: [], portMappings: []} + .
		| .volumes[] |= . + {host: {}}), tags: .tags}' out >described.json
	"$ecs" --image "$next" --path "$path" described.json >out
	jq --arg next "$next" '.taskDefinition + {tags: .tags} | del(.revision, .status)
		| (.containerDefinitions[] | select(.name == "data") | .image) = $next' described.json | diff - out
}

@test "one style follows another, and leaves nothing of it" {
	make handbook
	cp out volumes-from
	make handbook --mount
	cp out mount
	jq '(.containerDefinitions[] | select(.name == "web") | .volumesFrom) |= []' mount | diff - mount
	"$ecs" "${pin[@]}" --mount volumes-from | diff mount -
	"$ecs" "${pin[@]}" --volumes-from mount | diff volumes-from -
}

@test "another path moves the mounts on both sides" {
	make handbook --mount
	cp out first.json
	"$ecs" --image "$image" --path /srv/www first.json >out
	[ "$(jq -c '[.containerDefinitions[].mountPoints[].containerPath]' out)" = '["/srv/www","/srv/www"]' ]
}

@test "EFS takes the place of the task's own volume, and its other settings stay" {
	make handbook --efs fs-12345678
	[ "$(jq -c .volumes out)" = \
		'[{"name":"data","efsVolumeConfiguration":{"fileSystemId":"fs-12345678","transitEncryption":"ENABLED"}}]' ]
	[ "$(app web '.mountPoints[0].readOnly')" = true ]
	jq '.volumes[0].efsVolumeConfiguration += {rootDirectory: "/", transitEncryptionPort: 2049}' out >port.json
	"$ecs" "${pin[@]}" --efs fs-12345678:fsap-1234 port.json >out
	[ "$(jq -c '.volumes[0].efsVolumeConfiguration | [.transitEncryptionPort, .rootDirectory, .authorizationConfig]' out)" = \
		'[2049,null,{"accessPointId":"fsap-1234"}]' ]
	# Another file system is another volume.
	"$ecs" "${pin[@]}" --efs fs-87654321 port.json >out
	[ "$(jq -c '.volumes[0].efsVolumeConfiguration.transitEncryptionPort' out)" = null ]
	fails_on '.' golden/handbook.efs --volumes-from
}

@test "a task without a size reserves memory for the data container, and private registries get their key" {
	make fleet --app web
	[ "$(data .memoryReservation)" = 64 ]
	[ "$(data .repositoryCredentials)" = "$(app web .repositoryCredentials)" ]
	"$ecs" --image "other.example/data@$digest" --path "$path" --memory 32 --app web "$inputs/fleet.json" >out
	[ "$(data '[.memory, .memoryReservation, .repositoryCredentials]')" = '[32,null,null]' ]
	make handbook
	[ "$(data '[.memory, .memoryReservation]')" = '[null,null]' ]
}

# ---- storage ------------------------------------------------------------------------------------

# A bundle of 360 MiB that do not pack: 1,080 MiB on a disk that holds the image, packed and unpacked, and the volume.
big_bundle() {
	mkdir big
	head -c 360M /dev/urandom >big/noise
	"$decant_pack" --quiet --dest "$path" --level 1 -o big.tar.zst big
	rm -r big
}

@test "a small bundle asks for no storage, and says so" {
	small_tree site
	pack site small.tar.zst --dest "$path"
	make handbook --bundle small.tar.zst
	diff "$golden/handbook.json" out
	grep -q 'ephemeralStorage: 5 GiB are needed, and 20 are the default' err
	make mesh --bundle small.tar.zst
	[ "$(jq .ephemeralStorage.sizeInGiB out)" = 30 ]
}

@test "a large bundle raises the storage to what it needs, and never lowers it" {
	big_bundle
	make handbook --bundle big.tar.zst --other-storage 19
	# 1,080 MiB, and 19 GiB for the rest.
	[ "$(jq .ephemeralStorage.sizeInGiB out)" = 21 ]
	make handbook --bundle big.tar.zst --other-storage 40
	[ "$(jq .ephemeralStorage.sizeInGiB out)" = 42 ]
	make mesh --bundle big.tar.zst --other-storage 19
	[ "$(jq .ephemeralStorage.sizeInGiB out)" = 30 ]
	make mesh --bundle big.tar.zst --other-storage 30
	[ "$(jq .ephemeralStorage.sizeInGiB out)" = 32 ]
	# On EFS the volume is not on the task's disk.
	make handbook --bundle big.tar.zst --other-storage 19 --efs fs-12345678
	[ "$(jq .ephemeralStorage out)" = null ]
	# EC2 has no such thing.
	make fleet --bundle big.tar.zst --other-storage 40
	[ "$(jq .ephemeralStorage out)" = null ]
	fails_on . handbook --bundle big.tar.zst --other-storage 200
	[[ $stderr == *'202 GiB are needed, and 200 are the most'* ]]
}

@test "a given number of GiB is set from 21 to 200, and up to 20 is the default" {
	for number in 21 200; do
		make mesh --ephemeral-storage "$number"
		[ "$(jq .ephemeralStorage.sizeInGiB out)" = "$number" ]
	done
	make mesh --ephemeral-storage 20
	[ "$(jq .ephemeralStorage out)" = null ]
	fails_on . fleet --ephemeral-storage 21
	refuses "${pin[@]}" --ephemeral-storage 201
}

@test "a bundle for another place, or none, is an error" {
	small_tree site
	pack site other.tar.zst --dest /srv/other
	fails_on . handbook --bundle other.tar.zst
	[[ $stderr == *"--path $path"*'the bundle is for /srv/other'* ]]
	echo nothing >none.tar.zst
	fails_on . handbook --bundle none.tar.zst
	[[ $stderr == *none.tar.zst* ]]
	refuses "${pin[@]}" --bundle absent.tar.zst
}

# ---- the README ---------------------------------------------------------------------------------

@test "the README's single definition becomes what the README says" {
	sed -n '/^### Amazon ECS/,/^### Docker Compose/p' "$top/README.md" >section.md
	awk '/^ *```json$/ { n++; inside = 1; next } /^ *```$/ { inside = 0 } inside { print > ("block" n) }' section.md
	[ ! -e block4 ]
	"$ecs" "${pin[@]}" --app-image registry.example/handbook:lean block1 >out
	[ "$(app web .image)" = '"registry.example/handbook:lean"' ]
	jq -e --slurpfile web block2 --slurpfile data block3 '.containerDefinitions
		| (.[0] | {dependsOn, volumesFrom}) == $web[0]
			and (.[1] | del(.image, .logConfiguration)) == $data[0] and .[1].logConfiguration == .[0].logConfiguration' out
	[ "$(jq -c .volumes out)" = '[{"name":"data"}]' ]
	"$ecs" --help >help
	grep -oE -e '--[a-z-]+' section.md | sort -u >options
	for option in --app --app-image --mount --bundle --efs --image --path; do
		grep -qx -e "$option" options
		grep -q -e "^  $option\b" help
	done
	# Amazon's client takes the command lines.
	sed -n '/^ *aws ecs r/,/^ *aws ecs u/p' section.md | sed 's/ *#.*//; s/aws ecs/takes/; s,file://task.json,file://out,' >commands
	[ "$(grep -c takes commands)" -eq 3 ]
	{
		cat <<-'END'
			set -e
			takes() {
				AWS_CONFIG_FILE=/dev/null AWS_PAGER='' /usr/bin/aws ecs "$@" --region us-east-1 --generate-cli-skeleton output >answer
			}
		END
		cat commands
	} >run
	sh run
}
