#include "metadata.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "dest.h"
#include "io.h"
#include "xattrs.h"

struct metadata metadata_of_entry(const struct entry *e)
{
	return (struct metadata){e->mode, e->uid, e->gid, e->mtime, e->nsec, e->xattrs};
}

struct metadata metadata_of_dir(const struct dir *dir)
{
	return (struct metadata){dir->mode, dir->uid, dir->gid, dir->mtime, dir->nsec, dir->xattrs};
}

/* What a file system cannot hold it cuts off. Its steps may be smaller than the times that the kernel has set
 * say: the root's (dest_open), and this one's. */
static bool same_time(const struct dest *d, const struct stat *st, const struct metadata *m)
{
	long want = (long)m->nsec;
	bool same = st->st_mtim.tv_nsec == want;

	for (long step = 100; step <= d->step && st->st_ctim.tv_nsec % step == 0 && !same; step *= 10)
		same = st->st_mtim.tv_nsec == want - want % step;
	return same && st->st_mtim.tv_sec == m->mtime;
}

unsigned dest_differs(const struct dest *d, int fd, const struct stat *st, const struct metadata *m)
{
	unsigned bits = 0;
	if (!S_ISLNK(st->st_mode) && (st->st_mode & MODE_MASK) != m->mode)
		bits |= DIFFERS_MODE;
	if (d->owners &&
	    (st->st_uid != m->uid || st->st_gid != m->gid || (fd >= 0 && !dest_owner_is(d, fd, st))))
		bits |= DIFFERS_OWNER;
	if (!same_time(d, st, m))
		bits |= DIFFERS_TIME;
	return bits;
}

/* Is a file with metadata M, before it has its group, to have less than its mode? */
static bool wants_less(const struct dest *d, const struct metadata *m, const struct habit *habit)
{
	return d->owners && !habit->closed && !(habit->made.known && habit->made.gid == m->gid) &&
	       mode_between(m->mode) != m->mode;
}

int dest_create(const struct dest *d, int dir, const char *name, const struct metadata *m,
                const struct habit *habit)
{
	/* The setid bits come last: a write would drop them; xattrs want the owner to be able to write. The
	 * umask is 0. */
	uint32_t mode = (m->mode & ~(uint32_t)SETID_MASK) | (m->xattrs.len ? 0200 : 0);
	return openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
	              wants_less(d, m, habit) ? mode_between(mode) : mode);
}

/* Both times: libfuse 2 ignores one alone, without an error. */
static void times_of(struct timespec times[2], const struct metadata *m)
{
	times[0] = (struct timespec){.tv_nsec = UTIME_NOW};
	times[1] = (struct timespec){.tv_sec = m->mtime, .tv_nsec = (long)m->nsec};
}

/* File systems clamp what they cannot hold, without an error (ext4: 1901 to 2446). Asked only for times that
 * some cannot, or to LOOK. AT, NAME and FLAGS as for fstatat. */
static bool keeps_time(const struct dest *d, int at, const char *name, int flags, const struct metadata *m,
                       bool look)
{
	struct stat st;

	if (!look && m->mtime >= 0 && m->mtime <= INT32_MAX)
		return true;
	if (fstatat(at, name, &st, flags) != 0)
		return false;
	errno = ERANGE;
	return same_time(d, &st, m);
}

/* An owner without a number in this user namespace is EINVAL, chown(2), and one that a mount has none for is
 * EOVERFLOW. */
static bool owned(int result)
{
	if (result != 0 && errno == EINVAL)
		errno = EOVERFLOW;
	return result == 0;
}

/* Owner and mode may be dropped without an error: by file systems that have none, and setgid bits where the
 * group is not one of the caller's, chmod(2). */
static bool took(const struct dest *d, int fd, const struct metadata *m, const char **action)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return false;
	unsigned bits = dest_differs(d, fd, &st, m);
	if (bits & DIFFERS_OWNER)
		*action = "set owner";
	errno = EPERM;
	return !(bits & (DIFFERS_OWNER | DIFFERS_MODE));
}

static bool is_owner(const struct owner *owner, const struct metadata *m)
{
	return owner->known && owner->uid == m->uid && owner->gid == m->gid;
}

/* Owner first, because a change of owner drops setid bits and capabilities; then xattrs, which the mode may
 * forbid to set; time last. LOOK: whether they come out right is not known from others. */
static bool set_metadata(const struct dest *d, int fd, const struct metadata *m, unsigned bits, bool look,
                         const char **action)
{
	struct timespec times[2];

	times_of(times, m);
	*action = "set owner";
	if ((bits & DIFFERS_OWNER) && !owned(fchown(fd, m->uid, m->gid)))
		return false;
	*action = "set xattr";
	if (m->xattrs.len && !xattrs_set(fd, m->xattrs))
		return false;
	*action = "set mode";
	if ((bits & DIFFERS_MODE) && fchmod(fd, m->mode) != 0)
		return false;
	if (look && (bits & (DIFFERS_OWNER | DIFFERS_MODE)) && !took(d, fd, m, action))
		return false;
	*action = "set time";
	if (!(bits & DIFFERS_TIME))
		return true;
	return futimens(fd, times) == 0 && keeps_time(d, fd, "", AT_EMPTY_PATH, m, look);
}

void habit_leave(struct habit *habit)
{
	*habit =
	    (struct habit){.closed = habit->closed, .given = habit->given, .given_link = habit->given_link};
}

/* Learn from file FD, made with M's mode, or LESS, what new files get here. Where modes are forced, they may
 * have all from the start. */
