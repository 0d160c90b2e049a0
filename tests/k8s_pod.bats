#!/usr/bin/env bats
# scripts/k8s-pod: what it makes of manifests, and that such a pod serves the files, or does not start.

load helpers
load k8s

# podman with all its own below one folder, and no network: what a pod serves is asked for inside of it. This
# runc, because the machine need not have crun; the limits, because podman's own are above what root may set.
podman_here() {
	CONTAINERS_CONF=$BATS_FILE_TMPDIR/containers.conf CONTAINERS_STORAGE_CONF=$BATS_FILE_TMPDIR/storage.conf \
		podman --root "$pods/root" --runroot "$pods/run" --tmpdir "$pods/tmp" "$@"
}

# A manifest as somebody had it before they knew of decant. podman 4 gives two pods one volume when their emptyDirs
# have one name, and of two pods that start at once it may refuse it to one.
plain_pod() { # NAME
	cat <<-POD
		apiVersion: v1
		kind: Pod
		metadata:
		  name: $1
		  annotations:
		    # podman forgets an init container that ended, unless it is told not to.
		    io.podman.annotations.init.container.type: always
		spec:
		  # podman would start a failed init container again for ever.
		  restartPolicy: Never
		  volumes: [{ name: tmp-$1, emptyDir: {} }]
		  containers:
		    - name: web
		      image: localhost/$run-web
		      securityContext: { readOnlyRootFilesystem: true }
		      env:
		        - { name: ONE, value: "y" }
		        - { name: TWO, value: "1e3" }
		        - { name: THREE, value: "0o17" }
		        - { name: FOUR, value: "12:30:45" }
		        - { name: FIVE, value: "a: b # c" }
		      volumeMounts: [{ name: tmp-$1, mountPath: /tmp }]
	POD
}

# Images come from a Docker Engine, private or not, and go to podman as `docker save` writes them. Then one pod is
# started with a good bundle and one with a damaged one. podman 4 waits 20 seconds for each: the tests that need no
# pod come first.
setup_file() {
	local kind status
	cd "$BATS_FILE_TMPDIR" || return 1
	name=k8s_pod.bats
	# shellcheck source=scripts/lib.sh
	. "$top/scripts/lib.sh"
	printf '[engine]\nruntime = "runc"\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n' >containers.conf
	printf '[containers]\ndefault_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]\nlog_driver = "k8s-file"\n' >>containers.conf
	printf '[storage]\ndriver = "overlay"\nrunroot = "/run"\ngraphroot = "/var"\n' >storage.conf
	# Short, for a socket's path; bats' own is not.
	pods=$(mktemp -d "${TMPDIR:-/tmp}/decant-p.XXXXXX")
	run=decant-test-$$
	export pods run
	chmod 755 "$pods"

	engine_start "$pods/e" 3>&- 4>&-
	small_tree site
	pack site site.tar.zst --dest "$mount"
	cp site.tar.zst damaged.tar.zst
	damage damaged.tar.zst $(($(wc -c <site.tar.zst) - 200))
	# podman gives an emptyDir the image's mode at that path, as Docker does with a named volume. Kubernetes does not.
	"$top/scripts/build-image" --bundle site.tar.zst --tag "localhost/$run-site" --base scratch --mount-mode 0777 >/dev/null
	# Only the bundle differs: build-image would not take a damaged one.
	printf 'FROM localhost/%s-site\nCOPY damaged.tar.zst /bundle/site.tar.zst\n' "$run" >Dockerfile
	docker build -q --tag "localhost/$run-damaged" . >/dev/null
	docker build -q ${engine_network:+"$engine_network"} --build-arg "BASE=$(nginx_image "$BATS_FILE_TMPDIR")" \
		--tag "localhost/$run-web" -f "$top/docker/app.Dockerfile" "$top/docker" >/dev/null
	for kind in site damaged web; do
		docker save "localhost/$run-$kind" | podman_here load -q
		docker image rm -f "localhost/$run-$kind" >/dev/null
	done
	engine_stop

	for kind in site damaged; do
		plain_pod "$kind" >"$kind.plain.yaml"
		"$k8s_pod" --image "localhost/$run-$kind@$(podman_here image inspect --format '{{.Digest}}' "localhost/$run-$kind")" \
			--path "$mount" --bundle site.tar.zst --volume "$kind" "$kind.plain.yaml" >"$kind.yaml"
	done
	for kind in site damaged; do
		(
			podman_here play kube --network none "$kind.yaml" && status=0 || status=$?
			echo "$status" >"$kind.status"
		) >"$kind.out" 2>&1 3>&- 4>&- &
		disown "$!"
	done
}

