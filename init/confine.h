/* confine.h - gives up what a fill does not need, before the first byte of a volume is written. */
#ifndef DECANT_CONFINE_H
#define DECANT_CONFINE_H

#include <stdbool.h>
#include <stddef.h>

/* From now on this process gains no privileges by exec (no_new_privs), and, where the kernel has Landlock
 * (ABI 2, Linux 5.19, or later), reaches no file but those below the COUNT directories open as ROOTS, and
 * those it has open already. A kernel without Landlock, or a filter that refuses it, is no error: this is a
 * second line of defence. Call it before the first thread starts. */
void confine(const int *roots, size_t count);

#endif
