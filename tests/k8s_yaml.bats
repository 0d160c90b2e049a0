#!/usr/bin/env bats
# scripts/k8s-pod on what YAML allows: how a pod can be written, where documents begin and end, and any string.

load helpers
load k8s

# Two lines of names: of the objects, and of their init containers.
inside() { # FILE
	yq -s -j '(.[].metadata.name | ., " "), "\n", (.[].spec.initContainers[]?.name | ., " ")' "$1"
}

rest='metadata: { name: b }\nspec: { containers: [{ name: web }] }\n'

@test "a pod is one however its kind is written" {
	for pod in "kind: Pod\n$rest" "kind : Pod\n$rest" "\"kind\": Pod\n$rest" "!!str kind: Pod\n$rest" \
		"? kind\n: Pod\n$rest" "k: &k Pod\nkind: *k\n$rest" "\357\273\277kind: Pod\n$rest" \
		'{ "\\u006bind": Pod, '"${rest//\\n/, }}\n" \
		'  kind: Pod\n  metadata: { name: b }\n  spec: { containers: [{ name: web }] }\n'; do
		printf '%b' "kind: Pod\n${rest/b/a}---\n$pod" >two.yaml
		convert two.yaml >got.yaml
		inside got.yaml | diff <(printf 'a b \ndata data ') -
		# As the first it may have a license above.
		printf '%b' "$pod" >one.yaml
		convert one.yaml >got.yaml
		inside got.yaml | diff <(printf 'b \ndata ') -
	done
	printf '%b' "\357\273\277# A license\n---\nkind: Pod\n$rest" >one.yaml
	convert one.yaml >got.yaml
	inside got.yaml | diff <(printf 'b \ndata ') -
}

@test "what stands before a pod, and behind it, stays a document of its own" {
	local others=$'# A license.\nkind: ConfigMap\nmetadata: { name: a }   # a comment that stays'
	for begin in '---\n' '--- # a pod\n' '---\t\r\n' '--- !!map\n' '--- &x\n' '--- !!map # a pod\n' '...\n---\n' \
		'...\n# a pod\n%TAG !k! tag:k8s.example,2000:\n---\n' '---\n# a pod\n\n'; do
		printf '%b' "$others\n${begin}kind: Pod\n$rest---\nkind: Service\nmetadata: { name: c }\n" >three.yaml
		convert three.yaml >got.yaml
		inside got.yaml | diff <(printf 'a b c \ndata ') -
		diff <(head -n 3 got.yaml) - <<<"$others"
	done
	jq -n -c '{ kind: "Pod", metadata: { name: "b" }, spec: { containers: [{ name: "web" }] } }' >pod.json
	printf '%s\n' "$others" "--- $(cat pod.json)" >two.yaml
	convert two.yaml >got.yaml
	inside got.yaml | diff <(printf 'a b \ndata ') -
	# What a pod's end has to say of the next document.
	printf '%b' "kind: Pod\n$rest" '...\n%TAG !k! tag:yaml.org,2002:\n' \
		'---\nkind: !k!str Service\nmetadata: { name: c }\n' >two.yaml
	convert two.yaml >got.yaml
	inside got.yaml | diff <(printf 'b c \ndata ') -
	tail -n 5 two.yaml | diff - <(tail -n 5 got.yaml)
}

@test "documents that some readers take for one are refused" {
	for break in '\r' '\302\205' '\342\200\250'; do
		printf '%b' "kind: Pod\n${rest%\\n}$break---${break}kind: Service\n" >two.yaml
		refuses --image "$data" --path "$mount" two.yaml
		[[ $stderr == 'k8s-pod: two.yaml: read: '* ]]
	done
	# Above the content, too.
	for line in '---\r# a\r' '# a\r' '# a\302\205' '---\n# a\342\200\251'; do
		printf '%b' "${line}kind: Pod\n$rest" >hidden.yaml
		refuses --image "$data" --path "$mount" hidden.yaml
		[[ $stderr == 'k8s-pod: hidden.yaml: read: '* ]]
	done
	printf '%b' "kind: Pod\n$rest---\na: [\n" >broken.yaml
	refuses --image "$data" --path "$mount" broken.yaml
	[[ $stderr == 'k8s-pod: broken.yaml: read: not YAML'* ]]
}

