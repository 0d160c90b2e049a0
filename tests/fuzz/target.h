/* target.h - what a fuzz target consists of: one function for setting up, one for each input. The same source
 * serves libFuzzer and replay.c, which runs files without it. */
#ifndef DECANT_FUZZ_TARGET_H
#define DECANT_FUZZ_TARGET_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
