#include "node_xattrs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

#include "bytes.h"
#include "format.h"

/* The bundle's namespaces. A server may tell a name that is "user." alone, which is of none. */
static bool is_kept(const char *name, bool setid)
{
	return (strncmp(name, "user.", 5) == 0 && name[5]) ||
	       (setid && strcmp(name, "security.capability") == 0);
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Append the attribute NAME of FD to the node's set. */
static bool add(struct node *node, int fd, const char *name)
{
	size_t name_len = strlen(name);
	ssize_t len = fgetxattr(fd, name, NULL, 0);
	if (len < 0 || name_len > NAME_LEN_MAX ||
	    node->xattr_len + name_len + 5 + (size_t)len > XATTR_SET_MAX) {
		errno = len < 0 ? errno : E2BIG;
		return false;
	}
	unsigned char *set = realloc(node->xattrs, node->xattr_len + name_len + 5 + (size_t)len);
	if (!set)
		return false;
	node->xattrs = set;
	set += node->xattr_len;
	set[0] = (unsigned char)name_len;
	memcpy(set + 1, name, name_len);
	put32(set + 1 + name_len, (uint32_t)len);
	if (len && fgetxattr(fd, name, set + 5 + name_len, (size_t)len) != len) {
		errno = EAGAIN;
		return false;
	}
	node->xattr_len += (uint32_t)(name_len + 5 + (size_t)len);
	return true;
}

bool node_xattrs(struct node *node, int fd, bool setid, const char **reason)
{
	char list[XATTR_SET_MAX + 1], *names[XATTRS_MAX];
	size_t count = 0;

	ssize_t len = flistxattr(fd, list, XATTR_SET_MAX);
	if (len < 0)
		return errno == EOPNOTSUPP;
	list[len] = '\0'; /* a file system that is a server's may have left that out */
	for (char *at = list; at < list + len; at += strlen(at) + 1) {
		if (!is_kept(at, setid))
			continue;
		if (strpbrk(at, "=%"))
			*reason = "has an xattr with = or % in its name, which tar programs read as another";
		else if (count == XATTRS_MAX)
			*reason = "has more than 256 xattrs";
		if (*reason)
			return false;
		names[count++] = at;
	}
	qsort(names, count, sizeof *names, compare_names);
	for (size_t i = 0; i < count; i++) {
		/* A file system that is a server's may tell a name twice. */
		if (i && strcmp(names[i - 1], names[i]) == 0) {
			errno = EAGAIN;
			return false;
		}
		if (!add(node, fd, names[i])) {
			if (errno == E2BIG)
				*reason = "has more than 64 KiB of xattrs";
			return false;
		}
		node->setid = node->setid || names[i][0] == 's';
	}
	return true;
}
