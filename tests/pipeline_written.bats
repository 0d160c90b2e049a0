#!/usr/bin/env bats
# docker/pipeline: that what is written down there are the commands that scripts/pipeline-demo runs, in the form that
# CodeBuild, CodePipeline and GitHub Actions take.

load helpers

mount=/usr/share/nginx/html
pipeline=$top/docker/pipeline

setup_file() {
	cd "$BATS_FILE_TMPDIR" || return 1
	# jq is quicker with JSON than yq with YAML.
	for file in data/buildspec data/workflow app/buildspec app/deploy.buildspec app/workflow; do
		yq . "$pipeline/$file.yml" >"${file/\//.}.json"
	done
	small_tree site
	# What scripts/publish-data prints.
	jq -n --arg dest "$mount" '{ image: ("registry.example/site@sha256:" + ("0" * 64)), bundle: ("0" * 32), revision: "v1",
		$dest, sizes: { packed: 632, unpacked: 81, disk: 8192, entries: 4 } }' >release.json
}

setup() {
	cd "$BATS_TEST_TMPDIR" || return 1
	share=$BATS_FILE_TMPDIR
	release=$share/release.json
}

# Each file as JSON: data.buildspec and so on.
json() { # NAME
	echo "$share/$1.json"
}

pipelines() {
	printf '%s\n' data.buildspec data.workflow app.buildspec app.deploy.buildspec app.workflow
}

# The commands that the demo runs, or their like.
build_of() { # BUILDSPEC, or WORKFLOW JOB
	case $1 in
	*buildspec) jq -r '.phases.build.commands[]' "$(json "$1")" ;;
	*) jq -rj --arg job "$2" '.jobs[$job].steps[] | select(.id == "build").run' "$(json "$1")" ;;
	esac
}

all_commands() { # NAME
	jq -r '(.phases // {} | .[].commands[]), (.jobs // {} | .[].steps[].run // empty)' "$(json "$1")"
}

@test "the workflows run the commands of the buildspecs, which are those that the demo runs" {
	for words in 'data.buildspec data.workflow publish' 'app.buildspec app.workflow check' \
		'app.deploy.buildspec app.workflow deploy'; do
		read -r buildspec workflow job <<<"$words"
		build_of "$buildspec" >one
		[ "$(wc -l <one)" -ge 3 ]
		build_of "$workflow" "$job" | diff one -
	done
	grep -q scripts/publish-data <(build_of data.buildspec)
	grep -q scripts/test-pair <(build_of app.buildspec)
	grep -q scripts/ecs-task-definition <(build_of app.buildspec)
}

@test "the app's pipeline ends when doctor finds an error in what it has rendered" {
	# It comes last: nothing may make the definition anew behind its back.
	build_of app.buildspec | tail -n 1 >doctor
	grep -q 'scripts/doctor' doctor
	export DECANT=$top
	cp "$release" data.json
	"$top/scripts/ecs-task-definition" --image "$(jq -r .image data.json)" --path "$mount" \
		--app-image "registry.example/app@sha256:$(printf '1%.0s' {1..64})" "$pipeline/app/task-definition.json" >good.json
	cp good.json rendered.json
	run -0 sh -eu doctor
	[ -z "$output" ]
	# One that its own file shows, one that the release shows, and no file at all.
	jq '(.containerDefinitions[] | select(.name == "data")).essential = true' good.json >rendered.json
	run -1 sh -eu doctor
	[[ $output == *ecs-essential* ]]
	cp good.json rendered.json
	jq '.sizes.disk = 30000000000' "$release" >data.json
	run -1 sh -eu doctor
	[[ $output == *ecs-ephemeral-size* ]]
	jq '.dest = "/srv/www"' "$release" >data.json
	run -1 sh -eu doctor
	[[ $output == *ecs-dest* ]]
	rm rendered.json
	run -2 sh -eu doctor
}

