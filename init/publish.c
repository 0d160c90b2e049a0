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
#define LINKS (1u << ENTRY_HARDLINK)

static const struct text no_name = {"", 0};

struct publisher;

/* What is done to entry NUMBER, which is E, in directory DIR. False with errno and *ACTION, or with a fault.
 */
typedef bool entry_act(struct publisher *p, unsigned worker, int dir, uint32_t number, const struct entry *e,
                       const char **action, struct fault *fault);

struct publisher {
	struct fill *fill;
	entry_act *act;
	unsigned types, actions;  /* of the entries that it is done to: bits 1 << type, 1 << action */
	bool linked[WORKERS_MAX]; /* it has seen that two names are one file */
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

/* The mode that directory NUMBER is made with: one that its owner may fill, and others no more than they
 * shall, whatever group it gets. It stays that where it is not given one. */
static uint32_t first_mode(const struct fill *f, uint32_t number)
{
	uint32_t mode = catalog_dir(&f->bundle->catalog, number).mode & 01777;
	return (f->dest->owners ? mode_between(mode) : mode) | 0700;
}

static bool make_dir(struct fill *f, int parent, uint32_t number, struct fault *fault)
{
	struct dir dir = catalog_dir(&f->bundle->catalog, number);
	char name[NAME_LEN_MAX + 1];

	text_terminate(name, dir.name);
	if (dir_action(f, number) == ACTION_REPLACE && !dest_unlink(parent, name) && errno != ENOENT)
		return failed(f, number, no_name, "replace", fault);
	if (!dest_mkdir(parent, name, first_mode(f, number)) && (errno != EEXIST || f->fresh))
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

/* Without a capability for it nobody changes a name in a directory that its owner may not write to. */
static void unlock_dirs(const struct fill *f)
{
	char path[PATH_LEN_MAX + 1];

	if (f->fresh || f->dest->overrides)
		return;
	for (uint32_t i = 0; i < f->bundle->catalog.head.dirs && !stop_requested(); i++) {
		catalog_path(&f->bundle->catalog, i, path);
		dest_unlock(f->dest, path);
	}
}

/* Give directory NUMBER its metadata, with the mode's bits ALSO. */
static bool publish_dir(struct fill *f, uint32_t number, uint32_t also, struct fault *fault)
{
	struct dir dir = catalog_dir(&f->bundle->catalog, number);
	struct metadata meta = metadata_of_dir(&dir);
	const char *action = "open";
	struct stat st;

	/* A mount point that somebody else owns is theirs to set up. */
	if (number == 0 && !f->dest->root_is_ours)
		return true;
	int fd = open_dir(f, number, O_RDONLY);
	bool done = fd >= 0 && fstat(fd, &st) == 0;
	/* Where modes are forced, they are right at once. */
	if (done && (!also || dest_differs(f->dest, fd, &st, &meta) & (DIFFERS_MODE | DIFFERS_OWNER))) {
		meta.mode |= also;
		done = dest_amend(f->dest, fd, &st, &meta, &action);
	}
	if (!done)
		failed(f, number, no_name, action, fault);
	close_fd(&fd);
	return fault->code == EXIT_DONE;
}

/* Is directory NUMBER one that those who read the volume meanwhile may enter, or not, by its owner and group?
 * Who does not override modes might then not enter it himself. */
static bool needs_owner(const struct fill *f, uint32_t number)
{
	struct dir dir = catalog_dir(&f->bundle->catalog, number);
	return f->dest->owners && (f->dest->overrides || dir.uid == 0) &&
	       (mode_between(dir.mode) != dir.mode || (dir.mode & 05) != 05);
}

bool publish_mkdirs(struct fill *f, struct fault *fault)
{
	unlock_dirs(f);
	for (uint32_t i = 0; i < f->bundle->catalog.head.dirs; i++)
		if (!stop_check(fault) || !make_children(f, i, fault))
			return false;
	for (uint32_t i = f->bundle->catalog.head.dirs; i-- > 0;)
		if (!f->fresh && dir_action(f, i) >= ACTION_NEW && needs_owner(f, i) &&
		    !publish_dir(f, i, 0700, fault))
			return false;
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

/* The metadata of a file that has the right content, the right owner and one name, if it is still the one
 * that the plan has seen. */
static bool amend(const struct fill *f, int dir, const char *name, uint32_t number, const struct entry *e,
                  const char **action)
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
	if (done && (st.st_nlink != 1 || plan_seen(&st) != f->plan.seen[number])) {
		errno = EEXIST;
		done = false;
	}
	done = done && dest_amend(f->dest, fd, &st, &meta, action);
	int error = errno;
	close_fd(&fd);
	errno = error;
	return done;
}

static bool give_name(struct publisher *p, unsigned worker, int dir, uint32_t number, const struct entry *e,
                      const char **action, struct fault *fault)
{
	char name[NAME_LEN_MAX + 1], from[16];

	(void)worker;
	(void)fault;
	text_terminate(name, e->name);
	if (plan_action(&p->fill->plan, number) == ACTION_AMEND)
		return amend(p->fill, dir, name, number, e, action);
	snprintf(from, sizeof from, "%u", number);
	*action = "rename";
	return move_in(p->fill, from, dir, name);
}

/* Remove what is wrong and claimed; a hard link with what it leads to, or it would keep the room of that. */
static bool clear_name(struct publisher *p, unsigned worker, int dir, uint32_t number, const struct entry *e,
                       const char **action, struct fault *fault)
{
	const struct plan *plan = &p->fill->plan;
	char name[NAME_LEN_MAX + 1];

	(void)worker;
	(void)fault;
	*action = "remove";
	if (!p->fill->claimed[number] ||
	    (plan_action(plan, number) != ACTION_REPLACE &&
	     (e->type != ENTRY_HARDLINK || plan_action(plan, (uint32_t)e->size) != ACTION_REPLACE)))
		return true;
	return dest_unlink(dir, text_terminate(name, e->name)) || errno == ENOENT || dest_is_dir(dir, name);
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
                       const char **action, struct fault *fault)
{
	struct fill *f = p->fill;
	const struct catalog *c = &f->bundle->catalog;
	uint32_t equal = (uint32_t)e->size, frame = catalog_frame_of(c, equal);
	char name[NAME_LEN_MAX + 1], target[NAME_LEN_MAX + 1], waiting[16];

	*action = "link";
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
	/* A file system that does not say so of the first says it of none. */
	if (done && !p->linked[worker]) {
		errno = ERANGE;
		p->linked[worker] = done = is_linked(target_dir, target, dir, name);
	}
	int error = errno;
	close_fd(&target_dir);
	errno = error;
	return done;
}

static bool publish_frame(void *context, unsigned worker, uint32_t number, struct fault *fault)
{
	struct publisher *p = context;
	struct reader *r = &p->readers[worker];
	const struct plan *plan = &p->fill->plan;
	const struct catalog *c = &p->fill->bundle->catalog;
	struct spans spans = spans_of(c, number);
	struct span span;

	if (!plan_frame_has(plan, c, number, p->actions))
		return true;
	if (!reader_block(r, number, fault))
		return false;
	while (span_next(&spans, &span)) {
		int fd = -1;
		bool done = true;
		for (uint32_t i = span.from; i < span.to && done; i++) {
			const char *action = "open";
			struct entry e = block_entry(&r->block, i - c->frame_first[number]);
			if (!(p->types >> e.type & 1) || !(p->actions >> plan_action(plan, i) & 1))
				continue;
			if (fd < 0)
				fd = open_dir(p->fill, span.dir, O_PATH);
			done =
			    stop_check(fault) && ((fd >= 0 && p->act(p, worker, fd, i, &e, &action, fault)) ||
			                          failed(p->fill, span.dir, e.name, action, fault));
		}
		close_fd(&fd);
		if (!done)
			return false;
	}
	return true;
}

static bool run(struct fill *f, unsigned types, unsigned actions, entry_act *act, struct fault *fault)
{
	struct publisher *p = calloc(1, sizeof *p);
	if (!p)
		return fault_set(fault, EXIT_INTERNAL, f->dest->path, "fill", "out of memory");
	p->fill = f;
	p->act = act;
	p->types = types;
	p->actions = actions;
	for (unsigned i = 0; i < f->workers; i++) {
		reader_init(&p->readers[i], f->bundle);
		reader_init(&p->links[i], f->bundle);
	}
	bool done = pool_run(f->workers, f->bundle->catalog.head.frames, publish_frame, p, NULL, fault);
	for (unsigned i = 0; i < f->workers; i++) {
		reader_free(&p->readers[i]);
		reader_free(&p->links[i]);
	}
	free(p);
	return done;
}

static bool make_links(struct fill *f, unsigned actions, struct fault *fault)
{
	return f->bundle->catalog.hardlinks == 0 || run(f, LINKS, actions, link_entry, fault);
}

bool publish_room(struct fill *f, struct fault *fault)
{
	unlock_dirs(f);
	/* A link that is right by itself may lead to what is not. */
	return run(f, ANY, f->bundle->catalog.hardlinks ? ~NEW : 1u << ACTION_REPLACE, clear_name, fault);
}

bool publish_new(struct fill *f, struct fault *fault)
{
	return run(f, ~LINKS, NEW, give_name, fault) && make_links(f, NEW, fault);
}

bool publish_changed(struct fill *f, struct fault *fault)
{
	return run(f, ~LINKS, CHANGED, give_name, fault);
}

bool publish_links(struct fill *f, struct fault *fault)
{
	return make_links(f, ANY, fault);
}

bool publish_dirs(struct fill *f, struct fault *fault)
{
	for (uint32_t i = f->bundle->catalog.head.dirs; i-- > 0;)
		if (!stop_check(fault) || !publish_dir(f, i, 0, fault))
			return false;
	return true;
}
