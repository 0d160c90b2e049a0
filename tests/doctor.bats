#!/usr/bin/env bats
# What scripts/doctor finds in a task definition, a compose file, a pod, and that it keeps quiet otherwise.

load helpers

doctor=$top/scripts/doctor
fixtures=$top/tests/fixtures/doctor

# From a good file of each kind, a bad and a good variant for each rule: cases/RULE.bad, cases/RULE.good,
# and what else to say on the command line in cases/RULE.arguments.
setup_file() {
	cd "$BATS_FILE_TMPDIR" || return 1
	mkdir cases
	cp "$fixtures/ecs.json" ecs.json
	yq . "$fixtures/compose.yaml" >compose.json
	yq -s . "$fixtures/k8s.yaml" >k8s.json
	for kind in ecs compose k8s; do
		jq -c -f "$fixtures/$kind.jq" "$kind.json" >all.json
		jq -r 'keys_unsorted[]' all.json >>rules
		jq -r 'to_entries[] | .key as $rule | (.value.arguments // [] | join(" ")),
			(.value.bad, .value.good | if type == "array" then map(tojson) | join(" ") else tojson end)' all.json >lines
		while read -r rule; do
			IFS= read -r arguments <&3
			IFS= read -r bad <&3
			IFS= read -r good <&3
			printf '%s\n' "$arguments" >"cases/$rule.arguments"
			printf '%s\n' "$bad" >"cases/$rule.bad"
			printf '%s\n' "$good" >"cases/$rule.good"
		done < <(jq -r 'keys_unsorted[]' all.json) 3<lines
	done
}

@test "every rule that --list-rules prints has a bad and a good case, and no case is of another rule" {
	"$doctor" --list-rules | cut -f 1 | sort >listed
	sort "$BATS_FILE_TMPDIR/rules" >tested
	[ "$(wc -l <tested)" -gt 80 ]
	[ -z "$(uniq -d tested)" ]
	diff listed tested
}

# One run for all cases with the same arguments, for each run costs a third of a second.
judge() { # KIND, which is bad or good
	local arguments
	cd "$BATS_FILE_TMPDIR/cases" || return 1
	sort -u ./*.arguments | while read -r arguments; do
		# shellcheck disable=SC2046,SC2086 # lists of arguments
		"$doctor" --json $arguments $(grep -lxF -e "$arguments" ./*.arguments | sed "s,^./\(.*\)arguments,\1$1,") || :
	done
}

@test "each bad case triggers its rule, and that rule alone" {
	judge bad >"$BATS_TEST_TMPDIR/found"
	refute grep -F -e null -e '"where":""' "$BATS_TEST_TMPDIR/found"
	jq -r '"\(.file) \(.rule)"' "$BATS_TEST_TMPDIR/found" | sort -u >"$BATS_TEST_TMPDIR/is"
	sed 's/.*/&.bad &/' "$BATS_FILE_TMPDIR/rules" | sort | diff - "$BATS_TEST_TMPDIR/is"
}

@test "no good case triggers anything, close as it is" {
	judge good >"$BATS_TEST_TMPDIR/found"
	cat "$BATS_TEST_TMPDIR/found" >&2
	[ ! -s "$BATS_TEST_TMPDIR/found" ]
	# Nor was any of them left out.
	[ "$(cat "$BATS_FILE_TMPDIR"/cases/*.good | wc -l)" -eq "$(wc -l <"$BATS_FILE_TMPDIR/rules")" ]
}

# Other forms of the same mistakes: each must be found as RULE, and with it nothing else; RULE none: all is well. One
# run for all of them, as above. RULES are sorted, with commas between them.
finds() { # KIND ARGUMENT... (standard input: RULES JQ-PROGRAM)
	local kind=$1
	shift
	rm -f form.*
	cat >want
	{
		printf 'def data: %s; def web: %s; def fonts: %s; %s\n' "$data" "$web" "$fonts" "${more:-}"
		# What is several documents, as in k8s.jq, is a file of several, too.
		sed 's/^[^ ]* \(.*\)/(\1)/; $!s/$/,/' want
	} >forms.jq
	jq -r "$(cat forms.jq)
		| if type == \"array\" then map(tojson) | join(\" \") else tojson end" "$BATS_FILE_TMPDIR/$kind.json" |
		split -l 1 -a 3 -d - form.
	"$doctor" --json "$@" form.* >found || [ $? -eq 1 ]
	for form in form.*; do
		printf '{"file":"%s"}\n' "$form"
	done | cat - found | jq -r -s 'group_by(.file)[] | [.[].rule | select(.)] | unique | join(",") | if . == "" then "none" else . end' |
		paste -d ' ' - <(cut -d ' ' -f 2- want) | diff want -
}

