/* strangers.h - what is in a volume and not in a bundle. */
#ifndef DECANT_STRANGERS_H
#define DECANT_STRANGERS_H

#include "bundle.h"
#include "dest.h"
#include "fault.h"

/* Call VISIT for each name in directory NUMBER, which is open as FD, that the bundle does not have there,
 * in the order of the names; .decant and lost+found at the root are nobody's strangers. Stops, with false,
 * when VISIT returns false. READER is used for the directory's blocks. */
bool strangers_in(struct reader *reader, uint32_t number, int fd, const struct dest *dest,
                  bool (*visit)(void *context, uint32_t number, int fd, const char *name,
                                struct fault *fault),
                  void *context, struct fault *fault);

/* The same for all directories that are there, parents first. */
bool strangers_all(struct bundle *bundle, const struct dest *dest,
                   bool (*visit)(void *context, uint32_t number, int fd, const char *name,
                                 struct fault *fault),
                   void *context, struct fault *fault);

#endif
