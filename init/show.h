/* show.h - the commands list and info, whose results go to standard output. */
#ifndef DECANT_SHOW_H
#define DECANT_SHOW_H

#include <stdbool.h>

#include "fault.h"
#include "options.h"

bool show_list(const struct options *options, const char *name, struct fault *fault);

/* NAME is a bundle, or a directory that is a volume. */
bool show_info(const struct options *options, const char *name, struct fault *fault);

#endif
