#include "old.h"

#include <stdlib.h>

#include "path.h"

/* Hang the children of directory F under their counterparts among the children of T; both lists rise. */
static void map_children(const struct catalog *from, const struct catalog *to, uint32_t f, uint32_t *map)
{
	uint32_t t = map[f], b = t == NO_ENTRY ? 0 : t + 1, end = t == NO_ENTRY ? 0 : to->dir_end[t];

	for (uint32_t a = f + 1; a < from->dir_end[f]; a = from->dir_end[a]) {
		struct text name = catalog_dir(from, a).name;
		int order = 1;
		while (b < end) {
			struct text other = catalog_dir(to, b).name;
			order = name_compare(other.s, other.len, name.s, name.len);
			if (order >= 0)
				break;
			b = to->dir_end[b];
		}
		map[a] = b < end && order == 0 ? b : NO_ENTRY;
	}
}

uint32_t *map_dirs(const struct catalog *from, const struct catalog *to)
{
	uint32_t *map = malloc(from->head.dirs * sizeof *map);
	if (!map)
		return NULL;
	map[0] = 0;
	for (uint32_t f = 0; f < from->head.dirs; f++)
		map_children(from, to, f, map);
	return map;
}

void lookup_enter(struct lookup *l, uint32_t dir)
{
	const struct catalog *c = &l->reader.bundle->catalog;
	if (dir != NO_ENTRY && l->dir == dir + 1)
		return;
	l->dir = dir + 1;
	l->next = dir == NO_ENTRY ? 0 : c->dir_first[dir];
	l->end = dir == NO_ENTRY ? 0 : c->dir_first[dir + 1];
}

bool lookup_find(struct lookup *l, struct text name, struct entry *entry, bool *found, struct fault *fault)
{
	const struct catalog *c = &l->reader.bundle->catalog;

	*found = false;
	for (; l->next < l->end; l->next++) {
		uint32_t frame = catalog_frame_of(c, l->next);
		if (!reader_block(&l->reader, frame, fault))
			return false;
		*entry = block_entry(&l->reader.block, l->next - c->frame_first[frame]);
		int order = name_compare(entry->name.s, entry->name.len, name.s, name.len);
		*found = order == 0;
		if (order >= 0)
			return true;
	}
	return true;
}
