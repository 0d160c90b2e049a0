# Who fills a volume, and who reads it, in the model of doctor-model.jq.

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
