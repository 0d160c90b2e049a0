#include "ignore.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "format.h"
#include "path.h"

/* A pattern becomes a list of tokens; matching moves a set of positions in the path through them, so that its
 * cost is the product of the two lengths and no pattern can make it explode. */
enum kind {
	LITERAL,    /* the character LOW */
	ANY,        /* ?: one character, no slash */
	STAR,       /* *: characters without a slash */
	CLASS,      /* [...]: one character of the COUNT ranges that follow, or of no one of them */
	RANGE,      /* LOW to HIGH; of a class */
	DEEP,       /* **: any characters */
	DEEP_SLASH, /* "**" and a slash: nothing, or any characters and a slash */
};

struct token {
	enum kind kind;
	bool negate;
	uint32_t low, high, count;
};

struct ignore_pattern {
	bool back; /* "!" */
	size_t count;
	struct token tokens[]; /* no more than it has bytes */
};

/* A byte that belongs to no UTF-8 is a character by itself, of a number that no other has. */
enum { NOT_UTF8 = 0xdc00 };

static uint32_t next_char(const char **at, const char *end)
{
	uint32_t code;
	size_t n = utf8_decode(*at, (size_t)(end - *at), &code);

	if (n == 0)
		code = NOT_UTF8 + (unsigned char)**at;
	*at += n ? n : 1;
	return code;
}

/* One end of a range in a class, which a backslash may escape. False where Go sees none, too. */
static bool class_char(const char **at, const char *end, uint32_t *c)
{
	if (*at >= end || **at == '-' || **at == ']')
		return false;
	if (**at == '\\')
		++*at;
	if (*at >= end)
		return false;
	*c = next_char(at, end);
	return *c < NOT_UTF8 || *c > NOT_UTF8 + 255;
}

/* The class after '[' at *AT, to P; leaves *AT behind the ']'. As with Go a slash may be in it. */
static const char *parse_class(const char **at, const char *end, struct ignore_pattern *p)
{
	struct token *class = &p->tokens[p->count++];

	*class = (struct token){.kind = CLASS, .negate = *at < end && **at == '^'};
	*at += class->negate;
	while (*at < end && (**at != ']' || class->count == 0)) {
		struct token *range = &p->tokens[p->count++];
		*range = (struct token){.kind = RANGE};
		if (!class_char(at, end, &range->low))
			return "a [...] is malformed";
		range->high = range->low;
		if (*at < end && **at == '-') {
			++*at;
			if (!class_char(at, end, &range->high))
				return "a [...] is malformed";
		}
		if (range->high < range->low)
			return "a range in [...] runs backwards";
		class->count++;
	}
	if (*at >= end || **at != ']')
		return "a [ has no ]";
	++*at;
	return NULL;
}

/* "**" at the end is for all that follows. In front of something else Docker reads it as if a slash came
 * after it, unless it begins a pattern that has no other special character: that is the end of a path. */
static enum kind stars_kind(const char *at, const char *end, bool first, bool slash)
{
	bool special = false;

	for (const char *c = at; c < end; c++)
		special = special || strchr("*?[]\\", *c);
	return at == end || (first && !slash && !special) ? DEEP : DEEP_SLASH;
}

static const char *parse_token(const char **at, const char *end, struct ignore_pattern *p)
{
	struct token token = {.kind = LITERAL};
	char c = **at;

	if (c == '[') {
		++*at;
		return parse_class(at, end, p);
	}
	if (c == '\\' && ++*at == end)
		return "a backslash has nothing to escape";
	token.low = next_char(at, end);
	if (c == '?') {
		token.kind = ANY;
	} else if (c == '*' && (*at == end || **at != '*')) {
		token.kind = STAR;
	} else if (c == '*') {
		bool slash = ++*at < end && **at == '/';
		*at += slash;
		token.kind = stars_kind(*at, end, p->count == 0, slash);
	}
	p->tokens[p->count++] = token;
	return NULL;
}

/* Path cleaning, as Go's filepath.Clean does it to patterns: no double slashes, no "." components, ".." takes
 * the one before away, no slash at either end. Works in place; returns the length, or SIZE_MAX for a pattern
 * that begins with "..", because it cannot name anything in the tree. */
static size_t clean(char *pattern, size_t len)
{
	size_t out = 0;
	for (size_t at = 0; at < len;) {
		size_t end = at;
		while (end < len && pattern[end] != '/')
			end++;
		size_t n = end - at;
		if (n == 2 && memcmp(pattern + at, "..", 2) == 0) {
			if (out == 0)
				return SIZE_MAX;
			while (out > 0 && pattern[--out] != '/')
				;
		} else if (n > 0 && !(n == 1 && pattern[at] == '.')) {
			if (out)
				pattern[out++] = '/';
			memmove(pattern + out, pattern + at, n);
			out += n;
		}
		at = end + 1;
	}
	return out;
}

static const char *compile(struct ignore *ignore, const char *pattern, size_t len, bool back)
{
	struct ignore_pattern *p = malloc(sizeof *p + len * sizeof *p->tokens);
	struct ignore_pattern **list = realloc(ignore->patterns, (ignore->count + 1) * sizeof(*list));

	if (list)
		ignore->patterns = list;
	if (!list || !p) {
		free(p);
		return "out of memory";
	}
	p->back = back;
	p->count = 0;
	for (const char *at = pattern, *end = pattern + len; at < end;) {
		const char *wrong = parse_token(&at, end, p);
		if (wrong) {
			free(p);
			return wrong;
		}
	}
	list[ignore->count++] = p;
	return NULL;
}

