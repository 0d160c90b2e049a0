#include "xattrs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

#include "stop.h"

enum { PASSES_MAX = 64 };

/* The names of xattrs that a bundle may hold, and that are so decant's to set and to remove. */
static bool is_managed(const char *name)
{
	return strncmp(name, "user.", 5) == 0 || strcmp(name, "security.capability") == 0;
}

static bool has_name(struct text set, const char *name)
{
	struct xattr x;
	while (xattr_next(&set, &x))
		if (strlen(name) == x.name.len && memcmp(name, x.name.s, x.name.len) == 0)
			return true;
	return false;
}

/* One name that FD has and SET has not, to NAME, or "". With REMOVE all of the list are removed, and it is
 * the last of them. */
static bool extra(int fd, struct text set, char *name, bool remove)
{
	char list[XATTR_SET_MAX + 1];
	ssize_t len = flistxattr(fd, list, XATTR_SET_MAX);

	*name = '\0';
	/* E2BIG: more than the kernel can list. */
	if (len < 0)
		return errno == ENOTSUP;
	/* The list comes from the file system, which may be a server's: neither the last NUL nor the length
	 * of a name, which listxattr(2) does not bound, can be relied on. */
	list[len] = '\0';
	for (char *at = list; at < list + len && (remove || !*name); at += strlen(at) + 1) {
		if (!is_managed(at) || has_name(set, at))
			continue;
		if (strlen(at) > NAME_LEN_MAX) {
			errno = E2BIG;
			return false;
		}
		memcpy(name, at, strlen(at) + 1);
		if (!remove)
			continue;
		errno = EINTR;
		if (stop_requested() || (fremovexattr(fd, name) != 0 && errno != ENODATA))
			return false;
	}
	return true;
}

bool xattrs_extra(int fd, struct text set, char *name)
{
	return extra(fd, set, name, false);
}

bool xattrs_same_value(int fd, const struct xattr *x)
{
	char name[NAME_LEN_MAX + 1], *value = malloc(x->value.len + 1);

	text_terminate(name, x->name);
	ssize_t len = value ? fgetxattr(fd, name, value, x->value.len + 1) : -1;
	bool same = len == (ssize_t)x->value.len && memcmp(value, x->value.s, x->value.len) == 0;
	free(value);
	if (len >= 0)
		errno = ERANGE;
	return same;
}

bool xattrs_match(int fd, struct text set)
{
	char name[NAME_LEN_MAX + 1];
	struct text rest = set;
	struct xattr x;

	while (xattr_next(&rest, &x))
		if (!xattrs_same_value(fd, &x))
			return false;
	return xattrs_extra(fd, set, name) && !*name;
}

bool xattrs_set(int fd, struct text set)
{
	char name[NAME_LEN_MAX + 1];
	struct xattr x;
	while (xattr_next(&set, &x)) {
		text_terminate(name, x.name);
		if (fsetxattr(fd, name, x.value.s, x.value.len, 0) != 0)
			return false;
		/* The kernel may read capabilities as others than were set: those of the reader's own root.
		 */
		if (*name == 's' && !xattrs_same_value(fd, &x))
			return false;
	}
	return true;
}

bool xattrs_remove_extra(int fd, struct text set)
{
	char name[NAME_LEN_MAX + 1];

	/* Who sets them as fast as they go is not waited for. */
	for (unsigned passes = 0; passes < PASSES_MAX; passes++) {
		if (!extra(fd, set, name, true))
			return false;
		if (!*name)
			return true;
	}
	errno = EBUSY;
	return false;
}
