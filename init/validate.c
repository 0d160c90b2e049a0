#include "validate.h"

#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "path.h"

struct check {
	struct catalog *catalog;
	uint32_t next;       /* number of the next entry */
	uint32_t frame;      /* number of the next frame */
	uint32_t dir;        /* the directory it belongs to */
	uint32_t child;      /* the first child directory of DIR with a name not before the last entry's */
	unsigned char *file; /* a bit per entry: is a regular file */
	uint32_t links;      /* how many hard links so far; their targets are in catalog->links */
	uint32_t files, symlinks;
	uint64_t content;
	uint32_t open;               /* the entry whose content goes on in the next frame, or NO_ENTRY */
	uint64_t open_size, open_at; /* its size, and where the next frame begins in it */
	size_t last_len;
	char last[NAME_LEN_MAX]; /* name of the entry before, in the same directory */
};

struct check *check_new(struct catalog *c)
{
	struct check *k = calloc(1, sizeof *k);
	if (!k)
		return NULL;
	k->catalog = c;
	k->dir = 0;
	k->child = 1;
	k->open = NO_ENTRY;
	k->file = calloc(c->head.entries / 8 + 1, 1);
	free(c->links);
	c->links = malloc(((size_t)c->hardlinks + 1) * sizeof *c->links);
	if (!k->file || !c->links) {
		check_free(k);
		return NULL;
	}
	return k;
}

void check_free(struct check *k)
{
	if (!k)
		return;
	free(k->file);
	free(k);
}

static const char *check_xattrs(const struct catalog *c, struct text set)
{
	struct text last = {"", 0};
	struct xattr x;
	unsigned count = 0;

	if (set.len > XATTR_SET_MAX)
		return "a set of xattrs is over the format's limit";
	while (xattr_next(&set, &x)) {
		if (count++ == XATTRS_MAX)
			return "a set of xattrs is over the format's limit";
		bool capability = x.name.len == 19 && memcmp(x.name.s, "security.capability", 19) == 0;
		if (!capability && (x.name.len < 6 || memcmp(x.name.s, "user.", 5) != 0))
			return "an xattr is neither of the user namespace nor security.capability";
		if (capability && !(c->flags & CATALOG_HAS_SETID))
			return "an xattr gives capabilities that the catalog does not announce";
		/* VFS_CAP_REVISION_2 and _3, linux/capability.h. Linux takes an empty value, too, which
		 * nobody can then read. */
		if (capability && x.value.len != 20 && x.value.len != 24)
			return "an xattr's value is not what gives capabilities";
		if (memchr(x.name.s, '\0', x.name.len) || x.name.len > NAME_LEN_MAX)
			return "an xattr's name holds a NUL";
		if (last.len && name_compare(last.s, last.len, x.name.s, x.name.len) >= 0)
			return "the xattrs of an entry are not in the order of their names";
		last = x.name;
	}
	return set.len ? "a set of xattrs is cut" : NULL;
}

/* Move on to the directory of the next entry, and forget the names of the one before. */
static void enter_dir(struct check *k)
{
	const struct catalog *c = k->catalog;
	while (k->next >= c->dir_first[k->dir + 1]) {
		k->dir++;
		k->child = k->dir + 1;
		k->last_len = 0;
	}
}

static const char *check_name(struct check *k, struct text name)
{
	const struct catalog *c = k->catalog;

	if (!name_valid(name.s, name.len))
		return "an entry's name is not a path component";
	if (k->last_len && name_compare(k->last, k->last_len, name.s, name.len) >= 0)
		return "entries of a directory are not in the order of their names";
	memcpy(k->last, name.s, name.len);
	k->last_len = name.len;
	if (c->dir_path_len[k->dir] + (size_t)(k->dir != 0) + name.len > PATH_LEN_MAX)
		return "a path is longer than PATH_MAX";
	if (k->dir == 0 && name_reserved(name.s, name.len))
		return "the root has an entry called " STATE_DIR " or " LOST_FOUND;
	for (; k->child < c->dir_end[k->dir]; k->child = c->dir_end[k->child]) {
		struct text child = catalog_dir(c, k->child).name;
		int order = name_compare(child.s, child.len, name.s, name.len);
		if (order == 0)
			return "a name is both a directory and something else";
		if (order > 0)
			break;
	}
	return NULL;
}

