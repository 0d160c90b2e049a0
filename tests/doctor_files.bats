#!/usr/bin/env bats
# doctor: odd names of files, and in files, and signals.

load helpers

doctor=$top/scripts/doctor
fixtures=$top/tests/fixtures/doctor

# A bad file of two kinds.
setup() {
	cd "$BATS_TEST_TMPDIR" || return 1
	jq 'del(.containerDefinitions[0].essential)' "$fixtures/ecs.json" >task.json
	sed '/terminationMessagePolicy/d' "$fixtures/k8s.yaml" >pod.yaml
}

@test "a finding is one line without control characters, whatever stands in the file, and in the file's name" {
	jq '.containerDefinitions[0].name = "data\nprod.json: web: ecs-essential (error): forged\u001b[31m\u009b"
		| del(.containerDefinitions[1].dependsOn)' task.json >$'a\nb\e.json'
	run -1 "$doctor" $'a\nb\e.json'
	refute grep -vP '^a\?b\?\.json: ' <<<"$output"
	refute grep -qP '[\x00-\x1f\x7f-\x{9f}]' <<<"$output"
	echo '{"services": {"a\nb": {"image": ["\n\u001b"]}}}' >$'odd\n\e.json'
	run -2 --separate-stderr "$doctor" $'odd\n\e.json'
	[ "$(wc -l <<<"$stderr")" -eq 1 ]
	refute grep -qP '[\x00-\x1f]' <<<"$stderr"
	# Objects have it all.
	"$doctor" --json $'a\nb\e.json' >json || [ $? -eq 1 ]
	jq -e -s 'any(.file == "a\nb\u001b.json" and (.where | contains("\n")))' json
	# Nor is a backslash more than one.
	cp task.json 'x\new.json'
	run -1 "$doctor" 'x\new.json'
	[[ $output == 'x\new.json: data: ecs-essential '* ]]
	# A newline after a name is no part of one.
	jq '.volumes[0].name = "v\n" | .containerDefinitions[].mountPoints[0].sourceVolume = "v\n"
		| .containerDefinitions[1].image += "\n"' "$fixtures/ecs.json" >newline.json
	run -1 "$doctor" newline.json
	[[ $output == *ecs-volume-name* ]]
	[[ $output == *ecs-image\ * ]]
}

@test "a file may be called like an option" {
	cp task.json ./-s.json
	cp pod.yaml ./-p.yaml
	run -1 "$doctor" -- -s.json -p.yaml
	[[ ${lines[0]} == '-s.json: data: ecs-essential '* ]]
	[[ ${lines[1]} == '-p.yaml: '* ]]
}

@test "nothing is left behind when it is told to end" {
	mkdir tmp
	mkfifo pipe
	for signal in HUP:129 INT:130 TERM:143 PIPE:141; do
		# A shell's background job ignores INT.
		TMPDIR=$PWD/tmp perl -e '$SIG{$_} = "DEFAULT" for "HUP", "INT", "PIPE"; exec @ARGV' "$doctor" - task.json <pipe &
		exec 5>pipe
		for _ in $(seq 100); do
			! compgen -G 'tmp/*/stdin' || break
			sleep 0.1
		done
		kill -s "${signal%:*}" "$!"
		exec 5>&-
		status=0
		wait "$!" || status=$?
		[ "$status" -eq "${signal#*:}" ]
		[ -z "$(ls tmp)" ]
	done
}

@test "words that are booleans to Kubernetes and Compose are so to doctor, text is text" {
	sed '/^services:/,/^  web:/s/^    image: handbook-data/&\n    read_only: yes/; s/  restart: "no"/  restart: no/' \
		"$fixtures/compose.yaml" >compose.yaml
	run -0 "$doctor" compose.yaml
	sed 's,target: /srv/pages,&\n        read_only: yes,' compose.yaml >closed.yaml
	run -1 "$doctor" closed.yaml
	[[ $output == *compose-data-read-only* ]]
	sed 's/runAsNonRoot: true/runAsNonRoot: on/; s/runAsUser: 10001/runAsUser: 0/' "$fixtures/k8s.yaml" >pod.yaml
	run -1 "$doctor" pod.yaml
	[[ $output == *k8s-run-as-root* ]]
	sed '0,/mountPath: /s/mountPath: [a-z/]*/&, readOnly: Yes/' "$fixtures/k8s.yaml" >pod.yaml
	run -1 "$doctor" pod.yaml
	[[ $output == *k8s-data-read-only* ]]
	sed '0,/mountPath: /s/mountPath: [a-z/]*/&, readOnly: no/' "$fixtures/k8s.yaml" >pod.yaml
	run -0 "$doctor" pod.yaml
}
