#!/usr/bin/env bats
# What a user can check of what they run: the bill of materials, and that the same source gives the same image.

# shellcheck disable=SC2154 # helpers and engine set top, decant, decant_pack, run
load helpers
load engine

mount=/srv/site
sbom=$top/scripts/sbom

setup_file() {
	cd "$BATS_FILE_TMPDIR" || return 1
	engine_up
	small_tree site
	"$top/scripts/build-image" --source site --dest "$mount" --tag "$run-one" --base scratch --revision r1 >one.out
}

teardown_file() {
	engine_down
}

setup() {
	cd "$BATS_TEST_TMPDIR" || return 1
	share=$BATS_FILE_TMPDIR
}

# The image's own files, on standard output a tar.
contents() { # IMAGE
	local container
	container=$(docker create "$1")
	docker export "$container"
	docker rm -v "$container" >/dev/null
}

# All that SPDX 2.3 demands of such a document, and that each reference leads to something.
is_spdx() { # FILE
	jq -e '
		([.SPDXID] + [.packages[].SPDXID]) as $ids |
		def id: test("^SPDXRef-[a-zA-Z0-9.-]+$");
		.spdxVersion == "SPDX-2.3" and .dataLicense == "CC0-1.0" and .SPDXID == "SPDXRef-DOCUMENT" and
		(.name | length > 0) and
		(.documentNamespace | test("^https://[^# ]+$")) and
		(.creationInfo.created | test("^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$")) and
		(.creationInfo.creators | length > 0 and all(test("^(Tool|Person|Organization): .+"))) and
		(.packages | length > 0 and all(
			(.SPDXID | id) and (.name | length > 0) and (.downloadLocation | length > 0) and
			.filesAnalyzed == false and (.licenseDeclared | length > 0) and (.licenseConcluded | length > 0))) and
		($ids | length == (unique | length)) and
		any(.relationships[]; .spdxElementId == "SPDXRef-DOCUMENT" and .relationshipType == "DESCRIBES") and
		all(.relationships[]; (.spdxElementId | IN($ids[])) and (.relatedSpdxElement | IN($ids[])))
	' "$1" >/dev/null
}

# "decant 0.1.0 (zstd 1.5.4, xxHash 0.8.1, musl 1.2.3)", from what the bill says.
version_line() { # FILE PROGRAM
	jq -r --arg program "$2" '
		[.packages[] | {key: .name, value: .versionInfo}] | from_entries |
		"\($program) \(.[$program]) (zstd \(.zstd), xxHash \(.xxHash), musl \(.musl))"' "$1"
}

@test "the bill of materials is SPDX 2.3 and says of the programs what they say of themselves" {
	"$sbom" "$decant" "$decant_pack" >bill
	is_spdx bill
	[ "$(version_line bill decant)" = "$("$decant" --version)" ]
	[ "$(version_line bill decant-pack)" = "$("$decant_pack" --version)" ]
	for program in "$decant" "$decant_pack"; do
		[ "$(jq -r --arg name "$(basename "$program")" '.packages[] | select(.name == $name) | .checksums[0].checksumValue' bill)" = \
			"$(sha256sum "$program" | cut -d ' ' -f 1)" ]
	done
	# Each program is linked with each library.
	[ "$(jq '[.relationships[] | select(.relationshipType == "STATIC_LINK")] | length' bill)" -eq 6 ]
	# The test of the test: without a field, or with a reference to nowhere, it is none.
	jq 'del(.packages[0].downloadLocation)' bill >broken
	refute is_spdx broken
	jq '.relationships[0].relatedSpdxElement = "SPDXRef-none"' bill >broken
	refute is_spdx broken
}

