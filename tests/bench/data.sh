# shellcheck shell=sh disable=SC2034,SC2154 # sourced by scripts/bench, which sets $cache, $sets
# The trees: files of real Debian packages.
#   icons   many small files and symbolic links
#   docs    html documentation
#   media   pictures, sounds and fonts that hardly compress
#   80 150 300 750 2250    that many MB of html documentation

packages_of() { # SET
	case $1 in
	icons) echo papirus-icon-theme ;;
	docs) echo openjdk-17-doc python3.11-doc ;;
	media) echo naev-data fonts-noto-cjk ;;
	80 | 150 | 300 | 750) echo vtk9-doc ;;
	2250) echo vtk9-doc rust-doc ;;
	esac
}

fetch() { # PACKAGE...
	mkdir -p "$cache"
	for package; do
		if ! ls "$cache/${package}"_*.deb >/dev/null 2>&1; then
			say "getting $package"
			(cd "$cache" && apt-get -qq -o APT::Sandbox::User=root download "$package") ||
				fail "$package" download 'apt-get failed, see above'
		fi
	done
}

# As many of the files of FROM, in order, as MB megabytes hold, as links to them in TO.
take() { # FROM TO MB
	(
		cd "$1" || exit
		find . -type f -printf '%P\t%s\n' | LC_ALL=C sort |
			awk -F '\t' -v limit="$3" '{ sum += $2; if (sum > limit * 1e6) exit; print $1 }' |
			cpio --quiet -pdl "$2"
	)
}

make_set() { # SET
	[ ! -e "$sets/$1.ready" ] || return 0
	# Word splitting makes the list.
	# shellcheck disable=SC2046
	fetch $(packages_of "$1")
	say "unpacking $1"
	rm -rf -- "${sets:?}/$1" "$sets/$1.all"
	mkdir -p "$sets/$1" "$sets/$1.all"
	for package in $(packages_of "$1"); do
		for deb in "$cache/$package"_*.deb; do
			dpkg-deb -x "$deb" "$sets/$1.all"
		done
	done
	case $1 in
	*0)
		take "$sets/$1.all" "$sets/$1" "$1"
		rm -rf -- "$sets/$1.all"
		;;
	*)
		rmdir "$sets/$1"
		mv "$sets/$1.all" "$sets/$1"
		;;
	esac
	: >"$sets/$1.ready"
}
