/* lock.c - the part of state.h that deals with whose .decant is, and who works in it now. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "state.h"
#include "stop.h"

bool state_private(const struct state *s, int fd, const struct stat *st)
{
	return (st->st_uid == geteuid() || st->st_uid == 0) && (st->st_mode & 022) == 0 &&
	       dest_owner_is(s->dest, fd, st);
}

bool state_refuse(const struct state *s, struct fault *fault, const char *name)
{
	char path[STATE_PATH_SIZE];

	return fault_set(fault, EXIT_VOLUME, state_path(s, name, path), "open",
	                 "belongs to, or can be written by, somebody else");
}

/* Whose is .decant, and who else could write to it, or to the volume's root? What has once been seen counts.
 */
static bool look(struct state *s, struct fault *fault)
{
	struct stat st;

	if (fstat(s->dir, &st) != 0)
		return state_fault(s, fault, "", "open");
	/* Ours, but open to others, as a kubelet makes all of a persistent volume for fsGroup: not any more.
	 * When they could write to it, its sticky bit says so until a fill has ended. */
	mode_t mode = st.st_mode & (022 | S_ISVTX) ? 01700 : 0700;
	if (st.st_uid == geteuid() && (st.st_mode & 01777) != mode && fchmod(s->dir, mode) == 0)
		st.st_mode = mode;
	if (!state_private(s, s->dir, &st))
		return state_refuse(s, fault, "");
	s->exposed = s->exposed || (st.st_mode & S_ISVTX);
	if (fstat(s->dest->root, &st) != 0)
		return state_fault(s, fault, "", "open");
	if ((st.st_mode & (S_IWGRP | S_ISVTX)) == S_IWGRP)
		s->group = st.st_gid;
	return true;
}

static bool take_lock(struct state *s, unsigned timeout, struct fault *fault)
{
	static const struct timespec pause = {.tv_nsec = 20 * 1000 * 1000};
	/* Shows how much of a time the file system keeps: dest_look. */
	static const struct timespec times[2] = {{.tv_nsec = UTIME_NOW}, {.tv_nsec = 111111111}};
	struct timespec now, end;
	struct stat st, dir, found = {.st_ino = 0};

	/* For writing, because NFS locks no other so, flock(2); but where somebody took that right away from
	 * all of a volume, for reading. */
	s->lock = openat(s->dir, "lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
	if (s->lock < 0 && errno == EACCES)
		s->lock = openat(s->dir, "lock", O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (s->lock < 0 || fstat(s->lock, &st) != 0)
		return state_fault(s, fault, "lock", "open");
	errno = ENOTDIR;
	if (!S_ISREG(st.st_mode) || st.st_nlink != 1)
		return fault_set(fault, EXIT_VOLUME, s->dest->path, "lock",
		                 STATE_DIR "/lock is not a plain file");
	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += timeout;
	while (flock(s->lock, LOCK_EX | LOCK_NB) != 0) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return state_fault(s, fault, "lock", "lock");
		if (!stop_check(fault))
			return false;
		clock_gettime(CLOCK_MONOTONIC, &now);
		if (now.tv_sec > end.tv_sec || (now.tv_sec == end.tv_sec && now.tv_nsec >= end.tv_nsec))
			return fault_set(fault, EXIT_LOCKED, s->dest->path, "lock",
			                 "another fill of this volume has not ended within %u s", timeout);
		nanosleep(&pause, NULL);
	}
	/* What is locked must be what the next one finds: nobody has removed it, or .decant, meanwhile. */
	if (fstat(s->lock, &st) != 0 || fstat(s->dir, &dir) != 0 ||
	    (fstatat(s->dest->root, STATE_DIR, &found, AT_SYMLINK_NOFOLLOW) != 0 && errno != ENOENT))
		return state_fault(s, fault, "lock", "stat");
	if (st.st_nlink != 1 || found.st_ino != dir.st_ino || found.st_dev != dir.st_dev)
		return fault_set(fault, EXIT_VOLUME, s->dest->path, "lock",
		                 STATE_DIR "/lock was removed meanwhile");
	if (st.st_mtim.tv_nsec != times[1].tv_nsec)
		(void)futimens(s->lock, times);
	return true;
}

bool state_lock(struct state *s, const struct dest *dest, unsigned timeout, struct fault *fault)
{
	state_init(s, dest);
	bool made = dest_mkdir(dest->root, STATE_DIR, 0700);
	if (!made && errno == EACCES) {
		dest_unlock(dest, ".");
		made = dest_mkdir(dest->root, STATE_DIR, 0700);
	}
	if (!made && errno != EEXIST)
		return state_fault(s, fault, "", "create");
	s->dir = dest_child(dest, dest->root, STATE_DIR, O_RDONLY);
	if (s->dir < 0)
		return state_fault(s, fault, "", "open");
	/* Once more when it is ours: a kubelet may have opened it to a group while the lock was waited for.
	 */
	return look(s, fault) && take_lock(s, timeout, fault) && look(s, fault);
}

bool state_group_may(const struct state *s, int dir, bool remove)
{
	struct stat st;

	if (fstat(dir, &st) != 0)
		return false;
	if (st.st_gid != s->group)
		return !remove && (st.st_mode & S_IXOTH);
	return (st.st_mode & S_IXGRP) && !(remove && (st.st_mode & (S_IWGRP | S_ISVTX)) != S_IWGRP);
}

bool state_heal(struct state *s, struct fault *fault)
{
	return !s->exposed || fchmod(s->dir, 0700) == 0 || state_fault(s, fault, "", "set mode");
}
