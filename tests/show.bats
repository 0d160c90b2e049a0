#!/usr/bin/env bats
# list, info, help and version.

load helpers

setup_file() {
	cd "$BATS_FILE_TMPDIR"
	small_tree tree
	touch "$(printf 'tree/new\nline')" "$(printf 'tree/\xff\\')"
	touch -d '2024-01-02 03:04:05.678901234' tree tree/*
	pack tree b.tar.zst --revision "r1 β" --dest /usr/share/nginx/html
}

setup() {
	cd "$BATS_TEST_TMPDIR"
	cp "$BATS_FILE_TMPDIR/b.tar.zst" .
}

@test "list prints one path a line, directories with a slash, odd bytes escaped" {
	"$decant" list b.tar.zst | sed 's,^\./$,,; /^$/d' | LC_ALL=C sort >seen
	printf '%s\n' css/ css/a.css css/home css/numbers empty/ index.html 'new\x0aline' none same.html '\xff\\' | LC_ALL=C sort >wanted
	diff wanted seen
}

@test "list --null prints raw names" {
	"$decant" list --null b.tar.zst | LC_ALL=C sort -z | sed -z 's,^\./$,,' | tr -d '\n' | tr '\0' '|' >seen
	grep -q 'newline|' seen
	"$decant" list -0 b.tar.zst | cmp - <("$decant" list --null b.tar.zst)
	[ "$("$decant" list -0 b.tar.zst | tr -dc '\0' | wc -c)" -ge 10 ]
}

@test "list --long shows modes, owners, sizes, times, targets and hard links" {
	"$decant" list --long b.tar.zst >seen
	grep -q -- '-> ../index.html$' seen
	grep -q 'same.html link to index.html$' seen
	grep -E '(-rw-r--r--|644) +0/0 +8893 .*2024-01-02.* css/numbers$' seen
}

@test "list reads a pipe" {
	"$decant" list b.tar.zst >wanted
	cat b.tar.zst | "$decant" list - | cmp - wanted
}

@test "list to a closed reader ends quietly" {
	"$maketree" --plain 20000 many
	pack many many.tar.zst
	timeout 20 bash -c '"$0" list many.tar.zst | head -n 1' "$decant"
}

@test "info says what is in a bundle" {
	"$decant" info b.tar.zst >seen
	grep -qxE 'bundle: [0-9a-f]{32}' seen
	grep -qx 'revision: r1 β' seen
	grep -qx 'dest: /usr/share/nginx/html' seen
	grep -qxE 'files: [0-9]+' seen
	grep -qx 'symlinks: 1' seen
	grep -qx 'hardlinks: 1' seen
	grep -qxE 'directories: [23]' seen
	grep -qxE 'bytes: [0-9]+' seen
	grep -qxE 'frames: 1' seen
	grep -qx "packed: $(stat -c %s b.tar.zst)" seen
	grep -qxE 'packer: decant .*[0-9]+\.[0-9]+\.[0-9]+.*' seen
	cat b.tar.zst | "$decant" info - >piped
	grep -v '^packed:' seen | diff - <(grep -v '^packed:' piped)
}

@test "info says what is on a volume, and when that was" {
	mkdir v
	run -11 --separate-stderr "$decant" info v
	says v
	fill b.tar.zst v
	"$decant" info v >seen
	[ "$(grep ^bundle: seen)" = "$("$decant" info b.tar.zst | grep ^bundle:)" ]
	grep -qx 'revision: r1 β' seen
	filled=$(sed -n 's/^filled: //p' seen)
	[[ $filled == *Z ]]
	age=$(($(date +%s) - $(date -d "$filled" +%s)))
	[ "$age" -ge 0 ] && [ "$age" -le 60 ]
}

@test "info --log json is one JSON object" {
	"$decant" info --log json b.tar.zst >seen
	jq -e '.bundle and .revision == "r1 β" and .symlinks == 1' seen
	mkdir v
	fill b.tar.zst v
	"$decant" info --log json v | jq -e '.bundle and .filled'
}

@test "the bundle's id is the XXH3-128 of its index: it names neither file nor time of packing" {
	cp -a "$BATS_FILE_TMPDIR/tree" .
	pack tree again.tar.zst --revision "r1 β" --dest /usr/share/nginx/html
	[ "$("$decant" info again.tar.zst | grep ^bundle:)" = "$("$decant" info b.tar.zst | grep ^bundle:)" ]
}

@test "help names every option and every exit code" {
	"$decant" --help >help
	for word in fill verify list info --dest --threads --prune --sync --create --setid --expect --lock-timeout \
		--no-space-check --log --progress --extra --no-owner --long --null DECANT_DEST; do
		grep -q -- "$word" help
	done
	for code in 0 1 2 10 11 12 13 14 15 16 128; do
		grep -qE "(^|[^0-9])$code([^0-9]|$)" help
	done
	"$decant" fill --help | cmp - help
	"$decant_pack" --help >help
	for word in --dest --level --ultra --threads --owner --preserve-owner --revision --exclude --ignore-file \
		--no-ignore-file --skip-special --setid --no-xattrs --quiet -o; do
		grep -q -- "$word" help
	done
}

@test "the version is the same everywhere" {
	version=$("$decant" --version | sed -n '1s/^decant \([0-9.]*\).*/\1/p')
	[ -n "$version" ]
	[[ $("$decant_pack" --version) == "decant-pack $version"* ]]
	"$decant" info b.tar.zst | grep -q "^packer: decant.*$version"
}

