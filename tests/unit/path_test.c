/* Names and destinations: tables of what must pass and what must not. */
#include <string.h>

#include "format.h"
#include "path.h"
#include "unit.h"

#define TEXT(s)                                                                                              \
	{                                                                                                    \
		s, sizeof s - 1                                                                              \
	}

struct text_case {
	const char *s;
	size_t len;
};

START_TEST(any_byte_but_slash_and_nul_makes_a_name)
{
	static const struct text_case good[] = {
	    TEXT("a"),         TEXT("..."),      TEXT(".hidden"), TEXT("..a"),        TEXT("a b"),
	    TEXT("new\nline"), TEXT("\xff\xfe"), TEXT("\x01"),    TEXT("-rf"),        TEXT("back\\slash"),
	    TEXT(" "),         TEXT("*"),        TEXT(".decant"), TEXT("caf\xc3\xa9")};
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
		ck_assert_msg(name_valid(good[i].s, good[i].len), "refused: %s", good[i].s);
}
END_TEST

START_TEST(what_is_no_component_is_no_name)
{
	static const struct text_case bad[] = {TEXT(""),     TEXT("."),   TEXT(".."),   TEXT("/"),
	                                       TEXT("a/b"),  TEXT("/a"),  TEXT("a/"),   TEXT("\0"),
	                                       TEXT("a\0b"), TEXT("a\0"), TEXT("../a"), TEXT("a/..")};
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		ck_assert_msg(!name_valid(bad[i].s, bad[i].len), "accepted: %s", bad[i].s);
}
END_TEST

START_TEST(a_name_has_255_bytes_and_no_more)
{
	char name[300];
	memset(name, 'n', sizeof name);
	ck_assert(name_valid(name, 255));
	ck_assert(!name_valid(name, 256));
	ck_assert(!name_valid(name, 300));
}
END_TEST

START_TEST(only_the_exact_name_is_reserved)
{
	ck_assert(name_reserved(".decant", 7));
	ck_assert(!name_reserved(".decan", 6));
	ck_assert(!name_reserved(".decant2", 8));
	ck_assert(!name_reserved(".decantx", 8));
	ck_assert(!name_reserved("decant", 6));
	ck_assert(!name_reserved("", 0));
}
END_TEST

START_TEST(a_destination_is_absolute_and_plain)
{
	static const struct text_case good[] = {TEXT("/a"), TEXT("/usr/share/nginx/html"), TEXT("/a/..."),
	                                        TEXT("/a b"), TEXT("/a/.b")};
	static const struct text_case bad[] = {TEXT(""),     TEXT("a"),     TEXT("./a"),    TEXT("/a/../b"),
	                                       TEXT("/.."),  TEXT("/a/.."), TEXT("/a/./b"), TEXT("/./a"),
	                                       TEXT("../a"), TEXT("/a\0b")};
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
		ck_assert_msg(dest_valid(good[i].s, good[i].len), "refused: %s", good[i].s);
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		ck_assert_msg(!dest_valid(bad[i].s, bad[i].len), "accepted: %s", bad[i].s);
}
END_TEST

START_TEST(a_destination_is_at_most_4095_bytes_long)
{
	static char path[5000];
	for (size_t i = 0; i < sizeof path; i += 2)
		memcpy(path + i, "/a", 2);
	ck_assert(dest_valid(path, 4094));
	ck_assert(!dest_valid(path, 4096));
}
END_TEST

START_TEST(names_sort_by_unsigned_bytes_a_prefix_first)
{
	ck_assert_int_lt(name_compare("a", 1, "b", 1), 0);
	ck_assert_int_gt(name_compare("b", 1, "a", 1), 0);
	ck_assert_int_eq(name_compare("ab", 2, "ab", 2), 0);
	ck_assert_int_lt(name_compare("a", 1, "ab", 2), 0);
	ck_assert_int_gt(name_compare("ab", 2, "a", 1), 0);
	ck_assert_int_lt(name_compare("a", 1, "\xff", 1), 0);
	ck_assert_int_lt(name_compare("A", 1, "a", 1), 0);
	ck_assert_int_lt(name_compare("a\n", 2, "a b", 3), 0);
}
END_TEST

START_TEST(what_is_escaped_fits_one_line)
{
	static const struct {
		const char *from, *to;
	} table[] = {{"plain", "plain"},
	             {"a b", "a b"},
	             {"new\nline", "new\\x0aline"},
	             {"back\\slash", "back\\\\slash"},
	             {"\xff", "\\xff"},
	             {"caf\xc3\xa9", "caf\xc3\xa9"},
	             {"\x1b[31m", "\\x1b[31m"},
	             {"\x7f", "\\x7f"},
	             {"\xc3", "\\xc3"},
	             {"\xc0\x80", "\\xc0\\x80"},
	             {"\xed\xa0\x80", "\\xed\\xa0\\x80"},
	             {"\xf0\x9f\xaa\xa3", "\xf0\x9f\xaa\xa3"},
	             {"\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"},
	             {"\t", "\\x09"},
	             {"", ""},
	             {"\xe2\x82", "\\xe2\\x82"}};
	char out[100];
	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
		ck_assert_ptr_eq(name_escape(out, sizeof out, table[i].from, strlen(table[i].from)), out);
		ck_assert_str_eq(out, table[i].to);
	}
	ck_assert_str_eq(name_escape(out, sizeof out, "a\0b", 3), "a\\x00b");
}
END_TEST

START_TEST(what_does_not_fit_is_cut_and_marked)
{
	char name[200], out[64];
	for (int kind = 0; kind < 3; kind++) {
		memset(name, kind == 0 ? 'a' : kind == 1 ? '\n' : '\\', sizeof name);
		for (size_t size = 5; size <= sizeof out; size++) {
			memset(out, '#', sizeof out);
			name_escape(out, size, name, sizeof name);
			size_t len = strnlen(out, size);
			ck_assert_uint_lt(len, size);
			ck_assert_str_eq(out + len - 3, "...");
			if (size < sizeof out)
				ck_assert_int_eq(out[size], '#');
		}
	}
	ck_assert_str_eq(name_escape(out, 6, "abcde", 5), "abcde");
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("path");
	tcase_add_test(tests, any_byte_but_slash_and_nul_makes_a_name);
	tcase_add_test(tests, what_is_no_component_is_no_name);
	tcase_add_test(tests, a_name_has_255_bytes_and_no_more);
	tcase_add_test(tests, only_the_exact_name_is_reserved);
	tcase_add_test(tests, a_destination_is_absolute_and_plain);
	tcase_add_test(tests, a_destination_is_at_most_4095_bytes_long);
	tcase_add_test(tests, names_sort_by_unsigned_bytes_a_prefix_first);
	tcase_add_test(tests, what_is_escaped_fits_one_line);
	tcase_add_test(tests, what_does_not_fit_is_cut_and_marked);
	return unit_run("path", tests);
}
