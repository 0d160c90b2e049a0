#include "path.h"

#include <stdint.h>
#include <string.h>

#include "format.h"

bool name_valid(const char *name, size_t len)
{
	if (len == 0 || len > NAME_LEN_MAX)
		return false;
	if (name[0] == '.' && (len == 1 || (len == 2 && name[1] == '.')))
		return false;
	return !memchr(name, '/', len) && !memchr(name, '\0', len);
}

bool name_reserved(const char *name, size_t len)
{
	return (len == strlen(STATE_DIR) && memcmp(name, STATE_DIR, len) == 0) ||
	       (len == strlen(LOST_FOUND) && memcmp(name, LOST_FOUND, len) == 0);
}

bool dest_valid(const char *path, size_t len)
{
	if (len == 0 || len > PATH_LEN_MAX || path[0] != '/')
		return false;
	for (size_t at = 1; at < len;) {
		const char *slash = memchr(path + at, '/', len - at);
		size_t end = slash ? (size_t)(slash - path) : len;
		if (end > at && !name_valid(path + at, end - at))
			return false;
		at = end + 1;
	}
	return true;
}

bool id_valid(const char *id)
{
	return strlen(id) == 32 && strspn(id, "0123456789abcdef") == 32;
}

const char *path_step(const char *path, char *name)
{
	const char *slash = strchr(path, '/');
	size_t len = slash ? (size_t)(slash - path) : strlen(path);

	memcpy(name, path, len);
	name[len] = '\0';
	return slash ? slash + 1 : NULL;
}

int name_compare(const char *a, size_t alen, const char *b, size_t blen)
{
	int order = memcmp(a, b, alen < blen ? alen : blen);
	if (order)
		return order;
	return (alen > blen) - (alen < blen);
}

size_t utf8_decode(const char *text, size_t left, uint32_t *code)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	const unsigned char *s = (const unsigned char *)text;
	size_t n = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;

	*code = s[0];
	if (s[0] < 0x80)
		return 1;
	if (s[0] < 0xc2 || s[0] > 0xf4 || n > left)
		return 0;
	*code &= 0x7fu >> n;
	for (size_t i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		*code = *code << 6 | (s[i] & 0x3f);
	}
	return *code < least[n] || *code > 0x10ffff || (*code >= 0xd800 && *code <= 0xdfff) ? 0 : n;
}

const char *name_escape(char *out, size_t size, const char *name, size_t len)
{
	static const char digits[] = "0123456789abcdef";
	const unsigned char *s = (const unsigned char *)name;
	size_t at = 0;

	for (size_t i = 0; i < len;) {
		uint32_t code;
		size_t sequence = utf8_decode(name + i, len - i, &code);
		/* A terminal may obey C1 control characters, too. */
		if (code < 0xa0)
			sequence = 0;
		bool plain = s[i] >= 0x20 && s[i] < 0x7f && s[i] != '\\';
		size_t need = sequence ? sequence : plain ? 1 : s[i] == '\\' ? 2 : 4;

		/* Keep room for the mark of a cut, unless this is the end. */
		if (at + need + (i + 1 < len ? 4 : 1) > size) {
			memcpy(out + at, "...", 3);
			at += 3;
			break;
		}
		if (sequence || plain) {
			memcpy(out + at, s + i, need);
		} else if (s[i] == '\\') {
			memcpy(out + at, "\\\\", 2);
		} else {
			char hex[4] = {'\\', 'x', digits[s[i] >> 4], digits[s[i] & 15]};
			memcpy(out + at, hex, 4);
		}
		at += need;
		i += sequence ? sequence : 1;
	}
	out[at] = '\0';
	return out;
}
