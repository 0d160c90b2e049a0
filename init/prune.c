#include "prune.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "io.h"
#include "old.h"
#include "stop.h"
#include "strangers.h"

struct pruner {
	struct fill *fill;
	struct bundle *past;
	uint32_t *map;        /* for each directory of PAST its number now */
	struct reader reader; /* of PAST */
	struct lookup now;    /* of the bundle being filled */
};

static bool failed(const struct pruner *p, uint32_t dir, struct text name, const char *action,
                   struct fault *fault)
{
	return dest_fault(p->fill->dest, &p->past->catalog, dir, name, action, fault);
}

static int open_dir(const struct pruner *p, uint32_t number, bool *gone)
{
	char path[PATH_LEN_MAX + 1];
	catalog_path(&p->past->catalog, number, path);
	int fd = dest_dir(p->fill->dest, path, O_PATH);
	*gone = fd < 0 && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP);
	return fd;
}

static void unlock_dir(const struct pruner *p, uint32_t number)
{
	char path[PATH_LEN_MAX + 1];
	catalog_path(&p->past->catalog, number, path);
	dest_unlock(p->fill->dest, path);
}

static bool prune_entry(struct pruner *p, uint32_t dir, int fd, struct text name, struct fault *fault)
{
	char path[NAME_LEN_MAX + 1];
	struct entry e;
	bool known;

	if (!lookup_find(&p->now, name, &e, &known, fault))
		return false;
	if (known)
		return true;
	memcpy(path, name.s, name.len);
	path[name.len] = '\0';
	if (dest_unlink(fd, path))
		atomic_fetch_add(&p->fill->progress.removed, 1);
	else if (errno != ENOENT && errno != EISDIR &&
	         !dest_is_dir(fd, path)) /* EPERM on some file systems */
		return failed(p, dir, name, "remove", fault);
	return true;
}

static bool prune_frame(struct pruner *p, uint32_t number, struct fault *fault)
{
	const struct catalog *c = &p->past->catalog;
	struct spans spans = spans_of(c, number);
	struct span span;

	if (!reader_block(&p->reader, number, fault))
		return false;
	while (span_next(&spans, &span)) {
		bool gone, done = true;
		if (span.from == span.to)
			continue;
		unlock_dir(p, span.dir);
		int fd = open_dir(p, span.dir, &gone);
		if (gone)
			continue;
		if (fd < 0)
			return failed(p, span.dir, (struct text){"", 0}, "open", fault);
		lookup_enter(&p->now, p->map[span.dir]);
		for (uint32_t i = span.from; i < span.to && done; i++) {
			struct entry e = block_entry(&p->reader.block, i - c->frame_first[number]);
			done = prune_entry(p, span.dir, fd, e.name, fault);
		}
		close_fd(&fd);
		if (!done)
			return false;
	}
	return true;
}

/* Directories that are gone from the bundle, children first, where they are empty. */
static bool prune_dirs(struct pruner *p, struct fault *fault)
{
	const struct catalog *c = &p->past->catalog;
	char name[NAME_LEN_MAX + 1];

	for (uint32_t i = c->head.dirs; i-- > 1;) {
		struct dir dir = catalog_dir(c, i);
		bool gone;
		if (p->map[i] != NO_ENTRY)
			continue;
		if (!stop_check(fault))
			return false;
		unlock_dir(p, dir.parent);
		int fd = open_dir(p, dir.parent, &gone);
		if (gone)
			continue;
		if (fd < 0)
			return failed(p, dir.parent, (struct text){"", 0}, "open", fault);
		memcpy(name, dir.name.s, dir.name.len);
		name[dir.name.len] = '\0';
		bool done = dest_rmdir(fd, name);
		if (done)
			atomic_fetch_add(&p->fill->progress.removed, 1);
		else if (errno != ENOENT && errno != ENOTDIR && errno != ENOTEMPTY && errno != EEXIST)
			failed(p, i, (struct text){"", 0}, "remove directory", fault);
		close_fd(&fd);
		if (fault->code)
			return false;
	}
	return true;
}

static bool prune_past(struct fill *f, struct bundle *past, struct fault *fault)
{
	struct pruner p = {.fill = f, .past = past};

	if (memcmp(past->catalog.head.id, f->bundle->catalog.head.id, 16) == 0)
		return true;
	p.map = map_dirs(&past->catalog, &f->bundle->catalog);
	if (!p.map)
		return fault_set(fault, EXIT_INTERNAL, f->dest->path, "prune", "out of memory");
	reader_init(&p.reader, past);
	reader_init(&p.now.reader, f->bundle);
	for (uint32_t i = 0; i < past->catalog.head.frames && !fault->code; i++) {
		if (stop_check(fault))
			prune_frame(&p, i, fault);
	}
	if (!fault->code)
		prune_dirs(&p, fault);
	reader_free(&p.reader);
	reader_free(&p.now.reader);
	free(p.map);
	return fault->code == EXIT_DONE;
}

bool prune_managed(struct fill *f, struct fault *fault)
{
	if (f->state.has_held && !prune_past(f, &f->state.held, fault))
		return false;
	for (uint32_t i = 0; i < f->state.journals.count; i++) {
		struct bundle past;
		bool found;
		if (!state_past(&f->state, i, &past, &found, fault))
			return false;
		if (!found)
			continue;
		prune_past(f, &past, fault);
		bundle_close(&past);
		if (fault->code)
			return false;
	}
	return true;
}

static bool remove_stranger(void *context, uint32_t number, int fd, const char *name, struct fault *fault)
{
	struct fill *f = context;
	if (!dest_unlink(fd, name) && errno != ENOENT &&
	    ((errno != EISDIR && errno != EPERM) || !state_discard(&f->state, fd, name)))
		return dest_fault(f->dest, &f->bundle->catalog, number, (struct text){name, strlen(name)},
		                  "remove", fault);
	atomic_fetch_add(&f->progress.removed, 1);
	return true;
}

bool prune_all(struct fill *f, struct fault *fault)
{
	return strangers_all(f->bundle, f->dest, remove_stranger, f, fault);
}

static bool count_stranger(void *context, uint32_t number, int fd, const char *name, struct fault *fault)
{
	(void)number, (void)fd, (void)name, (void)fault;
	++*(uint64_t *)context;
	return true;
}

bool prune_count(struct fill *f, uint64_t *count, struct fault *fault)
{
	*count = 0;
	return strangers_all(f->bundle, f->dest, count_stranger, count, fault);
}
