/* path.h - the rules for one path component, and names fit for a log. Pure functions: bytes in, bytes out. */
#ifndef DECANT_PATH_H
#define DECANT_PATH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* True when the LEN bytes at NAME can be one component of a path on Linux: 1 to 255 bytes, no '/',
 * no NUL, neither "." nor "..". Any other byte is allowed (path_resolution(7)). */
bool name_valid(const char *name, size_t len);

/* True when NAME is not for a bundle at the root of a volume: decant keeps STATE_DIR for itself, LOST_FOUND
 * is the file system's. */
bool name_reserved(const char *name, size_t len);

/* True when PATH is absolute, has no "." or ".." component and is at most PATH_LEN_MAX bytes long. */
bool dest_valid(const char *path, size_t len);

/* True when ID is that of a bundle: 32 lower-case hexadecimal digits. */
bool id_valid(const char *id);

/* Copy the first component of PATH, relative and valid, to NAME, NUL-terminated. Returns the rest, or NULL
 * after the last one. */
const char *path_step(const char *path, char *name);

/* Compare two names as the format sorts them: by unsigned bytes, a prefix first. Returns <0, 0, >0. */
int name_compare(const char *a, size_t alen, const char *b, size_t blen);

/* The character, of LEFT bytes at TEXT (at least one), to CODE. Its length, or 0 for what is no valid UTF-8
 * (RFC 3629); then CODE has no meaning. */
size_t utf8_decode(const char *text, size_t left, uint32_t *code);

/* Write LEN bytes of NAME to OUT (SIZE bytes, SIZE > 4), NUL-terminated, made safe for one line of a
 * terminal: control bytes, backslash and bytes that are no valid UTF-8 become \xHH (backslash: \\).
 * What does not fit is left out and marked with "..." at the end. Returns OUT. */
const char *name_escape(char *out, size_t size, const char *name, size_t len);

#endif
