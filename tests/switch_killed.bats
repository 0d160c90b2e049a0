#!/usr/bin/env bats
# --switch while it is killed, stopped, and read.

# shellcheck disable=SC2154 # helpers, switch and inject set names
load helpers
load inject
load switch

# ---- kills --------------------------------------------------------------------------------------

# The places where a fill to N changes a name, a line each: CALL:N, as inject takes it, and the call itself.
name_places() { # N [OPTION...]
	local n=$1
	shift
	strace -qq -o places.trace "$decant" fill --threads 1 --switch --dest v "$@" "$share/r$n.tar.zst" 2>log
	sed -nE 's/^([a-z][a-z0-9_]*)\((.*)/\1 \2/p' places.trace | awk '{ at = ++n[$1] }
		$1 ~ /^(mkdir|rename|unlink|symlink|link)/ || ($1 == "openat" && /O_CREAT/) { print $1 ":" at "\t" $0 }'
}

# "v" as it was before: filled from the releases named.
prepare() { # N... -- OPTION...
	local n
	rm -rf v start
	mkdir v
	while [ "$1" != -- ]; do
		n=$1
		shift
		to "$n" --keep-releases 2
	done
	cp -a v start
}

# What readers see is whole: release BEFORE or N, and a tree that is to be removed is so only after the switch.
in_between() { # BEFORE N
	local led
	led=$(readlink v/current || :)
	if [ "$led" = "$(id_of "$2")" ]; then
		verify "$share/r$2.tar.zst" v --switch --extra
	elif [ -z "$1" ]; then
		[ -z "$led" ]
	else
		[ "$led" = "$(id_of "$1")" ] || return 1
		verify "$share/r$1.tar.zst" v --switch --extra || return 1
		verify "$share/r1.tar.zst" "v/$(id_of 1)" --extra
	fi
}

# Kill the fill from BEFORE to N at each STEPth place, or with --all each one; see that readers are served, then
# that COMMAND makes all good. $led is the release that current leads to then.
killed_at_each() { # STEP BEFORE N COMMAND [OPTION...]
	local step=$1 before=$2 n=$3 command=$4 place call switched=0 count=0
	shift 4
	# In a copy, too: its new ctimes make decant look at more.
	rm -rf v
	cp -a start v
	name_places "$n" "$@" | thin "$step" >all
	[ -s all ]
	while IFS=$'\t' read -r place call; do
		rm -rf v
		cp -a start v
		inject "$share/r$n.tar.zst" "$place" signal=KILL --switch "$@"
		if [ "$injected" -ne 1 ] || ! in_between "$before" "$n" >seen 2>&1; then
			cat seen
			echo "killed at $place, $call: $status"
			return 1
		fi
		led=$before
		[ "$(readlink v/current)" != "$(id_of "$n")" ] || led=$n
		[ "$led" != "$n" ] || switched=$((switched + 1))
		count=$((count + 1))
		"$command" "$@" >seen 2>&1 || {
			cat seen
			echo "then: killed at $place, $call"
			return 1
		}
	done <all
	# Before the switch and after it, where there is something to remove.
	[ "$switched" -lt "$count" ]
	[ -z "$before" ] || [ "$switched" -gt 0 ]
	printf '# killed at each of %d changes of a name (%s), %d of them after the switch\n' "$count" \
		"$(sed 's/:.*//' all | sort | uniq -c | awk '{ print $1, $2 }' | paste -sd ,)" "$switched" >&3
}

again() {
	to 3 "$@" && holds 3 2
}

again_without() {
	to 3 "$@" && holds 3
}

first() {
	to 3 "$@" && holds 3
}

# The tree that was begun is gone, or is the one before.
another() {
	to 4 "$@" && holds 4 "$led"
}

back() {
	to 2 "$@" || return 1
	if [ "$led" = 3 ]; then holds 2 3; else holds 2 1; fi
}

@test "a first fill that is killed at any change of a name is made good by the next" {
	prepare --
	killed_at_each 2 '' 3 first
}

@test "a fill that is killed at any change of a name shows one whole tree, and the next converges" {
	prepare 1 2 --
	killed_at_each 4 2 3 again --sync
}

@test "a fill that keeps no release and is killed converges, too" {
	prepare 1 2 --
	killed_at_each 5 2 3 again_without --keep-releases 0
}

@test "a fill that is killed is made good by another release" {
	prepare 1 2 --
	killed_at_each 5 2 3 another
}

@test "a fill that is killed is made good by going back" {
	prepare 1 2 --
	killed_at_each 5 2 3 back
}

@test "a roll back that is killed is made good, forth and back" {
	forth() {
		to 3 && holds 3 "$(if [ "$led" = 1 ]; then echo 1; else echo 2; fi)"
	}
	prepare 1 2 --
	killed_at_each 3 2 1 forth
}

@test "a removal that stopped half-way is no tree to keep, but one to go back to" {
	prepare 1 2 --
	name_places 3 | grep '^unlinkat.*"index.html"' | cut -f 1 >place
	rm -rf v
	cp -a start v
	inject "$share/r3.tar.zst" "$(cat place)" signal=KILL --switch
	[ "$injected" -eq 1 ]
	cp -a v half
	[ "$(info_kept)" = r2 ]
	run -11 "$decant" info "v/$(id_of 1)"
	to 3 --keep-releases 9
	holds 3 2
	rm -r v
	mv half v
	to 1
	holds 1 3
}

