/* spelling.h - finds what a volume that ignores case, or forms of Unicode, does not call as the bundle does.
 */
#ifndef DECANT_SPELLING_H
#define DECANT_SPELLING_H

#include "bundle.h"
#include "dest.h"
#include "fault.h"

/* What directory DIR, of any flags, lists. Of volumes that take no spelling for another that is not asked:
 * then NAMES is empty. False with errno. */
bool spelling_read(const struct dest *dest, int dir, struct names *names);
/* Is NAME among them just so? On other volumes: true. */
bool spelling_is(const struct dest *dest, const struct names *names, struct text name);

/* Call VISIT for each name of the bundle that its directory, NUMBER, which is open as FD, does not list just
 * so. Directories that are not there are left out. Stops, with false, when VISIT returns false. */
bool spelling_all(struct bundle *bundle, const struct dest *dest,
                  bool (*visit)(void *context, uint32_t number, int fd, const char *name,
                                struct fault *fault),
                  void *context, struct fault *fault);

#endif
