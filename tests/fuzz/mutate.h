/* mutate.h - changes bundles and state files so that what comes out gets past the checksums. */
#ifndef DECANT_FUZZ_MUTATE_H
#define DECANT_FUZZ_MUTATE_H

#include <stddef.h>
#include <stdint.h>

/* Change one of the documents (bundles, state files, one behind another) at DATA, which has room for MAX
 * bytes. BYTEWISE changes bytes that have no structure. Returns the new size. */
size_t mutate(uint8_t *data, size_t size, size_t max, uint64_t seed,
              size_t (*bytewise)(uint8_t *data, size_t size, size_t max));

/* Change a model in one of many ways (model_change.c). */
struct model;
struct dice;
void change_model(struct model *model, struct dice *dice);

#endif
