/* tar.h - the headers of a tar stream: POSIX ustar, with pax extended headers (pax(1)) for what ustar cannot
 * say: nanoseconds, long names, large numbers, xattrs (the SCHILY.xattr records that GNU tar, star and
 * libarchive share). Pure functions. */
#ifndef DECANT_TAR_H
#define DECANT_TAR_H

#include <stddef.h>
#include <stdint.h>

enum { TAR_BLOCK = 512, TAR_END = 1024 };

struct tar_member {
	char type;        /* '0' file, '1' hard link, '2' symbolic link, '5' directory */
	const char *path; /* a directory's ends in a slash */
	const char *link; /* target, or NULL */
	uint32_t mode, uid, gid;
	uint64_t size;
	int64_t mtime;
	uint32_t nsec;
	const unsigned char *xattrs; /* a set as in the index */
	uint32_t xattr_len;
};

/* Write the member's header blocks to OUT and return their size; OUT may be NULL to ask for the size. */
size_t tar_header(const struct tar_member *member, unsigned char *out);

/* SIZE, rounded up to whole blocks. */
uint64_t tar_padded(uint64_t size);

#endif
