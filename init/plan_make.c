#include "plan.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "content.h"
#include "io.h"
#include "old.h"
#include "pool.h"
#include "stop.h"
#include "xattrs.h"

struct planner {
	struct plan *plan;
	struct bundle *bundle;
	struct state *state;
	const struct dest *dest;
	uint32_t unit;
	bool same;        /* the volume holds this very bundle */
	bool trusts_dirs; /* so does what is below a directory that is untouched by itself */
	uint32_t
	    *held_dir; /* for each directory its number in the held bundle; NULL when SAME or nothing held */
	uint8_t *untouched; /* for each directory: it, and all above it, are what the state's fill left */
	/* For each entry: a hard link to it is not there, or is another file. Then the file may have a name
	 * that the bundle does not know, although it has as many names as it should. NULL without hard links.
	 */
	_Atomic uint8_t *loose;
	struct worker *workers;
};

struct worker {
	struct reader reader, links;
	struct lookup held;
	unsigned char *piece; /* for contents that are read */
	uint64_t count[5], hard, bytes, disk;
};

/* What the planner knows of the directory that it is in. */
struct place {
	uint32_t dir;
	int fd;          /* -1: not there */
	bool obstructed; /* something that is no directory has its name */
};

enum { DIRS_PER_JOB = 64 };

/* A without a fraction may have lost it, as in an image that mke2fs(8) made of a directory. */
static bool is_older(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec < b->tv_sec ||
	       (a->tv_sec == b->tv_sec && a->tv_nsec < b->tv_nsec && a->tv_nsec != 0);
}

/* Nobody has changed what ST describes since the state was written: its ctime says so. */
static bool is_untouched(const struct planner *p, const struct stat *st)
{
	return p->state->has_held && p->state->trusted && is_older(&st->st_ctim, &p->state->seen);
}

static bool same_text(struct text a, struct text b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.s, b.s, a.len) == 0);
}

static bool open_place(const struct planner *p, struct place *place, uint32_t dir, int flags,
                       struct fault *fault)
{
	char path[PATH_LEN_MAX + 1];
	catalog_path(&p->bundle->catalog, dir, path);
	*place = (struct place){.dir = dir, .fd = dest_dir(p->dest, path, flags)};
	if (place->fd >= 0 || errno == ENOENT)
		return true;
	place->obstructed = errno == ENOTDIR || errno == ELOOP;
	return place->obstructed ||
	       dest_fault(p->dest, &p->bundle->catalog, dir, (struct text){"", 0}, "open", fault);
}

static bool plan_dir(struct planner *p, const struct place *place, struct fault *fault)
{
	struct dir dir = catalog_dir(&p->bundle->catalog, place->dir);
	struct metadata meta = metadata_of_dir(&dir);
	enum action action = place->obstructed ? ACTION_REPLACE : ACTION_NEW;
	struct stat st;

	if (place->fd >= 0) {
		if (fstat(place->fd, &st) != 0)
			return dest_fault(p->dest, &p->bundle->catalog, place->dir, (struct text){"", 0},
			                  "stat", fault);
		if (!p->dest->aliases && dest_folds_case(place->fd))
			return dest_refuse(p->dest, &p->bundle->catalog, place->dir, (struct text){"", 0},
			                   "open", "this directory alone ignores the case of names", fault);
		bool untouched = is_untouched(p, &st);
		p->untouched[place->dir] = untouched;
		/* For the root the state does not vouch: a fill whose own it is not leaves it as it is. */
		bool right =
		    dest_differs(p->dest, place->fd, &st, &meta) == 0 &&
		    ((p->trusts_dirs && untouched && place->dir != 0) || xattrs_match(place->fd, dir.xattrs));
		if (place->dir == 0 && !p->dest->root_is_ours)
			right = true;
		action = right ? ACTION_KEEP : ACTION_AMEND;
	}
	p->plan->dir[place->dir] = (uint8_t)action;
	return true;
}

/* A job of the first pass: a run of directories. */
static bool plan_dirs(void *context, unsigned worker, uint32_t number, struct fault *fault)
{
	struct planner *p = context;
	uint32_t first = number * DIRS_PER_JOB, dirs = p->bundle->catalog.head.dirs;
	uint32_t end = dirs - first < DIRS_PER_JOB ? dirs : first + DIRS_PER_JOB;

	(void)worker;
	for (uint32_t i = first; i < end; i++) {
		struct place place;
		if (!stop_check(fault) || !open_place(p, &place, i, O_RDONLY, fault))
			return false;
		bool done = plan_dir(p, &place, fault);
		close_fd(&place.fd);
		if (!done)
			return false;
	}
	return true;
}

