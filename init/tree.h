/* tree.h - a source tree as decant-pack sees it: what scan.h fills in, and the others read. */
#ifndef DECANT_TREE_H
#define DECANT_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "fault.h"
#include "format.h"

#define NO_NODE UINT32_MAX

/* Everything that can be said of a directory or an entry without reading content. Strings are owned by the
 * tree and NUL-terminated. */
struct node {
	char *name;
	uint32_t parent;         /* number of the directory that it is in */
	uint32_t mode, uid, gid; /* as they go into the bundle */
	int64_t mtime;
	uint32_t nsec;
	bool setid;            /* it has bits, or capabilities, that need --setid */
	unsigned char *xattrs; /* the set as the index has it, or NULL */
	uint32_t xattr_len;
};

struct tree_dir {
	struct node node;
	uint32_t first, count;   /* its entries */
	struct timespec changed; /* its ctime, when it was scanned */
};

struct tree_entry {
	struct node node;
	enum entry_type type;
	uint64_t size; /* file: bytes; hard link: the number of the entry it equals */
	char *target;  /* symbolic link */
	/* What the file was when it was scanned; it must still be so after it has been read. */
	uint64_t dev, ino;
	struct timespec changed, modified;
	/* Set while packing. */
	unsigned char hash[16];
	unsigned flags;
	uint32_t offset;
	uint64_t disk; /* bytes in 4,096-byte steps, less what holes may leave out */
};

struct tree {
	int root;                   /* descriptor of the source directory */
	const char *path;           /* as the user named it */
	struct tree_dir *dirs;      /* in pre-order */
	struct tree_entry *entries; /* by directory, then by name */
	uint32_t dir_count, dir_room, entry_count, entry_room;
	/* Directories that were looked into and are left out, for there was nothing to pack in them. The name
	 * is the whole path. */
	struct tree_dir *empty;
	uint32_t empty_count, empty_room;
	uint32_t special, setid_dropped; /* how many were left out, or lost bits */
	bool has_setid;
};

/* The path of DIR (0: "") below the root, or of NAME in it; OUT has PATH_LEN_MAX + 1 bytes. Returns its
 * length, or 0 where it would not fit. The root's own path is the empty string. */
size_t tree_path(const struct tree *tree, uint32_t dir, const char *name, char *out);
/* Open PATH of the tree, which is "." or "a/b", through no symbolic link. -1 with errno. */
int tree_open(const struct tree *tree, const char *path, int flags);
/* After all has been read: is everything in the tree still what it was when it was scanned? Then the tree was
 * like this at one moment. A change betrays itself by the inode's ctime, if that was no longer recent
 * (recent.h) when the reading began; what came, went, or was exchanged, by that of its directory. */
bool tree_settled(const struct tree *tree, struct fault *fault);
void tree_free(struct tree *tree);

/* Faults of PATH, the root's "" among them, which is named behind the tree's own path. Each returns false. */
bool tree_fault(const struct tree *tree, const char *path, enum exit_code code, const char *action,
                const char *reason, struct fault *fault);
/* As errno says. */
bool tree_failed(const struct tree *tree, const char *path, const char *action, struct fault *fault);
bool tree_changed(const struct tree *tree, const char *path, struct fault *fault);
/* As errno says of an open or a stat: what was there when it was listed, and is not any more, has changed. */
bool tree_lost(const struct tree *tree, const char *path, const char *action, struct fault *fault);

#endif
