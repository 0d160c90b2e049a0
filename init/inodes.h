/* inodes.h - which entries of a tree are names of one file: a table of them by device and inode. */
#ifndef DECANT_INODES_H
#define DECANT_INODES_H

#include <stdbool.h>
#include <stdint.h>

#include "tree.h"

/* All zero at first; whoever has it frees FIRST. */
struct inodes {
	uint32_t *first; /* numbers of entries, or NO_NODE; open addressing */
	uint32_t room;   /* a power of 2 */
	uint32_t count;
};

/* *FIRST is the number of the first entry of TREE that came here with entry NUMBER's device and inode: that
 * itself, perhaps. False when there is no memory. */
bool inodes_first(struct inodes *inodes, const struct tree *tree, uint32_t number, uint32_t *first);

#endif
