#include "inodes.h"

#include <stdlib.h>
#include <string.h>

/* The place for entry NUMBER of T. */
static uint32_t *find(const struct inodes *inodes, const struct tree *t, uint32_t number)
{
	const struct tree_entry *e = &t->entries[number];
	uint64_t hash = (e->ino ^ e->dev << 32) * UINT64_C(0x9e3779b97f4a7c15);

	for (uint32_t i = (uint32_t)(hash >> 32);; i++) {
		uint32_t *slot = &inodes->first[i & (inodes->room - 1)];
		if (*slot == NO_NODE || (t->entries[*slot].dev == e->dev && t->entries[*slot].ino == e->ino))
			return slot;
	}
}

/* Half of the table stays empty. */
static bool grow(struct inodes *inodes, const struct tree *t)
{
	struct inodes old = *inodes;

	if (old.first && old.count < old.room / 2)
		return true;
	uint32_t room = old.room ? old.room * 2 : 1024;
	uint32_t *table = malloc(room * sizeof *table);
	if (!table)
		return false;
	memset(table, 0xff, room * sizeof *table);
	inodes->first = table;
	inodes->room = room;
	for (uint32_t i = 0; i < old.room; i++)
		if (old.first[i] != NO_NODE)
			*find(inodes, t, old.first[i]) = old.first[i];
	free(old.first);
	return true;
}

bool inodes_first(struct inodes *inodes, const struct tree *t, uint32_t number, uint32_t *first)
{
	if (!grow(inodes, t))
		return false;
	uint32_t *slot = find(inodes, t, number);
	if (*slot == NO_NODE) {
		*slot = number;
		inodes->count++;
	}
	*first = *slot;
	return true;
}
