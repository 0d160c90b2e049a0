/* xattrs.h - the extended attributes of an open file against a set of the index. Only names that a bundle may
 * hold count: user.* and security.capability; others belong to the system. */
#ifndef DECANT_XATTRS_H
#define DECANT_XATTRS_H

#include <stdbool.h>

#include "index.h"

/* Has FD the attributes of SET, and no other? */
bool xattrs_match(int fd, struct text set);
bool xattrs_same_value(int fd, const struct xattr *xattr);
/* One that it has and SET has not, to NAME (NAME_LEN_MAX + 1 bytes). */
bool xattrs_extra(int fd, struct text set, char *name);

/* Set those of SET; remove those that are not in it. False with errno. */
bool xattrs_set(int fd, struct text set);
bool xattrs_remove_extra(int fd, struct text set);

#endif
