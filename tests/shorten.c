/* shorten - runs a command whose reads and writes all come out short, as the kernel may let them.
 *
 *     shorten COMMAND [ARGUMENT...]
 *
 * Each read, write, pread64 and pwrite64 of more than two bytes is asked for about a third. (strace can
 * change a call's result, but then nothing is written; here as much is written as is said.) Prints how many
 * on descriptor 2 at the end: "shortened: N". */
#include <elf.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__x86_64__)
#define NUMBER(regs) ((regs).orig_rax)
#define COUNT(regs) ((regs).rdx)
#elif defined(__aarch64__)
#define NUMBER(regs) ((regs).regs[8])
#define COUNT(regs) ((regs).regs[2])
#endif

static unsigned long shortened;

static void die(const char *what)
{
	fprintf(stderr, "shorten: %s: %s\n", what, strerror(errno));
	exit(127);
}

/* At the entry of a call, once: the syscall-stop's own information says which side it is. */
static void shorten(pid_t pid)
{
	struct __ptrace_syscall_info info;
	struct user_regs_struct regs;
	struct iovec io = {&regs, sizeof regs};

	if (ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof info, &info) <= 0 ||
	    info.op != PTRACE_SYSCALL_INFO_ENTRY)
		return;
	if (ptrace(PTRACE_GETREGSET, pid, NT_PRSTATUS, &io) != 0)
		return;
	long number = (long)NUMBER(regs);
	if ((number != SYS_read && number != SYS_write && number != SYS_pread64 && number != SYS_pwrite64) ||
	    COUNT(regs) < 3)
		return;
	COUNT(regs) = COUNT(regs) / 3 + 1;
	if (ptrace(PTRACE_SETREGSET, pid, NT_PRSTATUS, &io) == 0)
		shortened++;
}

int main(int argc, char **argv)
{
	int status, result = 127;
	pid_t pid, child;

	if (argc < 2)
		return 2;
	child = fork();
	if (child == 0) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		raise(SIGSTOP);
		execvp(argv[1], argv + 1);
		die(argv[1]);
	}
	if (child < 0 || waitpid(child, &status, 0) != child ||
	    ptrace(PTRACE_SETOPTIONS, child, NULL,
	           (void *)(long)(PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_EXITKILL)) != 0 ||
	    ptrace(PTRACE_SYSCALL, child, NULL, NULL) != 0)
		die("trace");
	while ((pid = waitpid(-1, &status, __WALL)) > 0) {
		long pass = 0;
		if (WIFEXITED(status) || WIFSIGNALED(status)) {
			if (pid == child)
				result = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
			continue;
		}
		if (WSTOPSIG(status) == (SIGTRAP | 0x80))
			shorten(pid);
		else if (WSTOPSIG(status) != SIGTRAP && WSTOPSIG(status) != SIGSTOP)
			pass = WSTOPSIG(status);
		ptrace(PTRACE_SYSCALL, pid, NULL, (void *)pass);
	}
	fprintf(stderr, "shortened: %lu\n", shortened);
	return result;
}
