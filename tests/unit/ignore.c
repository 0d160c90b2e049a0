/* ignore.c - tests of init/ignore.h. */
#include "ignore.h"

#include <time.h>

#include "format.h"
#include "unit.h"

struct row {
	const char *patterns; /* lines */
	const char *path;
	bool ignored;
};

static void check_row(const struct row *row)
{
	struct ignore ignore = {0};
	unsigned line = 0;
	const char *wrong = ignore_add_text(&ignore, row->patterns, strlen(row->patterns), &line);

	ck_assert_msg(!wrong, "\"%s\", line %u: %s", row->patterns, line, wrong);
	ck_assert_msg(ignore_matches(&ignore, row->path, strlen(row->path)) == row->ignored, "\"%s\" %s %s",
	              row->patterns, row->ignored ? "should match" : "should not match", row->path);
	ignore_free(&ignore);
}

static void check_rows(const struct row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++)
		check_row(&rows[i]);
}

START_TEST(a_pattern_matches_the_whole_path_from_the_root)
{
	static const struct row rows[] = {
	    {"a", "a", true},
	    {"a", "b", false},
	    {"a", "ab", false},
	    {"ab", "a", false},
	    {"a", "x/a", false},
	    {"a/b", "a/b", true},
	    {"a/b", "a/c", false},
	    {"a/b", "a", false},
	    {"a/b", "a/bc", false},
	    {"b", "a/b", false},
	    {"", "a", false},
	    {"a.b", "axb", false},
	    {"a+(b)|c$", "a+(b)|c$", true},
	    {"a{b,c}", "ab", false},
	    {"A", "a", false},
	    {"\xc3\xa9", "\xc3\xa9", true},
	};
	check_rows(rows, COUNT_OF(rows));
}
END_TEST

START_TEST(what_holds_for_a_directory_holds_for_all_below_it)
{
	static const struct row rows[] = {
	    {"a", "a/b", true},      {"a", "a/b/c/d", true},  {"a/b", "a/b/c", true}, {"a", "ab/c", false},
	    {"*", "a/b/c", true},    {"a*", "ax/b", true},    {"a/*", "a/b/c", true}, {"*/b", "a/b/c", true},
	    {"*/b", "a/c/b", false}, {"**/b", "a/b/c", true},
	};
	check_rows(rows, COUNT_OF(rows));
}
END_TEST

START_TEST(a_star_matches_within_one_component)
{
	static const struct row rows[] = {
	    {"*.md", "README.md", true},
	    {"*.md", ".md", true},
	    {"*.md", "a/README.md", false},
	    {"*.md", "README.mdx", false},
	    {"*.md", "amd", false},
	    {"*", "a", true},
	    {"a*c", "ac", true},
	    {"a*c", "abbbc", true},
	    {"a*c", "a/c", false},
	    {"a*b*c", "aXbYbc", true},
	    {"a*b*c", "aXbYbd", false},
	    {"*/*.md", "a/x.md", true},
	    {"*/*.md", "x.md", false},
	    {"*/*.md", "a/b/x.md", false},
	    {"a/*/c", "a/b/c", true},
	    {"a/*/c", "a/c", false},
	    {"a/*/c", "a/b/b/c", false},
	    {"*a", "ba", true},
	    {"*a", "ab", false},
	    {"a*", "a", true},
	    {".*", ".git", true},
	    {".*", "git", false},
	};
	check_rows(rows, COUNT_OF(rows));
}
END_TEST

