#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "io.h"
#include "path.h"

enum { LINE_SIZE = 8192, BAR_STEP_MS = 100, LINES_STEP_MS = 5000 };

/* One line being put together; it is written with one call, so that lines of two programs do not mix. */
struct line {
	char text[LINE_SIZE];
	size_t used;
};

static void add(struct line *line, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add(struct line *line, const char *format, ...)
{
	size_t room = sizeof line->text - line->used;
	va_list args;
	va_start(args, format);
	int n = vsnprintf(line->text + line->used, room, format, args);
	va_end(args);
	if (n > 0)
		line->used += (size_t)n < room ? (size_t)n : room - 1;
}

static void flush(struct line *line)
{
	int error = errno;
	struct pollfd ready = {.fd = STDERR_FILENO, .events = POLLOUT};
	size_t n, done = 0, size = line->used < PIPE_BUF ? line->used : PIPE_BUF;
	/* A line fits a pipe that is ready; who does not read for long misses it. */
	for (; done < size && poll(&ready, 1, 500) == 1; done += n) {
		n = ready_size(STDERR_FILENO, size - done);
		if (!write_full(STDERR_FILENO, line->text + done, n, -1))
			break;
	}
	errno = error;
}

/* "KEY":"TEXT" for text that name_escape has made safe: only quotes and backslashes are left to escape. */
static void add_json(struct line *line, const char *key, const char *escaped)
{
	add(line, ",\"%s\":\"", key);
	for (const char *s = escaped; *s; s++)
		add(line, *s == '"' || *s == '\\' ? "\\%c" : "%c", *s);
	add(line, "\"");
}

void log_init(struct log *log, const char *program, bool json, enum progress progress)
{
	int fd;
	/* Standard streams that are closed: nothing else may get their numbers, and what is written there
	 * fails. */
	do
		if ((fd = open("/dev/null", O_RDONLY)) < 0)
			fd = open("/", O_RDONLY | O_DIRECTORY);
	while (fd >= 0 && fd <= STDERR_FILENO);
	close_fd(&fd);
	if (progress == PROGRESS_AUTO)
		progress = isatty(STDERR_FILENO) ? PROGRESS_BAR : PROGRESS_LINES;
	if (json && progress == PROGRESS_BAR)
		progress = PROGRESS_LINES;
	*log = (struct log){json, progress, program};
}

void log_fault(const struct log *log, const struct fault *fault)
{
	struct line line = {.used = 0};
	char reason[sizeof fault->reason * 4];

	name_escape(reason, sizeof reason, fault->reason, strlen(fault->reason));
	if (log->json) {
		add(&line, "{\"event\":\"error\",\"code\":%d", (int)fault->code);
		add_json(&line, "object", fault->object);
		add_json(&line, "action", fault->action);
		add_json(&line, "reason", reason);
		add(&line, "}\n");
	} else {
		add(&line, "%s: %s: %s: %s\n", log->program, fault->object, fault->action, reason);
	}
	flush(&line);
}

static void note(const struct log *log, const char *safe, const char *text)
{
	struct line line = {.used = 0};

	if (log->json) {
		add(&line, "{\"event\":\"note\"");
		add_json(&line, "object", safe);
		add_json(&line, "text", text);
		add(&line, "}\n");
	} else {
		add(&line, "%s: %s: %s\n", log->program, safe, text);
	}
	flush(&line);
}

void log_note(const struct log *log, const char *object, const char *text)
{
	char safe[1024];

	note(log, name_escape(safe, sizeof safe, object, strlen(object)), text);
}

void log_stays(const struct log *log, const struct fault *fault)
{
	char text[sizeof fault->reason + 128];

	snprintf(text, sizeof text, "note: stays: %s: %s", fault->action, fault->reason);
	note(log, fault->object, text);
}

void progress_begin(struct progress_state *p, const struct log *log, const char *dest, uint64_t total)
{
	memset(p, 0, sizeof *p);
	p->log = log;
	p->dest = dest;
	p->total = total;
	atomic_flag_clear(&p->printing);
	atomic_store(&p->next,
	             INT64_C(1000000) * (log->progress == PROGRESS_BAR ? BAR_STEP_MS : LINES_STEP_MS));
	clock_gettime(CLOCK_MONOTONIC, &p->began);
}

double progress_seconds(const struct progress_state *p)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - p->began.tv_sec) + 1e-9 * (double)(now.tv_nsec - p->began.tv_nsec);
}

