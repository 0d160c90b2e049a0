#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "cursor.h"
#include "index.h"

/* Room for the tables of offsets of COUNT entries. */
static bool block_reserve(struct block *b, uint32_t count)
{
	if (!b->name_at || count > b->room) {
		uint32_t *tables = malloc(3 * ((size_t)count + 1) * sizeof *tables);
		if (!tables)
			return false;
		free(b->name_at);
		b->name_at = tables;
		b->room = count;
	}
	b->target_at = b->name_at + (size_t)b->room + 1;
	b->xattr_at = b->target_at + (size_t)b->room + 1;
	return true;
}

static void take_block_columns(struct block *b, uint64_t n, struct cursor *from)
{
	b->column.type = take(from, n);
	b->column.flags = take(from, n);
	b->column.mode = take(from, 2 * n);
	b->column.uid = take(from, 4 * n);
	b->column.gid = take(from, 4 * n);
	b->column.mtime = take(from, 8 * n);
	b->column.nsec = take(from, 4 * n);
	b->column.size = take(from, 8 * n);
	b->column.offset = take(from, 4 * n);
	b->column.hash = take(from, 16 * n);
	b->column.name_len = take(from, n);
	b->column.target_len = take(from, 2 * n);
	b->column.xattr_len = take(from, 4 * n);
}

const char *block_parse(struct block *b, const struct frame *frame, const unsigned char *plain)
{
	struct cursor from = {plain, frame->block_plain};
	uint64_t names = 0, targets = 0, xattrs = 0;

	b->count = frame->count;
	if (!block_reserve(b, b->count))
		return "out of memory";
	take_block_columns(b, b->count, &from);
	if (b->count && !from.at)
		return "a block is shorter than its columns";
	for (uint32_t i = 0; i <= b->count; i++) {
		b->name_at[i] = (uint32_t)names;
		b->target_at[i] = (uint32_t)targets;
		b->xattr_at[i] = (uint32_t)xattrs;
		if (i == b->count)
			break;
		names += b->column.name_len[i];
		targets += get16(b->column.target_len + 2 * (size_t)i);
		xattrs += get32(b->column.xattr_len + 4 * (size_t)i);
		if (names + targets + xattrs > BLOCK_PLAIN_MAX)
			return "a block's names are longer than the block";
	}
	b->column.names = take(&from, names);
	b->column.targets = take(&from, targets);
	b->column.xattrs = take(&from, xattrs);
	if (b->count && (!from.at || from.left))
		return "a block's size does not fit what it holds";
	return NULL;
}

void block_free(struct block *b)
{
	free(b->name_at);
	memset(b, 0, sizeof *b);
}

struct entry block_entry(const struct block *b, uint32_t i)
{
	const char *names = (const char *)b->column.names, *targets = (const char *)b->column.targets;
	const char *xattrs = (const char *)b->column.xattrs;
	return (struct entry){
	    .type = (enum entry_type)b->column.type[i],
	    .flags = b->column.flags[i],
	    .mode = get16(b->column.mode + 2 * (size_t)i),
	    .uid = get32(b->column.uid + 4 * (size_t)i),
	    .gid = get32(b->column.gid + 4 * (size_t)i),
	    .mtime = (int64_t)get64(b->column.mtime + 8 * (size_t)i),
	    .nsec = get32(b->column.nsec + 4 * (size_t)i),
	    .size = get64(b->column.size + 8 * (size_t)i),
	    .offset = get32(b->column.offset + 4 * (size_t)i),
	    .hash = b->column.hash + 16 * (size_t)i,
	    .name = {names + b->name_at[i], b->name_at[i + 1] - b->name_at[i]},
	    .target = {targets + b->target_at[i], b->target_at[i + 1] - b->target_at[i]},
	    .xattrs = {xattrs + b->xattr_at[i], b->xattr_at[i + 1] - b->xattr_at[i]},
	};
}

bool xattr_next(struct text *set, struct xattr *out)
{
	struct cursor from = {(const unsigned char *)set->s, set->len};
	const unsigned char *len = take(&from, 1);
	if (set->len == 0 || !len)
		return false;
	out->name = (struct text){(const char *)take(&from, *len), *len};
	len = take(&from, 4);
	if (!len)
		return false;
	out->value = (struct text){(const char *)take(&from, get32(len)), get32(len)};
	if (!from.at)
		return false;
	*set = (struct text){(const char *)from.at, (size_t)from.left};
	return true;
}
