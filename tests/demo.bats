#!/usr/bin/env bats
# scripts/demo beside others: what it takes away, and what it does not.

load helpers
load engine

setup_file() {
	cd "$BATS_FILE_TMPDIR" || return 1
	engine_up
}

teardown_file() {
	engine_down
}

setup() {
	cd "$BATS_TEST_TMPDIR" || return 1
}

site() { # DIR
	mkdir "$1"
	echo "<h1>$1</h1>" >"$1/index.html"
	seq 100 >"$1/$1.html"
	echo last >"$1/z.html"
}

# All that the engine has, images without a name, too.
there() {
	docker image ls --format '{{.Repository}}:{{.Tag}} {{.ID}}' | sort
	docker ps -aq | sort
	docker volume ls -q | sort
}

@test "two demos with one process id do not meet, and other names of their images stay" {
	site one
	site other
	# Who has the stand-in, or the image of the same files, keeps it.
	cp -r one mine
	"$decant_pack" --quiet --dest /usr/share/nginx/html --revision r1 -o mine.tar.zst mine
	name=demo.bats
	. "$top/scripts/lib.sh"
	base=$(base_image "$PWD")
	# Two demos that both make it leave one of them without a name.
	nginx_image "$PWD" >/dev/null
	"$top/scripts/build-image" --bundle mine.tar.zst --tag "$run-mine:prod" --base "$base" >/dev/null
	there >before
	for n in one other; do
		unshare --pid --fork --mount-proc "$top/scripts/demo" --no-bootstrap --source "$n" >$n.log 2>&1 3>&- 4>&- &
	done
	status=0
	wait -n || status=$?
	wait -n || status=$?
	[ $status -eq 0 ] || {
		cat one.log other.log
		return 1
	}
	grep -q '^same bytes: .*/one.html' one.log
	grep -q '^same bytes: .*/other.html' other.log
	there | diff before -
}