START_TEST(two_stars_match_any_number_of_directories)
{
	static const struct row rows[] = {
	    {"**/x", "x", true},
	    {"**/x", "a/x", true},
	    {"**/x", "a/b/c/x", true},
	    {"**/x", "ax", false},
	    {"**/x", "a/bx", false},
	    {"**/x", "xa", false},
	    {"**/*.o", "main.o", true},
	    {"**/*.o", "a/b/m.o", true},
	    {"**/*.o", "a/b/m.oo", false},
	    {"a/**", "a", false},
	    {"a/**", "a/b", true},
	    {"a/**", "a/b/c", true},
	    {"a/**", "ab", false},
	    {"a/**", "b/a/c", false},
	    {"a/**/b", "a/b", true},
	    {"a/**/b", "a/x/b", true},
	    {"a/**/b", "a/x/y/b", true},
	    {"a/**/b", "a/xb", false},
	    {"a/**/b", "ab", false},
	    {"a/**/b", "x/a/b", false},
	    {"a/**/b", "a/x/bx", false},
	    {"**", "a", true},
	    {"**", "a/b/c", true},
	    {"**/a/**/b", "x/a/y/b", true},
	    {"**/a/**/b", "a/b", true},
	    {"**/a/**/b", "b/a", false},
	    {"**/**/a", "a", true},
	    {"**/**/a", "x/a", true},
	    {"**x", "a/bx", true},
	    {"**x", "x", true},
	    {"**x", "xa", false},
	    {"a**", "a/b", true},
	    {"a**", "abc", true},
	    {"a**", "b", false},
	    {"a/**/*", "a", false},
	    {"a/**/*", "a/b", true},
	    {"***/x", "a/b/x", true},
	    {"***/x", "x", false},
	    {"**.min.*", ".min.js", true},
	    {"**.min.*", "a.min.js", false},
	    {"**.min.*", "a/.min.js", true},
	    {"**.min", "a.min", true},
	    {"**.m?n", "a.min", false},
	    {"**\\.min", "a.min", false},
	    {"**.min]", "a.min]", false},
	    {"a**b", "ab", true},
	    {"a**b", "axb", false},
	    {"a**b", "axb/b", true},
	    {"a**b", "ax/yb", false},
	    {"a**/*.o", "a/x/y.o", true},
	    {"a*x**", "axy/z", true},
	    {"**/dir2/**", "d/dir2/e/f", true},
	    {"**/dir2/**", "dir2", false},
	    {"****", "a/b", true},
	    {"a***", "ab/c", true},
	    {"***x", "a/bx", true},
	    {"!**\n**x*", "axb", false},
	};
	check_rows(rows, COUNT_OF(rows));
}
END_TEST

START_TEST(a_question_mark_is_one_character_but_no_slash)
{
	static const struct row rows[] = {
	    {"?", "a", true},
	    {"?", "ab", false},
	    {"a?c", "abc", true},
	    {"a?c", "a/c", false},
	    {"a?c", "ac", false},
	    {"??", "ab", true},
	    {"??", "a", false},
	    {"a?", "a", false},
	    {"?/?", "a/b", true},
	    {"?.?", "a.b", true},
	    {"?.?", "axb", false},
	    {"caf?", "caf\xc3\xa9", true},
	    {"??", "\xc3\xa9", false},
	    {"*??", "\xe2\x98\xba", false},
	    {"a?b",
	     "a\xe2\x98\xba"
	     "b",
	     true},
	    {"?", "\xf0\x9f\x98\x80", true},
	    /* What is no UTF-8 goes byte by byte: cut, too long, a surrogate, beyond the last one. */
	    {"??", "\xe2\x98", true},
	    {"??", "\xc0\xaf", true},
	    {"???", "\xed\xa0\x80", true},
	    {"????", "\xf4\x90\x80\x80", true},
	    {"?\xff", "a\xff", true},
	    {"?\xff", "a\xfe", false},
	};
	check_rows(rows, COUNT_OF(rows));
}
END_TEST

