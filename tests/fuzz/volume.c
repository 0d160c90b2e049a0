#include "volume.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "fill.h"
#include "hash.h"
#include "log.h"
#include "show.h"
#include "verify.h"

int volume_fd = -1, canary_fd = -1;
static int base_fd = -1, memory_fd = -1;
static uint64_t canary_state;
static unsigned long tally[2][256]; /* how often fill and verify ended in each exit code */

static void print_tally(void)
{
	for (int i = 0; i < 2; i++) {
		dprintf(broken_fd, "%s:", i ? "verify" : "fill");
		for (int code = 0; code < 256; code++)
			if (tally[i][code])
				dprintf(broken_fd, " %lu x exit %d", tally[i][code], code);
		dprintf(broken_fd, "\n");
	}
}

static void need(bool done, const char *what)
{
	if (!done)
		broken("%s: %s", what, strerror(errno));
}

/* Nothing but the directory that the process was started in, where the corpus is, and a tmpfs can be written
 * to from here on. */
static void leave(void)
{
	struct mount_attr protect = {.attr_set = MOUNT_ATTR_RDONLY}, open = {.attr_clr = MOUNT_ATTR_RDONLY};
	char *here = getcwd(NULL, 0);

	need(unshare(CLONE_NEWNS) == 0 && mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0,
	     "a mount namespace (root?)");
	need(here && mount(here, here, NULL, MS_BIND, NULL) == 0 && chdir(here) == 0, "bind mount");
	need(mount_setattr(AT_FDCWD, "/", AT_RECURSIVE, &protect, sizeof protect) == 0 &&
	         mount_setattr(AT_FDCWD, here, 0, &open, sizeof open) == 0,
	     "read-only mounts");
	free(here);
}

