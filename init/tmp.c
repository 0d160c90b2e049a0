/* tmp.c - the part of state.h that deals with .decant/tmp. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io.h"
#include "names.h"
#include "state.h"
#include "stop.h"

enum { ROUNDS_MAX = 100000, TRIES_MAX = 1000000, PIECES_MAX = 128 };

bool state_discard(struct state *s, int dir, const char *name)
{
	char to[32];
	int into = s->tmp >= 0 ? s->tmp : s->dir;
	/* A name is taken when somebody plants it, or when a purge that did not end left it; the next one
	 * will do. Each number is tried once. */
	for (unsigned tries = 0; tries < TRIES_MAX; tries++) {
		snprintf(to, sizeof to, "trash-%u", s->discarded++);
		if (dest_rename(dir, name, into, to))
			return true;
		/* A directory that may not be written to cannot get another "..". In .decant it can stay. */
		if (errno == EACCES && tries == 0)
			dest_unlock_child(s->dest, dir, name);
		else if (errno == EACCES && dir == s->dir && into != dir)
			into = dir;
		else if (errno != EEXIST && errno != ENOTEMPTY && errno != ENOTDIR && errno != EISDIR)
			return false;
	}
	return false;
}

/* Directory NAME of DIR becomes one that its owner may empty, if he is who runs this. One that may not be
 * read cannot be opened for fchmod(2), and by its name chmod(2) would follow a link that was put there; so it
 * goes by proc_pid_fd(5), if there is a /proc. */
static void seize(const struct state *s, int dir, const char *name)
{
	int fd = s->dest->overrides ? -1 : dest_child(s->dest, dir, name, O_PATH);
	char magic[32];
	struct stat st;

	snprintf(magic, sizeof magic, "/proc/self/fd/%d", fd);
	if (fd >= 0 && fstat(fd, &st) == 0 && (st.st_mode & 0700) != 0700)
		(void)fchmodat(AT_FDCWD, magic, 0700, 0);
	close_fd(&fd);
}

/* What something is mounted on, or what this process may not remove, came here with the directory that was
 * above it, and harms nobody; nor does one that somebody has open, and keeps adding to. */
static bool stays(int error)
{
	return error == EBUSY || error == EACCES || error == EPERM || error == ENOTEMPTY || error == EEXIST;
}

/* Remove some of what is in DIR: *COUNT names were tried, *LEFT of them stay. False with errno when something
 * else is wrong. */
static bool purge_some(struct state *s, int dir, uint32_t *count, uint32_t *left)
{
	struct names names;
	bool done = names_some(dir, &names);

	*count = done ? names.count : 0;
	*left = 0;
	for (uint32_t i = 0; done && i < names.count && !stop_requested(); i++) {
		const char *inner = names_get(&names, i).s;
		done = dest_unlink(dir, inner) || errno == ENOENT;
		if (!done && (errno == EISDIR || errno == EPERM)) {
			seize(s, dir, inner);
			done = state_discard(s, dir, inner);
		}
		if (!done && stays(errno)) {
			done = true;
			++*left;
		}
	}
	int error = errno;
	names_free(&names);
	errno = error;
	return done;
}

/* Remove directory NAME of tmp; directories in it move up to tmp, so that depth costs neither stack nor
 * descriptors. False with EBUSY when what it still holds cannot be removed, or somebody keeps adding to it.
 */
static bool purge_dir(struct state *s, const char *name, unsigned *pieces)
{
	uint32_t count = 0, left = 0;
	seize(s, s->tmp, name);
	int dir = dest_child(s->dest, s->tmp, name, O_RDONLY);
	bool done = dir >= 0;

	do
		done = done && purge_some(s, dir, &count, &left);
	while (done && count == NAMES_SOME && left < count && ++*pieces < PIECES_MAX && !stop_requested());
	int error = errno;
	close_fd(&dir);
	errno = done && left ? EBUSY : error;
	return done && !left && (dest_rmdir(s->tmp, name) || errno == ENOENT);
}

bool state_purge(struct state *s, struct fault *fault)
{
	uint32_t before = 0;
	unsigned pieces = 0;

	/* Each round takes a level off the deepest tree, until there is nothing but what stays. */
	for (unsigned rounds = 0; rounds < ROUNDS_MAX; rounds++) {
		struct names names;
		uint32_t busy = 0;
		if (!names_read(s->tmp, &names)) /* all: those that stay must hide no others */
			return state_fault(s, fault, "tmp", "read");
		uint32_t count = names.count;
		for (uint32_t i = 0; i < count && stop_check(fault) && !fault->code; i++) {
			const char *name = names_get(&names, i).s;
			if (dest_unlink(s->tmp, name) || errno == ENOENT ||
			    ((errno == EISDIR || errno == EPERM) && purge_dir(s, name, &pieces)))
				continue;
			if (stays(errno))
				busy++;
			else if (stop_check(fault)) /* which leaves a directory half emptied */
				state_fault(s, fault, "tmp", "empty");
		}
		names_free(&names);
		if (count == 0 || fault->code || (count == busy && count == before))
			return fault->code == EXIT_DONE;
		before = count;
	}
	errno = EBUSY;
	return state_fault(s, fault, "tmp", "empty");
}

/* What was set aside in .decant itself, to tmp, as far as that can be. */
static void gather_trash(struct state *s)
{
	struct names names;

	if (!names_some(s->dir, &names))
		return;
	for (uint32_t i = 0; i < names.count; i++)
		if (strncmp(names_get(&names, i).s, "trash-", 6) == 0)
			(void)state_discard(s, s->dir, names_get(&names, i).s);
	names_free(&names);
}

bool state_clear(struct state *s, struct fault *fault)
{
	struct stat st;

	if (s->exposed)
		(void)dest_unlink(s->dir, STATE_DECOMPOSED);
	/* Where it cannot be made, dest_look does without. */
	int mark = openat(s->dir, STATE_COMPOSED, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	close_fd(&mark);
	/* While others could write to .decant they may have filled tmp with what cannot be removed: a new one
	 * is made, and what is in the old one gets other names there. */
	if (s->exposed)
		(void)state_discard(s, s->dir, "tmp");
	if (!dest_mkdir(s->dir, "tmp", 0700) && errno != EEXIST)
		return state_fault(s, fault, "tmp", "create");
	s->tmp = dest_child(s->dest, s->dir, "tmp", O_RDONLY);
	if (s->tmp < 0 && (errno == ENOTDIR || errno == ELOOP)) {
		/* Something else was put there. */
		if (!dest_unlink(s->dir, "tmp") || !dest_mkdir(s->dir, "tmp", 0700))
			return state_fault(s, fault, "tmp", "replace");
		s->tmp = dest_child(s->dest, s->dir, "tmp", O_RDONLY);
	}
	if (s->tmp < 0 || fstat(s->tmp, &st) != 0)
		return state_fault(s, fault, "tmp", "open");
	if (s->exposed)
		gather_trash(s);
	/* Ours, but open to others: not any more. */
	if (st.st_uid == geteuid() && (st.st_mode & 0777) != 0700 && fchmod(s->tmp, 0700) == 0)
		st.st_mode &= ~(mode_t)022;
	return state_private(s, s->tmp, &st) ? state_purge(s, fault) : state_refuse(s, fault, "/tmp");
}