START_TEST(a_class_is_one_character_of_a_set)
{
	static const struct row rows[] = {
	    {"[a-c]", "a", true},
	    {"[a-c]", "b", true},
	    {"[a-c]", "c", true},
	    {"[a-c]", "d", false},
	    {"[a-c]", "ab", false},
	    {"[abc]x", "bx", true},
	    {"[abc]x", "dx", false},
	    {"[^a]", "b", true},
	    {"[^a]", "a", false},
	    {"[^a-c]", "b", false},
	    {"[^a-c]", "d", true},
	    {"a[^b]c", "a/c", true},
	    {"a[.-0]c", "a/c", true},
	    {"a[.-0]c", "a.c", true},
	    {"[\\]]", "]", true},
	    {"[\\]]", "\\", false},
	    {"[a\\-c]", "-", true},
	    {"[a\\-c]", "b", false},
	    {"[0-9a-f]", "c", true},
	    {"[0-9a-f]", "7", true},
	    {"[0-9a-f]", "g", false},
	    {"[a-a]", "a", true},
	    {"x[*]", "x*", true},
	    {"x[*]", "xy", false},
	    {"[a-c]/x", "b/x", true},
	    {"[a^]", "^", true},
	    {"[\xc3\xa9].txt", "\xc3\xa9.txt", true},
	    {"[\xc3\xa9]", "\xc3", false},
	    {"[\xc3\xa0-\xc3\xa9]", "\xc3\xa8", true},
	    {"[\xc3\xa0-\xc3\xa9]", "\xc3\xaa", false},
	    {"[a-\xce\xb6]*", "\xce\xb1", true},
	    {"*[a-\xce\xb6]", "A", false},
	    {"a[^a]b",
	     "a\xe2\x98\xba"
	     "b",
	     true},
	    {"a[^a][^a][^a]b",
	     "a\xe2\x98\xba"
	     "b",
	     false},
	    {"[^a]", "\xff", true},
	    {"[\\\xc3\xa9]", "\xc3\xa9", true},
	    {"[a][b-c]", "ac", true},
	    {"[ab][^ab]c", "aac", false},
	};
	check_rows(rows, COUNT_OF(rows));
}
END_TEST

START_TEST(a_backslash_takes_the_meaning_away)
{
	static const struct row rows[] = {
	    {"\\*", "*", true},   {"\\*", "a", false},        {"\\?", "?", true},
	    {"\\?", "a", false},  {"\\[a]", "[a]", true},     {"\\[a]", "a", false},
	    {"\\\\", "\\", true}, {"\\a", "a", true},         {"\\!a", "!a", true},
	    {"\\#a", "#a", true}, {"\\*\\*/x", "a/x", false}, {"\\*\\*/x", "**/x", true},
	};
	check_rows(rows, COUNT_OF(rows));
}
END_TEST

START_TEST(slashes_and_dots_around_a_pattern_make_no_difference)
{
	static const struct row rows[] = {
	    {"a/", "a", true},       {"a/", "a/b", true},     {"a///", "a", true},
	    {"/a", "a", true},       {"/a", "x/a", false},    {"//a", "a", true},
	    {"./a", "a", true},      {"a/.", "a", true},      {"a//b", "a/b", true},
	    {"a/./b", "a/b", true},  {"/a/b/", "a/b", true},  {"/*.md", "x.md", true},
	    {"/**/x/", "a/x", true}, {"!/a\n/a/", "a", true}, {"/a/\n!/a/", "a", false},
	    {"/", "a", false},       {".", "a", false},       {"./", "a", false},
	    {".a", "a", false},      {"...", "...", true},
	};
	check_rows(rows, COUNT_OF(rows));
}
END_TEST

START_TEST(comments_empty_lines_and_space_count_for_nothing)
{
	static const struct row rows[] = {
	    {"# a\n", "a", false},
	    {"#a", "#a", false},
	    {"a#b", "a#b", true},
	    {"\n\n  \n\ta \t\n", "a", true},
	    {"a\r\nb\r\n", "a", true},
	    {"a\r\nb\r\n", "b", true},
	    {"a\nb", "b", true},
	    {"a\xc2\xa0\n\xe3\x80\x80 b\xe2\x80\x8a", "a", true},
	    {"a\xc2\xa0\n\xe3\x80\x80 b\xe2\x80\x8a", "b", true},
	    {"\xc2\x85!\xe1\x9a\x80"
	     "a\n\xe2\x80\xa8\xc2\xa0",
	     "a", false},
	    {"a\xe2\x80\x8b", "a", false},
	    {"a\xc2\xa0"
	     "b",
	     "a\xc2\xa0"
	     "b",
	     true},
	    {"a b", "a b", true},
	    {"a b", "a", false},
	    {" #a", "#a", true},
	    {"! a\n", "a", false},
	    {"a\n! a\n", "a", false},
	    {"\xef\xbb\xbf"
	     "a\n",
	     "a", true},
	    {"\xef\xbb\xbf# a\nb", "b", true},
	    {"a\n\xef\xbb\xbf"
	     "b",
	     "b", false},
	};
	check_rows(rows, COUNT_OF(rows));
}
END_TEST

