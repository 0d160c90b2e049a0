/* measure - runs a command and tells what it took:
 *     measure OUT COMMAND [ARGUMENT...]
 * OUT gets one line of JSON: seconds of the clock, of the CPU in user mode and in the kernel, and the peak
 * memory in KiB, of the command and all that it waited for (getrusage(2)). Exits with the command's status.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double seconds(struct timeval t)
{
	return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

int main(int argc, char **argv)
{
	if (argc < 3)
		return 2;
	double start = now();
	pid_t pid = fork();
	if (pid == 0) {
		execvp(argv[2], argv + 2);
		fprintf(stderr, "measure: %s: run: %s\n", argv[2], strerror(errno));
		_exit(127);
	}
	int status;
	struct rusage usage;
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return 1;
	double wall = now() - start;
	FILE *out = fopen(argv[1], "we");
	if (!out || getrusage(RUSAGE_CHILDREN, &usage) != 0)
		return 1;
	fprintf(out, "{\"wall\":%.6f,\"user\":%.6f,\"system\":%.6f,\"memory\":%ld}\n", wall,
	        seconds(usage.ru_utime), seconds(usage.ru_stime), usage.ru_maxrss);
	if (fclose(out) != 0)
		return 1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
