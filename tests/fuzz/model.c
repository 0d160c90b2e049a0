#include "model.h"

#include <string.h>

#include "bytes.h"
#include "cursor.h"
#include "hash.h"

static struct bytes take_bytes(struct cursor *from, size_t n)
{
	const unsigned char *s = take(from, n);
	return s ? bytes_copy(s, n) : (struct bytes){NULL, 0};
}

static uint64_t number(const unsigned char *column, size_t i, size_t size)
{
	uint64_t n = 0;
	memcpy(&n, column + i * size, size);
	return n;
}

/* The columns of mode, uid, gid, mtime and nsec, which directories and entries share. */
static const unsigned char *take_metas(struct cursor *from, size_t n)
{
	return take(from, 22 * n);
}

static struct meta meta_at(const unsigned char *columns, size_t n, size_t i)
{
	return (struct meta){
	    .mode = get16(columns + 2 * i),
	    .uid = get32(columns + 2 * n + 4 * i),
	    .gid = get32(columns + 6 * n + 4 * i),
	    .mtime = (int64_t)get64(columns + 10 * n + 8 * i),
	    .nsec = get32(columns + 18 * n + 4 * i),
	};
}

/* COUNTS gets how many entries each directory has. */
static bool read_dirs(struct model *m, struct cursor *from, uint32_t frames, uint32_t *counts)
{
	size_t n = m->dirs;
	const unsigned char *parent = take(from, 4 * n), *entries = take(from, 4 * n);
	const unsigned char *metas = take_metas(from, n), *names = take(from, n), *xattrs = take(from, 4 * n);
	take(from, (uint64_t)frames * FRAME_COLUMNS);
	if (!from->at)
		return false;
	for (size_t i = 0; i < n; i++) {
		m->dir[i].parent = get32(parent + 4 * i);
		m->dir[i].meta = meta_at(metas, n, i);
		m->dir[i].name = take_bytes(from, names[i]);
		counts[i] = get32(entries + 4 * i);
	}
	for (size_t i = 0; i < n; i++)
		m->dir[i].xattrs = take_bytes(from, get32(xattrs + 4 * i));
	return from->at != NULL;
}

static bool read_block(struct model *m, struct bytes block, uint32_t frame, uint32_t count)
{
	struct cursor from = {block.s, block.n};
	size_t n = count;
	struct model_entry *e = m->entry + m->entries;

	if (n > MODEL_ENTRIES - m->entries)
		return false;
	const unsigned char *type = take(&from, n), *flags = take(&from, n), *metas = take_metas(&from, n);
	const unsigned char *size = take(&from, 8 * n), *offset = take(&from, 4 * n);
	const unsigned char *hash = take(&from, 16 * n), *name = take(&from, n), *target = take(&from, 2 * n);
	const unsigned char *xattrs = take(&from, 4 * n);
	if (!from.at)
		return n == 0;
	for (size_t i = 0; i < n; i++) {
		e[i] = (struct model_entry){.frame = frame, .type = type[i], .flags = flags[i]};
		e[i].meta = meta_at(metas, n, i);
		e[i].size = number(size, i, 8);
		e[i].offset = get32(offset + 4 * i);
		memcpy(e[i].hash, hash + 16 * i, 16);
		e[i].name = take_bytes(&from, name[i]);
	}
	for (size_t i = 0; i < n; i++)
		e[i].target = take_bytes(&from, get16(target + 2 * i));
	for (size_t i = 0; i < n; i++)
		e[i].xattrs = take_bytes(&from, get32(xattrs + 4 * i));
	m->entries += count;
	return from.at != NULL;
}

/* What the frames have of the content of E. */
static struct bytes read_content(const struct doc *d, const struct model_entry *e)
{
	struct bytes out = {NULL, 0};
	size_t size = e->size < DOC_PLAIN ? (size_t)e->size : (size_t)DOC_PLAIN, at = e->offset;

