# The rules that scripts/doctor has for task definitions, compose files and pods alike.

def at($name): if .where == "" then $name else "\(.where)/\($name)" end;

# Where decant will fill, as far as that can be seen from here.
def destination:
	. as $one
	| [range(.command | length) | select($one.command[.] == "--dest") | $one.command[. + 1]]
		+ [.command[] | select(startswith("--dest=")) | ltrimstr("--dest=")]
		+ [.environment.DECANT_DEST | select(type == "string")] + [if .bundled and $dest != "" then $dest else empty end]
	| first // "" | if placeholder then "" else . end;

# What a shell does after decant, so that its failure is not the container's.
def hides_failure: command_line | test(decant_word + "[^;&|]*(\\|\\||;) *(true|:|exit 0)([ ;\"']|$)");

# A container that others wait for to end, or that is called data and ends, and that writes what $one fills without
# waiting for it.
def rivals($model; $one):
	.name as $name
	| any(.mounts[]; (.id | meets($one.filled)) and (.ro | not))
	and (($name | IN($model | awaited[])) or (.ends and looks_like_data))
	and (any(.waits[]; .name == $one.name) | not);

# The data containers that stand before $one and fill the same.
def earlier($model; $one):
	$model.data[range($model.data | map(.name) | index($one.name))] | select(.filled | any(IN($one.filled[])));

def common_data:
	.kind as $kind
	| . as $model
	| .data[] | . as $one
	| ($model | at($one.name)) as $where
	| (.mounts[] | select((.id | IN($one.filled[])) and .ro)
		| finding($where; "\($kind)-data-read-only"; "\(.path) is read-only, and decant has to write it: remove the flag here")),
	(select(hides_decant)
		| finding($where; "\($kind)-entry-point"; "it replaces decant, so nothing is filled: remove \($model.set_entry)")),
	(calls | select(. != [] and (any(fills) | not))
		| finding($where; "\($kind)-command"; "decant gets \"\(.[0][0])\" as its first argument and does not fill: remove \($model.set_command)")),
	(select(hides_failure)
		| finding($where; "\($kind)-command"; "the shell ends well when decant failed: remove what stands after it")),
	(select(.memory != null and .memory < 33554432)
		| finding($where; "\($kind)-memory"; "give it 32 MiB or more")),
	(select(.user != "" and (.user | test("^[0-9]+(:[0-9]+)?\\z") or placeholder | not))
		| finding($where; "\($kind)-user-name"; "a data image need not have a user \"\(.user)\": write UID:GID in numbers")),
	# What has no name yet may be the same volume.
	(select(.consumers == [] and (any($model.containers[].mounts[].id; . != null and nothing_else) | not))
		| finding($where; "\($kind)-volume-unused"; "mount the same volume in the \($model.thing) that reads it")),
	(destination as $dest | select($dest != "" and .mounts != [] and
		(any(.mounts[]; .path as $path | $dest == $path or ($dest | startswith($path + "/"))) | not))
		| finding($where; "\($kind)-dest"; "decant fills \($dest), and no volume is mounted there: change \($model.set_path), or build the image with another --dest")),
	(earlier($model; $one)
		| finding($where; "\($kind)-second-writer"; "\(.name) fills the same volume, and each would remove the other's files: one volume for each"));

def common_consumers:
	.kind as $kind
	| . as $model
	| .data[] | . as $one
	| .consumers[] | . as $consumer
	| ($model | at($consumer.name)) as $where
	| (select(rivals($model; $one))
		| finding($where; "\($kind)-second-writer"; "it writes the volume that \($one.name) fills, and nothing says which is first: one volume for each")),
	(select(any(.mounts[]; (.id | meets($one.filled)) and (.ro | not)) or any(.from[]; .name == $one.name and (.ro | not)))
		| select(rivals($model; $one) | not)
		| finding($where; "\($kind)-read-only"; "it can change what \($one.name) filled: set \($model.set_ro)")),
	(.mounts[] | select(.id | meets($one.filled)) | . as $mount
		| select(any($one.mounts[]; .id == $mount.id) and (any($one.mounts[]; .id == $mount.id and .path == $mount.path) | not))
		| finding($where; "\($kind)-path-differs"; "\($mount.path) here, \([$one.mounts[] | select(.id == $mount.id) | .path] | first) in \($one.name): use one path, without symbolic links, in both"));

