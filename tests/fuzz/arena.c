#include "arena.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct piece {
	struct piece *next;
	max_align_t bytes[];
};

static struct piece *pieces;

void *arena_take(size_t size)
{
	struct piece *p = calloc(1, sizeof *p + size);
	if (!p)
		abort();
	p->next = pieces;
	pieces = p;
	return p->bytes;
}

void *arena_copy(const void *from, size_t size)
{
	void *to = arena_take(size);
	if (size)
		memcpy(to, from, size);
	return to;
}

void arena_reset(void)
{
	while (pieces) {
		struct piece *next = pieces->next;
		free(pieces);
		pieces = next;
	}
}

uint64_t roll(struct dice *dice)
{
	uint64_t z = (dice->seed += UINT64_C(0x9e3779b97f4a7c15));
	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

uint32_t below(struct dice *dice, uint64_t n)
{
	return n ? (uint32_t)(roll(dice) % n) : 0;
}

int broken_fd = 2;

void broken_setup(void)
{
	int fd = fcntl(2, F_DUPFD_CLOEXEC, 100);
	if (broken_fd == 2 && fd >= 0)
		broken_fd = fd;
}

void broken(const char *what, ...)
{
	char text[8192];
	va_list args;
	va_start(args, what);
	int n = vsnprintf(text, sizeof text - 1, what, args);
	va_end(args);
	if (n > (int)sizeof text - 2)
		n = (int)sizeof text - 2;
	text[n] = '\n';
	if (write(broken_fd, "broken: ", 8) < 0 || write(broken_fd, text, (size_t)n + 1) < 0)
		abort();
	abort();
}