static const char *check_metadata(const struct catalog *c, const struct entry *e)
{
	if (e->mode > MODE_MASK || e->uid == UINT32_MAX || e->gid == UINT32_MAX || e->nsec >= 1000000000)
		return "an entry's mode, owner or time is out of range";
	if ((e->mode & SETID_MASK) && !(c->flags & CATALOG_HAS_SETID))
		return "an entry has bits that the catalog does not announce";
	if (e->flags & ~ENTRY_HOLES)
		return "an entry uses reserved bits";
	if (e->type != ENTRY_FILE && (e->flags || e->offset || e->xattrs.len))
		return "an entry has fields that its type does not have";
	static const unsigned char zeros[16];
	if (e->type != ENTRY_FILE && memcmp(e->hash, zeros, sizeof zeros) != 0)
		return "an entry that is no file has a hash";
	if (e->type != ENTRY_SYMLINK && e->target.len)
		return "an entry that is no symbolic link has a target";
	return check_xattrs(c, e->xattrs);
}

/* The content of file E lies behind what was before in FRAME (up to *END), and inside it, or goes on in
 * the next frames when it is the last of its block. */
static const char *check_content(struct check *k, const struct frame *frame, const struct entry *e, bool last,
                                 uint64_t *end)
{
	k->file[k->next / 8] |= (unsigned char)(1u << k->next % 8);
	k->files++;
	if (!add64(&k->content, e->size) || k->content > INT64_MAX)
		return "the sizes of the files overflow";
	if (e->size == 0)
		return e->offset ? "an empty file has an offset" : NULL;
	if (e->offset < *end || e->offset >= frame->plain)
		return "a file's content lies outside its frame or over another's";
	uint64_t room = frame->plain - e->offset;
	if (e->size > room) {
		if (!last)
			return "a file's content lies outside its frame";
		k->open = k->next;
		k->open_size = e->size;
		k->open_at = room;
	}
	*end = e->offset + (e->size < room ? e->size : room);
	return NULL;
}

static const char *check_link(struct check *k, const struct entry *e)
{
	if (e->mode || e->uid || e->gid || e->mtime || e->nsec)
		return "a hard link has metadata of its own";
	if (e->size >= k->next || !(k->file[e->size / 8] & (1u << e->size % 8)))
		return "a hard link does not name an earlier file";
	if (k->links == k->catalog->hardlinks)
		return "there are more hard links than the catalog counts";
	k->catalog->links[k->links++] = (uint32_t)e->size;
	return NULL;
}

static const char *check_symlink(struct check *k, const struct entry *e)
{
	k->symlinks++;
	if (e->size != 0 || e->mode != 0777)
		return "a symbolic link has a size or a mode of its own";
	if (e->target.len == 0 || e->target.len > PATH_LEN_MAX || memchr(e->target.s, '\0', e->target.len))
		return "a symbolic link's target is empty, too long or holds a NUL";
	return NULL;
}

static const char *check_entry(struct check *k, const struct frame *frame, const struct entry *e, bool last,
                               uint64_t *end)
{
	enter_dir(k);
	const char *wrong = check_name(k, e->name);
	if (!wrong && e->type > ENTRY_HARDLINK)
		wrong = "an entry's type is not known";
	if (!wrong)
		wrong = check_metadata(k->catalog, e);
	if (wrong)
		return wrong;
	if (e->type == ENTRY_FILE)
		return check_content(k, frame, e, last, end);
	return e->type == ENTRY_SYMLINK ? check_symlink(k, e) : check_link(k, e);
}

const char *check_block(struct check *k, uint32_t number, const struct block *b)
{
	struct catalog *c = k->catalog;
	uint64_t end = 0;

	c->carried[number] = k->open;
	c->carried_at[number] = k->open_at;
	struct frame frame = catalog_frame(c, number);
	if (k->open != NO_ENTRY) {
		if (frame.count)
			return "a file's content runs into a frame with other entries";
		k->open_at += frame.plain;
		if (k->open_at >= k->open_size) {
			k->open = NO_ENTRY;
			k->open_at = 0;
		}
	}
	for (uint32_t i = 0; i < b->count; i++) {
		struct entry e = block_entry(b, i);
		const char *wrong = check_entry(k, &frame, &e, i + 1 == b->count, &end);
		if (wrong)
			return wrong;
		k->next++;
	}
	return NULL;
}

static int compare_numbers(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	return (x > y) - (x < y);
}

const char *check_end(struct check *k)
{
	struct catalog *c = k->catalog;

	if (k->open != NO_ENTRY)
		return "a file's content goes past the last frame";
	if (k->files != c->files || k->symlinks != c->symlinks || k->links != c->hardlinks ||
	    k->content != c->content)
		return "the catalog's totals are not those of its entries";
	for (uint32_t i = 0; i < c->head.dirs; i++) {
		const char *wrong = check_xattrs(c, catalog_dir(c, i).xattrs);
		if (wrong)
			return wrong;
	}
	qsort(c->links, c->hardlinks, sizeof *c->links, compare_numbers);
	return NULL;
}
