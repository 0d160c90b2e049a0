#include "index.h"

#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "cursor.h"
#include "hash.h"
#include "path.h"

const char *text_terminate(char *out, struct text text)
{
	memcpy(out, text.s, text.len);
	out[text.len] = '\0';
	return out;
}

static const char OUT_OF_MEMORY[] = "out of memory";

const char *header_parse(struct header *head, const unsigned char *bytes)
{
	if (memcmp(bytes + HEADER_MAGIC_AT, HEADER_MAGIC, 8) != 0)
		return "not a decant bundle";
	if (get64(bytes + HEADER_SUM) != hash64(bytes, HEADER_SUM))
		return "the header's checksum is wrong";
	if (get16(bytes + HEADER_VERSION) != BUNDLE_VERSION)
		return "the bundle's format version is not known to this program";
	if (get16(bytes + HEADER_FLAGS) != 0 || get64(bytes + HEADER_RESERVED) != 0)
		return "the header uses reserved bits";

	head->dirs = get32(bytes + HEADER_DIRS);
	head->entries = get32(bytes + HEADER_ENTRIES);
	head->frames = get32(bytes + HEADER_FRAMES);
	head->catalog_plain = get32(bytes + HEADER_CATALOG);
	head->catalog_packed = get32(bytes + HEADER_CATALOG_PACK);
	head->blocks_packed = get64(bytes + HEADER_BLOCKS_PACK);
	head->data_packed = get64(bytes + HEADER_DATA_PACK);
	head->data_plain = get64(bytes + HEADER_DATA);
	memcpy(head->id, bytes + HEADER_ID, sizeof head->id);

	if (head->catalog_plain > CATALOG_PLAIN_MAX || head->catalog_packed > CATALOG_PLAIN_MAX)
		return "the catalog is over the format's limit";
	/* The columns must fit in the catalog, so the counts bound what is allocated for them. */
	uint64_t columns = (uint64_t)head->dirs * DIR_COLUMNS + (uint64_t)head->frames * FRAME_COLUMNS;
	if (head->dirs == 0 || head->frames == 0 || columns > head->catalog_plain)
		return "the header's counts do not fit the catalog";
	if (head->entries == NO_ENTRY)
		return "the header counts too many entries";
	/* The sizes of the packed parts must add up, and the index must fit a skippable frame. */
	if (head->blocks_packed > UINT32_MAX - HEADER_SIZE - CATALOG_PLAIN_MAX ||
	    head->data_packed > INT64_MAX / 2)
		return "the header's sizes are over the format's limit";
	return NULL;
}

static struct text take_string(struct cursor *c)
{
	const unsigned char *len = take(c, 2);
	const unsigned char *s = take(c, len ? get16(len) : 0);
	return (struct text){(const char *)s, s ? get16(len) : 0};
}

static void take_columns(struct catalog *c, struct cursor *from)
{
	uint64_t dirs = c->head.dirs, frames = c->head.frames;

	c->dir.parent = take(from, 4 * dirs);
	c->dir.entries = take(from, 4 * dirs);
	c->dir.mode = take(from, 2 * dirs);
	c->dir.uid = take(from, 4 * dirs);
	c->dir.gid = take(from, 4 * dirs);
	c->dir.mtime = take(from, 8 * dirs);
	c->dir.nsec = take(from, 4 * dirs);
	c->dir.name_len = take(from, dirs);
	c->dir.xattr_len = take(from, 4 * dirs);
	c->frame.packed = take(from, 4 * frames);
	c->frame.plain = take(from, 4 * frames);
	c->frame.sum = take(from, 8 * frames);
	c->frame.entries = take(from, 4 * frames);
	c->frame.block_packed = take(from, 4 * frames);
	c->frame.block_plain = take(from, 4 * frames);
	c->frame.block_sum = take(from, 8 * frames);
}

static bool allocate_tables(struct catalog *c)
{
	size_t dirs = (size_t)c->head.dirs + 1, frames = (size_t)c->head.frames + 1;

	c->dir_name_at = malloc(dirs * sizeof *c->dir_name_at);
	c->dir_xattr_at = malloc(dirs * sizeof *c->dir_xattr_at);
	c->dir_first = malloc(dirs * sizeof *c->dir_first);
	c->dir_end = malloc(dirs * sizeof *c->dir_end);
	c->dir_path_len = malloc(dirs * sizeof *c->dir_path_len);
	c->frame_first = malloc(frames * sizeof *c->frame_first);
	c->frame_at = malloc(frames * sizeof *c->frame_at);
	c->block_at = malloc(frames * sizeof *c->block_at);
	c->carried = malloc(frames * sizeof *c->carried);
	c->carried_at = malloc(frames * sizeof *c->carried_at);
	return c->dir_name_at && c->dir_xattr_at && c->dir_first && c->dir_end && c->dir_path_len &&
	       c->frame_first && c->frame_at && c->block_at && c->carried && c->carried_at;
}

