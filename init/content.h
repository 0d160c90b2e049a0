/* content.h - is what is in a file what the index says? */
#ifndef DECANT_CONTENT_H
#define DECANT_CONTENT_H

#include <stdbool.h>
#include <stdint.h>

enum { CONTENT_PIECE = 1 << 18 }; /* bytes read at a time */

/* Read the SIZE bytes of FD by way of PIECE (CONTENT_PIECE bytes) and compare their XXH3-128 with HASH.
 * False with errno when they cannot be read. Whether the file has that size is for the caller to ask. */
bool content_matches(int fd, uint64_t size, const unsigned char *hash, unsigned char *piece, bool *same);

#endif
