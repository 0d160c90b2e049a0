/* cursor.h - takes bytes off the front of a run of bytes, and never more than there are. */
#ifndef DECANT_CURSOR_H
#define DECANT_CURSOR_H

#include <stddef.h>
#include <stdint.h>

/* A place in bytes, and how many are left. AT is NULL once more was asked for than was left. */
struct cursor {
	const unsigned char *at;
	uint64_t left;
};

/* The next N bytes, or NULL, and from then on always NULL, when there are not that many. */
static inline const unsigned char *take(struct cursor *c, uint64_t n)
{
	const unsigned char *p = c->at;
	if (!p || n > c->left) {
		c->at = NULL;
		return NULL;
	}
	c->at += n;
	c->left -= n;
	return p;
}

#endif
