/* pack_options.h - the command line and the environment of decant-pack, as decisions. */
#ifndef DECANT_PACK_OPTIONS_H
#define DECANT_PACK_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fault.h"

struct pack_options {
	const char *source;   /* DIR */
	const char *output;   /* -o; NULL: standard output */
	const char *dest;     /* --dest, or "" */
	const char *revision; /* --revision, or "" */
	const char *ignore_file;
	const char **excludes; /* owned */
	size_t exclude_count;
	int level;
	unsigned threads; /* 0: as many as workers_allowed() says */
	uint32_t uid, gid;
	bool owner; /* --owner was given */
	bool preserve_owner, no_ignore_file, skip_special, setid, xattrs, quiet, json, help, version;
	bool clamp; /* SOURCE_DATE_EPOCH is set, to EPOCH */
	int64_t epoch;
};

/* Decode ARGV. False with FAULT set (EXIT_USAGE) when it cannot be obeyed. */
bool pack_options_parse(struct pack_options *options, int argc, char **argv, struct fault *fault);

extern const char pack_options_help[];

#endif
