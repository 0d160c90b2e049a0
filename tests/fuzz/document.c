#include "document.h"

#include <string.h>
#include <zstd.h>

#include "bytes.h"
#include "hash.h"

static struct bytes unpack(const uint8_t *data, size_t packed, uint64_t plain, bool *done)
{
	struct bytes none = {NULL, 0};

	*done = false;
	if (plain > DOC_PLAIN || ZSTD_getFrameContentSize(data, packed) != plain)
		return none;
	struct bytes out = {arena_take((size_t)plain + 1), (size_t)plain};
	*done = ZSTD_decompress(out.s, out.n, data, packed) == plain;
	return *done ? out : none;
}

size_t frame_columns(struct bytes catalog, uint32_t dirs, uint32_t frames)
{
	size_t at = CATALOG_STRINGS;
	for (int i = 0; i < CATALOG_STRING_COUNT; i++) {
		if (at + 2 > catalog.n)
			return 0;
		at += 2u + get16(catalog.s + at);
	}
	uint64_t end = at + (uint64_t)dirs * DIR_COLUMNS;
	return end + (uint64_t)frames * FRAME_COLUMNS > catalog.n ? 0 : (size_t)end;
}

/* The blocks and, in a bundle, the frames, whose sizes the catalog has. */
static bool read_frames(struct doc *d, const uint8_t *data, size_t size, size_t at)
{
	size_t columns = frame_columns(d->catalog, get32(d->header + HEADER_DIRS), d->frames);
	const uint8_t *rows = d->catalog.s + columns;
	size_t f = d->frames, total = 0;
	bool done = columns != 0;

	for (size_t i = 0; i < f && done; i++) {
		uint32_t packed = get32(rows + 20 * f + 4 * i), plain = get32(rows + 24 * f + 4 * i);
		if (packed > size - at)
			return false;
		if (packed)
			d->block[i] = unpack(data + at, packed, plain, &done);
		at += packed;
		total += plain;
	}
	for (size_t i = 0; i < f && done && !d->is_state; i++) {
		uint32_t packed = get32(rows + 4 * i), plain = get32(rows + 4 * f + 4 * i);
		if (packed > size - at || (total += plain) > 4 * (size_t)DOC_PLAIN)
			return false;
		d->frame[i] = unpack(data + at, packed, plain, &done);
		at += packed;
	}
	d->used = at;
	return done;
}

bool doc_read(struct doc *d, const uint8_t *data, size_t size)
{
	bool done;

	memset(d, 0, sizeof *d);
	d->is_state = size >= 8 && memcmp(data, "dcntstat", 8) == 0;
	size_t at = d->is_state ? (size_t)STATE_HEAD : (size_t)LEAD_TOTAL;
	if (size < at + HEADER_SIZE || (!d->is_state && memcmp(data, LEAD_BYTES, LEAD_SIZE) != 0))
		return false;
	memcpy(d->head, data, at);
	memcpy(d->header, data + at, HEADER_SIZE);
	at += HEADER_SIZE;
	uint32_t packed = get32(d->header + HEADER_CATALOG_PACK);
	d->frames = get32(d->header + HEADER_FRAMES);
	if (packed > size - at || d->frames == 0 || d->frames > DOC_FRAMES)
		return false;
	d->catalog = unpack(data + at, packed, get32(d->header + HEADER_CATALOG), &done);
	return done && read_frames(d, data, size, at + packed);
}

/* One zstd frame of raw blocks (RFC 8878, 3.1.1): single segment, content size in 4 bytes, no checksum. */
static struct bytes store(struct bytes plain)
{
	enum { BLOCK = 128 << 10 };
	struct bytes out = {arena_take(plain.n + 12 + 3 * (plain.n / BLOCK + 1)), 9};

	put32(out.s, 0xfd2fb528);
	out.s[4] = 0xa0;
	put32(out.s + 5, (uint32_t)plain.n);
	for (size_t at = 0; at < plain.n || at == 0; at += BLOCK) {
		size_t n = plain.n - at < BLOCK ? plain.n - at : BLOCK;
		uint32_t block = (uint32_t)(n << 3) | (at + n == plain.n);
		memcpy(out.s + out.n, &block, 3);
		if (n)
			memcpy(out.s + out.n + 3, plain.s + at, n);
		out.n += 3 + n;
	}
	return out;
}

