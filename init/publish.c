#include "publish.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io.h"
#include "pool.h"
#include "stop.h"

#define NEW (1u << ACTION_NEW)
#define CHANGED (1u << ACTION_REPLACE | 1u << ACTION_AMEND)
#define ANY (~0u)

static const struct text no_name = {"", 0};

struct publisher {
	struct fill *fill;
	unsigned actions; /* bits 1 << action of this pass */
	bool clears;      /* it removes what it meets, and makes nothing */
	struct reader readers[WORKERS_MAX], links[WORKERS_MAX];
};

static bool failed(const struct fill *f, uint32_t dir, struct text name, const char *action,
                   struct fault *fault)
{
	return dest_fault(f->dest, &f->bundle->catalog, dir, name, action, fault);
}

static int open_dir(const struct fill *f, uint32_t dir, int flags)
{
	char path[PATH_LEN_MAX + 1];
	catalog_path(&f->bundle->catalog, dir, path);
	return dest_dir(f->dest, path, flags);
}

static enum action dir_action(const struct fill *f, uint32_t dir)
{
	return f->fresh ? (dir ? ACTION_NEW : ACTION_AMEND) : (enum action)f->plan.dir[dir];
}

static bool make_dir(struct fill *f, int parent, uint32_t number, struct fault *fault)
{
	struct dir dir = catalog_dir(&f->bundle->catalog, number);
	char name[NAME_LEN_MAX + 1];

	text_terminate(name, dir.name);
	if (dir_action(f, number) == ACTION_REPLACE && !dest_unlink(parent, name) && errno != ENOENT)
		return failed(f, number, no_name, "replace", fault);
	if (!dest_mkdir(parent, name, (dir.mode & 0777) | 0700) && (errno != EEXIST || f->fresh))
		return failed(f, number, no_name, "create directory", fault);
	return true;
}

/* All children of directory NUMBER that are to be made, by one descriptor. */
static bool make_children(struct fill *f, uint32_t number, struct fault *fault)
{
	const struct catalog *c = &f->bundle->catalog;
	int fd = -1;
	bool done = true;

	for (uint32_t i = number + 1; i < c->dir_end[number] && done; i = c->dir_end[i]) {
		if (dir_action(f, i) < ACTION_NEW)
			continue;
		if (fd < 0)
			fd = open_dir(f, number, O_PATH);
		done = fd < 0 ? failed(f, number, no_name, "open", fault) : make_dir(f, fd, i, fault);
	}
	close_fd(&fd);
	return done;
}

bool publish_mkdirs(struct fill *f, struct fault *fault)
{
	char path[PATH_LEN_MAX + 1];

	for (uint32_t i = 0; i < f->bundle->catalog.head.dirs; i++) {
		if (!f->fresh && !f->dest->owners) {
			catalog_path(&f->bundle->catalog, i, path);
			dest_unlock(f->dest, path);
		}
		if (!stop_check(fault) || !make_children(f, i, fault))
			return false;
	}
	return true;
}

/* Put NAME of tmp in the place of NAME in DIR, whatever is there. */
static bool move_in(struct fill *f, const char *from, int dir, const char *name)
{
	if (dest_rename(f->state.tmp, from, dir, name))
		return true;
	return (errno == EISDIR || errno == ENOTEMPTY || errno == EEXIST) &&
	       state_discard(&f->state, dir, name) && dest_rename(f->state.tmp, from, dir, name);
}

/* The metadata of a file that has the right content, the right owner and one name. It is looked at once more,
 * because the name may by now be another file's, which may have names outside the volume. */
static bool amend(const struct fill *f, int dir, const char *name, const struct entry *e, const char **action)
{
	struct metadata meta = metadata_of_entry(e);
	struct stat st;

	*action = "open";
	int fd = dest_file(f->dest, dir, name, O_RDONLY);
	if (fd < 0 && errno == EACCES)
		fd = dest_file(f->dest, dir, name, O_WRONLY);
	if (fd < 0)
		return false;
	*action = "change (it was replaced meanwhile)";
	bool done = fstat(fd, &st) == 0;
	if (done && (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != e->size || st.st_nlink != 1 ||
	             (dest_differs(f->dest, &st, &meta) & DIFFERS_OWNER))) {
		errno = EEXIST;
		done = false;
	}
	done = done && dest_amend(f->dest, fd, &st, &meta, action);
	int error = errno;
	close_fd(&fd);
	errno = error;
	return done;
}

