/* publish.h - gives names: directories, the files that wait in .decant/tmp, hard links, and last the
 * directories' own modes and times. */
#ifndef DECANT_PUBLISH_H
#define DECANT_PUBLISH_H

#include "fill.h"

/* Remove the files and links that are to be replaced, and the hard links to them, where the fill has CLAIMED
 * them; the plan is then an old one. Directories in their places stay for later. */
bool publish_room(struct fill *fill, struct fault *fault);
/* Make the directories that are missing, parents first. Until publish_dirs they are open to their owner; to
 * others less than they shall be where the group may be another, in a filled volume only as long as nothing
 * is in them, if this process can see to that. */
bool publish_mkdirs(struct fill *fill, struct fault *fault);
/* Give the files in tmp their names: first all that are new, hard links among them, so that what names them
 * finds them; then those that replace or amend something. */
bool publish_new(struct fill *fill, struct fault *fault);
bool publish_changed(struct fill *fill, struct fault *fault);
/* Make the hard links that are not there yet, or not right; their targets all are. */
bool publish_links(struct fill *fill, struct fault *fault);
/* Modes, owners, xattrs and times of all directories, children first. */
bool publish_dirs(struct fill *fill, struct fault *fault);

#endif