@test "every command of a pipeline is shell, and the scripts that it names are there" {
	pipelines | while read -r file; do
		all_commands "$file" >commands
		[ -s commands ]
		shellcheck -s sh -S warning -e SC2155 commands
		grep -o 'DECANT/scripts/[a-z-]*' commands | sed 's,DECANT/,,' | sort -u >named || :
		while read -r script; do
			[ -x "$top/$script" ]
		done <named
	done
}

@test "buildspecs have what CodeBuild asks for, and leave nothing for after a failure" {
	for file in data.buildspec app.buildspec app.deploy.buildspec; do
		jq -e '.version == 0.2
			and (.phases | keys - ["install", "pre_build", "build"] == [])
			and (.phases | all(.[]; .commands | type == "array" and all(.[]; type == "string")))
			and (keys - ["version", "env", "phases", "artifacts"] == [])' "$(json "$file")"
	done
	# The deploy stage gets what it needs from the stage before it.
	jq -e '.artifacts.files == ["rendered.json", "deploy.buildspec.yml"]' "$(json app.buildspec)"
}

# What becomes of a release in the app's repository, here `app.git`: the commands of the data pipeline after the build.
propose() { # JQ-PROGRAM OF THE RELEASE
	rm -rf build
	mkdir build
	jq "$1" "$release" >build/data.json
	(
		cd build
		export REVISION=v1 APP_REPOSITORY=../app.git GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@example.org \
			GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@example.org
		sh -eu ../propose
	)
}

@test "a data pipeline can be run again: before its release is merged, and after" {
	build_of data.buildspec | sed -n '/^git clone/,$p' >propose
	[ "$(wc -l <propose)" -ge 5 ]
	git init -q --bare -b main app.git
	git clone -q app.git first 2>/dev/null
	git -C first -c user.name=a -c user.email=a@example.org commit -qm app --allow-empty
	git -C first push -q origin HEAD:main
	propose .
	propose '.bundle = "1"'
	[ "$(git -C app.git rev-list --count data-v1)" -eq 2 ]
	[ "$(git -C app.git show data-v1:data.json | jq -r .bundle)" = 1 ]
	git -C app.git branch -f main data-v1
	propose '.bundle = "1"'
	[ "$(git -C app.git rev-parse main)" = "$(git -C app.git rev-parse data-v1)" ]
	# Nor does the workflow open a second pull request.
	jq -r '.jobs.publish.steps[-1].run' "$(json data.workflow)" >open
	printf '%s\n' '#!/bin/sh' 'echo "$2" >>asked' '[ "$2" != list ] || cat number' >gh
	chmod +x gh
	mv build/app build/data.json .
	for number in 0 1; do
		echo "$number" >number
		REVISION=v1 APP=a/b PATH=$PWD:$PATH bash -e open
	done
	[ ! -e asked ]
	git -C app.git branch -f main main~
	git -C app fetch -q
	for number in 0 1; do
		echo "$number" >number
		REVISION=v1 APP=a/b PATH=$PWD:$PATH bash -e open
	done
	[ "$(tr '\n' ' ' <asked)" = 'list create list ' ]
}

@test "the data pipelines get the history, which has the time of the site's last commit" {
	jq -e '[.jobs[].steps[] | select(.uses // "" | startswith("actions/checkout@")).with."fetch-depth"] == [0]' \
		"$(json data.workflow)"
	jq -e '.pipeline.stages[0].actions[0].configuration.OutputArtifactFormat == "CODEBUILD_CLONE_REF"' \
		"$pipeline/data/codepipeline.json"
}

# Asks Amazon's own client, the distribution's, for a pipeline where nobody answers: it looks at the input first.
create() { # FILE
	AWS_CONFIG_FILE=/dev/null AWS_PAGER='' AWS_MAX_ATTEMPTS=1 run ! /usr/bin/aws codepipeline create-pipeline --no-sign-request \
		--region us-east-1 --endpoint-url http://127.0.0.1:1 --cli-input-json "file://$1"
}

