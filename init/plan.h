/* plan.h - looks at a volume that is not new and decides, entry by entry, what a fill must do. Changes
 * nothing.
 *
 * An entry is kept unread only when four things agree: the state says that the volume holds it with the
 * wanted content; the state is trusted (state.h); size, owner, mode and mtime are what the state says; and
 * its ctime, which no utimensat(2) can set, is before the time up to which the fill that wrote the state has
 * seen all changes, as are those of all directories above it.
 * So a change that leaves size and mtime as they were is seen, and a directory that was moved. All else of
 * the right type and size is compared: with the bundle's bytes when its frame is unpacked, or, when it spans
 * frames, by its hash at once. What this cannot see is a writer who, while a fill is running, changes a file
 * that is done already and sets its mtime back, changes its attributes, or gives it the name of another of
 * its size and mtime; one who exchanges blocks by an ioctl (XFS_IOC_SWAPEXT, EXT4_IOC_MOVE_EXT), which
 * changes no time; one who writes through a mapping on tmpfs, which need not change any; and one whose new
 * ctime a power cut undid (README, Limits).
 */
#ifndef DECANT_PLAN_H
#define DECANT_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "bundle.h"
#include "dest.h"
#include "fault.h"
#include "state.h"

enum action {
	ACTION_KEEP,    /* right already */
	ACTION_AMEND,   /* content right, metadata not */
	ACTION_CHECK,   /* exists, content not known: compare, then keep, amend or replace */
	ACTION_NEW,     /* nothing of this name */
	ACTION_REPLACE, /* something else, or other content */
};

struct plan {
	uint8_t *entry;    /* an enum action for each entry; owned */
	uint64_t *seen;    /* for each that is AMEND: plan_seen of it; owned */
	uint8_t *dir;      /* for each directory: KEEP, AMEND, NEW, REPLACE (something else has its name) */
	uint64_t count[5]; /* entries by action */
	uint64_t links;    /* hard links among NEW and REPLACE, which take no inode */
	uint64_t dirs;     /* directories that are not KEEP */
	uint64_t bytes;    /* of content to write at most: CHECK, NEW, REPLACE */
	uint64_t disk;     /* the same in file system blocks of UNIT bytes, files with holes left out */
};

/* A plan that nobody made, all zeros, is that of a volume that holds nothing: every entry is new. */
static inline enum action plan_action(const struct plan *plan, uint32_t entry)
{
	return plan->entry ? (enum action)plan->entry[entry] : ACTION_NEW;
}

/* What becomes of file NUMBER of BUNDLE, which ST describes, when its content is right and its metadata is
 * not: AMEND, or REPLACE when it has hard links, because then the number of its names cannot tell that all of
 * them are in the volume. */
enum action plan_amend(struct plan *plan, const struct bundle *bundle, uint32_t number,
                       const struct stat *st);
/* Which file it is that ST describes, and whether it has changed, in content or name (ctime), in a number
 * that is good for this run. What has another one when it is to be amended may be a file from outside the
 * volume, moved in by itself or with a directory. */
uint64_t plan_seen(const struct stat *st);

/* Open file NAME of directory DIR for a comparison with E's content, when type, size, owner and attributes
 * are those of E. *ST describes it, *DIFFERS gets what else is not right (metadata.h). -1: E is written anew.
 * What belongs to somebody else than it shall may be open there, and a mapping changes it later without any
 * trace in its times. What is to be amended, and has changed so lately that a change while it is compared
 * might not show (recent.h), is not worth the comparison. */
int plan_open(const struct dest *dest, int dir, const char *name, const struct entry *e, struct stat *st,
              unsigned *differs);

/* Does any entry of frame NUMBER, or the one that it carries on, have one of the ACTIONS (bits 1 << action)?
 */
bool plan_frame_has(const struct plan *plan, const struct catalog *catalog, uint32_t number,
                    unsigned actions);

/* plan_make.c: fill in PLAN for BUNDLE on the volume of STATE, whose root exists. Pass plan_free in any case.
 */
bool plan_make(struct plan *plan, struct bundle *bundle, struct state *state, unsigned workers, uint32_t unit,
               struct fault *fault);
void plan_free(struct plan *plan);

#endif