	out.s = arena_take(size + 1);
	if (d->is_state) /* which has none, but sizes */
		out.n = size;
	for (uint32_t f = e->frame; f < d->frames && out.n < size; f++, at = 0) {
		size_t room = at < d->frame[f].n ? d->frame[f].n - at : 0;
		size_t n = size - out.n < room ? size - out.n : room;
		if (n)
			memcpy(out.s + out.n, d->frame[f].s + at, n);
		out.n += n;
	}
	return out;
}

static void find_dirs_and_links(struct model *m, const uint32_t *counts)
{
	uint32_t dir = 0, used = 0;

	for (uint32_t i = 0; i < m->entries; i++) {
		struct model_entry *e = &m->entry[i];
		while (dir + 1 < m->dirs && used >= counts[dir]) {
			dir++;
			used = 0;
		}
		used++;
		e->dir = dir;
		e->link = e->type == ENTRY_HARDLINK && e->size < m->entries ? (uint32_t)e->size : NO_LINK;
	}
}

bool model_read(struct model *m, const struct doc *d)
{
	struct cursor from = {d->catalog.s, d->catalog.n};
	const unsigned char *fixed = take(&from, CATALOG_STRINGS);
	uint32_t *counts = arena_take(MODEL_DIRS * sizeof *counts);

	memset(m, 0, offsetof(struct model, dir));
	m->dirs = get32(d->header + HEADER_DIRS);
	if (!fixed || m->dirs == 0 || m->dirs > MODEL_DIRS)
		return false;
	m->flags = get32(fixed + CATALOG_FLAGS);
	m->disk = get64(fixed + CATALOG_DISK);
	for (int i = 0; i < CATALOG_STRING_COUNT; i++) {
		const unsigned char *len = take(&from, 2);
		m->string[i] = len ? take_bytes(&from, get16(len)) : (struct bytes){NULL, 0};
	}
	if (!read_dirs(m, &from, d->frames, counts))
		return false;
	size_t rows = frame_columns(d->catalog, m->dirs, d->frames);
	for (uint32_t i = 0; i < d->frames; i++) {
		uint32_t count = get32(d->catalog.s + rows + 16 * (size_t)d->frames + 4 * (size_t)i);
		if (!read_block(m, d->block[i], i, count))
			return false;
	}
	find_dirs_and_links(m, counts);
	for (uint32_t i = 0; i < m->entries; i++)
		if (m->entry[i].type == ENTRY_FILE)
			m->entry[i].content = read_content(d, &m->entry[i]);
	return true;
}

/* ---- and back --------------------------------------------------------------------------------- */

static void add(struct bytes *out, const void *s, size_t n)
{
	if (n)
		memcpy(out->s + out->n, s, n);
	out->n += n;
}

#define COLUMN(out, count, size, expression)                                                                 \
	for (uint32_t i = 0; i < (count); i++) {                                                             \
		uint64_t value = (uint64_t)(expression);                                                     \
		add(out, &value, size);                                                                      \
	}
#define TEXTS(out, count, text)                                                                              \
	for (uint32_t i = 0; i < (count); i++)                                                               \
	add(out, (text).s, (text).n)

static struct bytes write_block(const struct model *m, uint32_t first, uint32_t count)
{
	const struct model_entry *e = m->entry + first;
	size_t room = (size_t)count * ENTRY_COLUMNS;
	for (uint32_t i = 0; i < count; i++)
		room += e[i].name.n + e[i].target.n + e[i].xattrs.n;
	struct bytes out = {arena_take(room), 0};

	COLUMN(&out, count, 1, e[i].type)
	COLUMN(&out, count, 1, e[i].flags)
	COLUMN(&out, count, 2, e[i].meta.mode)
	COLUMN(&out, count, 4, e[i].meta.uid)
	COLUMN(&out, count, 4, e[i].meta.gid)
	COLUMN(&out, count, 8, e[i].meta.mtime)
	COLUMN(&out, count, 4, e[i].meta.nsec)
	COLUMN(&out, count, 8, e[i].link == NO_LINK ? e[i].size : e[i].link)
	COLUMN(&out, count, 4, e[i].offset)
	for (uint32_t i = 0; i < count; i++)
		add(&out, e[i].hash, 16);
	COLUMN(&out, count, 1, e[i].name.n)
	COLUMN(&out, count, 2, e[i].target.n)
	COLUMN(&out, count, 4, e[i].xattrs.n)
	TEXTS(&out, count, e[i].name);
	TEXTS(&out, count, e[i].target);
	TEXTS(&out, count, e[i].xattrs);
	return out;
}

