/* mutator.c - mutate.h as libFuzzer's mutator, for targets that eat bundles. */
#include <stdlib.h>

#include "mutate.h"
#include "target.h"

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed);

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
	static int plain = -1;

	/* To see what the structure is worth. */
	if (plain < 0)
		plain = getenv("DECANT_FUZZ_PLAIN") != NULL;
	return plain ? LLVMFuzzerMutate(data, size, max) : mutate(data, size, max, seed, LLVMFuzzerMutate);
}
