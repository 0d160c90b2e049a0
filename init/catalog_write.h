/* catalog_write.h - writes the index: blocks, catalog, header. The other side of index.h. */
#ifndef DECANT_CATALOG_WRITE_H
#define DECANT_CATALOG_WRITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "encode.h"
#include "tree.h"

/* Bytes that grow. Zero it before the first use; the owner frees BYTES. */
struct buffer {
	unsigned char *bytes;
	size_t used, room;
};
bool buffer_reserve(struct buffer *buffer, size_t room); /* room for at least ROOM bytes in all */
bool buffer_add(struct buffer *buffer, const void *bytes, size_t size);

/* What is known of a frame when it has been packed. */
struct frame_row {
	uint32_t packed, plain;
	uint64_t sum;
	uint32_t entries, block_packed, block_plain;
	uint64_t block_sum;
};

struct catalog_facts {
	const char *dest, *revision, *packer;
	uint32_t frames;
	const struct frame_row *rows;
	uint64_t data_packed, data_plain;
};

/* All return false for want of memory. */
bool block_write(struct buffer *out, const struct tree *tree, uint32_t first, uint32_t count);
bool catalog_write(struct buffer *out, const struct tree *tree, const struct catalog_facts *facts);
/* Lead, header, packed catalog and packed blocks, to OUT's index, and the id. */
bool index_write(struct encoded *out, const struct tree *tree, const struct catalog_facts *facts,
                 const struct buffer *catalog, const unsigned char *packed, uint32_t packed_size,
                 const struct buffer *blocks);

#endif
