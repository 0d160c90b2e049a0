/* heavybundle - a small bundle with a large index: blocks of nearly 16 MiB, all of them the same zeros.
 *
 *     heavybundle BLOCKS [BYTES [DISK [LINKS]]] >BUNDLE
 *
 * Each block is that of a directory of its own, with 253 empty files, each of which has an attribute of BYTES
 * in all (65536; 0: none); the index says that the files take DISK bytes (0). With LINKS the
 * catalog says that each directory has so many hard links instead, which only its block disproves. All sums
 * are right (init/FORMAT.md has the layout). */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>
#include <zstd.h>

enum { FRAME = 1024, FILES = 253, SET_MAX = 65536, BLOCK_MAX = FILES * (59 + 1 + SET_MAX) };

static uint32_t set = SET_MAX;
static uint64_t disk;
static uint32_t entries = FILES, links; /* of each directory, as the catalog says */
static unsigned char *at;

static void put(uint64_t value, int bytes)
{
	for (int i = 0; i < bytes; i++)
		*at++ = (unsigned char)(value >> (8 * i));
}

static void column(uint32_t count, uint64_t value, int bytes)
{
	for (uint32_t i = 0; i < count; i++)
		put(value, bytes);
}

static size_t pack(void *to, size_t room, const void *from, size_t size)
{
	size_t packed = ZSTD_compress(to, room, from, size, 3);
	if (ZSTD_isError(packed))
		exit(1);
	return packed;
}

/* Returns its size. */
static size_t make_block(unsigned char *block)
{
	XXH128_canonical_t nothing;
	XXH128_canonicalFromHash(&nothing, XXH3_128bits("", 0));
	at = block;
	column(FILES, 0, 2);         /* type, flags */
	column(FILES, 0644, 2);      /* mode */
	at += FILES * (8 + 12 + 12); /* owner, time, size, offset */
	for (int i = 0; i < FILES; i++, at += 16)
		memcpy(at, nothing.digest, 16);
	column(FILES, 1, 1); /* name */
	column(FILES, 0, 2); /* target */
	column(FILES, set, 4);
	for (uint64_t name = 1; name < 256; name++)
		if (name != '.' && name != '/')
			put(name, 1);
	for (int i = 0; i < FILES && set; i++) {
		put(6, 1);
		memcpy(at, "user.x", 6);
		at += 6;
		put(set - 11, 4);
		at += set - 11;
	}
	return (size_t)(at - block);
}

static size_t make_catalog(unsigned char *catalog, uint32_t blocks, size_t frame_packed,
                           const unsigned char *frame, size_t block_packed, const unsigned char *block,
                           size_t block_size)
{
	at = catalog;
	put(0, 4);
	put(links ? 0 : blocks * FILES, 4);
	put(0, 4); /* symlinks */
	put(blocks * links, 4);
	put(0, 8); /* content */
	put(disk, 8);
	put(0, 8);                /* four strings, all empty */
	column(blocks + 1, 0, 4); /* parents */
	put(0, 4);
	column(blocks, entries, 4);
	column(blocks + 1, 0755, 2);
	column(blocks + 1, 0, 8);  /* owner */
	column(blocks + 1, 0, 12); /* time */
	put(0, 1);
	column(blocks, 4, 1);     /* names */
	column(blocks + 1, 0, 4); /* xattrs */
	column(blocks, frame_packed, 4);
	column(blocks, FRAME, 4);
	column(blocks, XXH3_64bits(frame, FRAME), 8);
	column(blocks, entries, 4);
	column(blocks, block_packed, 4);
	column(blocks, block_size, 4);
	column(blocks, XXH3_64bits(block, block_size), 8);
	for (uint32_t i = 0; i < blocks; i++)
		at += sprintf((char *)at, "%04x", i);
	return (size_t)(at - catalog);
}

static void put_head(uint32_t blocks, size_t plain, size_t catalog_packed, size_t block_packed,
                     size_t frame_packed, const unsigned char *id)
{
	unsigned char *head = at + 4;
	put(88 + catalog_packed + blocks * block_packed, 4);
	memcpy(at, "decant\x1a\n", 8);
	at += 8;
	put(1, 4); /* version, flags */
	put(blocks + 1, 4);
	put(blocks * entries, 4);
	put(blocks, 4);
	put(plain, 4);
	put(catalog_packed, 4);
	put(blocks * block_packed, 8);
	put(blocks * frame_packed, 8);
	put((uint64_t)blocks * FRAME, 8);
	put(0, 8);
	memcpy(at, id, 16);
	at += 16;
	put(XXH3_64bits(head, 80), 8);
}

int main(int argc, char **argv)
{
	static const unsigned char lead[] = {0x28, 0xb5, 0x2f, 0xfd, 0x20, 0,   1,
	                                     0,    0,    0x5d, 0x2a, 0x4d, 0x18},
	                           zeros[FRAME];
	unsigned char frame[2 * FRAME], head[88 + 4];
	uint32_t blocks = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 0;
	size_t room = ZSTD_compressBound(BLOCK_MAX) + (size_t)blocks * 100;
	unsigned char *block = calloc(1, BLOCK_MAX), *packed = malloc(room), *plain = malloc(room),
	              *catalog = malloc(room);

	if (argc > 2)
		set = (uint32_t)strtoul(argv[2], NULL, 10);
	if (argc > 3)
		disk = strtoull(argv[3], NULL, 10);
	if (argc > 4)
		entries = links = (uint32_t)strtoul(argv[4], NULL, 10);
	if (!blocks || blocks > 65536 || set > SET_MAX || (set && set < 11) || !block || !packed || !plain ||
	    !catalog)
		return 2;
	size_t block_size = make_block(block);
	size_t frame_packed = pack(frame, sizeof frame, zeros, FRAME),
	       block_packed = pack(packed, room, block, block_size);
	size_t size = make_catalog(plain, blocks, frame_packed, zeros, block_packed, block, block_size);
	size_t catalog_packed = pack(catalog, room, plain, size);
	XXH128_canonical_t id;

	XXH128_canonicalFromHash(&id, XXH3_128bits(plain, size));
	at = head;
	put_head(blocks, size, catalog_packed, block_packed, frame_packed, id.digest);
	fwrite(lead, 1, sizeof lead, stdout);
	fwrite(head, 1, sizeof head, stdout);
	fwrite(catalog, 1, catalog_packed, stdout);
	for (uint32_t i = 0; i < blocks; i++)
		fwrite(packed, 1, block_packed, stdout);
	for (uint32_t i = 0; i < blocks; i++)
		fwrite(frame, 1, frame_packed, stdout);
	return fflush(stdout) != 0;
}
