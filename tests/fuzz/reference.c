#include "reference.h"

#include <string.h>
#define ZSTD_STATIC_LINKING_ONLY
#include <zstd.h>

#include "hash.h"
#include "reference_rules.h"

struct bytes next_bytes(struct reader *r, uint64_t n)
{
	if (r->bad || n > r->left) {
		r->bad = true;
		return (struct bytes){NULL, 0};
	}
	struct bytes out = {(unsigned char *)(uintptr_t)r->at, (size_t)n};
	r->at += n;
	r->left -= (size_t)n;
	return out;
}

uint64_t number(struct bytes column, size_t i, size_t size)
{
	uint64_t n = 0;
	for (size_t b = 0; b < size && (i + 1) * size <= column.n; b++)
		n |= (uint64_t)column.s[i * size + b] << 8 * b;
	return n;
}

/* One zstd frame of just PLAIN bytes, as section 1 wants it. */
static bool unpack(const uint8_t *at, size_t packed, uint64_t plain, struct bytes *out)
{
	static ZSTD_DCtx *unpacker;

	if (!unpacker) {
		unpacker = ZSTD_createDCtx();
		ZSTD_DCtx_setParameter(unpacker, ZSTD_d_forceIgnoreChecksum, ZSTD_d_ignoreChecksum);
	}
	if (packed < 4 || memcmp(at, "\x28\xb5\x2f\xfd", 4) != 0)
		return false;
	if (ZSTD_getFrameContentSize(at, packed) != plain || ZSTD_getDictID_fromFrame(at, packed) != 0 ||
	    ZSTD_findFrameCompressedSize(at, packed) != packed)
		return false;
	*out = (struct bytes){arena_take((size_t)plain), (size_t)plain};
	return ZSTD_decompressDCtx(unpacker, out->s, out->n, at, packed) == plain;
}

static uint64_t bound(uint64_t plain)
{
	return plain + plain / 128 + 1024;
}

static struct ref_meta read_meta(const struct bytes *columns, size_t i)
{
	return (struct ref_meta){
	    .mode = (uint32_t)number(columns[0], i, 2),
	    .uid = (uint32_t)number(columns[1], i, 4),
	    .gid = (uint32_t)number(columns[2], i, 4),
	    .mtime = (int64_t)number(columns[3], i, 8),
	    .nsec = (uint32_t)number(columns[4], i, 4),
	};
}

static void next_meta(struct reader *in, size_t n, struct bytes *columns)
{
	static const size_t sizes[] = {2, 4, 4, 8, 4};
	for (int c = 0; c < 5; c++)
		columns[c] = next_bytes(in, sizes[c] * n);
}

/* Section 4: the columns. */
static const char *read_columns(struct ref *r, struct reader *in)
{
	size_t d = r->dirs, f = r->frames;
	struct bytes parent = next_bytes(in, 4 * d), entries = next_bytes(in, 4 * d), meta[5];
	next_meta(in, d, meta);
	struct bytes name = next_bytes(in, d), xattrs = next_bytes(in, 4 * d);
	struct bytes packed = next_bytes(in, 4 * f), plain = next_bytes(in, 4 * f),
	             sum = next_bytes(in, 8 * f);
	struct bytes count = next_bytes(in, 4 * f), block_packed = next_bytes(in, 4 * f),
	             block_plain = next_bytes(in, 4 * f);
	struct bytes block_sum = next_bytes(in, 8 * f);

	if (in->bad)
		return "catalog cut";
	r->dir = arena_take(d * sizeof *r->dir);
	r->frame = arena_take(f * sizeof *r->frame);
	for (size_t i = 0; i < d; i++)
		r->dir[i] = (struct ref_dir){.meta = read_meta(meta, i),
		                             .parent = (uint32_t)number(parent, i, 4),
		                             .entries = (uint32_t)number(entries, i, 4),
		                             .name = next_bytes(in, name.s[i])};
	for (size_t i = 0; i < d; i++)
		r->dir[i].xattrs = next_bytes(in, number(xattrs, i, 4));
	for (size_t i = 0; i < f; i++)
		r->frame[i] = (struct ref_frame){.packed = (uint32_t)number(packed, i, 4),
		                                 .plain = (uint32_t)number(plain, i, 4),
		                                 .sum = number(sum, i, 8),
		                                 .entries = (uint32_t)number(count, i, 4),
		                                 .block_packed = (uint32_t)number(block_packed, i, 4),
		                                 .block_plain = (uint32_t)number(block_plain, i, 4),
		                                 .block_sum = number(block_sum, i, 8)};
	return in->bad || in->left ? "catalog's size" : NULL;
}

