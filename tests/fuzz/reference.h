/* reference.h - a reader of bundles written from init/FORMAT.md alone, and for nothing but to be plain: it
 * says whether a bundle's index is valid, and what the tree is that it stands for. What init/ makes of the
 * same bytes must agree. */
#ifndef DECANT_FUZZ_REFERENCE_H
#define DECANT_FUZZ_REFERENCE_H

#include <stdbool.h>

#include "arena.h"
#include "format.h"

struct ref_meta {
	uint32_t mode, uid, gid, nsec;
	int64_t mtime;
};

struct ref_dir {
	struct ref_meta meta;
	uint32_t parent, entries;
	struct bytes name, xattrs;
	size_t path_len; /* below the root */
};

struct ref_entry {
	uint8_t type, flags;
	struct ref_meta meta;
	uint64_t size;
	uint32_t offset, dir, frame;
	const uint8_t *hash;
	struct bytes name, target, xattrs;
	struct bytes content; /* set by ref_content */
};

struct ref_frame {
	uint32_t packed, plain, entries, block_packed, block_plain;
	uint64_t sum, block_sum;
	const uint8_t *at;  /* packed */
	struct bytes block; /* plain */
	struct bytes data;  /* plain; set by ref_content */
};

struct ref {
	uint32_t dirs, entries, frames, flags;
	struct ref_dir *dir;
	struct ref_entry *entry;
	struct ref_frame *frame;
	uint8_t id[16];
	const char *wrong; /* why it is not valid, or NULL */
	bool cut;          /* WRONG is that what follows a valid index is too short or too long */
};

/* Read the bundle of SIZE bytes. What comes back is from the arena, and points into BYTES. */
struct ref *ref_read(const uint8_t *bytes, size_t size);
/* The same of an index alone, as a state has it behind its head. */
struct ref *ref_read_index(const uint8_t *bytes, size_t size);
/* Unpack the frames of a valid bundle and find each file's content. NULL, or what is wrong. */
const char *ref_content(struct ref *ref);
/* Has every file the hash that its entry gives? */
bool ref_hashes(const struct ref *ref);
/* Is there nothing in it that a kernel may refuse: attributes with capabilities, times at the end of all
 * time? */
bool ref_is_usual(const struct ref *ref);

#endif
