/* decant-pack - packs a directory into a bundle: the same tree, the same bytes. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "encode.h"
#include "fault.h"
#include "hash.h"
#include "ignore.h"
#include "io.h"
#include "layout.h"
#include "log.h"
#include "pack_options.h"
#include "path.h"
#include "pool.h"
#include "recent.h"
#include "scan.h"
#include "stop.h"
#include "workers.h"
#include <zstd.h>

#ifndef DECANT_VERSION
#define DECANT_VERSION "0"
#endif
#ifndef DECANT_LIBC
#define DECANT_LIBC "musl"
#endif

#define IGNORE_FILE ".decantignore"

/* All of FD, the file PATH, at most 64 KiB, to *TEXT (the caller frees it). Takes FD over, which may be -1.
 */
static bool read_all(int fd, const char *path, char **text, size_t *len, struct fault *fault)
{
	enum { MOST = 1 << 16 };
	if (fd < 0)
		return fault_errno(fault, errno, path, "open");
	*text = malloc(MOST + 1);
	ssize_t n = *text ? read_full(fd, *text, MOST + 1, -1) : 0;
	close_fd(&fd);
	if (!*text)
		return fault_set(fault, EXIT_INTERNAL, path, "read", "out of memory");
	if (n < 0)
		return fault_errno(fault, errno, path, "read");
	*len = (size_t)n;
	return n <= MOST || fault_set(fault, EXIT_USAGE, path, "read", "is longer than 64 KiB");
}

static bool load_ignore_file(struct ignore *ignore, int fd, const char *path, struct fault *fault)
{
	char *text = NULL;
	size_t len = 0;
	unsigned line;

	bool done = read_all(fd, path, &text, &len, fault);
	if (done) {
		const char *wrong = ignore_add_text(ignore, text, len, &line);
		done = !wrong || fault_set(fault, EXIT_USAGE, path, "read", "line %u: %s", line, wrong);
	}
	free(text);
	return done;
}

/* The patterns of the ignore file, then those of the command line, which so have the last word. *ST is of the
 * source's own file, all zeros if there is none. */
static bool load_ignore(struct ignore *ignore, const struct pack_options *o, struct stat *st,
                        struct fault *fault)
{
	char path[PATH_LEN_MAX + 32];

	memset(st, 0, sizeof *st);
	if (o->ignore_file) {
		int fd = open(o->ignore_file, O_RDONLY | O_CLOEXEC);
		if (!load_ignore_file(ignore, fd, o->ignore_file, fault))
			return false;
	} else if (!o->no_ignore_file) {
		snprintf(path, sizeof path, "%s/%s", o->source, IGNORE_FILE);
		/* A fifo would keep us for ever, and a link read what is not of the source. */
		int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
		if (fd >= 0 ? fstat(fd, st) != 0 || !S_ISREG(st->st_mode)
		            : errno == ELOOP || errno == ENXIO) {
			close_fd(&fd);
			return fault_set(fault, EXIT_VOLUME, path, "read", "is not a file");
		}
		bool there = fd >= 0 || (errno != ENOENT && errno != ENOTDIR);
		if (!outlast(st->st_ctim, fault)) {
			close_fd(&fd);
			return false;
		}
		if (there && !load_ignore_file(ignore, fd, path, fault))
			return false;
	}
	for (size_t i = 0; i < o->exclude_count; i++) {
		const char *wrong = ignore_add(ignore, o->excludes[i], strlen(o->excludes[i]));
		if (wrong)
			return fault_set(fault, EXIT_USAGE, o->excludes[i], "--exclude", "%s", wrong);
	}
	return true;
}

/* Is the source's own ignore file, or that there is none, what it was when it was read? */
static bool same_patterns(const struct tree *t, const struct pack_options *o, const struct stat *st,
                          struct fault *fault)
{
	struct stat now = {0};

	if (o->ignore_file || o->no_ignore_file)
		return true;
	if (fstatat(t->root, IGNORE_FILE, &now, AT_SYMLINK_NOFOLLOW) != 0 && errno != ENOENT)
		return tree_failed(t, IGNORE_FILE, "stat", fault);
	return (now.st_ino == st->st_ino && now.st_dev == st->st_dev &&
	        same_instant(now.st_ctim, st->st_ctim)) ||
	       tree_changed(t, IGNORE_FILE, fault);
}

