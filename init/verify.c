#include "verify.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "content.h"
#include "io.h"
#include "path.h"
#include "pool.h"
#include "spelling.h"
#include "stop.h"
#include "strangers.h"
#include "xattrs.h"

enum { LINES_AT_ONCE = 65536 }; /* bytes that are gathered before they are written */

struct worker {
	struct reader reader, others;
	unsigned char *piece;
	uint32_t frame; /* in hand */
	char *lines;    /* its differences */
	size_t used, room;
	uint64_t count;
	bool no_memory;
};

struct verifier {
	const struct options *options;
	struct bundle *bundle;
	struct dest *dest;
	struct pool *pool;
	atomic_bool folds; /* some directory, or the volume, may ignore case or forms of Unicode */
	struct worker workers[WORKERS_MAX];
};

/* Where in the volume: what a difference is about. */
struct place {
	struct verifier *v;
	struct worker *w;
	uint32_t dir;
	int fd;
};

static bool failed(const struct place *p, struct text name, const char *action, struct fault *fault)
{
	return dest_fault(p->v->dest, &p->v->bundle->catalog, p->dir, name, action, fault);
}

/* Note a difference of NAME (empty: the directory itself) in the worker's lines. */
static void differs(const struct place *p, const char *kind, struct text name, const char *detail, ...)
    __attribute__((format(printf, 4, 5)));

static void differs(const struct place *p, const char *kind, struct text name, const char *detail, ...)
{
	char path[PATH_LEN_MAX + NAME_LEN_MAX + 2], safe[4 * sizeof path + 8], why[256];
	size_t len = catalog_path(&p->v->bundle->catalog, p->dir, path);
	struct worker *w = p->w;
	va_list args;

	if (name.len) {
		len = p->dir ? len + 1 : 0;
		if (len)
			path[len - 1] = '/';
		memcpy(path + len, name.s, name.len);
		len += name.len;
	}
	name_escape(safe, sizeof safe, path, len);
	va_start(args, detail);
	vsnprintf(why, sizeof why, detail, args);
	va_end(args);

	size_t need = strlen(kind) + strlen(safe) + strlen(why) + 8;
	if (w->used + need > w->room) {
		char *lines = realloc(w->lines, w->room * 2 + need);
		if (!lines) {
			w->no_memory = true;
			return;
		}
		w->lines = lines;
		w->room = w->room * 2 + need;
	}
	w->used +=
	    (size_t)snprintf(w->lines + w->used, need, "%s: %s%s%s\n", kind, safe, *why ? ": " : "", why);
	w->count++;
}

static void compare_metadata(const struct place *p, struct text name, int fd, const struct stat *st,
                             const struct metadata *m)
{
	unsigned bits = dest_differs(p->v->dest, fd, st, m);
	if (bits & DIFFERS_MODE)
		differs(p, "mode", name, "%04o instead of %04o", (unsigned)st->st_mode & MODE_MASK,
		        (unsigned)m->mode);
	if ((bits & DIFFERS_OWNER) && st->st_uid == m->uid && st->st_gid == m->gid)
		differs(p, "owner", name, "one without a number here");
	else if (bits & DIFFERS_OWNER)
		differs(p, "owner", name, "%u:%u instead of %u:%u", (unsigned)st->st_uid,
		        (unsigned)st->st_gid, (unsigned)m->uid, (unsigned)m->gid);
	if (bits & DIFFERS_TIME)
		differs(p, "mtime", name, "%lld.%09ld instead of %lld.%09u", (long long)st->st_mtim.tv_sec,
		        st->st_mtim.tv_nsec, (long long)m->mtime, (unsigned)m->nsec);
}

static bool compare_xattrs(const struct place *p, struct text name, int fd, struct text set,
                           struct fault *fault)
{
	char extra[NAME_LEN_MAX + 1], safe[200];
	struct text rest = set;
	struct xattr x;

