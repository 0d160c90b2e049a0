# shellcheck shell=bash disable=SC2034,SC2154 # used by, and set by, the tests that load this
# Releases of one tree, and what a directory that is filled with --switch must show and hold.

release() { # N DIR
	mkdir -p "$2/deep/er" "$2/empty"
	echo "release $1" >"$2/index.html"
	seq -f "release $1 line %g" 400 >"$2/deep/er/page"
	echo same >"$2/same"
	echo "release $1" >"$2/current"
	ln -s deep/er/page "$2/link"
	ln "$2/same" "$2/deep/hard"
	find "$2" -exec touch -h -d '2024-01-02 03:04:05.678901234' {} +
}

setup_file() {
	local n
	cd "$BATS_FILE_TMPDIR" || return 1
	for n in 1 2 3 4 5; do
		release $n r$n
		pack r$n r$n.tar.zst --revision r$n
		describe r$n >r$n.tree
		"$decant" info r$n.tar.zst | sed -n 's/^bundle: //p' >r$n.id
	done
}

setup() {
	cd "$BATS_TEST_TMPDIR" || return 1
	share=$BATS_FILE_TMPDIR
	mkdir v
}

id_of() { # N
	echo "$(<"$share/r$1.id")"
}

# Is DIR the tree of release N?
is_tree() { # N DIR
	describe "$2" | diff -a "$share/r$1.tree" -
}

to() { # N [OPTION...]
	local n=$1
	shift
	fill "$share/r$n.tar.zst" v --switch "$@"
}

# Readers see release N and no other, and it is whole. (In a condition a function goes on after what fails, so these
# return.)
shows() { # N
	[ "$(readlink v/current)" = "$(id_of "$1")" ] || return 1
	verify "$share/r$1.tar.zst" v --switch --extra || return 1
	is_tree "$1" v/current/.
}

# The directory has the trees of these releases and nothing else; all are whole, and none but they has a record.
holds() { # N [OLDER...]
	local n
	shows "$1" || return 1
	{
		printf '%s\n' .decant current
		for n; do id_of "$n"; done
	} | sort >want
	find v -mindepth 1 -maxdepth 1 -printf '%f\n' | sort >have
	diff want have || return 1
	for n; do
		is_tree "$n" "v/$(id_of "$n")" || return 1
	done
	[ -z "$(ls -A v/.decant/tmp)" ] || return 1
	shift
	kept="$*"
	[ "$(info_kept)" = "${kept:+r${kept// / r}}" ]
}

info_kept() {
	"$decant" info v | sed -n 's/^kept: .*revision \(.*\), filled .*/\1/p' | paste -sd ' '
}
