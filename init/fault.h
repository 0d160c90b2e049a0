/* fault.h - what went wrong, once, in the words of the one line that a user reads: object, action, reason.
 *
 * A function that can fail takes a struct fault and returns false, or -1, after setting it; whoever called
 * passes that on. Only main prints it, as "decant: OBJECT: ACTION: REASON", and exits with its code. */
#ifndef DECANT_FAULT_H
#define DECANT_FAULT_H

#include <stdbool.h>
#include <stddef.h>

enum exit_code {
	EXIT_DONE = 0,     /* done and checked */
	EXIT_INTERNAL = 1, /* no memory or descriptors, or a defect of this program */
	EXIT_USAGE = 2,
	EXIT_BUNDLE = 10, /* the bundle is damaged, or not one */
	EXIT_VOLUME = 11, /* the volume is unsafe or unusable */
	EXIT_SPACE = 12,  /* no space, no inodes, quota */
	EXIT_IO = 13,
	EXIT_LOCKED = 14, /* somebody else kept the lock for too long */
	EXIT_PERMISSION = 15,
	EXIT_DIFFERENT = 16, /* verify found a difference */
	EXIT_SIGNAL = 128    /* + the signal's number */
};

struct fault {
	enum exit_code code; /* 0: nothing went wrong */
	char object[1024];   /* escaped by name_escape, so fit for a log */
	const char *action;  /* static */
	char reason[256];
};

/* Set FAULT, unless it is set already: the first cause is the one that counts. OBJECT need not be escaped.
 * Always returns false. */
bool fault_set(struct fault *fault, enum exit_code code, const char *object, const char *action,
               const char *reason, ...) __attribute__((format(printf, 5, 6)));

/* The same with the code and the reason that ERRNUM stands for. */
bool fault_errno(struct fault *fault, int errnum, const char *object, const char *action);
/* The same for a bundle: that there is none by its name says nothing of a volume. */
bool fault_missing(struct fault *fault, int errnum, const char *object, const char *action);

/* Does ERRNUM tell nothing of what was looked for: an I/O error, no memory or descriptors? */
bool fault_untold(int errnum);

/* False, with FAULT set, when a signal asked to stop (stop.h). */
bool stop_check(struct fault *fault);

#endif
