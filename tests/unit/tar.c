/* tar.c - tests of init/tar.h, against what pax(1) says of headers. */
#include "tar.h"

#include <stdbool.h>

#include "unit.h"

/* A member's header, taken apart. */
struct parsed {
	unsigned char *bytes;
	size_t size;
	const unsigned char *head;          /* the last block: the member's own */
	const unsigned char *records, *end; /* of the extended header; equal when there is none */
};

static uint64_t octal_field(const unsigned char *field, size_t digits)
{
	uint64_t value = 0;
	for (size_t i = 0; i < digits; i++) {
		must(field[i] >= '0' && field[i] <= '7');
		value = value * 8 + (uint64_t)(field[i] - '0');
	}
	return value;
}

/* What is the same in every header block. */
static void check_block(const unsigned char *block)
{
	unsigned sum = 0;
	for (unsigned i = 0; i < TAR_BLOCK; i++)
		sum += i >= 148 && i < 156 ? ' ' : block[i];
	must(octal_field(block + 148, 6) == sum);
	ck_assert_mem_eq(block + 154, "\0 ", 2);
	ck_assert_mem_eq(block + 257,
	                 "ustar\0"
	                 "00",
	                 8);
	static const unsigned ends[] = {107, 115, 123, 135, 147};
	for (size_t i = 0; i < COUNT_OF(ends); i++)
		must(block[ends[i]] == 0);
	for (unsigned i = 265; i < 345; i++) /* uname, gname, devmajor, devminor */
		must(block[i] == 0);
	for (unsigned i = 500; i < 512; i++)
		must(block[i] == 0);
}

/* Each record's length must lead to the next one, and the last one's to the end. */
static void check_records(const struct parsed *p)
{
	const unsigned char *at = p->records;
	while (at < p->end) {
		size_t len = 0;
		const unsigned char *digit = at;
		for (; digit < p->end && *digit >= '0' && *digit <= '9'; digit++)
			len = len * 10 + (size_t)(*digit - '0');
		must(digit > at && *at != '0' && *digit == ' ');
		must(len <= (size_t)(p->end - at));
		must(len > (size_t)(digit - at) + 3);
		must(at[len - 1] == '\n');
		must(memchr(digit, '=', (size_t)(at + len - digit)));
		at += len;
	}
	must(at == p->end);
}

static struct parsed parse(const struct tar_member *member)
{
	struct parsed p = {.size = tar_header(member, NULL)};

	must(p.size > 0);
	must(p.size % TAR_BLOCK == 0);
	p.bytes = malloc(p.size);
	must(p.bytes);
	memset(p.bytes, 0xee, p.size);
	must(tar_header(member, p.bytes) == p.size);
	p.head = p.bytes + p.size - TAR_BLOCK;
	check_block(p.head);
	must(p.head[156] == (unsigned char)member->type);
	if (p.size == TAR_BLOCK)
		return p;
	check_block(p.bytes);
	must(p.bytes[156] == 'x');
	uint64_t size = octal_field(p.bytes + 124, 11);
	must(size > 0);
	must(p.size == 2 * TAR_BLOCK + tar_padded(size));
	p.records = p.bytes + TAR_BLOCK;
	p.end = p.records + size;
	for (const unsigned char *pad = p.end; pad < p.head; pad++)
		must(*pad == 0);
	check_records(&p);
	return p;
}

/* How many records have KEY; the value of the last of them to VALUE, LEN. */
static unsigned find(const struct parsed *p, const char *key, const unsigned char **value, size_t *len)
{
	unsigned count = 0;
	size_t size;
	for (const unsigned char *at = p->records; at < p->end; at += size) {
		size = strtoul((const char *)at, NULL, 10);
		const unsigned char *name = (const unsigned char *)memchr(at, ' ', size) + 1;
		const unsigned char *equals = memchr(name, '=', (size_t)(at + size - name));
		if ((size_t)(equals - name) == strlen(key) && memcmp(name, key, strlen(key)) == 0) {
			count++;
			*value = equals + 1;
			*len = (size_t)(at + size - 1 - *value);
		}
	}
	return count;
}

/* KEY has this value, or, where EXPECTED is NULL, is not there. */
static void check_record(const struct parsed *p, const char *key, const char *expected)
{
	const unsigned char *value = NULL;
	size_t len = 0;
	unsigned count = find(p, key, &value, &len);

	ck_assert_msg(count == (expected != NULL), "%u records %s", count, key);
	if (expected)
		ck_assert_msg(len == strlen(expected) && memcmp(value, expected, len) == 0, "%s=%.*s, not %s",
		              key, (int)len, (const char *)value, expected);
}

