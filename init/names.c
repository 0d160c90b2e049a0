#include "names.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "io.h"
#include "path.h"

static bool names_add(struct names *list, const char *name)
{
	size_t len = strlen(name) + 1;

	if (list->used + len > list->room) {
		size_t room = list->room * 2 + 4096;
		char *bytes = room > UINT32_MAX ? NULL : realloc(list->bytes, room);
		if (!bytes)
			return false;
		list->bytes = bytes;
		list->room = room;
	}
	if (list->count + 1 >= list->at_room) {
		uint32_t room = list->at_room * 2 + 256;
		uint32_t *at = realloc(list->at, room * sizeof *at);
		if (!at)
			return false;
		list->at = at;
		list->at_room = room;
	}
	memcpy(list->bytes + list->used, name, len);
	list->at[list->count++] = (uint32_t)list->used;
	list->used += len;
	return true;
}

static int compare_at(const void *a, const void *b, void *bytes)
{
	const char *x = (const char *)bytes + *(const uint32_t *)a,
	           *y = (const char *)bytes + *(const uint32_t *)b;
	return strcmp(x, y); /* unsigned bytes, a prefix first: the order of name_compare */
}

/* Pass the SIZE bytes of entries in BUFFER to VISIT until it returns false: then *MORE is false. *ERROR is
 * set for names that are too long, which are left out. */
static void visit_all(char *buffer, size_t size, names_visit *visit, void *context, bool *more, int *error)
{
	for (size_t at = 0; at < size && *more;) {
		const struct dirent *item = (const struct dirent *)(buffer + at);
		at += item->d_reclen;
		if (strlen(item->d_name) > NAME_LEN_MAX) /* FUSE and vfat have such */
			*error = ENAMETOOLONG;
		else if (strcmp(item->d_name, ".") != 0 && strcmp(item->d_name, "..") != 0)
			*more = visit(context, item->d_name);
	}
}

/* Not readdir(3): musl asks for 2 KiB at a time, which is many calls, and less than a page, of which some
 * servers of FUSE forget the rest. What getdents64(2) fills has the layout of struct dirent. */
bool names_each(int dir, names_visit *visit, void *context)
{
	_Alignas(struct dirent) char buffer[8192];
	int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int error = copy < 0 ? errno : 0;

	for (bool more = copy >= 0; more;) {
		long n = syscall(SYS_getdents64, copy, buffer, sizeof buffer);
		if (n > 0)
			visit_all(buffer, (size_t)n, visit, context, &more, &error);
		else if (n < 0 && errno != ENOENT) /* it was removed meanwhile */
			error = errno;
		more = more && n > 0;
	}
	close_fd(&copy);
	errno = error;
	return error == 0;
}

struct reading {
	struct names *list;
	uint32_t most;
	bool ids, failed;
};

static bool read_one(void *context, const char *name)
{
	struct reading *r = context;

	if (r->list->count == r->most)
		return false;
	r->failed = (!r->ids || id_valid(name)) && !names_add(r->list, name);
	return !r->failed;
}

static bool read_most(int dir, struct names *list, uint32_t most, bool ids)
{
	struct reading r = {list, most, ids, false};

	memset(list, 0, sizeof *list);
	if (!names_each(dir, read_one, &r) || r.failed) {
		int error = r.failed ? ENOMEM : errno;
		names_free(list);
		errno = error;
		return false;
	}
	if (list->count)
		qsort_r(list->at, list->count, sizeof *list->at, compare_at, list->bytes);
	return true;
}

bool names_read(int dir, struct names *list)
{
	return read_most(dir, list, UINT32_MAX, false);
}

bool names_some(int dir, struct names *list)
{
	return read_most(dir, list, NAMES_SOME, false);
}

bool names_ids(int dir, struct names *list)
{
	return read_most(dir, list, UINT32_MAX, true);
}

void names_free(struct names *list)
{
	free(list->bytes);
	free(list->at);
	memset(list, 0, sizeof *list);
}

struct text names_get(const struct names *list, uint32_t i)
{
	const char *s = list->bytes + list->at[i];
	return (struct text){s, strlen(s)};
}
