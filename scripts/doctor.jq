# What scripts/doctor does: how each rule is found in a task definition, a compose file or a
# pod. Inputs: {file, documents} for each file. Arguments: $data (a container's name or ""), $dest (where
# decant fills, or ""), $size (bytes on disk, or null), $fargate (the task is for Fargate, whatever it says), $list
# (print the rules instead).

include "doctor-rules";
include "doctor-model";

# ---- who fills, who reads ---------------------------------------------------------------------------

def shares($model):
	. as $one
	| any($model.containers[]; .name != $one.name and (
		any(.from[]; .name == $one.name) or
		any(.mounts[]; .id != null and (.id | IN($one.mounts[].id)))));

def writes_shared($model):
	. as $one
	| [.mounts[] | select(.ro | not) | .id | select(. != null)] as $mine
	| any($model.containers[]; .name != $one.name and any(.mounts[]; .id | IN($mine[])));

# As before, and all others only read it.
def only_writer($model):
	. as $one
	| any(.mounts[]; (.ro | not) and .id != null and (.id as $id
		| [$model.containers[] | select(.name != $one.name) | .mounts[] | select(.id == $id)]
		| length > 0 and all(.ro)));

def prefer(condition): if any(condition) then map(select(condition)) else . end;
def first_of(a; b; c): [a] as $a | if $a != [] then $a else [b] as $b | if $b != [] then $b else [c] end end;

# The data containers: those that --data names; else those that somebody waits for to end and that share a
# volume, or have the name for it; else those with the name; else those who alone may write.
def data_of:
	. as $model
	| (if $data != "" then [.containers[] | select(.name == $data)]
		elif .kind == "k8s" then
			first_of(
				.containers[] | select(.init and looks_like_data and (.mounts | length) > 0);
				.containers[] | select(.init and writes_shared($model));
				.containers[] | select(looks_like_data and only_writer($model)))
		else
			[.containers[].waits[] | select(.condition | IN($model.end[])) | .name] as $awaited
			| first_of(
				.containers[] | select((.name | IN($awaited[])) and
					(shares($model) or (looks_like_data and (.mounts | length) > 0)));
				.containers[] | select(looks_like_data and shares($model));
				.containers[] | select(only_writer($model)))
		end)
	# An init container that only verifies may have the data image, too.
	| prefer(looks_like_data) | prefer(.mounts == [] or any(.mounts[]; .ro | not));