@test "the same mistakes are found in other forms in a task definition" {
	data='.containerDefinitions[0]' web='.containerDefinitions[1]' fonts='.containerDefinitions[2]'
	# Whoever is waited for to end, not only the data container. A second writer, that nobody calls data.
	finds ecs <<-'END'
		ecs-essential .containerDefinitions += [{name: "migrate", image: "a:1"}] | web.dependsOn += [{containerName: "migrate", condition: "SUCCESS"}]
		none .containerDefinitions += [{name: "migrate", image: "a:1", essential: false}] | web.dependsOn += [{containerName: "migrate", condition: "SUCCESS"}]
		none .containerDefinitions += [{name: "agent", image: "a:1"}] | web.dependsOn += [{containerName: "agent", condition: "START"}]
		ecs-second-writer .containerDefinitions += [data | .name = "fonts" | .image = "a:1"] | web.dependsOn += [{containerName: "fonts", condition: "SUCCESS"}]
		none .containerDefinitions += [data | .name = "owner" | .image = "a:1"] | data.dependsOn = [{containerName: "owner", condition: "SUCCESS"}]
		ecs-read-only .containerDefinitions += [data | .name = "gzip" | .image = "a:1" | .dependsOn = [{containerName: "data", condition: "SUCCESS"}]] | web.dependsOn += [{containerName: "gzip", condition: "SUCCESS"}]
		ecs-depends-on web |= (del(.mountPoints, .dependsOn) | .volumesFrom = [{sourceContainer: "data", readOnly: true}])
		ecs-read-only web |= (del(.mountPoints) | .volumesFrom = [{sourceContainer: "data"}])
		ecs-condition web.dependsOn[0].condition = "success"
		ecs-start-timeout-range data.startTimeout = 0
		ecs-start-timeout-range web.startTimeout = 121
		ecs-ephemeral-range .ephemeralStorage.sizeInGiB = 201
		ecs-command data.entryPoint = ["/decant"] | data.command = ["verify"]
		ecs-command data.entryPoint = ["/decant", "info"]
		ecs-command data.entryPoint = ["sh", "-c"] | data.command = ["/decant verify"]
		ecs-command data.entryPoint = ["sh", "-c"] | data.command = ["/decant fill || true"]
		ecs-command data.entryPoint = ["sh", "-c", "/decant; exit 0"]
		none data.entryPoint = ["sh", "-c"] | data.command = ["/decant verify || /decant fill || exit 1"]
		none data.entryPoint = ["/decant"] | data.command = ["fill", "--keep-releases", "2"]
		none data.entryPoint = ["/decant"]
		ecs-entry-point data.entryPoint = ["/usr/bin/decanter"]
		none data.entryPoint = ["/decant-then-chown.sh"]
		ecs-entry-point data.entryPoint = ["/decant-pack"]
		ecs-second-writer .containerDefinitions += [data | .name = "data2"]
		ecs-mount-twice web.mountPoints += web.mountPoints
		ecs-mount-twice web.linuxParameters.tmpfs = [{containerPath: "/srv/pages", size: 1}]
		ecs-image del(web.image)
		ecs-image web.image = "Handbook-web:1"
		ecs-image web.image = "web@sha256:5f70"
		ecs-name-twice .volumes += .volumes
		ecs-output-field .deleteRequestedAt = 1
		ecs-fargate-parameter .placementConstraints = [{type: "memberOf", expression: "a"}]
		ecs-fargate-parameter .pidMode = "host"
		ecs-fargate-parameter .ipcMode = "task"
		ecs-fargate-parameter web.linuxParameters.devices = [{hostPath: "/dev/fuse"}]
		ecs-fargate-parameter web.linuxParameters.sharedMemorySize = 64
		ecs-fargate-parameter web.linuxParameters.capabilities.add = ["SYS_PTRACE", "NET_ADMIN"]
		none web.linuxParameters = {capabilities: {add: ["SYS_PTRACE"], drop: ["ALL"]}, devices: [], initProcessEnabled: true} | .pidMode = "task" | .placementConstraints = []
		none .volumes += [{name: "logs"}] | web.mountPoints += [{sourceVolume: "logs", containerPath: "/log"}] | .containerDefinitions += [web | .name = "logs" | .mountPoints = [{sourceVolume: "logs", containerPath: "/log", readOnly: true}]]
		ecs-no-data .volumes += [{name: "logs"}] | web |= (del(.dependsOn) | .mountPoints = [{sourceVolume: "logs", containerPath: "/log"}]) | data = (web | .name = "logs" | .mountPoints[0].readOnly = true)
	END
	# A volume of its own for each, and a name that says nothing.
	more='def add: .volumes += [{name: "fonts"}] | .containerDefinitions += [data | .name = "fonts" | .image |= sub("handbook-data"; "fonts")
			| .mountPoints = [{sourceVolume: "fonts", containerPath: "/fonts"}]]
		| web.volumesFrom = [{sourceContainer: "fonts", readOnly: true}] | web.dependsOn += [{containerName: "fonts", condition: "SUCCESS"}];
		def alone: add | data = fonts | del(fonts, web.mountPoints, web.dependsOn[0]);' finds ecs <<-'END'
		none add
		ecs-condition add | web.dependsOn[1].condition = "COMPLETE"
		ecs-condition add | web.dependsOn[1].condition = "START"
		ecs-depends-on add | del(web.dependsOn[1])
		ecs-depends-on alone | del(web.dependsOn)
		ecs-depends-on add | del(web.dependsOn[1], web.volumesFrom) | web.mountPoints += [fonts.mountPoints[0] | .readOnly = true]
		ecs-essential add | del(fonts.essential)
		ecs-image-pinned add | fonts.image = "fonts:latest"
		ecs-start-timeout add | del(fonts.startTimeout)
		ecs-read-only add | del(web.volumesFrom[0].readOnly)
		ecs-data-read-only alone | data.mountPoints[0].readOnly = true | web.mountPoints = data.mountPoints | del(web.volumesFrom)
		ecs-mount-twice add | fonts.mountPoints[0].containerPath = "/srv/pages/../pages" | fonts.mountPoints[0].containerPath = "/srv/pages"
		ecs-not-decant add | fonts.entryPoint = ["sleep"]
		ecs-entry-point add | fonts.entryPoint = ["sleep"] | fonts.name = "fonts-data" | web.dependsOn[1].containerName = "fonts-data" | web.volumesFrom[0].sourceContainer = "fonts-data"
		none add | fonts.command = ["rake", "db:migrate"] | web |= (del(.volumesFrom) | .mountPoints += [{sourceVolume: "fonts", containerPath: "/fonts"}])
		none add | fonts.command = ["--repo=https://example.org"] | del(web.volumesFrom, web.dependsOn[1])
	END
	# Through which access point is not where the files are.
	more='def efs: .volumes = [("1", "2") | {name: "v\(.)", efsVolumeConfiguration: {fileSystemId: "fs-1", transitEncryption: "ENABLED", authorizationConfig: {accessPointId: "fsap-\(.)"}}}]
		| data.mountPoints[0].sourceVolume = "v1" | web.mountPoints[0].sourceVolume = "v2";' finds ecs <<-'END'
		none efs
		ecs-depends-on efs | del(web.dependsOn)
		none efs | .volumes[].efsVolumeConfiguration |= (del(.authorizationConfig) | .rootDirectory = "/site") | .volumes[1].efsVolumeConfiguration.rootDirectory = "/site/"
		none efs | .volumes[].efsVolumeConfiguration |= del(.authorizationConfig) | .volumes[0].efsVolumeConfiguration.rootDirectory = "/site" | data.mountPoints[0].containerPath = "/srv/pages/site"
		none efs | web.mountPoints = [data.mountPoints[0] + {readOnly: true}, {sourceVolume: "v2", containerPath: "/uploads"}]
		ecs-volume-unused efs | .volumes[1].efsVolumeConfiguration.fileSystemId = "fs-2"
	END
	# Without the option nothing says that this is for Fargate.
	finds ecs <<-'END'
		none del(.requiresCompatibilities) | data.startTimeout = 600 | .volumes[0].host = {sourcePath: "/mnt"}
	END
	finds ecs --fargate <<-'END'
		ecs-start-timeout-range del(.requiresCompatibilities) | data.startTimeout = 600
		ecs-host-path del(.requiresCompatibilities) | .volumes[0].host = {sourcePath: "/mnt"}
		none del(.requiresCompatibilities)
	END
	finds ecs --size 9000000000 <<-'END'
		ecs-ephemeral-size .ephemeralStorage.sizeInGiB = 25
		none .ephemeralStorage.sizeInGiB = 26
	END
	finds ecs --dest /srv/www <<-'END'
		ecs-dest .
		none (data, web) |= (.mountPoints[0].containerPath = "/srv/www")
	END
}

