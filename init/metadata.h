/* metadata.h - mode, owner, xattrs and times of what is in a volume, with as few calls as will do. Part of
 * dest.h, whose rules hold here, too. */
#ifndef DECANT_METADATA_H
#define DECANT_METADATA_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "index.h"

struct dest;

/* Metadata that an entry shall have. */
struct metadata {
	uint32_t mode, uid, gid;
	int64_t mtime;
	uint32_t nsec;
	struct text xattrs;
};
struct metadata metadata_of_entry(const struct entry *entry);
struct metadata metadata_of_dir(const struct dir *dir);

/* What differs between what ST says and what META wants: bits, 0 when nothing does. Owners count only
 * where DEST applies them, modes not for symbolic links. FD is what ST describes, open, or -1. */
enum { DIFFERS_MODE = 1, DIFFERS_OWNER = 2, DIFFERS_TIME = 4 };
unsigned dest_differs(const struct dest *dest, int fd, const struct stat *st, const struct metadata *meta);

/* New files made by this process in one directory get an owner and perhaps a mode that depend on the
 * directory (setgid, default ACL, mount options). This is learnt from the first file, so that the others
 * cost no call to find out. */
struct owner {
	bool known;
	uint32_t uid, gid;
};
struct habit {
	bool closed;                    /* nobody else can come to them before they are finished */
	bool shared_known, shared;      /* others may rename here */
	struct owner made;              /* what new files get */
	struct owner given, given_link; /* what a file, and a link, were last seen to take */
	/* A bit per permission mode: seen here; the same of files made with less than it; came out as asked
	 * for. */
	uint64_t seen[8], seen_less[8], kept[8];
};
/* On to another directory: what the file system takes is the same there. */
void habit_leave(struct habit *habit);

/* MODE for something new, until it has its group: that others than this process's user have no more rights
 * than both the group and all others shall have. */
static inline uint32_t mode_between(uint32_t mode)
{
	uint32_t both = mode >> 3 & mode & 7;
	return (mode & ~(uint32_t)077) | both << 3 | both;
}
/* Make file NAME in DIR, new (O_EXCL), for writing, with META's mode or, where HABIT does not show that it
 * has its group, what is to be granted meanwhile. Returns its descriptor. */
int dest_create(const struct dest *dest, int dir, const char *name, const struct metadata *meta,
                const struct habit *habit);
/* Give the finished file FD its owner, mode, xattrs and time: the calls that HABIT shows to
 * be needed, and no other. HABIT is as dest_create had it, or knows less. *ACTION names the call that failed.
 */
bool dest_finish(const struct dest *dest, int fd, const struct metadata *meta, struct habit *habit,
                 const char **action);
/* Bring FD's metadata to META where ST says that it differs, and its xattrs. Where the group or these change,
 * it has no more of its mode meanwhile than it had and is to have. */
bool dest_amend(const struct dest *dest, int fd, const struct stat *st, const struct metadata *meta,
                const char **action);

/* May others rename what is in DIR? */
bool dest_shared(int dir, struct habit *habit);
/* Make symbolic link NAME in DIR, with owner and time, which go by the name: not where DIR is shared. TARGET
 * need not be NUL-terminated. */
bool dest_symlink(const struct dest *dest, int dir, const char *name, struct text target,
                  const struct metadata *meta, struct habit *habit, const char **action);

#endif
