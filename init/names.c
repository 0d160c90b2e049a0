#include "names.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

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

static bool read_most(int dir, struct names *list, uint32_t most, bool ids)
{
	memset(list, 0, sizeof *list);
	int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *stream = copy < 0 ? NULL : fdopendir(copy);
	if (!stream) {
		int error = errno;
		close_fd(&copy);
		errno = error;
		return false;
	}
	int error = 0;
	while (list->count < most && !error) {
		errno = 0;
		struct dirent *item = readdir(stream);
		if (!item) {
			error = errno;
			break;
		}
		if (strcmp(item->d_name, ".") == 0 || strcmp(item->d_name, "..") == 0 ||
		    (ids && !id_valid(item->d_name)))
			continue;
		if (strlen(item->d_name) > NAME_LEN_MAX) /* FUSE and vfat have such */
			error = ENAMETOOLONG;
		else if (!names_add(list, item->d_name))
			error = ENOMEM;
	}
	closedir(stream);
	if (error) {
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
