#!/usr/bin/env bats
# A bundle that comes by HTTP through a pipe: all of it or an error, whatever the network does.

load helpers
load engine

mount=/srv/site

# Two servers: nginx, as a store would run it, and one whose connections break where they are told to.
setup_file() {
	cd "$BATS_FILE_TMPDIR" || return 1
	engine_up
	small_tree old
	mkdir old/img
	head -c 5000 /dev/urandom >old/img/gone
	cp -a old new
	rm new/img/gone
	for i in 1 2 3 4 5 6; do
		head -c 1500000 /dev/urandom >"new/img/$i"
	done
	printf '<h1>two</h1>\n' >new/index.html
	mkdir www
	pack old www/old.tar.zst
	pack new www/new.tar.zst
	borders www/new.tar.zst >borders
	# Three frames at least, and no number by chance: what looks like a frame is one.
	[ "$(wc -l <borders)" -ge 3 ]

	chmod 755 "$BATS_RUN_TMPDIR" "$BATS_FILE_TMPDIR"
	cat >nginx.conf <<-'CONF'
		user root;
		pid /tmp/nginx.pid;
		events { }
		http {
			access_log off;
			server {
				listen 8080;
				root /www;
				limit_rate $arg_rate;
				location = /missing { return 404 "no such key"; }
				location = /broken { return 500 "try again"; }
				location = /busy { return 503 "slow down"; }
				location = /moved { return 301 /new.tar.zst; }
				location = /text { return 200 "<html>log in first</html>"; }
			}
		}
	CONF
	nginx=$(nginx_image "$BATS_FILE_TMPDIR")
	docker run -d --name "$run-nginx" -p 127.0.0.1::8080 -v "$PWD/www:/www:ro" -v "$PWD/nginx.conf:/nginx.conf:ro" \
		--entrypoint nginx "$nginx" -e stderr -c /nginx.conf -g 'daemon off;' >/dev/null
	store=http://$(docker port "$run-nginx" 8080)
	perl "$BATS_TEST_DIRNAME/fixtures/pipeline/server.pl" www port 3>&- 4>&- &
	echo $! >server.pid
	until_true test -s port
	flaky=http://127.0.0.1:$(cat port)
	until_true curl -fsS -o /dev/null "$store/old.tar.zst"
	export store flaky nginx
}

teardown_file() {
	cd "$BATS_FILE_TMPDIR" || return 1
	[ ! -s server.pid ] || kill "$(cat server.pid)" || :
	engine_down
}

setup() {
	cd "$BATS_TEST_TMPDIR" || return 1
	share=$BATS_FILE_TMPDIR
	name=$BATS_TEST_NAME
	# shellcheck source=scripts/lib.sh
	. "$top/scripts/lib.sh"
	export DECANT=$decant
	mkdir v
}

# A test that failed must not leave a sender waiting: bats would wait, too.
teardown() {
	local held
	for held in "$share"/www/gate?.tar.zst; do
		[ ! -e "$held" ] || : >"$held.go"
	done
	wait
}

# What decant said; curl has its own line, before or after.
decant_says() { # LINE-PART...
	stderr=$(grep '^decant' <<<"$stderr")
	says "$@"
}

# Where the bundle's frames begin: its last zstd frames are those of the tar stream.
borders() { # BUNDLE
	LC_ALL=C grep -obUaP '\x28\xb5\x2f\xfd' "$1" | cut -d : -f 1 |
		tail -n "$("$decant" info "$1" | sed -n 's/^frames: //p')"
}

id_of() { # NAME
	"$decant" info "$share/www/$1.tar.zst" | sed -n 's/^bundle: //p'
}

# The README's line, in a plain shell: its exit status is decant's.
pour() { # URL [OPTION...]
	local url=$1
	shift
	sh -c 'url=$1; shift; curl -fsS "$url" | "$DECANT" fill --dest v "$@" -' sh "$url" "$@" 2>log || {
		local status=$?
		cat log >&2
		return "$status"
	}
}

