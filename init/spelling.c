#include "spelling.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "io.h"
#include "path.h"
#include "stop.h"

struct speller {
	bool (*visit)(void *context, uint32_t number, int fd, const char *name, struct fault *fault);
	void *context;
	struct reader reader;
	uint32_t dir; /* the directory in hand */
	int fd;
	struct names names;
};

static bool is_listed(const struct names *list, struct text name)
{
	uint32_t low = 0, high = list->count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		struct text other = names_get(list, middle);
		int order = name_compare(other.s, other.len, name.s, name.len);
		if (order == 0)
			return true;
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return false;
}

bool spelling_read(const struct dest *dest, int dir, struct names *names)
{
	*names = (struct names){0};
	return !dest->aliases || names_read(dir, names);
}

bool spelling_is(const struct dest *dest, const struct names *names, struct text name)
{
	return !dest->aliases || is_listed(names, name);
}

static bool look_up(const struct speller *s, struct text name, struct fault *fault)
{
	char text[NAME_LEN_MAX + 1];

	text_terminate(text, name);
	return is_listed(&s->names, name) || s->visit(s->context, s->dir, s->fd, text, fault);
}

static bool look_into(struct speller *s, struct fault *fault)
{
	const struct catalog *c = &s->reader.bundle->catalog;
	struct dir dir = catalog_dir(c, s->dir);
	bool done = true;

	for (uint32_t i = s->dir + 1; i < c->dir_end[s->dir] && done; i = c->dir_end[i])
		done = look_up(s, catalog_dir(c, i).name, fault);
	for (uint32_t i = dir.first; i < dir.first + dir.count && done; i++) {
		uint32_t frame = catalog_frame_of(c, i);
		done = reader_block(&s->reader, frame, fault) &&
		       look_up(s, block_entry(&s->reader.block, i - c->frame_first[frame]).name, fault);
	}
	return done;
}

bool spelling_all(struct bundle *b, const struct dest *dest,
                  bool (*visit)(void *context, uint32_t number, int fd, const char *name,
                                struct fault *fault),
                  void *context, struct fault *fault)
{
	struct speller s = {.visit = visit, .context = context};
	char path[PATH_LEN_MAX + 1];
	bool done = true;

	reader_init(&s.reader, b);
	for (s.dir = 0; s.dir < b->catalog.head.dirs && done; s.dir++) {
		catalog_path(&b->catalog, s.dir, path);
		s.fd = dest_dir(dest, path, O_RDONLY);
		if (s.fd < 0 && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP))
			continue;
		done = s.fd >= 0 && names_read(s.fd, &s.names);
		if (!done)
			dest_fault(dest, &b->catalog, s.dir, (struct text){"", 0}, "read directory", fault);
		done = done && stop_check(fault) && look_into(&s, fault);
		names_free(&s.names);
		close_fd(&s.fd);
	}
	reader_free(&s.reader);
	return done;
}
