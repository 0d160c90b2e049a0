#include "pour.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hash.h"
#include "io.h"
#include "pool.h"
#include "stop.h"

/* How the work is shared.
 *
 * A job is a frame: read, unpack, check, then write the entries that begin in it. Frames are runs of
 * neighbours, so that two workers seldom meet in one directory. A worker keeps the descriptor of the
 * directory that it writes to until it comes to the next one.
 *
 * A file that spans frames is opened by the job of its first frame and put on a list, where the jobs of
 * the frames after it find it; the job that writes its last missing piece finishes it. Pieces are written in
 * any order, and then hashed in theirs. Jobs start in order, so the waits for the list, and for the pieces
 * before, always end. Of a stream the frames can only be read in order: each job waits
 * for its turn to read, and then unpacks and writes beside the others. */

struct large {
	struct hash_stream sum; /* of its first HASHED bytes */
	struct large *next;
	uint32_t entry, dir;
	int fd;
	uint64_t hashed; /* guarded by the pool's lock; SUM is the turn of the piece that begins there */
	struct entry e;  /* its hash, name and xattrs are copies */
	unsigned char hash[HASH_SIZE];
	char bytes[];
};

struct worker {
	struct reader reader;
	uint32_t dir; /* directory that FD is open for, or NO_ENTRY */
	int fd;
	uint32_t here;      /* directory of the entry in hand, for messages */
	struct habit habit; /* of the directory that files are made in */
};

struct pourer {
	struct fill *fill;
	struct pool *pool;
	struct large *large; /* guarded by the pool's lock */
	struct worker workers[WORKERS_MAX];
};

enum { WRITTEN = 1u << ACTION_NEW | 1u << ACTION_REPLACE, POURED = WRITTEN | 1u << ACTION_CHECK };

static bool wants(const struct fill *f, uint32_t entry, unsigned actions)
{
	return actions >> plan_action(&f->plan, entry) & 1;
}

static bool failed(const struct pourer *p, uint32_t dir, struct text name, const char *action,
                   struct fault *fault)
{
	return dest_fault(p->fill->dest, &p->fill->bundle->catalog, dir, name, action, fault);
}

/* Make W's descriptor that of directory DIR. */
static bool enter(struct pourer *p, struct worker *w, uint32_t dir, struct fault *fault)
{
	char path[PATH_LEN_MAX + 1];

	if (w->dir == dir)
		return true;
	close_fd(&w->fd);
	catalog_path(&p->fill->bundle->catalog, dir, path);
	w->fd = dest_dir(p->fill->dest, path, O_PATH);
	w->dir = w->fd < 0 ? NO_ENTRY : dir;
	if (p->fill->fresh)
		habit_leave(&w->habit);
	return w->fd >= 0 || failed(p, dir, (struct text){"", 0}, "open", fault);
}

/* Where entry NUMBER is made: its directory and name, or tmp and its number. */
static int target(const struct pourer *p, const struct worker *w, uint32_t number, const struct entry *e,
                  char *name)
{
	if (!p->fill->fresh) {
		snprintf(name, NAME_LEN_MAX + 1, "%u", number);
		return p->fill->state.tmp;
	}
	text_terminate(name, e->name);
	return w->fd;
}

/* The frame's own sum is right, so only a packer that went wrong can have made this differ. But the state
 * will vouch for the file by its hash, to fills that never look at the content again. */
static bool wrong_content(const struct pourer *p, struct fault *fault)
{
	return fault_set(fault, EXIT_BUNDLE, p->fill->bundle->name, "unpack",
	                 "a file's content is not what its hash says");
}

static bool write_piece(int fd, const struct entry *e, const unsigned char *data, size_t size, uint64_t at)
{
	if (size == 0)
		return true;
	return e->flags & ENTRY_HOLES ? dest_write_holes(fd, data, size, at)
	                              : write_full(fd, data, size, (int64_t)at);
}

/* Give a file whose bytes are all written its metadata, and close it. */
static bool finish(struct pourer *p, struct worker *w, uint32_t dir, const struct entry *e, int *fd,
                   struct fault *fault)
{
	struct metadata meta = metadata_of_entry(e);
	const char *action = "truncate";

