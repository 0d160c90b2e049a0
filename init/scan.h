/* scan.h - walks a source directory and makes it a tree, sorted, with everything but the content. */
#ifndef DECANT_SCAN_H
#define DECANT_SCAN_H

#include "fault.h"
#include "ignore.h"
#include "tree.h"

struct scan_options {
	const struct ignore *ignore;
	const char *ignore_file; /* name at the root that is never packed, or NULL */
	bool preserve_owner;
	uint32_t uid, gid; /* for everything, without PRESERVE_OWNER */
	bool clamp;        /* SOURCE_DATE_EPOCH: no mtime is later than EPOCH */
	int64_t epoch;
	bool skip_special; /* leave sockets, fifos and devices out instead of refusing */
	bool setid;        /* keep setuid, setgid, sticky bits and file capabilities */
	bool xattrs;
};

/* Scan the directory PATH. Sockets, fifos, devices and names that the format reserves are faults
 * (EXIT_VOLUME) that name the path; so are paths that are too long, by that of the directory. Pass tree_free
 * in any case. */
bool scan(struct tree *tree, const char *path, const struct scan_options *options, struct fault *fault);

#endif
