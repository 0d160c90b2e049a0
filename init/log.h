/* log.h - what decant says on standard error: notes, progress, a summary for each bundle, and one error,
 * last. As text, or one JSON object a line. What cannot be written is dropped; a log never fails a fill. */
#ifndef DECANT_LOG_H
#define DECANT_LOG_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "fault.h"
#include "index.h"
#include "options.h"

struct log {
	bool json;
	enum progress progress; /* never PROGRESS_AUTO */
	const char *program;    /* "decant" */
};

/* AUTO becomes a bar on a terminal, lines elsewhere. Reserves descriptors 0 to 2 when they are closed, so
 * that no file of the volume gets one of them. */
void log_init(struct log *log, const char *program, bool json, enum progress progress);

void log_fault(const struct log *log, const struct fault *fault);
void log_note(const struct log *log, const char *object, const char *text);
/* A note that what FAULT is about could not be removed, where that is no error. */
void log_stays(const struct log *log, const struct fault *fault);

/* How far a fill is. Counters may be raised by any worker. */
struct progress_state {
	const struct log *log;
	const char *dest;
	struct timespec began;
	uint64_t total;           /* bytes of content to go through */
	_Atomic uint64_t bytes;   /* gone through */
	_Atomic uint64_t written; /* files, links and so on that were made or replaced */
	_Atomic uint64_t written_bytes;
	_Atomic uint64_t unchanged, removed;
	_Atomic int64_t next; /* nanoseconds since BEGAN when to print again */
	atomic_flag printing;
};

void progress_begin(struct progress_state *state, const struct log *log, const char *dest, uint64_t total);
/* Print, if it is time to. Any thread. */
void progress_show(struct progress_state *state);
/* Take the bar off the terminal. */
void progress_clear(const struct progress_state *state);
double progress_seconds(const struct progress_state *state);

struct summary {
	const char *dest, *id;
	const char *result; /* NULL for decant-pack, which has but one */
	struct text revision;
	uint64_t files, bytes, written, unchanged, removed;
	uint64_t kept_releases; /* their records in .decant, also of what counts as none */
	double seconds;
	uint64_t handled_bytes; /* what the rate is counted from */
};
void log_summary(const struct log *log, const struct summary *summary);
/* The same for verify. */
void log_verified(const struct log *log, const struct summary *summary, uint64_t differences);
/* The same for decant-pack, with the size of the bundle. */
void log_packed(const struct log *log, const struct summary *summary, uint64_t packed);

#endif