/* White space as Go's strings.TrimSpace has it: what Unicode calls so. */
static bool is_space(uint32_t c)
{
	static const uint32_t spaces[] = {' ',    '\t',   '\r',   '\v',   '\f',   0x85,  0xa0,
	                                  0x1680, 0x2028, 0x2029, 0x202f, 0x205f, 0x3000};

	for (size_t i = 0; i < sizeof spaces / sizeof *spaces; i++)
		if (c == spaces[i])
			return true;
	return c >= 0x2000 && c <= 0x200a;
}

static void trim(const char **line, size_t *len)
{
	const char *at = *line, *end = at + *len, *last = NULL;

	while (at < end) {
		const char *from = at;
		if (is_space(next_char(&at, end)))
			continue;
		if (!last)
			*line = from;
		last = at;
	}
	*len = last ? (size_t)(last - *line) : 0;
}

const char *ignore_add(struct ignore *ignore, const char *line, size_t len)
{
	if (len && line[0] == '#')
		return NULL;
	trim(&line, &len);
	bool back = len && line[0] == '!';
	if (back) {
		line++;
		len--;
		trim(&line, &len);
		if (len == 0)
			return "a ! has no pattern";
	}
	if (len == 0)
		return NULL;
	if (len > PATH_LEN_MAX || memchr(line, '\0', len))
		return "a pattern is too long or holds a NUL";
	char pattern[PATH_LEN_MAX];
	memcpy(pattern, line, len);
	len = clean(pattern, len);
	if (len == SIZE_MAX)
		return "a pattern leads out of the tree";
	return len ? compile(ignore, pattern, len, back) : NULL;
}

const char *ignore_add_text(struct ignore *ignore, const char *text, size_t len, unsigned *line)
{
	/* The byte order mark that some editors put in front. */
	if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
		text += 3;
		len -= 3;
	}
	for (*line = 1; len; ++*line) {
		const char *newline = memchr(text, '\n', len);
		size_t n = newline ? (size_t)(newline - text) : len;
		const char *wrong = ignore_add(ignore, text, n);
		if (wrong)
			return wrong;
		n += newline != NULL;
		text += n;
		len -= n;
	}
	return NULL;
}

void ignore_free(struct ignore *ignore)
{
	for (size_t i = 0; i < ignore->count; i++)
		free(ignore->patterns[i]);
	free(ignore->patterns);
	memset(ignore, 0, sizeof *ignore);
}

/* Is character C what the token at T stands for, one that stands for one? */
static bool fits(const struct token *t, uint32_t c)
{
	bool in = false;

	if (t->kind == LITERAL)
		return c == t->low;
	if (t->kind == ANY)
		return c != '/';
	for (uint32_t i = 1; i <= t->count && !in; i++)
		in = t[i].low <= c && c <= t[i].high;
	return in != t->negate;
}

/* Where the pattern may be in the path after a token: reached[i] is true when what came before can match the
 * first i characters. Works in place. */
static void step(const struct token *t, const uint32_t *path, size_t len, bool *reached)
{
	bool carry = false;

	switch (t->kind) {
	case STAR: /* a position goes on up to the next slash */
	case DEEP: /* or up to the end */
		for (size_t i = 0; i <= len; i++) {
			if (i > 0 && t->kind == STAR && path[i - 1] == '/')
				carry = false;
			carry = reached[i] = carry || reached[i];
		}
		return;
	case DEEP_SLASH: /* stays, or comes to stand behind any later slash */
		for (size_t i = 0; i <= len; i++) {
			bool before = carry;
			carry = carry || reached[i];
			reached[i] = reached[i] || (before && i > 0 && path[i - 1] == '/');
		}
		return;
	case RANGE: /* its class has seen to it */
		return;
	default:
		for (size_t i = len; i > 0; i--)
			reached[i] = reached[i - 1] && fits(t, path[i - 1]);
		reached[0] = false;
		return;
	}
}

/* Does the pattern match the path, or a directory above it? */
static bool matches(const struct ignore_pattern *p, const uint32_t *path, size_t len)
{
	bool reached[PATH_LEN_MAX + 1];

	memset(reached, 0, len + 1);
	reached[0] = true;
	for (size_t i = 0; i < p->count; i++)
		step(&p->tokens[i], path, len, reached);
	for (size_t i = 1; i < len; i++)
		if (path[i] == '/' && reached[i])
			return true;
	return reached[len];
}

/* Does the pattern match something that begins with the path? */
static bool reaches(const struct ignore_pattern *p, const uint32_t *path, size_t len)
{
	bool reached[PATH_LEN_MAX + 2], reaches = false;

	memset(reached, 0, len + 1);
	reached[0] = true;
	for (size_t i = 0; i < p->count && !reaches; i++) {
		step(&p->tokens[i], path, len, reached);
		reaches = reached[len];
	}
	return reaches;
}

/* Is the path left out, or, BELOW, may something below it be taken back? */
static bool ask(const struct ignore *ignore, const char *path, size_t len, bool below)
{
	uint32_t chars[PATH_LEN_MAX + 1];
	const char *at = path;
	bool yes = false;
	size_t count = 0;

	if (len > PATH_LEN_MAX || ignore->count == 0)
		return false;
	while (at < path + len)
		chars[count++] = next_char(&at, path + len);
	if (below)
		chars[count++] = '/';
	for (size_t i = 0; i < ignore->count; i++) {
		const struct ignore_pattern *p = ignore->patterns[i];
		if (below)
			yes = yes || (p->back && reaches(p, chars, count));
		else if (yes == p->back && matches(p, chars, count))
			yes = !p->back;
	}
	return yes;
}

bool ignore_matches(const struct ignore *ignore, const char *path, size_t len)
{
	return ask(ignore, path, len, false);
}

bool ignore_may_take_back(const struct ignore *ignore, const char *path, size_t len)
{
	return ask(ignore, path, len, true);
}