static const struct tar_member plain = {
    .type = '0', .path = "a", .mode = 0644, .uid = 7, .gid = 8, .mtime = 9};

START_TEST(a_simple_member_is_one_plain_block)
{
	struct tar_member m = plain;
	m.size = 1234567;
	struct parsed p = parse(&m);

	ck_assert_uint_eq(p.size, TAR_BLOCK);
	ck_assert_str_eq((const char *)p.head, "a");
	ck_assert_uint_eq(octal_field(p.head + 100, 7), 0644);
	ck_assert_uint_eq(octal_field(p.head + 108, 7), 7);
	ck_assert_uint_eq(octal_field(p.head + 116, 7), 8);
	ck_assert_uint_eq(octal_field(p.head + 124, 11), 1234567);
	ck_assert_uint_eq(octal_field(p.head + 136, 11), 9);
	for (unsigned i = 157; i < 257; i++)
		ck_assert_uint_eq(p.head[i], 0);
	for (unsigned i = 345; i < 500; i++)
		ck_assert_uint_eq(p.head[i], 0);
	free(p.bytes);
}
END_TEST

START_TEST(types_and_modes_stand_as_given)
{
	static const char types[] = "0125";
	static const uint32_t modes[] = {0, 0777, 07777, 04755, 01777};
	for (size_t i = 0; i + 1 < sizeof types; i++)
		for (size_t j = 0; j < COUNT_OF(modes); j++) {
			struct tar_member m = plain;
			m.type = types[i];
			m.mode = modes[j];
			m.link = types[i] == '1' || types[i] == '2' ? "to" : NULL;
			struct parsed p = parse(&m);
			ck_assert_uint_eq(octal_field(p.head + 100, 7), modes[j]);
			ck_assert_str_eq((const char *)p.head + 157, m.link ? "to" : "");
			free(p.bytes);
		}
}
END_TEST

/* A path with slashes at the given places (0: none). */
static const char *path_of(size_t len, size_t slash, size_t second)
{
	static char path[8192];
	memset(path, 'p', len);
	path[len] = '\0';
	if (slash)
		path[slash] = '/';
	if (second)
		path[second] = '/';
	return path;
}

START_TEST(a_path_fits_the_name_the_prefix_or_a_record)
{
	static const struct {
		size_t len, slash, second;
		int cut; /* the slash that divides; 0: name alone, -1: record */
	} rows[] = {
	    {1, 0, 0, 0},       {99, 0, 0, 0},       {100, 0, 0, 0},        {100, 50, 0, 0},
	    {101, 0, 0, -1},    {101, 1, 0, 1},      {101, 50, 0, 50},      {101, 99, 0, 99},
	    {101, 100, 0, -1},  {102, 1, 0, 1},      {103, 1, 0, -1},       {103, 2, 0, 2},
	    {155, 54, 0, 54},   {155, 53, 0, -1},    {155, 154, 0, -1},     {156, 155, 0, -1},
	    {157, 155, 0, 155}, {200, 155, 0, 155},  {200, 156, 0, -1},     {255, 155, 0, 155},
	    {256, 155, 0, 155}, {256, 154, 0, -1},   {256, 156, 0, -1},     {257, 156, 0, -1},
	    {257, 155, 0, -1},  {200, 10, 120, 120}, {200, 99, 120, 99},    {200, 110, 199, 110},
	    {200, 98, 156, -1}, {101, 50, 100, 50},  {4095, 155, 4000, -1},
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct tar_member m = plain;
		m.path = path_of(rows[i].len, rows[i].slash, rows[i].second);
		struct parsed p = parse(&m);
		size_t cut = rows[i].cut > 0 ? (size_t)rows[i].cut : 0;
		char name[101], prefix[156];
		snprintf(name, sizeof name, "%.100s", (const char *)p.head);
		snprintf(prefix, sizeof prefix, "%.155s", (const char *)p.head + 345);
		check_record(&p, "path", rows[i].cut < 0 ? m.path : NULL);
		if (rows[i].cut < 0) {
			ck_assert_uint_eq(strlen(prefix), 0);
			ck_assert_uint_eq(strlen(name), 100);
			ck_assert_mem_eq(name, m.path, 100);
		} else {
			ck_assert_msg(strlen(prefix) == cut, "row %zu is cut at %zu", i, strlen(prefix));
			ck_assert_mem_eq(prefix, m.path, cut);
			ck_assert_str_eq(name, m.path + cut + (cut > 0));
			ck_assert_uint_eq(p.size, TAR_BLOCK);
		}
		free(p.bytes);
	}
}
END_TEST

