/* node_xattrs.h - reads the extended attributes of a source file as the index has them. */
#ifndef DECANT_NODE_XATTRS_H
#define DECANT_NODE_XATTRS_H

#include <stdbool.h>

#include "tree.h"

/* Those of the open file or directory FD, to NODE, which has none yet: by a path they could come to be
 * another file's. With SETID its capabilities, too; then NODE is marked. False with *REASON why they cannot
 * be packed, or without one, and errno: EAGAIN when they changed meanwhile. */
bool node_xattrs(struct node *node, int fd, bool setid, const char **reason);

#endif
