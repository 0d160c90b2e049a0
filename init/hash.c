#include "hash.h"

#include <string.h>
#include <sys/auxv.h>

/* Only this file includes xxHash's code, so that there is one copy of it. */
#define XXH_INLINE_ALL
#include <xxhash.h>

_Static_assert(sizeof(XXH3_state_t) + _Alignof(XXH3_state_t) - 1 <= sizeof(struct hash_stream),
               "the stream's state has grown");

#define TEXT_OF(number) #number
#define VERSION_TEXT(major, minor, release) TEXT_OF(major) "." TEXT_OF(minor) "." TEXT_OF(release)

static XXH3_state_t *state_of(struct hash_stream *stream)
{
	size_t past = (uintptr_t)stream->opaque % _Alignof(XXH3_state_t);
	return (XXH3_state_t *)(void *)(stream->opaque + (past ? _Alignof(XXH3_state_t) - past : 0));
}

uint64_t hash64(const void *data, size_t size)
{
	return XXH3_64bits(data, size);
}

/* One copy of a large function, and without the half of it that is for seeds: nothing here has one. */
__attribute__((noinline)) static XXH128_hash_t digest(struct hash_stream *stream)
{
	const XXH3_state_t *state = state_of(stream);
	if (state->seed != 0)
		__builtin_unreachable();
	return XXH3_128bits_digest(state);
}

void seal_begin(struct hash_seal *seal)
{
	/* The kernel gives every process 16 random bytes. A seed alone would be added to all words of a known
	 * secret, and some differences between those would stay known. */
	unsigned char random[16 + 1];

	_Static_assert(sizeof seal->secret >= XXH3_SECRET_SIZE_MIN, "the secret is too short for XXH3");
	memcpy(random, (const void *)getauxval(AT_RANDOM), 16);
	for (unsigned i = 0; i < sizeof seal->secret / HASH_SIZE; i++) {
		random[16] = (unsigned char)i;
		hash128(random, sizeof random, seal->secret + (size_t)i * HASH_SIZE);
	}
	XXH3_128bits_reset_withSecret(state_of(&seal->stream), seal->secret, sizeof seal->secret);
}

void seal_add(struct hash_seal *seal, const void *data, size_t size)
{
	hash_add(&seal->stream, data, size);
}

uint64_t seal_end(struct hash_seal *seal)
{
	return digest(&seal->stream).low64;
}

uint64_t hash64_secret(const void *data, size_t size)
{
	struct hash_seal seal;

	seal_begin(&seal);
	seal_add(&seal, data, size);
	return seal_end(&seal);
}

void hash128(const void *data, size_t size, unsigned char *out)
{
	XXH128_canonical_t sum;
	XXH128_canonicalFromHash(&sum, XXH3_128bits(data, size));
	memcpy(out, sum.digest, HASH_SIZE);
}

void hash_begin(struct hash_stream *stream)
{
	XXH3_128bits_reset(state_of(stream));
}

void hash_add(struct hash_stream *stream, const void *data, size_t size)
{
	XXH3_128bits_update(state_of(stream), data, size);
}

void hash_end(struct hash_stream *stream, unsigned char *out)
{
	XXH128_canonical_t sum;
	XXH128_canonicalFromHash(&sum, digest(stream));
	memcpy(out, sum.digest, HASH_SIZE);
}

const char *hash_version(void)
{
	return VERSION_TEXT(XXH_VERSION_MAJOR, XXH_VERSION_MINOR, XXH_VERSION_RELEASE);
}