START_TEST(a_leading_slash_is_no_place_to_cut)
{
	/* The prefix would be empty, and the name without the slash. */
	char path[102];
	memset(path, 'p', 101);
	path[0] = '/';
	path[101] = '\0';
	struct tar_member m = plain;
	m.path = path;
	struct parsed p = parse(&m);
	check_record(&p, "path", path);
	free(p.bytes);
}
END_TEST

START_TEST(a_link_target_has_a_hundred_bytes_or_a_record)
{
	static const size_t lens[] = {1, 99, 100, 101, 256, 4095};
	for (size_t i = 0; i < COUNT_OF(lens); i++) {
		struct tar_member m = plain;
		char link[101];
		m.type = '2';
		m.link = path_of(lens[i], 0, 0);
		struct parsed p = parse(&m);
		snprintf(link, sizeof link, "%.100s", (const char *)p.head + 157);
		check_record(&p, "linkpath", lens[i] > 100 ? m.link : NULL);
		check_record(&p, "path", NULL);
		ck_assert_uint_eq(strlen(link), lens[i] < 100 ? lens[i] : 100);
		free(p.bytes);
	}
}
END_TEST

START_TEST(a_record_counts_its_own_digits)
{
	/* Lengths of 9 to 10 cannot be had with a path; 99 and 100, 999 and 1000 are passed here. */
	unsigned seen99 = 0, seen100 = 0, seen101 = 0, seen999 = 0;
	unsigned char set[8192];

	for (uint32_t len = 0; len < 4000; len++) {
		struct tar_member m = plain;
		memcpy(set, "\x06user.a", 7);
		memcpy(set + 7, &len, 4);
		memset(set + 11, 'v', len);
		m.xattrs = set;
		m.xattr_len = 11 + len;
		struct parsed p = parse(&m);
		const unsigned char *value;
		size_t found;
		must(find(&p, "SCHILY.xattr.user.a", &value, &found) == 1);
		must(found == len);
		size_t size = (size_t)(p.end - p.records);
		must(size == strtoul((const char *)p.records, NULL, 10));
		seen99 += size == 99;
		seen100 += size == 100;
		seen101 += size == 101;
		seen999 += size == 999;
		free(p.bytes);
	}
	/* "99 ..." is the longest with two digits; one byte more takes a third digit, too. */
	must(seen99 == 1);
	must(seen100 == 0);
	must(seen101 == 1);
	must(seen999 == 1);
}
END_TEST

START_TEST(times_that_ustar_cannot_say_have_a_record)
{
	static const struct {
		int64_t seconds;
		uint32_t nsec;
		const char *record;
		uint64_t field;
	} rows[] = {
	    {0, 0, NULL, 0},
	    {1700000000, 0, NULL, 1700000000},
	    {077777777777, 0, NULL, 077777777777},
	    {0100000000000, 0, "8589934592", 0},
	    {INT64_MAX, 0, "9223372036854775807", 0},
	    {INT64_MAX, 999999999, "9223372036854775807.999999999", 0},
	    {0, 1, "0.000000001", 0},
	    {1700000000, 5000, "1700000000.000005000", 1700000000},
	    {1700000000, 999999999, "1700000000.999999999", 1700000000},
	    {-1, 0, "-1", 0},
	    {-1, 999999999, "-0.000000001", 0},
	    {-1, 500000000, "-0.500000000", 0},
	    {-1, 1, "-0.999999999", 0},
	    {-2, 750000000, "-1.250000000", 0},
	    {-86400, 0, "-86400", 0},
	    {INT64_MIN, 0, "-9223372036854775808", 0},
	    {INT64_MIN, 1, "-9223372036854775807.999999999", 0},
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct tar_member m = plain;
		m.mtime = rows[i].seconds;
		m.nsec = rows[i].nsec;
		struct parsed p = parse(&m);
		check_record(&p, "mtime", rows[i].record);
		ck_assert_uint_eq(octal_field(p.head + 136, 11), rows[i].field);
		free(p.bytes);
	}
}
END_TEST

