# Turns a task definition into what scripts/ecs-local sources: assignments, and for each container a function that
# creates it. All that comes from the definition goes through @sh, or is a number, or a name of letters, digits, - and _.
#
# Input: what is in the file (--slurp). Output: shell code; else one line on standard error, and exit 1.
# Arguments:
#   $file          what the input is called in messages
#   $id            what the names of containers, volumes and network begin with
#   $image_list    NAME=IMAGEs, one a line: run IMAGE as the container NAME
#   $volume_list   NAME=SOURCEs, one a line: a directory or a Docker volume for the volume NAME
#   $publish_list  HOST:CONTAINERs, one a line: ports
#
# The code that comes out, N being a container's number:
#   numbers                     of the containers, from 0
#   architecture                that of runtimePlatform, or nothing
#   network                     awsvpc, bridge, host or none
#   pause, pause_options        whether a container must hold what the others share, and docker's options for it
#   volumes                     the names of the Docker volumes to make
#   name_N image_N essential_N start_timeout_N stop_timeout_N ports_N
#   needs_N                     "NUMBER:CONDITION ..."; to ECS's conditions comes CREATE, for volumesFrom
#   create_N                    creates it by `apart`, scripts/ecs-local's docker, with $shared, the options that hang on the container in `pause`
#   say ...                     what is left out here
#   on_host VOLUME PATH         what has to be there on the host

# Control characters would make more lines of a message, or obey.
def line: explode | map(if . < 32 or (. > 126 and . < 160) then 63 else . end) | implode;

def fail($object; $action; $reason):
	("ecs-local: \($object): \($action): \($reason)" | line) + "\n" | halt_error(1);

# NAME=VALUE lines as [{name, value}].
def pairs: . / "\n" | map(select(. != "") | index("=") as $at | {name: .[:$at], value: .[$at + 1:]});

# What describe-task-definition prints for a field that was never set counts as not set.
def is_set: . != null and . != [] and . != {} and . != false and . != "";

def known_task: ["family", "containerDefinitions", "volumes", "networkMode", "pidMode", "ipcMode", "tags",
	"placementConstraints", "requiresCompatibilities", "runtimePlatform", "proxyConfiguration",
	"inferenceAccelerators", "cpu", "memory", "ephemeralStorage", "taskRoleArn", "executionRoleArn",
	"taskDefinitionArn", "revision", "status", "requiresAttributes", "compatibilities", "registeredAt",
	"registeredBy", "deregisteredAt", "deleteRequestedAt"];

def known_container: ["name", "image", "cpu", "memory", "memoryReservation", "links", "portMappings", "essential",
	"restartPolicy", "entryPoint", "command", "environment", "environmentFiles", "mountPoints", "volumesFrom",
	"linuxParameters", "secrets", "dependsOn", "startTimeout", "stopTimeout", "hostname", "user",
	"workingDirectory", "disableNetworking", "privileged", "readonlyRootFilesystem", "dnsServers",
	"dnsSearchDomains", "extraHosts", "dockerSecurityOptions", "interactive", "pseudoTerminal", "dockerLabels",
	"ulimits", "logConfiguration", "healthCheck", "systemControls", "resourceRequirements",
	"firelensConfiguration", "repositoryCredentials", "credentialSpecs", "versionConsistency"];

# ---- reading and checking -----------------------------------------------------------------------

def parse:
	if length == 1 then .[0] else fail($file; "read"; if length == 0 then "empty" else "several definitions" end) end
	| if type != "object" then fail($file; "read"; "not a task definition, but a JSON \(type)") else . end
	| if (.taskDefinition | type) == "object" then .taskDefinition else . end
	| if (.containerDefinitions | type) != "array" or (.containerDefinitions | length) == 0 then
		fail($file; "read"; "not a task definition: no containerDefinitions")
	  else . end;

# In patterns \\z, for $ would allow a newline after it.
def check_name($what):
	if (.name | type) != "string" or (.name | test("^[A-Za-z0-9_-]{1,255}\\z") | not) then
		fail($file; "read"; "a \($what) without a name of letters, digits, - and _")
	else . end;