void volume_setup(void)
{
	struct rlimit files = {16384, 16384};
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	broken_setup();
	need(null >= 0 && dup2(null, 1) == 1, "/dev/null");
	close(null);
	setrlimit(RLIMIT_NOFILE, &files);
	leave();
	umask(0);
	/* The tmpfs goes over a directory that every system has and that nothing here needs. */
	need(mount("fuzz", "/mnt", "tmpfs", MS_NODEV | MS_NOSUID, "size=96m,mode=0755") == 0, "tmpfs");
	base_fd = open("/mnt", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	need(base_fd >= 0 && mkdirat(base_fd, "canary", 0700) == 0 && mkdirat(base_fd, "volume", 0755) == 0,
	     "directories");
	volume_fd = openat(base_fd, "volume", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	canary_fd = openat(base_fd, "canary", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	memory_fd = memfd_create("bundle", MFD_CLOEXEC);
	int file = openat(canary_fd, "file", O_WRONLY | O_CREAT | O_CLOEXEC, 0604);
	need(volume_fd >= 0 && memory_fd >= 0 && file >= 0 && write(file, "sings", 5) == 5, "canary");
	close(file);
	need(mkdirat(canary_fd, "dir", 0700) == 0, "canary");
	canary_state = volume_state(base_fd, false);
	if (getenv("DECANT_FUZZ_TALLY"))
		atexit(print_tally);
}

static void empty(int dir)
{
	DIR *stream = fdopendir(dir);
	struct dirent *item;

	need(stream != NULL, "read directory");
	while ((item = readdir(stream)) != NULL) {
		const char *name = item->d_name;
		if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || unlinkat(dir, name, 0) == 0)
			continue;
		int inner = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		need(inner >= 0, "open directory");
		empty(inner);
		need(unlinkat(dir, name, AT_REMOVEDIR) == 0, "remove directory");
	}
	closedir(stream);
}

void volume_reset(void)
{
	static const struct timespec times[2] = {{.tv_sec = 1}, {.tv_sec = 1}};

	empty(openat(volume_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	for (int i = 0; i < 64; i++) { /* attributes of the root */
		char names[4096];
		if (flistxattr(volume_fd, names, sizeof names) <= 0 || fremovexattr(volume_fd, names) != 0)
			break;
	}
	need(fchown(volume_fd, 0, 0) == 0 && fchmod(volume_fd, 0755) == 0 && futimens(volume_fd, times) == 0,
	     "reset");
}

struct run run_of(enum command command)
{
	return (struct run){.options = {.command = command,
	                                .progress = PROGRESS_NONE,
	                                .prune = PRUNE_MANAGED,
	                                .space_check = true,
	                                .owners = true,
	                                .extra = true},
	                    .workers = 1};
}

struct run run_by(enum command command, uint64_t choice)
{
	struct run run = run_of(command);

	run.options.prune = (enum prune)((choice & 3) % 3);
	run.options.setid = choice >> 2 & 1;
	run.options.sync = (choice >> 3 & 31) == 0;
	run.options.json = choice >> 8 & 1;
	run.options.long_list = choice >> 9 & 1;
	run.options.null = (choice >> 10 & 3) == 0;
	run.options.space_check = (choice >> 12 & 3) != 0;
	run.stream = (choice >> 14 & 3) == 0;
	if ((choice >> 16 & 7) == 0)
		run.workers = 1 + (choice >> 19 & 3);
	const char *workers = getenv("DECANT_FUZZ_WORKERS");
	if (workers)
		run.workers = (unsigned)atoi(workers);
	return run;
}

/* A name under which BYTES can be opened, and what to close afterwards. */
static int offer(const struct run *run, const uint8_t *bytes, size_t size, char *name)
{
	int ends[2], fd = memory_fd;

	if (run->stream) {
		need(pipe2(ends, O_CLOEXEC) == 0, "pipe");
		/* What does not fit in the pipe is not offered as one. */
		int room = fcntl(ends[1], F_SETPIPE_SZ, 1 << 20);
		if (room >= 0 && size <= (size_t)room - 4096 && write(ends[1], bytes, size) == (ssize_t)size)
			fd = ends[0];
		else
			close(ends[0]);
		close(ends[1]);
	}
	if (fd == memory_fd)
		need(ftruncate(fd, 0) == 0 && pwrite(fd, bytes, size, 0) == (ssize_t)size, "memory file");
	sprintf(name, "/proc/self/fd/%d", fd);
	return fd == memory_fd ? -1 : fd;
}

static void run_task(const struct run *run, const char *name, struct fault *fault)
{
	struct log log;
	struct bundle bundle = {.fd = -1};
	struct dest dest = {.root = -1};
	const struct options *o = &run->options;

	log_init(&log, "decant", o->json, o->progress);
	if (o->command == COMMAND_LIST)
		show_list(o, name, fault);
	else if (o->command == COMMAND_INFO)
		show_info(o, name, fault);
	else if (bundle_open(&bundle, name, fault) &&
	         (o->command == COMMAND_VERIFY || fill_allowed(o, &bundle, fault)) &&
	         dest_open(&dest, "/mnt/volume", false, fault))
		o->command == COMMAND_VERIFY ? verify_volume(o, &log, &bundle, &dest, run->workers, fault)
		                             : fill_volume(o, &log, &bundle, &dest, run->workers, fault);
	bundle_close(&bundle);
	dest_close(&dest);
	if (fault->code)
		log_fault(&log, fault);
}

enum exit_code volume_run(const struct run *run, const uint8_t *bytes, size_t size, struct fault *fault)
{
	char name[32] = "/mnt/volume";
	int before = dup(0), offered = -1;

	close(before);
	memset(fault, 0, sizeof *fault);
	if (bytes)
		offered = offer(run, bytes, size, name);
	run_task(run, name, fault);
	if (offered >= 0)
		close(offered);
	int after = dup(0);
	close(after);
	if (before != after)
		broken("descriptor %d is left open", before);
	if (run->options.command <= COMMAND_VERIFY)
		tally[run->options.command == COMMAND_VERIFY][fault->code & 255]++;
	return fault->code;
}

void plant(const char *name, const void *bytes, size_t size)
{
	unlinkat(volume_fd, name, 0);
	int fd = openat(volume_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return;
	need(write(fd, bytes, size) == (ssize_t)size, "plant");
	close(fd);
}

void check_canary(void)
{
	if (volume_state(base_fd, false) != canary_state)
		broken("something beside the volume was changed");
}
