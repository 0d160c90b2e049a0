/* dest.h - the volume. The only module that writes into one, or looks into one.
 *
 * The volume's root is opened once; from there on everything goes by file descriptor and single path
 * component, so that no name that somebody swaps can lead out of the volume. Directories are opened with
 * openat2(2) and RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS, RESOLVE_NO_MAGICLINKS, RESOLVE_NO_XDEV or, where
 * the kernel or a seccomp filter refuses that call, one component at a time with O_NOFOLLOW. A directory that
 * is open and is moved out of the volume itself is another matter: only Landlock (confine.h) ends work there,
 * and not where the volume is the root of a bind mount and the kernel has Landlock's erratum 3
 * (CVE-2025-68736): for that, it still is in it.
 *
 * Functions that return bool or a descriptor fail with false or -1 and errno; the caller, who knows the
 * path, words it (fault_errno). Names are NUL-terminated and valid by name_valid(). */
#ifndef DECANT_DEST_H
#define DECANT_DEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "fault.h"
#include "index.h"
#include "metadata.h"
#include "names.h"

struct dest {
	char *path;             /* as the user named it; owned */
	int root;               /* O_RDONLY descriptor of the root */
	uint64_t dev;           /* its device */
	bool walk;              /* openat2 is refused: walk by component. Set once, by dest_open */
	bool owners;            /* this process may give files away, so owners are applied and compared */
	bool amends;            /* it may set mode, owner and time of what is somebody else's */
	bool overrides;         /* it may change the names in a directory, whatever the mode says */
	unsigned char boot[36]; /* this boot's id as the kernel writes it (random(4)), or zeros */
	bool root_is_ours; /* its mode, owner and time are set and compared: not those of a mount point that
	                    * this process may not change */
	long step;         /* nanoseconds; times are kept in steps no larger than this */
	bool aliases;      /* it may take one spelling of a name for another. Set by dest_look */
	bool rereads;      /* what is compared must be on disk: dest_reread. Set for --sync */
};

/* Open the directory PATH as a volume. With CREATE its last component is made (0755) when it is missing.
 * PATH itself must be no symbolic link. Pass dest_close in any case. */
bool dest_open(struct dest *dest, const char *path, bool create, struct fault *fault);
void dest_close(struct dest *dest);
/* Open directory NAME of the root of OF as a volume of its own, with CREATE made (0700) when it is missing.
 * False with errno. Pass dest_close in any case. */
bool dest_within(struct dest *dest, const struct dest *of, const char *name, bool create);

/* A file of .decant: e with an acute accent, which Unicode writes in two ways. state_clear makes the first,
 * and where the second is there, too, they are one. */
#define STATE_COMPOSED "\xc3\xa9"
#define STATE_DECOMPOSED "e\xcc\x81"

/* Find out by .decant whether the volume ignores case, or forms of Unicode, and its STEP. When that is not
 * there to tell, it may. */
void dest_look(struct dest *dest);

/* Is the root on the file system that is mounted at "/"? False also when that cannot be found out. */
bool dest_on_root(const struct dest *dest);

/* Open the directory at PATH below the root ("." or "a/b"), for FLAGS O_PATH or O_RDONLY. */
int dest_dir(const struct dest *dest, const char *path, int flags);
/* Open directory NAME of directory DIR, for reading; no symbolic link, on the volume's device. */
int dest_child(const struct dest *dest, int dir, const char *name, int flags);
/* Open what is called NAME in directory DIR to look at it, whatever it is: for FLAGS O_RDONLY or O_WRONLY, at
 * once, and no symbolic link (ELOOP), nor what is mounted there (EXDEV). Without openat2 only Linux 5.8 and
 * later tell that. */
int dest_file(const struct dest *dest, int dir, const char *name, int flags);

/* Does the directory FD ignore the case of names? Some file systems have a flag for each
 * (ext4(5), casefold). */
bool dest_folds_case(int fd);

/* Word errno as a fault of entry NAME (may be empty) of directory DIR of CATALOG. Always returns false. */
bool dest_fault(const struct dest *dest, const struct catalog *catalog, uint32_t dir, struct text name,
                const char *action, struct fault *fault);
/* The same for REASON (EXIT_VOLUME); as errno says where that is NULL. */
bool dest_refuse(const struct dest *dest, const struct catalog *catalog, uint32_t dir, struct text name,
                 const char *action, const char *reason, struct fault *fault);

/* SIZE bytes of a new file with ENTRY_HOLES, from offset AT: windows of zeros, and zero parts of windows at
 * both ends, are left out. dest_truncate gives the file its size in the end. */
bool dest_write_holes(int fd, const unsigned char *data, size_t size, uint64_t at);
bool dest_truncate(int fd, uint64_t size);

bool dest_mkdir(int dir, const char *name, uint32_t mode);
bool dest_rename(int from_dir, const char *from, int to_dir, const char *to);
bool dest_link(int from_dir, const char *from, int to_dir, const char *to);
bool dest_unlink(int dir, const char *name);
bool dest_rmdir(int dir, const char *name);
bool dest_is_dir(int dir, const char *name); /* leaves errno as it is */

/* The directory at PATH, when this user owns it, becomes one that its owner may change, if it is not. What
 * its mode shall be is set when all else is done. Does nothing for who OVERRIDES modes. */
void dest_unlock(const struct dest *dest, const char *path);
/* The same for directory NAME of directory DIR. */
void dest_unlock_child(const struct dest *dest, int dir, const char *name);

/* Is the owner that ST has of FD, which is not O_PATH, a real one? One that the user namespace, or an
 * idmapped mount (mount_setattr(2)), has no number for shows as somebody else's. */
bool dest_owner_is(const struct dest *dest, int fd, const struct stat *st);
/* The same of file NAME of directory DIR, which is opened only when ST does not tell. */
bool dest_file_owner_is(const struct dest *dest, int dir, const char *name, const struct stat *st);

/* Bytes and inodes that may still be used; UINT64_MAX where the file system does not say. *UNIT: bytes of a
 * block, 4,096 at the most. */
bool dest_space(const struct dest *dest, uint64_t *bytes, uint64_t *inodes, uint32_t *unit);

/* Where DEST rereads, drop from memory what file FD has there, so that what is read next comes from the disk.
 * When the kernel fails to write a page it reports that once, and then takes the page for clean. What is not
 * written yet, and what a program has mapped, stays in memory. FD may be -1. */
void dest_reread(const struct dest *dest, int fd);

/* Flush the whole file system of the volume (syncfs(2), which reports errors from Linux 5.8 on). */
bool dest_sync(const struct dest *dest);
/* *TELLS: does that report all errors? On overlayfs those of the file system below are not reported. */
bool dest_sync_tells(const struct dest *dest, bool *tells);

#endif
