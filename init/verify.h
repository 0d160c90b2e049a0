/* verify.h - compares a volume with a bundle's index; reads everything, writes nothing, needs no state. */
#ifndef DECANT_VERIFY_H
#define DECANT_VERIFY_H

#include <stdbool.h>

#include "bundle.h"
#include "dest.h"
#include "fault.h"
#include "log.h"
#include "options.h"

/* Print each difference to standard output, "KIND: PATH[: DETAIL]", in the order of the index, and a summary
 * to the log. False with EXIT_DIFFERENT when there is one. */
bool verify_volume(const struct options *options, const struct log *log, struct bundle *bundle,
                   struct dest *dest, unsigned workers, struct fault *fault);

#endif
