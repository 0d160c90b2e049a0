/* workers.h - how many workers this process may sensibly have. */
#ifndef DECANT_WORKERS_H
#define DECANT_WORKERS_H

#include <stdbool.h>
#include <stddef.h>

#include "fault.h"

/* The number of workers for jobs that take BYTES of memory each: at least 1, at most 8, no more than the
 * affinity mask, the CPU quota of the cgroups above us (v1 and v2), half of their memory limit and the
 * limit on open files allow. What cannot be read (no /proc, no /sys) does not limit. */
unsigned workers_allowed(size_t bytes);

/* Does this process's limit leave its first thread, which works, too, the stack that any other has, beside
 * arguments and environment? False with FAULT set (EXIT_INTERNAL): the kernel would end it in the middle of
 * its work. */
bool workers_stack(struct fault *fault);

#endif
