# One model for task definitions, compose files and pods, which the rules of scripts/doctor are looked for in.

# ---- small helpers ----------------------------------------------------------------------------------

def list: if type == "array" then . elif . == null then [] else [.] end;
def words: if type == "string" then [splits("\\s+") | select(. != "")] else list | map(tostring) end;
def base: sub("^.*/"; "");
def gib: . / 1073741824 * 100 | ceil / 100 | tostring + " GiB";

# "512", "0.5 GB", "64m", "100Mi": in bytes, or null. A number alone counts $unit bytes.
def bytes($unit):
	if type == "number" then . * $unit
	elif type == "string" then
		(capture("^ *(?<n>[0-9]+([.][0-9]+)?) *(?<u>[A-Za-z]*) *$") // null)
		| if . == null then null else
			(.n | tonumber) * ({
				"": $unit, b: 1, k: 1024, kb: 1024, ki: 1024, m: 1048576, mb: 1048576, mi: 1048576,
				g: 1073741824, gb: 1073741824, gi: 1073741824, t: 1099511627776, tb: 1099511627776,
				ti: 1099511627776
			}[.u | ascii_downcase] // 1)
		end
	else null end;

def plain_path:
	startswith("/") and (. == "/" or (endswith("/") | not)) and
	(test("//|/\\.(/|$)|/\\.\\.(/|$)") | not);

# Directories that are symbolic links on merged-/usr systems, or to /run.
def linked_path: test("^/(var/run|var/lock|bin|sbin|lib|lib32|lib64|libx32)(/|$)");

# A template's placeholder says nothing yet.
def placeholder: test("[$<{]");
def nothing_else: test("^(\\$\\{.*\\}|\\$\\w+|<.*>)/?$");
def pinned: contains("@sha256:") or placeholder;
# docker pulls a name with a directory from Docker Hub; one without may be of an image that is made here.
def from_registry: contains("/");

# A container's name, and its image's without directory and digest.
def names: .name, (.image // "" | sub("@.*$"; "") | base);
def looks_like_data: any(names; test("(^|[-_.:])(data|decant)[0-9]*([-_.:]|$)"; "i"));
def ends_in_data: any(names | sub(":.*$"; ""); test("(^|[-_.])(data|decant)[0-9]*$"; "i"));

# ---- what decant is told ----------------------------------------------------------------------------

def fills: length == 0 or (.[0] | . == "fill" or startswith("-") or endswith(".zst"));

# A list for each time that it is called. A shell's line counts, too; there a word may have quotes.
def decant_word: "(^|[^A-Za-z0-9_.-])decant(?![A-Za-z0-9_.-])";
def command_line: .entry + .command | join(" ");
def calls:
	if .entry == [] then [.command]
	else [command_line | match(decant_word + "([^;&|]*)"; "g").captures[1].string | gsub("[\"']"; "") | words] end;

# What runs in place of decant. A wrapper that is called after it may call it.
def hides_decant: .entry != [] and (command_line | test("(^|[^A-Za-z0-9])decant(?!-pack|[A-Za-z0-9])") | not);

# Another program, or options of another program.
def foreign:
	hides_decant or (calls | . != [] and (any(fills and (length == 0 or (.[0] | startswith("-") | not) or (.[0] | test(
		"^--(dest|threads|expect|switch|prune|keep-releases|sync|create|setid|lock-timeout|no-space-check|progress|log)(=|$)"
	)))) | not));

# Names left when those that wait for nobody left, and those for whom nobody left waits, are taken away.
def cycle($edges):
	def shrink:
		. as $left
		| map(select(
			. as $name
			| any($edges[]; .from == $name and (.to | IN($left[]))) and
				any($edges[]; .to == $name and (.from | IN($left[])))))
		| if length == ($left | length) then . else shrink end;
	shrink;

# ---- one model for all three ------------------------------------------------------------------------
# {kind, where, containers, volumes, words}. A container: name, image, mounts [{id, name, path, ro}],
# from [{name, ro}], waits [{name, condition}], entry, command, environment, user, memory (bytes),
# tmpfs [path], ends (nothing says that it goes on), one_shot (something says that it ends), raw.
# id is the same for two mounts that show the same files, and a path below the other's for one that shows
# some of them. A mount that is `given` has files that nobody can write.

def within($outer): . == $outer or startswith($outer + "/");
def meets($ids):
	. as $id
	| $id != null and any($ids[]; . as $other | . != null and (($id | within($other)) or ($other | within($id))));

# The names of those for whose end somebody waits.
def awaited: .end as $ends | [.containers[].waits[] | select(.condition | IN($ends[])) | .name] | unique;

# What waits for others to call goes on.
def serves:
	any(.portMappings, .ports, .expose, .healthCheck, .healthcheck, .livenessProbe, .readinessProbe; . != null and . != []);

def ecs_container:
	. as $raw
	| {
		name: (.name // "?"), image: (.image // ""), raw: $raw,
		mounts: [.mountPoints | list[] | {
			id: .sourceVolume, name: .sourceVolume, path: (.containerPath // ""), ro: (.readOnly == true)
		}],
		from: [.volumesFrom | list[] | { name: .sourceContainer, ro: (.readOnly == true) }],
		waits: [.dependsOn | list[] | { name: .containerName, condition }],
		entry: (.entryPoint | words), command: (.command | words),
		environment: ([.environment | list[] | { key: .name, value }] | from_entries),
		user: (.user // "" | tostring), memory: (.memory | bytes(1048576)),
		tmpfs: [.linuxParameters.tmpfs | list[] | .containerPath // ""],
		one_shot: (.startTimeout != null),
		ends: (.essential == false and .restartPolicy.enabled != true and (serves | not))
	};

# Of a file system, volumes of any name and access point may show the same files.
def efs_ids:
	def id: "efs:" + (.fileSystemId // "") + (.authorizationConfig.accessPointId // "" | if . == "" then . else "/" + . end)
		+ (.rootDirectory // "" | sub("/+$"; ""));
	([.raw.volumes | list[] | select(.efsVolumeConfiguration != null)
		| { key: (.name // "" | tostring), value: (.efsVolumeConfiguration | id) }] | from_entries) as $ids
	| if $ids == {} then . else
		.containers[].mounts[] |= (if .id != null then .id = ($ids[.id] // .id) else . end)
		# Where each access point leads is not said. When no two show the same for sure, all may.
		| reduce ([$ids[] | split("/")[0]] | unique[]) as $disk (.;
			[.containers[] | [.mounts[].id | select(. != null and within($disk))] | unique] as $used
			| if any(range($used | length) as $at | $used[$at][] | meets([$used[range($at)][]]); .) then .
			else .containers[].mounts[] |= (if .id != null and (.id | within($disk)) then .id = $disk else . end) end)
	end;

def ecs_model:
	{
		kind: "ecs", where: "", raw: ., volumes: [.volumes | list[] | .name],
		containers: [.containerDefinitions[] | ecs_container],
		success: "SUCCESS", end: ["SUCCESS", "COMPLETE"],
		set_condition: "\"condition\": \"SUCCESS\"", set_ro: "\"readOnly\": true", set_path: "containerPath",
		set_entry: "entryPoint", set_command: "command", set_depends: "dependsOn", thing: "container"
	}
	| efs_ids;

# The parts of a short form. A variable's default, as in ${NAME:-default}, has a colon that divides nothing.
def parts: [scan("(?:\\$\\{(?:[^{}]|\\{[^{}]*\\})*\\}|[^:])+")];

# What a variable is by default stands for it. Directories of the host that are not the same show different files, as
# far as anybody means it.
def source_id:
	sub("^\\$\\{[A-Za-z0-9_]+:?-(?<default>[^{}]+)\\}$"; .default)
	| if test("^[./~$]") then rtrimstr("/") + "/" else . end;

# One entry of a service's volumes, in its short or its long form.
def compose_mount:
	if type == "string" then
		parts as $part
		| if ($part | length) == 1 then { id: null, name: null, path: $part[0], ro: false, kind: "volume" }
		else
			(($part[2] // "") | split(",")) as $mode
			| ($part[0] | test("^[./~$]")) as $bind
			| {
				id: ($part[0] | source_id), name: (if $bind then null else $part[0] end), path: $part[1],
				ro: ($mode | any(. == "ro")), nocopy: ($mode | any(. == "nocopy")),
				kind: (if $bind then "bind" else "volume" end)
			}
		end
	else
		(.type // "volume") as $type
		| {
			id: (if $type == "tmpfs" or .source == null then null
				else (.source | source_id) + (.volume.subpath // "" | if . == "" then . else "/" + rtrimstr("/") end) end),
			name: (if $type == "volume" then .source else null end), path: (.target // "" | tostring),
			ro: (.read_only == true), nocopy: (.volume.nocopy == true), kind: $type
		}
	end;

def compose_service($name):
	. as $raw
	| {
		$name, image: (.image // ""), raw: $raw,
		mounts: [.volumes | list[] | compose_mount],
		from: [.volumes_from | list[] | select(startswith("container:") | not) | parts | {
			name: .[0], ro: (.[1] == "ro")
		}],
		waits: [.depends_on | if type == "object" then to_entries[] | {
				name: .key, condition: (.value.condition // "service_started"), required: (.value.required != false)
			} else list[] | { name: ., condition: "service_started", required: true } end],
		entry: (.entrypoint | words), command: (.command | words),
		environment: (.environment | if type == "object" then . else
			[list[] | split("=") | { key: .[0], value: (.[1:] | join("=")) }] | from_entries end),
		user: (.user // "" | tostring),
		memory: ((.deploy.resources.limits.memory // .mem_limit) | bytes(1)),
		tmpfs: [.tmpfs | list[] | strings | parts[0]],
		one_shot: (.restart | IN("no", false)),
		ends: (if .restart == null and .deploy.restart_policy == null then null
			else .restart == false or (.restart // "" | test("^(no|on-failure)(:|$)")) end)
	};

# Of a service that says nothing, one for which somebody waits to start goes on, and so does one with ports.
def silent_ends:
	[.containers[] | .waits[].name, .from[].name] as $needed
	| .containers[] |= (if .ends != null then . else
		.ends = ((.name | IN($needed[]) | not) and (.raw | serves | not)) end);

def compose_model:
	{
		kind: "compose", where: "", raw: ., volumes: [.volumes // {} | keys[]],
		containers: [.services | to_entries[] | .key as $name | .value // {} | compose_service($name)],
		success: "service_completed_successfully", end: ["service_completed_successfully"],
		set_condition: "condition: service_completed_successfully", set_ro: "read_only: true (in the short form :ro)",
		set_path: "target", set_entry: "entrypoint", set_command: "command", set_depends: "depends_on",
		thing: "service"
	}
	| silent_ends;

def k8s_container($init):
	. as $raw
	| {
		name: (.name // "?"), image: (.image // ""), raw: $raw, $init,
		mounts: [.volumeMounts | list[] | {
			id: ((.name // "") + "/" + (.subPath // .subPathExpr // "") | rtrimstr("/")), name,
			path: (.mountPath // ""), ro: (.readOnly == true)
		}],
		from: [], waits: [], entry: (.command | words), command: (.args | words),
		environment: ([.env | list[] | { key: .name, value }] | from_entries),
		user: "", memory: (.resources.limits.memory | bytes(1)), tmpfs: [],
		ends: ($init and .restartPolicy != "Always"), sidecar: ($init and .restartPolicy == "Always")
	};

def k8s_model($object; $spec):
	# Nobody can write these, with readOnly or without.
	[$spec.volumes | list[] | select(.configMap or .secret or .projected or .downwardAPI or .image) | .name] as $given
	| {
		kind: "k8s", where: "\($object.kind)/\($object.metadata.name // $object.metadata.generateName // "?")",
		raw: $spec, $object,
		volumes: [($spec.volumes | list[] | .name), ($object.spec.volumeClaimTemplates? | list[] | .metadata.name)],
		containers: ([$spec.initContainers | list[] | k8s_container(true)] +
			[$spec.containers | list[] | k8s_container(false)]
			| map(.mounts[] |= (.given = (.name | IN($given[]))))),
		success: null, end: [],
		set_ro: "readOnly: true", set_path: "mountPath", set_entry: "command", set_command: "args", thing: "container"
	};

def k8s_models:
	if .kind == "List" then .items[] | k8s_models
	else
		. as $object
		| (if .kind == "Pod" then .spec
			elif .kind == "CronJob" then .spec.jobTemplate.spec.template.spec
			elif .kind | IN("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "ReplicationController", "Job")
			then .spec.template.spec
			else null end)
		| select(type == "object")
		| k8s_model($object; .)
	end;

# What describe-task-definition prints has one more level.
def models:
	if type != "object" then empty
	elif (.taskDefinition | type) == "object" and (.taskDefinition.containerDefinitions | type) == "array" then
		.taskDefinition | ecs_model | .described = true
	elif (.containerDefinitions | type) == "array" then ecs_model
	elif (.services | type) == "object" then compose_model
	elif (.kind | type) == "string" then k8s_models
	else empty end;