	while (xattr_next(&rest, &x)) {
		if (xattrs_same_value(fd, &x))
			continue;
		if (errno != ERANGE && errno != ENODATA && errno != EOPNOTSUPP)
			return failed(p, name, "read xattr", fault);
		differs(p, "xattr", name, "%s", name_escape(safe, sizeof safe, x.name.s, x.name.len));
	}
	if (!xattrs_extra(fd, set, extra))
		return failed(p, name, "list xattrs", fault);
	if (*extra)
		differs(p, "xattr", name, "%s is not in the bundle",
		        name_escape(safe, sizeof safe, extra, strlen(extra)));
	return true;
}

/* Does ERROR say that what the bundle has is not there? */
static bool is_missing(int error)
{
	return error == ENOENT || error == ENOTDIR || error == ELOOP;
}

static const char *type_name(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
		return "a file";
	case S_IFDIR:
		return "a directory";
	case S_IFLNK:
		return "a symbolic link";
	case S_IFIFO:
		return "a fifo";
	case S_IFSOCK:
		return "a socket";
	default:
		return "a device";
	}
}

static bool verify_file(const struct place *p, uint32_t number, const struct entry *e, const char *name,
                        struct fault *fault)
{
	nlink_t links = 1 + (nlink_t)catalog_links(&p->v->bundle->catalog, number);
	struct metadata meta = metadata_of_entry(e);
	struct stat st;
	bool same = true, done = true;

	int fd = dest_file(p->v->dest, p->fd, name, O_RDONLY);
	if (fd < 0 && errno == EXDEV) {
		differs(p, "type", e->name, "%s", "a mount point instead of a file");
		return true;
	}
	if (fd < 0)
		return failed(p, e->name, "open", fault);
	if (fstat(fd, &st) != 0) {
		done = failed(p, e->name, "stat", fault);
	} else if (!S_ISREG(st.st_mode)) {
		differs(p, "type", e->name, "%s instead of a file", type_name(st.st_mode));
	} else {
		if ((uint64_t)st.st_size != e->size)
			differs(p, "size", e->name, "%lld bytes instead of %llu", (long long)st.st_size,
			        (unsigned long long)e->size);
		else if (!content_matches(fd, e->size, e->hash, p->w->piece, &same))
			done = stop_check(fault) && failed(p, e->name, "read", fault);
		else if (!same)
			differs(p, "content", e->name, "%s", "");
		if (st.st_nlink != links)
			differs(p, "links", e->name, "%lu names instead of %lu", (unsigned long)st.st_nlink,
			        (unsigned long)links);
		compare_metadata(p, e->name, fd, &st, &meta);
		done = compare_xattrs(p, e->name, fd, e->xattrs, fault) && done;
	}
	close_fd(&fd);
	return done;
}

static bool verify_symlink(const struct place *p, const struct entry *e, const char *name,
                           const struct stat *st, struct fault *fault)
{
	struct metadata meta = metadata_of_entry(e);
	char target[PATH_LEN_MAX + 1];

	ssize_t n = readlinkat(p->fd, name, target, sizeof target);
	if (n < 0 && errno != EINVAL && !is_missing(errno))
		return failed(p, e->name, "read link", fault);
	if (n != (ssize_t)e->target.len || memcmp(target, e->target.s, e->target.len) != 0)
		differs(p, "target", e->name, "%s", "");
	compare_metadata(p, e->name, -1, st, &meta);
	return true;
}

static bool verify_link(const struct place *p, const struct entry *e, const struct stat *st,
                        struct fault *fault)
{
	const struct catalog *c = &p->v->bundle->catalog;
	uint32_t number = (uint32_t)e->size, frame = catalog_frame_of(c, number);
	char path[PATH_LEN_MAX + 1], name[NAME_LEN_MAX + 1];
	struct stat target;
	bool done = true;

