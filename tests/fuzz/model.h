/* model.h - what a bundle says, as directories and entries that can be moved about. A model is read from a
 * plain catalog and its blocks, changed, and written back; what a bundle derives from the rest (counts,
 * numbers, totals) is derived then. */
#ifndef DECANT_FUZZ_MODEL_H
#define DECANT_FUZZ_MODEL_H

#include "document.h"

enum { MODEL_DIRS = 2400, MODEL_ENTRIES = 1200 };

struct meta {
	uint32_t mode, uid, gid, nsec;
	int64_t mtime;
};

struct model_dir {
	struct meta meta;
	uint32_t parent;
	struct bytes name, xattrs;
};

struct model_entry {
	uint32_t dir, frame;
	uint8_t type, flags;
	struct meta meta;
	uint64_t size;
	uint32_t offset;
	unsigned char hash[16];
	struct bytes name, target, xattrs;
	struct bytes content; /* as far as the frames have it */
	uint32_t link;        /* hard link: where its file stands in the model; NO_LINK: see SIZE */
};
#define NO_LINK UINT32_MAX

struct model {
	uint32_t flags;
	uint64_t disk;
	struct bytes string[CATALOG_STRING_COUNT];
	uint32_t dirs, entries;
	struct model_dir dir[MODEL_DIRS];
	struct model_entry entry[MODEL_ENTRIES];
};

/* False when the columns of DOC are not whole, or are more than a model holds. */
bool model_read(struct model *model, const struct doc *doc);
/* Write MODEL to DOC as it stands: entries by directory and frame as they say. */
void model_write(const struct model *model, struct doc *doc);

/* Make a valid bundle of MODEL: put names in order and drop those that cannot be, lay out the contents anew
 * in frames of about FRAME bytes, and hash them. */
void model_repair(struct model *model, struct doc *doc, size_t frame);

#endif