@test "the same mistakes are found in other forms in a compose file" {
	data=.services.data web=.services.web fonts=.services.fonts
	finds compose <<-'END'
		compose-restart data.restart = "always"
		compose-restart data.deploy.restart_policy = {}
		none data.deploy.restart_policy.condition = "on-failure"
		compose-condition web.depends_on.data = {}
		compose-condition web.depends_on.data.condition = "service_healthy"
		compose-entry-point data.entrypoint = []
		compose-entry-point data.entrypoint = ""
		none data.entrypoint = null
		compose-entry-point data.entrypoint = "sh -c 'cp -a /pages /srv'"
		compose-command data.entrypoint = "sh -c 'decant fill || true'"
		none data.entrypoint = "sh -c 'decant fill'"
		compose-second-writer .services.fonts = (data | .image = "fonts" | .volumes[0].volume.nocopy = true) | web.depends_on.fonts = web.depends_on.data
		none .services.owner = (data | .image = "owner") | data.depends_on.owner = web.depends_on.data
		compose-read-only web |= (del(.volumes) | .volumes_from = ["data"])
		compose-restart .services.migrate = {image: "a", restart: "always"} | web.depends_on.migrate = web.depends_on.data
		compose-image-pinned data.image = "user/site-data:1"
		none data.image = "site-data:1" | web.image = "user/site:1"
		none data.volumes = ["${V:-${W:-pages}}:/srv/pages"] | web.volumes = ["${V:-${W:-pages}}:/srv/pages:ro,nocopy"]
		none web.volumes = ["${V:-pages}:/srv/pages:ro,nocopy"]
		compose-depends-on web.volumes = ["${V-pages}:/srv/pages:ro,nocopy"] | del(web.depends_on)
		none web.volumes = ["${V}:/srv/pages:ro,nocopy"] | data.volumes[0].source = "pages"
		compose-volume-unused web.volumes = ["${HOME}/.cache:/cache", "${D:-./pages}:/srv/pages:ro"]
		compose-read-only data.volumes = ["${V:-pages}:/srv/pages"] | web.volumes = ["${V:-pages}:/srv/pages:nocopy"]
		none web.volumes = [{type: "volume", source: "pages", target: "/css", read_only: true, volume: {nocopy: true, subpath: "css"}}]
		compose-depends-on del(web.depends_on) | web.volumes = [{type: "volume", source: "pages", target: "/css", read_only: true, volume: {nocopy: true, subpath: "css/"}}]
		compose-volume-unused data.volumes = ["./pages:/srv/pages"] | web.volumes = [".:/srv:ro"]
		compose-mount-twice web.tmpfs = ["/srv/pages:size=1m"]
		compose-mount-twice .volumes.own = null | web.volumes_from = ["data:ro"] | web.volumes = ["own:/srv/pages"]
		compose-second-writer .services.data2 = (data | .volumes[0].volume.nocopy = true)
		compose-no-data .services |= {app: {image: "app", volumes: ["pages:/srv/pages"]}, web: (.web | .depends_on = ["app"])}
	END
	more='def add: .volumes.fonts = null | fonts = (data | .image = "fonts" | .volumes[0] += {source: "fonts", target: "/fonts"})
		| web.depends_on.fonts = web.depends_on.data | web.volumes += ["fonts:/fonts:ro,nocopy"];' finds compose <<-'END'
		none add
		compose-restart add | fonts.restart = "always"
		compose-condition add | web.depends_on.fonts.condition = "service_started" | del(data, web.depends_on.data) | web.volumes |= .[1:]
		compose-depends-on add | del(web.depends_on.fonts)
		compose-image-pinned add | fonts.image = "user/fonts"
		compose-nocopy add | web.volumes[1] = "fonts:/fonts:ro"
		compose-not-decant add | fonts.entrypoint = "sleep"
	END
}