START_TEST(the_last_pattern_that_matches_wins)
{
	static const struct row rows[] = {
	    {"*.md\n!README.md", "README.md", false},
	    {"*.md\n!README.md", "other.md", true},
	    {"!README.md\n*.md", "README.md", true},
	    {"*.md\n!README*.md\nREADME-secret.md", "README-secret.md", true},
	    {"*.md\n!README*.md\nREADME-secret.md", "README-x.md", false},
	    {"a\n!a\na", "a", true},
	    {"a\n!a\na\n!a", "a", false},
	    {"!a", "a", false},
	    {"!b\na", "a", true},
	};
	check_rows(rows, COUNT_OF(rows));
}
END_TEST

START_TEST(what_is_in_an_ignored_directory_can_be_taken_back)
{
	static const struct row rows[] = {
	    {"a\n!a/b", "a", true},
	    {"a\n!a/b", "a/b", false},
	    {"a\n!a/b", "a/c", true},
	    {"a\n!a/b", "a/b/c", false},
	    {"*\n!src", "src/main.c", false},
	    {"*\n!src", "lib/main.c", true},
	    {"*\n!src\nsrc/*.o", "src/m.o", true},
	    {"*\n!**/*.c", "a/b/m.c", false},
	    {"*\n!**/*.c", "a/b/m.h", true},
	    {"a/**\n!a/b/**", "a/b/c", false},
	    {"a/**\n!a/b/**", "a/b", true},
	    {"!a/b\na", "a/b", true},
	};
	check_rows(rows, COUNT_OF(rows));
}
END_TEST

START_TEST(it_is_known_where_something_may_be_taken_back)
{
	static const struct row rows[] = {
	    {"*", "a", false},
	    {"*\n# !a", "a", false},
	    {"*\n\\!a", "a", false},
	    {"*\n!b", "a", false},
	    {"*\n!a", "a", false}, /* it takes the directory itself back */
	    {"*\n!a/b", "a", true},
	    {"*\n!ab/c", "a", false},
	    {"*\n!a/b\nc", "a", true},
	    {"*\n!a/b/c", "a", true},
	    {"*\n!a/b/c", "a/b", true},
	    {"*\n!a/b/c", "a/d", false},
	    {"*\n!a/b/c", "a/b/c", false},
	    {"*\n!*/b", "a", true},
	    {"*\n!*/b", "a/b", false},
	    {"*\n!*/b", "a/c", false},
	    {"*\n!*b*/d", "abc", true},
	    {"*\n!*b*/d", "acc", false},
	    {"*\n![a-c]/d", "b", true},
	    {"*\n![a-c]/d", "d", false},
	    {"*\n!?/d", "\xc3\xa9", true},
	    {"*\n!**", "a/b", true},
	    {"*\n!**/b", "a/c", true},
	    {"*\n!a/**/b", "a/c/d", true},
	    {"*\n!a/**/b", "b", false},
	    {"*\n!a**", "ab/c", true},
	    {"*\n!a**", "b/a", false},
	};

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct ignore ignore = {0};
		unsigned line;
		const char *path = rows[i].path, *patterns = rows[i].patterns;
		ck_assert_ptr_null(ignore_add_text(&ignore, patterns, strlen(patterns), &line));
		ck_assert_msg(ignore_may_take_back(&ignore, path, strlen(path)) == rows[i].ignored,
		              "\"%s\" may take back in %s: not %d", patterns, path, rows[i].ignored);
		ignore_free(&ignore);
		ck_assert(!ignore_may_take_back(&ignore, path, strlen(path)));
	}
}
END_TEST