@test "a thousand documents take a minute at most, and few open files" {
	for ((i = 1; i <= 1000; i++)); do
		printf -- '---\nkind: ConfigMap\nmetadata: { name: c%d }\n' "$i"
	done >others.yaml
	printf '%b' "---\nkind: Pod\n$rest" | cat others.yaml - >many.yaml
	(
		ulimit -n 64
		timeout 60 "$k8s_pod" --image "$data" --path "$mount" many.yaml
	) >got.yaml
	head -n 3000 got.yaml | cmp others.yaml -
	yq -r '.spec.initContainers[]?.name' got.yaml | grep -qx data
}

@test "no character is lost or breaks the result, for readers of YAML 1.1 and 1.2" {
	jq -n -c -a '[9, 127, range(128; 160), 160, 8231, 8232, 8233, 8234, 55295, 57344, 65279, 65533, 65534, 65535 |
			[.] | implode | ., "a\(.)b", "a\n\(.)b\n", "\(.)a\nb"]
		+ (["/", "sh", "a b", "a:b", "200Mi", "1"] | map(., . + "\n", . + "\n\n", . + "\r", . + "\u0085"))
		| (map({ key: "k\(.)", value: . }, { key: ., value: "v" }) | from_entries) as $annotations
		| { kind: "Pod", metadata: { name: "a", $annotations }, spec: { containers: [{ name: "a", args: . }] } }' >in.json
	convert in.json >out.yaml
	jq -S -c '.metadata.annotations, .spec.containers[0].args' in.json >want
	yq -S -c '.metadata.annotations, .spec.containers[0].args' out.yaml | diff want -
	# Debian's PyYAML, which yq stands on, reads YAML 1.1.
	/usr/bin/python3 -c 'import json, sys, yaml; json.dump(yaml.safe_load(sys.stdin), sys.stdout)' <out.yaml |
		jq -S -c '.metadata.annotations, .spec.containers[0].args' | diff want -
}

@test "words that are booleans to Kubernetes stay booleans, and text stays text" {
	cat >in.yaml <<'END'
kind: Pod
metadata:
  name: a
  labels: { app: "on", tier: 'no', zone: y-1 }
spec:
  hostNetwork: off
  automountServiceAccountToken: No # a comment
  shared: &shared { readOnlyRootFilesystem: yes, runAsNonRoot: on }
  containers:
  - name: a
    securityContext: *shared
    stdin: yes
    tty: "yes"
    args: [yes, "no", on, 'off', x]
    env:
    - name: script
      value: |
        debug: yes
        more: off
    - name: folded
      value: >-
        on

        off
  - { name: b, securityContext: { readOnlyRootFilesystem: "no", privileged: NO }, args: [] }
END
	# Debian's PyYAML reads YAML 1.1, as Kubernetes does.
	json() {
		/usr/bin/python3 -c 'import json, sys, yaml; json.dump(yaml.safe_load(sys.stdin), sys.stdout)' |
			jq -S 'del(.spec.initContainers, .spec.volumes, .spec.securityContext, .spec.containers[].volumeMounts)'
	}
	convert in.yaml >out.yaml
	json <in.yaml >want
	[ "$(jq -c '[.spec.hostNetwork, .spec.containers[0].args]' want)" = '[false,[true,"no",true,"off","x"]]' ]
	json <out.yaml | diff want -
	yq -S 'del(.spec.initContainers, .spec.volumes, .spec.securityContext, .spec.containers[].volumeMounts)' out.yaml | diff want -
}