static struct bytes pack(struct bytes plain, const struct seal *how)
{
	static ZSTD_CCtx *packer;
	struct bytes out = {NULL, ZSTD_compressBound(plain.n)};

	if (how->raw_zstd)
		return store(plain);
	if (!packer)
		packer = ZSTD_createCCtx();
	out.s = arena_take(out.n);
	size_t n = ZSTD_compressCCtx(packer, out.s, out.n, plain.s, plain.n, 1);
	if (ZSTD_isError(n))
		broken("the fuzzer's own packing failed");
	out.n = n;
	return out;
}

static void change_packed(struct bytes *packed, const struct seal *how)
{
	size_t max = packed->n + 16;
	unsigned char *s = arena_take(max);
	if (packed->n)
		memcpy(s, packed->s, packed->n);
	*packed = (struct bytes){s, how->mutate(s, packed->n, max)};
}

/* Any number; often one at the edge of something. */
static void change_number(uint8_t *at, size_t size, struct dice *dice)
{
	static const uint64_t edges[] = {0, 1, 0xff, 0xffff, 0x7fffffff, UINT32_MAX, INT64_MAX, UINT64_MAX};
	uint64_t old = 0, new;

	memcpy(&old, at, size);
	switch (below(dice, 4)) {
	case 0:
		new = old + 1;
		break;
	case 1:
		new = old - 1;
		break;
	case 2:
		new = edges[below(dice, sizeof edges / sizeof *edges)];
		break;
	default:
		new = old ^ UINT64_C(1) << below(dice, 8 * size);
	}
	memcpy(at, &new, size);
}

struct packed {
	struct bytes block[DOC_FRAMES], frame[DOC_FRAMES], catalog;
	uint64_t blocks, data, plain;
};

static void pack_frames(const struct doc *d, const struct seal *how, struct packed *p)
{
	uint32_t f = d->frames;

	for (uint32_t i = 0; i < f; i++) {
		if (d->block[i].n)
			p->block[i] = pack(d->block[i], how);
		if (!d->is_state)
			p->frame[i] = pack(d->frame[i], how);
	}
	if (how->wrong_packed) {
		uint32_t i = below(how->dice, f);
		change_packed(d->is_state || below(how->dice, 2) ? &p->block[i] : &p->frame[i], how);
	}
	for (uint32_t i = 0; i < f; i++) {
		p->blocks += p->block[i].n;
		p->data += p->frame[i].n;
		p->plain += d->is_state ? 0 : d->frame[i].n;
	}
}

/* The numbers of the frame columns that follow from the frames. A state keeps those of its bundle. */
static bool write_rows(const struct doc *d, struct packed *p, struct bytes catalog)
{
	size_t f = d->frames, columns = frame_columns(catalog, get32(d->header + HEADER_DIRS), d->frames);
	uint8_t *rows = catalog.s + columns;

	if (columns == 0)
		return false;
	for (size_t i = 0; i < f; i++) {
		put32(rows + 20 * f + 4 * i, (uint32_t)p->block[i].n);
		put32(rows + 24 * f + 4 * i, (uint32_t)d->block[i].n);
		put64(rows + 28 * f + 8 * i, d->block[i].n ? hash64(d->block[i].s, d->block[i].n) : 0);
		if (d->is_state && d->frame[i].n) {
			put32(rows + 4 * i, (uint32_t)d->frame[i].n / 2 + 1);
			put32(rows + 4 * f + 4 * i, (uint32_t)d->frame[i].n);
		}
		if (d->is_state) {
			p->data += get32(rows + 4 * i);
			p->plain += get32(rows + 4 * f + 4 * i);
			continue;
		}
		put32(rows + 4 * i, (uint32_t)p->frame[i].n);
		put32(rows + 4 * f + 4 * i, (uint32_t)d->frame[i].n);
		put64(rows + 8 * f + 8 * i, hash64(d->frame[i].s, d->frame[i].n));
	}
	return true;
}

