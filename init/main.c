/* decant - pours a checksummed bundle into a volume, and exits 0 only when the volume is right. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bundle.h"
#include "confine.h"
#include "dest.h"
#include "fault.h"
#include "fill.h"
#include "hash.h"
#include "io.h"
#include "log.h"
#include "options.h"
#include "show.h"
#include "stop.h"
#include "switch.h"
#include "verify.h"
#include "workers.h"
#include <zstd.h>

#ifndef DECANT_VERSION
#define DECANT_VERSION "0"
#endif
#ifndef DECANT_LIBC
#define DECANT_LIBC "musl"
#endif

#define BUNDLE_DIR "/bundle"
#define BUNDLE_SUFFIX ".tar.zst"
enum { BUNDLES_MAX = 256 }; /* of one run */

/* A bundle and the volume that it goes to. */
struct task {
	struct bundle bundle;
	struct dest dest;
};

static bool open_bundle(struct bundle *b, const char *name, const struct options *o, struct fault *fault)
{
	if (!bundle_open(b, name, fault))
		return false;
	if (o->expect && strcmp(o->expect, b->id) != 0)
		return fault_set(fault, EXIT_BUNDLE, b->name, "check id", "is bundle %s, not %s", b->id,
		                 o->expect);
	return o->command == COMMAND_VERIFY || fill_allowed(o, b, fault);
}

static bool open_dest(struct task *task, const struct options *o, struct fault *fault)
{
	const struct bundle *b = &task->bundle;
	char path[PATH_LEN_MAX + 1];
	struct text dest = b->catalog.dest;
	if (o->dest)
		dest = (struct text){o->dest, strlen(o->dest)};
	if (dest.len == 0)
		return fault_set(fault, EXIT_USAGE, b->name, "find destination",
		                 "the bundle records none; name one with --dest");
	if (dest.len > PATH_LEN_MAX)
		return fault_set(fault, EXIT_USAGE, b->name, "find destination", "the path is too long");
	text_terminate(path, dest);
	if (!dest_open(&task->dest, path, o->create, fault))
		return false;
	task->dest.owners = task->dest.owners && o->owners;
	return true;
}

/* Two bundles in one volume would remove each other's files. */
static bool check_distinct(const struct task *tasks, size_t count, struct fault *fault)
{
	for (size_t i = 0; i < count; i++) {
		for (size_t j = 0; j < i; j++) {
			struct stat a, b;
			if (fstat(tasks[i].dest.root, &a) != 0 || fstat(tasks[j].dest.root, &b) != 0)
				return fault_errno(fault, errno, tasks[i].dest.path, "stat");
			if (a.st_dev == b.st_dev && a.st_ino == b.st_ino)
				return fault_set(fault, EXIT_USAGE, tasks[i].bundle.name, "find destination",
				                 "goes to the same directory as another bundle");
		}
	}
	return true;
}

/* As process 1 of a container: a destination in the container's own layer is gone when it exits. */
static void note_no_volume(const struct log *log, const struct dest *dest)
{
	if (getpid() == 1 && dest_on_root(dest))
		log_note(log, dest->path, "note: is on no volume, and gone with this container");
}

static unsigned count_workers(const struct options *o, const struct catalog *c)
{
	if (o->threads)
		return o->threads;
	return workers_allowed((size_t)c->frame_plain_max + c->frame_packed_max + c->block_plain_max);
}

static bool run_tasks(struct task *tasks, size_t count, const struct options *o, const struct log *log,
                      struct fault *fault)
{
	int kept[2 * BUNDLES_MAX] = {0};
	unsigned workers[BUNDLES_MAX] = {0};

	/* /proc and /sys are out of reach once confined. */
	for (size_t i = 0; i < count; i++) {
		kept[i] = tasks[i].dest.root;
		kept[count + i] = tasks[i].bundle.fd;
		workers[i] = count_workers(o, &tasks[i].bundle.catalog);
		note_no_volume(log, &tasks[i].dest);
	}
	confine(kept, 2 * count, count);
	bool verify = o->command == COMMAND_VERIFY;
	bool (*work)(const struct options *, const struct log *, struct bundle *, struct dest *, unsigned,
	             struct fault *) =
	    o->switched ? (verify ? switch_verify : switch_fill) : (verify ? verify_volume : fill_volume);
	for (size_t i = 0; i < count; i++) {
		struct task *t = &tasks[i];
		if (!work(o, log, &t->bundle, &t->dest, workers[i], fault))
			return false;
	}
	return true;
}