	if (!reader_block(&p->w->others, frame, fault))
		return false;
	struct text text = block_entry(&p->w->others.block, number - c->frame_first[frame]).name;
	text_terminate(name, text);
	catalog_path(c, catalog_dir_of(c, number), path);
	int dir = dest_dir(p->v->dest, path, O_PATH);
	bool there = dir >= 0 && fstatat(dir, name, &target, AT_SYMLINK_NOFOLLOW) == 0;
	if (!there && !is_missing(errno))
		done = failed(p, e->name, "find target", fault);
	else if (!there || target.st_ino != st->st_ino || target.st_dev != st->st_dev)
		differs(p, "links", e->name, "not the same file as its target");
	close_fd(&dir);
	return done;
}

static bool verify_entry(const struct place *p, uint32_t number, const struct entry *e, struct fault *fault)
{
	char name[NAME_LEN_MAX + 1];
	struct stat st;

	text_terminate(name, e->name);
	if (p->fd < 0) {
		differs(p, "missing", e->name, "%s", "");
		return true;
	}
	if (fstatat(p->fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
		if (errno != ENOENT)
			return failed(p, e->name, "stat", fault);
		differs(p, "missing", e->name, "%s", "");
		return true;
	}
	mode_t want = e->type == ENTRY_SYMLINK ? S_IFLNK : S_IFREG;
	if ((st.st_mode & S_IFMT) != want) {
		differs(p, "type", e->name, "%s instead of %s", type_name(st.st_mode), type_name(want));
		return true;
	}
	if (e->type == ENTRY_FILE)
		return verify_file(p, number, e, name, fault);
	if (e->type == ENTRY_HARDLINK)
		return verify_link(p, e, &st, fault);
	return verify_symlink(p, e, name, &st, fault);
}

/* Write the lines that worker W has gathered, when no other can be writing. */
static bool write_lines(struct verifier *v, struct worker *w, struct fault *fault)
{
	if (w->no_memory)
		return fault_set(fault, EXIT_INTERNAL, v->dest->path, "verify", "out of memory");
	bool done = w->used == 0 || write_stream(STDOUT_FILENO, w->lines, w->used) ||
	            fault_errno(fault, errno, "standard output", "write");
	w->used = 0;
	return done;
}

/* Write what would take too much memory to keep until the frame's end. */
static bool relieve(struct verifier *v, struct worker *w, struct fault *fault)
{
	return w->used < LINES_AT_ONCE ||
	       ((!v->pool || pool_turn(v->pool, w->frame)) && write_lines(v, w, fault));
}

static bool report_stranger(void *context, uint32_t number, int fd, const char *name, struct fault *fault)
{
	const struct place *p = context;
	(void)number, (void)fd;
	differs(p, "extra", (struct text){name, strlen(name)}, "%s", "");
	return relieve(p->v, p->w, fault);
}

static bool verify_dir(const struct place *p, struct fault *fault)
{
	struct dir dir = catalog_dir(&p->v->bundle->catalog, p->dir);
	struct metadata meta = metadata_of_dir(&dir);
	struct text none = {"", 0};
	struct stat st;

	if (fstat(p->fd, &st) != 0)
		return failed(p, none, "stat", fault);
	if (dest_folds_case(p->fd))
		atomic_store(&p->v->folds, true);
	if (p->dir != 0 || p->v->dest->root_is_ours) {
		compare_metadata(p, none, p->fd, &st, &meta);
		if (!compare_xattrs(p, none, p->fd, dir.xattrs, fault))
			return false;
	}
	return !p->v->options->extra || strangers_in(&p->w->others, p->dir, p->fd, p->v->dest,
	                                             report_stranger, (void *)(uintptr_t)p, fault);
}

static bool open_place(struct place *p, bool begins, struct fault *fault)
{
	char path[PATH_LEN_MAX + 1];

	catalog_path(&p->v->bundle->catalog, p->dir, path);
	p->fd = dest_dir(p->v->dest, path, O_RDONLY);
	if (p->fd >= 0)
		return !begins || verify_dir(p, fault);
	if (!is_missing(errno))
		return failed(p, (struct text){"", 0}, "open", fault);
	if (begins)
		differs(p, errno == ENOENT ? "missing" : "type", (struct text){"", 0}, "%s",
		        errno == ENOENT ? "" : "something else instead of a directory");
	return true;
}

/* Print the frame's differences when it is its turn. */
static bool print(struct verifier *v, struct worker *w, uint32_t number, struct fault *fault)
{
	if (!pool_turn(v->pool, number))
		return false;
	bool done = write_lines(v, w, fault);
	pool_turn_over(v->pool);
	return done;
}

static bool verify_frame(void *context, unsigned worker, uint32_t number, struct fault *fault)
{
	struct verifier *v = context;
	struct worker *w = &v->workers[worker];
	const struct catalog *c = &v->bundle->catalog;
	struct spans spans = spans_of(c, number);
	struct span span;

	if (!w->piece && !(w->piece = malloc(CONTENT_PIECE)))
		w->no_memory = true;
	w->frame = number;
	if (w->no_memory || !reader_block(&w->reader, number, fault))
		return fault_set(fault, EXIT_INTERNAL, v->dest->path, "verify", "out of memory");
	while (span_next(&spans, &span)) {
		struct place place = {.v = v, .w = w, .dir = span.dir, .fd = -1};
		bool done = open_place(&place, span.begins, fault);
		for (uint32_t i = span.from; i < span.to && done; i++) {
			struct entry e = block_entry(&w->reader.block, i - c->frame_first[number]);
			done =
			    stop_check(fault) && verify_entry(&place, i, &e, fault) && relieve(v, w, fault);
		}
		close_fd(&place.fd);
		if (!done)
			return false;
	}
	return print(v, w, number, fault);
}

/* A name that leads to what has another one. */
static bool report_spelling(void *context, uint32_t number, int fd, const char *name, struct fault *fault)
{
	struct verifier *v = context;
	struct place place = {.v = v, .w = &v->workers[0], .dir = number};
	struct stat st;

	if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		differs(&place, "missing", (struct text){name, strlen(name)}, "there in another spelling");
	return relieve(v, place.w, fault);
}

static bool verify_spelling(struct verifier *v, struct fault *fault)
{
	return !v->folds || (spelling_all(v->bundle, v->dest, report_spelling, v, fault) &&
	                     write_lines(v, &v->workers[0], fault));
}

bool verify_volume(const struct options *options, const struct log *log, struct bundle *b, struct dest *dest,
                   unsigned workers, struct fault *fault)
{
	struct verifier *v = calloc(1, sizeof *v);
	struct progress_state clock;
	uint64_t differences = 0;

	if (!v)
		return fault_set(fault, EXIT_INTERNAL, dest->path, "verify", "out of memory");
	v->options = options;
	v->bundle = b;
	v->dest = dest;
	/* What cannot be opened is not put down to spelling, before verify_spelling has looked into that. */
	dest_look(dest);
	v->folds = dest->aliases;
	dest->aliases = false;
	progress_begin(&clock, log, dest->path, b->catalog.content);
	for (unsigned i = 0; i < workers; i++) {
		reader_init(&v->workers[i].reader, b);
		reader_init(&v->workers[i].others, b);
	}
	bool done = pool_run(workers, b->catalog.head.frames, verify_frame, v, &v->pool, fault) &&
	            verify_spelling(v, fault);
	for (unsigned i = 0; i < workers; i++) {
		differences += v->workers[i].count;
		reader_free(&v->workers[i].reader);
		reader_free(&v->workers[i].others);
		free(v->workers[i].piece);
		free(v->workers[i].lines);
	}
	free(v);
	if (!done)
		return false;
	bundle_drain(b);
	log_verified(log,
	             &(struct summary){.dest = dest->path,
	                               .result = differences ? "different" : "verified",
	                               .id = b->id,
	                               .revision = b->catalog.revision,
	                               .files = b->catalog.head.entries,
	                               .bytes = b->catalog.content,
	                               .seconds = progress_seconds(&clock),
	                               .handled_bytes = b->catalog.content},
	             differences);
	return !differences || fault_set(fault, EXIT_DIFFERENT, dest->path, "verify", "%llu difference%s",
	                                 (unsigned long long)differences, differences == 1 ? "" : "s");
}