# The pod has been started, or could not be.
pods_tried() {
	local kind
	for kind in site damaged; do
		[ -e "$BATS_FILE_TMPDIR/$kind.out" ] || return 1
		for _ in $(seq 600); do
			[ ! -s "$BATS_FILE_TMPDIR/$kind.status" ] || break
			sleep 0.2
		done
		cat "$BATS_FILE_TMPDIR/$kind.out"
	done
	[ -s "$BATS_FILE_TMPDIR/site.status" ] && [ -s "$BATS_FILE_TMPDIR/damaged.status" ]
}

teardown_file() {
	cd / || return 1
	# Without it, every mount of the machine would be below it.
	[ -n "${pods:-}" ] || return 0
	pods_tried >/dev/null || :
	podman_here pod rm --all --force --time 1 >/dev/null 2>&1
	podman_here image rm --all --force >/dev/null 2>&1
	awk -v dir="$pods/" 'index($2, dir) == 1 { print $2 }' /proc/mounts | sort -r | xargs -r -n 1 umount
	rm -rf -- "$pods"
}

# ---- manifests ----------------------------------------------------------------------------------

@test "a Deployment gets the init container, the volume and the mounts, and all else stays" {
	convert "$site" --size 200Mi --app web >got.yaml
	diff "$top/tests/fixtures/k8s/site.result.yaml" got.yaml
}

@test "a second run changes nothing" {
	convert "$site" --size 200Mi --app web >one.yaml
	convert one.yaml --size 200Mi --app web | cmp one.yaml -
	# Nor does one that says less.
	convert one.yaml --app web | cmp one.yaml -
}

@test "doctor finds nothing wrong with the result" {
	small_tree tree
	pack tree b.tar.zst --dest "$mount"
	"$k8s_pod" --image "$data" --bundle b.tar.zst "$site" >got.yaml
	run -0 "$top/scripts/doctor" --strict --bundle b.tar.zst got.yaml
	[ -z "$output" ]
	refute "$top/scripts/doctor" --strict "$site"
}

@test "the README's pod is what it makes of a small one" {
	sed -n '/^### Kubernetes/,/^### EFS/p' "$top/README.md" | awk '/^```yaml$/ { inside = 1; next } /^```$/ { inside = 0 } inside' |
		sed "s,registry.example/site-data@sha256:…,$data," >want.yaml
	printf '%s\n' 'apiVersion: v1' 'kind: Pod' 'metadata: { name: site }' 'spec:' \
		'  containers: [{ name: app, image: registry.example/site-app@sha256:… }]' >pod.yaml
	"$k8s_pod" --image "$data" --path "$mount" --size 200Mi pod.yaml >got.yaml
	# Also the order, for people read it; what needs quotes in YAML is not the point.
	diff <(yq -c . want.yaml) <(yq -c . got.yaml)
}

@test "documents that are not changed are copied byte for byte, with their comments" {
	convert "$site" >got.yaml
	head -n 10 "$site" | cmp - <(head -n 10 got.yaml)
	tail -n 5 "$site" | cmp - <(tail -n 5 got.yaml)
	grep -qx '# Source: site/templates/deployment.yaml' got.yaml
	convert "$site" --workload other 2>log && return 1
	grep other log
}

@test "standard input is read without FILE, and JSON is YAML, too" {
	convert "$site" >got.yaml
	"$k8s_pod" --image="$data" --path="$mount" <"$site" | cmp got.yaml -
	yq 'select(.kind == "Deployment")' "$site" >site.json
	convert site.json | yq -c . >one
	yq -c 'select(.kind == "Deployment")' got.yaml | diff - one
}

