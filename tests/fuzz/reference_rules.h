/* reference_rules.h - the rules of init/FORMAT.md for what reference.c has read. */
#ifndef DECANT_FUZZ_REFERENCE_RULES_H
#define DECANT_FUZZ_REFERENCE_RULES_H

#include "reference.h"

bool has_byte(struct bytes in, int byte);
bool valid_dest(struct bytes dest);
/* NULL, or what is wrong. */
const char *check_dirs(struct ref *r);
/* TYPES: how many files, symbolic and hard links the catalog counts, CONTENT the sum of their sizes. */
const char *check_entries(struct ref *r, const uint32_t *types, uint64_t content);

/* A place in bytes; BAD once more was asked for than there is. */
struct reader {
	const uint8_t *at;
	size_t left;
	bool bad;
};
struct bytes next_bytes(struct reader *r, uint64_t n);
/* Element I of a column of numbers of SIZE bytes. */
uint64_t number(struct bytes column, size_t i, size_t size);

#endif
