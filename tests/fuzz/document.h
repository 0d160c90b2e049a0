/* document.h - bundles and state files taken apart and put together again, sums and all, so that what is
 * changed in between reaches the code behind the checksums. */
#ifndef DECANT_FUZZ_DOCUMENT_H
#define DECANT_FUZZ_DOCUMENT_H

#include <stdbool.h>

#include "arena.h"
#include "format.h"

enum { STATE_HEAD = 84, DOC_FRAMES = 256, DOC_PLAIN = 1 << 20 };

/* A bundle, or a state file, which has a head of its own and no frames. */
struct doc {
	bool is_state;
	unsigned char head[STATE_HEAD]; /* a bundle's lead and skip size, or the state's head */
	unsigned char header[HEADER_SIZE];
	struct bytes catalog; /* plain, as all below */
	uint32_t frames;
	struct bytes block[DOC_FRAMES], frame[DOC_FRAMES];
	size_t used; /* bytes that it has in what it was read from */
};

/* How doc_write puts a document together. What is not asked for is made right. */
struct seal {
	struct dice *dice;
	bool raw_zstd;     /* frames of raw blocks instead of compressed ones */
	bool wrong_header; /* one field of the header is changed before its sum is made */
	bool wrong_row;    /* one number of the frame columns likewise, before the id */
	bool wrong_sum;    /* one of the sums themselves is wrong */
	bool wrong_packed; /* the packed bytes of one frame or block are changed, their sizes kept in step */
	size_t (*mutate)(uint8_t *data, size_t size, size_t max); /* bytes for wrong_packed */
};

/* Take a document off the front of DATA. False when it is none, or one too large to play with. */
bool doc_read(struct doc *doc, const uint8_t *data, size_t size);
/* The bytes of DOC; empty when it cannot be put together. */
struct bytes doc_write(const struct doc *doc, const struct seal *seal);

/* How many bytes at DATA its own numbers say are one bundle, or one state file; 0 when that cannot be. */
size_t doc_size(const uint8_t *data, size_t size);

/* Where the frame columns begin in a plain catalog of DIRS directories; 0 when it is too short. */
size_t frame_columns(struct bytes catalog, uint32_t dirs, uint32_t frames);

#endif
