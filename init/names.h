/* names.h - the names in a directory, all at once and sorted. */
#ifndef DECANT_NAMES_H
#define DECANT_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "index.h"

/* The names in directory DIR but "." and "..", sorted by name_compare. LIST is zeroed first. */
struct names {
	char *bytes; /* NUL-terminated names, one after another */
	size_t used, room;
	uint32_t *at; /* where in BYTES each begins; COUNT + 1 of them */
	uint32_t count, at_room;
};
bool names_read(int dir, struct names *list);
/* The same for NAMES_SOME of them at the most: for directories of which somebody else decides how many are
 * there. */
enum { NAMES_SOME = 4096 };
bool names_some(int dir, struct names *list);
/* The same for those that are ids of bundles. */
bool names_ids(int dir, struct names *list);
void names_free(struct names *list);
struct text names_get(const struct names *list, uint32_t i);

/* Pass the names in directory DIR but "." and ".." to VISIT, in no order, until it returns false: for a
 * directory of any size. VISIT may remove them; another pass may then find what this one has passed over.
 * False with errno; ENAMETOOLONG when all but those that are longer than NAME_LEN_MAX were passed. */
typedef bool names_visit(void *context, const char *name);
bool names_each(int dir, names_visit *visit, void *context);

#endif