/* Copy SIZE bytes from the beginning of FROM to TO, inside the kernel where it can. */
static bool copy_data(int to, int from, uint64_t size, const char *name, struct fault *fault)
{
	enum { PIECE = 1 << 20 };
	int64_t at = 0;

	while ((uint64_t)at < size && stop_check(fault)) {
		ssize_t n = copy_file_range(from, &at, to, NULL, (size_t)(size - (uint64_t)at), 0);
		if (n <= 0)
			break; /* not between these two; what is left goes by hand */
	}
	if ((uint64_t)at == size)
		return true;
	char *piece = malloc(PIECE);
	if (!piece)
		return fault_set(fault, EXIT_INTERNAL, name, "write", "out of memory");
	while ((uint64_t)at < size && !fault->code) {
		ssize_t n = read_full(from, piece, PIECE, at);
		if (!stop_check(fault))
			break;
		if (n <= 0)
			fault_errno(fault, n ? errno : EIO, "temporary file", "read");
		else if (!write_full(to, piece, (size_t)n, -1))
			fault_errno(fault, errno, name, "write");
		at += n;
	}
	free(piece);
	return fault->code == EXIT_DONE;
}

static bool write_bundle(int fd, const char *name, const struct encoded *e, struct fault *fault)
{
	if (!write_full(fd, e->index, e->index_size, -1))
		return fault_errno(fault, errno, name, "write");
	return copy_data(fd, e->data, e->data_size, name, fault);
}

/* The directory that PATH is in, to DIR (PATH_LEN_MAX + 1 bytes). */
static void parent_of(const char *path, char *dir)
{
	const char *slash = strrchr(path, '/');
	snprintf(dir, PATH_LEN_MAX + 1, "%.*s", slash ? (int)(slash - path + (slash == path)) : 1,
	         slash ? path : ".");
}

/* Where the bundle goes when OUTPUT is a symbolic link, as /dev/stdout is: to the file that it leads to,
 * which a rename shall not take the link for. Devices and pipes are left to write_special. The caller frees
 * it. */
static char *resolve(const char *output)
{
	struct stat st;
	bool link =
	    lstat(output, &st) == 0 && S_ISLNK(st.st_mode) && stat(output, &st) == 0 && S_ISREG(st.st_mode);
	return link ? realpath(output, NULL) : strdup(output);
}

/* A device, a fifo or a terminal is written to, never replaced. */
static bool is_special(const char *output)
{
	struct stat st;
	return stat(output, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode);
}

