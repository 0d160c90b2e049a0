/* path.c - tests of init/path.h. */
#include "path.h"

#include "format.h"
#include "unit.h"

struct bytes {
	const char *s;
	size_t len;
};
#define BYTES(literal)                                                                                       \
	{                                                                                                    \
		literal, sizeof(literal) - 1                                                                 \
	}

/* A run of LEN bytes C. */
static const char *run_of(char c, size_t len)
{
	static char run[8192];
	memset(run, c, len);
	run[len] = '\0';
	return run;
}

START_TEST(names_that_a_directory_can_hold_are_valid)
{
	static const struct bytes names[] = {
	    BYTES("a"),       BYTES("..."),  BYTES(".a"),       BYTES("..a"),      BYTES("a."),
	    BYTES("a.."),     BYTES(". "),   BYTES(" "),        BYTES("-"),        BYTES("*"),
	    BYTES("\\"),      BYTES("a\nb"), BYTES("\x01\x7f"), BYTES("\xff\xfe"), BYTES("\xc3\xa9"),
	    BYTES(".decant"), BYTES("a:b"),  BYTES("\r"),       BYTES("~"),        BYTES("a b"),
	};
	for (size_t i = 0; i < COUNT_OF(names); i++)
		ck_assert_msg(name_valid(names[i].s, names[i].len), "name %zu: %s", i, names[i].s);
	ck_assert(name_valid(run_of('a', 255), 255));
	ck_assert(name_valid(run_of('.', 3), 3));
	ck_assert(name_valid("ab", 1));
	ck_assert(name_valid("a/", 1));
	ck_assert(name_valid("..", 1) == false);
}
END_TEST

START_TEST(names_that_lead_elsewhere_are_not_valid)
{
	static const struct bytes names[] = {
	    BYTES(""),    BYTES("."),    BYTES(".."), BYTES("/"),   BYTES("a/"),   BYTES("/a"),
	    BYTES("a/b"), BYTES("../a"), BYTES("\0"), BYTES("a\0"), BYTES("a\0b"), BYTES("\0a"),
	};
	for (size_t i = 0; i < COUNT_OF(names); i++)
		ck_assert_msg(!name_valid(names[i].s, names[i].len), "name %zu: %s", i, names[i].s);
	ck_assert(!name_valid(run_of('a', 256), 256));
	ck_assert(!name_valid(run_of('a', 4095), 4095));
	ck_assert(!name_valid(run_of('a', 5000), 5000));
}
END_TEST

START_TEST(names_that_others_keep_at_the_root_are_reserved)
{
	ck_assert(name_reserved(".decant", 7));
	ck_assert(name_reserved("lost+found", 10));
	ck_assert(!name_reserved(".decant", 6));
	ck_assert(!name_reserved(".decants", 8));
	ck_assert(!name_reserved(".decant\0", 8));
	ck_assert(!name_reserved("decant", 6));
	ck_assert(!name_reserved(".Decant", 7));
	ck_assert(!name_reserved("lost+foun", 9));
	ck_assert(!name_reserved("", 0));
}
END_TEST

START_TEST(absolute_paths_without_dots_are_destinations)
{
	static const char *const paths[] = {"/",    "/a",  "/a/b", "/a/",  "//a",       "/a//b",
	                                    "/...", "/.a", "/a.",  "/..a", "/a b/\xff", "///"};
	for (size_t i = 0; i < COUNT_OF(paths); i++)
		ck_assert_msg(dest_valid(paths[i], strlen(paths[i])), "%s", paths[i]);

	char path[PATH_LEN_MAX + 2];
	for (size_t i = 0; i < sizeof path; i++)
		path[i] = i % 200 == 0 ? '/' : 'a';
	ck_assert(dest_valid(path, PATH_LEN_MAX));
	ck_assert(!dest_valid(path, PATH_LEN_MAX + 1));
	path[0] = '/';
	memset(path + 1, 'b', 256);
	ck_assert(dest_valid(path, 1 + 255));
	ck_assert(!dest_valid(path, 1 + 256));
}
END_TEST

START_TEST(other_paths_are_no_destinations)
{
	static const struct bytes paths[] = {
	    BYTES(""),     BYTES("a"),     BYTES("a/b"),    BYTES("."),       BYTES("./a"),
	    BYTES(".."),   BYTES("/."),    BYTES("/.."),    BYTES("/a/."),    BYTES("/a/.."),
	    BYTES("/./a"), BYTES("/../a"), BYTES("/a/./b"), BYTES("/a/../b"), BYTES("/a/../"),
	    BYTES("//.."), BYTES("/a\0b"), BYTES("/\0"),
	};
	for (size_t i = 0; i < COUNT_OF(paths); i++)
		ck_assert_msg(!dest_valid(paths[i].s, paths[i].len), "path %zu: %s", i, paths[i].s);
}
END_TEST

