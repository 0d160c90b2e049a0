/* hash.h - the two checksums of the format, XXH3-64 and XXH3-128 (xxHash 0.8 and later). They find accidents;
 * they are no defence against somebody who makes collisions on purpose. */
#ifndef DECANT_HASH_H
#define DECANT_HASH_H

#include <stddef.h>
#include <stdint.h>

#define HASH_SIZE 16 /* bytes of an XXH3-128, in canonical (big-endian) order */

uint64_t hash64(const void *data, size_t size);
void hash128(const void *data, size_t size, unsigned char *out);

/* XXH3-128 of data that comes in pieces. It may stand anywhere, but not be moved: what xxHash wants at a
 * multiple of 64 begins at the first one. */
struct hash_stream {
	unsigned char opaque[576 + 63];
};
void hash_begin(struct hash_stream *stream);
void hash_add(struct hash_stream *stream, const void *data, size_t size);
void hash_end(struct hash_stream *stream, unsigned char *out);

/* 64 bits of an XXH3-128 under a secret of this run, which nobody outside it knows: whoever can change the
 * data cannot tell what makes the same come out again, as far as that holds of a hash that was not made to
 * keep a secret. Of use to this run alone. At once, or in pieces. */
uint64_t hash64_secret(const void *data, size_t size);

struct hash_seal {
	struct hash_stream stream;
	unsigned char secret[12 * HASH_SIZE];
};
void seal_begin(struct hash_seal *seal);
void seal_add(struct hash_seal *seal, const void *data, size_t size);
uint64_t seal_end(struct hash_seal *seal);

/* "0.8.1" */
const char *hash_version(void);

#endif
