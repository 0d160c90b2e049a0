/* frame.c - tests of init/frame.h: a frame's own header and content against what the index says. */
#include "frame.h"

#include <zdict.h>
#include <zstd.h>

#include "hash.h"
#include "unit.h"

enum { PLAIN = 100000, ROOM = 200000 };

static unsigned char plain[PLAIN], packed[ROOM], out[PLAIN + 1];

static void make_plain(void)
{
	uint32_t seed = 7;
	for (size_t i = 0; i < PLAIN; i++)
		plain[i] = (unsigned char)(unit_random(&seed) % 8);
}

/* PLAIN bytes as one frame, as CONTEXT's parameters say. */
static size_t pack_with(ZSTD_CCtx *context)
{
	make_plain();
	size_t size = ZSTD_compress2(context, packed, ROOM, plain, PLAIN);
	ck_assert(!ZSTD_isError(size));
	ZSTD_freeCCtx(context);
	return size;
}

/* What frame_unpack_sum says of SIZE bytes at packed, which should hold COUNT bytes with SUM. */
static const char *unpack(size_t size, size_t count, uint64_t sum)
{
	struct ZSTD_DCtx_s *unpacker = unpacker_new();
	out[count] = 0xa5;
	const char *wrong = frame_unpack_sum(unpacker, out, count, packed, size, sum);
	ck_assert_uint_eq(out[count], 0xa5);
	unpacker_free(unpacker);
	return wrong;
}

START_TEST(a_right_frame_is_unpacked)
{
	size_t size = pack_with(ZSTD_createCCtx());
	ck_assert_ptr_null(unpack(size, PLAIN, hash64(plain, PLAIN)));
	ck_assert_mem_eq(out, plain, PLAIN);
}
END_TEST

START_TEST(a_whole_frame_with_another_sum_is_refused)
{
	size_t size = pack_with(ZSTD_createCCtx());
	ck_assert_str_eq(unpack(size, PLAIN, hash64(plain, PLAIN) ^ 1), "a frame's checksum is wrong");
}
END_TEST

START_TEST(a_frame_without_its_size_is_refused)
{
	ZSTD_CCtx *context = ZSTD_createCCtx();
	ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, 0);
	size_t size = pack_with(context);
	ck_assert_str_eq(unpack(size, PLAIN, hash64(plain, PLAIN)),
	                 "a frame's own size is not the one in the index");
}
END_TEST

START_TEST(a_frame_of_more_or_fewer_bytes_than_the_index_says_is_refused)
{
	size_t size = pack_with(ZSTD_createCCtx());
	ck_assert_ptr_nonnull(unpack(size, PLAIN - 1, hash64(plain, PLAIN - 1)));
	ck_assert_ptr_nonnull(unpack(size, 0, hash64(plain, 0)));
	static const unsigned char skippable[8] = {0x50, 0x2a, 0x4d, 0x18};
	memcpy(packed + size, skippable, sizeof skippable); /* zstd itself would pass over it */
	ck_assert_ptr_nonnull(unpack(size + sizeof skippable, PLAIN, hash64(plain, PLAIN)));
	memmove(packed + size, packed, size); /* two frames: twice as much, if both were unpacked */
	ck_assert_ptr_nonnull(unpack(2 * size, PLAIN, hash64(plain, PLAIN)));
	ck_assert_ptr_nonnull(unpack(size - 1, PLAIN, hash64(plain, PLAIN)));
}
END_TEST

/* The size stands behind the magic number and the descriptor: four bytes for what is over 65,791. */
START_TEST(a_frame_whose_header_promises_more_or_less_than_it_holds_is_refused)
{
	for (int by = -1; by <= 1; by += 2) {
		size_t size = pack_with(ZSTD_createCCtx());
		ck_assert_uint_eq(packed[4] >> 6, 2);
		ck_assert_uint_eq(packed[4] & 0x20, 0x20);
		packed[5] = (unsigned char)(packed[5] + by);
		ck_assert_uint_eq(ZSTD_getFrameContentSize(packed, size), (unsigned)(PLAIN + by));
		if (by < 0)
			ck_assert_ptr_nonnull(unpack(size, PLAIN - 1, hash64(plain, PLAIN - 1)));
		ck_assert_ptr_nonnull(unpack(size, PLAIN, hash64(plain, PLAIN)));
	}
}
END_TEST

START_TEST(a_frame_that_wants_a_dictionary_is_refused)
{
	static unsigned char content[4096], dictionary[8192], samples[64 * 512];
	static size_t sizes[64];
	uint32_t seed = 3;

	for (size_t i = 0; i < sizeof samples; i++)
		samples[i] = (unsigned char)(unit_random(&seed) % 8);
	for (size_t i = 0; i < COUNT_OF(sizes); i++)
		sizes[i] = 512;
	memcpy(content, samples, sizeof content);
	size_t length =
	    ZDICT_finalizeDictionary(dictionary, sizeof dictionary, content, sizeof content, samples, sizes,
	                             COUNT_OF(sizes), (ZDICT_params_t){.dictID = 77});
	ck_assert(!ZSTD_isError(length));
	ZSTD_CCtx *context = ZSTD_createCCtx();
	ck_assert(!ZSTD_isError(ZSTD_CCtx_loadDictionary(context, dictionary, length)));
	size_t size = pack_with(context);
	ck_assert_uint_eq(ZSTD_getDictID_fromFrame(packed, size), 77);
	ck_assert_str_eq(unpack(size, PLAIN, hash64(plain, PLAIN)), "a frame asks for a dictionary");
}
END_TEST

/* zstd frames may ask for a window of terabytes (RFC 8878, 3.1.1.1.2). The output is the window here, so what
 * such a frame asks for is never allocated: with 64 MiB of address space to spare it unpacks or is refused.
 */
START_TEST(a_huge_window_costs_no_memory)
{
	/* magic, descriptor: size of 4 bytes and a window; window of 2^41; size 1; one raw block with 1 byte
	 */
	static const unsigned char huge[] = {0x28, 0xb5, 0x2f, 0xfd, 0x80, 0xf8, 1, 0, 0, 0, 9, 0, 0, 'x'};
	struct ZSTD_DCtx_s *unpacker = unpacker_new();
	const char *wrong = frame_unpack_sum(unpacker, out, 1, huge, sizeof huge, hash64("x", 1));
	ck_assert(wrong || out[0] == 'x');
	ck_assert_uint_lt(ZSTD_sizeof_DCtx(unpacker), 1 << 20);
	unpacker_free(unpacker);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
	    a_right_frame_is_unpacked,
	    a_whole_frame_with_another_sum_is_refused,
	    a_frame_without_its_size_is_refused,
	    a_frame_of_more_or_fewer_bytes_than_the_index_says_is_refused,
	    a_frame_whose_header_promises_more_or_less_than_it_holds_is_refused,
	    a_frame_that_wants_a_dictionary_is_refused,
	    a_huge_window_costs_no_memory,
	    NULL,
	};
	return unit_main("frame", tests);
}
