/* The tar headers: what ustar can say is said in ustar, the rest in pax records. */
#include <stdlib.h>
#include <string.h>

#include "tar.h"
#include "unit.h"

static unsigned char out[65536];

static size_t header(const struct tar_member *member)
{
	size_t size = tar_header(member, NULL);
	ck_assert_uint_le(size, sizeof out);
	memset(out, 0xaa, sizeof out);
	ck_assert_uint_eq(tar_header(member, out), size);
	ck_assert_uint_eq(size % TAR_BLOCK, 0);
	ck_assert_int_eq(out[size], 0xaa);
	return size;
}

static void check_sum(const unsigned char *block)
{
	unsigned long sum = 0;
	for (unsigned i = 0; i < TAR_BLOCK; i++)
		sum += i >= 148 && i < 156 ? ' ' : block[i];
	ck_assert_uint_eq(strtoul((const char *)block + 148, NULL, 8), sum);
	ck_assert_mem_eq(block + 257,
	                 "ustar\0"
	                 "00",
	                 8);
}

static bool has_record(size_t size, const char *record)
{
	return memmem(out, size, record, strlen(record)) != NULL;
}

START_TEST(a_plain_member_is_one_block)
{
	struct tar_member m = {.type = '0', .path = "a/b", .mode = 0644, .size = 1234, .mtime = 1700000000};
	ck_assert_uint_eq(header(&m), TAR_BLOCK);
	check_sum(out);
	ck_assert_str_eq((char *)out, "a/b");
	ck_assert_int_eq(out[156], '0');
	ck_assert_uint_eq(strtoul((char *)out + 124, NULL, 8), 1234);
	ck_assert_uint_eq(strtoul((char *)out + 136, NULL, 8), 1700000000);
}
END_TEST

START_TEST(eight_gibibytes_need_a_size_record)
{
	struct tar_member m = {
	    .type = '0', .path = "big", .mode = 0644, .size = (UINT64_C(8) << 30) - 1, .mtime = 1};
	ck_assert_uint_eq(header(&m), TAR_BLOCK);
	m.size = UINT64_C(8) << 30;
	size_t size = header(&m);
	ck_assert_uint_gt(size, TAR_BLOCK);
	ck_assert_int_eq(out[156], 'x');
	ck_assert(has_record(size, "19 size=8589934592\n"));
	check_sum(out);
	check_sum(out + size - TAR_BLOCK);
}
END_TEST

START_TEST(nanoseconds_and_times_before_1970_need_a_record)
{
	struct tar_member m = {.type = '0', .path = "a", .mtime = 5, .nsec = 1};
	ck_assert(has_record(header(&m), " mtime=5.000000001\n"));
	m.mtime = -2;
	m.nsec = 500000000;
	ck_assert(has_record(header(&m), " mtime=-1.5"));
	m.mtime = -1;
	m.nsec = 0;
	ck_assert(has_record(header(&m), " mtime=-1\n"));
	m.mtime = -1;
	m.nsec = 500000000;
	ck_assert(has_record(header(&m), " mtime=-0.5"));
	m.mtime = INT64_C(1) << 40;
	m.nsec = 0;
	ck_assert(has_record(header(&m), " mtime=1099511627776\n"));
}
END_TEST

START_TEST(large_owners_need_a_record)
{
	struct tar_member m = {.type = '5', .path = "a/", .uid = 2097151, .gid = 2097151, .mode = 0755};
	ck_assert_uint_eq(header(&m), TAR_BLOCK);
	m.uid = 4294967294u;
	ck_assert(has_record(header(&m), "18 uid=4294967294\n"));
}
END_TEST

START_TEST(long_paths_of_any_length_are_kept_whole)
{
	static char path[4097], record[4200];
	for (size_t len = 95; len <= 4095; len += len < 300 ? 1 : 97) {
		memset(path, 'p', len);
		path[len] = '\0';
		for (size_t i = 50; i < len - 1; i += 51)
			path[i] = '/';
		struct tar_member m = {.type = '0', .path = path, .mode = 0644};
		size_t size = header(&m);
		check_sum(out + size - TAR_BLOCK);
		if (size == TAR_BLOCK) {
			/* Split over the prefix and the name field, or in the name alone. */
			char prefix[156] = "", name[101] = "";
			memcpy(prefix, out + 345, 155);
			memcpy(name, out, 100);
			snprintf(record, sizeof record, "%s%s%s", prefix, *prefix ? "/" : "", name);
			ck_assert_str_eq(record, path);
		} else {
			snprintf(record, sizeof record, " path=%s\n", path);
			ck_assert(has_record(size, record));
			unsigned long n = strtoul((char *)out + TAR_BLOCK, NULL, 10);
			ck_assert_int_eq(out[TAR_BLOCK + n - 1], '\n');
		}
	}
}
END_TEST

START_TEST(long_link_targets_are_kept_whole)
{
	static char target[4000], record[4100];
	memset(target, 't', sizeof target - 1);
	struct tar_member m = {.type = '2', .path = "l", .link = target, .mode = 0777};
	target[100] = '\0';
	header(&m);
	target[100] = 't';
	snprintf(record, sizeof record, " linkpath=%s\n", target);
	ck_assert(has_record(header(&m), record));
}
END_TEST

START_TEST(sizes_are_padded_to_blocks)
{
	ck_assert_uint_eq(tar_padded(0), 0);
	ck_assert_uint_eq(tar_padded(1), 512);
	ck_assert_uint_eq(tar_padded(512), 512);
	ck_assert_uint_eq(tar_padded(513), 1024);
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("tar");
	tcase_add_test(tests, a_plain_member_is_one_block);
	tcase_add_test(tests, eight_gibibytes_need_a_size_record);
	tcase_add_test(tests, nanoseconds_and_times_before_1970_need_a_record);
	tcase_add_test(tests, large_owners_need_a_record);
	tcase_add_test(tests, long_paths_of_any_length_are_kept_whole);
	tcase_add_test(tests, long_link_targets_are_kept_whole);
	tcase_add_test(tests, sizes_are_padded_to_blocks);
	return unit_run("tar", tests);
}