def add_roles:
	. as $model
	| data_of as $all
	| .data = [$all[] | . as $one
		| ([.mounts[].id | select(. != null)] | unique) as $mine
		| [$model.containers[] | select(.name | IN($all[].name) | not)] as $others
		| .filled = [$mine[] | select(IN($others[].mounts[].id))]
		# A volume that nobody shares, such as one for /tmp, does not matter beside one that somebody does.
		| .filled = (if .filled == [] then $mine else .filled end)
		| .filled as $filled
		# What the data container itself waits for has made the volume ready for it, and reads nothing.
		| [.waits[] | select(.condition | IN(($model.end // [])[])) | .name] as $before
		| .consumers = [$others[] | select(.name | IN($before[]) | not) | select(
			any(.from[]; .name == $one.name) or any(.mounts[]; .id | IN($filled[])))]];

# ---- rules that all three have ----------------------------------------------------------------------

def at($name): if .where == "" then $name else "\(.where)/\($name)" end;

# Where decant will fill, as far as that can be seen from here.
def destination:
	. as $one
	| [range(.command | length) | select($one.command[.] == "--dest") | $one.command[. + 1]]
		+ [.command[] | select(startswith("--dest=")) | ltrimstr("--dest=")]
		+ [.environment.DECANT_DEST | select(type == "string")] + [$dest | select(. != "")]
	| first // "" | if placeholder then "" else . end;

def fills: length == 0 or (.[0] | . == "fill" or startswith("-") or endswith(".zst"));

# What decant is told, a list for each time that it is called. A shell's line counts, too; there a word may have quotes.
def decant_word: "(^|[^A-Za-z0-9_.-])decant(?![A-Za-z0-9_.-])";
def command_line: .entry + .command | join(" ");
def calls:
	if .entry == [] then [.command]
	else [command_line | match(decant_word + "([^;&|]*)"; "g").captures[1].string | gsub("[\"']"; "") | words] end;

# What a shell does after decant, so that its failure is not the container's.
def hides_failure: command_line | test(decant_word + "[^;&|]*(\\|\\||;) *(true|:|exit 0)([ ;\"']|$)");

# A container that others wait for to end, and that writes what $one fills without waiting for it.
def rivals($model; $one):
	.name as $name
	| any(.mounts[]; (.id | IN($one.filled[])) and (.ro | not))
	and any($model.containers[].waits[]; .name == $name and (.condition | IN(($model.end // [])[])))
	and (any(.waits[]; .name == $one.name) | not);

def common_data:
	.kind as $kind
	| . as $model
	| .data[] | . as $one
	| ($model | at($one.name)) as $where
	| (.mounts[] | select((.id | IN($one.filled[])) and .ro)
		| finding($where; "\($kind)-data-read-only"; "\(.path) is read-only, and decant has to write it: remove the flag here")),
	# A wrapper that is called after it may call it.
	(select(.entry != [] and (command_line | test("(^|[^A-Za-z0-9])decant(?!-pack|[A-Za-z0-9])") | not))
		| finding($where; "\($kind)-entry-point"; "it replaces decant, so nothing is filled: remove \($model.set_entry)")),
	(calls | select(. != [] and (any(fills) | not))
		| finding($where; "\($kind)-command"; "decant gets \"\(.[0][0])\" as its first argument and does not fill: remove \($model.set_command)")),
	(select(hides_failure)
		| finding($where; "\($kind)-command"; "the shell ends well when decant failed: remove what stands after it")),
	(select(.memory != null and .memory < 33554432)
		| finding($where; "\($kind)-memory"; "give it 32 MiB or more")),
	(select(.user != "" and (.user | test("^[0-9]+(:[0-9]+)?$") or placeholder | not))
		| finding($where; "\($kind)-user-name"; "a data image need not have a user \"\(.user)\": write UID:GID in numbers")),
	(select(.consumers == [])
		| finding($where; "\($kind)-volume-unused"; "mount the same volume in the \($model.thing) that reads it")),
	(destination as $dest | select($dest != "" and .mounts != [] and
		(any(.mounts[]; .path as $path | $dest == $path or ($dest | startswith($path + "/"))) | not))
		| finding($where; "\($kind)-dest"; "decant fills \($dest), and no volume is mounted there: change \($model.set_path), or build the image with another --dest")),
	(range($model.data | index($one)) as $earlier | $model.data[$earlier]
		| select(.filled | any(IN($one.filled[])))
		| finding($where; "\($kind)-second-writer"; "\(.name) fills the same volume, and each would remove the other's files: one volume for each"));

def common_consumers:
	.kind as $kind
	| . as $model
	| .data[] | . as $one
	| .consumers[] | . as $consumer
	| ($model | at($consumer.name)) as $where
	| (select(rivals($model; $one))
		| finding($where; "\($kind)-second-writer"; "it writes the volume that \($one.name) fills, and nothing says which is first: one volume for each")),
	(select(any(.mounts[]; (.id | IN($one.filled[])) and (.ro | not)) or any(.from[]; .name == $one.name and (.ro | not)))
		| select(rivals($model; $one) | not)
		| finding($where; "\($kind)-read-only"; "it can change what \($one.name) filled: set \($model.set_ro)")),
	(.mounts[] | select(.id | IN($one.filled[])) | . as $mount
		| select(any($one.mounts[]; .id == $mount.id) and (any($one.mounts[]; .id == $mount.id and .path == $mount.path) | not))
		| finding($where; "\($kind)-path-differs"; "\($mount.path) here, \([$one.mounts[] | select(.id == $mount.id) | .path] | first) in \($one.name): use one path, without symbolic links, in both"));

def common_paths:
	.kind as $kind
	| . as $model
	| [.data[] | .filled[]] as $filled
	| .containers[] | . as $one
	| ($model | at($one.name)) as $where
	| .mounts[] | select((.id | IN($filled[])) and (.path | placeholder | not))
	| (select(.path | plain_path | not)
		| finding($where; "\($kind)-path"; "\(.path | tojson): write an absolute path without //, ., .. or / at its end")),
	(select(.path | linked_path)
		| finding($where; "\($kind)-path-symlink"; "\(.path): where this is a symbolic link in one of the images, the volume is not where the other looks: write the real path"));

# The data image is one release, so nothing but its digest will do. An app's tag may be its version.
def common_images:
	.kind as $kind
	| . as $model
	| ([(.data[] | .must = true), .data[].consumers[]] | unique_by(.name))[]
	| select(.image != "" and (.image | pinned | not) and ($kind != "compose" or (.raw.build == null and (.image | from_registry))))
	| select(.must or (.image | base | test(":") and (endswith(":latest") | not) | not))
	| .name as $name
	| finding($model | at($name); "\($kind)-image-pinned"; "\(.image) can be another image at the next start: append @sha256:DIGEST");

def common_names:
	.kind as $kind
	| . as $model
	| [.containers[].name] as $names
	| .containers[] | . as $one
	| ($model | at($one.name)) as $where
	| (.mounts[] | select(.name != null and (.name | placeholder | not) and (.name | IN($model.volumes[]) | not))
		| finding($where; "\($kind)-volume-unknown"; "declare \(.name) under volumes")),
	(.from[] | select(.name | IN($names[]) | not)
		| finding($where; "\($kind)-volumes-from-unknown"; "no \($model.thing) has the name \(.name)"));

# ECS and Compose say who waits for whom.
def common_waits:
	.kind as $kind
	| . as $model
	| [.containers[].name] as $names
	| (.data[] | . as $one | .consumers[] | select(rivals($model; $one) | not) | . as $consumer
		| [.waits[] | select(.name == $one.name)]
		| if length == 0 then
			finding($consumer.name; "\($kind)-depends-on"; "it reads what \($one.name) fills: add \($model.set_depends) on \($one.name) with \($model.set_condition), here, not only by way of others")
		else
			.[] | select(.condition != $model.success)
			| finding($consumer.name; "\($kind)-condition"; "\(.condition) of \($one.name) does not mean that the files are there: set \($model.set_condition)")
		end),
	(.containers[] | . as $one | .waits[] | select(.name | IN($names[]) | not)
		| finding($one.name; "\($kind)-depends-on-unknown"; "no \($model.thing) has the name \(.name)")),
	([.containers[] | { from: .name, to: .waits[].name }] as $edges
		| $names | cycle($edges) | select(length > 0)
		| finding(join(", "); "\($kind)-depends-on-cycle"; "none of them can start: remove one \($model.set_depends)"));

def common: common_data, common_consumers, common_paths, common_images, common_names;

# ---- ECS --------------------------------------------------------------------------------------------

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

def fargate_rules:
	.raw as $task
	| (($task.cpu // "" | cpu_units) as $cpu | ($task.memory | bytes(1048576)) as $memory
		| select(([$task.cpu, $task.memory] | any(tostring | placeholder) | not) and
			($cpu == null or $memory == null or (fits_fargate($cpu; $memory / 1048576) | not)))
		| finding("task"; "ecs-fargate-size"; "cpu \($task.cpu), memory \($task.memory): take a pair from the table, such as 256 and 512")),
	(select($task.networkMode != "awsvpc") | finding("task"; "ecs-network-mode"; "set \"networkMode\": \"awsvpc\"")),
	(.containers[] | .name as $name | .raw | to_entries[]
		| select((.key | IN("disableNetworking", "dnsSearchDomains", "dnsServers", "dockerSecurityOptions", "extraHosts", "links", "privileged"))
			and (.value | . != null and . != false and . != []))
		| finding($name; "ecs-fargate-parameter"; "remove \(.key)")),
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
	| common, common_waits,
	(if $fargate then fargate_rules else empty end),
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
	($task.volumes | list[] | select(.name // "" | (placeholder or test("^[A-Za-z0-9_-]{1,255}$")) | not)
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
		| [$task | keys[] | select(IN("taskDefinitionArn", "revision", "status", "requiresAttributes", "compatibilities", "registeredAt", "registeredBy", "deregisteredAt"))]
		| select(length > 0)
		| finding("task"; "ecs-output-field"; "remove \(join(", ")) before registering"));

# ---- Compose ----------------------------------------------------------------------------------------

def compose_rules:
	. as $model
	| .raw as $project
	| common, common_waits,
	(.data[] | . as $one | .consumers[] | . as $consumer | .waits[] | select(.name == $one.name and (.required | not))
		| finding($consumer.name; "compose-required"; "remove required: false of \($one.name)")),
	# On without a profile, or in one in which the data service is off.
	(.data[] | . as $one | (.raw.profiles | list) as $on | select($on != []) | .consumers[]
		| select((.raw.profiles | list) as $mine | $mine == [] or any($mine[]; IN($on[]) | not))
		| finding(.name; "compose-profiles"; "\($one.name) is only there in profile \($on | join(", ")): give both the same profiles")),
	(.data[] | select((.raw.restart | IN("always", "unless-stopped")) or
			(.raw.deploy.restart_policy != null and (.raw.deploy.restart_policy.condition // "any") == "any"))
		| finding(.name; "compose-restart"; "it never counts as completed: set restart: \"no\"")),
	(.data[] | select(.raw.entrypoint != null and .entry == [])
		| finding(.name; "compose-entry-point"; "an empty one takes decant away, too: remove entrypoint")),
	(.data[] | select([.raw.scale, .raw.deploy.replicas] | any(type == "number" and . > 1))
		| finding(.name; "compose-replicas"; "they wait for each other's lock: one is enough")),
	(.data[] | . as $one | .consumers[] | . as $consumer | .mounts[]
		| select((.id | IN($one.filled[])) and .kind == "volume" and .name != null and (.nocopy | not))
		| finding($consumer.name; "compose-nocopy"; "files that its image has at \(.path) are copied into an empty volume: add nocopy")),
	($project.volumes // {} | to_entries[] | select(.value.driver_opts.type? == "tmpfs") | .key as $name
		| select(any($model.data[]; .mounts[] as $mount | $mount.name == $name and ($mount.id | IN($model.data[].filled[]))))
		| finding("volume \($name)"; "compose-tmpfs-volume"; "it is unmounted while no container runs with it: remove driver_opts"));

# ---- Kubernetes -------------------------------------------------------------------------------------

# `false` is a value, so // will not do.
def first_set(a; b): a as $a | if $a == null then b else $a end;

def meets_restricted($pod):
	(.raw.securityContext // {}) as $own
	| $own.allowPrivilegeEscalation == false and ($own.capabilities.drop | list | any(. == "ALL"))
	and first_set($own.runAsNonRoot; $pod.runAsNonRoot) == true
	and (first_set($own.seccompProfile.type; $pod.seccompProfile.type) | IN("RuntimeDefault", "Localhost"));

def k8s_rules:
	. as $model
	| .raw as $spec
	| (.raw.securityContext // {}) as $pod
	| common,
	(.containers[] | select(.init and .raw.restartPolicy != "Always") | . as $one
		| [.raw | keys[] | select(IN("lifecycle", "livenessProbe", "readinessProbe", "startupProbe"))] | select(length > 0)
		| finding($model | at($one.name); "k8s-init-probe"; "remove \(join(", "))")),
	(.data[] | . as $one
		| ($model | at($one.name)) as $where
		| (.raw.securityContext // {}) as $own
		| first_set($own.runAsNonRoot; $pod.runAsNonRoot) as $nonroot
		| first_set($own.runAsUser; $pod.runAsUser) as $user
		| [$spec.volumes | list[] | select(.name | IN($one.mounts[] | select(.id | IN($one.filled[])) | .name))] as $volumes
		| [$model.object.spec.volumeClaimTemplates? | list[] | .metadata.name | select(IN($one.mounts[].name))] as $templates
		| (select(.init | not)
			| finding($where; "k8s-init-container"; "move it to initContainers")),
		(select(.init and .raw.restartPolicy == "Always")
			| finding($where; "k8s-sidecar"; "remove restartPolicy: the pod waits only for init containers without it")),
		([$model.containers[].name] as $names | .consumers[] | select(.init and ($names | index($one.name)) > (.name as $name | $names | index($name)))
			| .name as $name
			| finding($model | at($name); "k8s-order"; "put it after \($one.name)")),
		($volumes[] | select(.configMap or .secret or .projected or .downwardAPI or .image)
			| finding($where; "k8s-read-only-volume"; "\(.name) cannot be written: use an emptyDir")),
		($volumes[] | select($size != null and .emptyDir.sizeLimit != null) | select((.emptyDir.sizeLimit | bytes(1)) < $size)
			| finding($where; "k8s-size-limit"; "\(.name) has \(.emptyDir.sizeLimit), the data takes \($size) bytes: raise sizeLimit")),
		($volumes[] | select($size != null and .emptyDir.medium == "Memory") | select($one.memory != null and $one.memory < $size + 33554432)
			| finding($where; "k8s-memory-medium"; "what it writes into \(.name) counts as its memory: raise the limit, or remove medium")),
		(select($size != null and any($volumes[]; .emptyDir != null and .emptyDir.medium != "Memory"))
			# The kubelet adds up the limits of the containers only when each has one.
			| [$spec.containers | list[] | .resources.limits["ephemeral-storage"] | bytes(1)] as $limits
			| select(all($limits[]; . != null))
			| ([($limits | add), (.raw.resources.limits["ephemeral-storage"] | bytes(1)) // 0] | max)
			| select(. < $size)
			| finding($where; "k8s-ephemeral-limit"; "the volume counts, and takes \($size) bytes: raise limits.ephemeral-storage")),
		(select($nonroot == true and $user == 0)
			| finding($where; "k8s-run-as-root"; "the kubelet refuses to start it: set runAsUser to another number")),
		(select($nonroot == true and $user == null)
			| finding($where; "k8s-run-as-user"; "the kubelet refuses an image that runs as root or as a name: set runAsUser (not on OpenShift, which sets it)")),
		(select(meets_restricted($pod) | not) | select(any($model.containers[]; (.init | not) and meets_restricted($pod)))
			| finding($where; "k8s-restricted"; "a restricted namespace would refuse the pod: give it the app's securityContext")),
		(select($user != null and $user != 0 and $pod.fsGroup == null and
				($templates != [] or any($volumes[]; .persistentVolumeClaim != null or .ephemeral != null or .csi != null)))
			| finding($where; "k8s-fs-group"; "the volume belongs to root: set fsGroup in the pod's securityContext")),
		(select($user != null and $user != 0) | $volumes[] | select(.hostPath != null)
			| finding($where; "k8s-host-path"; "\(.name) belongs to root, fsGroup or not: use an emptyDir")),
		($volumes[] | select(.persistentVolumeClaim != null and (($model.object.spec.replicas? // 1) > 1 or $model.object.kind == "DaemonSet"))
			| finding($where; "k8s-shared-claim"; "\(.name): each pod fills it while others read, or waits for its node: use an emptyDir, or one pod that fills")),
		(select(.raw.terminationMessagePolicy != "FallbackToLogsOnError")
			| finding($where; "k8s-termination-message"; "set terminationMessagePolicy: FallbackToLogsOnError, for decant's last line is the reason")));

# ---- main -------------------------------------------------------------------------------------------

def examine:
	[.[] | models | add_roles]
	| if length == 0 then error({ why: "no task definition, compose file or pod in it" })
	elif $data != "" and all(.data == []) then error({ why: "no container or service \($data) in it" })
	else
		# A file may have other pods beside the one with the data.
		(select(all(.data == [])) | .[0]
			| finding(if .where == "" then .kind | if . == "ecs" then "task" else "services" end else .where end;
				"\(.kind)-no-data"; "nothing to check but names: mount one volume in both, or name the \(.thing) with --data")),
		(.[] | if .kind == "ecs" then ecs_rules elif .kind == "compose" then compose_rules else k8s_rules end)
	end;

if $list then rules | to_entries[] | { rule: .key, severity: .value[0], finds: .value[1], source: .value[2] }
else
	inputs | .file as $file
	| { file: $file } + (.documents | try examine catch {
		unreadable: (if type == "object" then .why else "not as its kind should be: \(.)" end)
	})
end
