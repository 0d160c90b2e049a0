# shellcheck shell=bash disable=SC2034,SC2154 # used by, and set by, the tests that load this
# Manifests, and what k8s-pod makes of them, or says of them.

k8s_pod=$top/scripts/k8s-pod
mount=/usr/share/nginx/html
data=registry.example/site-data@sha256:b1e0f2c3d4a5968778695a4b3c2d1e0ff0e1d2c3b4a5968778695a4b3c2d1e0f
site=$top/tests/fixtures/k8s/site.yaml

convert() { # FILE [OPTION...]
	local file=$1
	shift
	"$k8s_pod" --image "$data" --path "$mount" "$@" "$file"
}

# The objects of the result, as kubectl would see them.
pod_of() { # FILE [FILTER]
	yq -c "select(.kind != \"ConfigMap\" and .kind != \"Service\") | .spec.template.spec | ${2:-.}" "$1"
}

refuses() { # ARGUMENT...
	run -2 --separate-stderr "$k8s_pod" "$@"
	if [ -n "$output" ] || [ "$(wc -l <<<"$stderr")" -ne 1 ] || [[ $stderr != k8s-pod:\ *:\ *:\ * ]]; then
		printf '%s\n' "$*" "$output" "$stderr" >&2
		return 1
	fi
}
