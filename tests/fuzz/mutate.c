#include "mutate.h"

#include <string.h>

#include "bytes.h"
#include "model.h"

enum { DOCS = 4 };

/* Bytes of plain columns, names or content, without regard to what they mean. */
static void change_bytes(struct doc *d, struct dice *dice,
                         size_t (*bytewise)(uint8_t *data, size_t size, size_t max))
{
	uint32_t f = below(dice, d->frames);
	struct bytes *part = &d->catalog;

	if (below(dice, 3) == 0)
		part = &d->block[f];
	else if (below(dice, 3) == 0)
		part = &d->frame[f];
	size_t max = part->n + (below(dice, 2) ? 0 : 1 + below(dice, 64));
	unsigned char *s = arena_take(max + 1);
	if (part->n)
		memcpy(s, part->s, part->n);
	*part = (struct bytes){s, max ? bytewise(s, part->n, max) : 0};
}

static void change_head(struct doc *d, struct dice *dice)
{
	if (d->is_state && below(dice, 2))
		d->head[10] = (uint8_t)below(dice, 4); /* synced, done */
	else if (d->is_state)
		d->head[8 + below(dice, STATE_HEAD - 8)] ^= (uint8_t)(1u << below(dice, 8));
	else
		d->header[below(dice, HEADER_SIZE)] ^= (uint8_t)(1u << below(dice, 8));
}

static struct bytes change(struct doc *d, struct dice *dice,
                           size_t (*bytewise)(uint8_t *data, size_t size, size_t max))
{
	struct model *m = arena_take(sizeof *m);
	struct seal seal = {.dice = dice, .mutate = bytewise, .raw_zstd = below(dice, 2)};
	uint32_t kind = below(dice, 16);

	if (kind < 10 && model_read(m, d)) {
		for (uint32_t n = 1 + below(dice, 4); n; n--)
			change_model(m, dice);
		if (below(dice, 4) == 0)
			model_write(m, d);
		else
			model_repair(m, d, below(dice, 2) ? 4096 : 40 + below(dice, 1000));
	} else if (kind < 13) {
		change_bytes(d, dice, bytewise);
	} else if (kind == 13) {
		change_head(d, dice);
	}
	switch (below(dice, 40)) {
	case 0:
		seal.wrong_header = true;
		break;
	case 1:
		seal.wrong_row = true;
		break;
	case 2:
		seal.wrong_sum = true;
		break;
	case 3:
		seal.wrong_packed = true;
		break;
	}
	return doc_write(d, &seal);
}

size_t mutate(uint8_t *data, size_t size, size_t max, uint64_t seed,
              size_t (*bytewise)(uint8_t *data, size_t size, size_t max))
{
	struct dice dice = {seed};
	struct doc *docs = arena_take(DOCS * sizeof *docs);
	uint32_t count = 0;
	size_t at = 0, out = size;

	while (count < DOCS && doc_read(&docs[count], data + at, size - at))
		at += docs[count++].used;
	if (count == 0 || below(&dice, 20) == 0) {
		out = bytewise(data, size, max);
	} else if (at < size && below(&dice, 3) == 0) {
		/* What stands behind the documents: a target's own orders. */
		out = at + bytewise(data + at, size - at, max - at);
	} else {
		uint32_t which = below(&dice, count);
		size_t before = 0;
		for (uint32_t i = 0; i < which; i++)
			before += docs[i].used;
		size_t after = before + docs[which].used, rest = size - after;
		struct bytes new = change(&docs[which], &dice, bytewise);
		if (new.n && before + new.n + rest <= max) {
			memmove(data + before + new.n, data + after, rest);
			memcpy(data + before, new.s, new.n);
			out = before + new.n + rest;
		}
	}
	arena_reset();
	return out;
}