static void print_progress(const struct progress_state *p, double seconds)
{
	struct line line = {.used = 0};
	uint64_t bytes = atomic_load(&p->bytes);
	unsigned percent = p->total ? (unsigned)((double)bytes * 100 / (double)p->total) : 100;
	double rate = seconds > 0 ? (double)bytes / 1e6 / seconds : 0;
	char dest[1024];

	name_escape(dest, sizeof dest, p->dest, strlen(p->dest));
	if (p->log->progress == PROGRESS_BAR) {
		static const char full[] = "##############################";
		add(&line, "\r[%-30.*s] %3u %%  %.1f of %.1f MB  %.1f MB/s ", (int)(percent * 30 / 100), full,
		    percent, (double)bytes / 1e6, (double)p->total / 1e6, rate);
	} else if (p->log->json) {
		add(&line, "{\"event\":\"progress\"");
		add_json(&line, "dest", dest);
		add(&line, ",\"bytes\":%llu,\"total\":%llu,\"seconds\":%.3f}\n", (unsigned long long)bytes,
		    (unsigned long long)p->total, seconds);
	} else {
		add(&line, "%s: %s: %u %%, %.1f of %.1f MB, %.1f MB/s\n", p->log->program, dest, percent,
		    (double)bytes / 1e6, (double)p->total / 1e6, rate);
	}
	flush(&line);
}

void progress_show(struct progress_state *p)
{
	if (p->log->progress == PROGRESS_NONE)
		return;
	double seconds = progress_seconds(p);
	int64_t now = (int64_t)(seconds * 1e9);
	if (now < atomic_load(&p->next) || atomic_flag_test_and_set(&p->printing))
		return;
	int64_t step = INT64_C(1000000) * (p->log->progress == PROGRESS_BAR ? BAR_STEP_MS : LINES_STEP_MS);
	atomic_store(&p->next, now + step);
	print_progress(p, seconds);
	atomic_flag_clear(&p->printing);
}

void progress_clear(const struct progress_state *p)
{
	struct line line = {.used = 0};
	if (p->log->progress != PROGRESS_BAR)
		return;
	add(&line, "\r\033[K");
	flush(&line);
}

static void add_count(struct line *line, const struct log *log, const char *name, uint64_t count)
{
	if (log->json)
		add(line, ",\"%s\":%llu", name, (unsigned long long)count);
	else
		add(line, ", %llu %s", (unsigned long long)count, name);
}

/* What every result begins with: EVENT, what it is about, which JSON calls KEY, and what the bundle is. */
static void begin_result(struct line *line, const struct log *log, const struct summary *s, const char *event,
                         const char *key)
{
	char dest[1024], revision[512];

	line->used = 0;
	name_escape(dest, sizeof dest, s->dest, strlen(s->dest));
	name_escape(revision, sizeof revision, s->revision.s, s->revision.len);
	if (log->json) {
		add(line, "{\"event\":\"%s\"", event);
		add_json(line, key, dest);
		if (s->result)
			add_json(line, "result", s->result);
		add_json(line, "bundle", s->id);
		add_json(line, "revision", revision);
	} else {
		add(line, "%s: %s: %s: bundle %s, revision %s", log->program, dest,
		    s->result ? s->result : event, s->id, *revision ? revision : "-");
	}
	add_count(line, log, "files", s->files);
	add_count(line, log, "bytes", s->bytes);
}

static void end_result(struct line *line, const struct log *log, const struct summary *s)
{
	double rate = s->seconds > 0 ? (double)s->handled_bytes / 1e6 / s->seconds : 0;

	add(line, log->json ? ",\"seconds\":%.3f,\"mb_per_s\":%.1f}\n" : ", %.3f s, %.1f MB/s\n", s->seconds,
	    rate);
	flush(line);
}

void log_summary(const struct log *log, const struct summary *s)
{
	struct line line;

	begin_result(&line, log, s, "summary", "dest");
	add_count(&line, log, "written", s->written);
	add_count(&line, log, "unchanged", s->unchanged);
	add_count(&line, log, "removed", s->removed);
	if (log->json)
		add_count(&line, log, "kept_releases", s->kept_releases);
	end_result(&line, log, s);
}

void log_verified(const struct log *log, const struct summary *s, uint64_t differences)
{
	struct line line;

	begin_result(&line, log, s, "verified", "dest");
	add_count(&line, log, "differences", differences);
	end_result(&line, log, s);
}

void log_packed(const struct log *log, const struct summary *s, uint64_t packed)
{
	struct line line;

	begin_result(&line, log, s, "packed", "output");
	add_count(&line, log, "packed", packed);
	end_result(&line, log, s);
}
