#!/usr/bin/env bats
# scripts/k8s-pod on what YAML allows: any string.

load helpers
load k8s

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