def common_paths:
	.kind as $kind
	| . as $model
	| [.data[] | .filled[]] as $filled
	| .containers[] | . as $one
	| ($model | at($one.name)) as $where
	| .mounts[] | select((.id | meets($filled)) and (.path | placeholder | not))
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
	| (.data[] | . as $one | select(isempty(earlier($model; $one)))
		| .consumers[] | select(rivals($model; $one) | not) | . as $consumer
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

# Who fills a volume without decant may do it well; only its owner knows.
def common_unsure:
	.kind as $kind
	| . as $model
	| .unsure[].name as $name
	| finding($model | at($name); "\($kind)-not-decant"; "others read what it writes, and it is not checked, for it runs something else: name it with --data if decant should do this");

# Of two mounts at one path an engine takes one, or refuses both; so does the API.
def common_mounts:
	.kind as $kind
	| . as $model
	| [.data[] | .filled[]] as $filled
	| .containers[] | . as $one
	| ($model | at($one.name)) as $where
	| [
		(.mounts[] | { path, id, from: null }), (.tmpfs[] | { path: ., id: null, from: null }),
		(.from[].name as $name | $model.containers[] | select(.name == $name) | .mounts[] | { path, id, from: $name })
	]
	| map(select(.path != "") | .path |= sub("(?<=.)/+$"; "")) | group_by(.path)[]
	| .[0].path as $path
	| (select(map(select(.from == null)) | length > 1)
		| finding($where; "\($kind)-mount-twice"; "two of its mounts are at \($path): remove one")),
	# The same volume may come by both ways.
	(select(map(select(.from == null)) | length < 2)
		| map(select(.from != null and (.id | meets($filled)))) as $brought
		| select($brought != [] and (map(.id) | unique | length > 1))
		| finding($where; "\($kind)-mount-twice"; "something else is mounted at \($path), where it takes a volume from \($brought[0].from): remove one"));

# What a registry would take; the letters of a digest are as many as its algorithm says.
def image_name:
	test("^([A-Za-z0-9.-]+(:[0-9]+)?/|\\[[0-9A-Fa-f:]+\\](:[0-9]+)?/)?[a-z0-9]+((\\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\\.|_|__|-+)[a-z0-9]+)*)*"
		+ "(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(@(sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}))?\\z");

def common_image_names:
	.kind as $kind
	| . as $model
	| [.data[] | .name, .consumers[].name] as $used
	| .containers[] | .name as $name
	| (.image | select(. != "" and (placeholder or test("…|\\.\\.\\.") or image_name | not))
		| finding($model | at($name); "\($kind)-image"; "\(tojson) is no name of an image: write NAME:TAG, or NAME@sha256: with 64 of 0-9a-f")),
	# What comes without may be a patch, or a file that goes over another.
	(select(.image == "" and ($kind == "ecs" or (($name | IN($used[])) and all(.raw.build, .raw.extends, .raw.provider; . == null))))
		| finding($model | at($name); "\($kind)-image"; "there is none: set image"));

# In a compose file the names are keys.
def common_twice:
	.kind as $kind
	| . as $model
	| def twice: group_by(.)[] | select(length > 1) | .[0];
	([.containers[].name] | twice as $name
		| finding($model | at($name); "\($kind)-name-twice"; "two containers have this name: rename one")),
	([.raw.volumes | list[] | .name // empty] | twice as $name
		| finding($model | at("volume \($name)"); "\($kind)-name-twice"; "two volumes have this name: rename one"));

def common:
	common_data, common_consumers, common_unsure, common_paths, common_mounts, common_images, common_image_names, common_names;