	bool done = (!(e->flags & ENTRY_HOLES) || dest_truncate(*fd, e->size)) &&
	            dest_finish(p->fill->dest, *fd, &meta, &w->habit, &action);
	if (done) {
		action = "close";
		done = close_fd(fd);
	}
	if (!done)
		failed(p, dir, e->name, action, fault);
	close_fd(fd);
	return done;
}

/* Put the open file of a large entry on the list. Takes FD over. NULL: out of memory. */
static struct large *large_open(struct pourer *p, uint32_t number, uint32_t dir, const struct entry *e,
                                int fd, struct fault *fault)
{
	struct large *l = malloc(sizeof *l + e->name.len + e->xattrs.len);
	if (!l) {
		close(fd);
		fault_set(fault, EXIT_INTERNAL, p->fill->dest->path, "write", "out of memory");
		return NULL;
	}
	*l = (struct large){.entry = number, .dir = dir, .fd = fd, .e = *e};
	hash_begin(&l->sum);
	memcpy(l->hash, e->hash, HASH_SIZE);
	memcpy(l->bytes, e->name.s, e->name.len);
	if (e->xattrs.len)
		memcpy(l->bytes + e->name.len, e->xattrs.s, e->xattrs.len);
	l->e.hash = l->hash;
	l->e.name.s = l->bytes;
	l->e.xattrs.s = l->bytes + e->name.len;
	pool_lock(p->pool);
	l->next = p->large;
	p->large = l;
	pool_wake(p->pool);
	pool_unlock(p->pool);
	return l;
}

/* Wait until the job of its first frame has opened large entry NUMBER. NULL: the run is stopping. */
static struct large *large_find(struct pourer *p, uint32_t number)
{
	struct large *l = NULL;
	pool_lock(p->pool);
	while (!pool_stopping(p->pool)) {
		for (l = p->large; l && l->entry != number; l = l->next)
			;
		if (l)
			break;
		pool_wait(p->pool);
	}
	pool_unlock(p->pool);
	return l;
}

/* Add the piece at AT to L's hash, when all before it are. *LAST: that was the last one, and L is on the list
 * no more. False: the run is stopping. */
static bool large_hash(struct pourer *p, struct large *l, const unsigned char *data, size_t size, uint64_t at,
                       bool *last)
{
	pool_lock(p->pool);
	while (l->hashed != at && !pool_stopping(p->pool))
		pool_wait(p->pool);
	bool mine = !pool_stopping(p->pool);
	pool_unlock(p->pool);
	if (!mine)
		return false;
	hash_add(&l->sum, data, size);
	pool_lock(p->pool);
	l->hashed += size;
	*last = l->hashed == l->e.size;
	for (struct large **link = &p->large; *last && *link; link = &(*link)->next) {
		if (*link == l) {
			*link = l->next;
			break;
		}
	}
	pool_wake(p->pool);
	pool_unlock(p->pool);
	return true;
}

static bool large_is_content(struct pourer *p, struct large *l, struct fault *fault)
{
	unsigned char sum[HASH_SIZE];
	hash_end(&l->sum, sum);
	return memcmp(sum, l->hash, sizeof sum) == 0 || wrong_content(p, fault);
}

/* Write SIZE bytes of a large file at offset AT; the last piece finishes it. */
static bool large_write(struct pourer *p, struct worker *w, struct large *l, const unsigned char *data,
                        size_t size, uint64_t at, struct fault *fault)
{
	bool last;

	if (!write_piece(l->fd, &l->e, data, size, at))
		return failed(p, l->dir, l->e.name, "write", fault);
	if (!large_hash(p, l, data, size, at, &last))
		return false;
	if (!last)
		return true;
	/* What W has learnt was not known where this file was made, and may be of another directory. */
	struct habit habit = w->habit;
	habit_leave(&w->habit);
	bool done = large_is_content(p, l, fault) && finish(p, w, l->dir, &l->e, &l->fd, fault);
	w->habit = habit;
	close_fd(&l->fd);
	free(l);
	return done;
}

