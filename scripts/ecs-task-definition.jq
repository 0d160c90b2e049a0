# Puts a data container into a task definition: the program of scripts/ecs-task-definition, which checks the options.
#
# Input: what is in the file (--slurp). Output: lines for standard error, then the definition; else one line on
# standard error, and exit 1.
# Arguments; of an option that was not given, "" or null:
#   $file               what the input is called in messages
#   $image, $path       the data image, and where its files are in each container
#   $name, $volume      of the data container, and of the volume
#   $app_list           NAMEs, one a line
#   $app_image_list     [NAME=]IMAGEs, one a line
#   $style              "mount" or "volumesFrom"
#   $efs_option           FILE_SYSTEM[:ACCESS_POINT]
#   $efs_iam            true or false
#   $start_timeout, $memory, $storage   numbers
#   $bundle, $other     {disk, packed} in bytes, and GiB for all else on the task's disk
#
# "Twice is as once" hangs on two rules: what is there is changed at its place, never moved; and what no option
# names, and is there already, stays.

($app_list / "\n" | map(select(. != ""))) as $apps
| ($app_image_list / "\n" | map(select(. != "") | index("=") as $at
	| {name: .[:$at // 0], image: .[($at // -1) + 1:]})) as $app_images
| (if $efs_option == "" then null else $efs_option / ":" | {fileSystemId: .[0], accessPointId: (.[1] // ""), iam: $efs_iam}
	end) as $efs
|
# Control characters would make more lines of a message, or obey.
def line: explode | map(if . < 32 or (. > 126 and . < 160) then 63 else . end) | implode;

def fail($object; $action; $reason):
	("ecs-task-definition: \($object): \($action): \($reason)" | line) + "\n" | halt_error(1);

# The elements that match become one, changed, at the place of the first; without any, `change` of {} goes to the end.
def upsert(matches; change):
	. as $list
	| ([range(length) | select($list[.] | matches)] | first) as $at
	| if $at == null then . + [{} | change]
	  else [range(length) as $i | $list[$i] | if $i == $at then change elif matches then empty else . end]
	  end;

# Drops elements of an array that may not be there.
def without(array; matches):
	if (array | length) > 0 then array |= map(select(matches | not)) else . end;

# An image's name without tag and digest, and the registry in it.
def repository: sub("@.*$"; "") | sub(":[^/:]*$"; "");
def registry: repository | if test("^[^/]*[.:][^/]*/") then sub("/.*$"; "") else "" end;

def gib: 1024 * 1024 * 1024;

# ---- the input ----------------------------------------------------------------------------------

# What describe-task-definition prints has the tags beside the definition.
def unwrap:
	if length == 1 then .[0] else fail($file; "read"; if length == 0 then "empty" else "several definitions" end) end
	| if type != "object" then fail($file; "read"; "not a task definition, but a JSON \(type)") else . end
	| if (.taskDefinition | type) == "object" then
		.taskDefinition + (if (.tags | length) > 0 then {tags: .tags} else {} end)
	  else . end;

# To ECS, which takes no null, a field that is null is not there.
def without_nulls: delpaths([paths(. == null) | select(.[-1] | type == "string")]);

# What ECS adds to a definition and does not take back. Tags of aws: belong to whoever set them.
def registerable:
	del(.taskDefinitionArn, .revision, .status, .requiresAttributes, .compatibilities,
		.registeredAt, .registeredBy, .deregisteredAt, .deleteRequestedAt)
	| without(.tags; (.key // "") | startswith("aws:"));

# With \\z, for $ would allow a newline after it.
def is_named: (.name | type) == "string" and (.name | test("^[A-Za-z0-9_-]{1,255}\\z"));

def check_shape:
	if has("ContainerDefinitions") then
		fail($file; "read"; "CloudFormation's spelling (aws ecs describe-task-definition prints ECS's own)")
	elif (.containerDefinitions | type) != "array" or (.containerDefinitions | length) == 0 then
		fail($file; "read"; "not a task definition: no containerDefinitions")
	elif (.family | type) != "string" or .family == "" then
		fail($file; "read"; "not a task definition: no family")
	else . end
	| if all(.containerDefinitions[]; type == "object" and is_named) | not then
		fail($file; "read"; "a container without a name of letters, digits, - and _")
	  elif (.containerDefinitions | unique_by(.name) | length) != (.containerDefinitions | length) then
		fail($file; "read"; "two containers of one name")
	  else . end
	| (.containerDefinitions[] | select((.image | type) != "string" or .image == "")
		| fail("container \(.name)"; "read"; "no image")), .
	| (.containerDefinitions[]
		| . as $container
		| ("mountPoints", "volumesFrom", "dependsOn")
		| . as $field
		| $container[$field]
		| select(. != null and (type != "array" or any(.[]; type != "object")))
		| fail("container \($container.name)"; "read"; "\($field) is not an array of objects")), .
	| if .volumes != null and ((.volumes | type) != "array" or any(.volumes[]; type != "object")) then
		fail($file; "read"; "volumes is not an array of objects")
	  elif any((.volumes // [])[]; is_named | not) then
		fail($file; "read"; "a volume without a name of letters, digits, - and _")
	  elif (.runtimePlatform.operatingSystemFamily // "LINUX") != "LINUX" then
		fail($file; "read"; "a task for \(.runtimePlatform.operatingSystemFamily), and decant is for Linux")
	  else . end;

# ---- who is who ---------------------------------------------------------------------------------

def is_essential: .essential != false;

# Whether what has this containerPath is mounted where the files are: to Docker a / at its end means nothing.
def is_at_path: ((.containerPath // "") | sub("/+$"; "")) == $path;

# Whether a container that has the data container's name is one: it runs the same image or mounts the same path.
def is_data:
	(is_essential | not)
	and (((.image // "") | repository) == ($image | repository)
		or any((.mountPoints // [])[]; is_at_path));

# Containers that serve others and have no use for the files: FireLens's log router, App Mesh's proxy.
def is_helper($proxy): .firelensConfiguration != null or .name == $proxy;

# Whether a mount is that of the files, where they are or where they have been.
def ours($facts):
	.sourceVolume == $facts.volume and (is_at_path or ((.containerPath // "") | sub("/+$"; "")) == $facts.path);

# Facts that the rest needs, gathered before anything is changed.
def survey:
	. as $task
	| ([.containerDefinitions[] | select(.name == $name)] | first) as $old
	| (if $old == null then
		([$task.containerDefinitions[] | select(is_data and ((.mountPoints | length) == 0
			or any(.mountPoints[]; is_at_path))
			and ((.image // "") | repository) == ($image | repository)) | .name] | first) as $twin
		| if $twin == null then . else
			fail("container \($twin)"; "read"; "runs this image already (--name \($twin) updates it)")
		  end
	   elif $old | is_data then .
	   else fail("container \($name)"; "add"; "another one has this name (--name chooses)")
	   end)
	| ([($old.mountPoints // [])[] | select(is_at_path)] | first) as $mount
	| ($mount // (if ($old.mountPoints | length) == 1 then $old.mountPoints[0] else null end)) as $mount
	| (if $volume != "" then $volume else $mount.sourceVolume // $name end) as $vol
	| (if $old == null and $volume == "" and any((.volumes // [])[]; .name == $vol) then
		fail("volume \($vol)"; "add"; "another one has this name (--volume chooses)")
	   else . end)
	| {
		old: $old,
		volume: $vol,
		containers: .containerDefinitions,
		path: (($mount.containerPath // $path) | sub("/+$"; "")),
		fargate: any((.requiresCompatibilities // [])[]; . == "FARGATE"),
		no_fargate: ((.requiresCompatibilities | length) > 0
			and (any(.requiresCompatibilities[]; . == "FARGATE") | not)),
		efs: ($efs != null or any((.volumes // [])[]; .name == $vol and .efsVolumeConfiguration != null))
	  }
	| . as $facts
	| def uses: any((.volumesFrom // [])[]; .sourceContainer == $name) or any((.mountPoints // [])[]; ours($facts));
	  [$task.containerDefinitions[] | select(.name != $name)] as $others
	| [$others[] | select(uses) | .name] as $users
	| [$others[] | select(is_essential and (is_helper($task.proxyConfiguration.containerName) | not)) | .name] as $likely
	| ($apps - [$others[].name]) as $unknown
	| if $unknown | length > 0 then fail("--app \($unknown[0])"; "read"; "no such container in \($file)")
	  elif $apps | length > 0 then
		.apps = [$others[].name | select(. as $n | any(($apps + $users)[]; . == $n))]
	  elif $users | length > 0 then .apps = $users
	  elif $likely | length > 0 then .apps = $likely
	  else fail($file; "read"; "no essential container that could use the files (--app names one)")
	  end
	| .guessed = (($apps + $users | length) == 0 and ($others | length) > 1)
	| .style = (if $style != "" then $style
		elif .efs then "mount"
		elif any($others[]; any((.mountPoints // [])[]; ours($facts))) then "mount"
		else "volumesFrom" end)
	# ECS documents volumesFrom for bind mounts, and mountPoints alone for EFS.
	| if .efs and .style == "volumesFrom" then
		fail("volume \(.volume)"; "share"; "on EFS it needs mountPoints in each container (--mount)")
	  else . end;

# ---- the parts ----------------------------------------------------------------------------------

def check_timeout($facts):
	if $facts.fargate and (.startTimeout < 2 or .startTimeout > 120) then
		fail("container \($name)"; "set startTimeout"; "\(.startTimeout) is not in Fargate's 2 to 120 seconds")
	else . end;

# Stops when a container has something else where the files go.
def check_free($facts):
	. as $container
	| [(.mountPoints // [])[] | select(is_at_path and (ours($facts) | not)) | "volume \(.sourceVolume) is mounted"]
		+ [(.linuxParameters.tmpfs // [])[] | select(is_at_path) | "a tmpfs is mounted"]
		+ [(.volumesFrom // [])[].sourceContainer | select(. != $name) | . as $source
			| $facts.containers[] | select(.name == $source)
			| if $facts.old == null and is_data and any((.mountPoints // [])[]; is_at_path) then
				fail("container \(.name)"; "read"; "fills \($path) already (--name \(.name) updates it)")
			  else (.mountPoints // [])[] | select(is_at_path) | "container \($source) has volume \(.sourceVolume)"
			  end]
	| if length > 0 then fail("container \($container.name)"; "mount \($path)"; "\(.[0]) there already")
	  else $container end;

# The data container. `.` is the task with its apps already wired.
def data_container($facts):
	. as $task
	| [$facts.apps[] as $app | .containerDefinitions[] | select(.name == $app)] as $consumers
	| ([($consumers[], .containerDefinitions[]).logConfiguration | select(. != null)] | first) as $log
	# Who pulls the app with credentials pulls from the same registry with them.
	| ([$consumers[] | select(.repositoryCredentials != null and
		((.image // "") | registry) == ($image | registry)) | .repositoryCredentials] | first) as $credentials
	| ($facts.old // {name: $name})
	| check_free($facts)
	| . + {image: $image, essential: false, startTimeout: ($start_timeout // .startTimeout // 120)}
	| check_timeout($facts)
	| if $memory != null then
		.memory = $memory
		| if .memoryReservation != null and .memoryReservation >= $memory then del(.memoryReservation) else . end
	  # A task without a size of its own takes it from its containers, and each must have one.
	  elif $task.memory == null and .memory == null and .memoryReservation == null then .memoryReservation = 64
	  else . end
	| if $facts.old == null then .readonlyRootFilesystem = true else . end
	| .mountPoints = ((.mountPoints // [])
		| upsert(ours($facts); . + {sourceVolume: $facts.volume, containerPath: $path, readOnly: false}))
	| if .logConfiguration == null and $log != null then .logConfiguration = $log else . end
	| if .repositoryCredentials == null and $credentials != null then .repositoryCredentials = $credentials else . end;

def app_container($facts):
	. as $app
	| ([$app_images[] | select(.name == $app.name or (.name == "" and ($facts.apps | length) == 1)) | .image] | last) as $lean
	| if $lean == null then . else .image = $lean end
	| check_free($facts)
	| .dependsOn = ((.dependsOn // [])
		| upsert(.containerName == $name; . + {containerName: $name, condition: "SUCCESS"}))
	| if $facts.style == "mount" then
		without(.volumesFrom; .sourceContainer == $name)
		| .mountPoints = ((.mountPoints // [])
			| upsert(ours($facts); . + {sourceVolume: $facts.volume, containerPath: $path, readOnly: true}))
	  else
		without(.mountPoints; ours($facts))
		| .volumesFrom = ((.volumesFrom // [])
			| upsert(.sourceContainer == $name; . + {sourceContainer: $name, readOnly: true}))
	  end;

# Of an EFS volume that is there, all stays but what the option says.
def on_efs:
	(.efsVolumeConfiguration // {} | if .fileSystemId == $efs.fileSystemId then . else {} end) as $old
	| ($old.authorizationConfig // {} | del(.accessPointId)
		| if $efs.accessPointId != "" then {accessPointId: $efs.accessPointId} + . else . end
		| if $efs.iam then .iam = "ENABLED" else . end) as $authorization
	| {name: .name, efsVolumeConfiguration: ($old + {fileSystemId: $efs.fileSystemId, transitEncryption: "ENABLED"}
		# An access point has its own root.
		| if $efs.accessPointId != "" then del(.rootDirectory) else . end
		| if $authorization == {} then del(.authorizationConfig) else .authorizationConfig = $authorization end)};

def with_volume($facts):
	.volumes = ((.volumes // []) | upsert(.name == $facts.volume;
		{name: $facts.volume} + . | if $efs == null then . else on_efs end))
	| ([.volumes[] | select(.name == $facts.volume)] | first) as $volume
	| if $facts.fargate and ($volume.host.sourcePath != null or $volume.dockerVolumeConfiguration != null) then
		fail("volume \($facts.volume)"; "use"; "Fargate has neither host.sourcePath nor dockerVolumeConfiguration")
	  else . end;

# The disk of a Fargate task holds the images, packed and unpacked, and the volume. A bundle does not pack any
# smaller, so its image takes twice its size.
def storage_need($facts):
	if $storage != null then $storage
	elif $bundle == null then 0
	else (2 * $bundle.packed + (if $facts.efs then 0 else $bundle.disk end)) / gib + $other | ceil
	end;

def with_storage($facts):
	storage_need($facts) as $need
	| if $storage != null and $facts.no_fargate then
		fail("--ephemeral-storage \($storage)"; "set"; "only Fargate has it, and this task is not for Fargate")
	  elif $facts.no_fargate then .
	  elif $need > 200 then fail("ephemeralStorage"; "set"; "\($need) GiB are needed, and 200 are the most")
	  elif $need > 20 then
		if $storage == null and (.ephemeralStorage.sizeInGiB // 0) >= $need then . else
			.ephemeralStorage = {sizeInGiB: $need}
		end
	  elif $storage != null then del(.ephemeralStorage)
	  else . end;

# ---- what ECS would refuse afterwards -----------------------------------------------------------

# Names that the container called $from waits for, directly or not. FireLens's router starts before all that log to it.
def awaits($from):
	(.containerDefinitions | map({key: .name, value: .}) | from_entries) as $by_name
	| ([.containerDefinitions[] | select(.firelensConfiguration != null) | .name]) as $routers
	| def next: $by_name[.] // {}
		| ((.dependsOn // [])[].containerName), ((.volumesFrom // [])[].sourceContainer),
			(if .logConfiguration.logDriver == "awsfirelens" then $routers[] else empty end);
	  {seen: [], todo: [$from]}
	| until(.todo == []; .todo[0] as $one
		| ([$one | next] - .seen | unique) as $new
		| {seen: (.seen + $new), todo: (.todo[1:] + $new)})
	| .seen;

def check_result($facts):
	(awaits($name) as $before | [$facts.apps[] | select(. as $app | any($before[]; . == $app))] | first) as $circle
	| if $circle != null then
		fail("container \($circle)"; "wait for \($name)"; "\($name) waits for it")
	  elif any(.containerDefinitions[]; is_essential) | not then
		fail($file; "read"; "no essential container")
	  elif .containerDefinitions | length > 10 then
		fail($file; "add \($name)"; "ECS takes at most 10 containers")
	  else . end;

unwrap | without_nulls | registerable | check_shape
| survey as $facts
| ([$app_images[] | .name | select(. != "")] - $facts.apps) as $strangers
| if $strangers | length > 0 then
	fail("--app-image \($strangers[0])"; "read"; "not a container that uses the files")
  elif any($app_images[]; .name == "") and ($facts.apps | length) != 1 then
	fail("--app-image"; "read"; "\($facts.apps | length) containers use the files: say NAME=IMAGE")
  else . end
# No update with |= where something may fail: jq 1.6 aborts.
| .containerDefinitions = (.containerDefinitions | map(. as $container
	| if any($facts.apps[]; . == $container.name) then app_container($facts) else . end))
| data_container($facts) as $data
| .containerDefinitions = (.containerDefinitions | upsert(.name == $name; $data))
| with_volume($facts)
| with_storage($facts)
| check_result($facts)
| (if $facts.guessed then "\($name) fills for \($facts.apps | join(", ")) (--app chooses)" else empty end),
  (if $bundle == null or $storage != null then empty
   elif $facts.no_fargate then "ephemeralStorage: left alone, it is Fargate's"
   else "ephemeralStorage: \(storage_need($facts)) GiB are needed"
	+ (if storage_need($facts) > 20 then "" else ", and 20 are the default" end)
   end),
  .