/* Remove what is wrong under the name of entry NUMBER; it is then a new one. */
static bool clear_entry(struct publisher *p, int dir, uint32_t number, const struct entry *e,
                        const char **action)
{
	char name[NAME_LEN_MAX + 1];

	*action = "remove";
	if (dest_unlink(dir, text_terminate(name, e->name)))
		p->fill->plan.entry[number] = ACTION_NEW;
	return p->fill->plan.entry[number] == ACTION_NEW || errno == ENOENT || dest_is_dir(dir, name);
}

static bool publish_entry(struct publisher *p, int dir, uint32_t number, const struct entry *e,
                          const char **action)
{
	char name[NAME_LEN_MAX + 1], from[16];

	if (p->clears)
		return clear_entry(p, dir, number, e, action);
	text_terminate(name, e->name);
	if (plan_action(&p->fill->plan, number) == ACTION_AMEND)
		return amend(p->fill, dir, name, e, action);
	snprintf(from, sizeof from, "%u", number);
	*action = "rename";
	return move_in(p->fill, from, dir, name);
}

static bool publish_frame(void *context, unsigned worker, uint32_t number, struct fault *fault)
{
	struct publisher *p = context;
	struct reader *r = &p->readers[worker];
	const struct catalog *c = &p->fill->bundle->catalog;
	struct spans spans = spans_of(c, number);
	struct span span;

	if (!plan_frame_has(&p->fill->plan, &p->fill->bundle->catalog, number, p->actions))
		return true;
	if (!reader_block(r, number, fault))
		return false;
	while (span_next(&spans, &span)) {
		int fd = -1;
		bool done = true;
		for (uint32_t i = span.from; i < span.to && done; i++) {
			const char *action = "open";
			struct entry e = block_entry(&r->block, i - c->frame_first[number]);
			if (e.type == ENTRY_HARDLINK || !(p->actions >> plan_action(&p->fill->plan, i) & 1))
				continue;
			if (fd < 0)
				fd = open_dir(p->fill, span.dir, O_PATH);
			done = stop_check(fault) && ((fd >= 0 && publish_entry(p, fd, i, &e, &action)) ||
			                             failed(p->fill, span.dir, e.name, action, fault));
		}
		close_fd(&fd);
		if (!done)
			return false;
	}
	return true;
}

/* Is PATH of entry TARGET the same file as NAME in DIR already? */
static bool is_linked(int target_dir, const char *target, int dir, const char *name)
{
	struct stat a, b;
	return fstatat(target_dir, target, &a, AT_SYMLINK_NOFOLLOW) == 0 &&
	       fstatat(dir, name, &b, AT_SYMLINK_NOFOLLOW) == 0 && a.st_ino == b.st_ino &&
	       a.st_dev == b.st_dev;
}

static bool link_entry(struct publisher *p, unsigned worker, int dir, uint32_t number, const struct entry *e,
                       struct fault *fault)
{
	struct fill *f = p->fill;
	const struct catalog *c = &f->bundle->catalog;
	uint32_t equal = (uint32_t)e->size, frame = catalog_frame_of(c, equal);
	char name[NAME_LEN_MAX + 1], target[NAME_LEN_MAX + 1], waiting[16];

	if (!reader_block(&p->links[worker], frame, fault))
		return false;
	text_terminate(name, e->name);
	text_terminate(target, block_entry(&p->links[worker].block, equal - c->frame_first[frame]).name);
	snprintf(waiting, sizeof waiting, "%u", number);
	/* Before the changed files have their names, what will replace the target still waits. */
	bool waits = p->actions == NEW && plan_action(&f->plan, equal) == ACTION_REPLACE;
	if (waits)
		snprintf(target, sizeof target, "%u", equal);
	int target_dir =
	    waits ? fcntl(f->state.tmp, F_DUPFD_CLOEXEC, 0) : open_dir(f, catalog_dir_of(c, equal), O_PATH);
	bool done = target_dir >= 0;
	if (done && f->fresh)
		done = dest_link(target_dir, target, dir, name);
	else if (done && !is_linked(target_dir, target, dir, name))
		done = dest_link(target_dir, target, f->state.tmp, waiting) && move_in(f, waiting, dir, name);
	int error = errno;
	close_fd(&target_dir);
	errno = error;
	return done || failed(f, catalog_dir_of(c, number), e->name, "link", fault);
}

