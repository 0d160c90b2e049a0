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

enum {
	TRIES_MAX = 1000000,
	PURGE_MAX = 1 << 19, /* names in directories of tmp that are tried at a time */
	PASSES_MAX = 64      /* over one directory: more find only what comes back */
};

#define TRASH "trash-" /* what is on its way out */
#define KEPT "kept-"   /* a directory of which nothing could be removed */

static bool begins(const char *name, const char *prefix)
{
	return strncmp(name, prefix, strlen(prefix)) == 0;
}

bool state_is_trash(const char *name)
{
	return begins(name, TRASH);
}

/* Move NAME of DIR to tmp under a name of its own, which begins with PREFIX. */
static bool set_aside(struct state *s, int dir, const char *name, const char *prefix)
{
	char to[32];
	int into = s->tmp >= 0 ? s->tmp : s->dir;
	/* A name is taken when somebody plants it, or when a purge that did not end left it; the next one
	 * will do. Each number is tried once. */
	for (unsigned tries = 0; tries < TRIES_MAX; tries++) {
		snprintf(to, sizeof to, "%s%u", prefix, s->discarded++);
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

bool state_discard(struct state *s, int dir, const char *name)
{
	return set_aside(s, dir, name, TRASH);
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
 * above it, and harms nobody; nor does one that somebody has open, and keeps adding to. Other errors may be
 * none later on: a disk that is full, a directory that holds all it can. */
static bool stays(int error)
{
	return error == EBUSY || error == EXDEV || error == EACCES || error == EPERM || error == ENOTEMPTY ||
	       error == EEXIST;
}

/* What is taken off the disk. Nothing of it is a fault: the tree does not need it, and the next fill tries
 * again. But the work has an end: no more than PURGE_MAX names, or somebody who keeps adding to them would
 * never let it end, and as many of kept directories; and no more than PASSES_MAX times: a file that somebody
 * has open comes back under another name on some file systems. */
struct purge {
	struct state *state;
	uint32_t tried, probed; /* PROBED: of kept directories */
	bool probe;             /* go on only while names can be removed */
	bool blocked;           /* something in tmp has a name that a fill may need */
	int dir;                /* where, and what came of the names there in one pass: */
	uint32_t gone, left;    /* LEFT stay */
	bool later;             /* or may yet go */
};

static bool may_go_on(const struct purge *p)
{
	return p->tried < PURGE_MAX && !stop_requested();
}

static bool pass(struct purge *p, int dir, names_visit *visit)
{
	p->dir = dir;
	p->gone = p->left = 0;
	p->later = false;
	return names_each(dir, visit, p);
}

static void count(struct purge *p, bool gone)
{
	if (gone)
		p->gone++;
	else if (errno != ENOENT)
		p->left++;
	p->later |= !gone && errno != ENOENT && !stays(errno);
}

/* A name in a directory of tmp. A directory moves up to tmp, so that depth costs neither stack nor
 * descriptors; an empty one need not, and where there is no room for another name in tmp it could not. */
static bool purge_inner(void *context, const char *name)
{
	struct purge *p = context;

	p->tried++;
	bool gone =
	    dest_unlink(p->dir, name) || ((errno == EISDIR || errno == EPERM) && dest_rmdir(p->dir, name));
	if (!gone && (errno == ENOTEMPTY || errno == EEXIST)) {
		seize(p->state, p->dir, name);
		gone = state_discard(p->state, p->dir, name);
	}
	count(p, gone);
	return may_go_on(p) && !(p->probe && p->left && !p->gone);
}

/* Remove directory NAME of tmp, or keep it, when nothing that it holds can be removed. *TRIED goes up. */
static bool purge_dir(struct state *s, const char *name, uint32_t *tried)
{
	struct purge inner = {.state = s, .tried = *tried + 1, .probe = begins(name, KEPT)};

	seize(s, s->tmp, name);
	int dir = dest_child(s->dest, s->tmp, name, O_RDONLY);
	bool gone = false, more = true;
	for (unsigned passes = 0; more && passes < PASSES_MAX; passes++) {
		bool listed = dir < 0 || pass(&inner, dir, purge_inner);
		gone = listed && !inner.left && (dest_rmdir(s->tmp, name) || errno == ENOENT);
		more = !gone && inner.gone && may_go_on(&inner);
	}
	close_fd(&dir);
	*tried = inner.tried;
	if (!gone && !inner.gone && !inner.later && !inner.probe)
		(void)set_aside(s, s->tmp, name, KEPT);
	errno = EBUSY;
	return gone;
}

/* A name in tmp. What is no directory was decant's own, and goes whatever came before it. */
static bool purge_outer(void *context, const char *name)
{
	struct purge *p = context;
	struct state *s = p->state;
	bool kept = begins(name, KEPT), gone = dest_unlink(s->tmp, name);
	uint32_t *tried = kept ? &p->probed : &p->tried;

	if (!gone && errno != ENOENT && !kept && !begins(name, TRASH)) {
		/* A fill may need the name. What it stood for is looked at under the other one. */
		p->blocked |= !state_discard(s, s->tmp, name);
		return !stop_requested();
	}
	if (!gone && (errno == EISDIR || errno == EPERM) && *tried < PURGE_MAX)
		gone = purge_dir(s, name, tried);
	count(p, gone);
	return !stop_requested();
}

/* False when something in tmp may be in the way of a fill. */
static bool purge(struct state *s)
{
	struct purge p = {.state = s};
	unsigned passes = 0;
	char name[32];

	do {
		/* What moves up to tmp gets the numbers from here on. */
		unsigned next = s->discarded;
		p.blocked |= !pass(&p, s->tmp, purge_outer);
		for (; next != s->discarded && may_go_on(&p); next++) {
			snprintf(name, sizeof name, TRASH "%u", next);
			purge_outer(&p, name);
		}
	} while (p.gone && may_go_on(&p) && ++passes < PASSES_MAX);
	return !p.blocked;
}

bool state_purge(struct state *s, struct fault *fault)
{
	purge(s);
	/* Who is told to stop leaves a directory half emptied. */
	return stop_check(fault);
}

static bool open_tmp(struct state *s, struct fault *fault)
{
	struct stat st;

	/* On a full disk what was tmp before has to do again. */
	bool made = dest_mkdir(s->dir, "tmp", 0700);
	int error = errno;
	if (!made && error != EEXIST && !dest_rename(s->dir, TRASH "0", s->dir, "tmp")) {
		errno = error;
		return state_fault(s, fault, "tmp", "create");
	}
	s->tmp = dest_child(s->dest, s->dir, "tmp", O_RDONLY);
	if (s->tmp < 0 && (errno == ENOTDIR || errno == ELOOP)) {
		/* Something else was put there. */
		if (!dest_unlink(s->dir, "tmp") || !dest_mkdir(s->dir, "tmp", 0700))
			return state_fault(s, fault, "tmp", "replace");
		s->tmp = dest_child(s->dest, s->dir, "tmp", O_RDONLY);
	}
	if (s->tmp < 0 || fstat(s->tmp, &st) != 0)
		return state_fault(s, fault, "tmp", "open");
	/* Ours, but open to others: not any more. */
	if (st.st_uid == geteuid() && (st.st_mode & 0777) != 0700 && fchmod(s->tmp, 0700) == 0)
		st.st_mode &= ~(mode_t)022;
	return state_private(s, s->tmp, &st) || state_refuse(s, fault, "tmp");
}

/* A new tmp, and the old one in it. When this is killed state_load finds that beside the new one. */
static bool renew_tmp(struct state *s, struct fault *fault)
{
	char old[32];

	close_fd(&s->tmp);
	bool moved = state_discard(s, s->dir, "tmp");
	snprintf(old, sizeof old, TRASH "%u", s->discarded - 1);
	if (!open_tmp(s, fault))
		return false;
	if (moved)
		(void)state_discard(s, s->dir, old);
	return true;
}

bool state_clear(struct state *s, struct fault *fault)
{
	/* While others could write to .decant they may have filled tmp with what cannot be removed. */
	if (!(s->exposed ? state_unmark(s, STATE_DECOMPOSED, fault) && renew_tmp(s, fault)
	                 : open_tmp(s, fault)))
		return false;
	/* Where it cannot be made, dest_look does without. */
	int mark = openat(s->dir, STATE_COMPOSED, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	close_fd(&mark);
	if (!purge(s) && stop_check(fault)) {
		if (!renew_tmp(s, fault))
			return false;
		purge(s);
	}
	return stop_check(fault);
}