@test "results that cannot be written are an error" {
	run -12 --separate-stderr bash -c '"$0" list b.tar.zst >/dev/full' "$decant"
	run -12 --separate-stderr bash -c '"$0" info b.tar.zst >/dev/full' "$decant"
	run --separate-stderr bash -c '"$0" --help >/dev/full' "$decant"
	[ "$status" -ne 0 ]
}

@test "list --long shows the last years that a calendar has" {
	mount_tmpfs far size=1M
	touch -d @67768036191676000 far/f
	pack far far.tar.zst
	"$decant" list --long far.tar.zst | grep ' 2147485547-12-31T23:46:40'
}

@test "info of a directory that may not be looked into is one line" {
	mkdir -p v s
	echo x >s/file
	pack s b.tar.zst
	fill b.tar.zst v
	chmod 744 v/.decant
	chmod 755 .
	run -15 --separate-stderr setpriv --reuid 65534 --regid 65534 --clear-groups "$decant" info v
	says v/.decant
	status=0
	strace -qq -o trace -e trace=newfstatat -e inject=newfstatat:error=EIO:when=1+ "$decant" info v >out 2>err || status=$?
	[ "$status" -eq 13 ]
	[ "$(wc -l <err)" -eq 1 ]
}

@test "info tells no volume without a release, or with fewer, from one that could not be read" {
	mkdir a b plain trees
	for name in a b; do
		echo $name >$name/file
		pack $name $name.b
		"$decant" fill --keep-releases 1 --dest plain $name.b
		"$decant" fill --switch --dest trees $name.b
	done
	for dir in plain trees; do
		"$decant" info $dir >right
		[[ $(grep -c '^kept: ' right) -eq 1 ]]
		strace -qq -o trace "$decant" info $dir >out
		sed -n 's/^\(open.*\|.*fstat.*\|pread64\|read.*\|getdents64\)(.*/\1/p' trace | awk '{ print $1, ++n[$1] }' >all
		[[ $(wc -l <all) -gt 20 ]]
		while read -r call when; do
			status=0
			strace -qq -o trace -e trace="$call" -e inject="$call:error=EIO:when=$when" \
				"$decant" info $dir >out 2>err || status=$?
			[[ $status -eq 13 || $status -eq 1 ]] || cmp out right || {
				echo "$dir: EIO at $call $when: exit $status: $(cat err)" >&2
				return 1
			}
		done <all
		for ((n = 4; n < 24; n++)); do
			status=0
			prlimit --nofile=$n "$decant" info $dir >out 2>err || status=$?
			[[ $status -eq 1 ]] || cmp out right || {
				echo "$dir: $n descriptors: exit $status: $(cat err)" >&2
				return 1
			}
		done
		[[ $status -eq 0 ]]
	done
	# Nor does verify say that another tree is the current one.
	ln -sfn "./$(readlink trees/current)" trees/current
	"$decant" verify --switch --dest trees b.b
	run -13 --separate-stderr strace -qq -o trace -e trace=newfstatat -e inject=newfstatat:error=EIO:when=1 \
		"$decant" verify --switch --dest trees b.b
}

@test "info of trees says which of them it may not look into" {
	mkdir a b trees
	for name in a b; do
		echo $name >$name/file
		chown -R 1000:1000 $name
		[[ $name == b ]] || chmod 700 a
		pack $name $name.b --preserve-owner
	done
	bare=(setpriv --bounding-set -all --inh-caps -all)
	"$decant" fill --switch --dest trees a.b
	run -15 --separate-stderr "${bare[@]}" "$decant" info trees
	says "Permission denied"
	"$decant" fill --switch --dest trees b.b
	[[ $("$decant" info trees | grep -c '^kept: ') -eq 1 ]]
	run -15 --separate-stderr "${bare[@]}" "$decant" info trees
	says "Permission denied"
}