static bool run(char *const *names, size_t count, const struct options *o, const struct log *log,
                struct fault *fault)
{
	if (count > BUNDLES_MAX)
		return fault_set(fault, EXIT_USAGE, "decant", "usage", "more than %d bundles", BUNDLES_MAX);
	struct task *tasks = calloc(count, sizeof *tasks);
	size_t opened = 0;
	bool done = tasks || fault_set(fault, EXIT_INTERNAL, "decant", "start", "out of memory");

	for (size_t i = 0; i < count && done; i++) {
		tasks[i].bundle.fd = tasks[i].dest.root = -1;
		opened++;
		done = open_bundle(&tasks[i].bundle, names[i], o, fault);
	}
	/* Only now, since --create makes them. */
	for (size_t i = 0; i < count && done; i++)
		done = open_dest(&tasks[i], o, fault);
	if (done)
		done = check_distinct(tasks, count, fault) && run_tasks(tasks, count, o, log, fault);
	while (opened-- > 0) {
		bundle_close(&tasks[opened].bundle);
		dest_close(&tasks[opened].dest);
	}
	free(tasks);
	return done;
}

static bool ends_in(struct text name, const char *suffix)
{
	size_t len = strlen(suffix);
	return name.len > len && memcmp(name.s + name.len - len, suffix, len) == 0;
}

/* The paths of all bundles that the image has, sorted, to *PATHS, which ends in NULL; the caller frees it. */
static bool find_bundles(char ***paths, size_t *count, struct fault *fault)
{
	struct names names = {0};
	int fd = open(BUNDLE_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool done = fd >= 0 && names_read(fd, &names);

	close_fd(&fd);
	/* One allocation: the pointers, then what they point to. */
	size_t pointers = (names.count + 1) * sizeof **paths;
	*paths = done ? malloc(pointers + names.count * (sizeof BUNDLE_DIR + NAME_LEN_MAX + 2)) : NULL;
	*count = 0;
	if (!*paths && errno != ENOENT) {
		fault_missing(fault, errno, BUNDLE_DIR, "read directory");
		names_free(&names);
		return false;
	}
	char *text = *paths ? (char *)*paths + pointers : NULL;
	for (uint32_t i = 0; text && i < names.count; i++) {
		struct text name = names_get(&names, i);
		if (!ends_in(name, BUNDLE_SUFFIX))
			continue;
		(*paths)[(*count)++] = text;
		text += sprintf(text, BUNDLE_DIR "/%s", name.s) + 1;
	}
	names_free(&names);
	return *count > 0 || fault_set(fault, EXIT_BUNDLE, BUNDLE_DIR, "find bundles",
	                               "there is no *" BUNDLE_SUFFIX ", and none was named");
}

/* The bundles that were named, or all that the image has. */
static bool run_bundles(const struct options *o, const struct log *log, struct fault *fault)
{
	char **paths = NULL;
	size_t count;

	if (o->bundle_count)
		return run(o->bundles, (size_t)o->bundle_count, o, log, fault);
	bool done = find_bundles(&paths, &count, fault) && run(paths, count, o, log, fault);
	free(paths);
	return done;
}

static void print_version(void)
{
	printf("decant %s (zstd %s, xxHash %s, %s)\n", DECANT_VERSION, ZSTD_versionString(), hash_version(),
	       DECANT_LIBC);
}

static void run_command(const struct options *o, const struct log *log, struct fault *fault)
{
	switch (o->command) {
	case COMMAND_HELP:
		fputs(options_help, stdout);
		break;
	case COMMAND_VERSION:
		print_version();
		break;
	case COMMAND_LIST:
		show_list(o, o->bundles[0], fault);
		break;
	case COMMAND_INFO:
		show_info(o, o->bundles[0], fault);
		break;
	default:
		run_bundles(o, log, fault);
		break;
	}
	if (fflush(stdout) != 0 || ferror(stdout))
		fault_errno(fault, errno, "standard output", "write");
}

int main(int argc, char **argv)
{
	struct fault fault = {.code = EXIT_DONE};
	struct options options;
	struct log log;

	confine_relocated();
	umask(0);
	stop_install();
	bool parsed = options_parse(&options, argc, argv, &fault);
	log_init(&log, "decant", options.json, options.progress);
	if (parsed && workers_stack(&fault))
		run_command(&options, &log, &fault);
	if (fault.code)
		log_fault(&log, &fault);
	return (int)fault.code;
}