static bool link_frame(void *context, unsigned worker, uint32_t number, struct fault *fault)
{
	struct publisher *p = context;
	struct reader *r = &p->readers[worker];
	const struct catalog *c = &p->fill->bundle->catalog;
	struct spans spans = spans_of(c, number);
	struct span span;

	if (!reader_block(r, number, fault))
		return false;
	while (span_next(&spans, &span)) {
		int fd = -1;
		bool done = true;
		for (uint32_t i = span.from; i < span.to && done; i++) {
			struct entry e = block_entry(&r->block, i - c->frame_first[number]);
			if (e.type != ENTRY_HARDLINK || !(p->actions >> plan_action(&p->fill->plan, i) & 1))
				continue;
			if (fd < 0)
				fd = open_dir(p->fill, span.dir, O_PATH);
			if (fd < 0)
				done = failed(p->fill, span.dir, no_name, "open", fault);
			else
				done = stop_check(fault) && link_entry(p, worker, fd, i, &e, fault);
		}
		close_fd(&fd);
		if (!done)
			return false;
	}
	return true;
}

static bool run(struct fill *f, unsigned actions, bool clears,
                bool (*job)(void *context, unsigned worker, uint32_t number, struct fault *fault),
                struct fault *fault)
{
	struct publisher *p = calloc(1, sizeof *p);
	if (!p)
		return fault_set(fault, EXIT_INTERNAL, f->dest->path, "fill", "out of memory");
	p->fill = f;
	p->actions = actions;
	p->clears = clears;
	for (unsigned i = 0; i < f->workers; i++) {
		reader_init(&p->readers[i], f->bundle);
		reader_init(&p->links[i], f->bundle);
	}
	bool done = pool_run(f->workers, f->bundle->catalog.head.frames, job, p, NULL, fault);
	for (unsigned i = 0; i < f->workers; i++) {
		reader_free(&p->readers[i]);
		reader_free(&p->links[i]);
	}
	free(p);
	return done;
}

bool publish_room(struct fill *f, struct fault *fault)
{
	return run(f, 1u << ACTION_REPLACE, true, publish_frame, fault);
}

bool publish_new(struct fill *f, struct fault *fault)
{
	return run(f, NEW, false, publish_frame, fault) &&
	       (f->bundle->catalog.hardlinks == 0 || run(f, NEW, false, link_frame, fault));
}

bool publish_changed(struct fill *f, struct fault *fault)
{
	return run(f, CHANGED, false, publish_frame, fault);
}

bool publish_links(struct fill *f, struct fault *fault)
{
	return f->bundle->catalog.hardlinks == 0 || run(f, ANY, false, link_frame, fault);
}

static bool publish_dir(struct fill *f, uint32_t number, struct fault *fault)
{
	struct dir dir = catalog_dir(&f->bundle->catalog, number);
	struct metadata meta = metadata_of_dir(&dir);
	const char *action = "open";
	struct stat st;

	if (number == 0 && !f->dest->root_is_ours)
		return true;
	int fd = open_dir(f, number, O_RDONLY);
	bool done = fd >= 0 && fstat(fd, &st) == 0 && dest_amend(f->dest, fd, &st, &meta, &action);
	/* A mount point that somebody else owns is theirs to set up. */
	if (!done && !(number == 0 && fd >= 0 && errno == EPERM))
		failed(f, number, no_name, action, fault);
	close_fd(&fd);
	return fault->code == EXIT_DONE;
}

bool publish_dirs(struct fill *f, struct fault *fault)
{
	for (uint32_t i = f->bundle->catalog.head.dirs; i-- > 0;)
		if (!stop_check(fault) || !publish_dir(f, i, fault))
			return false;
	return true;
}
