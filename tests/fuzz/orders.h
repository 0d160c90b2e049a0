/* orders.h - what somebody did to a volume between two fills, as bytes say: three for each deed, which are
 * what, to which name of a tree, and how. */
#ifndef DECANT_FUZZ_ORDERS_H
#define DECANT_FUZZ_ORDERS_H

#include "reference.h"

/* What was done, as bits. */
enum { DID_TREE = 1, DID_STATE = 2 };

unsigned obey(const uint8_t *orders, size_t size, const struct ref *ref);

#endif
