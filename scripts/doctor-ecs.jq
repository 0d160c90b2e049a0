# The rules that scripts/doctor has for Amazon ECS alone, and on Fargate.

# Fargate's pairs: CPU units to [least memory, most, step], in MiB; a quarter of a CPU has three sizes.
def fargate_memory:
	{
		"512": [1024, 4096, 1024], "1024": [2048, 8192, 1024], "2048": [4096, 16384, 1024],
		"4096": [8192, 30720, 1024], "8192": [16384, 61440, 4096], "16384": [32768, 122880, 8192]
	};

def cpu_units:
	tostring | if test("vcpu"; "i") then sub(" *vcpu *$"; ""; "i") | tonumber * 1024 else (tonumber? // null) end;

def fits_fargate($cpu; $memory):
	if $cpu == 256 then $memory | IN(512, 1024, 2048)
	else
		fargate_memory[$cpu | tostring]
		# Larger sizes than these may come.
		| if . == null then $cpu > 16384
		else $memory >= .[0] and $memory <= .[1] and ($memory - .[0]) % .[2] == 0 end
	end;

def set: . != null and . != false and . != [];

def fargate_rules:
	.raw as $task
	| (($task.cpu // "" | cpu_units) as $cpu | ($task.memory | bytes(1048576)) as $memory
		| select(([$task.cpu, $task.memory] | any(tostring | placeholder) | not) and
			($cpu == null or $memory == null or (fits_fargate($cpu; $memory / 1048576) | not)))
		| finding("task"; "ecs-fargate-size"; "cpu \($task.cpu), memory \($task.memory): take a pair from the table, such as 256 and 512")),
	(select($task.networkMode != "awsvpc") | finding("task"; "ecs-network-mode"; "set \"networkMode\": \"awsvpc\"")),
	(.containers[] | .name as $name | .raw | to_entries[]
		| select((.key | IN("disableNetworking", "dnsSearchDomains", "dnsServers", "dockerSecurityOptions", "extraHosts", "links", "privileged"))
			and (.value | set))
		| finding($name; "ecs-fargate-parameter"; "remove \(.key)")),
	(.containers[] | .name as $name | .raw.linuxParameters // {} | to_entries[]
		| select((.key | IN("devices", "sharedMemorySize", "maxSwap", "swappiness")) and (.value | set))
		| finding($name; "ecs-fargate-parameter"; "remove \(.key) of linuxParameters")),
	(.containers[] | .name as $name | [.raw.linuxParameters.capabilities.add | list[] | select(. != "SYS_PTRACE")] | select(. != [])
		| finding($name; "ecs-fargate-parameter"; "remove \(join(", ")) of capabilities.add, where only SYS_PTRACE can stand")),
	($task | to_entries[] | select((.key | IN("placementConstraints", "ipcMode")) and (.value | set))
		| finding("task"; "ecs-fargate-parameter"; "remove \(.key)")),
	(select($task.pidMode == "host")
		| finding("task"; "ecs-fargate-parameter"; "remove pidMode, or set \"task\"")),
	(.containers[] | select(.raw.startTimeout != null and (.raw.startTimeout < 2 or .raw.startTimeout > 120))
		| finding(.name; "ecs-start-timeout-range"; "\(.raw.startTimeout): set 2 to 120")),
	(.containers[] | select(.raw.stopTimeout != null and (.raw.stopTimeout < 2 or .raw.stopTimeout > 120))
		| finding(.name; "ecs-stop-timeout-range"; "\(.raw.stopTimeout): set 2 to 120")),
	($task.volumes | list[] | select(.host.sourcePath != null)
		| finding("volume \(.name)"; "ecs-host-path"; "a Fargate task sees no host: remove host")),
	($task.volumes | list[] | select(.dockerVolumeConfiguration != null)
		| finding("volume \(.name)"; "ecs-docker-volume"; "remove dockerVolumeConfiguration: the name alone makes a volume")),
	($task.ephemeralStorage.sizeInGiB // null | select(. != null and (. < 21 or . > 200))
		| finding("task"; "ecs-ephemeral-range"; "\(.): set 21 to 200, or remove ephemeralStorage for 20")),
	# Twice in the image, packed and unpacked, and once on the volume.
	(($task.ephemeralStorage.sizeInGiB // 20) as $have | select($size != null and .data != [])
		| (3 * $size) as $need | select($need > $have * 1073741824)
		| finding("task"; "ecs-ephemeral-size"; "\($have) GiB hold the images, packed and unpacked, and the volume; the data alone may take \($need | gib): raise ephemeralStorage"));

def ecs_rules:
	. as $model
	| .raw as $task
	| ([$task.requiresCompatibilities | list[], (if $task.requiresCompatibilities == null then $task.compatibilities | list[] else empty end)]
		| any(. == "FARGATE") or $fargate) as $fargate
	| common, common_waits, common_twice,
	(if $fargate then fargate_rules else empty end),
	(select(.containers != [] and all(.containers[]; .raw.essential == false))
		| finding("task"; "ecs-no-essential"; "ECS wants one essential container at least: remove \"essential\": false of the app")),
	(.data[] | select(.raw.essential != false)
		| finding(.name; "ecs-essential"; "it ends, and would end the task: set \"essential\": false")),
	(.containers[] | select(.raw.essential != false) | .name as $name
		| select(any($model.data[]; .name == $name) | not)
		| select(any($model.containers[].waits[]; .name == $name and (.condition | IN($model.end[]))))
		| finding($name; "ecs-essential"; "others wait for its end, which ECS refuses of an essential container: set \"essential\": false")),
	(.containers[] | . as $one | .waits[] | select(.condition == "HEALTHY") | .name as $name
		| select(any($model.containers[]; .name == $name and .raw.healthCheck == null))
		| select(any($model.data[]; .name == $name) | not)
		| finding($one.name; "ecs-health-check"; "\($name) never becomes HEALTHY, whatever its image says: give it a healthCheck here")),
	(.data[] | select(.raw.startTimeout == null)
		| finding(.name; "ecs-start-timeout"; "the task would stay in PENDING: set startTimeout, at this container, up to 120 on Fargate")),
	(.data[] | select(.raw.restartPolicy.enabled == true and (.raw.restartPolicy.ignoredExitCodes | list | any(. == 0) | not))
		| finding(.name; "ecs-restart-policy"; "remove restartPolicy, or add 0 to ignoredExitCodes")),
	(.data[] | select(.raw.logConfiguration == null) | select(any($model.containers[]; .raw.logConfiguration != null))
		| finding(.name; "ecs-log"; "the reason of a failure is its last line: give it a logConfiguration like the others'")),
	($task.volumes | list[] | select(.name // "" | (placeholder or test("^[A-Za-z0-9_-]{1,255}\\z")) | not)
		| finding("volume \(.name)"; "ecs-volume-name"; "use up to 255 letters, digits, - and _")),
	($task.volumes | list[] | select(.dockerVolumeConfiguration.driverOpts.type == "tmpfs" and ($fargate | not))
		| select(.name | IN($model.data[].filled[]))
		| finding("volume \(.name)"; "ecs-tmpfs-volume"; "it is unmounted while no container runs with it: remove driverOpts")),
	($task.memory | bytes(1048576)) as $memory
	| ($memory // 0) as $limit
	| ([.containers[] | .memory // (.raw.memoryReservation | bytes(1048576)) // 0] | add) as $sum
	| (select($memory != null and $sum > $limit)
		| finding("task"; "ecs-memory-sum"; "\($sum / 1048576) MiB in the containers, \($limit / 1048576) in the task: the data container counts, too")),
	(select($memory == null and ($fargate | not)) | .containers[]
		| select(.memory == null and .raw.memoryReservation == null)
		| finding(.name; "ecs-memory-missing"; "set memory or memoryReservation, or memory of the task")),
	($task.volumes | list[] | select(.efsVolumeConfiguration != null)
		| .name as $name | .efsVolumeConfiguration | (.authorizationConfig // {}) as $auth
		| (select(($auth.accessPointId != null or $auth.iam == "ENABLED") and .transitEncryption != "ENABLED")
			| finding("volume \($name)"; "ecs-efs-encryption"; "set \"transitEncryption\": \"ENABLED\"")),
		(select($auth.accessPointId != null and (.rootDirectory // "/") != "/")
			| finding("volume \($name)"; "ecs-efs-root"; "the access point has its own: remove rootDirectory"))),
	(select(.described | not)
		| [$task | keys[] | select(IN("taskDefinitionArn", "revision", "status", "requiresAttributes", "compatibilities", "registeredAt", "registeredBy", "deregisteredAt", "deleteRequestedAt"))]
		| select(length > 0)
		| finding("task"; "ecs-output-field"; "remove \(join(", ")) before registering"));