@test "SIGTERM leaves current as it was, and says 143" {
	to 1
	mkfifo pipe
	"$decant" fill --switch --dest v - <pipe 2>log &
	pid=$!
	exec 8>pipe
	head -c $(($(stat -c %s "$share/r2.tar.zst") - 1)) "$share/r2.tar.zst" >&8
	until [ -d "v/$(id_of 2)" ]; do sleep 0.05; done
	kill -TERM "$pid"
	status=0
	wait "$pid" || status=$?
	exec 8>&-
	[ "$status" -eq 143 ]
	shows 1
	to 2
	holds 2 1
}

# ---- on disk ------------------------------------------------------------------------------------

# The calls of a fill to N that flush, switch or remove.
flushes() { # N [OPTION...]
	local n=$1
	shift
	strace -qq -o trace -e trace=syncfs,renameat,unlinkat "$decant" fill --threads 1 --switch --dest v "$@" "$share/r$n.tar.zst" 2>log
	sed -n -e 's/^syncfs.*/sync/p' -e 's/^renameat.*"current".*/switch/p' -e 's/^unlinkat.*"index.html".*/remove/p' trace | paste -sd ' '
}

@test "--sync: the tree is on disk before the switch, the switch before a removal" {
	for n in 1 2; do to $n; done
	[ "$(flushes 3 --sync)" = 'sync switch sync remove' ]
	"$decant" info v | grep -qx 'synced: yes'
	[ "$(flushes 4)" = 'switch remove' ]
	# What is there already may not be on disk yet, neither the tree nor the link.
	[ "$(flushes 4 --sync)" = 'sync sync' ]
	[ "$(flushes 4 --sync)" = 'sync sync' ]
}

# ---- readers ------------------------------------------------------------------------------------

# Until there is a file "stop": open the directory that current leads to, once, and read all of the tree by it; or
# read each file by its path. Each round leaves its number in the file COUNT.
reader() { # by-fd|by-path COUNT
	perl -e '
		use strict;
		my ($how, $count) = @ARGV;
		my ($rounds, $last, $switches, $top) = (0, 0, 0, `pwd`);
		chomp $top;
		my @names = qw(index.html deep/er/page same link deep/hard current);
		sub slurp { local $/; open my $f, "<", $_[0] or die "no $_[0]: $!\n"; <$f> }
		until (-e "$top/stop") {
			my $from = "$top/v/current";
			my $n = 0;
			if ($how eq "by-fd") {
				opendir my $d, $from or die "no tree: $!\n";
				chdir $d or die "no tree: $!\n";
				$from = ".";
			}
			for my $name (@names) {
				my $text = slurp("$from/$name");
				if ($name eq "same" || $name eq "deep/hard") {
					die "$name is torn\n" if $text ne "same\n";
					next;
				}
				my ($is) = $text =~ /^release (\d+)/ or die "$name is empty\n";
				my @lines = split /^/, $text;
				die "$name is torn\n" if ($name eq "link" || $name =~ /page/) &&
					(@lines != 400 || grep { !/^release $is line/ } @lines);
				die "a mix: $name is of $is, the others of $n\n" if $how eq "by-fd" && $n && $is != $n;
				die "$name is of $is, after one of $last\n" if $is < $last;
				$switches++ if $last && $is != $last;
				$n = $last = $is;
			}
			chdir $top;
			$rounds++;
			open my $c, ">", "$count.new"; print $c "$rounds\n"; close $c;
			rename "$count.new", $count;
		}
		print "$rounds rounds, $switches switches\n";
	' "$1" "$2"
}

rounds() { # READER: how many it has made, to "now"
	now=0
	[ ! -e "count.$1" ] || read -r now <"count.$1"
}

@test "readers see one tree or the next, whole, during 20 switches" {
	for n in $(seq 101 121); do
		release "$n" tree
		pack tree "r$n.tar.zst"
		rm -r tree
	done
	share=$PWD
	to 101
	pids=()
	for how in by-fd by-path by-fd by-path; do
		reader $how "count.${#pids[@]}" >"seen.${#pids[@]}" 2>&1 &
		pids+=($!)
	done
	for n in $(seq 102 121); do
		# The readers have been round since the last switch, so none is two trees behind.
		for i in 0 1 2 3; do
			rounds "$i"
			was=$now
			while [ "$now" -le $((was + 1)) ]; do
				kill -0 "${pids[i]}" || break 3
				sleep 0.02
				rounds "$i"
			done
		done
		case $((n % 3)) in
		0) inject "r$n.tar.zst" "renameat:$((n % 5 + 1))" signal=KILL --switch ;;
		1) strace --seccomp-bpf -f -qq -o /dev/null -e trace=renameat,symlinkat,unlinkat -e inject=renameat,symlinkat,unlinkat:delay_exit=2000 \
			"$decant" fill --switch --dest v "r$n.tar.zst" 2>log ;;
		esac
		to "$n"
	done
	: >stop
	for pid in "${pids[@]}"; do
		wait "$pid" || {
			cat seen.*
			return 1
		}
	done
	cat seen.*
	[ "$(grep -cE '^[0-9]+ rounds, (1[4-9]|20) switches$' seen.* | grep -c ':1$')" -eq 4 ]
	verify r121.tar.zst v --switch --extra
	[ "$(find v -mindepth 1 -maxdepth 1 -type d | wc -l)" -eq 3 ]
}
