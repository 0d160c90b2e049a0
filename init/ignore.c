#include "ignore.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "format.h"

/* A pattern becomes a list of tokens; matching moves a set of positions in the path through them, so that its
 * cost is the product of the two lengths and no pattern can make it explode. */
enum kind {
	LITERAL,    /* the byte C */
	ANY,        /* ?: one byte, no slash */
	STAR,       /* *: bytes without a slash */
	CLASS,      /* [...]: one byte out of SET */
	DEEP,       /* **: any bytes */
	DEEP_SLASH, /* "**" and a slash: nothing, or any bytes and a slash */
};

struct token {
	enum kind kind;
	unsigned char c;
	unsigned char set[32];
};

struct ignore_pattern {
	bool back; /* "!" */
	size_t count;
	struct token tokens[];
};

static void set_add(unsigned char *set, unsigned char c)
{
	set[c / 8] |= (unsigned char)(1u << c % 8);
}

/* One end of a range in a class, which a backslash may escape. False where Go sees none, too. */
static bool class_byte(const char **at, const char *end, unsigned char *c)
{
	if (*at >= end || **at == '-' || **at == ']')
		return false;
	if (**at == '\\')
		++*at;
	if (*at >= end)
		return false;
	*c = (unsigned char)*(*at)++;
	return true;
}

/* The class after '[' at *AT; leaves *AT behind the ']'. */
static const char *parse_class(const char **at, const char *end, struct token *token)
{
	bool negate = *at < end && **at == '^';
	unsigned members = 0;

	token->kind = CLASS;
	memset(token->set, 0, sizeof token->set);
	*at += negate;
	while (*at < end && (**at != ']' || members == 0)) {
		unsigned char low, high;
		if (!class_byte(at, end, &low))
			return "a [...] is malformed";
		high = low;
		if (*at < end && **at == '-') {
			++*at;
			if (!class_byte(at, end, &high))
				return "a [...] is malformed";
		}
		if (high < low)
			return "a range in [...] runs backwards";
		for (unsigned c = low; c <= high; c++)
			set_add(token->set, (unsigned char)c);
		members++;
	}
	if (*at >= end || **at != ']')
		return "a [ has no ]";
	++*at;
	for (unsigned i = 0; negate && i < sizeof token->set; i++)
		token->set[i] = (unsigned char)~token->set[i];
	token->set['/' / 8] &= (unsigned char)~(1u << '/' % 8);
	return NULL;
}

static const char *parse_token(const char **at, const char *end, struct token *token)
{
	char c = *(*at)++;

	*token = (struct token){.kind = LITERAL, .c = (unsigned char)c};
	switch (c) {
	case '*':
		token->kind = STAR;
		if (*at < end && **at == '*') {
			token->kind = DEEP;
			while (*at < end && **at == '*')
				++*at;
			if (*at < end && **at == '/') {
				token->kind = DEEP_SLASH;
				++*at;
			}
		}
		return NULL;
	case '?':
		token->kind = ANY;
		return NULL;
	case '[':
		return parse_class(at, end, token);
	case '\\':
		if (*at == end)
			return "a backslash has nothing to escape";
		token->c = (unsigned char)*(*at)++;
		return NULL;
	default:
		return NULL;
	}
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
		const char *wrong = parse_token(&at, end, &p->tokens[p->count++]);
		if (wrong) {
			free(p);
			return wrong;
		}
	}
	list[ignore->count++] = p;
	ignore->takes_back = ignore->takes_back || back;
	return NULL;
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f';
}

static void trim(const char **line, size_t *len)
{
	while (*len && is_space(**line))
		++*line, --*len;
	while (*len && is_space((*line)[*len - 1]))
		--*len;
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

/* Where the pattern may be in the path after a token: reached[i] is true when what came before can match the
 * first i bytes. Works in place. */
static void step(const struct token *t, const unsigned char *path, size_t len, bool *reached)
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
	default:
		for (size_t i = len; i > 0; i--) {
			unsigned char c = path[i - 1];
			bool fits = t->kind == LITERAL ? c == t->c
			            : t->kind == ANY   ? c != '/'
			                               : (t->set[c / 8] >> c % 8 & 1);
			reached[i] = reached[i - 1] && fits;
		}
		reached[0] = false;
		return;
	}
}

/* Does the pattern match the path, or a directory above it? */
static bool matches(const struct ignore_pattern *p, const unsigned char *path, size_t len)
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

bool ignore_matches(const struct ignore *ignore, const char *path, size_t len)
{
	bool ignored = false;
	if (len > PATH_LEN_MAX)
		return false;
	for (size_t i = 0; i < ignore->count; i++) {
		const struct ignore_pattern *p = ignore->patterns[i];
		if (ignored == p->back && matches(p, (const unsigned char *)path, len))
			ignored = !p->back;
	}
	return ignored;
}
