#include "strangers.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "io.h"
#include "old.h"
#include "path.h"
#include "stop.h"

static bool is_kept_apart(uint32_t dir, struct text name)
{
	return dir == 0 && name_reserved(name.s, name.len);
}

/* Names in a directory and names in the index both rise, so one pass over each is enough. */
bool strangers_in(struct reader *r, uint32_t number, int fd, const struct dest *dest,
                  bool (*visit)(void *context, uint32_t number, int fd, const char *name,
                                struct fault *fault),
                  void *context, struct fault *fault)
{
	const struct catalog *c = &r->bundle->catalog;
	struct lookup entries = {.reader = *r};
	uint32_t child = number + 1;
	struct names names;
	bool done = true;

	if (!names_read(fd, &names))
		return dest_fault(dest, c, number, (struct text){"", 0}, "read directory", fault);
	lookup_enter(&entries, number);
	for (uint32_t i = 0; i < names.count && done; i++) {
		struct text name = names_get(&names, i);
		struct entry e;
		bool known = false;
		int order = 1;
		for (; child < c->dir_end[number]; child = c->dir_end[child]) {
			struct text other = catalog_dir(c, child).name;
			order = name_compare(other.s, other.len, name.s, name.len);
			if (order >= 0)
				break;
		}
		if (child < c->dir_end[number] && order == 0)
			continue;
		done = stop_check(fault) && lookup_find(&entries, name, &e, &known, fault);
		if (done && !known && !is_kept_apart(number, name))
			done = visit(context, number, fd, name.s, fault);
	}
	names_free(&names);
	*r = entries.reader; /* its buffers have moved on */
	return done;
}

bool strangers_all(struct bundle *b, const struct dest *dest,
                   bool (*visit)(void *context, uint32_t number, int fd, const char *name,
                                 struct fault *fault),
                   void *context, struct fault *fault)
{
	char path[PATH_LEN_MAX + 1];
	struct reader reader;
	bool done = true;

	reader_init(&reader, b);
	for (uint32_t i = 0; i < b->catalog.head.dirs && done; i++) {
		catalog_path(&b->catalog, i, path);
		int fd = dest_dir(dest, path, O_RDONLY);
		if (fd >= 0)
			done = strangers_in(&reader, i, fd, dest, visit, context, fault);
		else if (errno != ENOENT && errno != ENOTDIR && errno != ELOOP)
			done = dest_fault(dest, &b->catalog, i, (struct text){"", 0}, "open", fault);
		close_fd(&fd);
	}
	reader_free(&reader);
	return done;
}
