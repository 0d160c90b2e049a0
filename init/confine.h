/* confine.h - gives up what a fill does not need, before the first byte of a volume is written. */
#ifndef DECANT_CONFINE_H
#define DECANT_CONFINE_H

#include <stdbool.h>
#include <stddef.h>

/* Make what relocation wrote read-only, at the start: the addresses that function pointers are taken from. A
 * dynamic program's loader does that; musl's start of a static one does not. */
void confine_relocated(void);

/* KEPT holds COUNT descriptors, the first ROOTS of them of directories. From now on this process
 * - gains no privileges by exec (no_new_privs);
 * - has no other descriptor above 2 open (Linux 5.9 or later);
 * - has at most the capabilities that a fill needs: CAP_CHOWN, DAC_OVERRIDE, FOWNER, FSETID, SETFCAP;
 * - reaches no file but those below the ROOTS and those it has open, where the kernel has Landlock (ABI 2,
 *   Linux 5.19, or later).
 * A kernel that lacks one of these, or a filter that refuses it, is no error: this is a second line of
 * defence. Call it before the first thread starts. */
void confine(const int *kept, size_t count, size_t roots);

#endif
