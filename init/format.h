/* format.h - the constants of a bundle, as FORMAT.md defines them.
 *
 * A bundle is   empty zstd frame ‖ skippable frame (header ‖ catalog ‖ blocks) ‖ zstd frames.
 * The frames unpack to a tar stream; the index in front says where in it each file's content lies.
 * All numbers are little-endian and unaligned; read them with bytes.h. */
#ifndef DECANT_FORMAT_H
#define DECANT_FORMAT_H

#include <stdint.h>

#define BUNDLE_VERSION 1

/* The lead: an empty zstd frame, so that every tool knows the file by its first four bytes, and the
 * magic number of the skippable frame (RFC 8878, 3.1.2) that holds the index. Its size field follows. */
#define LEAD_BYTES "\x28\xb5\x2f\xfd\x20\x00\x01\x00\x00\x5d\x2a\x4d\x18"
enum { LEAD_SIZE = 13, LEAD_TOTAL = 17 };

#define HEADER_MAGIC "decant\x1a\x0a"
enum {
	HEADER_MAGIC_AT = 0,      /* 8 bytes */
	HEADER_VERSION = 8,       /* u16 */
	HEADER_FLAGS = 10,        /* u16, none defined: must be 0 */
	HEADER_DIRS = 12,         /* u32, at least 1: the root */
	HEADER_ENTRIES = 16,      /* u32, everything that is no directory */
	HEADER_FRAMES = 20,       /* u32, at least 1 */
	HEADER_CATALOG = 24,      /* u32, plain size */
	HEADER_CATALOG_PACK = 28, /* u32, packed size */
	HEADER_BLOCKS_PACK = 32,  /* u64, sum of the packed blocks */
	HEADER_DATA_PACK = 40,    /* u64, sum of the packed frames */
	HEADER_DATA = 48,         /* u64, size of the tar stream */
	HEADER_RESERVED = 56,     /* u64, must be 0 */
	HEADER_ID = 64,           /* XXH3-128 of the plain catalog, canonical (big-endian) */
	HEADER_SUM = 80,          /* u64, XXH3-64 of the 80 bytes before */
	HEADER_SIZE = 88
};

/* The catalog: a fixed part, four strings, the directory columns, the frame columns. */
enum {
	CATALOG_FLAGS = 0,      /* u32, see CATALOG_* bits */
	CATALOG_FILES = 4,      /* u32 */
	CATALOG_SYMLINKS = 8,   /* u32 */
	CATALOG_HARDLINKS = 12, /* u32 */
	CATALOG_CONTENT = 16,   /* u64, sum of the files' sizes */
	CATALOG_DISK = 24,      /* u64, the same in 4,096-byte steps, less what holes may leave out */
	CATALOG_STRINGS = 32,   /* u16 length + bytes, four times: dest, revision, packer, reserved (empty) */
	CATALOG_STRING_COUNT = 4
};
#define CATALOG_HAS_SETID                                                                                    \
	1u /* an entry or a directory carries setuid, setgid or sticky bits or capabilities */

/* Columns of a directory, in this order, each an array over all directories; then the name bytes,
 * then the xattr bytes. */
enum {
	DIR_COLUMNS = 4 + 4 + 2 + 4 + 4 + 8 + 4 + 1 + 4
}; /* parent entries mode uid gid mtime nsec name xattr */
/* Columns of a frame: packed plain sum entries block_packed block_plain block_sum. */
enum { FRAME_COLUMNS = 4 + 4 + 8 + 4 + 4 + 4 + 8 };
/* Columns of an entry: type flags mode uid gid mtime nsec size offset hash name target xattr. */
enum { ENTRY_COLUMNS = 1 + 1 + 2 + 4 + 4 + 8 + 4 + 8 + 4 + 16 + 1 + 2 + 4 };

enum entry_type { ENTRY_FILE = 0, ENTRY_SYMLINK = 1, ENTRY_HARDLINK = 2 };
#define ENTRY_HOLES 1u /* at least one whole window of the file is zero: leave holes there */

/* Limits. A reader refuses what exceeds them before it allocates. */
#define FRAME_PLAIN_MAX (16u << 20)
#define BLOCK_PLAIN_MAX (16u << 20)
#define CATALOG_PLAIN_MAX (256u << 20)
enum {
	NAME_LEN_MAX = 255,    /* NAME_MAX of Linux */
	PATH_LEN_MAX = 4095,   /* PATH_MAX of Linux without its NUL */
	XATTR_SET_MAX = 65536, /* all xattrs of one entry: bytes */
	XATTRS_MAX = 256,      /* their number */
	HOLE_WINDOW = 65536,   /* holes are looked for in windows of this size, aligned in the file */
	MODE_MASK = 07777,
	SETID_MASK = 07000
};

/* Names that a bundle's root must not use. */
#define STATE_DIR ".decant"
#define LOST_FOUND "lost+found"

#endif