@test "every kind of object that makes pods is changed, in a List, too" {
	yq -c 'select(.kind == "Deployment") | .spec.template' "$site" >template.json
	jq -c '{ kind: "Pod", metadata: { name: "a" }, spec }' template.json >Pod.yaml
	jq -c '{ kind: "CronJob", metadata: { name: "a" }, spec: { jobTemplate: { spec: { template: . } } } }' template.json >CronJob.yaml
	for kind in StatefulSet DaemonSet ReplicaSet ReplicationController Job; do
		jq -c --arg kind "$kind" '{ $kind, metadata: { name: "a" }, spec: { template: . } }' template.json >"$kind.yaml"
	done
	for kind in Pod CronJob StatefulSet DaemonSet ReplicaSet ReplicationController Job; do
		printf -- '---\n'
		cat "$kind.yaml"
	done >all.yaml
	jq -c -s '{ kind: "List", items: . }' Pod.yaml Job.yaml >>all.yaml
	sed -i 's/^{"kind":"List"/---\n&/' all.yaml
	convert all.yaml | yq -c '.kind, (.. | objects | select(.initContainers?) |
		[.initContainers[].name, (.containers[].volumeMounts[-1] | .name, .readOnly)])' >is
	changed='["data","migrate","data",true,"data",true]'
	for kind in Pod CronJob StatefulSet DaemonSet ReplicaSet ReplicationController Job; do
		printf '"%s"\n%s\n' "$kind" "$changed"
	done >want
	printf '"List"\n%s\n%s\n' "$changed" "$changed" >>want
	diff want is
}

@test "only the containers that --app names get the mount, also init containers" {
	convert "$site" --app metrics --app migrate >got.yaml
	pod_of got.yaml '[.initContainers[], .containers[]] | map(select(any(.volumeMounts[]?; .name == "data" and .readOnly)) | .name)' |
		grep -qx '\["migrate","metrics"\]'
	refuses --image "$data" --path "$mount" --app nobody "$site"
	[[ $stderr == *nobody* ]]
}

@test "what somebody changed in the result stays, unless an option says otherwise" {
	convert "$site" --size 100Mi >one.yaml
	sed -e 's/cpu: 100m/cpu: 50m/' -e 's/runAsUser: 10001/runAsUser: 2000/' -e 's/sizeLimit: 100Mi/sizeLimit: 1Gi\n            medium: Memory/' \
		-e 's/terminationMessagePolicy: .*/&\n          imagePullPolicy: Always/' one.yaml >two.yaml
	refute cmp one.yaml two.yaml
	convert two.yaml | cmp two.yaml -
	other=${data%?}0
	"$k8s_pod" --image "$other" --path "$mount" --size 300Mi --user 3000 --memory 128Mi --fs-group 4000 two.yaml >three.yaml
	pod_of three.yaml '[.initContainers[0] | .image, .imagePullPolicy, .securityContext.runAsUser, .resources.requests.cpu, .resources.limits.memory],
		.volumes[1].emptyDir, .securityContext.fsGroup' >is
	printf '%s\n' "[\"$other\",\"Always\",3000,\"50m\",\"128Mi\"]" '{"sizeLimit":"300Mi","medium":"Memory"}' 4000 | diff - is
}

@test "--user any leaves user and group to the cluster" {
	convert "$site" --user any >got.yaml
	pod_of got.yaml '[.initContainers[0].securityContext.runAsUser, .initContainers[0].securityContext.runAsNonRoot, .securityContext.fsGroup]' |
		grep -qx '\[null,true,null\]'
	convert got.yaml --user any | cmp got.yaml -
}

@test "the user is the pod's own, when it has one that is not root" {
	yq -c 'select(.kind == "Deployment") | .spec.template.spec.securityContext = { runAsUser: 101, fsGroup: 7 }' "$site" >own.yaml
	convert own.yaml >got.yaml
	pod_of got.yaml '[.initContainers[0].securityContext.runAsUser, .securityContext.fsGroup]' | grep -qx '\[101,7\]'
}

