/* fill.h - makes a volume what a bundle says, in this order:
 *
 *   lock, look at the state, plan (plan.h), free space, journal: the tree is as it was
 *   a new volume: directories, then files under their names
 *   else: files into .decant/tmp, the state dropped, then directories, new names (hard links, too), replaced
 *   names; hard links, removals, directories' modes and times, the state
 *
 * so that a reader of a volume that was filled before never sees half a file, and that whatever stops a
 * fill, the next one knows what it may not believe. */
#ifndef DECANT_FILL_H
#define DECANT_FILL_H

#include <stdbool.h>

#include "bundle.h"
#include "dest.h"
#include "fault.h"
#include "log.h"
#include "options.h"
#include "plan.h"
#include "state.h"

struct fill {
	const struct options *options;
	const struct log *log;
	struct bundle *bundle;
	struct dest *dest;
	struct state state;
	struct plan plan; /* empty when FRESH */
	bool fresh;       /* the volume held nothing: files are made under their names */
	/* In a volume that a first fill left which did not end, and that nobody reads: for each entry, is its
	 * name in a journal? Else NULL; owned. */
	uint8_t *claimed;
	unsigned workers;
	struct progress_state progress;
};

/* Does BUNDLE have what OPTIONS do not accept? Then false. To be asked of every bundle of a run before the
 * first volume is filled. */
bool fill_allowed(const struct options *options, const struct bundle *bundle, struct fault *fault);

/* Fill the volume DEST from BUNDLE and log a summary. */
bool fill_volume(const struct options *options, const struct log *log, struct bundle *bundle,
                 struct dest *dest, unsigned workers, struct fault *fault);

#endif
