/* releases.h - which releases before the present one a volume keeps (--keep-releases). The index of each is
 * a file of .decant, written as the state is (state.h), by the name
 *
 *   release-NUMBER-ID   ten digits, rising from release to release, and the bundle's id
 *
 * so that the choice needs the names alone. Does no I/O but reading them. */
#ifndef DECANT_RELEASES_H
#define DECANT_RELEASES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "names.h"

enum { RELEASES_MAX = 100, RELEASE_NAME_SIZE = 8 + 10 + 1 + 32 + 1 };

struct releases {
	struct names names; /* oldest first, and what only looks like one: to be removed */
	uint8_t *kept;      /* for each, whether it stays; owned */
	uint32_t dropped;   /* how many do not */
};

/* The names in DIR, none of them kept. False with errno. Pass releases_free in any case. */
bool releases_read(struct releases *releases, int dir);
void releases_free(struct releases *releases);

/* Keep the newest COUNT. The bundles NOW and BEFORE (may be NULL), which the volume will hold and holds,
 * count no place, and neither does one that stands here twice. */
void releases_choose(struct releases *releases, unsigned count, const char *now, const char *before);

/* Is bundle ID's one of those that are kept, from number FROM on? */
bool releases_keep(const struct releases *releases, uint32_t from, const char *id);

/* The bundle's id in the name of number I, or NULL for what only looks like a release. */
const char *releases_id(const struct releases *releases, uint32_t i);

/* The id of the newest, or NULL. */
const char *releases_newest(const struct releases *releases);

/* The name, newer than all others, for bundle ID; RELEASE_NAME_SIZE bytes at OUT. */
void releases_next(const struct releases *releases, const char *id, char *out);

#endif
