#include "io.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "stop.h"

ssize_t read_full(int fd, void *buffer, size_t size, int64_t at)
{
	size_t done = 0;
	while (done < size) {
		void *to = (char *)buffer + done;
		ssize_t n =
		    at < 0 ? read(fd, to, size - done) : pread(fd, to, size - done, at + (int64_t)done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

ssize_t read_stream(int fd, void *buffer, size_t size)
{
	size_t done = 0;
	while (done < size) {
		/* The signal may have gone to another thread, or have come just before the read. */
		struct pollfd ready = {.fd = fd, .events = POLLIN};
		int polled = poll(&ready, 1, 200);
		if (stop_requested()) {
			errno = EINTR;
			return -1;
		}
		if (polled == 0 || (polled < 0 && errno == EINTR))
			continue;
		ssize_t n = read(fd, (char *)buffer + done, size - done);
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n < 0)
			return -1;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

bool write_full(int fd, const void *buffer, size_t size, int64_t at)
{
	size_t done = 0;
	while (done < size) {
		const void *from = (const char *)buffer + done;
		ssize_t n =
		    at < 0 ? write(fd, from, size - done) : pwrite(fd, from, size - done, at + (int64_t)done);
		if (n < 0 && errno == EINTR && !stop_requested())
			continue;
		if (n == 0)
			errno = EIO;
		if (n <= 0)
			return false;
		done += (size_t)n;
	}
	return true;
}

size_t ready_size(int fd, size_t size)
{
	struct stat st;
	/* n_tty(4) is not documented; in Linux a terminal is ready when it takes 256 bytes or so. */
	size_t most = fstat(fd, &st) == 0 && S_ISCHR(st.st_mode) ? 256 : PIPE_BUF;
	return size < most ? size : most;
}

bool write_stream(int fd, const void *buffer, size_t size)
{
	size_t done = 0;
	while (done < size) {
		struct pollfd ready = {.fd = fd, .events = POLLOUT};
		int polled = poll(&ready, 1, 200);
		if (stop_requested()) {
			errno = EINTR;
			return false;
		}
		if (polled == 0 || (polled < 0 && errno == EINTR))
			continue;
		size_t n = ready_size(fd, size - done);
		if (!write_full(fd, (const char *)buffer + done, n, -1))
			return false;
		done += n;
	}
	return true;
}

int open_beneath(int dir, const char *path, int flags, uint64_t more)
{
	struct open_how how = {
	    .flags = (unsigned)(flags | O_CLOEXEC),
	    .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | more,
	};
	/* EAGAIN: a rename somewhere on the system made the kernel unsure (openat2(2)). */
	for (int tries = 0;; tries++) {
		long fd = syscall(SYS_openat2, dir, path, &how, sizeof how);
		if (fd >= 0 || errno != EAGAIN || tries == 64)
			return (int)fd;
	}
}

bool close_fd(int *fd)
{
	if (*fd == -1)
		return true;
	int result = close(*fd);
	*fd = -1;
	return result == 0 || errno == EINTR;
}
