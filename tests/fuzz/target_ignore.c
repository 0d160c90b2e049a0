/* target_ignore.c - the packer's ignore patterns against a matcher that follows decant-pack(1) and knows
 * nothing of tokens: it reads the pattern's text anew for each place in the path. Input: an ignore file;
 * behind its first NUL a path. */
#include "target.h"

#include <stdbool.h>
#include <string.h>

#include "arena.h"
#include "ignore.h"

enum { LONG = 200, PATTERNS = 40 };

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc, (void)argv;
	broken_setup();
	return 0;
}

struct match {
	const char *p; /* pattern */
	size_t pn;
	const char *s; /* path */
	size_t sn;
	char *memo; /* for each place in both: 0 not known, 1 no, 2 yes */
};

/* The length of CODE in UTF-8, which goes to OUT; 0 for what is no character. */
static size_t encode(uint32_t code, unsigned char *out)
{
	bool surrogate = code >> 11 == 0x1b;
	size_t len = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : code < 0x110000 ? 4 : 0;

	for (size_t i = len; i-- > 1; code >>= 6)
		out[i] = (unsigned char)(0x80 | (code & 0x3f));
	out[0] = (unsigned char)(len < 2 ? code : (0xf00u >> len & 0xff) | code);
	return surrogate ? 0 : len;
}

/* The character at S: its code, and how many bytes it has. A byte of no UTF-8 is beyond all codes. */
static size_t character(const char *s, size_t n, uint32_t *code)
{
	const unsigned char *u = (const unsigned char *)s;
	unsigned char back[4];

	for (size_t len = 1; len <= 4 && len <= n; len++) {
		*code = u[0] & (len == 1 ? 0x7fu : 0x7fu >> len);
		for (size_t i = 1; i < len; i++)
			*code = *code << 6 | (u[i] & 0x3f);
		if (encode(*code, back) == len && memcmp(back, s, len) == 0)
			return len;
	}
	*code = 0x110000 + u[0];
	return 1;
}

/* One end of a range; its length, or 0. */
static size_t member(const char *p, size_t n, uint32_t *c)
{
	size_t at = n && p[0] == '\\';
	if (n == 0 || p[0] == '-' || p[0] == ']' || at >= n)
		return 0;
	size_t len = character(p + at, n - at, c);
	return *c < 0x110000 ? at + len : 0;
}

/* The length of the class at P, behind its '['; 0 when it is malformed. *IN: is C in it? */
static size_t read_class(const char *p, size_t n, uint32_t c, bool *in)
{
	bool negate = n && p[0] == '^';
	size_t at = negate;

	*in = false;
	for (int members = 0; at < n && (p[at] != ']' || !members); members++) {
		uint32_t low, high;
		size_t len = member(p + at, n - at, &low);
		if (!len)
			return 0;
		at += len;
		high = low;
		if (at < n && p[at] == '-') {
			len = member(p + at + 1, n - at - 1, &high);
			if (!len || high < low)
				return 0;
			at += 1 + len;
		}
		*in = *in || (low <= c && c <= high);
	}
	*in = *in != negate;
	return at < n ? at + 1 : 0;
}

static bool well_formed(const char *p, size_t n)
{
	bool in;

	for (size_t i = 0; i < n;) {
		size_t len = 1;
		if (p[i] == '\\')
			len = i + 1 < n ? 2 : 0;
		else if (p[i] == '[')
			len = read_class(p + i + 1, n - i - 1, 0, &in);
		if (!len)
			return false;
		i += p[i] == '[' ? len + 1 : len;
	}
	return true;
}

static bool matches(struct match *m, size_t p, size_t s);

/* Is there nothing but plain characters from P on? */
static bool is_plain(const struct match *m, size_t p)
{
	while (p < m->pn && !strchr("*?[]\\", m->p[p]))
		p++;
	return p == m->pn;
}

static bool matches_star(struct match *m, size_t p, size_t s)
{
	bool deep = p + 1 < m->pn && m->p[p + 1] == '*', slash = deep && p + 2 < m->pn && m->p[p + 2] == '/';
	size_t rest = p + 1 + deep + slash, next;
	bool anywhere = deep && (rest == m->pn || (p == 0 && !slash && is_plain(m, rest)));
	uint32_t c;

	if (matches(m, rest, s))
		return true;
	for (size_t i = s; i < m->sn; i = next) {
		next = i + character(m->s + i, m->sn - i, &c);
		if (!deep && c == '/')
			return false;
		if ((!deep || anywhere || c == '/') && matches(m, rest, next))
			return true;
	}
	return false;
}

static bool matches_here(struct match *m, size_t p, size_t s)
{
	uint32_t c;

	if (p == m->pn)
		return s == m->sn;
	if (m->p[p] == '*')
		return matches_star(m, p, s);
	if (s == m->sn)
		return false;
	size_t n = character(m->s + s, m->sn - s, &c);
	if (m->p[p] == '?')
		return m->s[s] != '/' && matches(m, p + 1, s + n);
	if (m->p[p] == '[') {
		bool in;
		size_t len = read_class(m->p + p + 1, m->pn - p - 1, c, &in);
		return in && matches(m, p + 1 + len, s + n);
	}
	p += m->p[p] == '\\';
	return m->pn - p >= n && memcmp(m->p + p, m->s + s, n) == 0 && matches(m, p + n, s + n);
}

