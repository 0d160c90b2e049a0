/* switch.h - whole trees in one directory, and a link that is switched from one to the next (--switch):
 *
 *   DIR/ID             the tree of bundle ID: a volume like any other, with a .decant of its own
 *   DIR/current        a symbolic link to the ID of the tree that readers shall see
 *   DIR/.decant        as in state.h, with the mark "switched", and instead of indexes these empty files:
 *     journal-ID         DIR/ID is being filled, or removed
 *     release-NUMBER-ID  `current` leads to DIR/ID, or has led there, and it stays; numbers rise (releases.h)
 *
 * A tree has its record before it is made and until it is gone, so nothing that a killed fill made is
 * forgotten. `current` is changed by rename(2), when the tree is complete. A tree is removed as its own state
 * says; what decant did not make stays, with the directories it is in. */
#ifndef DECANT_SWITCH_H
#define DECANT_SWITCH_H

#include <stdbool.h>

#include "bundle.h"
#include "dest.h"
#include "fault.h"
#include "log.h"
#include "options.h"
#include "state.h"

/* Fill the tree of BUNDLE in the directory DEST, switch `current` to it, and remove the trees that no longer
 * stay. */
bool switch_fill(const struct options *options, const struct log *log, struct bundle *bundle,
                 struct dest *dest, unsigned workers, struct fault *fault);

/* Compare the tree that `current` leads to with BUNDLE, whose it must be. */
bool switch_verify(const struct options *options, const struct log *log, struct bundle *bundle,
                   struct dest *dest, unsigned workers, struct fault *fault);

/* If DEST is such a directory, whose `current` leads to a tree: open that as TREE, and read the names of the
 * trees that are kept to KEPT. Pass dest_close and releases_free when it returns true. False with FAULT set
 * only when that cannot be found out. */
bool switch_peek(const struct dest *dest, struct dest *tree, struct releases *kept, struct fault *fault);

#endif
