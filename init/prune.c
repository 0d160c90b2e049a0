#include "prune.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "io.h"
#include "old.h"
#include "path.h"
#include "spelling.h"
#include "stop.h"
#include "strangers.h"

struct pruner {
	struct fill *fill;
	struct bundle *past;
	struct reader reader; /* of PAST */
	/* For each entry, and each directory, of PAST: who else has its name? A byte, so that any number of
	 * releases can be asked, one after another. */
	uint8_t *entry, *dir;
	uint8_t *spelt;      /* for each directory of PAST: has the volume its path just so? */
	uint32_t here;       /* directory of PAST that FD is open for, or NO_ENTRY */
	int fd;              /* -1: it is gone */
	struct names listed; /* there; see spelling_read */
};

/* What may not be touched is no fault, and stays, where only an index that a group could write claims it: or
 * a member could name a file of theirs there, and no fill would end well any more. */
static bool failed(const struct pruner *p, uint32_t dir, struct text name, const char *action,
                   struct fault *fault)
{
	dest_fault(p->fill->dest, &p->past->catalog, dir, name, action, fault);
	if (p->past->shared && fault->code == EXIT_PERMISSION)
		fault->code = EXIT_DONE;
	return fault->code == EXIT_DONE;
}

/* Does ERROR say that nothing has the name? A file system has no name that it does not take. */
static bool is_absent(int error)
{
	return error == ENOENT || error == ENAMETOOLONG || error == EILSEQ || error == EINVAL;
}

/* Does ERROR say that what is there now, if anything, is not the release's directory? Neither is what is
 * mounted there. */
static bool is_gone(int error)
{
	return is_absent(error) || error == ENOTDIR || error == ELOOP || error == EXDEV;
}

/* Open PATH as the group would that can write the index of PAST: one directory by the other, for who may
 * rename above can lead a path elsewhere. ENOENT where it could not have removed names. */
static int open_shared(const struct pruner *p, const char *path)
{
	char name[NAME_LEN_MAX + 1] = ".";
	int fd = dest_dir(p->fill->dest, name, O_PATH);

	while (fd >= 0 && state_group_may(&p->fill->state, fd, !path)) {
		if (!path)
			return fd;
		path = path_step(path, name);
		int above = fd;
		fd = dest_child(p->fill->dest, above, name, O_PATH);
		close_fd(&above);
	}
	if (fd >= 0) {
		close_fd(&fd);
		errno = ENOENT;
	}
	return fd;
}

static void leave(struct pruner *p)
{
	names_free(&p->listed);
	close_fd(&p->fd);
}

/* Make P's descriptor that of directory NUMBER: -1 where it is gone, or where the group that could write the
 * index could not have removed what is in there. It is listed here, and so once: an index may have it in any
 * number of frames. */
static bool enter(struct pruner *p, uint32_t number, struct fault *fault)
{
	char path[PATH_LEN_MAX + 1];

	if (p->here == number)
		return true;
	leave(p);
	p->here = number;
	catalog_path(&p->past->catalog, number, path);
	if (p->past->shared) { /* open to the group, or left alone */
		p->fd = open_shared(p, path);
	} else {
		dest_unlock(p->fill->dest, path);
		p->fd = dest_dir(p->fill->dest, path, O_PATH);
	}
	return (p->fd < 0 ? is_gone(errno) : spelling_read(p->fill->dest, p->fd, &p->listed)) ||
	       failed(p, number, (struct text){"", 0}, "read directory", fault);
}

/* Each directory of an index that a group has written is opened from the root on, twice at the most: a step
 * to it, and to each below. */
static bool afford(const struct pruner *p)
{
	const struct catalog *c = &p->past->catalog;
	uint64_t *left = &p->fill->state.steps, steps = 0;

	for (uint32_t i = 1; i < c->head.dirs && p->past->shared; i++)
		steps += c->dir_end[i] - i;
	bool can = steps <= *left;
	*left -= can ? steps : 0;
	return can;
}

static bool mark_frame(struct pruner *p, struct lookup *other, const uint32_t *map, uint32_t number,
                       struct fault *fault)
{
	const struct catalog *c = &p->past->catalog;
	struct spans spans = spans_of(c, number);
	struct span span;

	if (!stop_check(fault) || !reader_block(&p->reader, number, fault))
		return false;
	while (span_next(&spans, &span)) {
		lookup_enter(other, map[span.dir]);
		for (uint32_t i = span.from; i < span.to; i++) {
			struct entry e = block_entry(&p->reader.block, i - c->frame_first[number]), same;
			bool found;
			if (!lookup_find(other, e.name, &same, &found, fault))
				return false;
			p->entry[i] |= found;
		}
	}
	return true;
}