static const char *check_frames(const struct ref *r, const uint64_t *totals)
{
	uint64_t packed = 0, plain = 0, blocks = 0, entries = 0;

	for (uint32_t i = 0; i < r->frames; i++) {
		const struct ref_frame *f = &r->frame[i];
		if (f->plain < 1 || f->plain > 1 << 24 || f->packed < 1 || f->packed > bound(f->plain))
			return "frame's size";
		if (f->block_plain > 1 << 24 || f->block_packed > bound(f->block_plain))
			return "block's size";
		bool none = !f->entries && !f->block_packed && !f->block_plain;
		bool all = f->entries && f->block_packed && f->block_plain;
		if ((!none && !all) || (uint64_t)f->entries * 59 > f->block_plain)
			return "frame's entries";
		packed += f->packed;
		plain += f->plain;
		blocks += f->block_packed;
		entries += f->entries;
	}
	return blocks == totals[0] && packed == totals[1] && plain == totals[2] && entries == r->entries
	           ? NULL
	           : "totals";
}

/* Section 5: the columns of a block, into ENTRY, the first of the frame's. */
static const char *read_block(struct ref *r, uint32_t frame, struct ref_entry *entry)
{
	struct ref_frame *f = &r->frame[frame];
	size_t n = f->entries;
	struct reader in = {f->block.s, f->block.n, false};
	struct bytes type = next_bytes(&in, n), flags = next_bytes(&in, n), meta[5];
	next_meta(&in, n, meta);
	struct bytes size = next_bytes(&in, 8 * n), offset = next_bytes(&in, 4 * n),
	             hash = next_bytes(&in, 16 * n);
	struct bytes name = next_bytes(&in, n), target = next_bytes(&in, 2 * n),
	             xattrs = next_bytes(&in, 4 * n);

	if (in.bad)
		return "block cut";
	for (size_t i = 0; i < n; i++)
		entry[i] = (struct ref_entry){.type = type.s[i],
		                              .flags = flags.s[i],
		                              .meta = read_meta(meta, i),
		                              .size = number(size, i, 8),
		                              .offset = (uint32_t)number(offset, i, 4),
		                              .frame = frame,
		                              .hash = hash.s + 16 * i,
		                              .name = next_bytes(&in, name.s[i])};
	for (size_t i = 0; i < n; i++)
		entry[i].target = next_bytes(&in, number(target, i, 2));
	for (size_t i = 0; i < n; i++)
		entry[i].xattrs = next_bytes(&in, number(xattrs, i, 4));
	return in.bad || in.left ? "block's size" : NULL;
}

static const char *read_catalog(struct ref *r, struct bytes plain, const uint64_t *totals,
                                struct reader *packed)
{
	struct reader in = {plain.s, plain.n, false};
	struct bytes fixed = next_bytes(&in, 32), string[4];
	uint32_t types[3];

	for (int i = 0; i < 4; i++)
		string[i] = next_bytes(&in, number(next_bytes(&in, 2), 0, 2));
	if (in.bad)
		return "catalog cut";
	r->flags = (uint32_t)number(fixed, 0, 4);
	for (size_t i = 0; i < 3; i++)
		types[i] = (uint32_t)number(fixed, 1 + i, 4);
	if (r->flags > 1 || string[3].n || !valid_dest(string[0]) || has_byte(string[1], 0) ||
	    has_byte(string[2], 0))
		return "catalog's fixed part";
	const char *wrong = read_columns(r, &in);
	if (!wrong)
		wrong = check_frames(r, totals);
	if (!wrong)
		wrong = check_dirs(r);
	if (wrong)
		return wrong;
	r->entry = arena_take((size_t)r->entries * sizeof *r->entry);
	struct ref_entry *e = r->entry;
	for (uint32_t i = 0; i < r->frames; i++) {
		struct ref_frame *f = &r->frame[i];
		struct bytes block = next_bytes(packed, f->block_packed);
		if (f->entries && (!unpack(block.s, block.n, f->block_plain, &f->block) ||
		                   hash64(f->block.s, f->block.n) != f->block_sum))
			return "block";
		wrong = f->entries ? read_block(r, i, e) : NULL;
		if (wrong)
			return wrong;
		e += f->entries;
	}
	return check_entries(r, types, number(fixed, 2, 8));
}