START_TEST(numbers_that_do_not_fit_their_field_have_a_record)
{
	static const struct {
		uint64_t number;
		const char *id, *size;
	} rows[] = {
	    {0, NULL, NULL},
	    {07777777, NULL, NULL},
	    {010000000, "2097152", NULL},
	    {UINT32_MAX - 1, "4294967294", NULL},
	    {077777777777, NULL, NULL},
	    {0100000000000, NULL, "8589934592"},
	    {INT64_MAX, NULL, "9223372036854775807"},
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct tar_member m = plain;
		m.size = rows[i].number;
		struct parsed p = parse(&m);
		check_record(&p, "size", rows[i].size);
		ck_assert_uint_eq(octal_field(p.head + 124, 11), rows[i].size ? 0 : rows[i].number);
		free(p.bytes);
		if (rows[i].number > UINT32_MAX)
			continue;
		for (int group = 0; group < 2; group++) {
			m = plain;
			*(group ? &m.gid : &m.uid) = (uint32_t)rows[i].number;
			p = parse(&m);
			check_record(&p, group ? "gid" : "uid", rows[i].id);
			check_record(&p, group ? "uid" : "gid", NULL);
			ck_assert_uint_eq(octal_field(p.head + (group ? 116 : 108), 7),
			                  rows[i].id ? 0 : rows[i].number);
			free(p.bytes);
		}
	}
}
END_TEST

START_TEST(xattrs_stand_in_their_order_with_any_bytes_in_their_values)
{
	static const unsigned char set[] = "\x06user.a\x05\0\0\0a\n\0=\xff"
	                                   "\x06user.b\0\0\0\0"
	                                   "\x13security.capability\x02\0\0\0\1\2";
	struct tar_member m = plain;
	m.xattrs = set;
	m.xattr_len = sizeof set - 1;
	struct parsed p = parse(&m);
	const unsigned char *a, *b, *c;
	size_t len;

	ck_assert_uint_eq(find(&p, "SCHILY.xattr.user.a", &a, &len), 1);
	ck_assert_uint_eq(len, 5);
	ck_assert_mem_eq(a, "a\n\0=\xff", 5);
	ck_assert_uint_eq(find(&p, "SCHILY.xattr.user.b", &b, &len), 1);
	ck_assert_uint_eq(len, 0);
	ck_assert_uint_eq(find(&p, "SCHILY.xattr.security.capability", &c, &len), 1);
	ck_assert_uint_eq(len, 2);
	ck_assert(a < b && b < c);
	free(p.bytes);
}
END_TEST

START_TEST(a_record_that_is_no_utf8_is_announced_as_binary)
{
	static const struct {
		const char *end; /* of a path that is too long without it */
		bool binary;
	} rows[] = {{"x", false},   {"\xc3\xa9", false}, {"\xf0\x9f\x98\x80", false},
	            {"\xff", true}, {"\xc3", true},      {"\xc3x", true},
	            {"\x80", true}, {"\xe2\x82", true}};
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct tar_member m = plain;
		char path[200];
		snprintf(path, sizeof path, "%.120s%s", path_of(120, 0, 0), rows[i].end);
		m.path = path;
		struct parsed p = parse(&m);
		check_record(&p, "hdrcharset", rows[i].binary ? "BINARY" : NULL);
		check_record(&p, "path", path);
		/* It must stand before what it speaks of. */
		if (rows[i].binary)
			ck_assert_mem_eq(p.records, "21 hdrcharset=BINARY\n", 21);
		free(p.bytes);

		m = plain;
		m.type = '2';
		m.link = path;
		p = parse(&m);
		check_record(&p, "hdrcharset", rows[i].binary ? "BINARY" : NULL);
		check_record(&p, "linkpath", path);
		free(p.bytes);

		m = plain;
		m.path = m.link = rows[i].end;
		p = parse(&m);
		ck_assert_uint_eq(p.size, TAR_BLOCK);
		free(p.bytes);
	}
}
END_TEST

START_TEST(sizes_are_padded_to_whole_blocks)
{
	ck_assert_uint_eq(tar_padded(0), 0);
	ck_assert_uint_eq(tar_padded(1), 512);
	ck_assert_uint_eq(tar_padded(511), 512);
	ck_assert_uint_eq(tar_padded(512), 512);
	ck_assert_uint_eq(tar_padded(513), 1024);
	ck_assert_uint_eq(tar_padded(UINT64_C(1) << 40), UINT64_C(1) << 40);
	ck_assert_uint_eq(tar_padded((UINT64_C(1) << 40) + 1), (UINT64_C(1) << 40) + 512);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
	    a_simple_member_is_one_plain_block,
	    types_and_modes_stand_as_given,
	    a_path_fits_the_name_the_prefix_or_a_record,
	    a_leading_slash_is_no_place_to_cut,
	    a_link_target_has_a_hundred_bytes_or_a_record,
	    a_record_counts_its_own_digits,
	    times_that_ustar_cannot_say_have_a_record,
	    numbers_that_do_not_fit_their_field_have_a_record,
	    xattrs_stand_in_their_order_with_any_bytes_in_their_values,
	    a_record_that_is_no_utf8_is_announced_as_binary,
	    sizes_are_padded_to_whole_blocks,
	    NULL,
	};
	return unit_main("tar", tests);
}
