# Who fills a volume, and who reads it, in the model of doctor-model.jq.

def others($model): .name as $name | $model.containers[] | select(.name != $name);
def ids: [.mounts[].id | select(. != null)];
def writes: (.ro or .given) | not;
def written: [.mounts[] | select(writes) | .id | select(. != null)];

def shares($model):
	. as $one
	| ids as $mine
	| any(others($model); any(.from[]; .name == $one.name) or any(.mounts[]; .id | meets($mine)));

def taken_from($model): .name as $name | any(others($model).from[]; .name == $name and .ro);

def writes_shared($model): written as $mine | any(others($model).mounts[]; .id | meets($mine));

# As before, and all others only read it.
def only_writer($model):
	. as $one
	| any(written[]; . as $id
		| [$one | others($model).mounts[] | select(.id | meets([$id]))]
		| length > 0 and all(writes | not));

# It shares a volume that nobody may write, and that begins empty.
def only_readers($model):
	. as $one
	| any(.mounts[]; .name != null and .ro and (.id | startswith("efs:") | not) and (.id as $id
		| [$one | others($model).mounts[] | select(.id | meets([$id]))]
		| length > 0 and all(.ro)));

# How sure it is that this fills a volume for others; lower is surer, `null` is not at all. First its name, and that
# others wait for its end; then one of the two; then that it may end, and that others only read what it writes.
def rank($model; $awaited):
	.name as $name
	| looks_like_data as $called
	| if $model.kind == "k8s" then
		if .init and $called and .mounts != [] then 1
		elif .init and writes_shared($model) then 2
		# A container that is meant to go on may have `data` in its name.
		elif $called and (.init or (.raw | serves) | not) and (only_writer($model) or (ends_in_data and writes_shared($model))) then 3
		else null end
	elif $name | IN($awaited[]) then
		if $called and (.mounts != [] or shares($model)) then 1
		elif writes_shared($model) or only_readers($model) or any(others($model).from[]; .name == $name) then 2
		else null end
	elif $called and (.ends or (ends_in_data and (.raw | serves | not))) and shares($model) then 3
	elif .ends and (taken_from($model) or (.one_shot and only_writer($model))) then 4
	elif .ends and only_writer($model) then 5
	else null end;

# Others than those with the name have to run decant, as far as can be seen, and to end.
def only_looks_so: .rank != null and (looks_like_data | not) and (foreign or .sidecar);

# For each volume the surest of those who may fill it. Who reads may have the data image, to verify.
def surest:
	. as $all
	| map(. as $one
		| (if written == [] then ids else written end) as $mine
		| select(any($all[]; .rank < $one.rank and any(written[]; meets($mine))) | not)
		| select(.mounts != [] and written == [] and any($all[]; .name != $one.name and any(written[]; meets($mine))) | not))
	# That it alone writes is a guess for want of a better one.
	| if any(.rank < 5) then map(select(.rank < 5)) else . end
	| sort_by(.rank);

# Whether --dest, --size and --bundle speak of it: of several, those that have the destination, or else the name.
def mark_bundled:
	. as $all
	| def covers: any(.mounts[]; .path as $path | $dest == $path or ($dest | startswith($path + "/")));
	map(.bundled = (
		if $dest != "" and any($all[]; covers) then covers
		elif any($all[]; looks_like_data) then looks_like_data
		else true end));

# Adds .data, the data containers with what each of them has .filled and its .consumers, and .unsure: those that
# fill a volume for others, too, but do not seem to do it with decant.
def add_roles:
	. as $model
	| (if $data != "" then [[.containers[] | select(.name == $data)], []]
		else
			awaited as $awaited
			| [.containers[] | .rank = rank($model; $awaited) | select(.rank != null)]
			| [map(select(only_looks_so | not)), map(select(only_looks_so))]
		end) as [$sure, $unsure]
	| ($sure | surest | mark_bundled) as $all
	| .unsure = [$unsure[] | select(.rank == 2 and (only_writer($model) or taken_from($model)))
		| select(written as $mine | any($all[]; any(written[]; meets($mine))) | not)]
	| .data = [$all[] | . as $one
		| (ids | unique) as $mine
		| [$model.containers[] | select(.name | IN($all[].name) | not)] as $others
		| .filled = [$mine[] | select(meets([$others[].mounts[].id]))]
		# A volume that nobody shares, such as one for /tmp, does not matter beside one that somebody does.
		| .filled = (if .filled == [] then $mine else .filled end)
		| .filled as $filled
		# What the data container itself waits for has made the volume ready for it, and reads nothing.
		| [.waits[] | select(.condition | IN($model.end[])) | .name] as $before
		| .consumers = [$others[] | select(.name | IN($before[]) | not) | select(
			any(.from[]; .name == $one.name) or any(.mounts[]; .id | meets($filled)))]];
