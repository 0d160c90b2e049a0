/* recent.h - whether the time of an inode's last change, its ctime, can tell of the next one. File systems
 * take it from the kernel's coarse clock, whose tick is at most 10 ms, and some keep whole seconds, or every
 * second one: ext4 with inodes of 128 bytes, FAT. What changes once more within such a step gets the same
 * ctime again. */
#ifndef DECANT_RECENT_H
#define DECANT_RECENT_H

#include <stdbool.h>
#include <time.h>

#include "fault.h"

/* Could what changes now get the same ctime? One in the future, as where a clock was set back, counts as old:
 * nothing is known of it. */
bool is_recent(struct timespec ctime);
/* Wait until it is no longer recent, 3 s at the most. False is for a signal alone. */
bool outlast(struct timespec ctime, struct fault *fault);

#endif
