/* ignore.h - which paths of a tree are left out, by the rules of a .dockerignore file: Go's filepath.Match
 * for each pattern, "**" for any number of directories, "!" to take back, the last pattern that matches wins,
 * and what holds for a directory holds for all below it. What Docker makes of "**" is in
 * github.com/moby/patternmatcher. Characters are those of UTF-8. Pure functions. */
#ifndef DECANT_IGNORE_H
#define DECANT_IGNORE_H

#include <stdbool.h>
#include <stddef.h>

struct ignore {
	struct ignore_pattern **patterns; /* owned */
	size_t count;
};

/* Add one pattern, in the form of a line of the file. Empty lines and comments add nothing. Returns NULL, or
 * a static text that says what is wrong. */
const char *ignore_add(struct ignore *ignore, const char *line, size_t len);
/* Add all lines of a file's text. *LINE gets the number of the line that is wrong. */
const char *ignore_add_text(struct ignore *ignore, const char *text, size_t len, unsigned *line);
void ignore_free(struct ignore *ignore);

/* Is PATH (relative, no leading slash) left out? */
bool ignore_matches(const struct ignore *ignore, const char *path, size_t len);
/* Could a "!" pattern take back something in directory PATH, which is left out? */
bool ignore_may_take_back(const struct ignore *ignore, const char *path, size_t len);

#endif
