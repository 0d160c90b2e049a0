/* volume.h - a place to fill: a tmpfs of this process's own, with a canary beside the volume, in a mount
 * namespace in which all else is read-only. And what decant's commands make of it, called as main.c calls
 * them, in this process. */
#ifndef DECANT_FUZZ_VOLUME_H
#define DECANT_FUZZ_VOLUME_H

#include <stdbool.h>

#include "fault.h"
#include "options.h"
#include "reference.h"

/* Once, before the first run: needs root. Standard output goes to /dev/null. */
void volume_setup(void);
/* An empty volume of mode 0755; a canary as it was. */
void volume_reset(void);
extern int volume_fd, canary_fd; /* of the two directories, which are beside each other */

/* How to run a command. Bytes are read as a file, or as a pipe. */
struct run {
	struct options options;
	unsigned workers;
	bool stream;
};
/* As decant does it by default, with one worker. */
struct run run_of(enum command command);
/* The same with the options that the bits of CHOICE stand for. */
struct run run_by(enum command command, uint64_t choice);

/* Run it on the bundle of SIZE bytes (fill, verify, list, info), or on the volume (info, BYTES NULL). FAULT
 * says why it failed. Aborts when a descriptor is left open. */
enum exit_code volume_run(const struct run *run, const uint8_t *bytes, size_t size, struct fault *fault);

/* A number that stands for all there is below FD, contents and metadata; not for what is in .decant at the
 * top, nor, with ROOT false, for the metadata of the directory itself. */
uint64_t volume_state(int fd, bool root);

/* Abort unless the canary, and what else stands beside the volume, is as it was. */
void check_canary(void);
/* Abort unless the volume is the tree of REF, whose content has been found. EXTRA: other names are allowed;
 * CONTENT: files have the right bytes, too. */
void check_tree(const struct ref *ref, bool extra, bool content);

/* Write SIZE bytes to NAME below the volume, as a file of mode 0600. */
void plant(const char *name, const void *bytes, size_t size);

#endif
