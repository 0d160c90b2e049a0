#!/usr/bin/env bats
# scripts/k8s-pod on what it made itself, with what others added since, and on what only looks like that.

load helpers
load k8s

# A Pod, or another object, as a jq program makes it of one with two containers.
object() { # FILE JQ-PROGRAM
	jq -n '{ kind: "Pod", metadata: { name: "a" }, spec: { containers: [{ name: "web", image: "w" }, { name: "side", image: "s" }] } }
		| '"$2" >"$1"
}

# Who mounts the volume where: "container:path", in order.
mounts() { # FILE
	yq -r '[.spec.initContainers[]?, .spec.containers[] | .name as $name
		| .volumeMounts[]? | select(.name == "data") | "\($name):\(.mountPath)\(.subPath // "" | if . == "" then . else "(" + . + ")" end)"]
		| join(" ")' "$1"
}

conflict() { # FILE PART...
	local file=$1 part
	shift
	refuses --image "$data" --path "$mount" "$file"
	for part in "$file: change: " "$@"; do
		[[ $stderr == *"$part"* ]] || {
			printf 'no "%s" in: %s\n' "$part" "$stderr" >&2
			return 1
		}
	done
}

@test "a volume of that name that is a StatefulSet's claim, or nowhere, is a conflict" {
	object claim.json '{ kind: "StatefulSet", metadata, spec: { template: { spec },
		volumeClaimTemplates: [{ metadata: { name: "data" }, spec: {} }] } }
		| .spec.template.spec.containers[0].volumeMounts = [{ name: "data", mountPath: "/var/lib" }]'
	conflict claim.json 'volume data is there'
	object unused.json '{ kind: "StatefulSet", metadata, spec: { template: { spec },
		volumeClaimTemplates: [{ metadata: { name: "data" }, spec: {} }] } }'
	conflict unused.json 'volume data is there'
	object nowhere.json '.spec.containers[1].volumeMounts = [{ name: "data", mountPath: "/var/lib" }]'
	conflict nowhere.json 'container side mounts volume data'
	convert claim.json --volume html | yq -c '.spec.template.spec.volumes' | grep -qx '\[{"name":"html","emptyDir":{}}\]'
}

@test "a claim that took the place of the emptyDir stays the volume" {
	object set.json '{ kind: "StatefulSet", metadata, spec: { template: { spec } } }'
	convert set.json | yq 'del(.spec.template.spec.volumes) | .spec.volumeClaimTemplates = [{ metadata: { name: "data" }, spec: {} }]' >one.json
	convert one.json --size 100Mi >two.yaml
	yq -e '.spec.template.spec | has("volumes") | not' two.yaml
	convert two.yaml --size 100Mi | cmp two.yaml -
}

@test "other mounts of the volume stay, before and behind the one of the files" {
	object pod.json .
	convert pod.json | yq '.spec.containers[0].volumeMounts |= [{ mountPath: "/first", name: "data", subPath: "a" }] + .
		+ [{ name: "data", mountPath: "/etc/app/css", subPath: "css" }]' >one.json
	convert one.json >two.yaml
	diff <(jq -S . one.json) <(yq -S . two.yaml)
	convert two.yaml | cmp two.yaml -
	# Another path moves that of the files alone.
	"$k8s_pod" --image "$data" --path /srv two.yaml >three.yaml
	[ "$(mounts three.yaml)" = 'data:/srv web:/first(a) web:/srv web:/etc/app/css(css) side:/srv' ]
}

