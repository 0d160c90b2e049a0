/* frame.h - unpacks one zstd frame that has been read whole, and checks that it is what the index says. */
#ifndef DECANT_FRAME_H
#define DECANT_FRAME_H

#include <stddef.h>
#include <stdint.h>

struct ZSTD_DCtx_s;

struct ZSTD_DCtx_s *unpacker_new(void); /* NULL: out of memory */
void unpacker_free(struct ZSTD_DCtx_s *unpacker);

/* Unpack the PACKED bytes at FROM, which must be one zstd frame of exactly PLAIN bytes, to TO (PLAIN bytes).
 * Memory does not depend on the frame's window, because the output is the window. Returns NULL, or a static
 * text that says what is wrong. */
const char *frame_unpack(struct ZSTD_DCtx_s *unpacker, void *to, size_t plain, const void *from,
                         size_t packed);

/* The same, and the plain bytes must have SUM as their XXH3-64. */
const char *frame_unpack_sum(struct ZSTD_DCtx_s *unpacker, void *to, size_t plain, const void *from,
                             size_t packed, uint64_t sum);

#endif
