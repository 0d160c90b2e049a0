#include "content.h"

#include <errno.h>
#include <string.h>

#include "hash.h"
#include "io.h"
#include "stop.h"

bool content_matches(int fd, uint64_t size, const unsigned char *hash, unsigned char *piece, bool *same)
{
	unsigned char sum[HASH_SIZE];
	struct hash_stream stream;

	*same = false;
	if (size <= CONTENT_PIECE) {
		ssize_t n = read_full(fd, piece, (size_t)size, 0);
		if (n < 0)
			return false;
		hash128(piece, (size_t)n, sum);
		*same = (uint64_t)n == size && memcmp(sum, hash, sizeof sum) == 0;
		return true;
	}
	hash_begin(&stream);
	for (uint64_t at = 0; at < size; at += CONTENT_PIECE) {
		ssize_t n = read_full(fd, piece, CONTENT_PIECE, (int64_t)at);
		if (n < 0 || stop_requested()) {
			errno = n < 0 ? errno : EINTR;
			return false;
		}
		hash_add(&stream, piece, (size_t)n);
	}
	hash_end(&stream, sum);
	*same = memcmp(sum, hash, sizeof sum) == 0;
	return true;
}
