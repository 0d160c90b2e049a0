/* prune.h - removes from a volume what the bundle that it is filled from lacks. */
#ifndef DECANT_PRUNE_H
#define DECANT_PRUNE_H

#include "fill.h"

/* --prune managed: what the bundle that the volume held made, what fills made that did not end, and what
 * releases made that are kept no longer; but nothing that a release has that is kept (releases.h). A name
 * that is now a directory, and a directory that is not empty, have become somebody else's and stay. A fill
 * without a bundle keeps nothing. */
bool prune_managed(struct fill *fill, struct fault *fault);

/* To CLAIMED, a byte for each entry of the bundle, all 0 before: 1 where a journal has that name. */
bool prune_claims(struct fill *fill, uint8_t *claimed, struct fault *fault);

/* --prune all: every stranger. prune_count only counts them, to *COUNT. */
bool prune_all(struct fill *fill, struct fault *fault);
bool prune_count(struct fill *fill, uint64_t *count, struct fault *fault);

#endif