@test "the same programs give the same bill, and its time is the source's" {
	"$sbom" "$decant" >one
	cp "$decant" .
	(umask 077 && TZ=Pacific/Auckland LC_ALL=C faketime '2031-02-03 04:05:06' "$sbom" ./decant) >other
	cmp one other
	SOURCE_DATE_EPOCH=1700000000 "$sbom" "$decant" >dated
	[ "$(jq -r .creationInfo.created dated)" = 2023-11-14T22:13:20Z ]
	diff <(jq 'del(.creationInfo.created)' one) <(jq 'del(.creationInfo.created)' dated)
	for epoch in soon -1 99999999999999999999; do
		SOURCE_DATE_EPOCH=$epoch run -2 --separate-stderr "$sbom" "$decant"
		[[ $stderr == "sbom: SOURCE_DATE_EPOCH=$epoch: "* ]]
		[ "$(wc -l <<<"$stderr")" -eq 1 ]
	done
}

@test "there is no bill of a program that does not say what is in it" {
	run -1 --separate-stderr "$sbom" /bin/ls
	[ -z "$output" ]
	run -1 --separate-stderr "$sbom" --like "$decant" /bin/ls
	[ -z "$output" ]
	[[ $stderr == *musl* ]]
	run -2 "$sbom"
	run -2 "$sbom" none
}

@test "a data image holds the bill of the decant in it" {
	contents "$run-one" | tar -xf - decant usr/share/decant/sbom.spdx.json
	is_spdx usr/share/decant/sbom.spdx.json
	[ "$(jq -r '.packages[] | select(.name == "decant") | .checksums[0].checksumValue' usr/share/decant/sbom.spdx.json)" = \
		"$(sha256sum decant | cut -d ' ' -f 1)" ]
	[ "$(version_line usr/share/decant/sbom.spdx.json decant)" = "$(docker run --rm --network none "$run-one" --version)" ]
	[ "$(stat -c %a usr/share/decant/sbom.spdx.json)" = 644 ]
	[ "$(stat -c %s usr/share/decant/sbom.spdx.json)" -le 4096 ]
}

layers() { # IMAGE
	docker image inspect --format '{{json .RootFS.Layers}}' "$1"
}

@test "the same source on another day, in another place, gives the same layer, and all of the configuration but its time" {
	layers "$run-one" >one
	config='{{json .Config.Entrypoint}} {{json .Config.Volumes}} {{json .Config.Labels}} {{json .Config.User}} {{json .Config.Env}}'
	docker image inspect --format "$config" "$run-one" >config
	id=$(docker image inspect --format '{{.Id}}' "$run-one")
	# No layer may come from the engine's cache. (NO_FAKE_STAT: the files' times are not faked.)
	docker image rm "$run-one" >/dev/null
	mkdir "another place"
	cp -a "$share/site" "another place/"
	touch -a "another place/site/index.html"
	(umask 077 && TZ=Pacific/Auckland NO_FAKE_STAT=1 faketime '2031-02-03 04:05:06' "$top/scripts/build-image" --source "another place/site" \
		--dest "$mount" --tag "$run-one" --base scratch --revision r1) >out
	layers "$run-one" | diff one -
	docker image inspect --format "$config" "$run-one" | diff config -
	# What differs is the id, by the time of the build, which the engine writes into the configuration: so it
	# was built anew, not found.
	[ "$(docker image inspect --format '{{.Id}}' "$run-one")" != "$id" ]
}

@test "a digest pins bundle and program: an image with another bundle has another one" {
	cp -a "$share/site" site
	printf x >>site/index.html
	"$top/scripts/build-image" --source site --dest "$mount" --tag "$run-two" --base scratch --revision r1 >out
	[ "$(layers "$run-one")" != "$(layers "$run-two")" ]
}

@test "a value of build-image is one value to docker, and a build that fails leaves no container" {
	docker ps -aq >containers
	# Which the engine may find wrong only when something needs a network.
	"$top/scripts/build-image" --source "$share/site" --dest "$mount" --tag "$run-bad" --base scratch \
		--network "none --tag $run-victim:latest" || true
	refute docker image inspect "$run-victim"
	docker image rm -f "$run-bad"
	# Its RUN fails: there is no shell in it, nor a package manager.
	run -1 "$top/scripts/build-image" --source "$share/site" --dest "$mount" --tag "$run-bad" --builder "$run-one" \
		--base scratch
	docker ps -aq | diff containers -
	refute docker image inspect "$run-bad"
}
