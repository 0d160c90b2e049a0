/* old.h - finds in the index of the bundle that a volume holds what the new bundle's entry was there. */
#ifndef DECANT_OLD_H
#define DECANT_OLD_H

#include <stdbool.h>
#include <stdint.h>

#include "bundle.h"
#include "fault.h"

/* For each directory of FROM the directory of TO with the same path, or NO_ENTRY. NULL: out of memory; the
 * caller frees it. */
uint32_t *map_dirs(const struct catalog *from, const struct catalog *to);

/* Goes through the entries of one directory in the order of their names. One per thread. */
struct lookup {
	struct reader reader; /* reader_init, reader_free by the owner; all else is zero at first */
	uint32_t dir;         /* the number of the directory, plus 1 */
	uint32_t next, end;
};
/* Go to directory DIR, or stay in it: what has been passed is not seen again, or a directory of many frames
 * would be read from its beginning for each. NO_ENTRY: one with nothing in it. */
void lookup_enter(struct lookup *lookup, uint32_t dir);

/* Find NAME; names must be asked for in rising order since lookup_enter came here first. *FOUND tells whether
 * ENTRY is set; it is valid until the next call. False only when the index cannot be read. */
bool lookup_find(struct lookup *lookup, struct text name, struct entry *entry, bool *found,
                 struct fault *fault);

#endif