def check_unique($what):
	(map(.name) | group_by(.) | map(select(length > 1)[0]) | first) as $twice
	| if $twice == null then . else fail("\($what) \($twice)"; "read"; "there twice") end;

def check_task:
	if (.proxyConfiguration | is_set) or (.inferenceAccelerators | is_set) then
		fail($file; "run"; "proxyConfiguration and inferenceAccelerators cannot be had here")
	elif (.runtimePlatform.operatingSystemFamily // "LINUX") != "LINUX" then
		fail($file; "run"; "a task for \(.runtimePlatform.operatingSystemFamily)")
	elif (.networkMode // "bridge") as $mode | any("awsvpc", "bridge", "host", "none"; . == $mode) | not then
		fail($file; "run"; "networkMode \(.networkMode) is none of ECS's")
	elif any(.containerDefinitions[]; .essential != false) | not then
		fail($file; "run"; "no essential container, which ECS refuses")
	else . end;

# What ECS refuses on Fargate, and would give the host away here. tmpfs, which older documents count among it, works.
def check_fargate:
	def refuse($object; $field): fail($object; "run"; "ECS refuses \($field) on Fargate");
	if any((.requiresCompatibilities // [])[]; . == "FARGATE") | not then empty
	else
		(select(.networkMode != "awsvpc") | refuse($file; "a networkMode other than awsvpc")),
		(select(.pidMode == "host") | refuse($file; "pidMode host")),
		(select(.ipcMode | is_set) | refuse($file; "ipcMode")),
		(.volumes[] | select(.host.sourcePath | is_set) | refuse("volume \(.name)"; "host.sourcePath")),
		(.containerDefinitions[] | "container \(.name)" as $object
			| (("privileged", "dockerSecurityOptions") as $field | select(.[$field] | is_set) | refuse($object; $field)),
			  (.linuxParameters // {}
				| (("devices", "sharedMemorySize", "maxSwap", "swappiness") as $field
					| select(.[$field] | is_set) | refuse($object; $field)),
				  ((.capabilities.add // [])[] | select(. != "SYS_PTRACE") | refuse($object; "capability \(.)"))))
	end;

def is_whole($least; $most): type == "number" and . == floor and . >= $least and . <= $most;

# To ECS numbers have 32 bits. No timeout is longer than a day here.
def check_numbers:
	"container \(.name)" as $object
	| def check($least; $most): select(.value != null and (.value | is_whole($least; $most) | not))
		| fail($object; .key; "not a whole number from \($least) to \($most)");
	  ({startTimeout, stopTimeout} | to_entries[] | check(0; 86400)),
	  ({cpu, memory, memoryReservation} + (.healthCheck // {} | {interval, timeout, retries, startPeriod})
		+ (.linuxParameters // {} | {sharedMemorySize, maxSwap, swappiness}) | to_entries[] | check(0; 2147483647)),
	  ((.linuxParameters.tmpfs // [])[] | {key: "tmpfs", value: (.size // 0)} | check(0; 2147483647)),
	  ((.ulimits // [])[] | {key: "ulimits", value: (.softLimit, .hardLimit)} | check(-1; 2147483647));

def protocol: .protocol // "tcp";

# A container's fields that need what is not here, or that ECS itself refuses.
def check_container($task):
	. as $container
	| (["environmentFiles", "resourceRequirements", "credentialSpecs"][] | . as $field
		| select($container[$field] | is_set)
		| fail("container \($container.name)"; "run"; "\($field) cannot be had here")),
	  (select($task.networkMode == "awsvpc")
		| ["links", "hostname", "dnsServers", "dnsSearchDomains", "extraHosts", "disableNetworking"][] | . as $field
		| select($container[$field] | is_set)
		| fail("container \($container.name)"; "run"; "ECS refuses \($field) with networkMode awsvpc")),
	  ((.mountPoints // [])[] | . as $mount
		| if ($task.volumes // []) | any(.[]; .name == $mount.sourceVolume) | not then
			fail("container \($container.name)"; "mount \($mount.containerPath)"; "no volume \($mount.sourceVolume)")
		  elif ($mount.containerPath // "") | test("^/[^:]*\\z") | not then
			fail("container \($container.name)"; "mount \($mount.containerPath)"; "not an absolute path without :")
		  else empty end),
	  ((.volumesFrom // [])[] | .sourceContainer as $source
		| select(any($task.containerDefinitions[]; .name == $source) | not)
		| fail("container \($container.name)"; "volumesFrom"; "no container \($source)")),
	  ((.dependsOn // [])[] | . as $need
		| ([$task.containerDefinitions[] | select(.name == $need.containerName)] | first) as $other
		| if $other == null then
			fail("container \($container.name)"; "dependsOn"; "no container \($need.containerName)")
		  elif any("START", "COMPLETE", "SUCCESS", "HEALTHY"; . == $need.condition) | not then
			fail("container \($container.name)"; "dependsOn"; "no condition \($need.condition)")
		  elif any("COMPLETE", "SUCCESS"; . == $need.condition) and $other.essential != false then
			fail("container \($container.name)"; "dependsOn";
				"ECS refuses \($need.condition) of \($other.name), which is essential")
		  elif $need.condition == "HEALTHY" and ($other.healthCheck | is_set | not) then
			fail("container \($container.name)"; "dependsOn"; "\($other.name) has no healthCheck")
		  else empty end),
	  ((.portMappings // [])[]
		| (if .containerPortRange == null then [.containerPort]
		   else [.containerPortRange | select(test("^[0-9]{1,5}-[0-9]{1,5}\\z")) | splits("-") | tonumber] end) as $ports
		| if $ports == [] or any($ports[]; is_whole(1; 65535) | not) or $ports[0] > $ports[-1] then
			fail("container \($container.name)"; "portMappings"; "neither a containerPort nor a containerPortRange")
		  elif protocol | IN("tcp", "udp") | not then
			fail("container \($container.name)"; "portMappings"; "no protocol \(protocol)")
		  else empty end),
	  ((.links // [])[] | (. / ":")[0] as $link
		| select(any($task.containerDefinitions[]; .name == $link) | not)
		| fail("container \($container.name)"; "links"; "no container \($link)")),
	  # Of other options some make docker's client read a file of the host.
	  ((.dockerSecurityOptions // [])[]
		| select(test("^(no-new-privileges|(apparmor|label):[^\\s]+)\\z") | not)
		| fail("container \($container.name)"; "run"; "dockerSecurityOptions \(.) cannot be had here")),
	  check_numbers,
	  ((.healthCheck.command // ["NONE"])[0] | . as $form
		| select(any("CMD", "CMD-SHELL", "NONE"; . == $form) | not)
		| fail("container \($container.name)"; "healthCheck"; "begins with none of CMD, CMD-SHELL and NONE")),
	  ((.secrets // [])[] | .name as $name | select($ENV | has($name) | not)
		| fail("container \($container.name)"; "secret \($name)"; "no value here (set \($name) in the environment)")),
	  .;

# Said once each, because a run here differs there from one in ECS.
def notes:
	. as $task
	| (["cpu", "memory", "ephemeralStorage"] | map(select(. as $field | $task[$field] | is_set))
		| select(length > 0) | "the task's \(join(", ")): not applied here"),
	  (["taskRoleArn", "executionRoleArn"] | map(select(. as $field | $task[$field] | is_set))
		| select(length > 0) | "\(join(", ")): no container has credentials here"),
	  ([.containerDefinitions[].logConfiguration.logDriver | strings] | unique | select(length > 0)
		| "\(join(", ")): left out, logs are printed here"),
	  (keys_unsorted - known_task | select(length > 0) | "\(join(", ")): left out, not known here"),
	  (.containerDefinitions[] | . as $container
		| ((keys_unsorted - known_container) | select(length > 0)
			| "container \($container.name): \(join(", ")): left out, not known here"),
		  (select(.repositoryCredentials | is_set)
			| "container \(.name): repositoryCredentials: left out, docker's own login counts"),
		  (select(.restartPolicy.enabled == true) | "container \(.name): restartPolicy: left out, it runs once"),
		  (select(.firelensConfiguration | is_set) | "container \(.name): FireLens: no log comes its way here"));

# ---- the order ----------------------------------------------------------------------------------

# What each container waits for, as {on, condition}: what it says, and what ECS adds by itself.
def needs($task):
	[((.dependsOn // [])[] | {on: .containerName, condition}),
	 ((.volumesFrom // [])[] | {on: .sourceContainer, condition: "CREATE"}),
	 ((.links // [])[] | {on: (. / ":" | .[0]), condition: "START"}),
	 (select(.logConfiguration.logDriver == "awsfirelens") | .name as $self
		| $task.containerDefinitions[] | select(.firelensConfiguration != null and .name != $self)
		| {on: .name, condition: "START"})]
	| unique;

def check_circles:
	. as $task
	| [.containerDefinitions[] | {name, on: [needs($task)[].on]}]
	| until(all(.[]; .on | length > 0);
		([.[] | select(.on == []) | .name]) as $free
		| map(select(.on != []) | .on -= $free))
	| if length > 0 then fail("container \(.[0].name)"; "dependsOn"; "goes in a circle") else $task end;

# ---- docker's options ---------------------------------------------------------------------------

# [{port, protocol}]
def ports:
	[(.portMappings // [])[]
	 | protocol as $protocol
	 | if .containerPortRange != null then
		(.containerPortRange / "-" | map(tonumber)) as $range
		| if $range[1] - $range[0] > 99 then
			fail("portMappings"; "publish \(.containerPortRange)"; "more than 100 ports")
		  else range($range[0]; $range[1] + 1) end
	   else .containerPort | floor end
	 | {port: ., protocol: $protocol}] | unique;

def publish($wanted):
	(.port | tostring) as $port
	| ([$wanted[] | select(.container == $port or .container == $port + "/" + protocol) | .host] | first // "") as $host
	| "--publish=127.0.0.1:\($host):\($port)/\(protocol)";

# net.* belongs to whoever holds the network.
def sysctls(kind): (.systemControls // [])[] | select(.namespace | kind) | "--sysctl=\(.namespace)=\(.value)";

def of_network: startswith("net.");

def health:
	(.healthCheck // {}) as $check
	| ($check.command // ["NONE"]) as $command
	| if $command[0] == "NONE" then "--no-healthcheck"
	  else
		# The client takes a line for a shell, and no list.
		"--health-cmd=\(if $command[0] == "CMD" then $command[1:] | map(@sh) | join(" ") else $command[1] end)",
		"--health-interval=\($check.interval // 30)s", "--health-timeout=\($check.timeout // 5)s",
		"--health-retries=\($check.retries // 3)",
		(select($check.startPeriod | is_set) | "--health-start-period=\($check.startPeriod)s")
	  end;

def linux:
	(.linuxParameters // {}) as $linux
	| (($linux.capabilities.add // [])[] | "--cap-add=\(.)"),
	  (($linux.capabilities.drop // [])[] | "--cap-drop=\(.)"),
	  (($linux.devices // [])[]
		| "--device=\(.hostPath):\(.containerPath // .hostPath):"
			+ ((.permissions // ["read", "write", "mknod"]) | map(.[:1]) | join(""))),
	  (select($linux.initProcessEnabled == true) | "--init"),
	  (select($linux.sharedMemorySize | is_set) | "--shm-size=\($linux.sharedMemorySize)m"),
	  (($linux.tmpfs // [])[] | "--tmpfs=\(.containerPath):" + (["size=\(.size)m"] + (.mountOptions // []) | join(","))),
	  (select($linux.maxSwap != null and (.memory | is_set)) | "--memory-swap=\(.memory + $linux.maxSwap)m"),
	  (select($linux.swappiness != null) | "--memory-swappiness=\($linux.swappiness)");

# What a volume is made of here: a Docker volume of this run, or what --volume names.
def source($sources; $task):
	. as $name
	| ([$sources[] | select(.name == $name) | .value] | last) as $given
	| ([$task.volumes[] | select(.name == $name)] | first) as $volume
	| $given // ($volume.host.sourcePath | select(is_set)) // "\($id)-\($name)";

def options($task; $sources; $wanted):
	(if $task.networkMode == "awsvpc" then empty
	 elif $task.networkMode == "host" then "--network=host"
	 elif $task.networkMode == "none" or .disableNetworking == true then "--network=none"
	 else
		# Docker 20.10 takes no links with a bridge that is named; it is the network anyhow.
		(if (.links // []) == [] then "--network=bridge" else empty end), (ports[] | publish($wanted)),
		((.links // [])[] | (. / ":") as $link | "--link=\($id)-\($link[0]):\($link[1] // $link[0])"),
		(select(.hostname | is_set) | "--hostname=\(.hostname)"),
		((.dnsServers // [])[] | "--dns=\(.)"), ((.dnsSearchDomains // [])[] | "--dns-search=\(.)"),
		((.extraHosts // [])[] | "--add-host=\(.hostname):\(.ipAddress)"), sysctls(of_network)
	 end),
	sysctls(of_network | not),
	(select($task.pidMode == "host") | "--pid=host"),
	(select($task.ipcMode == "host" or $task.ipcMode == "none") | "--ipc=\($task.ipcMode)"),
	# Docker's least is 2, as ECS's is.
	(select((.cpu // 0) >= 2) | "--cpu-shares=\(.cpu)"),
	(select(.memory | is_set) | "--memory=\(.memory)m"),
	(select(.memoryReservation | is_set) | "--memory-reservation=\(.memoryReservation)m"),
	((.environment // [])[] | "--env=\(.name)=\(.value // "")"),
	# Without a value the client takes it from its own environment, and it stands on no command line.
	((.secrets // [])[] | "--env=\(.name)"),
	((.mountPoints // [])[] | "--volume=\(.sourceVolume | source($sources; $task)):\(.containerPath)"
		+ (if .readOnly == true then ":ro" else "" end)),
	((.volumesFrom // [])[] | "--volumes-from=\($id)-\(.sourceContainer)" + (if .readOnly == true then ":ro" else "" end)),
	(select(.user | is_set) | "--user=\(.user)"),
	(select(.workingDirectory | is_set) | "--workdir=\(.workingDirectory)"),
	(select(.privileged == true) | "--privileged"),
	(select(.readonlyRootFilesystem == true) | "--read-only"),
	((.dockerSecurityOptions // [])[] | "--security-opt=\(.)"),
	(select(.interactive == true) | "--interactive"), (select(.pseudoTerminal == true) | "--tty"),
	((.dockerLabels // {}) | to_entries[] | "--label=\(.key)=\(.value)"),
	((.ulimits // [])[] | "--ulimit=\(.name)=\(.softLimit):\(.hardLimit)"),
	health, linux,
	(select(.entryPoint | is_set) | "--entrypoint=\(.entryPoint[0])");

# ---- the code -----------------------------------------------------------------------------------

def container($number; $task; $images; $sources; $wanted):
	. as $container
	| (([$images[] | select(.name == $container.name) | .value] | last) // .image) as $image
	| if ($image | type) != "string" or ($image | test("^[A-Za-z0-9][^\\s]*\\z") | not) then
		fail("container \(.name)"; "run"; "no image")
	  else . end
	| ([$task.containerDefinitions[].name]) as $names
	| "name_\($number)=\(.name)",
	  "image_\($number)=\($image | @sh)",
	  "essential_\($number)=\(if .essential == false then "" else "yes" end)",
	  "start_timeout_\($number)=\(.startTimeout // 0 | floor)",
	  "stop_timeout_\($number)=\(.stopTimeout // 30 | floor)",
	  "ports_\($number)=\(ports | map("\(.port)/\(protocol)") | join(" ") | @sh)",
	  "needs_\($number)=\(needs($task) | map(.on as $on | "\($names | index($on)):\(.condition)") | join(" ") | @sh)",
	  "state_\($number)=waiting code_\($number)= began_\($number)=0 health_\($number)=- logger_\($number)=",
	  "create_\($number)() {",
	  # $shared is a list of options from scripts/ecs-local.
	  # The last label of a name wins.
	  "\tapart create $shared --name \($id)-\(.name) --log-driver json-file \(
		[options($task; $sources; $wanted)] | map(@sh) | join(" ")) --label decant.ecs-local=\($id) \(
		[$image, (.entryPoint // [])[1:][], (.command // [])[]] | map(@sh) | join(" "))",
	  "}";

($image_list | pairs) as $images
| ($volume_list | pairs) as $sources
| ($publish_list / "\n" | map(select(. != "") / ":" | {host: .[0], container: .[1]})) as $wanted
| parse
# No update with |= where something may fail: jq 1.6 aborts.
| (.containerDefinitions | map(check_name("container"))) as $_
| (.containerDefinitions | check_unique("container")) as $_
| .volumes = ((.volumes // []) | map(check_name("volume")) | check_unique("volume"))
| check_task
| . as $task
| ([check_fargate]) as $_
| ([.containerDefinitions[] | check_container($task)]) as $_
| check_circles
| (($images | map(.name)) - [.containerDefinitions[].name] | first) as $stranger
| if $stranger != null then fail("--image \($stranger)"; "read"; "no such container in \($file)") else . end
| (($sources | map(.name)) - [.volumes[].name] | first) as $stranger
| if $stranger != null then fail("--volume \($stranger)"; "read"; "no such volume in \($file)") else . end
| ([.containerDefinitions[] | ports[]] | map((.port | tostring), "\(.port)/\(protocol)")) as $known
| (($wanted | map(.container)) - $known | first) as $stranger
| if $stranger != null then fail("--publish \($stranger)"; "read"; "no such port in \($file)") else . end
| ([.volumes[] | select(.name as $n | any($sources[]; .name == $n) | not)]) as $own
| ([$own[] | select((.dockerVolumeConfiguration | is_set) or (.fsxWindowsFileServerVolumeConfiguration | is_set)) | .name]
	| first) as $refused
| if $refused != null then fail("volume \($refused)"; "make"; "neither Docker's nor FSx's own configuration is applied here"
	+ " (--volume \($refused)=DIR)") else . end
| ([$own[] | select(.host.sourcePath | is_set)]) as $given
| ([$given[] | select(.host.sourcePath | test("^/[^:]*\\z") | not)] | first) as $refused
| if $refused != null then
	fail("volume \($refused.name)"; "mount \($refused.host.sourcePath)"; "not an absolute path without :")
  else . end
| ($own - $given) as $made
# All or nothing: in an array, so that nothing is printed before something fails.
| [
  ($given[] | "on_host \(.name) \(.host.sourcePath | @sh)"),
  (notes | line | "say \(@sh)"),
  ($made[] | select((del(.name, .host) | is_set)) | "volume \(.name): an empty one of this run stands in for it" | "say \(@sh)"),
  "numbers=\([range(.containerDefinitions | length)] | join(" ") | @sh)",
  "architecture=\(.runtimePlatform.cpuArchitecture // "" | tostring | @sh)",
  "network=\(.networkMode // "bridge")",
  "volumes=\($made | map("\($id)-\(.name)") | join(" ") | @sh)",
  "pause=\(if .networkMode == "awsvpc" or .pidMode == "task" or .ipcMode == "task" then "yes" else "" end)",
  "pause_network=\(if .networkMode == "awsvpc" then "yes" else "" end)",
  "pause_pid=\(if .pidMode == "task" then "yes" else "" end)",
  "pause_ipc=\(if .ipcMode == "task" then "yes" else "" end)",
  # The last one wins, as in ECS.
  "pause_create() {",
  "\tapart create --label decant.ecs-local=\($id) --name \($id) \([
	(if .networkMode == "awsvpc" then
		"--network=\($id)", ([.containerDefinitions[] | ports[]] | unique[] | publish($wanted)),
		([.containerDefinitions[] | (.systemControls // [])[] | select(.namespace | of_network) | {(.namespace): .value}]
			| add // {} | to_entries[] | "--sysctl=\(.key)=\(.value)")
	 else "--network=none" end),
	(if .ipcMode == "task" then "--ipc=shareable" else empty end)] | map(@sh) | join(" ")) \"$@\"",
  "}",
  (.containerDefinitions | to_entries[] | .key as $number | .value | container($number; $task; $images; $sources; $wanted))
  ]
| .[]