static bool is_content(const unsigned char *data, size_t size, const unsigned char *hash)
{
	unsigned char sum[HASH_SIZE];
	hash128(data, size, sum);
	return memcmp(sum, hash, sizeof sum) == 0;
}

/* Is the content of FD the SIZE bytes at DATA? */
static bool same_content(int fd, const unsigned char *data, uint64_t size)
{
	unsigned char piece[1 << 15];
	for (uint64_t at = 0; at < size; at += sizeof piece) {
		size_t n = size - at < sizeof piece ? (size_t)(size - at) : sizeof piece;
		if (read_full(fd, piece, n, (int64_t)at) != (ssize_t)n || memcmp(piece, data + at, n) != 0)
			return false;
	}
	return true;
}

/* What becomes of file NUMBER, which has the right size: compare it with DATA. What cannot be read, or has
 * become something else, is replaced. */
static enum action check(const struct pourer *p, const struct worker *w, uint32_t number,
                         const struct entry *e, const char *name, const unsigned char *data)
{
	struct stat st;
	unsigned differs;
	int fd = plan_open(p->fill->dest, w->fd, name, e, &st, &differs);
	bool same = fd >= 0 && same_content(fd, data, e->size);

	close_fd(&fd);
	return !same      ? ACTION_REPLACE
	       : !differs ? ACTION_KEEP
	                  : plan_amend(&p->fill->plan, p->fill->bundle, number, &st);
}

static bool pour_file(struct pourer *p, struct worker *w, uint32_t number, const struct entry *e,
                      uint64_t room, struct fault *fault)
{
	struct metadata meta = metadata_of_entry(e);
	const unsigned char *data = w->reader.frame_plain + e->offset;
	size_t here = e->size < room ? (size_t)e->size : (size_t)room;
	char name[NAME_LEN_MAX + 1];

	if (here == e->size && !is_content(data, here, e->hash))
		return wrong_content(p, fault);
	if (plan_action(&p->fill->plan, number) == ACTION_CHECK) {
		text_terminate(name, e->name);
		enum action action = check(p, w, number, e, name, data);
		p->fill->plan.entry[number] = (uint8_t)action;
		if (action != ACTION_REPLACE)
			return true;
		/* fill.c, make_plan; what stays is replaced all the same */
		if (p->fill->claimed && p->fill->claimed[number])
			dest_unlink(w->fd, name);
	}
	int dir = target(p, w, number, e, name);
	int fd = dest_create(p->fill->dest, dir, name, &meta, &w->habit);
	if (fd < 0)
		return failed(p, w->here, e->name, "create", fault);
	if (here < e->size) {
		/* It stays on the list until this job has written its piece, which is never empty
		 * (validate.c).
		 */
		struct large *l = large_open(p, number, w->here, e, fd, fault);
		return l && large_write(p, w, l, data, here, 0, fault);
	}
	if (!write_piece(fd, e, data, here, 0)) {
		failed(p, w->here, e->name, "write", fault);
		close(fd);
		return false;
	}
	return finish(p, w, w->here, e, &fd, fault);
}

static bool pour_entry(struct pourer *p, struct worker *w, uint32_t number, const struct entry *e,
                       uint64_t room, struct fault *fault)
{
	struct metadata meta = metadata_of_entry(e);
	char name[NAME_LEN_MAX + 1];
	const char *action;

	if (e->type == ENTRY_FILE)
		return pour_file(p, w, number, e, room, fault);
	if (e->type == ENTRY_HARDLINK)
		return true; /* after all files: publish.h */
	int dir = target(p, w, number, e, name), tmp = p->fill->state.tmp;
	if (dir == tmp || !dest_shared(dir, &w->habit))
		return dest_symlink(p->fill->dest, dir, name, e->target, &meta, &w->habit, &action) ||
		       failed(p, w->here, e->name, action, fault);
	/* Where somebody could put another link in its place it gets its name last. */
	struct habit none = {0};
	char aside[16];
	snprintf(aside, sizeof aside, "%u", number);
	if (!dest_symlink(p->fill->dest, tmp, aside, e->target, &meta, &none, &action))
		return failed(p, w->here, e->name, action, fault);
	return dest_rename(tmp, aside, dir, name) || failed(p, w->here, e->name, "rename", fault);
}

