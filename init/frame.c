#include "frame.h"

#define ZSTD_STATIC_LINKING_ONLY /* for ZSTD_d_forceIgnoreChecksum */
#include <zstd.h>

#include "hash.h"
struct ZSTD_DCtx_s *unpacker_new(void)
{
	ZSTD_DCtx *unpacker = ZSTD_createDCtx();
	/* Every frame is checked against the index; zstd's own checksum is there for other programs. */
	if (unpacker)
		ZSTD_DCtx_setParameter(unpacker, ZSTD_d_forceIgnoreChecksum, ZSTD_d_ignoreChecksum);
	return unpacker;
}

void unpacker_free(struct ZSTD_DCtx_s *unpacker)
{
	ZSTD_freeDCtx(unpacker);
}

const char *frame_unpack(struct ZSTD_DCtx_s *unpacker, void *to, size_t plain, const void *from,
                         size_t packed)
{
	if (ZSTD_getFrameContentSize(from, packed) != plain)
		return "a frame's own size is not the one in the index";
	if (ZSTD_getDictID_fromFrame(from, packed) != 0)
		return "a frame asks for a dictionary";
	if (ZSTD_findFrameCompressedSize(from, packed) != packed)
		return "a frame's packed size is not the one in the index";
	if (ZSTD_decompressDCtx(unpacker, to, plain, from, packed) != plain)
		return "a frame is damaged";
	return NULL;
}

const char *frame_unpack_sum(struct ZSTD_DCtx_s *unpacker, void *to, size_t plain, const void *from,
                             size_t packed, uint64_t sum)
{
	const char *wrong = frame_unpack(unpacker, to, plain, from, packed);
	if (!wrong && hash64(to, plain) != sum)
		wrong = "a frame's checksum is wrong";
	return wrong;
}