holds() { # NAME
	verify "$share/www/$1.tar.zst" v --extra
	[ "$("$decant" info v | sed -n 's/^bundle: //p')" = "$(id_of "$1")" ]
}

is_untouched() {
	[ -z "$(ls -A v)" ]
}

# Bytes of the bundle after which a connection breaks: before it, in the index, within a frame, between two,
# and one byte before the end.
cuts() {
	local first second size
	first=$(sed -n 1p "$share/borders")
	second=$(sed -n 2p "$share/borders")
	size=$(stat -c %s "$share/www/new.tar.zst")
	echo 0 20 $((first / 2)) "$first" $((first + 70000)) "$second" $((size - 70000)) $((size - 1))
}

@test "a bundle fills a volume through curl and a pipe" {
	pour "$store/new.tar.zst"
	holds new
	describe v >got
	describe "$share/new" | diff -a - got
	pour "$store/new.tar.zst"
	[ "$(summary written)" -eq 0 ]
	holds new
}

@test "a newer bundle by the pipe replaces what the volume held" {
	pour "$store/old.tar.zst"
	pour "$store/new.tar.zst" --expect "$(id_of new)"
	holds new
	[ ! -e v/img/gone ]
}

@test "the wrong bundle at the right place: exit 10, and nothing is written" {
	run -10 --separate-stderr pour "$store/new.tar.zst" --expect "$(id_of old)"
	decant_says 'standard input' "$(id_of old)" "$(id_of new)"
	is_untouched
	pour "$store/old.tar.zst"
	describe v >before
	run -10 pour "$store/new.tar.zst" --expect "$(id_of old)"
	describe v | diff -a before -
	holds old
	pour "$store/new.tar.zst" --expect "$(id_of new)"
}

@test "a connection that breaks anywhere: not exit 0, and the next run ends with a right volume" {
	for cut in $(cuts); do
		rm -rf v
		mkdir v
		run -10 --separate-stderr pour "$flaky/cut/$cut/new.tar.zst"
		[[ $stderr == *'curl: (18)'* ]]
		decant_says 'standard input'
		refute "$decant" verify --dest v "$share/www/new.tar.zst" >/dev/null 2>&1
		pour "$store/new.tar.zst"
		holds new
	done
}

@test "a connection that breaks anywhere leaves the release before it whole" {
	pour "$store/old.tar.zst"
	describe v >before
	for cut in $(cuts); do
		run -10 pour "$flaky/cut/$cut/new.tar.zst"
		describe v | diff -a before -
		holds old
	done
	pour "$store/new.tar.zst"
	holds new
}

@test "a connection that is reset is like one that breaks" {
	size=$(stat -c %s "$share/www/new.tar.zst")
	for cut in 20 4000000 $((size - 1)); do
		run -10 pour "$flaky/reset/$cut/new.tar.zst"
	done
	pour "$store/new.tar.zst"
	holds new
}

@test "an end that curl cannot know for one is seen by decant" {
	for cut in $(cuts); do
		run -0 --separate-stderr sh -c 'curl -fsS "$1" | wc -c' sh "$flaky/silent/$cut/new.tar.zst"
		[ "$output" -eq "$cut" ]
		run -10 pour "$flaky/silent/$cut/new.tar.zst"
	done
	pour "$flaky/silent/99999999/new.tar.zst"
	holds new
}

@test "an object that was stored short, or with more behind it, is refused" {
	pour "$store/old.tar.zst"
	describe v >before
	head -c 4000000 "$share/www/new.tar.zst" >"$share/www/short.tar.zst"
	cat "$share/www/new.tar.zst" "$share/www/old.tar.zst" >"$share/www/long.tar.zst"
	for object in short long; do
		run -10 pour "$store/$object.tar.zst"
		describe v | diff -a before -
	done
	holds old
}

