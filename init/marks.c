/* marks.c - the part of state.h that deals with files of .decant that speak by being there. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "io.h"
#include "state.h"

bool state_switched(const struct state *s, bool *is, struct fault *fault)
{
	struct stat st, dir;

	*is = false;
	if (fstatat(s->dir, STATE_SWITCHED, &st, AT_SYMLINK_NOFOLLOW) != 0 || fstat(s->dir, &dir) != 0)
		return errno == ENOENT || state_fault(s, fault, STATE_SWITCHED, "stat");
	/* Somebody else may have made it while he could. */
	*is = S_ISREG(st.st_mode) && (st.st_uid == dir.st_uid || st.st_uid == 0);
	return true;
}

bool state_mark(struct state *s, const char *name, struct fault *fault)
{
	struct stat st;
	int fd = openat(s->dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0 && errno == EEXIST) {
		if (fstatat(s->dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode))
			return true;
		/* Somebody planted something else. */
		if (dest_unlink(s->dir, name) || state_discard(s, s->dir, name))
			fd = openat(s->dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	}
	return (fd >= 0 && close_fd(&fd)) || state_fault(s, fault, name, "create");
}

bool state_unmark(struct state *s, const char *name, struct fault *fault)
{
	return dest_unlink(s->dir, name) || errno == ENOENT ||
	       (errno == EISDIR && state_discard(s, s->dir, name)) || state_fault(s, fault, name, "remove");
}

bool state_begin_first(struct state *s, struct fault *fault)
{
	s->first = true;
	return state_mark(s, STATE_FIRST, fault);
}

bool state_end_first(struct state *s, struct fault *fault)
{
	bool there = s->first;
	s->first = false;
	return !there || state_unmark(s, STATE_FIRST, fault);
}
