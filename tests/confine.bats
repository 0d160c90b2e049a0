#!/usr/bin/env bats
# What a fill gives up before it writes: privileges that it does not need, descriptors, the rest of the files.

# shellcheck disable=SC2154 # helpers sets decant, maketree
load helpers

# A fill that waits for the rest of its bundle; $pid is it. Descriptor 9 is the parent's.
waiting_fill() { # COMMAND...
	small_tree tree
	pack tree b.tar.zst
	"$maketree" --plain 3000 many
	pack many many.tar.zst
	mkfifo pipe
	mkdir v
	exec 9<tree/index.html
	"$@" "$decant" fill --dest v - <pipe 2>log &
	pid=$!
	exec 8>pipe
	head -c $(($(stat -c %s many.tar.zst) - 1)) many.tar.zst >&8
	# It is confined by the time that it has made a name.
	until [ -n "$(find v -path v/.decant -prune -o -type f -print -quit)" ]; do sleep 0.05; done
}

end_fill() {
	tail -c 1 many.tar.zst >&8
	exec 8>&- 9<&-
	wait "$pid"
	verify many.tar.zst v
}

field() { # NAME
	sed -n "s/^$1:[[:space:]]*//p" "/proc/$pid/status"
}

@test "a fill has no capabilities but those that files' metadata need, and gains none" {
	waiting_fill env
	# CHOWN, DAC_OVERRIDE, FOWNER, FSETID, SETFCAP
	[ "$(field CapEff)" = 000000008000001b ]
	[ "$(field CapPrm)" = 000000008000001b ]
	[ "$(field CapInh)" = 0000000000000000 ]
	[ "$(field NoNewPrivs)" = 1 ]
	for task in /proc/"$pid"/task/*; do
		grep -q '^CapEff:[[:space:]]*000000008000001b$' "$task/status"
	done
	end_fill
}

@test "a fill holds nothing open that its parent left open" {
	waiting_fill env
	[ "$(stat -L -c %d:%i "/proc/self/fd/9")" = "$(stat -c %d:%i tree/index.html)" ]
	for fd in /proc/"$pid"/fd/*; do
		[ "$(stat -L -c %d:%i "$fd")" != "$(stat -c %d:%i tree/index.html)" ]
	done
	end_fill
}

@test "a bundle that the parent opened, named by its descriptor, is filled all the same" {
	small_tree tree
	pack tree b.tar.zst
	mkdir v
	"$decant" fill --dest v /dev/fd/7 7<b.tar.zst
	verify b.tar.zst v
}

@test "a kernel that refuses capset, capget and close_range is no error" {
	small_tree tree
	pack tree b.tar.zst
	for call in capset capget close_range; do
		for error in ENOSYS EPERM; do
			mkdir "v-$call-$error"
			strace -qq -o trace -e "trace=$call" -e "inject=$call:error=$error" \
				"$decant" fill --dest "v-$call-$error" b.tar.zst
			grep -q INJECTED trace
			verify b.tar.zst "v-$call-$error"
		done
	done
}

@test "all threads are confined: Landlock comes before the first of them, also in a verify" {
	"$maketree" --plain 300 tree
	head -c 30000000 /dev/urandom >tree/large
	pack tree b.tar.zst
	mkdir v
	for command in fill verify; do
		strace -f -qq -o trace -e trace=landlock_create_ruleset,landlock_add_rule,landlock_restrict_self,clone,clone3 \
			"$decant" "$command" --threads 4 --dest v b.tar.zst
		abi=$(sed -n 's/.*LANDLOCK_CREATE_RULESET_VERSION) = //p' trace)
		[ -n "$abi" ]
		[[ $abi =~ ^([2-9]|[1-9][0-9]+)$ ]] || skip "this kernel has no Landlock"
		sed -n 's/^[0-9]* *\([a-z0-9_]*\)(.* = \(-\{0,1\}[0-9]*\).*/\1 \2/p' trace | sed 's/^clone3 /clone /' >calls
		[ "$(grep -c '^clone [1-9]' calls)" -ge 3 ]
		# The rule is for the volume, and there is no other.
		[ "$(grep -c '^landlock_add_rule 0$' calls)" -eq 1 ]
		[ "$(grep -n -m 1 '^landlock_restrict_self 0$' calls | cut -d : -f 1)" -lt \
			"$(grep -n -m 1 '^clone' calls | cut -d : -f 1)" ]
	done
}
