/* peak - runs a command and tells on standard error how much memory it, and those it waited for, had at most:
 *     peak COMMAND [ARGUMENT...]      "peak: N KiB", the largest of them; exits with the command's status */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	if (argc < 2)
		return 2;
	pid_t pid = fork();
	if (pid == 0) {
		execvp(argv[1], argv + 1);
		fprintf(stderr, "peak: %s: %s\n", argv[1], strerror(errno));
		_exit(127);
	}
	int status;
	struct rusage usage;
	if (pid < 0 || waitpid(pid, &status, 0) != pid || getrusage(RUSAGE_CHILDREN, &usage) != 0)
		return 1;
	fprintf(stderr, "peak: %ld KiB\n", usage.ru_maxrss);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
