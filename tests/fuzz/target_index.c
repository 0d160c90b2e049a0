/* target_index.c - the index of a bundle without any I/O: what init/ says of it, and reads in it, against the
 * reference reader. Input: a bundle. */
#include "target.h"

#include <stdlib.h>
#include <string.h>

#include "frame.h"
#include "hash.h"
#include "index.h"
#include "mutate.h"
#include "reference.h"
#include "validate.h"

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc, (void)argv;
	broken_setup();
	return 0;
}

/* What a bundle's reader holds; its bytes are copies of just their size. */
struct reading {
	struct catalog catalog;
	unsigned char *plain;
	struct block *blocks; /* one for each frame */
	unsigned char **block_plain;
};

static const char *read_blocks(struct reading *r, const uint8_t *packed)
{
	struct ZSTD_DCtx_s *unpacker = unpacker_new();
	struct check *check = check_new(&r->catalog);
	const char *wrong = NULL;

	r->blocks = calloc(r->catalog.head.frames, sizeof *r->blocks);
	r->block_plain = calloc(r->catalog.head.frames, sizeof *r->block_plain);
	for (uint32_t i = 0; i < r->catalog.head.frames && !wrong; i++) {
		struct frame frame = catalog_frame(&r->catalog, i);
		r->block_plain[i] = malloc(frame.block_plain);
		if (frame.count)
			wrong =
			    frame_unpack_sum(unpacker, r->block_plain[i], frame.block_plain,
			                     packed + frame.block_at, frame.block_packed, frame.block_sum);
		if (!wrong)
			wrong = block_parse(&r->blocks[i], &frame, r->block_plain[i]);
		if (!wrong)
			wrong = check_block(check, i, &r->blocks[i]);
	}
	if (!wrong)
		wrong = check_end(check);
	check_free(check);
	unpacker_free(unpacker);
	return wrong;
}

/* As bundle.c goes about it. */
static const char *read_bundle(struct reading *r, const uint8_t *data, size_t size)
{
	unsigned char id[HASH_SIZE];
	struct header head;

	if (size < LEAD_TOTAL + HEADER_SIZE || memcmp(data, LEAD_BYTES, LEAD_SIZE) != 0)
		return "no bundle";
	const char *wrong = header_parse(&head, data + LEAD_TOTAL);
	if (wrong)
		return wrong;
	uint64_t index = HEADER_SIZE + head.catalog_packed + head.blocks_packed;
	uint32_t skip =
	    data[13] | (uint32_t)data[14] << 8 | (uint32_t)data[15] << 16 | (uint32_t)data[16] << 24;
	if (size != LEAD_TOTAL + index + head.data_packed || skip != index)
		return "size";
	const uint8_t *packed = data + LEAD_TOTAL + HEADER_SIZE;
	struct ZSTD_DCtx_s *unpacker = unpacker_new();
	r->plain = malloc(head.catalog_plain);
	wrong = frame_unpack(unpacker, r->plain, head.catalog_plain, packed, head.catalog_packed);
	unpacker_free(unpacker);
	if (wrong)
		return wrong;
	hash128(r->plain, head.catalog_plain, id);
	if (memcmp(id, head.id, sizeof id) != 0)
		return "id";
	wrong = catalog_parse(&r->catalog, &head, r->plain);
	return wrong ? wrong : read_blocks(r, packed + head.catalog_packed);
}

static void forget(struct reading *r)
{
	for (uint32_t i = 0; r->blocks && i < r->catalog.head.frames; i++) {
		block_free(&r->blocks[i]);
		free(r->block_plain[i]);
	}
	free(r->blocks);
	free(r->block_plain);
	free(r->plain);
	catalog_free(&r->catalog);
}

static void want(bool same, const char *what)
{
	if (!same)
		broken("%s differs", what);
}

static bool same_text(struct text a, struct bytes b)
{
	return a.len == b.n && (a.len == 0 || memcmp(a.s, b.s, a.len) == 0);
}

#define SAME_META(a, b)                                                                                      \
	((a).mode == (b).meta.mode && (a).uid == (b).meta.uid && (a).gid == (b).meta.gid &&                  \
	 (a).mtime == (b).meta.mtime && (a).nsec == (b).meta.nsec)