@test "Amazon's own model takes the pipelines, whose stages hand on what the next ones need" {
	for repository in data app; do
		file=$pipeline/$repository/codepipeline.json
		create "$file"
		[[ $output == *'Could not connect to the endpoint'* ]]
		jq '.pipeline.stages[0].actions[0].actionTypeId.owner = 1' "$file" >wrong.json
		create "$PWD/wrong.json"
		[[ $output == *'Parameter validation failed'* ]]
		jq -e '[.pipeline.stages[].actions[]] as $all
			| $all[0].actionTypeId.category == "Source" and $all[0].configuration.BranchName == "main"
			and ([range(1; $all | length)] | all(. as $n
				| $all[$n].inputArtifacts == $all[$n - 1].outputArtifacts and $all[$n].actionTypeId.provider == "CodeBuild"))' "$file"
	done
	# One stage for each buildspec.
	[ "$(jq -c '[.pipeline.stages[].name]' "$pipeline/data/codepipeline.json")" = '["Source","Build"]' ]
	[ "$(jq -c '[.pipeline.stages[].name]' "$pipeline/app/codepipeline.json")" = '["Source","Build","Deploy"]' ]
}

@test "two checkouts of one commit give one bundle" {
	git init -q data
	cp -a "$share/site" data/site
	git -C data add -A
	git -C data -c user.name=a -c user.email=a@example.org commit -qm one
	build_of data.buildspec | grep SOURCE_DATE_EPOCH >epoch
	[ "$(wc -l <epoch)" -eq 3 ]
	for n in 1 2; do
		git clone -q data "$n"
		touch -d "204$n-01-01" "$n/site/index.html" "$n/site/css" "$n/site"
		(
			cd "$n"
			. ../epoch
			"$decant_pack" --quiet -o "../$n.tar.zst" site
		)
	done
	cmp 1.tar.zst 2.tar.zst
	# Without the time of a commit there is no release.
	mkdir bare none none/site
	git init -q none
	for n in bare none; do
		run -1 bash -c 'cd "$0" && GIT_CEILING_DIRECTORIES=$PWD/.. bash -e ../epoch && echo passed' "$n" || [ "$status" -eq 128 ]
		[[ $output != *passed* ]]
	done
}

@test "workflows have what GitHub asks for: triggers, runners, and steps that either use or run" {
	for file in data.workflow app.workflow; do
		# YAML 1.1 reads the key `on` as true.
		jq -e '(.on // .true).push.branches == ["main"]
			and .permissions.contents == "read"
			and (.jobs | length > 0 and all(.[]; ."runs-on" and (.steps | length > 0)))
			and ([.jobs[].steps[] | has("uses") != has("run")] | all)
			and ([.jobs[].steps[].uses // empty | test("^[a-z-]+/[a-z-]+@v[0-9]+$")] | all)' "$(json "$file")"
	done
	# A release that fails the check is not deployed, and a proposal never is.
	jq -e '.jobs.deploy.needs == "check" and .jobs.deploy.if == "github.ref == '"'refs/heads/main'"'"' \
		"$(json app.workflow)"
}

@test "every variable of a pipeline's commands comes from somewhere" {
	pipelines | while read -r file; do
		all_commands "$file" | grep -oE '\$\{?[A-Z_]+' | tr -d '${' | sort -u >used
		[ -s used ]
		# Set in the file, told at its top to be set in the project, set by a command, or the service's own.
		{
			jq -r '(.env.variables // {} | keys[]), (.jobs // {} | .[] | (.env // {}), (.steps[].env // {}) | keys[])' \
				"$(json "$file")"
			sed '/^#/!q' "$pipeline/${file/.//}.yml" | grep -oE '[A-Z_]{3,}'
			all_commands "$file" | sed -En 's/^(export )?([A-Z_]+)=.*/\2/p'
			echo CODEBUILD_RESOLVED_SOURCE_VERSION
		} | sort -u >known
		comm -23 used known >missing
		cat missing
		[ ! -s missing ]
	done
}
