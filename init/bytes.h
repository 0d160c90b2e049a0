/* bytes.h - little-endian numbers at any address, and sums that notice overflow. */
#ifndef DECANT_BYTES_H
#define DECANT_BYTES_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "decant is written for little-endian machines (x86-64, arm64)"
#endif

static inline uint16_t get16(const void *p)
{
	uint16_t v;
	memcpy(&v, p, sizeof v);
	return v;
}

static inline uint32_t get32(const void *p)
{
	uint32_t v;
	memcpy(&v, p, sizeof v);
	return v;
}

static inline uint64_t get64(const void *p)
{
	uint64_t v;
	memcpy(&v, p, sizeof v);
	return v;
}

static inline void put16(void *p, uint16_t v)
{
	memcpy(p, &v, sizeof v);
}

static inline void put32(void *p, uint32_t v)
{
	memcpy(p, &v, sizeof v);
}

static inline void put64(void *p, uint64_t v)
{
	memcpy(p, &v, sizeof v);
}

/* *sum += v; false, and *sum unchanged, when that does not fit. */
static inline bool add64(uint64_t *sum, uint64_t v)
{
	return !__builtin_add_overflow(*sum, v, sum);
}

#endif
