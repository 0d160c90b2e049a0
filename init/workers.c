#include "workers.h"

#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "io.h"

enum {
	WORKERS_DEFAULT_MAX = 8, /* more gain little: they meet in the file system's locks */
	FILES_SHARED = 14,       /* descriptors of the process as a whole */
	STACK_MIN = 256 << 10,   /* bytes: what musl gives a thread, and what arguments may take, execve(2) */
	FILES_EACH = 3           /* of a worker: a directory, a file, a second directory */
};

/* The text of the small file PATH, NUL-terminated. False when it cannot be read. */
static bool read_text(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	ssize_t n = read_full(fd, text, size - 1, -1);
	close_fd(&fd);
	if (n <= 0)
		return false;
	text[n] = '\0';
	return true;
}

/* The number in file NAME of directory DIR, or -1 ("max", not there). */
static int64_t read_number(const char *dir, const char *name)
{
	char path[4608], text[64], *end;
	snprintf(path, sizeof path, "%s/%s", dir, name);
	if (!read_text(path, text, sizeof text))
		return -1;
	long long number = strtoll(text, &end, 10);
	return end == text ? -1 : number;
}

struct limits {
	double cpus;
	double bytes;
};

static void lower(double *limit, double to)
{
	if (to > 0 && to < *limit)
		*limit = to;
}

/* What one cgroup directory says, in either version's files (cgroups(7); cgroup-v2.rst, cpu.max). */
static void read_cgroup(const char *dir, struct limits *limits)
{
	char path[4608], text[64], *end;
	long long quota, period;

	/* "QUOTA PERIOD" in microseconds, or "max PERIOD" */
	snprintf(path, sizeof path, "%s/cpu.max", dir);
	if (read_text(path, text, sizeof text)) {
		quota = strtoll(text, &end, 10);
		period = strtoll(end, NULL, 10);
		if (end != text && period > 0)
			lower(&limits->cpus, (double)quota / (double)period);
	}
	quota = read_number(dir, "cpu.cfs_quota_us");
	period = read_number(dir, "cpu.cfs_period_us");
	if (quota > 0 && period > 0)
		lower(&limits->cpus, (double)quota / (double)period);
	lower(&limits->bytes, (double)read_number(dir, "memory.max"));
	lower(&limits->bytes, (double)read_number(dir, "memory.limit_in_bytes"));
}

/* The cgroup GROUP below MOUNT and all above it: each of them limits us. */
static void read_cgroups(const char *mount, const char *group, struct limits *limits)
{
	char path[4352];
	snprintf(path, sizeof path, "%s%s", mount, group);
	for (size_t floor = strlen(mount);;) {
		read_cgroup(path, limits);
		char *slash = strrchr(path, '/');
		if (!slash || (size_t)(slash - path) < floor)
			break;
		*slash = '\0';
	}
}

static void read_all_cgroups(struct limits *limits)
{
	char text[8192], *save = NULL, *more = NULL;

	if (!read_text("/proc/self/cgroup", text, sizeof text))
		return;
	/* Lines "ID:CONTROLLERS:PATH"; version 2 has no controllers. In a container the path is often "/",
	 * or one that only the host knows: then its directory is not there, and the mount itself is ours. */
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *controllers = strchr(line, ':');
		char *group = controllers ? strchr(controllers + 1, ':') : NULL;
		if (!group || strlen(group) > 4000)
			continue;
		*group++ = '\0';
		if (controllers[1] == '\0') {
			read_cgroups("/sys/fs/cgroup", group, limits);
			read_cgroups("/sys/fs/cgroup/unified", group, limits);
		}
		for (char *one = strtok_r(controllers, ":,", &more); one; one = strtok_r(NULL, ",", &more)) {
			if (strcmp(one, "cpu") == 0)
				read_cgroups("/sys/fs/cgroup/cpu", group, limits);
			else if (strcmp(one, "memory") == 0)
				read_cgroups("/sys/fs/cgroup/memory", group, limits);
		}
	}
}

bool workers_stack(struct fault *fault)
{
	struct rlimit stack;

	return getrlimit(RLIMIT_STACK, &stack) != 0 || stack.rlim_cur >= STACK_MIN ||
	       fault_set(fault, EXIT_INTERNAL, "stack", "use", "limited to less than 256 KiB");
}

unsigned workers_allowed(size_t bytes)
{
	struct limits limits = {.cpus = WORKERS_DEFAULT_MAX, .bytes = 1e18};
	double workers;
	struct rlimit files;
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof set, &set) == 0)
		lower(&limits.cpus, CPU_COUNT(&set));
	read_all_cgroups(&limits);
	workers = (double)(unsigned)(limits.cpus + 0.999);
	lower(&workers, limits.bytes / 2 / (double)(bytes + 1));
	if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < 1024)
		lower(&workers, files.rlim_cur > FILES_SHARED + FILES_EACH
		                    ? (double)(files.rlim_cur - FILES_SHARED) / FILES_EACH
		                    : 1);
	return workers < 1 ? 1 : (unsigned)workers;
}
