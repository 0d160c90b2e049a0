/* model_change.c - the ways to change a model; see mutate.h. */
#include <string.h>

#include "model.h"
#include "mutate.h"

static uint64_t odd_number(struct dice *dice, uint64_t old)
{
	static const uint64_t edges[] = {
	    0,          1,          2,         0777,           0x7fff,     0xffff,    65536,
	    999999999,  1000000000, INT32_MAX, UINT32_MAX - 1, UINT32_MAX, INT64_MAX, UINT64_C(1) << 63,
	    UINT64_MAX, 4096};
	switch (below(dice, 5)) {
	case 0:
		return old + 1;
	case 1:
		return old - 1;
	case 2:
		return old ^ UINT64_C(1) << below(dice, 64);
	case 3:
		return below(dice, 2000);
	default:
		return edges[below(dice, sizeof edges / sizeof *edges)];
	}
}

static struct bytes odd_name(const struct model *m, struct dice *dice, struct bytes old)
{
	static const char *const odd[] = {"",    ".",    "..",        "...",         ".decant", "lost+found",
	                                  "a/b", "a\nb", "\xff\xfe",  "\x1b[31m",    "tmp",     "state",
	                                  "0",   "1",    "journal-0", "lock",        "a",       "b",
	                                  "-",   "a b",  "\xc3\xa9",  "../../canary"};
	struct bytes name = {arena_take(256), 0};

	switch (below(dice, 7)) {
	case 0: {
		const char *s = odd[below(dice, sizeof odd / sizeof *odd)];
		return bytes_copy(s, strlen(s));
	}
	case 1: /* another's */
		return m->entries ? m->entry[below(dice, m->entries)].name : old;
	case 2:
		return m->dir[below(dice, m->dirs)].name;
	case 3: /* as long as can be */
		name.n = below(dice, 2) ? 255 : 1 + below(dice, 255);
		memset(name.s, 'a' + (int)below(dice, 26), name.n);
		return name;
	case 4: /* a prefix, or one byte more */
		name.n = old.n && below(dice, 2) ? old.n - 1 : old.n;
		if (name.n > 254)
			name.n = 254;
		if (name.n)
			memcpy(name.s, old.s, name.n);
		if (name.n < 255 && below(dice, 2))
			name.s[name.n++] = (unsigned char)below(dice, 256);
		return name;
	case 5:
		return bytes_copy("\0", 1);
	default:
		name.n = 1 + below(dice, 12);
		for (size_t i = 0; i < name.n; i++)
			name.s[i] =
			    (unsigned char)(below(dice, 3) ? 'a' + below(dice, 26) : below(dice, 256));
		return name;
	}
}

/* A set of attributes, mostly whole and in order. */
static struct bytes odd_xattrs(struct dice *dice, struct bytes old)
{
	static const char *const names[] = {
	    "security.capability",    "user.a", "user.b", "user.bb", "user.", "trusted.a", "user.a",
	    "system.posix_acl_access"};
	struct bytes set = {arena_take(4096), 0};

	if (below(dice, 4) == 0)
		return (struct bytes){old.s, old.n - (old.n ? below(dice, old.n) : 0)};
	for (uint32_t i = below(dice, 4) ? 1 + below(dice, 2) : below(dice, 8), n = 0; n < 3 && i < 8;
	     n++, i++) {
		uint32_t value = below(dice, 2) ? below(dice, 20) : below(dice, 900);
		if (i == 0 && below(dice, 4)) /* the lengths that it may have */
			value = below(dice, 2) ? 20 : 24;
		size_t len = strlen(names[i]);
		set.s[set.n++] = (unsigned char)len;
		memcpy(set.s + set.n, names[i], len);
		set.n += len;
		memcpy(set.s + set.n, &value, 4);
		set.n += 4;
		memset(set.s + set.n, (int)below(dice, 256), value);
		set.n += value;
		if (below(dice, 2))
			break;
	}
	return set;
}

static void change_meta(struct meta *m, struct dice *dice)
{
	switch (below(dice, 5)) {
	case 0:
		m->mode = below(dice, 3) ? below(dice, 01000) : (uint32_t)odd_number(dice, m->mode);
		break;
	case 1:
		m->uid = (uint32_t)odd_number(dice, m->uid);
		break;
	case 2:
		m->gid = (uint32_t)odd_number(dice, m->gid);
		break;
	case 3:
		m->nsec = (uint32_t)odd_number(dice, m->nsec);
		break;
	default:
		m->mtime = (int64_t)odd_number(dice, (uint64_t)m->mtime);
	}
}

static void change_content(struct model_entry *e, struct dice *dice)
{
	static const size_t sizes[] = {0, 1, 15, 16, 17, 511, 512, 513, 4096, 65535, 65536, 70000, 140000};
	size_t n = below(dice, 3) ? below(dice, 600) : sizes[below(dice, sizeof sizes / sizeof *sizes)];
	struct bytes new = {arena_take(n), n};

	if (below(dice, 3))
		memset(new.s, below(dice, 2) ? 0 : 'x', n);
	if (e->content.n)
		memcpy(new.s, e->content.s, e->content.n < n ? e->content.n : n);
	for (uint32_t i = below(dice, 4); i && n; i--)
		new.s[below(dice, n)] = (unsigned char)below(dice, 256);
	e->content = new;
	e->size = n;
	e->flags = (uint8_t)(below(dice, 2) ? ENTRY_HOLES : e->flags);
}

