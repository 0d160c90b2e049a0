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

enum { TRIES_MAX = 1000000, PURGE_MAX = 1 << 19 };

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
	return error == EBUSY || error == EXDEV || error == EACCES || error == EPERM || error == ENOTEMPTY ||
	       error == EEXIST;
}

/* What is taken off the disk: at most PURGE_MAX names at a time, or somebody who keeps adding to them would
 * never let it end. */
struct purge {
	struct state *state;
	uint32_t tried;
	int dir;             /* where, and what came of the names there in one pass: */
	uint32_t gone, left; /* LEFT stay */
	int error;           /* something else is wrong */
};

static bool may_go_on(const struct purge *p)
{
	return !p->error && p->tried < PURGE_MAX && !stop_requested();
}

static bool pass(struct purge *p, int dir, names_visit *visit)
{
	p->dir = dir;
	p->gone = p->left = 0;
	return names_each(dir, visit, p);
}

static bool count(struct purge *p, bool gone)
{
	if (gone)
		p->gone++;
	else if (stays(errno))
		p->left++;
	else if (errno != ENOENT)
		p->error = errno;
	return may_go_on(p);
}

/* A name in a directory of tmp. A directory moves up to tmp, so that depth costs neither stack nor
 * descriptors. */
static bool purge_inner(void *context, const char *name)
{
	struct purge *p = context;

	p->tried++;
	bool gone = dest_unlink(p->dir, name);
	if (!gone && (errno == EISDIR || errno == EPERM)) {
		seize(p->state, p->dir, name);
		gone = state_discard(p->state, p->dir, name);
	}
	return count(p, gone);
}

/* Remove directory NAME of tmp. False with EBUSY when what it holds cannot be removed, or not now. */
static bool purge_dir(const struct purge *outer, struct purge *inner, const char *name)
{
	struct state *s = outer->state;

	seize(s, s->tmp, name);
	int dir = dest_child(s->dest, s->tmp, name, O_RDONLY);
	bool gone = false;
	if (dir < 0)
		return false;
	do {
		if (!pass(inner, dir, purge_inner))
			inner->error = errno;
		gone = !inner->error && !inner->left && (dest_rmdir(s->tmp, name) || errno == ENOENT);
	} while (!gone && inner->gone && may_go_on(inner));
	close_fd(&dir);
	errno = inner->error ? inner->error : EBUSY;
	return gone;
}

static bool purge_outer(void *context, const char *name)
{
	struct purge *p = context, inner = {.state = p->state, .tried = p->tried + 1};
	int tmp = p->state->tmp;

	bool gone =
	    dest_unlink(tmp, name) || ((errno == EISDIR || errno == EPERM) && purge_dir(p, &inner, name));
	p->tried = inner.tried;
	return count(p, gone);
}

bool state_purge(struct state *s, struct fault *fault)
{
	struct purge p = {.state = s};
	char name[32];

	do {
		/* What moves up to tmp gets the numbers from here on. */
		unsigned next = s->discarded;
		if (!pass(&p, s->tmp, purge_outer))
			return state_fault(s, fault, "tmp", "read");
		for (; next != s->discarded && may_go_on(&p); next++) {
			snprintf(name, sizeof name, "trash-%u", next);
			purge_outer(&p, name);
		}
	} while (p.gone && may_go_on(&p));
	/* Who is told to stop leaves a directory half emptied. */
	errno = p.error;
	return stop_check(fault) && (!p.error || state_fault(s, fault, "tmp", "empty"));
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
