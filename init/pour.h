/* pour.h - unpacks the frames and writes what is in them: the part of a fill that takes the time. */
#ifndef DECANT_POUR_H
#define DECANT_POUR_H

#include "fill.h"

/* Write all files and symbolic links that the plan wants written: under their names when the volume is
 * fresh, else to .decant/tmp, named by their numbers. Compares what is to be checked and turns each
 * ACTION_CHECK of the plan into KEEP, AMEND or REPLACE. Of a stream, all frames are read. */
bool pour(struct fill *fill, struct fault *fault);

#endif