@test "--bundle gives the path and a size with room, and another path is refused" {
	small_tree tree
	head -c 40M /dev/urandom >tree/large
	pack tree b.tar.zst --dest /srv/www
	"$k8s_pod" --image "$data" --bundle b.tar.zst "$site" >got.yaml
	pod_of got.yaml '.initContainers[0].volumeMounts[0].mountPath, .volumes[1].emptyDir.sizeLimit' >is
	printf '"/srv/www"\n"61Mi"\n' | diff - is
	refuses --image "$data" --bundle b.tar.zst --path "$mount" "$site"
	[[ $stderr == *'the bundle is for /srv/www'* ]]
}

@test "every string comes out as it went in, for readers of YAML 1.1 and 1.2" {
	jq -n -c '{ kind: "Pod", metadata: { name: "a", annotations: (["y", "no", "On", "null", "~", "", " ", "a ", " a", "1", "1.5", "1e3", ".5", "0x1f",
		"0o17", "017", "1_000", "12:30", "2024-01-02", "+1", "-", "- a", "a: b", "a:", "a #b", "#", "!a", "&a", "*a", "?", "? a", "|", ">", "%", "@a", "`", "<<", "=",
		"[", "{}", "a,b", "\"", "\u0027", "\\", "\t", "a\tb", "\n", "a\n", "a\nb", "a\nb\n", "a\n\nb\n", "a\nb\n\n", " a\nb", "\na", "a \nb", "a\n  b\n", "a\r\nb\r\n",
		"#a\nb", "- a\n- b\n", "a\n---\nb\n", "\u007f", "\u0001", "é", "日本\n語", "\ud83d\ude00", "true", "TRUE", "NaN", ".inf", "Infinity", "a/b", "200Mi", "1k", "sh -c x"]
		| to_entries | map({ key: "k\(.key)", value }) | from_entries), labels: { "y": "1", "a b": "2", "1": "3" } },
		spec: { hostNetwork: false, priority: -5, overhead: null, tolerations: [], nodeSelector: {}, containers: [{ name: "a" }] } }' >in.json
	convert in.json >out.yaml
	jq -c '.metadata, (.spec | del(.containers))' in.json >want
	yq -c '.metadata, (.spec | del(.containers, .initContainers, .volumes, .securityContext))' out.yaml | diff want -
	# Debian's PyYAML, which yq stands on, reads YAML 1.1.
	/usr/bin/python3 -c 'import json, sys, yaml; json.dump(yaml.safe_load(sys.stdin), sys.stdout)' <out.yaml |
		jq -c '.metadata, (.spec | del(.containers, .initContainers, .volumes, .securityContext))' | diff want -
	# What a label without quotes would be for Kubernetes.
	grep -qF '"y": "1"' out.yaml
}

@test "manifests to which it cannot be added are refused" {
	printf 'kind: Service\n' >service.yaml
	printf 'kind: Pod\nspec: {a: [\n' >broken.yaml
	printf 'kind: Pod\nmetadata: {{ .Values.meta }}\n' >template.yaml
	printf 'kind: Pod\nmetadata: { name: a }\n' >empty.yaml
	printf 'kind: Pod\nspec: { containers: [1] }\n' >odd.yaml
	sed 's/name: web/name: data/' "$site" >name.yaml
	sed 's/name: migrate/name: data/' "$site" >init.yaml
	sed 's/name: tmp/name: data/' "$site" >volume.yaml
	sed "s,/tmp,$mount," "$site" >path.yaml
	: >nothing.yaml
	for file in service broken template empty odd name init volume path nothing none; do
		refuses --image "$data" --path "$mount" "$file.yaml"
		[[ $stderr == *"$file.yaml"* ]]
	done
	mkdir folder
	refuses --image "$data" --path "$mount" folder
	[[ $stderr == 'k8s-pod: folder: read: is a directory' ]]
	refuses --image "$data" --bundle folder "$site"
	[[ $stderr == *'is a directory' ]]
	# An empty name is not standard input.
	refuses --image "$data" --path "$mount" ''
	[[ $stderr == 'k8s-pod: FILE: read: empty name' ]]
	refuses --image "$data" --path "$mount" - </dev/null
	[[ $stderr == 'k8s-pod: standard input: read: empty' ]]
}

