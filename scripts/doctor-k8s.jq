# The rules that scripts/doctor has for pods alone.

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
	| common, common_twice,
	([$model.object | select(.kind == "StatefulSet") | .spec.volumeClaimTemplates | list[] | .metadata.name] as $claimed
		| $spec.volumes | list[] | .name | select(IN($claimed[])) | . as $name
		| finding($model | at("volume \($name)"); "k8s-volume-shadowed"; "the claim of volumeClaimTemplates with this name takes its place: remove one, or rename it")),
	(.containers[] | select(.init and .raw.restartPolicy != "Always") | . as $one
		| [.raw | keys[] | select(IN("lifecycle", "livenessProbe", "readinessProbe", "startupProbe"))] | select(length > 0)
		| finding($model | at($one.name); "k8s-init-probe"; "remove \(join(", "))")),
	(.data[] | . as $one
		| ($model | at($one.name)) as $where
		| (if .bundled then $size else null end) as $size
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
