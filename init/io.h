/* io.h - reads and writes that are whole or fail. They know EINTR, short results and a zero return. */
#ifndef DECANT_IO_H
#define DECANT_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

/* Read up to SIZE bytes at offset AT, or, where AT is negative, from where FD stands. Returns how many,
 * which is less than SIZE only at the end; -1 with errno. */
ssize_t read_full(int fd, void *buffer, size_t size, int64_t at);

/* The same for a pipe or a socket: looks for a signal that asks to stop while it waits (then -1, EINTR). */
ssize_t read_stream(int fd, void *buffer, size_t size);

/* Write all SIZE bytes at offset AT (negative: where FD stands). False with errno; a write that moves
 * nothing is EIO. */
bool write_full(int fd, const void *buffer, size_t size, int64_t at);

/* The same for a pipe, which may be full for long: looks for a signal that asks to stop while it waits (then
 * EINTR). */
bool write_stream(int fd, const void *buffer, size_t size);

/* How much of SIZE bytes a pipe or a terminal that is ready, as poll(2) says, takes without a wait. */
size_t ready_size(int fd, size_t size);

/* Open PATH below the directory DIR by openat2(2): no symbolic link on the way (ELOOP), no way out (EXDEV).
 * MORE is further RESOLVE_ flags. -1 with errno, ENOSYS or EPERM also where the kernel or a filter has no
 * such call. */
int open_beneath(int dir, const char *path, int flags, uint64_t more);

/* Close *FD, if it is not -1, and make it -1. False with errno when close fails; the descriptor is gone
 * either way (close(2)). */
bool close_fd(int *fd);

static inline bool same_instant(struct timespec a, struct timespec b)
{
	return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

#endif
