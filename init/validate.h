/* validate.h - the check of a whole index, block after block, before anything of it is used: names and their
 * order, names that stand twice, types, modes, content inside its frames, hard links, totals. No I/O.
 *
 * Each function returns NULL when all is well, or a static text that says what is wrong. */
#ifndef DECANT_VALIDATE_H
#define DECANT_VALIDATE_H

#include "index.h"

struct check; /* memory: an eighth of a byte per entry and four bytes per hard link */

/* Begin the check of CATALOG, which must have come out of catalog_parse. NULL: out of memory. */
struct check *check_new(struct catalog *catalog);
/* The block of each frame, from 0 on, frames without entries (an empty block) included. */
const char *check_block(struct check *check, uint32_t frame, const struct block *block);
/* After the last block; sets the catalog's carried, carried_at and links. */
const char *check_end(struct check *check);
void check_free(struct check *check);

#endif