static bool matches(struct match *m, size_t p, size_t s)
{
	char *memo = &m->memo[p * (m->sn + 1) + s];
	if (!*memo)
		*memo = matches_here(m, p, s) ? 2 : 1;
	return *memo == 2;
}

struct pattern {
	char text[LONG];
	size_t n;
	bool back;
};

/* Components joined by one slash, without "." and what a ".." undoes. False for one that leads out. */
static bool tidy(const char *s, size_t n, struct pattern *out)
{
	size_t starts[LONG], depth = 0;

	out->n = 0;
	for (size_t from = 0, i = 0; i <= n; i++) {
		if (i < n && s[i] != '/')
			continue;
		size_t len = i - from;
		if (len == 2 && s[from] == '.' && s[from + 1] == '.') {
			if (depth == 0)
				return false;
			out->n = starts[--depth];
		} else if (len > 0 && !(len == 1 && s[from] == '.')) {
			starts[depth++] = out->n;
			if (out->n)
				out->text[out->n++] = '/';
			memcpy(out->text + out->n, s + from, len);
			out->n += len;
		}
		from = i + 1;
	}
	return true;
}

/* How many bytes the white space (Unicode's property) at one end of S has; 0 when there is none. */
static size_t space(const char *s, size_t n, bool at_end)
{
	for (size_t len = 1; len <= 3 && len <= n; len++) {
		uint32_t c;
		if (character(at_end ? s + n - len : s, len, &c) == len &&
		    ((c >= 9 && c <= 13) || c == ' ' || c == 0x85 || c == 0xa0 || c == 0x1680 ||
		     (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f ||
		     c == 0x205f || c == 0x3000))
			return len;
	}
	return 0;
}

/* One line; *OUT gets no text when it says nothing. False when it is wrong. */
static bool read_line(const char *s, size_t n, struct pattern *out)
{
	*out = (struct pattern){.n = 0};
	if (n && s[0] == '#')
		return true;
	for (int again = 0; again < 2; again++) {
		for (size_t len; (len = space(s, n, false)) > 0; n -= len)
			s += len;
		for (size_t len; (len = space(s, n, true)) > 0;)
			n -= len;
		if (again || !n || s[0] != '!')
			break;
		out->back = true;
		s++, n--;
	}
	if (n == 0)
		return !out->back;
	return tidy(s, n, out) && well_formed(out->text, out->n);
}

static bool is_ignored(const struct pattern *list, size_t count, const char *path, size_t n)
{
	bool ignored = false;

	for (size_t i = 0; i < count; i++) {
		bool hit = false;
		for (size_t end = 1; end <= n && !hit; end++) {
			if (end < n && path[end] != '/')
				continue;
			struct match m = {list[i].text, list[i].n, path, end, NULL};
			m.memo = arena_take((m.pn + 1) * (end + 1));
			hit = matches(&m, 0, 0);
		}
		if (hit)
			ignored = !list[i].back;
	}
	return ignored;
}

/* Can PATH come out of a walk through a tree? */
static bool is_path(const char *path, size_t n)
{
	if (n == 0 || path[0] == '/' || path[n - 1] == '/')
		return false;
	for (size_t i = 1; i < n; i++)
		if (path[i] == '/' && path[i - 1] == '/')
			return false;
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *nul = size ? memchr(data, 0, size) : NULL;
	size_t n = nul ? (size_t)(nul - data) : size, path_len = nul ? size - n - 1 : 0;
	const char *text = arena_copy(data, n), *path = arena_copy(nul ? nul + 1 : data, path_len);
	struct pattern *list = arena_take((PATTERNS + 1) * sizeof *list);
	struct ignore ignore = {0};
	size_t count = 0, from = n >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
	bool right = true;
	unsigned line;

	for (size_t i = from; i <= n && right && n <= LONG && count < PATTERNS; i++) {
		if (i < n && text[i] != '\n')
			continue;
		right = read_line(text + from, i - from, &list[count]);
		count += list[count].n > 0;
		from = i + 1;
	}
	bool taken = !ignore_add_text(&ignore, text, n, &line);
	bool ignored = ignore_matches(&ignore, path, path_len);
	if (n <= LONG && count < PATTERNS) {
		if (taken != right)
			broken("an ignore file is %s", taken ? "taken, and wrong" : "refused, and right");
		if (taken && path_len <= LONG && is_path(path, path_len) &&
		    ignored != is_ignored(list, count, path, path_len))
			broken("a path is %s", ignored ? "ignored" : "not ignored");
	}
	ignore_free(&ignore);
	arena_reset();
	return 0;
}
