/* bundle.h - a bundle that is open for reading: its checked index, and its blocks and frames on demand.
 *
 * A bundle is a regular file, read at offsets by any thread, or a stream (pipe, socket, standard input),
 * whose frames come once and in order. Of a stream the packed index is kept in memory, of a file the
 * catalog and 64 bits for each block. */
#ifndef DECANT_BUNDLE_H
#define DECANT_BUNDLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fault.h"
#include "index.h"

struct bundle {
	char *name; /* for messages; owned */
	int fd;
	bool stream;
	int64_t blocks_at;         /* file: offset of the first packed block */
	int64_t data_at;           /* file: offset of the first packed frame */
	int64_t index_at;          /* offset of the header */
	unsigned char *index;      /* stream: the index as it stands in the bundle */
	unsigned char *plain;      /* the plain catalog */
	uint64_t *seals;           /* file: hash64_secret of each block that has passed the checks */
	bool sealed;               /* all of them have */
	uint64_t index_seal;       /* the same of the index as it stands in the bundle */
	struct hash_seal *sealing; /* that while it is read; else NULL */
	struct catalog catalog;
	uint64_t *budget; /* while it is opened: see bundle_open_index; borrowed */
	uint64_t size;    /* bytes of the whole bundle */
	bool held;        /* a volume's own index: what is wrong with it is EXIT_VOLUME */
	bool shared;      /* such a one that a group can write (state.h) */
	char id[33];      /* hexadecimal, NUL-terminated */
};

/* Open the bundle NAME ("-": standard input), read its index and check all of it. On failure BUNDLE is
 * closed and FAULT set (EXIT_BUNDLE, EXIT_IO, EXIT_PERMISSION, EXIT_INTERNAL or EXIT_SIGNAL; where a
 * device or a socket cannot be read, what fault_errno makes of that). */
bool bundle_open(struct bundle *bundle, const char *name, struct fault *fault);

/* The same for the index alone, as it stands at offset AT of the file FD (a volume's state keeps one).
 * BUNDLE takes FD over, also on failure. Unless BUDGET is NULL, what is unpacked, or read where that is
 * more, is taken from those bytes, and an index that needs more of them, or has a catalog or a block of more
 * than BUDGET_PIECE, is EXIT_BUNDLE. */
#define BUDGET_PIECE (8u << 20)
bool bundle_open_index(struct bundle *bundle, const char *name, int fd, int64_t at, uint64_t *budget,
                       struct fault *fault);

void bundle_close(struct bundle *bundle);

/* The bytes of the index as they stand in the bundle, from the header to the last packed block. */
uint64_t bundle_index_size(const struct bundle *bundle);
/* Copy them to offset AT of file FD. False with FAULT set, also when they are not what was checked any more;
 * WHAT names the file written to. */
bool bundle_index_copy(const struct bundle *bundle, int fd, int64_t at, const char *what,
                       struct fault *fault);

/* Are they what stands from offset AT of file FD on, to its end? */
bool bundle_index_is(const struct bundle *bundle, int fd, int64_t at);

/* Read the frames of a stream and forget them, so that whoever writes it is not cut off: for a command that
 * has succeeded without them. What follows them, perhaps for ever, is not read. */
void bundle_drain(const struct bundle *bundle);

/* After the last frame of a stream: nothing may follow. */
bool bundle_end(const struct bundle *bundle, struct fault *fault);

/* What one thread needs to read from a bundle: buffers for one block and one frame. */
struct reader {
	struct bundle *bundle;
	struct ZSTD_DCtx_s *unpacker;
	unsigned char *packed, *block_plain, *frame_plain;
	struct block block;    /* the block that was read last */
	uint32_t block_number; /* its frame's number, or NO_ENTRY */
};

/* Zero READER before the first use. Memory is taken when it is first needed. */
void reader_init(struct reader *reader, struct bundle *bundle);
void reader_free(struct reader *reader);

/* Make READER's block that of frame NUMBER. Costs nothing when it is already. */
bool reader_block(struct reader *reader, uint32_t number, struct fault *fault);

/* Read frame NUMBER to reader->packed; of a stream, NUMBER must be the next one. */
bool reader_fetch(struct reader *reader, uint32_t number, struct fault *fault);
/* Unpack what was fetched to reader->frame_plain and check it. */
bool reader_unpack(struct reader *reader, uint32_t number, struct fault *fault);

#endif