START_TEST(names_are_ordered_by_unsigned_bytes_and_a_prefix_comes_first)
{
	static const struct bytes names[] = {
	    BYTES(""),         BYTES("\x01"),  BYTES("-"),        BYTES("A"),    BYTES("A\xff"),
	    BYTES("a"),        BYTES("a\x01"), BYTES("a-"),       BYTES("a.b"),  BYTES("aa"),
	    BYTES("aaaa"),     BYTES("ab"),    BYTES("b"),        BYTES("\x7f"), BYTES("\x80"),
	    BYTES("\xc3\xa9"), BYTES("\xff"),  BYTES("\xff\xff"),
	};
	for (size_t i = 0; i < COUNT_OF(names); i++)
		for (size_t j = 0; j < COUNT_OF(names); j++) {
			int order = name_compare(names[i].s, names[i].len, names[j].s, names[j].len);
			ck_assert_msg((order > 0) - (order < 0) == (i > j) - (i < j), "%zu and %zu: %d", i, j,
			              order);
		}
}
END_TEST

static const char *escape(const char *name, size_t len)
{
	static char out[1024];
	return name_escape(out, sizeof out, name, len);
}

START_TEST(a_name_is_made_fit_for_one_line_of_a_terminal)
{
	static const struct {
		struct bytes name;
		const char *escaped;
	} rows[] = {
	    {BYTES(""), ""},
	    {BYTES("plain name.txt"), "plain name.txt"},
	    {BYTES("'single' \"double\" `back` $x"), "'single' \"double\" `back` $x"},
	    {BYTES("a\\b"), "a\\\\b"},
	    {BYTES("a\\x41"), "a\\\\x41"},
	    {BYTES("a\nb\r\t"), "a\\x0ab\\x0d\\x09"},
	    {BYTES("\x1b[31m"), "\\x1b[31m"},
	    {BYTES("\x7f"), "\\x7f"},
	    {BYTES("a\0b"), "a\\x00b"},
	    /* UTF-8 of two, three and four bytes stays, */
	    {BYTES("caf\xc3\xa9"), "caf\xc3\xa9"},
	    {BYTES("\xe2\x82\xac"), "\xe2\x82\xac"},
	    {BYTES("\xf0\x9f\x98\x80"), "\xf0\x9f\x98\x80"},
	    {BYTES("\xc2\xa0\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf\xf0\x90\x80\x80\xf4\x8f\xbf\xbf"),
	     "\xc2\xa0\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf\xf0\x90\x80\x80\xf4\x8f\xbf\xbf"},
	    {BYTES("\xed\x9f\xbf\xee\x80\x80"), "\xed\x9f\xbf\xee\x80\x80"},
	    /* but not the control characters U+0080 to U+009F, */
	    {BYTES("\xc2\x80\xc2\x9b"), "\\xc2\\x80\\xc2\\x9b"},
	    {BYTES("\xc2\x9f"), "\\xc2\\x9f"},
	    /* lone and missing continuations, */
	    {BYTES("\x80"), "\\x80"},
	    {BYTES("a\xbfz"), "a\\xbfz"},
	    {BYTES("\xc3"), "\\xc3"},
	    {BYTES("\xc3z"), "\\xc3z"},
	    {BYTES("\xe2\x82"), "\\xe2\\x82"},
	    {BYTES("\xe2\x82z"), "\\xe2\\x82z"},
	    {BYTES("\xf0\x9f\x98"), "\\xf0\\x9f\\x98"},
	    {BYTES("\xc3\xc3\xa9"), "\\xc3\xc3\xa9"},
	    /* overlong forms, surrogates, numbers over U+10FFFF, bytes that UTF-8 does not have. */
	    {BYTES("\xc0\xaf"), "\\xc0\\xaf"},
	    {BYTES("\xc1\xbf"), "\\xc1\\xbf"},
	    {BYTES("\xe0\x80\xaf"), "\\xe0\\x80\\xaf"},
	    {BYTES("\xe0\x9f\xbf"), "\\xe0\\x9f\\xbf"},
	    {BYTES("\xf0\x8f\xbf\xbf"), "\\xf0\\x8f\\xbf\\xbf"},
	    {BYTES("\xed\xa0\x80"), "\\xed\\xa0\\x80"},
	    {BYTES("\xed\xbf\xbf"), "\\xed\\xbf\\xbf"},
	    {BYTES("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80"},
	    {BYTES("\xf5\x80\x80\x80"), "\\xf5\\x80\\x80\\x80"},
	    {BYTES("\xfe\xff"), "\\xfe\\xff"},
	};
	for (size_t i = 0; i < COUNT_OF(rows); i++)
		ck_assert_str_eq(escape(rows[i].name.s, rows[i].name.len), rows[i].escaped);
}
END_TEST

START_TEST(a_name_is_read_only_up_to_its_length)
{
	/* A sequence that only bytes behind the name complete. */
	ck_assert_str_eq(escape("a\xc3\xa9", 2), "a\\xc3");
	ck_assert_str_eq(escape("\xf0\x9f\x98\x80", 3), "\\xf0\\x9f\\x98");
	ck_assert_str_eq(escape("abc", 2), "ab");
}
END_TEST

/* OUT is what WHOLE, cut at a character or not at all, looks like in SIZE bytes. */
static void check_cut(const char *out, const char *whole, size_t size)
{
	size_t len = strlen(out), whole_len = strlen(whole);

	ck_assert_msg(len < size, "%zu bytes in %zu: %s", len, size, out);
	if (strcmp(out, whole) == 0)
		return;
	ck_assert_msg(len >= 3 && strcmp(out + len - 3, "...") == 0, "no mark: %s", out);
	ck_assert_msg(memcmp(out, whole, len - 3) == 0, "%s does not begin %s", out, whole);
	/* Nothing is cut that fits with room for a mark to spare, */
	ck_assert_msg(whole_len + 4 > size, "%s is cut in %zu bytes", whole, size);
	/* and of what is cut no more than one character and the mark's own room. */
	ck_assert_msg(len + 4 >= size - 4, "only %zu bytes of %zu used: %s", len, size, out);
}

START_TEST(a_name_that_is_too_long_is_cut_between_characters_and_marked)
{
	static const struct bytes names[] = {
	    BYTES("abcdefghijklmnopqrstuvwxyz"),
	    BYTES("\n\n\n\n\n\n\n\n"),
	    BYTES("\\\\\\\\\\\\\\\\\\\\\\\\\\"),
	    BYTES("\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9"),
	    BYTES("\xf0\x9f\x98\x80\xf0\x9f\x98\x80\xf0\x9f\x98\x80\xf0\x9f\x98\x80"),
	    BYTES("ab\xffg\n\xe2\x82\xac\\z\xc2\x9bq"),
	    BYTES("a"),
	    BYTES("")};

	for (size_t i = 0; i < COUNT_OF(names); i++)
		for (size_t size = 5; size < 64; size++) {
			char *out = malloc(size), whole[256];
			ck_assert_ptr_nonnull(out);
			name_escape(whole, sizeof whole, names[i].s, names[i].len);
			ck_assert_ptr_eq(name_escape(out, size, names[i].s, names[i].len), out);
			check_cut(out, whole, size);
			/* Nothing of an escape or a sequence remains half. */
			size_t len = strlen(out);
			if (strcmp(out, whole) != 0) {
				char again[64];
				size_t kept = 0, at = 0;
				while (at < len - 3) {
					name_escape(again, sizeof again, names[i].s, ++kept);
					at = strlen(again);
					ck_assert_uint_le(kept, names[i].len);
				}
				for (; kept <= names[i].len; kept++) {
					name_escape(again, sizeof again, names[i].s, kept);
					if (strncmp(again, out, len - 3) == 0 && strlen(again) == len - 3)
						break;
				}
				ck_assert_msg(len == 3 || kept <= names[i].len, "half a character: %s", out);
			}
			free(out);
		}
}
END_TEST

START_TEST(a_short_buffer_holds_the_end_of_a_name_without_a_mark)
{
	char out[8];
	ck_assert_str_eq(name_escape(out, 5, "a", 1), "a");
	ck_assert_str_eq(name_escape(out, 5, "abcdefgh", 8), "a...");
	ck_assert_str_eq(name_escape(out, 7, "\n\n", 2), "...");
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
	    names_that_a_directory_can_hold_are_valid,
	    names_that_lead_elsewhere_are_not_valid,
	    names_that_others_keep_at_the_root_are_reserved,
	    absolute_paths_without_dots_are_destinations,
	    other_paths_are_no_destinations,
	    names_are_ordered_by_unsigned_bytes_and_a_prefix_comes_first,
	    a_name_is_made_fit_for_one_line_of_a_terminal,
	    a_name_is_read_only_up_to_its_length,
	    a_name_that_is_too_long_is_cut_between_characters_and_marked,
	    a_short_buffer_holds_the_end_of_a_name_without_a_mark,
	    NULL,
	};
	return unit_main("path", tests);
}
