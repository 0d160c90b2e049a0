/* repair.c - makes whatever a model has become a valid bundle again. */
#include <stdlib.h>
#include <string.h>

#include "hash.h"
#include "model.h"

static int compare(struct bytes a, struct bytes b)
{
	int order = memcmp(a.n ? (const void *)a.s : "", b.n ? (const void *)b.s : "", a.n < b.n ? a.n : b.n);
	return order ? order : (a.n > b.n) - (a.n < b.n);
}

static bool is(struct bytes name, const char *text)
{
	return name.n == strlen(text) && memcmp(name.s, text, name.n) == 0;
}

static bool good_name(struct bytes name, bool at_root)
{
	return name.n > 0 && name.n < 256 && !memchr(name.s, 0, name.n) && !memchr(name.s, '/', name.n) &&
	       !is(name, ".") && !is(name, "..") &&
	       !(at_root && (is(name, ".decant") || is(name, "lost+found")));
}

static void good_meta(struct meta *m, bool setid)
{
	m->mode &= setid ? 07777 : 0777;
	if (m->uid == UINT32_MAX)
		m->uid = 0;
	if (m->gid == UINT32_MAX)
		m->gid = 0;
	m->nsec %= 1000000000;
}

/* ---- directories ------------------------------------------------------------------------------ */

/* Where the directories of the old numbering go, depth first, siblings in order. */
struct order {
	const struct model *m;
	struct model_dir *out;
	uint32_t *child, *sibling; /* lists of children by name, NO_LINK ends them */
	uint32_t *now;             /* the new number, NO_LINK for those left out */
	uint32_t count;
};

static void hang(struct order *o, uint32_t number)
{
	const struct model_dir *dir = o->m->dir;
	uint32_t parent = dir[number].parent, *at = &o->child[parent];

	while (*at != NO_LINK && compare(dir[*at].name, dir[number].name) < 0)
		at = &o->sibling[*at];
	if (*at != NO_LINK && compare(dir[*at].name, dir[number].name) == 0)
		return;
	o->sibling[number] = *at;
	*at = number;
}

/* No recursion: a chain of directories may be thousands long. */
static void number_dirs(struct order *o)
{
	uint32_t *stack = arena_take(MODEL_DIRS * sizeof *stack), top = 0, length = 0;
	uint32_t *lengths = arena_take(MODEL_DIRS * sizeof *lengths);

	stack[top++] = 0;
	while (top) {
		uint32_t number = stack[--top], parent = o->m->dir[number].parent;
		o->now[number] = o->count;
		o->out[o->count] = o->m->dir[number];
		o->out[o->count++].parent = number ? o->now[parent] : 0;
		length = number ? lengths[parent] + (uint32_t)o->m->dir[number].name.n + (parent != 0) : 0;
		lengths[number] = length;
		/* The stack gives the last one first, so the children go on it backwards. */
		uint32_t from = top;
		for (uint32_t c = o->child[number]; c != NO_LINK; c = o->sibling[c])
			if (length + 1 + o->m->dir[c].name.n <= PATH_LEN_MAX)
				stack[top++] = c;
		for (uint32_t low = from, high = top; low + 1 < high; low++) {
			uint32_t swap = stack[low];
			stack[low] = stack[--high];
			stack[high] = swap;
		}
	}
}

static void repair_dirs(struct model *m, uint32_t *now)
{
	struct order o = {.m = m, .now = now};
	size_t table = MODEL_DIRS * sizeof(uint32_t);

	o.out = arena_take(m->dirs * sizeof *o.out);
	o.child = arena_take(table);
	o.sibling = arena_take(table);
	memset(o.child, 0xff, table);
	memset(o.sibling, 0xff, table);
	memset(now, 0xff, table);
	m->dir[0].parent = 0;
	m->dir[0].name.n = 0;
	for (uint32_t i = 0; i < m->dirs; i++) {
		good_meta(&m->dir[i].meta, m->flags & CATALOG_HAS_SETID);
		if (i > 0 && m->dir[i].parent < i && good_name(m->dir[i].name, m->dir[i].parent == 0))
			hang(&o, i);
	}
	number_dirs(&o);
	memcpy(m->dir, o.out, o.count * sizeof *o.out);
	m->dirs = o.count;
}

/* ---- entries ---------------------------------------------------------------------------------- */

static size_t path_length(const struct model *m, uint32_t dir)
{
	size_t n = 0;
	for (; dir; dir = m->dir[dir].parent)
		n += m->dir[dir].name.n + 1;
	return n;
}

static bool is_dir(const struct model *m, uint32_t dir, struct bytes name)
{
	for (uint32_t i = dir + 1; i < m->dirs; i++)
		if (m->dir[i].parent == dir && compare(m->dir[i].name, name) == 0)
			return true;
	return false;
}

static int by_place(const void *a, const void *b)
{
	const struct model_entry *x = a, *y = b;
	return x->dir != y->dir ? (x->dir > y->dir) - (x->dir < y->dir) : compare(x->name, y->name);
}

