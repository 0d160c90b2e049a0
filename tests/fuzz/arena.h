/* arena.h - memory for one run of a target: taken piece by piece, given back all at once, so that what a
 * target itself leaks is never mixed up with what decant leaks. */
#ifndef DECANT_FUZZ_ARENA_H
#define DECANT_FUZZ_ARENA_H

#include <stddef.h>
#include <stdint.h>

/* SIZE zeroed bytes, valid until arena_reset. Each piece is an allocation of its own, so that a sanitizer
 * sees what goes past its end. Never NULL. */
void *arena_take(size_t size);
void *arena_copy(const void *from, size_t size);
void arena_reset(void);

struct bytes {
	unsigned char *s;
	size_t n;
};
static inline struct bytes bytes_copy(const void *from, size_t size)
{
	return (struct bytes){arena_copy(from, size), size};
}

/* Numbers that look random and are the same for the same SEED (splitmix64). */
struct dice {
	uint64_t seed;
};
uint64_t roll(struct dice *dice);
uint32_t below(struct dice *dice, uint64_t n); /* 0 .. n-1; 0 for n = 0 */

/* Say WHAT and abort: the promise that a target watches over is broken. */
extern int broken_fd; /* where that goes; standard error may be closed to what is fuzzed */
void broken_setup(void);
_Noreturn void broken(const char *what, ...) __attribute__((format(printf, 1, 2)));

#endif
