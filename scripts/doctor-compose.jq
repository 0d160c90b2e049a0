# The rules that scripts/doctor has for compose files alone.

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
	awaited as $awaited
	| (.containers[] | select(.name | IN($awaited[], $model.data[].name))
		| select((.raw.restart | IN("always", "unless-stopped")) or
			(.raw.deploy.restart_policy != null and (.raw.deploy.restart_policy.condition // "any") == "any"))
		| finding(.name; "compose-restart"; "it never counts as completed: set restart: \"no\"")),
	(.data[] | select(.raw.entrypoint != null and .entry == [])
		| finding(.name; "compose-entry-point"; "an empty one takes decant away, too: remove entrypoint")),
	(.data[] | select([.raw.scale, .raw.deploy.replicas] | any(type == "number" and . > 1))
		| finding(.name; "compose-replicas"; "they wait for each other's lock: one is enough")),
	(.data[] | . as $one | .consumers[] | . as $consumer | .mounts[]
		| select((.id | meets($one.filled)) and .kind == "volume" and .name != null and (.nocopy | not))
		| finding($consumer.name; "compose-nocopy"; "files that its image has at \(.path) are copied into an empty volume: add nocopy")),
	($project.volumes // {} | to_entries[] | select(.value.driver_opts.type? == "tmpfs") | .key as $name
		| select(any($model.data[]; .mounts[] as $mount | $mount.name == $name and ($mount.id | IN($model.data[].filled[]))))
		| finding("volume \($name)"; "compose-tmpfs-volume"; "it is unmounted while no container runs with it: remove driver_opts"));