static uint32_t max32(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

/* Offsets of frames and blocks, and what the largest of each needs. */
static const char *scan_frames(struct catalog *c)
{
	uint64_t at = 0, block_at = 0, plain = 0, first = 0;

	for (uint32_t i = 0; i < c->head.frames; i++) {
		uint32_t packed_size = get32(c->frame.packed + 4 * (size_t)i);
		uint32_t plain_size = get32(c->frame.plain + 4 * (size_t)i);
		uint32_t entries = get32(c->frame.entries + 4 * (size_t)i);
		uint32_t block_packed = get32(c->frame.block_packed + 4 * (size_t)i);
		uint32_t block_plain = get32(c->frame.block_plain + 4 * (size_t)i);

		if (plain_size == 0 || plain_size > FRAME_PLAIN_MAX || block_plain > BLOCK_PLAIN_MAX)
			return "a frame's size is outside the format's limits";
		/* What zstd makes of incompressible bytes is hardly larger (ZSTD_COMPRESSBOUND). */
		if (packed_size == 0 || packed_size > plain_size + (plain_size >> 7) + 1024 ||
		    block_packed > block_plain + (block_plain >> 7) + 1024)
			return "a frame's packed size is outside the format's limits";
		if ((entries == 0) != (block_plain == 0) || (entries == 0) != (block_packed == 0) ||
		    (uint64_t)entries * ENTRY_COLUMNS > block_plain)
			return "a frame's count of entries does not fit its block";
		c->carried[i] = NO_ENTRY;
		c->carried_at[i] = 0;
		c->frame_first[i] = (uint32_t)first;
		c->frame_at[i] = at;
		c->block_at[i] = block_at;
		at += packed_size; /* 2^32 sizes below 2^32 cannot overflow */
		block_at += block_packed;
		plain += plain_size;
		first += entries;
		if (first > c->head.entries)
			return "the frames have more entries than the header counts";
		c->frame_plain_max = max32(c->frame_plain_max, plain_size);
		c->frame_packed_max = max32(c->frame_packed_max, packed_size);
		c->block_plain_max = max32(c->block_plain_max, block_plain);
		c->block_packed_max = max32(c->block_packed_max, block_packed);
	}
	c->frame_first[c->head.frames] = (uint32_t)first;
	c->frame_at[c->head.frames] = at;
	c->block_at[c->head.frames] = block_at;
	if (at != c->head.data_packed || block_at != c->head.blocks_packed || plain != c->head.data_plain ||
	    first != c->head.entries)
		return "the header's totals are not those of the frames";
	return NULL;
}

static bool metadata_valid(uint32_t mode, uint32_t uid, uint32_t gid, uint32_t nsec)
{
	return mode <= MODE_MASK && uid != UINT32_MAX && gid != UINT32_MAX && nsec < 1000000000;
}

/* The fields of directory I that need no other directory. */
static const char *scan_dir(const struct catalog *c, uint32_t i, const struct dir *dir)
{
	if (!metadata_valid(dir->mode, dir->uid, dir->gid, dir->nsec))
		return "a directory's mode, owner or time is out of range";
	if ((dir->mode & SETID_MASK) && !(c->flags & CATALOG_HAS_SETID))
		return "a directory has bits that the catalog does not announce";
	if (i == 0)
		return dir->name.len || dir->parent ? "the root directory has a name or a parent" : NULL;
	if (!name_valid(dir->name.s, dir->name.len))
		return "a directory's name is not a path component";
	if (dir->parent == 0 && name_reserved(dir->name.s, dir->name.len))
		return "the root has an entry called " STATE_DIR " or " LOST_FOUND;
	return NULL;
}

/* The directories from the root down to the one before; PATH_MAX bounds their number. */
struct chain {
	uint32_t dir[PATH_LEN_MAX / 2 + 2];
	uint32_t top;
};

/* Hang directory I below its parent, which in pre-order is one of the chain; all below that one are at
 * their end, and the first of these is the sibling before. */
static const char *scan_order(struct catalog *c, uint32_t i, const struct dir *dir, struct chain *chain)
{
	uint32_t depth = chain->top + 1;
	while (depth > 0 && chain->dir[depth - 1] != dir->parent) {
		depth--;
		c->dir_end[chain->dir[depth]] = i;
	}
	if (depth == 0)
		return "the directories are not in pre-order";
	if (depth <= chain->top) {
		struct text before = catalog_dir(c, chain->dir[depth]).name;
		if (name_compare(before.s, before.len, dir->name.s, dir->name.len) >= 0)
			return "sibling directories are not in the order of their names";
	}
	size_t path = (size_t)c->dir_path_len[dir->parent] + (dir->parent != 0) + dir->name.len;
	if (path > PATH_LEN_MAX)
		return "a path is longer than PATH_MAX";
	c->dir_path_len[i] = (uint16_t)path;
	chain->dir[depth] = i;
	chain->top = depth;
	return NULL;
}

static const char *scan_dirs(struct catalog *c)
{
	struct chain chain = {.top = 0};
	uint64_t first = 0;

	chain.dir[0] = 0;
	c->dir_path_len[0] = 0;
	for (uint32_t i = 0; i < c->head.dirs; i++) {
		c->dir_first[i] = (uint32_t)first;
		first += get32(c->dir.entries + 4 * (size_t)i);
		if (first > c->head.entries)
			return "the directories have more entries than the header counts";
		struct dir dir = catalog_dir(c, i);
		const char *wrong = scan_dir(c, i, &dir);
		if (!wrong && i > 0)
			wrong = scan_order(c, i, &dir, &chain);
		if (wrong)
			return wrong;
	}
	c->dir_first[c->head.dirs] = (uint32_t)first;
	for (uint32_t depth = 0; depth <= chain.top; depth++)
		c->dir_end[chain.dir[depth]] = c->head.dirs;
	return first == c->head.entries ? NULL : "the directories have fewer entries than the header counts";
}

/* Where each directory's name and xattrs begin; they must fill the rest of the catalog. */
static const char *scan_names(struct catalog *c, struct cursor *from)
{
	uint64_t names = 0, xattrs = 0;

	for (uint32_t i = 0; i < c->head.dirs; i++) {
		c->dir_name_at[i] = (uint32_t)names;
		c->dir_xattr_at[i] = (uint32_t)xattrs;
		names += c->dir.name_len[i];
		xattrs += get32(c->dir.xattr_len + 4 * (size_t)i);
		if (names + xattrs > CATALOG_PLAIN_MAX)
			return "the catalog's names are longer than the catalog";
	}
	c->dir_name_at[c->head.dirs] = (uint32_t)names;
	c->dir_xattr_at[c->head.dirs] = (uint32_t)xattrs;
	c->dir.names = take(from, names);
	c->dir.xattrs = take(from, xattrs);
	if (!from->at || from->left)
		return "the catalog's size does not fit what it holds";
	return NULL;
}

const char *catalog_parse(struct catalog *c, const struct header *head, const unsigned char *plain)
{
	memset(c, 0, sizeof *c);
	c->head = *head;
	struct cursor from = {plain, head->catalog_plain};

	const unsigned char *fixed = take(&from, CATALOG_STRINGS);
	c->dest = take_string(&from);
	c->revision = take_string(&from);
	c->packer = take_string(&from);
	struct text reserved = take_string(&from);
	take_columns(c, &from);
	if (!from.at)
		return "the catalog is shorter than its columns";
	if (reserved.len != 0)
		return "the catalog uses a reserved field";

	c->flags = get32(fixed + CATALOG_FLAGS);
	c->files = get32(fixed + CATALOG_FILES);
	c->symlinks = get32(fixed + CATALOG_SYMLINKS);
	c->hardlinks = get32(fixed + CATALOG_HARDLINKS);
	c->content = get64(fixed + CATALOG_CONTENT);
	c->disk = get64(fixed + CATALOG_DISK);
	if (c->flags & ~CATALOG_HAS_SETID)
		return "the catalog uses reserved bits";
	if ((uint64_t)c->files + c->symlinks + c->hardlinks != head->entries)
		return "the catalog's counts do not add up";
	if (c->dest.len && !dest_valid(c->dest.s, c->dest.len))
		return "the recorded destination is not an absolute path without . and ..";
	if (memchr(c->revision.s, '\0', c->revision.len) || memchr(c->packer.s, '\0', c->packer.len))
		return "a text of the catalog holds a NUL";

	if (!allocate_tables(c))
		return OUT_OF_MEMORY;
	const char *wrong = scan_names(c, &from);
	if (!wrong)
		wrong = scan_frames(c);
	if (!wrong)
		wrong = scan_dirs(c);
	return wrong;
}

void catalog_free(struct catalog *c)
{
	free(c->dir_name_at);
	free(c->dir_xattr_at);
	free(c->dir_first);
	free(c->dir_end);
	free(c->dir_path_len);
	free(c->frame_first);
	free(c->frame_at);
	free(c->block_at);
	free(c->carried);
	free(c->carried_at);
	free(c->links);
	memset(c, 0, sizeof *c);
}

struct dir catalog_dir(const struct catalog *c, uint32_t i)
{
	const char *names = (const char *)c->dir.names, *xattrs = (const char *)c->dir.xattrs;
	return (struct dir){
	    .name = {names + c->dir_name_at[i], c->dir.name_len[i]},
	    .parent = get32(c->dir.parent + 4 * (size_t)i),
	    .first = c->dir_first[i],
	    .count = get32(c->dir.entries + 4 * (size_t)i),
	    .mode = get16(c->dir.mode + 2 * (size_t)i),
	    .uid = get32(c->dir.uid + 4 * (size_t)i),
	    .gid = get32(c->dir.gid + 4 * (size_t)i),
	    .mtime = (int64_t)get64(c->dir.mtime + 8 * (size_t)i),
	    .nsec = get32(c->dir.nsec + 4 * (size_t)i),
	    .xattrs = {xattrs + c->dir_xattr_at[i], get32(c->dir.xattr_len + 4 * (size_t)i)},
	};
}

struct frame catalog_frame(const struct catalog *c, uint32_t i)
{
	return (struct frame){
	    .packed = get32(c->frame.packed + 4 * (size_t)i),
	    .plain = get32(c->frame.plain + 4 * (size_t)i),
	    .sum = get64(c->frame.sum + 8 * (size_t)i),
	    .first = c->frame_first[i],
	    .count = get32(c->frame.entries + 4 * (size_t)i),
	    .block_packed = get32(c->frame.block_packed + 4 * (size_t)i),
	    .block_plain = get32(c->frame.block_plain + 4 * (size_t)i),
	    .block_sum = get64(c->frame.block_sum + 8 * (size_t)i),
	    .packed_at = c->frame_at[i],
	    .block_at = c->block_at[i],
	    .carried = c->carried[i],
	    .carried_at = c->carried_at[i],
	};
}

/* The last index I below COUNT with table[I] <= VALUE; the table rises, table[0] is 0. Where several
 * items begin at VALUE (all but the last of them are empty) the last one is the one that has it. */
static uint32_t find_last(const uint32_t *table, uint32_t count, uint32_t value)
{
	uint32_t low = 0, high = count;
	while (high - low > 1) {
		uint32_t middle = low + (high - low) / 2;
		if (table[middle] <= value)
			low = middle;
		else
			high = middle;
	}
	return low;
}

uint32_t catalog_dir_of(const struct catalog *c, uint32_t entry)
{
	return find_last(c->dir_first, c->head.dirs, entry);
}

uint32_t catalog_frame_of(const struct catalog *c, uint32_t entry)
{
	return find_last(c->frame_first, c->head.frames, entry);
}

size_t catalog_path(const struct catalog *c, uint32_t i, char *out)
{
	size_t len = c->dir_path_len[i], at = len;
	if (i == 0) {
		memcpy(out, ".", 2);
		return 1;
	}
	out[len] = '\0';
	while (i != 0) {
		struct text name = catalog_dir(c, i).name;
		at -= name.len;
		memcpy(out + at, name.s, name.len);
		if (at)
			out[--at] = '/';
		i = get32(c->dir.parent + 4 * (size_t)i);
	}
	return len;
}

uint32_t catalog_links(const struct catalog *c, uint32_t entry)
{
	uint32_t low = 0, high = c->hardlinks, count = 0;
	while (low < high) { /* the first link to ENTRY or to a later one */
		uint32_t middle = low + (high - low) / 2;
		if (c->links[middle] < entry)
			low = middle + 1;
		else
			high = middle;
	}
	while (low + count < c->hardlinks && c->links[low + count] == entry)
		count++;
	return count;
}

/* The first directory whose entries begin at ENTRY or later. */
static uint32_t first_dir_from(const struct catalog *c, uint32_t entry)
{
	uint32_t low = 0, high = c->head.dirs;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		if (c->dir_first[middle] < entry)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct spans spans_of(const struct catalog *c, uint32_t frame)
{
	uint32_t from = c->frame_first[frame], to = c->frame_first[frame + 1];
	uint32_t low = first_dir_from(c, from);
	uint32_t high = frame + 1 == c->head.frames ? c->head.dirs : first_dir_from(c, to);
	/* The directory before has entries here when the first one that begins here does so too late. */
	bool goes_on = from < to && (low == c->head.dirs || c->dir_first[low] > from);
	return (struct spans){c, from, to, goes_on ? low - 1 : low, high};
}

bool span_next(struct spans *s, struct span *out)
{
	if (s->dir >= s->dir_end)
		return false;
	uint32_t first = s->catalog->dir_first[s->dir], end = s->catalog->dir_first[s->dir + 1];
	out->dir = s->dir++;
	out->begins = first >= s->from;
	out->from = first > s->from ? first : s->from;
	out->to = end < s->to ? end : s->to;
	return true;
}
