#include "reference_rules.h"

#include <string.h>

static bool same(struct bytes a, const char *text)
{
	return a.n == strlen(text) && memcmp(a.s, text, a.n) == 0;
}

/* The order of names: unsigned bytes, a prefix first. */
static int order(struct bytes a, struct bytes b)
{
	for (size_t i = 0; i < a.n && i < b.n; i++)
		if (a.s[i] != b.s[i])
			return a.s[i] < b.s[i] ? -1 : 1;
	return a.n < b.n ? -1 : a.n > b.n;
}

bool has_byte(struct bytes in, int byte)
{
	return in.n && memchr(in.s, byte, in.n);
}

static bool valid_name(struct bytes name)
{
	return name.n >= 1 && name.n <= 255 && !has_byte(name, '/') && !has_byte(name, 0) &&
	       !same(name, ".") && !same(name, "..");
}

static bool reserved(struct bytes name)
{
	return same(name, ".decant") || same(name, "lost+found");
}

static bool valid_meta(const struct ref *r, const struct ref_meta *m)
{
	return m->mode <= 07777 && (m->mode <= 0777 || (r->flags & 1)) && m->uid != UINT32_MAX &&
	       m->gid != UINT32_MAX && m->nsec < 1000000000;
}

/* Section 8. */
static bool valid_xattrs(const struct ref *r, struct bytes set)
{
	struct reader in = {set.s, set.n, false};
	struct bytes before = {NULL, 0};

	if (set.n > 65536)
		return false;
	while (in.left) {
		struct bytes len = next_bytes(&in, 1), name = next_bytes(&in, number(len, 0, 1));
		struct bytes size = next_bytes(&in, 4), value = next_bytes(&in, number(size, 0, 4));
		if (in.bad || has_byte(name, 0) || (before.s && order(before, name) >= 0))
			return false;
		bool user = name.n > 5 && memcmp(name.s, "user.", 5) == 0;
		if (!user && !(same(name, "security.capability") && (r->flags & 1) &&
		               (value.n == 20 || value.n == 24)))
			return false;
		before = name;
	}
	return true;
}

/* Section 4: the rules for directories. */
const char *check_dirs(struct ref *r)
{
	uint64_t entries = 0;

	for (uint32_t i = 0; i < r->dirs; i++) {
		struct ref_dir *d = &r->dir[i];
		entries += d->entries;
		if (!valid_meta(r, &d->meta) || !valid_xattrs(r, d->xattrs))
			return "directory's metadata";
		if (i == 0) {
			if (d->name.n || d->parent)
				return "root's name or parent";
			continue;
		}
		if (!valid_name(d->name) || (d->parent == 0 && reserved(d->name)))
			return "directory's name";
		/* The parent is the directory before or one above it. */
		uint32_t above = i - 1, sibling = 0;
		while (above != d->parent && above != 0) {
			sibling = above;
			above = r->dir[above].parent;
		}
		if (above != d->parent)
			return "pre-order";
		if (sibling && order(r->dir[sibling].name, d->name) >= 0)
			return "siblings' order";
		d->path_len = r->dir[above].path_len + (above != 0) + d->name.n;
		if (d->path_len > 4095)
			return "directory's path";
	}
	return entries == r->entries ? NULL : "directories' entries";
}

/* Section 5: what an entry of each type must be like. */
static const char *check_fields(const struct ref *r, uint32_t i)
{
	static const uint8_t zeros[16];
	const struct ref_entry *e = &r->entry[i];
	const struct ref_meta *m = &e->meta;

	if (e->type > 2)
		return "type";
	if (!valid_meta(r, m) || !valid_xattrs(r, e->xattrs) || e->flags > 1)
		return "entry's metadata";
	if (e->type == 0)
		return e->target.n || (e->size == 0 && e->offset) ? "file's fields" : NULL;
	if (e->flags || e->offset || e->xattrs.n || memcmp(e->hash, zeros, 16) != 0)
		return "fields of no file";
	if (e->type == 1)
		return m->mode != 0777 || e->size || e->target.n < 1 || e->target.n > 4095 ||
		               has_byte(e->target, 0)
		           ? "symbolic link's fields"
		           : NULL;
	if (m->mode || m->uid || m->gid || m->mtime || m->nsec || e->target.n)
		return "hard link's fields";
	return e->size >= i || r->entry[e->size].type != 0 ? "hard link's target" : NULL;
}

static const char *check_names(struct ref *r)
{
	uint32_t at = 0;

	for (uint32_t d = 0; d < r->dirs; d++) {
		const struct ref_dir *dir = &r->dir[d];
		for (uint32_t n = 0; n < dir->entries; n++, at++) {
			struct ref_entry *e = &r->entry[at];
			e->dir = d;
			if (!valid_name(e->name) || (d == 0 && reserved(e->name)))
				return "entry's name";
			if (n > 0 && order(r->entry[at - 1].name, e->name) >= 0)
				return "entries' order";
			if (dir->path_len + (d != 0) + e->name.n > 4095)
				return "entry's path";
		}
	}
	for (uint32_t d = 1; d < r->dirs; d++) {
		uint32_t first = 0, parent = r->dir[d].parent;
		for (uint32_t i = 0; i < parent; i++)
			first += r->dir[i].entries;
		for (uint32_t i = first; i < first + r->dir[parent].entries; i++)
			if (order(r->entry[i].name, r->dir[d].name) == 0)
				return "directory's and entry's name";
	}
	return NULL;
}

/* Section 6: where contents lie. */
static const char *check_contents(const struct ref *r)
{
	uint32_t at = 0, open = 0; /* frames that are still one file's */

	for (uint32_t f = 0; f < r->frames; f++) {
		uint64_t end = 0;
		if (open && r->frame[f].entries)
			return "entries in a continuation frame";
		if (open)
			open--;
		for (uint32_t n = 0; n < r->frame[f].entries; n++, at++) {
			const struct ref_entry *e = &r->entry[at];
			if (e->type != 0 || e->size == 0)
				continue;
			if (e->offset < end || e->offset >= r->frame[f].plain)
				return "content's place";
			uint64_t room = r->frame[f].plain - e->offset;
			end = r->frame[f].plain;
			if (e->size <= room) {
				end = e->offset + e->size;
				continue;
			}
			if (n + 1 != r->frame[f].entries)
				return "content beyond its frame";
			for (open = 0; room < e->size; open++) {
				if (f + open + 1 >= r->frames)
					return "content past the end";
				room += r->frame[f + open + 1].plain;
			}
		}
	}
	return NULL;
}

const char *check_entries(struct ref *r, const uint32_t *types, uint64_t content)
{
	uint32_t seen[3] = {0};
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < r->entries; i++) {
		const char *wrong = check_fields(r, i);
		if (wrong)
			return wrong;
		seen[r->entry[i].type]++;
		if (r->entry[i].type != 0)
			continue;
		if (r->entry[i].size > INT64_MAX - bytes)
			return "sizes overflow";
		bytes += r->entry[i].size;
	}
	if (memcmp(seen, types, sizeof seen) != 0 || bytes != content)
		return "catalog's counts";
	const char *wrong = check_names(r);
	return wrong ? wrong : check_contents(r);
}

/* Section 4: the destination. */
bool valid_dest(struct bytes dest)
{
	if (dest.n == 0)
		return true;
	if (dest.n > 4095 || dest.s[0] != '/')
		return false;
	for (size_t from = 0, i = 0; i <= dest.n; i++)
		if (i == dest.n || dest.s[i] == '/') {
			if (i > from && !valid_name((struct bytes){dest.s + from, i - from}))
				return false;
			from = i + 1;
		}
	return true;
}