/* Which directories in directory NUMBER has the volume just so? */
static void spell_children(struct pruner *p, uint32_t number, struct fault *fault)
{
	const struct catalog *c = &p->past->catalog;
	char path[PATH_LEN_MAX + 1];
	struct names listed = {0};

	catalog_path(c, number, path);
	int fd = dest_dir(p->fill->dest, path, O_PATH);
	if (fd < 0 ? !is_gone(errno) : !names_read(fd, &listed))
		failed(p, number, (struct text){"", 0}, "read directory", fault);
	for (uint32_t i = number + 1; i < c->dir_end[number]; i = c->dir_end[i])
		p->spelt[i] = spelling_is(p->fill->dest, &listed, catalog_dir(c, i).name);
	names_free(&listed);
	close_fd(&fd);
	stop_check(fault);
}

/* On a volume that ignores case, a directory of PAST that is spelt otherwise, or is in one that is, is
 * another's: a stranger's, the bundle's, or .decant. */
static bool spell_dirs(struct pruner *p, struct fault *fault)
{
	const struct catalog *c = &p->past->catalog;

	memset(p->spelt, !p->fill->dest->aliases, c->head.dirs);
	p->spelt[0] = 1;
	if (!p->fill->dest->aliases)
		return true;
	for (uint32_t i = 0; i < c->head.dirs && !fault->code; i++)
		if (p->spelt[i] && c->dir_end[i] > i + 1)
			spell_children(p, i, fault);
	return fault->code == EXIT_DONE;
}

/* Mark what OTHER names, too. */
static bool mark(struct pruner *p, struct bundle *other, struct fault *fault)
{
	const struct catalog *c = &p->past->catalog;
	uint32_t *map = map_dirs(c, &other->catalog);
	struct lookup lookup = {0};

	if (!map)
		return fault_set(fault, EXIT_INTERNAL, p->fill->dest->path, "prune", "out of memory");
	reader_init(&lookup.reader, other);
	for (uint32_t i = 0; i < c->head.dirs; i++)
		p->dir[i] |= map[i] != NO_ENTRY;
	for (uint32_t i = 0; i < c->head.frames && !fault->code; i++)
		mark_frame(p, &lookup, map, i, fault);
	reader_free(&lookup.reader);
	free(map);
	return fault->code == EXIT_DONE;
}

/* Mark all that stays: what the bundle has, and what the kept releases have. */
static bool mark_all(struct pruner *p, struct fault *fault)
{
	struct state *s = &p->fill->state;
	const struct releases *r = &s->releases;

	if ((p->fill->bundle && !mark(p, p->fill->bundle, fault)) ||
	    (s->keep_held && !mark(p, &s->held, fault)))
		return false;
	for (uint32_t i = 0; i < r->names.count && !fault->code; i++) {
		struct bundle kept;
		bool found;
		if (!r->kept[i] || !state_past(s, names_get(&r->names, i).s, &kept, &found, NULL, fault) ||
		    !found)
			continue;
		mark(p, &kept, fault);
		bundle_close(&kept);
	}
	return fault->code == EXIT_DONE;
}

static bool prune_entry(const struct pruner *p, uint32_t dir, struct text name, struct fault *fault)
{
	char path[NAME_LEN_MAX + 1];

	text_terminate(path, name);
	if (dest_unlink(p->fd, path))
		atomic_fetch_add(&p->fill->progress.removed, 1);
	else if (!is_absent(errno) && errno != EISDIR && errno != EBUSY &&
	         !dest_is_dir(p->fd, path)) /* EPERM on some file systems */
		return failed(p, dir, name, "remove", fault);
	return true;
}

/* Has all of SPAN, which may be nothing, its names elsewhere? */
static bool stays(const struct pruner *p, const struct span *span)
{
	uint32_t i = span->from;
	while (i < span->to && p->entry[i])
		i++;
	return i == span->to;
}

/* The entries of SPAN, whose directory P is in. */
static bool prune_span(const struct pruner *p, uint32_t number, const struct span *span, struct fault *fault)
{
	uint32_t first = p->past->catalog.frame_first[number];

	for (uint32_t i = span->from; i < span->to && !fault->code; i++) {
		struct entry e = block_entry(&p->reader.block, i - first);
		/* Spelt otherwise, it is another name's file. */
		if (!p->entry[i] && spelling_is(p->fill->dest, &p->listed, e.name))
			prune_entry(p, span->dir, e.name, fault);
	}
	return fault->code == EXIT_DONE;
}

static bool prune_frame(struct pruner *p, uint32_t number, struct fault *fault)
{
	const struct catalog *c = &p->past->catalog;
	struct spans spans = spans_of(c, number);
	struct span span;

	if (!reader_block(&p->reader, number, fault))
		return false;
	while (span_next(&spans, &span)) {
		if (stays(p, &span) || !p->spelt[span.dir])
			continue;
		if (!enter(p, span.dir, fault) || (p->fd >= 0 && !prune_span(p, number, &span, fault)))
			return false;
	}
	return true;
}