/* Is the file, or link, that ST describes what the state's fill made of HELD? A rename does not touch what is
 * below the directory that it moves, so the directories count, too; and what was written while that fill was
 * still running betrays itself by its mtime. */
static bool is_as_held(const struct planner *p, const struct place *place, const struct entry *held,
                       const struct stat *st)
{
	struct metadata meta = metadata_of_entry(held);
	return is_untouched(p, st) && p->untouched[place->dir] && dest_differs(p->dest, -1, st, &meta) == 0;
}

/* Does E give whoever runs it rights? */
static bool is_privileged(const struct entry *e)
{
	struct text rest = e->xattrs;
	struct xattr x;
	bool is = e->mode & SETID_MASK;

	while (xattr_next(&rest, &x))
		is = is || x.name.s[0] == 's'; /* security.capability: all others begin with "user." */
	return is;
}

/* The pieces of a large file come to different workers, so that it is compared now. To write it anew would
 * take its room twice. */
static enum action judge_large(const struct planner *p, struct worker *w, const struct place *place,
                               const char *name, uint32_t number, const struct entry *e)
{
	struct stat st;
	unsigned differs;
	bool same = false;
	int fd = plan_open(p->dest, place->fd, name, e, &st, &differs);

	if (fd < 0)
		return ACTION_REPLACE;
	if (!w->piece)
		w->piece = malloc(CONTENT_PIECE);
	if (!w->piece || !content_matches(fd, e->size, e->hash, w->piece, &same))
		same = false;
	close(fd);
	return !same ? ACTION_REPLACE : !differs ? ACTION_KEEP : plan_amend(p->plan, p->bundle, number, &st);
}

/* A file that is there, of the right type and size. HELD is what the state says of it, or NULL. */
static enum action judge_file(const struct planner *p, struct worker *w, const struct place *place,
                              const char *name, uint32_t number, const struct entry *e,
                              const struct entry *held, const struct stat *st, bool spans_frames)
{
	struct metadata meta = metadata_of_entry(e);
	bool privileged = is_privileged(e);

	/* A file that gives rights is always one that decant made: somebody may have another open, and change
	 * it, through a mapping, when it has them. */
	if (!held || held->type != ENTRY_FILE || held->size != e->size ||
	    memcmp(held->hash, e->hash, 16) != 0 || !is_as_held(p, place, held, st) ||
	    !dest_file_owner_is(p->dest, place->fd, name, st)) {
		if (privileged)
			return ACTION_REPLACE;
		return spans_frames ? judge_large(p, w, place, name, number, e) : ACTION_CHECK;
	}
	if (same_text(held->xattrs, e->xattrs) && !dest_differs(p->dest, -1, st, &meta))
		return ACTION_KEEP;
	/* Somebody else's wants the right to amend it, and one that may neither be read nor written cannot be
	 * opened for it. */
	bool ours = st->st_uid == geteuid();
	if (privileged || (!ours && !p->dest->amends) ||
	    (!p->dest->overrides && (ours ? !(st->st_mode & 0600) : (~st->st_mode & 0044) != 0)) ||
	    (dest_differs(p->dest, -1, st, &meta) & DIFFERS_OWNER))
		return ACTION_REPLACE;
	return held->xattrs.len && !same_text(held->xattrs, e->xattrs)
	           ? ACTION_REPLACE
	           : plan_amend(p->plan, p->bundle, number, st);
}

static enum action judge_symlink(const struct planner *p, const struct place *place, const char *name,
                                 const struct entry *e, const struct entry *held, const struct stat *st)
{
	struct metadata meta = metadata_of_entry(e);
	char target[PATH_LEN_MAX + 1];

	if (st->st_size != (off_t)e->target.len)
		return ACTION_REPLACE;
	if (!held || held->type != ENTRY_SYMLINK || !same_text(held->target, e->target) ||
	    !is_as_held(p, place, held, st)) {
		ssize_t n = readlinkat(place->fd, name, target, sizeof target);
		if (n != (ssize_t)e->target.len || memcmp(target, e->target.s, e->target.len) != 0)
			return ACTION_REPLACE;
	}
	/* It has no descriptor by which to amend it safely. */
	return dest_differs(p->dest, -1, st, &meta) ? ACTION_REPLACE : ACTION_KEEP;
}

