/* twoface - two bundles that differ in one name alone, and have the same size and the same sums.
 *
 *     twoface NAME OTHER GOOD BAD
 *
 * GOOD holds an empty file NAME, and BAD the file OTHER, as long, which need not be a name at all. XXH3 adds
 * up what it reads, so words of an attribute's value can make good for what differs: a word whose one half is
 * the secret's adds the other half, and nothing else, to the sum of the lane beside its own. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>
#include <zstd.h>

enum {
	FRAME = 1024, /* the end of a tar archive: zeros */
	VALUE = 600,  /* bytes of the attribute */
	LOW = 320,    /* stripes of the block that are all value: where low and high halves stand */
	HIGH = 384
};

static unsigned char *at;

static void put(uint64_t value, int bytes)
{
	for (int i = 0; i < bytes; i++)
		*at++ = (unsigned char)(value >> (8 * i));
}

static uint64_t get(const void *from)
{
	uint64_t value;
	memcpy(&value, from, sizeof value);
	return value;
}

/* The secret's word for the block's word at OFFSET. */
static uint64_t secret(size_t offset)
{
	return get(XXH3_kSecret + offset / 64 * 8 + offset % 64);
}

/* What the words of a block before LOW add to the sums of the eight lanes. */
static void add_up(const unsigned char *block, uint64_t *lanes)
{
	memset(lanes, 0, 8 * sizeof *lanes);
	for (size_t offset = 0; offset < LOW; offset += 8) {
		uint64_t word = get(block + offset), keyed = word ^ secret(offset);
		lanes[offset % 64 / 8 ^ 1] += word;
		lanes[offset % 64 / 8] += (keyed & UINT32_MAX) * (keyed >> 32);
	}
}

/* Give BLOCK words that add what it lacks of SUMS. */
static void make_good(unsigned char *block, const uint64_t *sums)
{
	const uint64_t low = UINT32_MAX;
	uint64_t has[8];

	add_up(block, has);
	for (size_t lane = 0; lane < 8; lane++) {
		size_t word = 8 * (lane ^ 1);
		uint64_t lacks = sums[lane] - has[lane];
		at = block + LOW + word;
		put((lacks & low) | (secret(LOW + word) & ~low), 8);
		at = block + HIGH + word;
		put((lacks & ~low) | (secret(HIGH + word) & low), 8);
	}
}

static size_t make_block(unsigned char *block, const char *name)
{
	XXH128_canonical_t nothing;
	XXH128_canonicalFromHash(&nothing, XXH3_128bits("", 0));
	at = block;
	put(0, 2);    /* type, flags */
	put(0644, 2); /* mode */
	put(0, 8);    /* owner */
	put(0, 12);   /* mtime, nsec */
	put(0, 12);   /* size, offset */
	memcpy(at, nothing.digest, 16);
	at += 16;
	put(strlen(name), 1);
	put(0, 2); /* target */
	put(1 + 6 + 4 + VALUE, 4);
	memcpy(at, name, strlen(name));
	at += strlen(name);
	put(6, 1);
	memcpy(at, "user.x", 6);
	at += 6;
	put(VALUE, 4);
	memset(at, 'x', VALUE);
	return (size_t)(at + VALUE - block);
}

/* A zstd frame of one raw block. */
static size_t wrap(unsigned char *to, const unsigned char *from, size_t size)
{
	at = to;
	put(0xfd2fb528, 4);
	put(0x60, 1);
	put(size - 256, 2);
	put(1 | size << 3, 3);
	memcpy(at, from, size);
	return (size_t)(at + size - to);
}

static size_t make_catalog(unsigned char *catalog, size_t frame_packed, const unsigned char *frame,
                           size_t block_packed, const unsigned char *block, size_t block_size)
{
	at = catalog;
	put(0, 4); /* flags */
	put(1, 4); /* files */
	put(0, 8); /* links */
	put(0, 8); /* content */
	put(0, 8); /* disk */
	put(0, 8); /* four strings, all empty */
	put(0, 4); /* the root: parent */
	put(1, 4); /* entries */
	put(0755, 2);
	put(0, 8);  /* owner */
	put(0, 12); /* mtime, nsec */
	put(0, 5);  /* lengths of name and xattrs */
	put(frame_packed, 4);
	put(FRAME, 4);
	put(XXH3_64bits(frame, FRAME), 8);
	put(1, 4); /* entries */
	put(block_packed, 4);
	put(block_size, 4);
	put(XXH3_64bits(block, block_size), 8);
	return (size_t)(at - catalog);
}

static void write_bundle(const char *path, const unsigned char *block, size_t block_size)
{
	static const unsigned char lead[] = {0x28, 0xb5, 0x2f, 0xfd, 0x20, 0,   1,
	                                     0,    0,    0x5d, 0x2a, 0x4d, 0x18},
	                           zeros[FRAME];
	unsigned char frame[2 * FRAME], packed[2 * FRAME], plain[FRAME], catalog[2 * FRAME], head[88 + 4];
	size_t frame_packed = wrap(frame, zeros, FRAME), block_packed = wrap(packed, block, block_size);
	size_t size = make_catalog(plain, frame_packed, zeros, block_packed, block, block_size);
	size_t catalog_packed = ZSTD_compress(catalog, sizeof catalog, plain, size, 3);
	XXH128_canonical_t id;

	XXH128_canonicalFromHash(&id, XXH3_128bits(plain, size));
	at = head;
	put(88 + catalog_packed + block_packed, 4);
	memcpy(at, "decant\x1a\n", 8);
	at += 8;
	put(1, 4); /* version, flags */
	put(1, 4); /* directories */
	put(1, 4); /* entries */
	put(1, 4); /* frames */
	put(size, 4);
	put(catalog_packed, 4);
	put(block_packed, 8);
	put(frame_packed, 8);
	put(FRAME, 8);
	put(0, 8);
	memcpy(at, id.digest, 16);
	at += 16;
	put(XXH3_64bits(head + 4, 80), 8);

	FILE *file = fopen(path, "w");
	if (!file)
		exit(1);
	fwrite(lead, 1, sizeof lead, file);
	fwrite(head, 1, sizeof head, file);
	fwrite(catalog, 1, catalog_packed, file);
	fwrite(packed, 1, block_packed, file);
	fwrite(frame, 1, frame_packed, file);
	if (fclose(file) != 0)
		exit(1);
}

int main(int argc, char **argv)
{
	unsigned char good[FRAME], bad[FRAME];
	uint64_t sums[8];

	if (argc != 5 || strlen(argv[1]) != strlen(argv[2]) || strlen(argv[1]) > 200)
		return 2;
	size_t size = make_block(good, argv[1]);
	make_block(bad, argv[2]);
	add_up(good, sums);
	make_good(good, sums);
	make_good(bad, sums);
	if (XXH3_64bits(good, size) != XXH3_64bits(bad, size))
		return 1;
	write_bundle(argv[3], good, size);
	write_bundle(argv[4], bad, size);
	return 0;
}
