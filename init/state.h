/* state.h - what earlier fills left in DEST/.decant, a directory that only their owner can read:
 *
 *   lock          flock(2); never removed
 *   state         the index of the bundle that the volume holds, and when and how it was filled
 *   journal-ID    the index of a bundle whose fill began and has not ended, or that is being replaced
 *                 or repaired: its names may be on the volume
 *   release-...   the index of an earlier release whose files stay (releases.h)
 *   switched      DEST holds whole trees, and the two above are empty files (switch.h)
 *   first         the volume was empty when that fill began, and none has ended since
 *   é             an empty file, by whose name file systems are told apart (dest.h)
 *   tmp/          files on their way to their names; emptied when a fill begins and when it ends
 *
 * All of it is untrusted: somebody else may have written it. A state that is not whole counts as none. What
 * a state says of a file is believed only where the file has not changed since (see plan.h). */
#ifndef DECANT_STATE_H
#define DECANT_STATE_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "bundle.h"
#include "dest.h"
#include "fault.h"
#include "releases.h"

#define STATE_SWITCHED "switched"
#define STATE_FIRST "first"

enum { STATE_PATH_SIZE = PATH_LEN_MAX + 64 };

/* What a group may have written must neither take minutes nor more memory than the fill: of all such indexes
 * together this many bytes, unpacked, are looked at. Those that need more count as none. See
 * bundle_open_index. And prune.c clears what they name only as far as this many steps from one directory to
 * the next lead to all their directories: about a minute. */
#define SHARED_MAX (UINT64_C(256) << 20)
#define SHARED_STEPS (UINT64_C(4) << 20)

struct state {
	const struct dest *dest;
	int dir, lock, tmp; /* descriptors: .decant, .decant/lock, .decant/tmp */
	int journal;  /* that of the fill in hand, which becomes the state; never opened by name again */
	bool resumed; /* it was there before */
	bool exposed; /* others could write to .decant since the last fill ended: what it says is not trusted
	               */
	gid_t group;  /* whose members may write to the volume's root, or -1 */
	struct bundle
	    held; /* index of the bundle that the volume holds, or held before the last fill began */
	bool has_held;
	char held_name[64]; /* its file: the state, or a journal that was one */
	bool trusted;       /* written in this boot, or synced to disk */
	bool synced;
	int64_t filled;             /* seconds since 1970 */
	uint64_t number;            /* of what is held; the next state has the next one */
	struct timespec seen;       /* what has an earlier ctime, the fill that wrote the state has seen */
	bool first;                 /* the mark of that name is there */
	struct names journals;      /* their names */
	struct releases releases;   /* none kept, until releases_choose says so */
	bool keep_held;             /* what is held becomes a kept release when state_drop sets it aside */
	uint64_t budget;            /* so many more bytes of indexes that a group can write are looked at */
	uint64_t steps;             /* and so many more taken to their directories */
	_Atomic unsigned discarded; /* how many names state_discard has given away */
};

/* Nothing open yet: what state_lock and state_peek begin with. */
void state_init(struct state *state, const struct dest *dest);
/* Make DEST/.decant if it is not there, and take the lock, waiting at most TIMEOUT seconds (EXIT_LOCKED).
 * Pass state_close in any case; it gives the lock back. */
bool state_lock(struct state *state, const struct dest *dest, unsigned timeout, struct fault *fault);
void state_close(struct state *state);

/* After state_clear: read the state and the journals. What is damaged, or not ours, is left out without a
 * word; what cannot be read is a fault. Where there is no state, the last that was one stands in for it: a
 * fill had begun to repair or to replace what the volume held. Nothing that it says is trusted. */
bool state_load(struct state *state, struct fault *fault);

/* Open the index in journal or release NAME as PAST. *FOUND is false, and PAST not open, for one that is not
 * whole, and for a release whose name has another id. *FILLED, if not NULL, is when that fill ended. Opened
 * one at a time: there may be many. */
bool state_past(struct state *state, const char *name, struct bundle *past, bool *found, int64_t *filled,
                struct fault *fault);

/* Is there nothing but the journals of a first fill that has not ended, and of others since then? */
bool state_unfinished(const struct state *state);

/* The state and the names of the releases, without lock or write access. False with FAULT set (EXIT_VOLUME)
 * when there is none. */
bool state_peek(struct state *state, const struct dest *dest, struct fault *fault);

/* Is this the .decant of a directory of trees (switch.h), which has no state of its own? *IS tells. */
bool state_switched(const struct state *state, bool *is, struct fault *fault);

/* Before anything is planned or made: make tmp, and empty it. What a killed fill left there takes room, and
 * has names that this one needs. */
bool state_clear(struct state *state, struct fault *fault);
/* Does the volume hold BUNDLE, by its state? */
bool state_holds(const struct state *state, const struct bundle *bundle);

/* Take over what an earlier fill wrote of BUNDLE's index as the journal, if it is there whole: a volume that
 * BUNDLE fills need not have room for the index twice. */
void state_resume(struct state *state, const struct bundle *bundle);
/* Before the first write: prepare the journal of BUNDLE's names in tmp, if none was taken over. */
bool state_begin(struct state *state, const struct bundle *bundle, struct fault *fault);
/* Before the first change of a name: the volume no longer holds what the state says, and may from now on hold
 * BUNDLE's names, or none but those it had (NULL). Not earlier, or a fill that failed would claim names that
 * it never made. */
bool state_drop(struct state *state, const struct bundle *bundle, struct fault *fault);
/* After the last change: the volume holds BUNDLE. With SYNC everything is on disk when this returns. */
bool state_commit(struct state *state, const struct bundle *bundle, bool sync, struct fault *fault);
/* All is well again: .decant has its mode back, if others could write to it. state_commit does it. */
bool state_heal(struct state *state, struct fault *fault);

/* From before the first journal of a volume that holds nothing, until it holds a bundle: STATE_FIRST is
 * there. It must not be beside the journals of another fill, which has found something. */
bool state_begin_first(struct state *state, struct fault *fault);
bool state_end_first(struct state *state, struct fault *fault);

/* Make the empty file NAME in .decant if it is not there; remove it, if it is, or what else has its name. */
bool state_mark(struct state *state, const char *name, struct fault *fault);
bool state_unmark(struct state *state, const char *name, struct fault *fault);

/* May members of the group that may write to the volume's root enter directory DIR, and with REMOVE remove
 * names from it? No more may they by the names in an index that they can write. */
bool state_group_may(const struct state *state, int dir, bool remove);
/* The path of NAME (may be empty) of .decant, for messages, in OUT of STATE_PATH_SIZE bytes. */
const char *state_path(const struct state *state, const char *name, char *out);
/* FD, which ST describes, was written by this user or by root, and nobody else can write it. */
bool state_private(const struct state *state, int fd, const struct stat *st);
/* The fault for NAME (may be empty) of .decant when it is not so. Always returns false. */
bool state_refuse(const struct state *state, struct fault *fault, const char *name);
/* Word errno as a fault of NAME (may be empty) in .decant. Always returns false. */
bool state_fault(const struct state *state, struct fault *fault, const char *name, const char *action);

/* Move NAME of DIR, whatever it is, to tmp under a name of its own; a directory goes with all it holds. */
bool state_discard(struct state *state, int dir, const char *name);
/* Is NAME one that state_discard gives? In .decant itself it may be, when there was no tmp. */
bool state_is_trash(const char *name);
/* Remove what is in tmp, however deep it is; not for ever, when somebody keeps adding to it. What cannot be
 * removed stays, and is no fault: false is for a signal alone. */
bool state_purge(struct state *state, struct fault *fault);

#endif
