#include "releases.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "path.h"

static const char prefix[] = "release-";
enum { PREFIX_LEN = sizeof prefix - 1, DIGITS = 10, ID_LEN = 32 };

/* Numbers stop well before they have more than ten digits or pass UINT32_MAX. */
static const char last_number[] = "4000000000";

bool releases_read(struct releases *r, int dir)
{
	uint32_t count = 0;

	memset(r, 0, sizeof *r);
	if (!names_read(dir, &r->names))
		return false;
	for (uint32_t i = 0; i < r->names.count; i++)
		if (strncmp(names_get(&r->names, i).s, prefix, PREFIX_LEN) == 0)
			r->names.at[count++] = r->names.at[i];
	r->names.count = r->dropped = count;
	r->kept = calloc((size_t)count + 1, 1);
	if (!r->kept)
		errno = ENOMEM;
	return r->kept;
}

void releases_free(struct releases *r)
{
	names_free(&r->names);
	free(r->kept);
	memset(r, 0, sizeof *r);
}

const char *releases_id(const struct releases *r, uint32_t i)
{
	const char *number = names_get(&r->names, i).s + PREFIX_LEN, *id = number + DIGITS + 1;

	if (strspn(number, "0123456789") != DIGITS || number[DIGITS] != '-' ||
	    strncmp(number, last_number, DIGITS) > 0)
		return NULL;
	return id_valid(id) ? id : NULL;
}

bool releases_keep(const struct releases *r, uint32_t from, const char *id)
{
	for (uint32_t i = from; i < r->names.count; i++) {
		const char *kept = r->kept[i] ? releases_id(r, i) : NULL;
		if (kept && strcmp(kept, id) == 0)
			return true;
	}
	return false;
}

void releases_choose(struct releases *r, unsigned count, const char *now, const char *before)
{
	bool same = before && strcmp(now, before) == 0;
	unsigned left = count;

	/* What the volume holds is the newest of those before. */
	if (before && !same && left > 0)
		left--;
	r->dropped = 0;
	for (uint32_t i = r->names.count; i-- > 0;) {
		const char *id = releases_id(r, i);
		r->kept[i] = left > 0 && id && strcmp(id, now) != 0 && !(before && strcmp(id, before) == 0) &&
		             !releases_keep(r, i + 1, id);
		left -= r->kept[i];
		r->dropped += !r->kept[i];
	}
}

const char *releases_newest(const struct releases *r)
{
	const char *id = NULL;

	for (uint32_t i = r->names.count; i-- > 0 && !id;)
		id = releases_id(r, i);
	return id;
}

void releases_next(const struct releases *r, const char *id, char *out)
{
	const char *newest = releases_newest(r);
	unsigned long number = newest ? strtoul(newest - DIGITS - 1, NULL, 10) : 0;
	unsigned long last = strtoul(last_number, NULL, 10);

	snprintf(out, RELEASE_NAME_SIZE, "%s%010u-%.*s", prefix,
	         (unsigned)(number < last ? number + 1 : last), ID_LEN, id);
}