/* A hard link is right when it and the entry that it equals are one file. */
static bool judge_link(struct planner *p, struct worker *w, const struct entry *e, const struct stat *st,
                       enum action *action, struct fault *fault)
{
	const struct catalog *c = &p->bundle->catalog;
	uint32_t number = (uint32_t)e->size, frame = catalog_frame_of(c, number);
	struct place place;
	struct stat target;
	char name[NAME_LEN_MAX + 1];

	*action = ACTION_REPLACE;
	if (!reader_block(&w->links, frame, fault) ||
	    !open_place(p, &place, catalog_dir_of(c, number), O_PATH, fault))
		return false;
	struct text text = block_entry(&w->links.block, number - c->frame_first[frame]).name;
	text_terminate(name, text);
	if (place.fd >= 0 && fstatat(place.fd, name, &target, AT_SYMLINK_NOFOLLOW) == 0 &&
	    target.st_ino == st->st_ino && target.st_dev == st->st_dev)
		*action = ACTION_KEEP;
	close_fd(&place.fd);
	return true;
}

static bool plan_entry(struct planner *p, struct worker *w, const struct place *place, uint32_t number,
                       const struct entry *e, bool spans_frames, struct fault *fault)
{
	char name[NAME_LEN_MAX + 1];
	struct entry held;
	struct stat st;
	bool known = p->same;
	enum action action;

	text_terminate(name, e->name);
	if (p->held_dir && !lookup_find(&w->held, e->name, &held, &known, fault))
		return false;
	const struct entry *before = !known ? NULL : p->same ? e : &held;

	if (place->fd < 0) {
		action = ACTION_NEW;
	} else if (fstatat(place->fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
		if (errno != ENOENT)
			return dest_fault(p->dest, &p->bundle->catalog, place->dir, e->name, "stat", fault);
		action = ACTION_NEW;
	} else if (e->type == ENTRY_SYMLINK) {
		action = S_ISLNK(st.st_mode) ? judge_symlink(p, place, name, e, before, &st) : ACTION_REPLACE;
	} else if (!S_ISREG(st.st_mode)) {
		action = ACTION_REPLACE;
	} else if (e->type == ENTRY_HARDLINK) {
		if (!judge_link(p, w, e, &st, &action, fault))
			return false;
	} else if ((uint64_t)st.st_size != e->size ||
	           st.st_nlink != 1 + (nlink_t)catalog_links(&p->bundle->catalog, number)) {
		/* A link that the bundle does not know may be a way to a file outside the volume. */
		action = ACTION_REPLACE;
	} else {
		action = judge_file(p, w, place, name, number, e, before, &st, spans_frames);
	}
	p->plan->entry[number] = (uint8_t)action;
	w->count[action]++;
	w->hard += e->type == ENTRY_HARDLINK && action != ACTION_KEEP;
	if (e->type == ENTRY_HARDLINK && action != ACTION_KEEP)
		atomic_store_explicit(&p->loose[e->size], 1, memory_order_relaxed);
	if (e->type == ENTRY_FILE && action >= ACTION_CHECK) {
		w->bytes += e->size;
		if (action != ACTION_CHECK && !(e->flags & ENTRY_HOLES))
			w->disk += (e->size + p->unit - 1) / p->unit * p->unit;
	}
	return true;
}

static bool plan_frame(void *context, unsigned worker, uint32_t number, struct fault *fault)
{
	struct planner *p = context;
	struct worker *w = &p->workers[worker];
	const struct catalog *c = &p->bundle->catalog;
	struct frame frame = catalog_frame(c, number);
	struct spans spans = spans_of(c, number);
	struct span span;

	if (!reader_block(&w->reader, number, fault))
		return false;
	while (span_next(&spans, &span)) {
		struct place place;
		bool done = true;
		if (span.from == span.to)
			continue;
		if (!open_place(p, &place, span.dir, O_PATH, fault))
			return false;
		if (p->held_dir)
			lookup_enter(&w->held, p->held_dir[span.dir]);
		for (uint32_t i = span.from; i < span.to && done; i++) {
			struct entry e = block_entry(&w->reader.block, i - frame.first);
			bool spans_frames = e.type == ENTRY_FILE && e.size > frame.plain - e.offset;
			done = stop_check(fault) && plan_entry(p, w, &place, i, &e, spans_frames, fault);
		}
		close_fd(&place.fd);
		if (!done)
			return false;
	}
	return true;
}

/* A file that not all of its links lead to is made anew: the name that makes up the number may be outside the
 * volume, and what is done to the file would be done there. */
static void replace_loose(struct planner *p)
{
	struct plan *plan = p->plan;
	for (uint32_t i = 0; p->loose && i < p->bundle->catalog.head.entries; i++) {
		if (!atomic_load_explicit(&p->loose[i], memory_order_relaxed) || plan->entry[i] >= ACTION_NEW)
			continue;
		plan->count[plan->entry[i]]--;
		plan->count[ACTION_REPLACE]++;
		plan->entry[i] = ACTION_REPLACE;
	}
}

/* A directory that was moved brings what is below it along untouched, with attributes that are perhaps
 * others. So where one above is not, which is known when all have been looked at, they are looked at once
 * more. */
static bool plan_all_dirs(struct planner *p, unsigned workers, struct fault *fault)
{
	const struct catalog *c = &p->bundle->catalog;
	uint32_t jobs = (c->head.dirs + DIRS_PER_JOB - 1) / DIRS_PER_JOB;
	bool moved;

	p->trusts_dirs = p->same;
	do {
		if (!pool_run(workers, jobs, plan_dirs, p, NULL, fault))
			return false;
		moved = false;
		p->plan->dirs = 0;
		for (uint32_t i = 0; i < c->head.dirs; i++) {
			p->plan->dirs += p->plan->dir[i] != ACTION_KEEP;
			if (p->untouched[i] > p->untouched[catalog_dir(c, i).parent]) {
				p->untouched[i] = 0;
				moved = p->trusts_dirs;
			}
		}
		p->trusts_dirs = false;
	} while (moved);
	return true;
}

static bool run(struct planner *p, unsigned workers, struct fault *fault)
{
	for (unsigned i = 0; i < workers; i++) {
		reader_init(&p->workers[i].reader, p->bundle);
		reader_init(&p->workers[i].links, p->bundle);
		reader_init(&p->workers[i].held.reader, &p->state->held);
	}
	const struct catalog *c = &p->bundle->catalog;
	bool done =
	    plan_all_dirs(p, workers, fault) && pool_run(workers, c->head.frames, plan_frame, p, NULL, fault);
	for (unsigned i = 0; i < workers; i++) {
		struct worker *w = &p->workers[i];
		for (int action = 0; action < 5; action++)
			p->plan->count[action] += w->count[action];
		p->plan->links += w->hard;
		p->plan->bytes += w->bytes;
		p->plan->disk += w->disk;
		reader_free(&w->reader);
		reader_free(&w->links);
		reader_free(&w->held.reader);
		free(w->piece);
	}
	if (done)
		replace_loose(p);
	return done;
}

bool plan_make(struct plan *plan, struct bundle *b, struct state *s, unsigned workers, uint32_t unit,
               struct fault *fault)
{
	struct planner p = {.plan = plan, .bundle = b, .state = s, .dest = s->dest, .unit = unit};
	bool done = false;

	memset(plan, 0, sizeof *plan);
	p.same = s->has_held && memcmp(s->held.catalog.head.id, b->catalog.head.id, 16) == 0;
	plan->entry = malloc((size_t)b->catalog.head.entries + 1);
	plan->dir = malloc(b->catalog.head.dirs);
	plan->seen = calloc((size_t)b->catalog.head.entries + 1, sizeof *plan->seen);
	p.untouched = calloc(b->catalog.head.dirs, 1);
	p.workers = calloc(workers, sizeof *p.workers);
	if (b->catalog.hardlinks)
		p.loose = calloc(b->catalog.head.entries, 1);
	if (s->has_held && s->trusted && !p.same)
		p.held_dir = map_dirs(&b->catalog, &s->held.catalog);
	if (!plan->entry || !plan->seen || !plan->dir || !p.untouched || !p.workers ||
	    (b->catalog.hardlinks && !p.loose) || (s->has_held && s->trusted && !p.same && !p.held_dir))
		fault_set(fault, EXIT_INTERNAL, b->name, "plan", "out of memory");
	else
		done = run(&p, workers, fault);
	free(p.held_dir);
	free(p.untouched);
	free(p.loose);
	free(p.workers);
	return done;
}
