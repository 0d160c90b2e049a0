/* deepbundle - a bundle that decant-pack would not make: directories "d", one in the other.
 *
 *     deepbundle LEVELS >BUNDLE
 *
 * All sums are right, so that only the rule on paths can refuse it (init/FORMAT.md has the layout). */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>
#include <zstd.h>

enum { FRAME = 1024 }; /* the end of a tar archive: zeros */

static unsigned char *at;

static void put(uint64_t value, int bytes)
{
	for (int i = 0; i < bytes; i++)
		*at++ = (unsigned char)(value >> (8 * i));
}

static void column(uint32_t levels, uint64_t root, uint64_t other, int bytes)
{
	put(root, bytes);
	for (uint32_t i = 0; i < levels; i++)
		put(other, bytes);
}

static size_t pack(void *to, size_t room, const void *from, size_t size)
{
	size_t packed = ZSTD_compress(to, room, from, size, 3);
	if (ZSTD_isError(packed))
		exit(1);
	return packed;
}

int main(int argc, char **argv)
{
	static const unsigned char lead[] = {0x28, 0xb5, 0x2f, 0xfd, 0x20, 0,   1,
	                                     0,    0,    0x5d, 0x2a, 0x4d, 0x18};
	static const unsigned char zeros[FRAME];
	unsigned char frame[2 * FRAME], head[88 + 4];
	uint32_t levels = argc == 2 ? (uint32_t)strtoul(argv[1], NULL, 10) : 0;
	unsigned char *catalog = malloc(200 + (size_t)levels * 40),
	              *packed = malloc(1000 + (size_t)levels * 40);

	if (!levels || !catalog || !packed)
		return 2;
	size_t frame_packed = pack(frame, sizeof frame, zeros, FRAME);
	at = catalog;
	for (int i = 0; i < 4; i++) /* flags, files, symbolic links, hard links */
		put(0, 4);
	put(0, 8); /* content */
	put(0, 8); /* disk */
	put(0, 8); /* four strings, all empty */
	put(0, 4); /* parents */
	for (uint32_t i = 0; i < levels; i++)
		put(i, 4);
	column(levels, 0, 0, 4);       /* entries */
	column(levels, 0755, 0755, 2); /* mode */
	column(levels, 0, 0, 4);       /* uid */
	column(levels, 0, 0, 4);       /* gid */
	column(levels, 0, 0, 8);       /* mtime */
	column(levels, 0, 0, 4);       /* nsec */
	column(levels, 0, 1, 1);       /* name length */
	column(levels, 0, 0, 4);       /* xattr length */
	put(frame_packed, 4);
	put(FRAME, 4);
	put(XXH3_64bits(zeros, FRAME), 8);
	put(0, 8);
	put(0, 8);
	put(0, 4); /* no entries, so no block */
	memset(at, 'd', levels);
	at += levels;
	size_t plain = (size_t)(at - catalog),
	       size = pack(packed, 1000 + (size_t)levels * 40, catalog, plain);

	XXH128_canonical_t id;
	XXH128_canonicalFromHash(&id, XXH3_128bits(catalog, plain));
	at = head;
	put(88 + size, 4);
	memcpy(at, "decant\x1a\n", 8);
	at += 8;
	put(1, 4); /* version, flags */
	put(levels + 1, 4);
	put(0, 4); /* entries */
	put(1, 4); /* frames */
	put(plain, 4);
	put(size, 4);
	put(0, 8); /* blocks */
	put(frame_packed, 8);
	put(FRAME, 8);
	put(0, 8);
	memcpy(at, id.digest, 16);
	at += 16;
	put(XXH3_64bits(head + 4, 80), 8);
	fwrite(lead, 1, sizeof lead, stdout);
	fwrite(head, 1, sizeof head, stdout);
	fwrite(packed, 1, size, stdout);
	fwrite(frame, 1, frame_packed, stdout);
	return fflush(stdout) != 0;
}