@test "a curl that begins again in the middle of the stream is refused" {
	pour "$store/old.tar.zst"
	describe v >before
	cp "$share/www/new.tar.zst" "$share/www/again.tar.zst"
	# The second request brings all of it, behind the first part.
	run -10 sh -c 'curl -fsS --retry 1 --retry-all-errors --retry-delay 1 "$1" | "$DECANT" fill --dest v -' sh \
		"$flaky/once/4000000/again.tar.zst"
	[ -d "$share/www/again.tar.zst.once" ]
	describe v | diff -a before -
	holds old
}

@test "a link that stalls can be given up by curl, and the release before it stays whole" {
	pour "$store/old.tar.zst"
	describe v >before
	cp "$share/www/new.tar.zst" "$share/www/gate0.tar.zst"
	run -10 --separate-stderr sh -c 'curl -fsS --speed-limit 1000 --speed-time 1 "$1" | "$DECANT" fill --dest v -' sh \
		"$flaky/gate/700/gate0.tar.zst"
	: >"$share/www/gate0.tar.zst.go"
	[[ $stderr == *'curl: (28)'* ]]
	describe v | diff -a before -
	holds old
}

@test "an answer that is no bundle: exit 10, and the volume stays as it was" {
	for path in missing broken busy moved text none.tar.zst; do
		run -10 --separate-stderr pour "$store/$path"
		decant_says 'standard input'
		is_untouched
	done
	pour "$store/old.tar.zst"
	describe v >before
	for path in missing broken busy moved text; do
		run -10 pour "$store/$path"
		describe v | diff -a before -
	done
	holds old
}

@test "no server, or no such host: exit 10, and the volume stays as it was" {
	for url in http://127.0.0.1:1/new.tar.zst http://none.invalid/new.tar.zst; do
		run -10 pour "$url"
		is_untouched
	done
}

# What pipefail adds: curl's failure where decant had no need of the rest.
@test "with pipefail the status is decant's when it fails, and curl's when only curl fails" {
	pipe() { # URL
		bash -o pipefail -c 'curl -fsS "$1" | "$DECANT" fill --dest v -' bash "$1"
	}
	run -10 pipe "$store/missing"
	run -10 pipe "$flaky/cut/4000000/new.tar.zst"
	run -0 pipe "$store/new.tar.zst"
	# decant reads to the end also when nothing is to be done, so curl has nothing to complain about.
	run -0 pipe "$store/new.tar.zst"
	[[ $output == *': unchanged: '* ]]
	# Here it was cut: the volume is right, which is what decant answers for.
	run -18 pipe "$flaky/cut/4000000/new.tar.zst"
	[[ $output == *': unchanged: '* ]]
	pour "$flaky/cut/4000000/new.tar.zst"
	holds new
}

@test "a slow link fills the volume like a fast one" {
	"$maketree" --plain 200 plain
	pack plain "$share/www/slow.tar.zst"
	size=$(stat -c %s "$share/www/slow.tar.zst")
	pour "$store/slow.tar.zst?rate=$size"
	verify "$share/www/slow.tar.zst" v --extra
}

@test "files are on the volume before the transfer has ended" {
	third=$(sed -n 3p "$share/borders")
	cp "$share/www/new.tar.zst" "$share/www/gate1.tar.zst"
	pour "$flaky/gate/$third/gate1.tar.zst" 3>&- &
	pid=$!
	# What is in the first frame; the sender waits for us in front of the third.
	until_true cmp -s "$share/new/index.html" v/index.html
	until_true cmp -s "$share/new/img/1" v/img/1
	kill -0 "$pid"
	[ ! -s v/img/6 ]
	: >"$share/www/gate1.tar.zst.go"
	wait "$pid"
	holds new
}

@test "a volume that was filled shows its old release until the transfer has ended" {
	pour "$store/old.tar.zst"
	describe v >before
	third=$(sed -n 3p "$share/borders")
	cp "$share/www/new.tar.zst" "$share/www/gate2.tar.zst"
	pour "$flaky/gate/$third/gate2.tar.zst" 3>&- &
	pid=$!
	# The new files wait in decant's own folder.
	arrived() {
		[ -n "$(find v/.decant/tmp -type f -size 1500000c 2>/dev/null)" ]
	}
	until_true arrived
	describe v | diff -a before -
	kill -0 "$pid"
	: >"$share/www/gate2.tar.zst.go"
	wait "$pid"
	holds new
}

