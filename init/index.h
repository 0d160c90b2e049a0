/* index.h - what a bundle's index says, as views into bytes that the caller has in memory.
 *
 * The index is a catalog (all directories, all frames) and, for each frame in which entries begin, one
 * block with those entries. A directory's entries stand together and in order of their names; which
 * directory an entry belongs to follows from the counts alone, so that no entry can name a parent.
 * Directories stand in pre-order, siblings in order of their names.
 *
 * Everything here is untrusted until validate.h has passed it; the parse functions only make sure that
 * every later access stays inside the bytes. Functions that check return NULL when all is well, or a
 * static text that says what is wrong. No function does I/O. */
#ifndef DECANT_INDEX_H
#define DECANT_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "format.h"

#define NO_ENTRY UINT32_MAX

/* The header, decoded and checked (sum, magic, version, flags, limits). */
struct header {
	uint32_t dirs, entries, frames;
	uint32_t catalog_plain, catalog_packed;
	uint64_t blocks_packed, data_packed, data_plain;
	unsigned char id[16];
};

struct text {
	const char *s; /* not NUL-terminated */
	size_t len;
};

/* Write TEXT to OUT, which has room for it, with a NUL behind it. Returns OUT. */
const char *text_terminate(char *out, struct text text);

struct dir {
	struct text name;      /* empty for the root */
	uint32_t parent;       /* a lower number; the root's is 0 */
	uint32_t first, count; /* its entries are first .. first+count-1 */
	uint32_t mode, uid, gid;
	int64_t mtime;
	uint32_t nsec;
	struct text xattrs;
};

struct frame {
	uint32_t packed, plain; /* bytes */
	uint64_t sum;           /* XXH3-64 of the plain bytes */
	uint32_t first, count;  /* the entries that begin in it */
	uint32_t block_packed, block_plain;
	uint64_t block_sum;  /* XXH3-64 of the plain block */
	uint64_t packed_at;  /* offset among the packed frames */
	uint64_t block_at;   /* offset among the packed blocks */
	uint32_t carried;    /* the entry whose content goes on from the frame before, or NO_ENTRY */
	uint64_t carried_at; /* where in that entry's content this frame begins */
};

struct entry {
	enum entry_type type;
	unsigned flags;
	uint32_t mode, uid, gid;
	int64_t mtime;
	uint32_t nsec;
	uint64_t size;             /* file: bytes of content; hard link: the number of the entry it equals */
	uint32_t offset;           /* file: where its content begins in the plain frame */
	const unsigned char *hash; /* file: XXH3-128 of the content, canonical, 16 bytes */
	struct text name, target, xattrs;
};

struct catalog {
	struct header head;
	uint32_t flags, files, symlinks, hardlinks;
	uint64_t content, disk; /* bytes */
	struct text dest, revision, packer;
	struct { /* columns, borrowed */
		const unsigned char *parent, *entries, *mode, *uid, *gid, *mtime, *nsec, *name_len,
		    *xattr_len;
		const unsigned char *names, *xattrs;
	} dir;
	struct {
		const unsigned char *packed, *plain, *sum, *entries, *block_packed, *block_plain, *block_sum;
	} frame;
	/* Derived; owned, freed by catalog_free. One more element than there are items ends each table
	 * of offsets, so that every size is a subtraction. */
	uint32_t *dir_name_at, *dir_xattr_at, *dir_first; /* dirs + 1 */
	uint32_t *dir_end;             /* the number after the last directory of its subtree */
	uint16_t *dir_path_len;        /* bytes of its path below the root */
	uint32_t *frame_first;         /* frames + 1 */
	uint64_t *frame_at, *block_at; /* frames + 1 */
	uint32_t *carried;             /* frames; set by check_end */
	uint64_t *carried_at;
	uint32_t *links; /* targets of all hard links, sorted; set by check_end */
	uint32_t frame_plain_max, frame_packed_max, block_plain_max, block_packed_max;
};

struct block {
	uint32_t count;
	struct { /* columns, borrowed */
		const unsigned char *type, *flags, *mode, *uid, *gid, *mtime, *nsec, *size, *offset, *hash;
		const unsigned char *name_len, *target_len, *xattr_len, *names, *targets, *xattrs;
	} column;
	uint32_t *name_at, *target_at, *xattr_at; /* count + 1 each; owned, one allocation */
	uint32_t room;                            /* how many entries the allocation is for */
};

/* Decode and check the HEADER_SIZE bytes at BYTES. */
const char *header_parse(struct header *head, const unsigned char *bytes);

/* Make CATALOG a view of the plain catalog, whose bytes must outlive it. Checks everything that can be
 * known without the blocks. Also fails with "out of memory". Call catalog_free in any case. */
const char *catalog_parse(struct catalog *catalog, const struct header *head, const unsigned char *plain);
void catalog_free(struct catalog *catalog);

struct dir catalog_dir(const struct catalog *catalog, uint32_t number);
struct frame catalog_frame(const struct catalog *catalog, uint32_t number);

/* The directory that entry ENTRY (or, for head.entries, nothing) belongs to; the frame it begins in. */
uint32_t catalog_dir_of(const struct catalog *catalog, uint32_t entry);
uint32_t catalog_frame_of(const struct catalog *catalog, uint32_t entry);

/* Write the path of directory NUMBER below the root to OUT (PATH_LEN_MAX + 1 bytes), NUL-terminated;
 * "." for the root. Returns its length. */
size_t catalog_path(const struct catalog *catalog, uint32_t number, char *out);

/* How many hard links name ENTRY as the file they equal. */
uint32_t catalog_links(const struct catalog *catalog, uint32_t entry);

/* The directories of a frame: those whose entries begin in it (empty ones go with the entry that would
 * follow), and before them perhaps one whose entries go on from the frame before. Over all frames each
 * directory begins exactly once. */
struct spans {
	const struct catalog *catalog;
	uint32_t from, to, dir, dir_end;
};
struct span {
	uint32_t dir;
	bool begins;       /* not a directory that goes on from the frame before */
	uint32_t from, to; /* its entries in this frame */
};
struct spans spans_of(const struct catalog *catalog, uint32_t frame);
bool span_next(struct spans *spans, struct span *out);

/* Make BLOCK a view of the plain block of FRAME. BLOCK must be zeroed before its first use; it keeps its
 * allocation from one use to the next until block_free. */
const char *block_parse(struct block *block, const struct frame *frame, const unsigned char *plain);
void block_free(struct block *block);
struct entry block_entry(const struct block *block, uint32_t at);

/* One attribute of a set: u8 name length, name, u32 value length, value; by name, each once. */
struct xattr {
	struct text name, value;
};
/* Take the next attribute off SET. False at the end (or where a set that was never checked goes wrong). */
bool xattr_next(struct text *set, struct xattr *out);

#endif