START_TEST(patterns_that_mean_nothing_are_refused)
{
	static const char *const patterns[] = {
	    "[",       "[a", "[^",     "[]",       "[^]",    "[]a",  "[a-",  "[b-a]",   "a[",
	    "a\\",     "\\", "[\\",    "[a-\\",    "!",      "!  ",  "..",   "../a",    "!..",
	    "../../a", "![", "[\xff]", "[a-\xff]", "[\xc3]", "[x-]", "[-x]", "[a-b-c]", "[-]"};
	for (size_t i = 0; i < COUNT_OF(patterns); i++) {
		struct ignore ignore = {0};
		ck_assert_msg(ignore_add(&ignore, patterns[i], strlen(patterns[i])), "%s", patterns[i]);
		ck_assert_uint_eq(ignore.count, 0);
		ignore_free(&ignore);
	}
}
END_TEST

START_TEST(a_pattern_with_a_nul_or_longer_than_a_path_is_refused)
{
	struct ignore ignore = {0};
	char pattern[PATH_LEN_MAX + 1];

	memset(pattern, 'a', sizeof pattern);
	ck_assert_ptr_nonnull(ignore_add(&ignore, "a\0b", 3));
	ck_assert_ptr_nonnull(ignore_add(&ignore, pattern, PATH_LEN_MAX + 1));
	ck_assert_uint_eq(ignore.count, 0);
	ck_assert_ptr_null(ignore_add(&ignore, pattern, PATH_LEN_MAX));
	ck_assert(ignore_matches(&ignore, pattern, PATH_LEN_MAX));
	ck_assert(!ignore_matches(&ignore, pattern, PATH_LEN_MAX - 1));
	ignore_free(&ignore);
}
END_TEST

START_TEST(the_number_of_the_wrong_line_is_told)
{
	static const char text[] = "# [\n\na\n!a\n[b-a]\nc\n";
	struct ignore ignore = {0};
	unsigned line = 0;

	ck_assert_ptr_nonnull(ignore_add_text(&ignore, text, sizeof text - 1, &line));
	ck_assert_uint_eq(line, 5);
	ignore_free(&ignore);
	ck_assert_ptr_nonnull(ignore_add_text(&ignore, "[", 1, &line));
	ck_assert_uint_eq(line, 1);
	ignore_free(&ignore);
}
END_TEST

START_TEST(no_pattern_takes_long)
{
	static const char *const pieces[] = {"*a", "**/", "*", "**/*a", "?*", "[^b]*", "**a"};
	char pattern[PATH_LEN_MAX + 1], path[PATH_LEN_MAX];
	clock_t began = clock();

	for (size_t i = 0; i < COUNT_OF(pieces); i++) {
		struct ignore ignore = {0};
		size_t piece = strlen(pieces[i]), len = 0;
		while (len + piece < 1000) {
			memcpy(pattern + len, pieces[i], piece);
			len += piece;
		}
		pattern[len++] = 'Z'; /* so that all ways are tried in vain */
		memset(path, 'a', sizeof path);
		for (size_t at = 3; i % 2 && at + 1 < sizeof path; at += 4)
			path[at] = '/';
		ck_assert_ptr_null(ignore_add(&ignore, pattern, len));
		ck_assert(!ignore_matches(&ignore, path, sizeof path));
		ignore_free(&ignore);
	}
	ck_assert_int_lt((clock() - began) / CLOCKS_PER_SEC, 20);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
	    a_pattern_matches_the_whole_path_from_the_root,
	    what_holds_for_a_directory_holds_for_all_below_it,
	    a_star_matches_within_one_component,
	    two_stars_match_any_number_of_directories,
	    a_question_mark_is_one_character_but_no_slash,
	    a_class_is_one_character_of_a_set,
	    a_backslash_takes_the_meaning_away,
	    slashes_and_dots_around_a_pattern_make_no_difference,
	    comments_empty_lines_and_space_count_for_nothing,
	    the_last_pattern_that_matches_wins,
	    what_is_in_an_ignored_directory_can_be_taken_back,
	    it_is_known_where_something_may_be_taken_back,
	    patterns_that_mean_nothing_are_refused,
	    a_pattern_with_a_nul_or_longer_than_a_path_is_refused,
	    the_number_of_the_wrong_line_is_told,
	    no_pattern_takes_long,
	    NULL,
	};
	return unit_main("ignore", tests);
}