static void change_entry(struct model *m, struct dice *dice)
{
	struct model_entry *e = &m->entry[below(dice, m->entries)];

	switch (below(dice, 11)) {
	case 0:
		e->type = (uint8_t)below(dice, 4);
		break;
	case 1:
		e->flags = (uint8_t)odd_number(dice, e->flags);
		break;
	case 2:
		e->size = odd_number(dice, e->size);
		e->link = NO_LINK;
		break;
	case 3:
		e->offset = (uint32_t)odd_number(dice, e->offset);
		break;
	case 4:
		e->name = odd_name(m, dice, e->name);
		break;
	case 5:
		e->target = below(dice, 8) ? odd_name(m, dice, e->target)
		                           : (struct bytes){arena_take(5000), 4090 + below(dice, 10)};
		if (e->target.n > 4000)
			memset(e->target.s, '/', e->target.n);
		break;
	case 6:
		e->xattrs = odd_xattrs(dice, e->xattrs);
		break;
	case 7:
		e->dir = below(dice, m->dirs);
		break;
	case 8:
		e->link = below(dice, m->entries);
		e->type = ENTRY_HARDLINK;
		break;
	case 9:
		change_content(e, dice);
		break;
	default:
		change_meta(&e->meta, dice);
	}
}

static void change_dir(struct model *m, struct dice *dice)
{
	struct model_dir *d = &m->dir[below(dice, m->dirs)];

	switch (below(dice, 5)) {
	case 0:
		d->parent = (uint32_t)(below(dice, 3) ? below(dice, m->dirs) : odd_number(dice, d->parent));
		break;
	case 1:
		d->name = odd_name(m, dice, d->name);
		break;
	case 2:
		d->xattrs = odd_xattrs(dice, d->xattrs);
		break;
	default:
		change_meta(&d->meta, dice);
	}
}

/* N directories, each in the one before or all in one. */
static void add_dirs(struct model *m, struct dice *dice)
{
	/* Deep trees cost the square of their depth, so there are few of them. */
	uint32_t most = below(dice, 20) ? 3 : below(dice, 50) ? 40 : 2200;
	uint32_t n = 1 + below(dice, most), at = below(dice, m->dirs);
	bool chain = below(dice, 2);

	for (; n && m->dirs < MODEL_DIRS; n--) {
		struct model_dir *d = &m->dir[m->dirs];
		*d = (struct model_dir){.meta = {.mode = 0755, .mtime = 1}, .parent = at};
		d->name = n > 3 ? bytes_copy("d", 1) : odd_name(m, dice, m->dir[at].name);
		if (chain)
			at = m->dirs;
		m->dirs++;
	}
}

static void add_entry(struct model *m, struct dice *dice)
{
	if (m->entries >= MODEL_ENTRIES)
		return;
	uint32_t at = below(dice, m->entries + 1);
	struct model_entry e = {.type = (uint8_t)below(dice, 3), .link = NO_LINK, .meta = {.mode = 0644}};

	if (m->entries && below(dice, 2))
		e = m->entry[below(dice, m->entries)];
	else
		e.dir = below(dice, m->dirs);
	if (below(dice, 4))
		e.name = odd_name(m, dice, e.name);
	if (e.type == ENTRY_SYMLINK && !e.target.n)
		e.target = odd_name(m, dice, e.name);
	if (e.type == ENTRY_HARDLINK && e.link == NO_LINK)
		e.link = below(dice, m->entries);
	if (e.type == ENTRY_FILE)
		change_content(&e, dice);
	if (at < m->entries)
		e.frame = m->entry[at].frame;
	memmove(&m->entry[at + 1], &m->entry[at], (m->entries - at) * sizeof e);
	m->entry[at] = e;
	m->entries++;
}

static void remove_some(struct model *m, struct dice *dice)
{
	uint32_t n = 1 + below(dice, 2) * below(dice, 8);

	for (; n && m->entries; n--) {
		uint32_t at = below(dice, m->entries--);
		memmove(&m->entry[at], &m->entry[at + 1], (m->entries - at) * sizeof *m->entry);
	}
	if (below(dice, 4) == 0 && m->dirs > 1) {
		uint32_t keep = 1 + below(dice, m->dirs - 1);
		m->dirs = keep;
		for (uint32_t i = 0; i < m->entries; i++)
			m->entry[i].dir %= keep;
	}
}

static void change_strings(struct model *m, struct dice *dice)
{
	static const char odd[][10] = {"/",       "/srv/www", "srv", "/a/../b", "/a/./b",
	                               "//a//b/", "",         "v1",  "/a\0b"};
	uint32_t which = below(dice, CATALOG_STRING_COUNT);
	const char *text = odd[below(dice, sizeof odd / sizeof *odd)];

	if (below(dice, 4) == 0)
		m->flags =
		    below(dice, 8) ? m->flags ^ CATALOG_HAS_SETID : (uint32_t)odd_number(dice, m->flags);
	else if (below(dice, 3) == 0)
		m->disk = odd_number(dice, m->disk);
	else if (below(dice, 8) == 0)
		m->string[which] =
		    (struct bytes){memset(arena_take(5000), '/', 5000), 4090 + below(dice, 10)};
	else
		m->string[which] = bytes_copy(text, below(dice, 9) ? strlen(text) : sizeof odd[0]);
}

void change_model(struct model *m, struct dice *dice)
{
	switch (below(dice, 12)) {
	case 0:
	case 1:
		add_entry(m, dice);
		break;
	case 2:
		remove_some(m, dice);
		break;
	case 3:
		change_dir(m, dice);
		break;
	case 4:
		add_dirs(m, dice);
		break;
	case 5:
		change_strings(m, dice);
		break;
	default:
		if (m->entries)
			change_entry(m, dice);
		else
			add_entry(m, dice);
	}
}