/* A hard link becomes a file when what it names is none. */
static void repair_entry(struct model *m, struct model_entry *e)
{
	if (e->type > ENTRY_HARDLINK)
		e->type = ENTRY_FILE;
	if (e->type == ENTRY_SYMLINK &&
	    (e->target.n == 0 || e->target.n > PATH_LEN_MAX || memchr(e->target.s, 0, e->target.n)))
		e->type = ENTRY_FILE;
	if (e->type != ENTRY_SYMLINK)
		e->target.n = 0;
	if (e->type != ENTRY_FILE) {
		e->flags = 0;
		e->xattrs.n = e->content.n = 0;
		e->offset = 0;
		memset(e->hash, 0, sizeof e->hash);
	}
	if (e->type == ENTRY_HARDLINK)
		e->meta = (struct meta){0};
	else
		good_meta(&e->meta, m->flags & CATALOG_HAS_SETID);
	if (e->type == ENTRY_SYMLINK)
		e->meta.mode = 0777;
	e->flags &= ENTRY_HOLES;
	e->size = e->content.n;
}

static void repair_links(struct model *m, const uint32_t *now)
{
	for (uint32_t i = 0; i < m->entries; i++) {
		struct model_entry *e = &m->entry[i];
		if (e->type != ENTRY_HARDLINK)
			continue;
		e->link = e->link < MODEL_ENTRIES ? now[e->link] : NO_LINK;
		if (e->link >= i || m->entry[e->link].type != ENTRY_FILE) {
			e->type = ENTRY_FILE;
			e->link = NO_LINK;
			e->meta.mode = 0644;
		}
	}
}

static void repair_entries(struct model *m, const uint32_t *dirs_now)
{
	uint32_t kept = 0, *now = arena_take(MODEL_ENTRIES * sizeof *now);

	memset(now, 0xff, MODEL_ENTRIES * sizeof *now);
	for (uint32_t i = 0; i < m->entries; i++) {
		struct model_entry e = m->entry[i];
		e.dir = dirs_now[e.dir];
		if (e.dir == NO_LINK || !good_name(e.name, e.dir == 0) || is_dir(m, e.dir, e.name) ||
		    path_length(m, e.dir) + e.name.n > PATH_LEN_MAX)
			continue;
		repair_entry(m, &e);
		e.frame = i; /* for a while: its old number */
		m->entry[kept++] = e;
	}
	qsort(m->entry, kept, sizeof *m->entry, by_place);
	m->entries = 0;
	for (uint32_t i = 0; i < kept; i++)
		if (i == 0 || by_place(&m->entry[i - 1], &m->entry[i]) != 0) {
			struct model_entry *e = &m->entry[m->entries];
			memmove(e, &m->entry[i], sizeof *e);
			now[e->frame] = m->entries++;
		}
	repair_links(m, now);
}

/* ---- frames ----------------------------------------------------------------------------------- */

/* The frame in hand. */
struct layout {
	struct doc *doc;
	struct bytes frame;
	size_t size; /* of a frame */
	bool used;   /* an entry begins in it, or goes on in it */
};

static void next_frame(struct layout *l)
{
	if (l->frame.n == 0)
		l->frame.n = 1;
	l->doc->frame[l->doc->frames++] = l->frame;
	l->frame = (struct bytes){arena_take(l->size), 0};
	l->used = false;
}

/* Content that does not fit goes on in frames of its own, as the format wants it. */
static void lay_content(struct layout *l, struct model_entry *e)
{
	size_t room = l->size - l->frame.n, frames = DOC_FRAMES - 2 - l->doc->frames;
	bool crosses = e->content.n > room;

	if (e->content.n > room + l->size * frames)
		e->content.n = room + l->size * frames;
	e->offset = (uint32_t)l->frame.n;
	e->size = e->content.n;
	for (size_t at = 0; at < e->content.n;) {
		if (l->frame.n == l->size)
			next_frame(l);
		room = l->size - l->frame.n;
		size_t n = e->content.n - at < room ? e->content.n - at : room;
		memcpy(l->frame.s + l->frame.n, e->content.s + at, n);
		l->frame.n += n;
		l->used = true;
		at += n;
	}
	if (crosses)
		next_frame(l);
}

/* Entries go into frames one by one, each behind a gap like a tar header. */
static void lay_out(struct model *m, struct doc *d, size_t frame)
{
	enum { GAP = 16 };
	struct layout l = {.doc = d, .frame = {arena_take(frame), 0}, .size = frame};

	d->frames = 0;
	for (uint32_t i = 0; i < m->entries; i++) {
		struct model_entry *e = &m->entry[i];
		bool last = d->frames + 2 >= DOC_FRAMES;
		if (l.frame.n + GAP >= frame && !last)
			next_frame(&l);
		e->frame = d->frames;
		e->offset = 0;
		l.used = true;
		if (l.frame.n + GAP < frame)
			l.frame.n += GAP;
		if (last || l.frame.n == frame)
			e->size = e->content.n = 0;
		if (e->content.n)
			lay_content(&l, e);
		if (e->type == ENTRY_FILE && !d->is_state)
			hash128(e->content.s, e->content.n, e->hash);
	}
	if (l.used || d->frames == 0)
		next_frame(&l);
}

void model_repair(struct model *m, struct doc *d, size_t frame)
{
	uint32_t *dirs_now = arena_take(MODEL_DIRS * sizeof *dirs_now);

	repair_dirs(m, dirs_now);
	repair_entries(m, dirs_now);
	m->flags &= CATALOG_HAS_SETID;
	m->string[3].n = 0;
	lay_out(m, d, frame < 32 ? 32 : frame);
	model_write(m, d);
}