/* Section 3. */
static const char *read_index(struct ref *r, const uint8_t *bytes, size_t size, bool with_data, size_t *used)
{
	struct reader in = {bytes, size, false};
	struct bytes h = next_bytes(&in, 88), plain;
	uint8_t id[16];

	if (in.bad || memcmp(h.s, "decant\x1a\n", 8) != 0 || number(h, 10, 8) != hash64(h.s, 80) ||
	    number(h, 4, 2) != 1 || number(h, 5, 2) != 0 || number(h, 7, 8) != 0)
		return "header";
	r->dirs = (uint32_t)number(h, 3, 4);
	r->entries = (uint32_t)number(h, 4, 4);
	r->frames = (uint32_t)number(h, 5, 4);
	uint64_t catalog = number(h, 6, 4), packed = number(h, 7, 4);
	uint64_t totals[3] = {number(h, 4, 8), number(h, 5, 8), number(h, 6, 8)};
	memcpy(r->id, h.s + 64, 16);
	if (r->dirs < 1 || r->frames < 1 || r->entries == UINT32_MAX || catalog > 1 << 28 ||
	    packed > 1 << 28 || totals[0] > UINT32_MAX - 88 - (UINT64_C(1) << 28) ||
	    totals[1] > (UINT64_C(1) << 62) - 1 ||
	    (uint64_t)r->dirs * 35 + (uint64_t)r->frames * 36 > catalog)
		return "header's numbers";
	*used = 88 + (size_t)packed + (size_t)totals[0];
	r->cut = (uint64_t)size != *used + (with_data ? totals[1] : 0);
	if (r->cut && !with_data)
		return "file's size";
	struct bytes part = next_bytes(&in, packed);
	if (!unpack(part.s, part.n, catalog, &plain))
		return "catalog's frame";
	hash128(plain.s, plain.n, id);
	if (memcmp(id, r->id, 16) != 0)
		return "id";
	const char *wrong = read_catalog(r, plain, totals, &in);
	for (uint32_t i = 0; !wrong && with_data && !r->cut && i < r->frames; i++)
		r->frame[i].at = next_bytes(&in, r->frame[i].packed).s;
	return wrong;
}

struct ref *ref_read(const uint8_t *bytes, size_t size)
{
	static const char lead[] = "\x28\xb5\x2f\xfd\x20\x00\x01\x00\x00\x5d\x2a\x4d\x18";
	struct ref *r = arena_take(sizeof *r);
	size_t used = 0;

	if (size < 17 || memcmp(bytes, lead, 13) != 0) {
		r->wrong = "lead";
		return r;
	}
	r->wrong = read_index(r, bytes + 17, size - 17, true, &used);
	if (!r->wrong && number((struct bytes){(unsigned char *)(uintptr_t)bytes + 13, 4}, 0, 4) != used)
		r->wrong = "skip size";
	r->cut = r->cut && !r->wrong;
	if (r->cut)
		r->wrong = "file's size";
	return r;
}

struct ref *ref_read_index(const uint8_t *bytes, size_t size)
{
	struct ref *r = arena_take(sizeof *r);
	size_t used;

	r->wrong = read_index(r, bytes, size, false, &used);
	return r;
}

const char *ref_content(struct ref *r)
{
	for (uint32_t i = 0; i < r->frames; i++) {
		struct ref_frame *f = &r->frame[i];
		if (!unpack(f->at, f->packed, f->plain, &f->data) || hash64(f->data.s, f->data.n) != f->sum)
			return "frame";
	}
	for (uint32_t i = 0; i < r->entries; i++) {
		struct ref_entry *e = &r->entry[i];
		size_t at = e->offset;
		if (e->type != 0)
			continue;
		e->content = (struct bytes){arena_take((size_t)e->size), 0};
		for (uint32_t f = e->frame; e->content.n < e->size; f++, at = 0)
			for (; at < r->frame[f].data.n && e->content.n < e->size; at++)
				e->content.s[e->content.n++] = r->frame[f].data.s[at];
	}
	return NULL;
}

bool ref_hashes(const struct ref *r)
{
	uint8_t hash[16];
	for (uint32_t i = 0; i < r->entries; i++) {
		const struct ref_entry *e = &r->entry[i];
		if (e->type != 0)
			continue;
		hash128(e->content.s, e->content.n, hash);
		if (memcmp(hash, e->hash, 16) != 0)
			return false;
	}
	return true;
}

static bool usual(const struct ref *r, const struct ref_meta *m, struct bytes xattrs)
{
	const int64_t far = INT64_C(1) << 60;
	return m->mtime < far && m->mtime > -far && (r->flags == 0 || xattrs.n == 0);
}

bool ref_is_usual(const struct ref *r)
{
	for (uint32_t i = 0; i < r->dirs; i++)
		if (!usual(r, &r->dir[i].meta, r->dir[i].xattrs))
			return false;
	for (uint32_t i = 0; i < r->entries; i++)
		if (!usual(r, &r->entry[i].meta, r->entry[i].xattrs))
			return false;
	return true;
}
