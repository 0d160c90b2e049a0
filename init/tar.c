#include "tar.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "index.h"

/* Offsets and sizes in a ustar header block (pax(1), "ustar Header Block"). */
enum {
	NAME = 0,
	NAME_SIZE = 100,
	MODE = 100,
	UID = 108,
	GID = 116,
	SIZE = 124,
	MTIME = 136,
	CHECKSUM = 148,
	TYPE = 156,
	LINK = 157,
	LINK_SIZE = 100,
	MAGIC = 257,
	PREFIX = 345,
	PREFIX_SIZE = 155
};

#define UID_MAX_USTAR 07777777u
#define SIZE_MAX_USTAR UINT64_C(077777777777)

/* Bytes that go to OUT where there is one, and are counted where not. */
struct sink {
	unsigned char *out;
	size_t used;
};

static void put(struct sink *s, const void *bytes, size_t len)
{
	if (s->out && len)
		memcpy(s->out + s->used, bytes, len);
	s->used += len;
}

static void pad(struct sink *s)
{
	static const unsigned char zeros[TAR_BLOCK];
	put(s, zeros, (TAR_BLOCK - s->used % TAR_BLOCK) % TAR_BLOCK);
}

uint64_t tar_padded(uint64_t size)
{
	return (size + TAR_BLOCK - 1) / TAR_BLOCK * TAR_BLOCK;
}

/* One record "LENGTH KEY=VALUE\n", where LENGTH counts itself. */
static void put_record(struct sink *s, const char *key, size_t key_len, const void *value, size_t len)
{
	size_t rest = key_len + len + 3, total = rest + 1;
	char digits[24];

	while ((size_t)snprintf(digits, sizeof digits, "%zu", total) + rest > total)
		total++;
	put(s, digits, strlen(digits));
	put(s, " ", 1);
	put(s, key, key_len);
	put(s, "=", 1);
	put(s, value, len);
	put(s, "\n", 1);
}

static void put_text(struct sink *s, const char *key, const char *value)
{
	put_record(s, key, strlen(key), value, strlen(value));
}

static void put_number(struct sink *s, const char *key, uint64_t value)
{
	char text[24];
	snprintf(text, sizeof text, "%llu", (unsigned long long)value);
	put_text(s, key, text);
}

/* Seconds and a fraction: the time is the sum of both, so before 1970 the fraction runs the other way. */
static void put_time(struct sink *s, int64_t seconds, uint32_t nsec)
{
	char text[40];
	bool negative = seconds < 0;
	uint64_t whole = negative ? UINT64_C(0) - (uint64_t)seconds : (uint64_t)seconds;

	if (negative && nsec) {
		whole--;
		nsec = 1000000000 - nsec;
	}
	int n = snprintf(text, sizeof text, "%s%llu", negative ? "-" : "", (unsigned long long)whole);
	if (nsec)
		snprintf(text + n, sizeof text - (size_t)n, ".%09u", (unsigned)nsec);
	put_text(s, "mtime", text);
}

/* Where a path can be cut so that both parts fit name and prefix: the length of the prefix, 0 when it fits
 * the name alone, -1 when it does not fit at all. */
static int split(const char *path)
{
	size_t len = strlen(path);
	if (len <= NAME_SIZE)
		return 0;
	for (size_t i = len - NAME_SIZE - 1; i < len - 1 && i <= PREFIX_SIZE; i++)
		if (path[i] == '/' && i > 0)
			return (int)i;
	return -1;
}

static bool is_utf8(const char *s)
{
	/* Without the fine print: what is wrongly taken for UTF-8 only lacks a record that few programs read.
	 */
	for (const unsigned char *p = (const unsigned char *)s; *p;) {
		size_t n = *p < 0x80 ? 1 : *p < 0xc2 ? 0 : *p < 0xe0 ? 2 : *p < 0xf0 ? 3 : *p < 0xf5 ? 4 : 0;
		if (n == 0)
			return false;
		for (size_t i = 1; i < n; i++)
			if ((p[i] & 0xc0) != 0x80)
				return false;
		p += n;
	}
	return true;
}

/* The records of the extended header, if any are needed. */
static void put_records(struct sink *s, const struct tar_member *m)
{
	bool long_path = split(m->path) < 0, long_link = m->link && strlen(m->link) > LINK_SIZE;
	struct text set = {(const char *)m->xattrs, m->xattr_len};
	struct xattr x;

	if ((long_path && !is_utf8(m->path)) || (long_link && !is_utf8(m->link)))
		put_text(s, "hdrcharset", "BINARY");
	if (long_path)
		put_text(s, "path", m->path);
	if (long_link)
		put_text(s, "linkpath", m->link);
	if (m->size > SIZE_MAX_USTAR)
		put_number(s, "size", m->size);
	if (m->uid > UID_MAX_USTAR)
		put_number(s, "uid", m->uid);
	if (m->gid > UID_MAX_USTAR)
		put_number(s, "gid", m->gid);
	if (m->nsec || m->mtime < 0 || (uint64_t)m->mtime > SIZE_MAX_USTAR)
		put_time(s, m->mtime, m->nsec);
	while (xattr_next(&set, &x)) {
		char key[16 + NAME_LEN_MAX];
		int n = snprintf(key, sizeof key, "SCHILY.xattr.%.*s", (int)x.name.len, x.name.s);
		put_record(s, key, (size_t)n, x.value.s, x.value.len);
	}
}

static void octal(unsigned char *field, unsigned digits, uint64_t value)
{
	for (unsigned i = digits; i-- > 0; value >>= 3)
		field[i] = (unsigned char)('0' + (value & 7));
}

static void put_block(struct sink *s, const struct tar_member *m, const char *path)
{
	unsigned char block[TAR_BLOCK] = {0};
	int prefix = split(path);
	unsigned sum = 0;

	/* A path that does not fit stands in the extended header; its beginning here is for old programs. */
	if (prefix > 0)
		memcpy(block + PREFIX, path, (size_t)prefix);
	const char *name = prefix > 0 ? path + prefix + 1 : path;
	memcpy(block + NAME, name, strnlen(name, NAME_SIZE));
	octal(block + MODE, 7, m->mode);
	octal(block + UID, 7, m->uid <= UID_MAX_USTAR ? m->uid : 0);
	octal(block + GID, 7, m->gid <= UID_MAX_USTAR ? m->gid : 0);
	octal(block + SIZE, 11, m->size <= SIZE_MAX_USTAR ? m->size : 0);
	octal(block + MTIME, 11,
	      m->mtime >= 0 && (uint64_t)m->mtime <= SIZE_MAX_USTAR ? (uint64_t)m->mtime : 0);
	block[TYPE] = (unsigned char)m->type;
	if (m->link)
		memcpy(block + LINK, m->link, strnlen(m->link, LINK_SIZE));
	memcpy(block + MAGIC,
	       "ustar\0"
	       "00",
	       8);
	memset(block + CHECKSUM, ' ', 8);
	for (unsigned i = 0; i < TAR_BLOCK; i++)
		sum += block[i];
	octal(block + CHECKSUM, 6, sum);
	block[CHECKSUM + 6] = '\0';
	put(s, block, sizeof block);
}

size_t tar_header(const struct tar_member *m, unsigned char *out)
{
	struct sink records = {.out = NULL}, s = {.out = out};

	put_records(&records, m);
	if (records.used) {
		struct tar_member extended = {.type = 'x', .mode = 0644, .size = records.used};
		put_block(&s, &extended, "././@PaxHeader");
		put_records(&s, m);
		pad(&s);
	}
	put_block(&s, m, m->path);
	return s.used;
}
