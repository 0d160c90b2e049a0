#include "layout.h"

#include <stdlib.h>
#include <string.h>

#include "hash.h"
#include "tar.h"

static struct tar_member member_of(const struct node *node)
{
	return (struct tar_member){
	    .mode = node->mode,
	    .uid = node->uid,
	    .gid = node->gid,
	    .mtime = node->mtime,
	    .nsec = node->nsec,
	    .xattrs = node->xattrs,
	    .xattr_len = node->xattr_len,
	};
}

static size_t entry_header(const struct tree *t, uint32_t number, unsigned char *out)
{
	const struct tree_entry *e = &t->entries[number];
	/* A hard link's header repeats the metadata of the file, because some programs set it once more. */
	const struct tree_entry *file = e->type == ENTRY_HARDLINK ? &t->entries[e->size] : e;
	struct tar_member m = member_of(&file->node);
	char path[PATH_LEN_MAX + 1], link[PATH_LEN_MAX + 1];

	tree_path(t, e->node.parent, e->node.name, path);
	m.path = path;
	m.type = "021"[e->type];
	if (e->type == ENTRY_FILE)
		m.size = e->size;
	if (e->type == ENTRY_SYMLINK)
		m.link = e->target;
	if (e->type == ENTRY_HARDLINK) {
		tree_path(t, file->node.parent, file->node.name, link);
		m.link = link;
		m.xattr_len = 0;
	}
	return tar_header(&m, out);
}

size_t layout_header(const struct tree *t, bool dir_header, uint32_t dir, uint32_t entry, unsigned char *out)
{
	char path[PATH_LEN_MAX + 3];

	if (!dir_header)
		return entry_header(t, entry, out);
	struct tar_member m = member_of(&t->dirs[dir].node);
	size_t len = tree_path(t, dir, NULL, path);
	memcpy(len ? path + len : path, len ? "/" : "./", len ? 2 : 3);
	m.path = path;
	m.type = '5';
	return tar_header(&m, out);
}

/* As many as a catalog has room for. A sparse file may want far more. */
enum { FRAMES_MAX = CATALOG_PLAIN_MAX / FRAME_COLUMNS };

/* The frame in hand, or a new one that begins with the item named. NULL: no memory, or too many frames. */
static struct piece *frame_for(struct layout *l, bool fresh, bool dir_header, uint32_t dir, uint32_t entry)
{
	if (!fresh)
		return &l->frames[l->count - 1];
	if (l->count == FRAMES_MAX)
		return NULL;
	if (l->count == l->room) {
		uint32_t room = l->room ? l->room * 2 : 64;
		struct piece *frames = realloc(l->frames, room * sizeof *frames);
		if (!frames)
			return NULL;
		l->frames = frames;
		l->room = room;
	}
	struct piece *f = &l->frames[l->count++];
	*f = (struct piece){.dir = dir, .entry = entry, .dir_header = dir_header};
	return f;
}

/* Does a frame end after this item, by its name? SIZE is the item's bytes in the stream. */
static bool cuts_after(const struct tree *t, bool dir_header, uint32_t dir, uint32_t entry, uint64_t size)
{
	char path[PATH_LEN_MAX + 1];
	size_t len = tree_path(t, dir, dir_header ? NULL : t->entries[entry].node.name, path);
	uint64_t share = hash64(path, len) >> 32;
	return share < (size << 32) / LAYOUT_STEP;
}

/* An item that is larger than a frame: one frame for its header and as much as fits, others for the rest. */
static bool add_large(struct layout *l, struct tree *t, uint32_t dir, uint32_t entry, size_t header)
{
	uint64_t size = t->entries[entry].size, at = LAYOUT_MAX - header;
	struct piece *f = frame_for(l, true, false, dir, entry);

	if (!f)
		return false;
	f->items = f->entries = 1;
	f->plain = LAYOUT_MAX;
	t->entries[entry].offset = (uint32_t)header;
	while (at < size) {
		f = frame_for(l, true, false, dir, entry);
		if (!f)
			return false;
		f->at = at;
		f->plain = (uint32_t)(size - at < LAYOUT_MAX ? tar_padded(size - at) : LAYOUT_MAX);
		at += f->plain;
	}
	return true;
}

/* Add one item; *FRESH tells, before and after, whether the next one begins a frame. */
static bool add_item(struct layout *l, struct tree *t, bool dir_header, uint32_t dir, uint32_t entry,
                     bool *fresh)
{
	bool file = !dir_header && t->entries[entry].type == ENTRY_FILE;
	size_t header = layout_header(t, dir_header, dir, entry, NULL);
	uint64_t size = header + (file ? tar_padded(t->entries[entry].size) : 0);

	if (size > LAYOUT_MAX && file && header < LAYOUT_MAX) {
		*fresh = true;
		return add_large(l, t, dir, entry, header);
	}
	if (!*fresh && l->frames[l->count - 1].plain + size > LAYOUT_MAX)
		*fresh = true;
	struct piece *f = frame_for(l, *fresh, dir_header, dir, entry);
	if (!f)
		return false;
	if (file && t->entries[entry].size)
		t->entries[entry].offset = (uint32_t)(f->plain + header);
	f->items++;
	f->entries += !dir_header;
	f->plain += (uint32_t)size;
	*fresh = f->plain >= LAYOUT_MIN && cuts_after(t, dir_header, dir, entry, size);
	return true;
}

bool layout_make(struct layout *l, struct tree *t, struct fault *fault)
{
	bool fresh = true, done = true;

	memset(l, 0, sizeof *l);
	for (uint32_t d = 0; d < t->dir_count && done; d++) {
		done = add_item(l, t, true, d, t->dirs[d].first, &fresh);
		for (uint32_t i = 0; i < t->dirs[d].count && done; i++)
			done = add_item(l, t, false, d, t->dirs[d].first + i, &fresh);
	}
	if (!done && l->count == FRAMES_MAX)
		return fault_set(fault, EXIT_VOLUME, t->path, "pack", "the index is over the format's limit");
	if (!done)
		return fault_set(fault, EXIT_INTERNAL, t->path, "pack", "out of memory");
	l->frames[l->count - 1].plain += TAR_END;
	for (uint32_t i = 0; i < l->count; i++)
		l->plain += l->frames[i].plain;
	return true;
}

void layout_free(struct layout *l)
{
	free(l->frames);
	memset(l, 0, sizeof *l);
}