@test "usage is refused in one line, with exit 2, and an image without a digest, too" {
	refuses --path "$mount" "$site"
	refuses --image "$data" "$site"
	refuses --image registry.example/site-data:v1 --path "$mount" "$site"
	[[ $stderr == *digest* ]]
	refuses --image registry.example/site-data@sha256:1234 --path "$mount" "$site"
	for option in '--image=a b' --path=srv --path=/ --path=/a/../b --path=/a/ '--path=/a b' --name=Data --name=-a --volume=a_b --user=0 --user=root \
		--user=010 --user=2147483648 --user=9999999999 --fs-group=x --fs-group=00 --fs-group=4294967296 --size=big \
		--memory=1x $'--size=200Mi\na: b' $'--memory=64Mi\na: b' $'--size=200Mi\n' --bundle=none --app= --nonsense=1; do
		refuses --image "$data" --path "$mount" "$option" "$site"
		[[ $stderr == *"${option%%=*}"* ]]
	done
	refuses --image "$data" --path "$mount" "$site" "$site"
	"$k8s_pod" --image registry.example/site-data:v1 --allow-tag --path "$mount" "$site" | grep -q 'image: registry.example/site-data:v1'
}

# ---- real pods ----------------------------------------------------------------------------------

@test "the pod's nginx serves the files of the data image, byte for byte" {
	pods_tried
	[ "$(cat "$BATS_FILE_TMPDIR/site.status")" -eq 0 ]
	for path in index.html same.html css/a.css css/numbers css/home none; do
		podman_here exec site-web wget -q -O - "http://127.0.0.1:8080/$path" | cmp - "$BATS_FILE_TMPDIR/site/$path"
	done
	run podman_here exec site-web wget -q -O - http://127.0.0.1:8080/.decant/state
	[ "$status" -ne 0 ]
}

@test "decant ran as the user and with the rights that the manifest gives it, and the app cannot write the files" {
	pods_tried
	podman_here inspect --format '{{.State.ExitCode}} {{.Config.User}} {{.HostConfig.ReadonlyRootfs}} {{.EffectiveCaps}}' site-data >is
	echo '0 10001 true []' | diff - is
	[[ $(podman_here logs site-data 2>&1 | tail -n 1) == 'decant: '*bundle* ]]
	run podman_here exec --user 0 site-web touch "$mount/index.html"
	[ "$status" -ne 0 ]
	[[ $output == *Read-only* ]]
}

@test "what the manifest had to say of the app arrives there as it was, also what looks like no string" {
	pods_tried
	podman_here exec site-web env | grep -E '^(ONE|TWO|THREE|FOUR|FIVE)=' | sort >is
	printf '%s\n' 'FIVE=a: b # c' FOUR=12:30:45 ONE=y THREE=0o17 TWO=1e3 | diff - is
}

@test "with a damaged bundle the app never starts, and the log's last line is the reason" {
	pods_tried
	[ "$(cat "$BATS_FILE_TMPDIR/damaged.status")" -ne 0 ]
	podman_here inspect --format '{{.State.Status}} {{.State.ExitCode}}' damaged-data | tee /dev/stderr | grep -qx 'exited 10'
	podman_here inspect --format '{{.State.Status}} {{.State.StartedAt}}' damaged-web | grep -E '^(created|configured) 0001-01-01'
	stderr=$(podman_here logs damaged-data 2>&1)
	says /bundle/site.tar.zst
	# What the kubelet would take as the termination message.
	[ "$(tail -c 2048 <<<"$stderr" | tail -n 80 | tail -n 1)" = "${stderr##*$'\n'}" ]
	run podman_here exec damaged-web true
	[ "$status" -ne 0 ]
}
