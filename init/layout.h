/* layout.h - cuts a tree's tar stream into frames, before any content is read.
 *
 * The stream has, for each directory in pre-order, its header and then its entries. A frame ends where the
 * names around it say so: after an item whose path hashes low, more likely the larger the item, once the
 * frame has LAYOUT_MIN bytes, and at LAYOUT_MAX in any case. A file that grows moves the ends near it and no
 * others. A file that does not fit a frame begins one of its own and goes on in frames that hold nothing
 * else. */
#ifndef DECANT_LAYOUT_H
#define DECANT_LAYOUT_H

#include "fault.h"
#include "tree.h"

enum { LAYOUT_MIN = 2 << 20, LAYOUT_MAX = 4 << 20, LAYOUT_STEP = 1 << 20 };

struct piece {
	uint32_t dir, entry; /* the item that comes first: header of DIR when DIR_HEADER, else ENTRY */
	bool dir_header;
	uint32_t items;   /* how many items begin in this frame */
	uint32_t entries; /* how many of them are entries */
	uint32_t plain;   /* bytes of the stream */
	uint64_t at;      /* without items: where in ENTRY's content the frame begins */
};

struct layout {
	struct piece *frames;
	uint32_t count, room;
	uint64_t plain; /* bytes of the whole stream */
};

/* Sets the entries' offsets, too. The last frame ends with the stream's two zero blocks. */
bool layout_make(struct layout *layout, struct tree *tree, struct fault *fault);
void layout_free(struct layout *layout);

/* The tar header of DIR (DIR_HEADER) or of ENTRY, which is in DIR, to OUT (NULL: only its size). */
size_t layout_header(const struct tree *tree, bool dir_header, uint32_t dir, uint32_t entry,
                     unsigned char *out);

#endif