static void write_fixed(const struct model *m, struct bytes *out)
{
	uint64_t content = 0;
	uint32_t types[3] = {0};

	for (uint32_t i = 0; i < m->entries; i++) {
		types[m->entry[i].type < 3 ? m->entry[i].type : 0]++;
		if (m->entry[i].type == ENTRY_FILE)
			content += m->entry[i].size;
	}
	COLUMN(out, 1, 4, m->flags)
	COLUMN(out, 3, 4, types[i])
	COLUMN(out, 1, 8, content)
	COLUMN(out, 1, 8, m->disk)
	for (int s = 0; s < CATALOG_STRING_COUNT; s++) {
		COLUMN(out, 1, 2, m->string[s].n)
		add(out, m->string[s].s, m->string[s].n);
	}
}

/* The sums and sizes of the frame columns are doc_write's affair; a state's sizes are kept as OLD has them.
 */
static void write_frames(const struct doc *d, const uint32_t *counts, const struct bytes *old, size_t columns,
                         struct bytes *out)
{
	uint8_t *rows = out->s + out->n;
	size_t f = d->frames;

	memset(rows, 0, FRAME_COLUMNS * f);
	if (d->is_state && columns)
		memcpy(rows, old->s + columns, 16 * f);
	for (size_t i = 0; i < f; i++)
		put32(rows + 16 * f + 4 * i, counts[i]);
	out->n += FRAME_COLUMNS * f;
}

void model_write(const struct model *m, struct doc *d)
{
	const struct model_dir *dir = m->dir;
	uint32_t *in_dir = arena_take(MODEL_DIRS * sizeof *in_dir), in_frame[DOC_FRAMES] = {0}, first = 0;
	size_t old = frame_columns(d->catalog, get32(d->header + HEADER_DIRS), d->frames);
	size_t room = 64 + (size_t)m->dirs * DIR_COLUMNS + (size_t)d->frames * FRAME_COLUMNS;

	for (int i = 0; i < CATALOG_STRING_COUNT; i++)
		room += m->string[i].n;
	for (uint32_t i = 0; i < m->dirs; i++)
		room += dir[i].name.n + dir[i].xattrs.n;
	for (uint32_t i = 0; i < m->entries; i++) {
		in_dir[m->entry[i].dir]++;
		in_frame[m->entry[i].frame % d->frames]++;
	}
	struct bytes out = {arena_take(room), 0};
	write_fixed(m, &out);
	COLUMN(&out, m->dirs, 4, dir[i].parent)
	COLUMN(&out, m->dirs, 4, in_dir[i])
	COLUMN(&out, m->dirs, 2, dir[i].meta.mode)
	COLUMN(&out, m->dirs, 4, dir[i].meta.uid)
	COLUMN(&out, m->dirs, 4, dir[i].meta.gid)
	COLUMN(&out, m->dirs, 8, dir[i].meta.mtime)
	COLUMN(&out, m->dirs, 4, dir[i].meta.nsec)
	COLUMN(&out, m->dirs, 1, dir[i].name.n)
	COLUMN(&out, m->dirs, 4, dir[i].xattrs.n)
	write_frames(d, in_frame, &d->catalog, old, &out);
	TEXTS(&out, m->dirs, dir[i].name);
	TEXTS(&out, m->dirs, dir[i].xattrs);
	d->catalog = out;
	put32(d->header + HEADER_DIRS, m->dirs);
	put32(d->header + HEADER_ENTRIES, m->entries);
	for (uint32_t f = 0; f < d->frames; f++) {
		d->block[f] = write_block(m, first, in_frame[f]);
		first += in_frame[f];
	}
}