@test "a persistent volume with a part for the files and a part for the app keeps both" {
	object pod.json '.spec |= ({
			initContainers: [{ name: "data", image: "registry.example/site-data:v1",
				volumeMounts: [{ name: "data", mountPath: "'"$mount"'", subPath: "www" }] }],
			volumes: [{ name: "data", persistentVolumeClaim: { claimName: "c" } }] } + .)
		| .spec.containers[0].volumeMounts = [{ name: "data", mountPath: "'"$mount"'", subPath: "www" },
			{ name: "data", mountPath: "/state", subPath: "state" }]'
	convert pod.json >got.yaml
	[ "$(mounts got.yaml)" = "data:$mount(www) web:$mount(www) web:/state(state)" ]
	yq -c '.spec.containers[0].volumeMounts[1]' got.yaml | grep -qx '{"name":"data","mountPath":"/state","subPath":"state"}'
	yq -c .spec.volumes got.yaml | grep -qx '\[{"name":"data","persistentVolumeClaim":{"claimName":"c"}}\]'
}

@test "an init container of that name that is somebody else's is a conflict" {
	object pod.json '.spec |= ({
			initContainers: [{ name: "data", image: "busybox:1", command: ["sh"], volumeMounts: [{ name: "data", mountPath: "/x" }] }],
			volumes: [{ name: "data", emptyDir: {} }] } + .)'
	conflict pod.json 'another init container has the name data'
	convert pod.json --name files --volume files | yq -c '[.spec.initContainers[].name]' | grep -qx '\["files","data"\]'
	# The same image of another release and place is ours.
	jq '.spec.initContainers[0].image = "registry.example/site-data:v0"' pod.json >ours.json
	convert ours.json >got.yaml
	[ "$(mounts got.yaml)" = "data:$mount web:$mount side:$mount" ]
}

@test "a path is the same with a slash at its end" {
	object other.json '.spec.volumes = [{ name: "tmp", emptyDir: {} }]
		| .spec.containers[1].volumeMounts = [{ name: "tmp", mountPath: "'"$mount"'/" }]'
	conflict other.json "container side has volume tmp at $mount"
	object pod.json .
	convert pod.json >one.yaml
	sed "s,$mount,&/," one.yaml >slash.yaml
	convert slash.yaml | cmp one.yaml -
}

@test "without --app a second run keeps the readers of the first, wherever the files are" {
	object pod.json '.spec.initContainers = [{ name: "warm", image: "i" }]'
	convert pod.json --app web --app warm >one.yaml
	convert one.yaml | cmp one.yaml -
	"$k8s_pod" --image "$data" --path /srv one.yaml >two.yaml
	[ "$(mounts two.yaml)" = 'data:/srv warm:/srv web:/srv' ]
	# Another can join, and none is left behind.
	"$k8s_pod" --image "$data" --path /srv --app side one.yaml >three.yaml
	[ "$(mounts three.yaml)" = 'data:/srv warm:/srv web:/srv side:/srv' ]
	refuses --image "$data" --path "$mount" --app data one.yaml
}

@test "an init container that reads the files comes after the data, wherever it was" {
	object pod.json '.spec.initContainers = (["first", "warm", "late"] | map({ name: ., image: "i" }))'
	convert pod.json | yq '.spec.initContainers |= .[1:3] + [.[0], .[3]]' >one.json
	[ "$(yq -c '[.spec.initContainers[].name]' one.json)" = '["first","warm","data","late"]' ]
	convert one.json --app warm >two.yaml
	[ "$(yq -c '[.spec.initContainers[].name]' two.yaml)" = '["first","data","warm","late"]' ]
	[ "$(mounts two.yaml)" = "data:$mount warm:$mount web:$mount side:$mount" ]
	run "$top/scripts/doctor" two.yaml
	[[ $output != *k8s-order* ]]
	convert two.yaml | cmp two.yaml -
	# Where none reads them before, it stays at its place.
	convert one.json --app late | yq -c '[.spec.initContainers[].name]' | grep -qx '\["first","warm","data","late"\]'
}

@test "paths that no image can have are refused, and a pod without containers" {
	for path in /decant /bundle/a /proc /proc/1 /sys/x /dev; do
		refuses --image "$data" --path "$path" "$site"
		[[ $stderr == *'no place for a volume' ]]
	done
	object none.json '.spec.containers = []'
	conflict none.json 'Pod a has no containers'
}
