#include "plan.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hash.h"
#include "recent.h"
#include "xattrs.h"

uint64_t plan_seen(const struct stat *st)
{
	int64_t is[3] = {(int64_t)st->st_ino, st->st_ctim.tv_sec, st->st_ctim.tv_nsec};
	return hash64_secret(is, sizeof is);
}

enum action plan_amend(struct plan *plan, const struct bundle *b, uint32_t number, const struct stat *st)
{
	if (catalog_links(&b->catalog, number))
		return ACTION_REPLACE;
	plan->seen[number] = plan_seen(st);
	return ACTION_AMEND;
}

int plan_open(const struct dest *d, int dir, const char *name, const struct entry *e, struct stat *st,
              unsigned *differs)
{
	struct metadata meta = metadata_of_entry(e);
	int fd = dest_file(d, dir, name, O_RDONLY);

	if (fd < 0)
		return -1;
	dest_reread(d, fd);
	/* What is somebody else's cannot be amended without the right to. */
	if (fstat(fd, st) == 0 && S_ISREG(st->st_mode) && (uint64_t)st->st_size == e->size &&
	    !((*differs = dest_differs(d, fd, st, &meta)) & DIFFERS_OWNER) &&
	    (!*differs || ((d->amends || st->st_uid == geteuid()) && !is_recent(st->st_ctim))) &&
	    xattrs_match(fd, e->xattrs))
		return fd;
	close(fd);
	return -1;
}

void plan_free(struct plan *plan)
{
	free(plan->entry);
	free(plan->seen);
	free(plan->dir);
	memset(plan, 0, sizeof *plan);
}

bool plan_frame_has(const struct plan *plan, const struct catalog *c, uint32_t number, unsigned actions)
{
	struct frame frame = catalog_frame(c, number);

	if (frame.carried != NO_ENTRY && (actions >> plan_action(plan, frame.carried) & 1))
		return true;
	for (uint32_t i = 0; i < frame.count; i++)
		if (actions >> plan_action(plan, frame.first + i) & 1)
			return true;
	return false;
}