/* Remove directory NUMBER from its parent, which P is in, if it is empty. */
static bool prune_dir(const struct pruner *p, uint32_t number, struct fault *fault)
{
	char name[NAME_LEN_MAX + 1];

	text_terminate(name, catalog_dir(&p->past->catalog, number).name);
	if (dest_rmdir(p->fd, name))
		atomic_fetch_add(&p->fill->progress.removed, 1);
	else if (!is_absent(errno) && errno != ENOTDIR && errno != ENOTEMPTY && errno != EEXIST &&
	         errno != EBUSY)
		return failed(p, number, (struct text){"", 0}, "remove directory", fault);
	return stop_check(fault);
}

/* Does directory NUMBER go, if it is empty? */
static bool goes(const struct pruner *p, uint32_t number)
{
	return !p->dir[number] && p->spelt[number];
}

/* Does a directory go that is in directory NUMBER? */
static bool loses(const struct pruner *p, uint32_t number)
{
	const struct catalog *c = &p->past->catalog;
	uint32_t i = number + 1;

	while (i < c->dir_end[number] && !goes(p, i))
		i = c->dir_end[i];
	return i < c->dir_end[number];
}

/* Directories that nobody has any more, where they are empty: those below a directory before those in it. */
static bool prune_dirs(struct pruner *p, struct fault *fault)
{
	const struct catalog *c = &p->past->catalog;

	for (uint32_t i = c->head.dirs; i-- > 0;) {
		if (!loses(p, i))
			continue;
		if (!enter(p, i, fault))
			return false;
		for (uint32_t j = i + 1; j < c->dir_end[i] && p->fd >= 0; j = c->dir_end[j])
			if (goes(p, j) && !prune_dir(p, j, fault))
				return false;
	}
	return true;
}

static bool prune_past(struct fill *f, struct bundle *past, struct fault *fault)
{
	struct pruner p = {.fill = f, .past = past, .here = NO_ENTRY, .fd = -1};
	const struct header *head = &past->catalog.head;

	if ((f->bundle && strcmp(past->id, f->bundle->id) == 0) || !afford(&p))
		return true;
	p.entry = calloc((size_t)head->entries + 1, 1);
	p.dir = calloc(head->dirs, 1);
	p.spelt = malloc(head->dirs);
	reader_init(&p.reader, past);
	if (!p.entry || !p.dir || !p.spelt)
		fault_set(fault, EXIT_INTERNAL, f->dest->path, "prune", "out of memory");
	else if (spell_dirs(&p, fault))
		mark_all(&p, fault);
	for (uint32_t i = 0; i < head->frames && !fault->code; i++) {
		if (stop_check(fault))
			prune_frame(&p, i, fault);
	}
	if (!fault->code)
		prune_dirs(&p, fault);
	leave(&p);
	reader_free(&p.reader);
	free(p.entry);
	free(p.dir);
	free(p.spelt);
	return fault->code == EXIT_DONE;
}

/* The same for the index in journal or release NAME. */
static bool prune_named(struct fill *f, const char *name, struct fault *fault)
{
	struct bundle past;
	bool found;

	if (!state_past(&f->state, name, &past, &found, NULL, fault))
		return false;
	if (!found)
		return true;
	prune_past(f, &past, fault);
	bundle_close(&past);
	return fault->code == EXIT_DONE;
}

bool prune_managed(struct fill *f, struct fault *fault)
{
	const struct releases *r = &f->state.releases;

	if (f->state.has_held && !f->state.keep_held && !prune_past(f, &f->state.held, fault))
		return false;
	for (uint32_t i = 0; i < f->state.journals.count; i++)
		if (!prune_named(f, names_get(&f->state.journals, i).s, fault))
			return false;
	for (uint32_t i = 0; i < r->names.count; i++)
		if (!r->kept[i] && !prune_named(f, names_get(&r->names, i).s, fault))
			return false;
	return true;
}

bool prune_claims(struct fill *f, uint8_t *claimed, struct fault *fault)
{
	const struct header *head = &f->bundle->catalog.head;
	struct pruner p = {.fill = f, .past = f->bundle, .entry = claimed, .dir = calloc(head->dirs, 1)};

	if (!p.dir)
		return fault_set(fault, EXIT_INTERNAL, f->dest->path, "plan", "out of memory");
	reader_init(&p.reader, p.past);
	for (uint32_t i = 0; i < f->state.journals.count && !fault->code; i++) {
		struct bundle journal;
		bool found;
		if (state_past(&f->state, names_get(&f->state.journals, i).s, &journal, &found, NULL,
		               fault) &&
		    found) {
			mark(&p, &journal, fault);
			bundle_close(&journal);
		}
	}
	reader_free(&p.reader);
	free(p.dir);
	return fault->code == EXIT_DONE;
}

static bool remove_stranger(void *context, uint32_t number, int fd, const char *name, struct fault *fault)
{
	struct fill *f = context;
	if (!dest_unlink(fd, name) && errno != ENOENT &&
	    ((errno != EISDIR && errno != EPERM) ||
	     (!dest_rmdir(fd, name) && !state_discard(&f->state, fd, name))))
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