static bool learn(struct habit *habit, int fd, const struct metadata *m, bool *less)
{
	struct stat st;
	uint32_t mode = m->mode & 0777;

	if (fstat(fd, &st) != 0)
		return false;
	habit->made = (struct owner){true, st.st_uid, st.st_gid};
	*less = *less && ((st.st_mode & MODE_MASK) != m->mode || st.st_gid != m->gid);
	if ((st.st_mode & 0777) == (mode | (m->xattrs.len ? 0200 : 0)))
		habit->kept[mode / 64] |= UINT64_C(1) << mode % 64;
	return true;
}

bool dest_finish(const struct dest *d, int fd, const struct metadata *m, struct habit *habit,
                 const char **action)
{
	uint32_t mode = m->mode & 0777;
	unsigned bits = DIFFERS_TIME;
	bool less = wants_less(d, m, habit);
	uint64_t *seen = &(less ? habit->seen_less : habit->seen)[mode / 64], bit = UINT64_C(1) << mode % 64;
	bool look = !(*seen & bit);

	*action = "stat";
	if (look && !learn(habit, fd, m, &less))
		return false;
	*seen |= bit;
	if (d->owners && !is_owner(&habit->made, m)) {
		bits |= DIFFERS_OWNER;
		look = look || !is_owner(&habit->given, m);
	}
	if (less || !(habit->kept[mode / 64] & bit))
		bits |= DIFFERS_MODE;
	if ((m->mode & SETID_MASK) || (m->xattrs.len && !(mode & 0200))) {
		bits |= DIFFERS_MODE;
		look = true;
	}
	if (!set_metadata(d, fd, m, bits, look, action))
		return false;
	if (bits & DIFFERS_OWNER)
		habit->given = (struct owner){true, m->uid, m->gid};
	return true;
}

/* To the owner that M wants, from mode NOW by way of mode MEANWHILE. */
static bool change_group(int fd, const struct metadata *m, uint32_t now, uint32_t meanwhile)
{
	if (meanwhile == now)
		return true;
	/* It may be somebody else's, until root has it. */
	bool done =
	    fchmod(fd, meanwhile) == 0 ||
	    (errno == EPERM && m->uid == 0 && fchown(fd, 0, (gid_t)-1) == 0 && fchmod(fd, meanwhile) == 0);
	if (!done || owned(fchown(fd, m->uid, m->gid)))
		return done;
	int error = errno;
	(void)fchmod(fd, now);
	errno = error;
	return false;
}

bool dest_amend(const struct dest *d, int fd, const struct stat *st, const struct metadata *m,
                const char **action)
{
	unsigned bits = dest_differs(d, fd, st, m);

	/* Where something else changes, attributes are set unasked. */
	bool same = (!bits || !m->xattrs.len) && xattrs_match(fd, m->xattrs);
	if (same && !bits) /* it may be one that is not ours to change */
		return true;
	/* Setting any wants the file to be writable, also where it has the same already. */
	if (!same || ((bits & DIFFERS_OWNER) && (m->mode & SETID_MASK)))
		bits |= DIFFERS_MODE;
	/* Neither shall the new group have what the old one had, nor the old one what the new one shall. */
	uint32_t now = st->st_mode & MODE_MASK, meanwhile = now;
	if (d->owners && st->st_gid != m->gid)
		meanwhile = mode_between(now) & (mode_between(m->mode) | 07700);
	*action = "set owner";
	if (!change_group(fd, m, now, meanwhile))
		return false;
	if (meanwhile != m->mode)
		bits |= DIFFERS_MODE;
	if (!same) {
		*action = "set xattr";
		/* Whom the new mode shuts out shall not see what is new. */
		now = meanwhile;
		meanwhile = (now & (m->mode | 07700)) | 0200;
		if (meanwhile != now && fchmod(fd, meanwhile) != 0)
			return false;
		if (!xattrs_remove_extra(fd, m->xattrs))
			return false;
	}
	return set_metadata(d, fd, m, bits, true, action);
}

bool dest_shared(int dir, struct habit *habit)
{
	struct stat st;

	if (!habit->shared_known) {
		habit->shared_known = true;
		habit->shared = fstat(dir, &st) != 0 || (st.st_mode & 022) || st.st_uid != geteuid();
	}
	return habit->shared;
}

/* Give link NAME in DIR its owner, and look at what that has come to, as took does. */
static bool own_link(int dir, const char *name, const struct metadata *m, struct habit *habit)
{
	struct stat st;

	if (!owned(fchownat(dir, name, m->uid, m->gid, AT_SYMLINK_NOFOLLOW)))
		return false;
	if (is_owner(&habit->given_link, m))
		return true;
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return false;
	habit->given_link = (struct owner){true, st.st_uid, st.st_gid};
	errno = EPERM;
	return is_owner(&habit->given_link, m);
}

bool dest_symlink(const struct dest *d, int dir, const char *name, struct text target,
                  const struct metadata *m, struct habit *habit, const char **action)
{
	struct timespec times[2];
	char to[PATH_LEN_MAX + 1];
	struct stat st;

	text_terminate(to, target);
	*action = "create symbolic link";
	if (symlinkat(to, dir, name) != 0)
		return false;
	*action = "stat";
	if (d->owners && !habit->made.known) {
		if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
			return false;
		habit->made = (struct owner){true, st.st_uid, st.st_gid};
	}
	*action = "set owner";
	if (d->owners && !is_owner(&habit->made, m) && !own_link(dir, name, m, habit))
		return false;
	*action = "set time";
	times_of(times, m);
	return utimensat(dir, name, times, AT_SYMLINK_NOFOLLOW) == 0 &&
	       keeps_time(d, dir, name, AT_SYMLINK_NOFOLLOW, m, false);
}
