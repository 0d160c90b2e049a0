/* argument.h - which argument getopt_long(3) looks at next, to name it when it is wrong. */
#ifndef DECANT_ARGUMENT_H
#define DECANT_ARGUMENT_H

#include <getopt.h>

/* The next option of ARGV, past any operands, as getopt_long goes; NONE if there is none. */
static inline const char *next_option(int argc, char **argv, const char *none)
{
	for (int i = optind; i < argc; i++)
		if (argv[i][0] == '-' && argv[i][1])
			return argv[i];
	return none;
}

#endif