static bool write_special(const char *output, const struct encoded *e, struct fault *fault)
{
	int fd = open(output, O_WRONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return fault_errno(fault, errno, output, "open");
	bool done = write_bundle(fd, output, e, fault);
	if (!close_fd(&fd) && done)
		done = fault_errno(fault, errno, output, "close");
	return done;
}

/* Write the bundle under a temporary name beside OUTPUT, then give it its name. */
static bool write_file(const char *output, const struct encoded *e, mode_t mask, struct fault *fault)
{
	char dir[PATH_LEN_MAX + 1], temporary[PATH_LEN_MAX + 32];

	if (is_special(output))
		return write_special(output, e, fault);
	parent_of(output, dir);
	snprintf(temporary, sizeof temporary, "%s/.decant-pack-XXXXXX", dir);
	int fd = mkostemp(temporary, O_CLOEXEC);
	if (fd < 0)
		return fault_errno(fault, errno, output, "create");
	bool done = write_bundle(fd, output, e, fault);
	if (done && fchmod(fd, 0666 & ~mask) != 0)
		done = fault_errno(fault, errno, output, "set mode");
	if (!close_fd(&fd) && done)
		done = fault_errno(fault, errno, output, "close");
	if (done && rename(temporary, output) != 0)
		done = fault_errno(fault, errno, output, "rename");
	if (!done)
		unlink(temporary);
	return done;
}

static void note_left_out(const struct log *log, const struct tree *t)
{
	char text[128];

	if (t->special) {
		snprintf(text, sizeof text, "note: left out %u sockets, fifos or devices", t->special);
		log_note(log, t->path, text);
	}
	if (t->setid_dropped) {
		snprintf(text, sizeof text,
		         "note: dropped setuid, setgid or sticky bits of %u names (--setid keeps them)",
		         t->setid_dropped);
		log_note(log, t->path, text);
	}
	if ((t->dirs[0].node.mode & 0005) != 0005) {
		snprintf(text, sizeof text,
		         "note: has mode %04o, and so will the volume: others cannot read it",
		         (unsigned)t->dirs[0].node.mode);
		log_note(log, t->path, text);
	}
}

static void summarize(const struct pack_options *o, const struct log *log, const struct tree *t,
                      const struct encoded *e, double seconds)
{
	uint64_t content = 0;
	for (uint32_t i = 0; i < t->entry_count; i++)
		content += t->entries[i].type == ENTRY_FILE ? t->entries[i].size : 0;
	log_packed(log,
	           &(struct summary){
	               .dest = o->output ? o->output : "standard output",
	               .id = e->id,
	               .revision = {o->revision, strlen(o->revision)},
	               .files = t->entry_count,
	               .bytes = content,
	               .seconds = seconds,
	               .handled_bytes = content,
	           },
	           e->index_size + e->data_size);
}

/* What one worker needs: frame, packed frame, zstd's tables (the largest levels want most). */
static size_t worker_bytes(int level)
{
	return level > 15 ? (size_t)200 << 20 : (size_t)50 << 20;
}

/* Frames are written in order: while one worker waits for its turn, one more than there are processors keeps
 * them busy. */
static unsigned workers_wanted(int level)
{
	unsigned n = workers_allowed(worker_bytes(level) * 3 / 2);
	return n > 1 ? n + 1 : 1;
}

static bool pack(const struct pack_options *o, const struct log *log, mode_t mask, struct fault *fault)
{
	struct ignore ignore = {.count = 0};
	struct tree tree = {.root = -1};
	struct layout layout = {.count = 0};
	struct encoded encoded = {.data = -1};
	struct stat patterns;
	struct progress_state clock;
	const char *dir = getenv("TMPDIR");
	char tmp[PATH_LEN_MAX + 1];
	char packer[64];

	snprintf(packer, sizeof packer, "decant %s zstd %s", DECANT_VERSION, ZSTD_versionString());
	progress_begin(&clock, log, o->source, 0);
	const struct scan_options scanning = {
	    .ignore = &ignore,
	    .ignore_file = o->no_ignore_file ? NULL : IGNORE_FILE,
	    .preserve_owner = o->preserve_owner,
	    .uid = o->uid,
	    .gid = o->gid,
	    .clamp = o->clamp,
	    .epoch = o->epoch,
	    .skip_special = o->skip_special,
	    .setid = o->setid,
	    .xattrs = o->xattrs,
	};
	const struct encode_options encoding = {
	    .level = o->level,
	    .dest = o->dest,
	    .revision = o->revision,
	    .packer = packer,
	    .threads = o->threads ? o->threads : workers_wanted(o->level),
	};
	char *output = o->output ? resolve(o->output) : NULL;
	if (output && !is_special(output)) /* where the bundle will need the room in any case */
		parent_of(output, tmp);
	else
		snprintf(tmp, sizeof tmp, "%s", dir && *dir ? dir : "/tmp");

	if (o->output && !output)
		fault_errno(fault, errno, o->output, "open");
	bool done = !fault->code && encoded_open(&encoded, tmp, fault) &&
	            load_ignore(&ignore, o, &patterns, fault) && scan(&tree, o->source, &scanning, fault) &&
	            layout_make(&layout, &tree, fault) &&
	            encode(&encoded, &tree, &layout, &encoding, fault) && tree_settled(&tree, fault) &&
	            same_patterns(&tree, o, &patterns, fault) &&
	            (output ? write_file(output, &encoded, mask, fault)
	                    : write_bundle(STDOUT_FILENO, "standard output", &encoded, fault));
	if (done && !o->quiet) {
		note_left_out(log, &tree);
		summarize(o, log, &tree, &encoded, progress_seconds(&clock));
	}
	free(output);
	encoded_free(&encoded);
	layout_free(&layout);
	tree_free(&tree);
	ignore_free(&ignore);
	return done;
}

int main(int argc, char **argv)
{
	struct fault fault = {.code = EXIT_DONE};
	struct pack_options options;
	struct log log;
	mode_t mask = umask(0);

	umask(mask);
	stop_install();
	bool parsed = pack_options_parse(&options, argc, argv, &fault) && workers_stack(&fault);
	log_init(&log, "decant-pack", options.json, PROGRESS_NONE);
	if (parsed && options.help)
		fputs(pack_options_help, stdout);
	else if (parsed && options.version)
		printf("decant-pack %s (zstd %s, xxHash %s, %s)\n", DECANT_VERSION, ZSTD_versionString(),
		       hash_version(), DECANT_LIBC);
	else if (parsed)
		pack(&options, &log, mask, &fault);
	if (fflush(stdout) != 0 || ferror(stdout))
		fault_errno(&fault, errno, "standard output", "write");
	if (fault.code)
		log_fault(&log, &fault);
	free(options.excludes);
	return (int)fault.code;
}
