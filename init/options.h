/* options.h - the command line and the environment of decant, as decisions. */
#ifndef DECANT_OPTIONS_H
#define DECANT_OPTIONS_H

#include <stdbool.h>

#include "fault.h"

enum command { COMMAND_FILL, COMMAND_VERIFY, COMMAND_LIST, COMMAND_INFO, COMMAND_HELP, COMMAND_VERSION };
enum prune { PRUNE_MANAGED, PRUNE_ALL, PRUNE_NONE };
enum progress { PROGRESS_AUTO, PROGRESS_BAR, PROGRESS_LINES, PROGRESS_NONE };

struct options {
	enum command command;
	const char *dest;       /* --dest, else DECANT_DEST, else NULL: what each bundle records */
	const char *expect;     /* --expect: the id that the bundle must have, or NULL */
	unsigned threads;       /* 0: as many as workers_allowed() says */
	unsigned lock_timeout;  /* seconds */
	unsigned keep_releases; /* if not given: 0, with --switch 1 */
	enum prune prune;
	enum progress progress;
	bool switched, sync, create, setid, space_check, json, extra, owners, long_list, null;
	char **bundles; /* the arguments that are left; NULL-terminated, borrowed from argv */
	int bundle_count;
};

/* Decode ARGV. False with FAULT set (EXIT_USAGE) when it cannot be obeyed. */
bool options_parse(struct options *options, int argc, char **argv, struct fault *fault);

/* The text of --help. */
extern const char options_help[];

#endif