/* Read frame NUMBER; of a stream, when it is its turn. */
static bool fetch(struct pourer *p, struct worker *w, uint32_t number, bool wanted, struct fault *fault)
{
	if (!p->fill->bundle->stream)
		return !wanted || reader_fetch(&w->reader, number, fault);
	if (!pool_turn(p->pool, number))
		return false;
	bool done = reader_fetch(&w->reader, number, fault);
	if (done && number + 1 == p->fill->bundle->catalog.head.frames)
		done = bundle_end(p->fill->bundle, fault);
	pool_turn_over(p->pool);
	return done;
}

/* The piece of a file that frame NUMBER goes on with. */
static bool pour_carried(struct pourer *p, struct worker *w, const struct frame *frame, struct fault *fault)
{
	struct large *l = large_find(p, frame->carried);
	if (!l)
		return false;
	uint64_t rest = l->e.size - frame->carried_at;
	size_t here = rest < frame->plain ? (size_t)rest : frame->plain;
	return large_write(p, w, l, w->reader.frame_plain, here, frame->carried_at, fault);
}

static bool pour_frame(void *context, unsigned worker, uint32_t number, struct fault *fault)
{
	struct pourer *p = context;
	struct fill *f = p->fill;
	struct worker *w = &p->workers[worker];
	const struct catalog *c = &f->bundle->catalog;
	struct frame frame = catalog_frame(c, number);
	struct spans spans = spans_of(c, number);
	struct span span;
	bool wanted = f->fresh || plan_frame_has(&f->plan, &f->bundle->catalog, number, POURED);

	/* The block first: both use the buffer for packed bytes. */
	if ((wanted && !reader_block(&w->reader, number, fault)) || !fetch(p, w, number, wanted, fault))
		return false;
	atomic_fetch_add_explicit(&f->progress.bytes, frame.plain, memory_order_relaxed);
	progress_show(&f->progress);
	if (!wanted)
		return true;
	if (!reader_unpack(&w->reader, number, fault))
		return false;
	if (frame.carried != NO_ENTRY && wants(f, frame.carried, WRITTEN) &&
	    !pour_carried(p, w, &frame, fault))
		return false;
	while (span_next(&spans, &span)) {
		w->here = span.dir;
		for (uint32_t i = span.from; i < span.to; i++) {
			struct entry e = block_entry(&w->reader.block, i - frame.first);
			if (!wants(f, i, POURED))
				continue;
			if (!stop_check(fault))
				return false;
			if ((f->fresh || wants(f, i, 1u << ACTION_CHECK)) && !enter(p, w, span.dir, fault))
				return false;
			if (!pour_entry(p, w, i, &e, frame.plain - e.offset, fault))
				return false;
		}
	}
	return true;
}

bool pour(struct fill *f, struct fault *fault)
{
	struct pourer *p = calloc(1, sizeof *p);
	if (!p)
		return fault_set(fault, EXIT_INTERNAL, f->dest->path, "fill", "out of memory");
	p->fill = f;
	for (unsigned i = 0; i < f->workers; i++) {
		reader_init(&p->workers[i].reader, f->bundle);
		p->workers[i].dir = NO_ENTRY;
		p->workers[i].fd = -1;
		p->workers[i].habit.closed = !f->fresh; /* in tmp */
	}
	bool done = pool_run(f->workers, f->bundle->catalog.head.frames, pour_frame, p, &p->pool, fault);
	for (unsigned i = 0; i < f->workers; i++) {
		reader_free(&p->workers[i].reader);
		close_fd(&p->workers[i].fd);
	}
	while (p->large) {
		struct large *l = p->large;
		p->large = l->next;
		close(l->fd);
		free(l);
	}
	free(p);
	return done;
}
