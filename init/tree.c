#include "tree.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io.h"
#include "path.h"

size_t tree_path(const struct tree *t, uint32_t dir, const char *name, char *out)
{
	char path[PATH_LEN_MAX + 1];
	size_t at = sizeof path, len = name ? strlen(name) : 0;

	if (len >= at)
		return 0;
	at -= len;
	if (len)
		memcpy(path + at, name, len);
	for (; dir != 0; dir = t->dirs[dir].node.parent) {
		const struct node *node = &t->dirs[dir].node;
		bool slash = at < sizeof path;
		len = strlen(node->name);
		if (len + slash >= at)
			return 0;
		if (slash)
			path[--at] = '/';
		at -= len;
		memcpy(path + at, node->name, len);
	}
	memcpy(out, path + at, sizeof path - at);
	out[sizeof path - at] = '\0';
	return sizeof path - at;
}

/* Without openat2: one component after another, none of them a link. */
static int walk(int root, const char *path, int flags)
{
	char name[PATH_LEN_MAX + 1];
	int dir = openat(root, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);

	for (const char *at = path; dir >= 0 && at;) {
		at = path_step(at, name);
		int next = openat(dir, name, (at ? O_PATH | O_DIRECTORY : flags) | O_NOFOLLOW | O_CLOEXEC);
		int error = errno;
		close(dir);
		errno = error;
		dir = next;
	}
	return dir;
}

int tree_open(const struct tree *t, const char *path, int flags)
{
	int fd = open_beneath(t->root, path, flags, 0);
	return fd < 0 && (errno == ENOSYS || errno == EPERM) ? walk(t->root, path, flags) : fd;
}

static const char *full_path(const struct tree *t, const char *path, char out[2 * PATH_LEN_MAX])
{
	snprintf(out, 2 * PATH_LEN_MAX, "%s%s%s", t->path, *path ? "/" : "", path);
	return out;
}

bool tree_fault(const struct tree *t, const char *path, enum exit_code code, const char *action,
                const char *reason, struct fault *fault)
{
	char object[2 * PATH_LEN_MAX];
	return fault_set(fault, code, full_path(t, path, object), action, "%s", reason);
}

bool tree_failed(const struct tree *t, const char *path, const char *action, struct fault *fault)
{
	char object[2 * PATH_LEN_MAX];
	int error = errno;
	return fault_errno(fault, error, full_path(t, path, object), action);
}

bool tree_changed(const struct tree *t, const char *path, struct fault *fault)
{
	return tree_fault(t, path, EXIT_IO, "read", "changed while it was read", fault);
}

bool tree_lost(const struct tree *t, const char *path, const char *action, struct fault *fault)
{
	/* ENXIO: a socket. */
	bool gone = errno == ENOENT || errno == ENOTDIR || errno == ELOOP || errno == EXDEV || errno == ENXIO;
	return gone ? tree_changed(t, path, fault) : tree_failed(t, path, action, fault);
}

static bool is_settled(const struct tree *t, const char *path, struct timespec scanned, struct fault *fault)
{
	struct stat now;

	if (!stop_check(fault))
		return false;
	if (fstatat(t->root, *path ? path : ".", &now, AT_SYMLINK_NOFOLLOW) != 0)
		return tree_lost(t, path, "stat", fault);
	return same_instant(now.st_ctim, scanned) || tree_changed(t, path, fault);
}

bool tree_settled(const struct tree *t, struct fault *fault)
{
	char path[PATH_LEN_MAX + 1] = "";
	bool done = true;

	for (uint32_t i = 0; done && i < t->dir_count; i++) {
		tree_path(t, i, NULL, path);
		done = is_settled(t, path, t->dirs[i].changed, fault);
	}
	for (uint32_t i = 0; done && i < t->empty_count; i++)
		done = is_settled(t, t->empty[i].node.name, t->empty[i].changed, fault);
	for (uint32_t i = 0; done && i < t->entry_count; i++) {
		const struct tree_entry *e = &t->entries[i];
		tree_path(t, e->node.parent, e->node.name, path);
		/* A hard link is the inode of another entry. */
		done = e->type == ENTRY_HARDLINK || is_settled(t, path, e->changed, fault);
	}
	return done;
}

void tree_free(struct tree *t)
{
	for (uint32_t i = 0; i < t->empty_count; i++)
		free(t->empty[i].node.name);
	free(t->empty);
	for (uint32_t i = 0; i < t->dir_count; i++) {
		free(t->dirs[i].node.name);
		free(t->dirs[i].node.xattrs);
	}
	for (uint32_t i = 0; i < t->entry_count; i++) {
		free(t->entries[i].node.name);
		free(t->entries[i].node.xattrs);
		free(t->entries[i].target);
	}
	free(t->dirs);
	free(t->entries);
	close_fd(&t->root);
	*t = (struct tree){.root = -1, .path = t->path};
}