@test "the same mistakes are found in other forms in a pod" {
	local pod='.[1].spec.template.spec'
	data="$pod.initContainers[0]" web="$pod.containers[0]" fonts="$pod.initContainers[1]"
	finds k8s <<-'END'
		none web.volumeMounts[0] += {subPath: "css", mountPath: "/css"}
		k8s-volume-unused data.volumeMounts[0].subPath = "a" | web.volumeMounts[0].subPath = "b"
		k8s-init-container,k8s-read-only .[1].spec.template.spec |= (.containers += .initContainers | del(.initContainers)) | del(web.volumeMounts[0].readOnly)
		k8s-no-data .[1].spec.template.spec |= (.containers += .initContainers | del(.initContainers) | .containers[1] |= (.name = "data-api" | .image = "api:1")) | del(web.volumeMounts[0].readOnly)
		none .[1].spec.template.spec.containers |= . + [.[0] | .name = "data-api" | .ports = [{containerPort: 1}] | .volumeMounts = [.volumeMounts[1]]] | web.volumeMounts[1].readOnly = true
		k8s-mount-twice web.volumeMounts += [web.volumeMounts[0]]
		k8s-name-twice .[1].spec.template.spec.volumes += [{name: "tmp", emptyDir: {}}]
		k8s-image data.image = "registry.example/data@sha256:DIGEST"
		k8s-no-data .[1] = {kind: "Deployment", metadata: {name: "patch"}, spec: {template: {spec: {containers: [{name: "web"}]}}}}
		none .[1].spec.template.spec |= (.volumes += [{name: "conf", configMap: {name: "conf"}}] | .initContainers += [{name: "wait", image: "a:1", volumeMounts: [{name: "conf", mountPath: "/c"}]}] | .containers[0].volumeMounts += [{name: "conf", mountPath: "/c"}])
	END
	more="def add: $pod.volumes += [{name: \"fonts\", emptyDir: {}}] | $pod.initContainers += [data | .name = \"fonts\" | .image |= sub(\"handbook-data\"; \"fonts\")
			| .volumeMounts[0] |= (.name = \"fonts\" | .mountPath = \"/fonts\")]
		| web.volumeMounts += [{name: \"fonts\", mountPath: \"/fonts\", readOnly: true}];" finds k8s <<-'END'
		none add
		k8s-read-only add | del(web.volumeMounts[2].readOnly)
		k8s-image-pinned add | fonts.image = "fonts:1"
		k8s-termination-message add | del(fonts.terminationMessagePolicy)
		k8s-not-decant add | fonts.restartPolicy = "Always"
		k8s-not-decant add | fonts.restartPolicy = "Always" | fonts.command = ["sleep"]
		k8s-sidecar add | fonts.restartPolicy = "Always" | fonts.name = "fonts-data"
		none add | fonts.command = ["sleep"] | del(web.volumeMounts[2].readOnly)
	END
	finds k8s --dest /srv/pages --size 90000000 <<-'END'
		none .[1].spec.template.spec |= (.volumes += [{name: "fonts", emptyDir: {sizeLimit: "1Mi"}}] | .initContainers += [.initContainers[0] | .name = "fonts-data" | .volumeMounts[0] |= (.name = "fonts" | .mountPath = "/fonts")] | .containers[0].volumeMounts += [{name: "fonts", mountPath: "/fonts", readOnly: true}])
	END
}

# A bad file of each kind, in the form in which people write it.
bad_files() {
	jq 'del(.containerDefinitions[0].essential)' "$fixtures/ecs.json" >task.json
	sed 's/condition: service_completed_successfully/condition: service_started/' "$fixtures/compose.yaml" >compose.yaml
	sed '/terminationMessagePolicy/d' "$fixtures/k8s.yaml" >pod.yaml
}

@test "a finding is one line with file, place, rule, severity and remedy" {
	bad_files
	run -1 --separate-stderr "$doctor" task.json compose.yaml pod.yaml
	[ -z "$stderr" ]
	[ "${#lines[@]}" -eq 3 ]
	[[ ${lines[0]} == 'task.json: data: ecs-essential (error): '*'"essential": false' ]]
	[[ ${lines[1]} == 'compose.yaml: web: compose-condition (error): '*service_completed_successfully ]]
	[[ ${lines[2]} == 'pod.yaml: Deployment/handbook/data: k8s-termination-message (warning): '*FallbackToLogsOnError* ]]
}

@test "the exit status is 1 for errors, 0 for warnings alone, with --strict 1 for them, too" {
	bad_files
	run -1 "$doctor" task.json
	run -0 "$doctor" pod.yaml
	[ "${#lines[@]}" -eq 1 ]
	run -1 "$doctor" --strict pod.yaml
	run -1 "$doctor" pod.yaml task.json
	run -0 "$doctor" --strict "$fixtures/ecs.json" "$fixtures/compose.yaml" "$fixtures/k8s.yaml"
	[ -z "$output" ]
}

@test "--json prints the same findings as objects, each with the rule's source" {
	bad_files
	"$doctor" task.json compose.yaml pod.yaml >lines || [ $? -eq 1 ]
	"$doctor" --json task.json compose.yaml pod.yaml >json || [ $? -eq 1 ]
	jq -r '"\(.file): \(.where): \(.rule) (\(.severity)): \(.remedy)"' json | diff lines -
	jq -r .source json | grep -c '^https://' | grep -qx 3
}

@test "--list-rules gives each rule a severity, a description and an address" {
	"$doctor" --list-rules >rules
	refute grep -vP '^(ecs|compose|k8s)-[a-z0-9-]+\t(error|warning)\t[^\t]+\thttps://[^\t ]+$' rules
	"$doctor" --list-rules --json | jq -r '[.rule, .severity, .finds, .source] | join("\t")' | diff rules -
}

@test "standard input is a file, too, and YAML may be JSON" {
	bad_files
	run -1 "$doctor" - <task.json
	[[ $output == '-: data: ecs-essential '* ]]
	run -1 "$doctor" - <compose.yaml
	[[ $output == '-: web: compose-condition '* ]]
	printf '\n' | cat - task.json | run -1 "$doctor" -
	# A pipe is read once, however often it is looked at.
	run -1 "$doctor" <(cat task.json) <(cat compose.yaml)
	[ "${#lines[@]}" -eq 2 ]
	yq . compose.yaml >compose.json
	run -1 "$doctor" compose.json
	[ "${#lines[@]}" -eq 1 ]
}

@test "it has nothing to say about this repository's own compose file and the README's examples" {
	run -0 "$doctor" --strict "$top/docker/compose.yaml"
	[ -z "$output" ]
	awk '/^```(json|yaml)$/ { type = substr($0, 4); number++; next } /^```$/ { type = ""; next }
		type != "" { print >(number "." type) }' "$top/README.md"
	ls ./*.json ./*.yaml
	for example in ./*.json ./*.yaml; do
		grep -qE '"containerDefinitions"|^services:|^kind:' "$example" || continue
		echo "$example" >>examined
		# An example may be the definition that one begins with.
		run -0 "$doctor" "$example"
		left=$(grep -v -e '-no-data (warning)' <<<"$output") || :
		[ -z "$left" ]
	done
	[ "$(wc -l <examined)" -ge 3 ]
}

@test "--data names a data container that nothing else gives away" {
	jq '.containerDefinitions[0] |= (.name = "filler" | .image = "filler:1")
		| .containerDefinitions[1] |= (del(.dependsOn) | .mountPoints[0].readOnly = false)' "$fixtures/ecs.json" >task.json
	run -0 "$doctor" task.json
	[[ $output == *ecs-no-data* ]]
	run -1 "$doctor" --data filler task.json
	[[ $output == *'web: ecs-depends-on (error)'* ]]
	[[ $output != *ecs-no-data* ]]
	run -2 --separate-stderr "$doctor" --data other task.json
	[[ $stderr == *other* ]]
}

@test "a bundle brings its destination and size along" {
	small_tree tree
	pack tree b.tar.zst --dest /srv/pages
	run -0 "$doctor" --bundle b.tar.zst "$fixtures/ecs.json" "$fixtures/compose.yaml" "$fixtures/k8s.yaml"
	[ -z "$output" ]
	pack tree c.tar.zst --dest /srv/www
	run -1 "$doctor" --bundle=c.tar.zst "$fixtures/ecs.json" "$fixtures/compose.yaml" "$fixtures/k8s.yaml"
	[ "$(grep -cE ': (ecs|compose|k8s)-dest \(error\)' <<<"$output")" -eq 3 ]
	[ "${#lines[@]}" -eq 3 ]
	sed 's/sizeLimit: 100Mi/sizeLimit: 4Ki/' "$fixtures/k8s.yaml" >pod.yaml
	run -1 "$doctor" --bundle b.tar.zst pod.yaml
	[[ $output == *k8s-size-limit* ]]
}

@test "every kind of object that makes pods is looked into, in a List, too" {
	yq -c 'select(.kind == "Deployment") | del(.spec.template.spec.initContainers[0].terminationMessagePolicy)' "$fixtures/k8s.yaml" >one.json
	for kind in StatefulSet DaemonSet ReplicaSet ReplicationController Job; do
		jq -c --arg kind "$kind" '.kind = $kind' one.json >"$kind.json"
	done
	jq -c '.spec.template as $t | .kind = "CronJob" | .spec = { jobTemplate: { spec: { template: $t } } }' Job.json >CronJob.json
	jq -c '.kind = "Pod" | .spec = .spec.template.spec' Job.json >Pod.json
	jq -c -s '{ apiVersion: "v1", kind: "List", items: . }' Job.json Pod.json >List.json
	"$doctor" StatefulSet.json DaemonSet.json ReplicaSet.json ReplicationController.json Job.json CronJob.json Pod.json List.json |
		sed 's/ (warning).*//' >is
	for kind in StatefulSet DaemonSet ReplicaSet ReplicationController Job CronJob Pod; do
		echo "$kind.json: $kind/handbook/data: k8s-termination-message"
	done >want
	printf 'List.json: %s/handbook/data: k8s-termination-message\n' Job Pod >>want
	diff want is
}

@test "what cannot be read is refused in one line, with exit 2" {
	echo 'a: [' >broken.yaml
	echo '{ "a":' >broken.json
	echo 'kind: Service' >service.yaml
	echo '{"containerDefinitions": [1]}' >odd.json
	echo 'services: {data: {image: [1]}}' >odd.yaml
	: >empty
	mkdir folder
	head -c 300 /dev/zero >binary
	ln -s nowhere dangling
	for file in none broken.yaml broken.json service.yaml odd.json odd.yaml empty folder binary dangling ''; do
		run -2 --separate-stderr "$doctor" "$file"
		[ -z "$output" ]
		[[ $stderr == "doctor: ${file:-FILE}: read: "* ]]
		[[ $stderr != *'yq: '* ]]
		[ "$(wc -l <<<"$stderr")" -eq 1 ]
	done
	run -2 "$doctor" folder
	[[ $output == *': is a directory' ]]
	# The others are still looked at.
	bad_files
	run -2 "$doctor" task.json odd.json
	[[ ${lines[0]} == 'task.json: data: ecs-essential '* ]]
}

@test "usage is refused in one line, with exit 2" {
	for arguments in '' '--data' '--size many task.json' '--bundle none task.json' '--dest' '--dest=' '--list-rules task.json' '--nonsense' \
		'--dest srv task.json' '--size=-1 task.json' '--data=' '--bundle=. task.json' '--strict=yes task.json'; do
		# shellcheck disable=SC2086 # a list of arguments
		run -2 --separate-stderr "$doctor" $arguments
		[ -z "$output" ]
		[ "$(wc -l <<<"$stderr")" -eq 1 ]
	done
}