# ---- the same in an image -----------------------------------------------------------------------

# A base with curl in it. nginx:alpine has one; a stand-in gets this machine's, with its libraries.
curl_base() {
	local library
	printf 'FROM %s\n' "$nginx" >Dockerfile
	if ! docker run --rm --network none "$nginx" curl --version >/dev/null 2>&1; then
		mkdir -p curl/usr/bin
		cp "$(command -v curl)" curl/usr/bin/curl
		ldd curl/usr/bin/curl | grep -o '/[^ ]*' | sort -u | while read -r library; do
			mkdir -p "curl${library%/*}"
			cp -L "$library" "curl$library"
		done
		tar -C curl -cf curl.tar .
		echo 'ADD curl.tar /' >>Dockerfile
	fi
	# Its own entry point and command are nginx's.
	docker build -q -t "$run-curl" . >/dev/null
	docker run --rm --network none "$run-curl" curl --version | grep -q '^curl '
}

fetch_image() { # TAG BUNDLE-ID [DEST]
	mkdir -p context
	cp "$decant" context/decant
	docker build -q ${engine_network:+"$engine_network"} -t "$run-$1" -f "$top/docker/fetch.Dockerfile" \
		--build-arg "BASE=$run-curl" --build-arg "BUNDLE_ID=$2" --build-arg DEST="${3:-$mount}" \
		--build-arg BUNDLE_URL=http://127.0.0.1:8080/new.tar.zst context >build.log 2>&1
}

@test "an image that fetches its bundle takes the one that it was built for, and no other" {
	curl_base
	refute fetch_image none ''
	refute fetch_image none 123
	grep -q 'BUNDLE_ID: not a bundle id' build.log
	# What a base has at this place would be copied into each new volume.
	refute fetch_image none "$(id_of new)" /etc
	grep -q '/etc: not empty' build.log
	fetch_image fetch "$(id_of new)"
	fetch_image other "$(id_of old)"
	hard=(--read-only --cap-drop ALL --security-opt no-new-privileges --network "container:$run-nginx")
	run -10 --separate-stderr docker run --rm "${hard[@]}" -v "$run-v:$mount" "$run-other"
	decant_says 'standard input' "$(id_of old)"
	volume=$(docker volume inspect --format '{{.Mountpoint}}' "$run-v")
	[ -z "$(ls -A "$volume")" ]
	run -10 docker run --rm "${hard[@]}" -e BUNDLE_URL=http://127.0.0.1:8080/missing -v "$run-v:$mount" "$run-fetch"
	[ -z "$(ls -A "$volume")" ]
	docker run --rm "${hard[@]}" -v "$run-v:$mount" "$run-fetch"
	verify "$share/www/new.tar.zst" "$volume" --extra
	# With no network at all the volume stays right, and the exit status is not 0.
	run -10 docker run --rm --network none -v "$run-v:$mount" "$run-fetch"
	verify "$share/www/new.tar.zst" "$volume" --extra

	# Told to stop while the link is slow.
	cp "$share/www/new.tar.zst" "$share/www/gate3.tar.zst"
	docker run -d --name "$run-stop" --network host -v "$run-w:$mount" \
		-e BUNDLE_URL="$flaky/gate/$(sed -n 3p "$share/borders")/gate3.tar.zst" "$run-fetch"
	volume=$(docker volume inspect --format '{{.Mountpoint}}' "$run-w")
	until_true test -s "$volume/index.html"
	docker stop -t 60 "$run-stop"
	[ "$(docker inspect --format '{{.State.ExitCode}}' "$run-stop")" -eq 143 ]
	: >"$share/www/gate3.tar.zst.go"
}