static void compare_dirs(const struct catalog *c, const struct ref *ref)
{
	char path[PATH_LEN_MAX + 1];
	uint32_t first = 0;

	want(c->head.dirs == ref->dirs && c->head.entries == ref->entries && c->head.frames == ref->frames,
	     "count");
	for (uint32_t i = 0; i < ref->dirs; i++) {
		struct dir d = catalog_dir(c, i);
		const struct ref_dir *r = &ref->dir[i];
		want(SAME_META(d, *r) && d.parent == r->parent && d.first == first && d.count == r->entries,
		     "directory");
		want(same_text(d.name, r->name) && same_text(d.xattrs, r->xattrs), "directory's text");
		first += r->entries;
		uint32_t end = i + 1;
		while (end < ref->dirs && i > 0 && ref->dir[end].parent >= i)
			end++;
		want(c->dir_end[i] == (i == 0 ? ref->dirs : end), "end of subtree");
		if (i > 64 && i % 61 != 0) /* a path costs as much as it is deep */
			continue;
		want(catalog_path(c, i, path) == (i ? r->path_len : 1) &&
		         strlen(path) == (i ? r->path_len : 1),
		     "path's length");
		if (i) /* the path ends in the name, and behind the last slash stands nothing else */
			want(memcmp(path + r->path_len - r->name.n, r->name.s, r->name.n) == 0, "path");
	}
}

static void compare_entries(const struct reading *in, const struct ref *ref)
{
	const struct catalog *c = &in->catalog;
	uint32_t *links = arena_take((ref->entries + 1) * sizeof *links), at = 0;

	for (uint32_t i = 0; i < ref->entries; i++)
		if (ref->entry[i].type == ENTRY_HARDLINK)
			links[ref->entry[i].size]++;
	for (uint32_t f = 0; f < ref->frames; f++) {
		struct frame frame = catalog_frame(c, f);
		want(frame.first == at && frame.count == ref->frame[f].entries, "frame");
		for (uint32_t n = 0; n < frame.count; n++, at++) {
			struct entry e = block_entry(&in->blocks[f], n);
			const struct ref_entry *r = &ref->entry[at];
			want(SAME_META(e, *r) && e.type == r->type && e.flags == r->flags &&
			         e.size == r->size && e.offset == r->offset &&
			         memcmp(e.hash, r->hash, 16) == 0,
			     "entry");
			want(same_text(e.name, r->name) && same_text(e.target, r->target) &&
			         same_text(e.xattrs, r->xattrs),
			     "entry's text");
			want(catalog_dir_of(c, at) == r->dir && catalog_frame_of(c, at) == f,
			     "place of an entry");
			want(catalog_links(c, at) == links[at], "number of links");
			struct text set = e.xattrs;
			struct xattr x;
			while (xattr_next(&set, &x))
				want(x.name.len > 5, "xattr's name");
		}
	}
}

/* Over all frames each directory begins once, and each entry stands once, in its order. */
static void compare_spans(const struct catalog *c, const struct ref *ref)
{
	uint32_t dirs = 0, at = 0, open = NO_ENTRY;
	uint64_t done = 0;

	for (uint32_t f = 0; f < ref->frames; f++) {
		struct spans spans = spans_of(c, f);
		struct span span;
		struct frame frame = catalog_frame(c, f);
		want(frame.carried == open && (open == NO_ENTRY || frame.carried_at == done),
		     "carried content");
		if (open != NO_ENTRY && (done += frame.plain) >= ref->entry[open].size)
			open = NO_ENTRY;
		while (span_next(&spans, &span)) {
			want(span.dir == dirs - !span.begins, "order of directories");
			dirs += span.begins;
			want(span.from == at || span.from == span.to, "order of entries");
			for (; at < span.to; at++) {
				const struct ref_entry *e = &ref->entry[at];
				want(e->dir == span.dir && e->frame == f, "directory of an entry");
				if (e->type == ENTRY_FILE && e->size > frame.plain - e->offset) {
					open = at;
					done = frame.plain - e->offset;
				}
			}
		}
	}
	want(dirs == ref->dirs && at == ref->entries && open == NO_ENTRY, "number of all");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reading r = {.plain = NULL};
	struct ref *ref = ref_read(data, size);
	const char *wrong = read_bundle(&r, data, size);

	if (!wrong != !ref->wrong)
		broken("init: %s; reference: %s", wrong ? wrong : "valid", ref->wrong ? ref->wrong : "valid");
	if (!wrong) {
		compare_dirs(&r.catalog, ref);
		compare_entries(&r, ref);
		compare_spans(&r.catalog, ref);
	}
	forget(&r);
	arena_reset();
	return 0;
}