static void write_header(const struct doc *d, const struct seal *how, const struct packed *p,
                         struct bytes catalog, uint8_t *header)
{
	memcpy(header, d->header, HEADER_SIZE);
	put32(header + HEADER_FRAMES, d->frames);
	put32(header + HEADER_CATALOG, (uint32_t)catalog.n);
	put32(header + HEADER_CATALOG_PACK, (uint32_t)p->catalog.n);
	put64(header + HEADER_BLOCKS_PACK, p->blocks);
	put64(header + HEADER_DATA_PACK, p->data);
	put64(header + HEADER_DATA, p->plain);
	hash128(catalog.s, catalog.n, header + HEADER_ID);
	if (how->wrong_header) {
		static const uint8_t field[][2] = {
		    {HEADER_VERSION, 2},      {HEADER_FLAGS, 2},       {HEADER_DIRS, 4},
		    {HEADER_ENTRIES, 4},      {HEADER_FRAMES, 4},      {HEADER_CATALOG, 4},
		    {HEADER_CATALOG_PACK, 4}, {HEADER_BLOCKS_PACK, 8}, {HEADER_DATA_PACK, 8},
		    {HEADER_DATA, 8},         {HEADER_RESERVED, 8},    {HEADER_ID, 8},
		};
		const uint8_t *one = field[below(how->dice, sizeof field / sizeof *field)];
		change_number(header + one[0], one[1], how->dice);
	}
	put64(header + HEADER_SUM, hash64(header, HEADER_SUM));
}

static void append(struct bytes *out, struct bytes more)
{
	if (more.n)
		memcpy(out->s + out->n, more.s, more.n);
	out->n += more.n;
}

struct bytes doc_write(const struct doc *d, const struct seal *how)
{
	struct packed *p = arena_take(sizeof *p);
	struct bytes catalog = bytes_copy(d->catalog.s, d->catalog.n), out = {NULL, 0};
	uint8_t header[HEADER_SIZE], head[STATE_HEAD];

	pack_frames(d, how, p);
	if (!write_rows(d, p, catalog))
		return out;
	if (how->wrong_row || how->wrong_sum) {
		size_t rows = frame_columns(catalog, get32(d->header + HEADER_DIRS), d->frames);
		size_t at = how->wrong_sum ? 8 * (size_t)d->frames + 8 * below(how->dice, d->frames)
		                           : 4 * (size_t)below(how->dice, 9 * (uint64_t)d->frames);
		change_number(catalog.s + rows + at, 4, how->dice);
	}
	p->catalog = pack(catalog, how);
	write_header(d, how, p, catalog, header);

	size_t head_size = d->is_state ? (size_t)STATE_HEAD : (size_t)LEAD_TOTAL;
	memcpy(head, d->head, sizeof head);
	if (d->is_state)
		put64(head + 76, hash64(head, 76));
	else
		put32(head + LEAD_SIZE, (uint32_t)(HEADER_SIZE + p->catalog.n + p->blocks));
	uint64_t data = d->is_state ? 0 : p->data;
	out.s = arena_take(head_size + HEADER_SIZE + p->catalog.n + (size_t)(p->blocks + data));
	append(&out, (struct bytes){head, head_size});
	append(&out, (struct bytes){header, HEADER_SIZE});
	append(&out, p->catalog);
	for (uint32_t i = 0; i < d->frames; i++)
		append(&out, p->block[i]);
	for (uint32_t i = 0; i < d->frames; i++)
		append(&out, p->frame[i]);
	return out;
}

size_t doc_size(const uint8_t *data, size_t size)
{
	bool is_state = size >= 8 && memcmp(data, "dcntstat", 8) == 0;
	uint64_t all = is_state ? (uint64_t)STATE_HEAD : (uint64_t)LEAD_TOTAL;

	if (size < all + HEADER_SIZE)
		return 0;
	const uint8_t *header = data + all;
	uint64_t blocks = get64(header + HEADER_BLOCKS_PACK), frames = get64(header + HEADER_DATA_PACK);
	if (blocks > size || (!is_state && frames > size))
		return 0;
	all += HEADER_SIZE + get32(header + HEADER_CATALOG_PACK) + blocks + (is_state ? 0 : frames);
	return all <= size ? (size_t)all : 0;
}
