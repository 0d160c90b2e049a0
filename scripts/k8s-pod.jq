# What scripts/k8s-pod does to documents. Input: the documents. Output for each: a line of JSON, true when it was
# changed, and then the document as YAML, a string for each line. No such line begins with {, for it is of a mapping
# in block style. Arguments: $options, an object.

# ---- the change -------------------------------------------------------------------------------------

def conflict($what): error({ conflict: $what });

def named($name): [.[]? | select(.name == $name)] | first;

# The elements that match become one, changed, at the place of the first; without any, `change` of {} goes first or last.
def put(matches; change; $where):
	(. // []) as $list
	| ([range($list | length) | select($list[.] | matches)] | first) as $at
	| if $at != null then
		[range($list | length) as $i | $list[$i] | if $i == $at then change elif matches then empty else . end]
	elif $where == "first" then [{} | change] + $list
	else $list + [{} | change] end;

# Adds what is missing, at any depth, and leaves the order of the rest.
def fill($defaults):
	reduce ($defaults | keys_unsorted[]) as $key (.;
		if has($key) | not then .[$key] = $defaults[$key]
		elif ($defaults[$key] | type) == "object" and (.[$key] | type) == "object" then .[$key] |= fill($defaults[$key])
		else . end);

# To the kubelet a path is the same with / at its end.
def is_at($path): ((.mountPath // "") | sub("/+$"; "")) == $path;

# Where the data container has the volume now.
def old_path:
	[.volumeMounts[]? | select(.name == $options.volume)]
	| if length != 1 then $options.path else .[0].mountPath | sub("/+$"; "") end;

# The mount of the files, now at $old_path. Others of the same volume, of a part of it for one, are not ours.
def is_ours($old_path): .name == $options.volume and (is_at($options.path) or is_at($old_path));

def mount($old_path; $more):
	([.volumeMounts[]? | select(is_at($options.path) and .name != $options.volume)] | first) as $other
	| if $other then conflict("container \(.name) has volume \($other.name) at \($options.path)") else . end
	| .volumeMounts |= put(is_ours($old_path); . + { name: $options.volume, mountPath: $options.path } + $more; "last");

# What the options say replaces what is there; the defaults only fill gaps.
def data_container($old; $pod):
	($options.user // (if ($pod.runAsUser // 0) > 0 then $pod.runAsUser else null end) // 10001) as $user
	| {
		name: $options.name,
		image: $options.image,
		terminationMessagePolicy: "FallbackToLogsOnError",
		securityContext: {
			runAsUser: $user,
			runAsNonRoot: true,
			readOnlyRootFilesystem: true,
			allowPrivilegeEscalation: false,
			capabilities: { drop: ["ALL"] },
			seccompProfile: { type: "RuntimeDefault" }
		},
		resources: { requests: { cpu: "100m", memory: "64Mi" }, limits: { memory: "64Mi" } },
		volumeMounts: []
	}
	| if $user == "any" then del(.securityContext.runAsUser) else . end
	| . as $defaults
	| ($old // {}) | fill($defaults)
	| .image = $options.image
	| if $options.user == "any" then del(.securityContext.runAsUser)
		elif $options.user then .securityContext.runAsUser = $options.user else . end
	| if $options.memory then (.resources.requests.memory, .resources.limits.memory) = $options.memory else . end
	# A limit would count what the app writes, too.
	| if $options.size then .resources.requests["ephemeral-storage"] = $options.size else . end
	| mount($old | old_path; {});

# What is new stands where people look for it: before the containers.
def in_order($old):
	. as $pod
	| reduce keys_unsorted[] as $key ({};
		if $key == "containers" then
			reduce ("securityContext", "volumes", "initContainers") as $new (.;
				if ($old | has($new)) or $pod[$new] == null then . else .[$new] = $pod[$new] end)
			| .containers = $pod.containers
		elif has($key) then .
		else .[$key] = $pod[$key] end);

# Without tag and digest.
def repository: sub("@.*$"; "") | sub(":[^/:]*$"; "");

# Whether an init container that has the data container's name is one: it runs the same image or mounts the same path.
def is_data:
	((.image // "") | repository) == ($options.image | repository) or any(.volumeMounts[]?; is_at($options.path));

# What has the names of what comes in must come from here. $claimed: a StatefulSet makes a claim for the volume.
def check_pod($claimed):
	(.initContainers | named($options.name)) as $old
	| ($claimed or (.volumes | named($options.volume)) != null) as $is_there
	| ([.initContainers[]?, .containers[] | select(.volumeMounts | named($options.volume))] | first) as $user
	| if .containers | named($options.name) then conflict("a container has the name \($options.name) (see --name)")
	elif $old and (($old.volumeMounts | named($options.volume)) | not)
	then conflict("init container \($options.name) does not mount volume \($options.volume) (see --name, --volume)")
	elif $old and ($old | is_data | not) then conflict("another init container has the name \($options.name) (see --name)")
	elif $is_there and ($old | not)
	then conflict("volume \($options.volume) is there, and does not come from here (see --volume)")
	elif $user and ($is_there | not)
	then conflict("container \($user.name) mounts volume \($options.volume), which is not there (see --volume)")
	else . end;

# The names of the containers that get the mount: those of --app, and those that have it. An init container reads the
# files only when --app names it.
def readers($old_path):
	[.initContainers[]?, .containers[] | select(.name != $options.name)] as $all
	| [$all[] | select(any(.volumeMounts[]?; is_ours($old_path))) | .name] as $users
	| if $options.apps != [] then $options.apps + $users
	elif any($all[]; .volumeMounts | named($options.volume)) then $users
	else [.containers[].name] end;

# What reads the files starts after they are there: the data container goes in front of the first that does.
def in_time($readers):
	(map(.name | . == $options.name or IN($readers[])) | index(true)) as $first
	| .[:$first] + (.[$first:] | map(select(.name == $options.name)) + map(select(.name != $options.name)));

def change_pod($claimed):
	. as $pod
	| check_pod($claimed)
	| (.initContainers | named($options.name)) as $old
	| ($old | old_path) as $old_path
	| readers($old_path) as $readers
	| data_container($old; .securityContext) as $data
	| .initContainers |= (put(.name == $options.name; $data; "first") | in_time($readers))
	| if $claimed then . else
		.volumes |= put(.name == $options.volume;
			if . == {} then { name: $options.volume, emptyDir: {} } else . end
			| if $options.size and .emptyDir then .emptyDir.sizeLimit = $options.size else . end; "last")
	end
	| if $options.user == "any" then .
		elif $options.fs_group then .securityContext.fsGroup = $options.fs_group
		else .securityContext.fsGroup //= $data.securityContext.runAsUser end
	| if .securityContext.fsGroup == null and .securityContext then del(.securityContext.fsGroup) else . end
	| (.initContainers, .containers) |= map(if .name | IN($readers[]) then mount($old_path; { readOnly: true }) else . end)
	| in_order($pod);

def has_apps:
	[.initContainers[]?, .containers[]? | .name | select(. != $options.name)] as $names
	| [$options.apps[] | select(IN($names[]) | not)] | first
	| if . then conflict("no container has the name \(.)") else true end;

def pod_path:
	if .kind == "Pod" then ["spec"]
	elif .kind == "CronJob" then ["spec", "jobTemplate", "spec", "template", "spec"]
	elif .kind | IN("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "ReplicationController", "Job")
	then ["spec", "template", "spec"]
	else null end;

def wanted: type == "object" and pod_path != null and ($options.workload == "" or .metadata.name == $options.workload);

def change:
	if wanted then
		pod_path as $path
		| any(.spec.volumeClaimTemplates[]?; .metadata.name == $options.volume) as $claimed
		| if (getpath($path).containers? | type != "array" or length == 0) then
			conflict("\(.kind) \(.metadata.name // "?") has no containers")
		else . end
		| if getpath($path) | has_apps then setpath($path; getpath($path) | change_pod($claimed)) else . end
	elif type == "object" and .kind == "List" then .items |= map(change)
	else . end;

def any_wanted: wanted or (type == "object" and .kind == "List" and any(.items[]?; any_wanted));

# ---- YAML -------------------------------------------------------------------------------------------
# Kubernetes reads YAML 1.1, where y, 1e3 and 0x1 are no strings, other readers 1.2, where 0o7 is none. So a
# string stands without quotes only when nobody could take it for something else.

def plain:
	test("^([A-Za-z/][A-Za-z0-9_./@+-]*([ :][A-Za-z0-9_./@+-]+)*|[0-9]+([mkMGT]|[KMGT]i))\\z") and
	(test("^(y|n|yes|no|on|off|true|false|null|nan|inf)\\z"; "i") | not);

def hex: . as $code | [(4096, 256, 16, 1) as $unit | $code / $unit % 16 | "0123456789abcdef"[.:. + 1]] | add;

# What JSON leaves as it is, and YAML takes for a line break, or not at all.
def escape: gsub("(?<it>[\u007f-\u009f\u2028\u2029\ufeff\ufffe\uffff])"; "\\u" + (.it | explode[0] | hex));

def scalar: if type == "string" and plain then . else tojson | escape end;

# Text of several lines, such as a script.
def block:
	type == "string" and contains("\n") and
	(test("^[ \t\n]|[^\n\t -\u007e\u00a0-\u2027\u202a-\ud7ff]|\n\n$|[ \t](\n|$)") | not);

def nested: type | IN("object", "array");

def yaml:
	def member($lead):
		if block then
			$lead + (if endswith("\n") then "|" else "|-" end),
			(rtrimstr("\n") | split("\n")[] | if . == "" then . else "  " + . end)
		elif nested and length > 0 then ($lead | rtrimstr(" ")), (yaml | if . == "" then . else "  " + . end)
		else $lead + scalar end;
	if nested | not then scalar
	elif length == 0 then tojson
	elif type == "object" then to_entries[] | (.key | scalar) as $key | .value | member($key + ": ")
	else
		.[]
		| if nested and length > 0 then
			[yaml] | "- " + .[0], (.[1:][] | if . == "" then . else "  " + . end)
		else member("- ") end
	end;

# ---- main -------------------------------------------------------------------------------------------

if any_wanted then
	try ([change | yaml] as $lines | ({ changed: true } | tojson), $lines[])
	catch (if type == "object" then . else { conflict: "not as its kind should be: \(.)" } end | tojson)
else { changed: false } | tojson end
