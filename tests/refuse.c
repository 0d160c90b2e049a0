/* refuse - runs a command for which some system calls fail, as on an older kernel or under a strict filter.
 *
 *     refuse ENOSYS|EPERM CALL,... COMMAND [ARGUMENT...]
 *
 * CALL is one of openat2, landlock, statx, copy_file_range. Beside strace's injection this costs nothing
 * while the command runs, so that races stay races. */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static const struct {
	const char *name;
	unsigned number;
} calls[] = {
    {"openat2", SYS_openat2},
    {"landlock", SYS_landlock_create_ruleset},
    {"landlock", SYS_landlock_add_rule},
    {"landlock", SYS_landlock_restrict_self},
    {"statx", SYS_statx},
    {"copy_file_range", SYS_copy_file_range},
};
enum { CALLS = sizeof calls / sizeof calls[0] };

static void die(const char *what, const char *why)
{
	fprintf(stderr, "refuse: %s: %s\n", what, why);
	exit(127);
}

int main(int argc, char **argv)
{
	struct sock_filter code[2 * CALLS + 2];
	unsigned short at = 0;

	if (argc < 4)
		die("usage", "refuse ENOSYS|EPERM CALL,... COMMAND [ARGUMENT...]");
	uint32_t error = strcmp(argv[1], "EPERM") == 0 ? EPERM : ENOSYS;
	code[at++] =
	    (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
	for (char *name = strtok(argv[2], ","); name; name = strtok(NULL, ",")) {
		unsigned short before = at;
		for (size_t i = 0; i < CALLS; i++) {
			if (strcmp(name, calls[i].name) != 0 || at + 3 > 2 * CALLS + 2)
				continue;
			code[at++] =
			    (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, calls[i].number, 0, 1);
			code[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error);
		}
		if (at == before)
			die(name, "not a call that this knows");
	}
	code[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog filter = {.len = at, .filter = code};
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0)
		die("filter", strerror(errno));
	execvp(argv[3], argv + 3);
	die(argv[3], strerror(errno));
}
