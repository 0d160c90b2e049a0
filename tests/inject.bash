# shellcheck shell=bash disable=SC2034,SC2154 # used by, and set by, the tests that load this
# Faults in a fill's system calls, one at a time. A place is CALL:N, the Nth time that a fill makes CALL.
#
# strace counts each call by itself, also where a rule names many; so a rule here names one. One thread makes the
# counts the same every time. What a descriptor leads to is in the traces.

volume=v # the one that is filled

# Whether a file changed less than 11 ms ago decides on a fill's calls (init/recent.h): from here on none did.
settled() {
	sleep 0.02
}

# The places of filling it from BUNDLE, one a line, from the first call after execve. What never returns, and
# what no error can come of, is left out.
places() { # BUNDLE [OPTION...]
	local bundle=$1
	shift
	settled
	strace -qq -y -o places.trace "$decant" fill --threads 1 --dest "$volume" "$@" "$bundle" 2>places.log || {
		cat places.log >&2
		return 1
	}
	sed -n 's/^\([a-z][a-z0-9_]*\)(.*/\1/p' places.trace |
		awk '$1 !~ /^(execve|exit|exit_group|arch_prctl|set_tid_address|rt_sigreturn)$/ { print $1 ":" ++n[$1] }'
}

# Fill it from BUNDLE with WHAT (error=EIO, signal=KILL) at PLACE. The exit status is in $status, what the fill
# says in "err"; $injected tells whether it came so far.
inject() { # BUNDLE PLACE WHAT [OPTION...]
	local bundle=$1 call=${2%:*} when=${2#*:} what=$3
	shift 3
	status=0
	settled
	strace -qq -y -o trace -e trace="$call" -e inject="$call:$what:when=$when" \
		"$decant" fill --threads 1 --dest "$volume" "$@" "$bundle" 2>err || status=$?
	injected=0
	if [[ $what == signal=* ]]; then
		[[ $status -ne 137 ]] || injected=1
	elif grep -q INJECTED trace; then
		injected=1
	fi
}

# One of STEP lines, or each one with --all.
thin() { # STEP
	[[ -z $DECANT_TEST_ALL ]] || set -- 1
	awk -v step="$1" 'NR % step == 0'
}
