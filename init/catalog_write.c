#include "catalog_write.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "hash.h"

bool buffer_reserve(struct buffer *b, size_t room)
{
	if (room <= b->room && b->bytes)
		return true;
	size_t more = b->room * 2 > room ? b->room * 2 : room + 64;
	unsigned char *bytes = realloc(b->bytes, more);
	if (!bytes)
		return false;
	b->bytes = bytes;
	b->room = more;
	return true;
}

bool buffer_add(struct buffer *b, const void *bytes, size_t size)
{
	if (!buffer_reserve(b, b->used + size))
		return false;
	if (size)
		memcpy(b->bytes + b->used, bytes, size);
	b->used += size;
	return true;
}

static bool add8(struct buffer *b, uint8_t v)
{
	return buffer_add(b, &v, sizeof v);
}

static bool add16(struct buffer *b, uint16_t v)
{
	return buffer_add(b, &v, sizeof v);
}

static bool add32(struct buffer *b, uint32_t v)
{
	return buffer_add(b, &v, sizeof v);
}

static bool add64_bytes(struct buffer *b, uint64_t v)
{
	return buffer_add(b, &v, sizeof v);
}

static bool add_string(struct buffer *b, const char *s)
{
	return add16(b, (uint16_t)strlen(s)) && buffer_add(b, s, strlen(s));
}

/* A column: STATEMENT for each item, whose place in its table is I. */
#define COLUMN(count, statement)                                                                             \
	for (uint32_t i = 0; i < (count) && done; i++)                                                       \
	done = (statement)

bool block_write(struct buffer *out, const struct tree *t, uint32_t first, uint32_t count)
{
	const struct tree_entry *e = t->entries + first;
	bool done = true;

	COLUMN(count, add8(out, (uint8_t)e[i].type));
	COLUMN(count, add8(out, (uint8_t)e[i].flags));
	COLUMN(count, add16(out, (uint16_t)e[i].node.mode));
	COLUMN(count, add32(out, e[i].node.uid));
	COLUMN(count, add32(out, e[i].node.gid));
	COLUMN(count, add64_bytes(out, (uint64_t)e[i].node.mtime));
	COLUMN(count, add32(out, e[i].node.nsec));
	COLUMN(count, add64_bytes(out, e[i].size));
	COLUMN(count, add32(out, e[i].offset));
	COLUMN(count, buffer_add(out, e[i].hash, 16));
	COLUMN(count, add8(out, (uint8_t)strlen(e[i].node.name)));
	COLUMN(count, add16(out, (uint16_t)(e[i].target ? strlen(e[i].target) : 0)));
	COLUMN(count, add32(out, e[i].node.xattr_len));
	COLUMN(count, buffer_add(out, e[i].node.name, strlen(e[i].node.name)));
	COLUMN(count, !e[i].target || buffer_add(out, e[i].target, strlen(e[i].target)));
	COLUMN(count, buffer_add(out, e[i].node.xattrs, e[i].node.xattr_len));
	return done;
}

/* The catalog's fixed part: counts and totals. */
static bool write_fixed(struct buffer *out, const struct tree *t, const struct catalog_facts *f)
{
	uint32_t counts[3] = {0};
	uint64_t content = 0, disk = 0;

	for (uint32_t i = 0; i < t->entry_count; i++) {
		const struct tree_entry *e = &t->entries[i];
		counts[e->type]++;
		if (e->type == ENTRY_FILE) {
			content += e->size;
			disk += e->disk;
		}
	}
	return add32(out, t->has_setid ? CATALOG_HAS_SETID : 0) && add32(out, counts[ENTRY_FILE]) &&
	       add32(out, counts[ENTRY_SYMLINK]) && add32(out, counts[ENTRY_HARDLINK]) &&
	       add64_bytes(out, content) && add64_bytes(out, disk) && add_string(out, f->dest) &&
	       add_string(out, f->revision) && add_string(out, f->packer) && add_string(out, "");
}

bool catalog_write(struct buffer *out, const struct tree *t, const struct catalog_facts *f)
{
	const struct tree_dir *d = t->dirs;
	const struct frame_row *r = f->rows;
	bool done = write_fixed(out, t, f);

	COLUMN(t->dir_count, add32(out, d[i].node.parent));
	COLUMN(t->dir_count, add32(out, d[i].count));
	COLUMN(t->dir_count, add16(out, (uint16_t)d[i].node.mode));
	COLUMN(t->dir_count, add32(out, d[i].node.uid));
	COLUMN(t->dir_count, add32(out, d[i].node.gid));
	COLUMN(t->dir_count, add64_bytes(out, (uint64_t)d[i].node.mtime));
	COLUMN(t->dir_count, add32(out, d[i].node.nsec));
	COLUMN(t->dir_count, add8(out, (uint8_t)strlen(d[i].node.name)));
	COLUMN(t->dir_count, add32(out, d[i].node.xattr_len));
	COLUMN(f->frames, add32(out, r[i].packed));
	COLUMN(f->frames, add32(out, r[i].plain));
	COLUMN(f->frames, add64_bytes(out, r[i].sum));
	COLUMN(f->frames, add32(out, r[i].entries));
	COLUMN(f->frames, add32(out, r[i].block_packed));
	COLUMN(f->frames, add32(out, r[i].block_plain));
	COLUMN(f->frames, add64_bytes(out, r[i].block_sum));
	COLUMN(t->dir_count, buffer_add(out, d[i].node.name, strlen(d[i].node.name)));
	COLUMN(t->dir_count, buffer_add(out, d[i].node.xattrs, d[i].node.xattr_len));
	return done;
}

bool index_write(struct encoded *out, const struct tree *t, const struct catalog_facts *f,
                 const struct buffer *catalog, const unsigned char *packed, uint32_t packed_size,
                 const struct buffer *blocks)
{
	unsigned char head[LEAD_TOTAL + HEADER_SIZE] = {0}, *h = head + LEAD_TOTAL;
	struct buffer index = {.bytes = NULL};
	unsigned char id[HASH_SIZE];

	hash128(catalog->bytes, catalog->used, id);
	for (unsigned i = 0; i < HASH_SIZE; i++)
		snprintf(out->id + (size_t)2 * i, 3, "%02x", id[i]);

	memcpy(head, LEAD_BYTES, LEAD_SIZE);
	put32(head + LEAD_SIZE, (uint32_t)(HEADER_SIZE + packed_size + blocks->used));
	memcpy(h + HEADER_MAGIC_AT, HEADER_MAGIC, 8);
	put16(h + HEADER_VERSION, BUNDLE_VERSION);
	put32(h + HEADER_DIRS, t->dir_count);
	put32(h + HEADER_ENTRIES, t->entry_count);
	put32(h + HEADER_FRAMES, f->frames);
	put32(h + HEADER_CATALOG, (uint32_t)catalog->used);
	put32(h + HEADER_CATALOG_PACK, packed_size);
	put64(h + HEADER_BLOCKS_PACK, blocks->used);
	put64(h + HEADER_DATA_PACK, f->data_packed);
	put64(h + HEADER_DATA, f->data_plain);
	memcpy(h + HEADER_ID, id, HASH_SIZE);
	put64(h + HEADER_SUM, hash64(h, HEADER_SUM));

	bool done = buffer_add(&index, head, sizeof head) && buffer_add(&index, packed, packed_size) &&
	            buffer_add(&index, blocks->bytes, blocks->used);
	out->index = index.bytes;
	out->index_size = index.used;
	return done;
}
