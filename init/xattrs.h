/* xattrs.h - the extended attributes of an open file against a set of the index. Only names that a bundle may
 * hold count: user.* and security.capability; others belong to the system. */
#ifndef DECANT_XATTRS_H
#define DECANT_XATTRS_H

#include <stdbool.h>

#include "index.h"

/* Has FD the attributes of SET, and no other? False also when that cannot be found out. */
bool xattrs_match(int fd, struct text set);
/* Of one of them. False with errno: ERANGE for another value, ENODATA or EOPNOTSUPP for none, and else when
 * it cannot be found out. */
bool xattrs_same_value(int fd, const struct xattr *xattr);
/* One that it has and SET has not, to NAME (NAME_LEN_MAX + 1 bytes); "" when there is none. False with errno
 * when they cannot be listed; that the file system has no attributes is no error. */
bool xattrs_extra(int fd, struct text set, char *name);

/* Set those of SET; remove those that are not in it. False with errno. */
bool xattrs_set(int fd, struct text set);
bool xattrs_remove_extra(int fd, struct text set);

#endif
