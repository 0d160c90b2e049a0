/* target_path.c - the rules for names and paths, and names made safe for a log, against rules written out
 * plainly here. Input: a name; behind its first NUL, if there is one, another. */
#include "target.h"

#include <string.h>

#include "arena.h"
#include "path.h"

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc, (void)argv;
	broken_setup();
	return 0;
}

static bool plain_name(const char *s, size_t n)
{
	size_t dots = 0;

	for (size_t i = 0; i < n; i++) {
		if (s[i] == '/' || s[i] == '\0')
			return false;
		dots += s[i] == '.';
	}
	return n >= 1 && n <= 255 && !(dots == n && n <= 2);
}

static bool plain_dest(const char *s, size_t n)
{
	size_t from = 1;

	for (size_t i = 1; i <= n; i++)
		if (i == n || s[i] == '/') {
			if (i > from && !plain_name(s + from, i - from))
				return false;
			from = i + 1;
		}
	return n >= 1 && n <= 4095 && s[0] == '/';
}

static int sign(int n)
{
	return (n > 0) - (n < 0);
}

static int plain_compare(const char *a, size_t an, const char *b, size_t bn)
{
	for (size_t i = 0; i < an && i < bn; i++)
		if (a[i] != b[i])
			return (unsigned char)a[i] < (unsigned char)b[i] ? -1 : 1;
	return an < bn ? -1 : an > bn;
}

/* The bytes that an escaped name stands for; aborts where it holds what a log must not. */
static size_t unescape(const char *s, char *out)
{
	static const char digits[] = "0123456789abcdef";
	size_t n = 0;

	while (*s) {
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			broken("a control byte in an escaped name");
		if (*s != '\\') {
			out[n++] = *s++;
		} else if (s[1] == '\\') {
			out[n++] = '\\';
			s += 2;
		} else {
			const char *high = s[1] == 'x' && s[2] ? strchr(digits, s[2]) : NULL;
			const char *low = high && s[3] ? strchr(digits, s[3]) : NULL;
			if (!low)
				broken("an escape that is none");
			out[n++] = (char)((high - digits) << 4 | (low - digits));
			s += 4;
		}
	}
	return n;
}

/* Well-formed UTF-8 by table 3-7 of the Unicode standard, without C1 controls. */
static void check_utf8(const unsigned char *s)
{
	while (*s) {
		size_t more = *s < 0x80 ? 0 : *s >= 0xf0 ? 3 : *s >= 0xe0 ? 2 : 1;
		if (more && (*s < 0xc2 || *s > 0xf4))
			broken("a lead byte that is none");
		for (size_t i = 1; i <= more; i++)
			if (s[i] < 0x80 || s[i] > 0xbf)
				broken("a sequence that is cut");
		if ((*s == 0xc2 && s[1] < 0xa0) || (*s == 0xe0 && s[1] < 0xa0) ||
		    (*s == 0xed && s[1] > 0x9f) || (*s == 0xf0 && s[1] < 0x90) || (*s == 0xf4 && s[1] > 0x8f))
			broken("a sequence that is not UTF-8, or a C1 control");
		s += more + 1;
	}
}

static void check_escape(const char *name, size_t n, size_t room)
{
	char *out = arena_take(room), *back = arena_take(room + 1);

	if (name_escape(out, room, name, n) != out || !memchr(out, 0, room))
		broken("an escaped name without an end");
	check_utf8((unsigned char *)out);
	size_t got = unescape(out, back);
	bool whole = got == n && memcmp(back, name, n) == 0;
	bool cut = got >= 3 && got - 3 < n && memcmp(back, name, got - 3) == 0 &&
	           memcmp(back + got - 3, "...", 3) == 0;
	if (!whole && (!cut || room > 4 * n + 4))
		broken("an escaped name that is another");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *nul = size ? memchr(data, 0, size) : NULL;
	size_t an = nul ? (size_t)(nul - data) : size, bn = nul ? size - an - 1 : 0;
	const char *a = arena_copy(data, an), *b = arena_copy(nul ? nul + 1 : data, bn);

	if (name_valid(a, an) != plain_name(a, an) || name_valid(b, bn) != plain_name(b, bn))
		broken("name_valid");
	if (dest_valid(a, an) != plain_dest(a, an) || dest_valid(b, bn) != plain_dest(b, bn))
		broken("dest_valid");
	if (sign(name_compare(a, an, b, bn)) != plain_compare(a, an, b, bn) ||
	    sign(name_compare(b, bn, a, an)) != plain_compare(b, bn, a, an) ||
	    name_compare(a, an, a, an) != 0)
		broken("name_compare");
	bool is = (an == 7 && memcmp(a, ".decant", 7) == 0) || (an == 10 && memcmp(a, "lost+found", 10) == 0);
	if (name_reserved(a, an) != is)
		broken("name_reserved");
	check_escape(b, bn, 5 + an % 40);
	check_escape(b, bn, 4 * bn + 5);
	arena_reset();
	return 0;
}
