#include "dest.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "io.h"
#include "path.h"

static int open_inside(int dir, const char *path, int flags)
{
	return open_beneath(dir, path, flags, RESOLVE_NO_XDEV);
}

/* struct statx by its layout, statx(2), in words of 8 bytes: musl's headers have it since 1.2.5, and the
 * kernel's go with no others. */
enum { STATX_WORDS = 32, ATTRIBUTES = 1, MOUNT = 18, MOUNT_ROOT = 0x2000, MASK_MOUNT = 0x1000 };

/* Is FD what is mounted somewhere, perhaps from the same device? False also when that cannot be found out. */
static bool is_mounted(int fd)
{
	uint64_t buf[STATX_WORDS] = {0};

	return syscall(SYS_statx, fd, "", AT_EMPTY_PATH, 0, buf) == 0 && (buf[ATTRIBUTES] & MOUNT_ROOT);
}

bool dest_on_root(const struct dest *d)
{
	uint64_t here[STATX_WORDS] = {0}, root[STATX_WORDS] = {0};

	return syscall(SYS_statx, d->root, "", AT_EMPTY_PATH, MASK_MOUNT, here) == 0 &&
	       syscall(SYS_statx, AT_FDCWD, "/", 0, MASK_MOUNT, root) == 0 && here[MOUNT] != 0 &&
	       here[MOUNT] == root[MOUNT];
}

/* One component, without openat2: no symbolic link, and still in the volume. */
static int open_component(const struct dest *d, int dir, const char *name, int flags)
{
	struct stat st;
	int fd = openat(dir, name, flags | O_NOFOLLOW | O_CLOEXEC);
	/* Files of an overlay may have a device of their own. */
	if (fd >= 0 && (fstat(fd, &st) != 0 || (S_ISDIR(st.st_mode) && st.st_dev != d->dev) ||
	                (strcmp(name, ".") != 0 && is_mounted(fd)))) {
		close(fd);
		errno = EXDEV;
		return -1;
	}
	return fd;
}

static int walk(const struct dest *d, const char *path, int flags)
{
	char name[NAME_LEN_MAX + 1];
	int dir = open_component(d, d->root, ".", O_PATH | O_DIRECTORY);

	for (const char *at = path; dir >= 0 && at;) {
		at = path_step(at, name);
		int next = open_component(d, dir, name, O_DIRECTORY | (at ? O_PATH : flags));
		int error = errno;
		close(dir);
		errno = error;
		dir = next;
	}
	return dir;
}

int dest_dir(const struct dest *d, const char *path, int flags)
{
	return d->walk ? walk(d, path, flags) : open_inside(d->root, path, flags | O_DIRECTORY);
}

int dest_child(const struct dest *d, int dir, const char *name, int flags)
{
	flags |= O_DIRECTORY;
	return d->walk ? open_component(d, dir, name, flags) : open_inside(dir, name, flags);
}

int dest_file(const struct dest *d, int dir, const char *name, int flags)
{
	flags |= O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
	return d->walk ? open_component(d, dir, name, flags) : open_inside(dir, name, flags);
}

bool dest_folds_case(int fd)
{
	unsigned flags[2] = {0}; /* the call is defined for a long */
	/* musl's ioctl(2) takes an int for what does not fit in one. */
	return syscall(SYS_ioctl, fd, FS_IOC_GETFLAGS, flags) == 0 && (flags[0] & FS_CASEFOLD_FL);
}

/* May this process do what the capabilities NEEDED give, all of the first 32? capabilities(7) */
static bool may(uint32_t needed)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3];

	if (geteuid() != 0)
		return false;
	return syscall(SYS_capget, &head, sets) != 0 || (sets[0].effective & needed) == needed;
}

/* PATH without slashes at its end: with one, O_NOFOLLOW would follow a symbolic link. */
static char *copy_path(const char *path)
{
	size_t len = strlen(path);
	while (len > 1 && path[len - 1] == '/')
		len--;
	return strndup(path, len);
}

static void read_boot(unsigned char *boot, size_t size)
{
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	if (fd < 0 || read_full(fd, boot, size, -1) != (ssize_t)size)
		memset(boot, 0, size);
	close_fd(&fd);
}

bool dest_owner_is(const struct dest *d, int fd, const struct stat *st)
{
	enum { OVERFLOW_UID = 65534 }; /* proc_sys_kernel(5) */
	bool tells = d->amends || geteuid() == OVERFLOW_UID;
	/* Only who may change an inode may set this flag, fcntl(2). */
	return !tells || st->st_uid != OVERFLOW_UID || (fd >= 0 && fcntl(fd, F_SETFL, O_NOATIME) == 0);
}

bool dest_file_owner_is(const struct dest *d, int dir, const char *name, const struct stat *st)
{
	if (dest_owner_is(d, -1, st))
		return true;
	int fd = dest_file(d, dir, name, O_RDONLY);
	/* Who overrides no modes may be kept from what has its owner, too. */
	bool is = fd < 0 ? errno == EACCES && !d->overrides : dest_owner_is(d, fd, st);
	close_fd(&fd);
	return is;
}

/* The steps in which the file system keeps times are no larger than T, one that it keeps, says. What the
 * kernel has set says one time in a hundred 100 where it should be 1: dest_look asks others, and metadata.c
 * the file's own. */
static void narrow_step(struct dest *d, const struct timespec *t)
{
	while (d->step > 1 && t->tv_nsec % d->step != 0)
		d->step /= 10;
	if (d->step < 100)
		d->step = 1;
}

bool dest_open(struct dest *d, const char *path, bool create, struct fault *fault)
{
	struct stat st;

	*d = (struct dest){.root = -1, .path = copy_path(path)};
	if (!d->path)
		return fault_set(fault, EXIT_INTERNAL, path, "open", "out of memory");
	if (create && mkdir(d->path, 0755) != 0 && errno != EEXIST)
		return fault_errno(fault, errno, d->path, "create");
	/* O_PATH first: it tells a link, a fifo or a file apart without opening it. */
	int probe = open(d->path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (probe < 0 || fstat(probe, &st) != 0) {
		int error = errno;
		close_fd(&probe);
		return fault_errno(fault, error, d->path, "open");
	}
	if (!S_ISDIR(st.st_mode)) {
		close(probe);
		return fault_set(fault, EXIT_VOLUME, d->path, "open",
		                 S_ISLNK(st.st_mode) ? "is a symbolic link" : "is not a directory");
	}
	/* O_NOATIME is for who may change the modes of it, open(2). That its owner is not mapped into this
	 * user namespace shows in nothing else that is not a change. */
	d->amends = may(1u << CAP_CHOWN | 1u << CAP_FOWNER);
	d->root_is_ours = st.st_uid == geteuid() || d->amends;
	d->root = openat(probe, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOATIME);
	if (d->root < 0 && errno == EPERM) {
		d->root_is_ours = false;
		d->root = openat(probe, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	int error = errno;
	close(probe);
	if (d->root < 0)
		return fault_errno(fault, error, d->path, "open");
	d->dev = st.st_dev;
	d->step = 1000000000;
	narrow_step(d, &st.st_ctim);
	d->owners = geteuid() == 0;
	d->overrides = may(1u << CAP_DAC_OVERRIDE);

	/* Now, because a confined process cannot read it later. */
	read_boot(d->boot, sizeof d->boot);
	int test = open_inside(d->root, ".", O_PATH | O_DIRECTORY);
	d->walk = test < 0;
	close_fd(&test);
	return true;
}

bool dest_within(struct dest *d, const struct dest *of, const char *name, bool create)
{
	size_t size = strlen(of->path) + strlen(name) + 2;

	*d = *of;
	d->root = -1;
	d->root_is_ours = true; /* no mount point of somebody else's: a directory of the bundle */
	d->path = malloc(size);
	if (!d->path)
		return false;
	snprintf(d->path, size, "%s/%s", of->path, name);
	if (create && !dest_mkdir(of->root, name, 0700) && errno != EEXIST)
		return false;
	d->root = dest_child(of, of->root, name, O_RDONLY);
	return d->root >= 0;
}

void dest_close(struct dest *d)
{
	close_fd(&d->root);
	free(d->path);
	d->path = NULL;
}

void dest_look(struct dest *d)
{
	struct stat a, b;
	int fd = dest_child(d, d->root, STATE_DIR, O_PATH);
	bool there = fd >= 0 && fstat(fd, &a) == 0;
	bool told = there && fstatat(fd, STATE_COMPOSED, &b, AT_SYMLINK_NOFOLLOW) == 0;
	bool caseless = told && fstatat(d->root, ".DECANT", &b, AT_SYMLINK_NOFOLLOW) == 0 &&
	                a.st_ino == b.st_ino && a.st_dev == b.st_dev;

	if (there)
		narrow_step(d, &a.st_ctim);
	/* This time lock.c has set. */
	if (fstatat(fd, "lock", &b, AT_SYMLINK_NOFOLLOW) == 0)
		narrow_step(d, &b.st_mtim);
	d->aliases = !told || caseless || fstatat(fd, STATE_DECOMPOSED, &b, AT_SYMLINK_NOFOLLOW) == 0;
	close_fd(&fd);
}

bool dest_refuse(const struct dest *d, const struct catalog *c, uint32_t dir, struct text name,
                 const char *action, const char *reason, struct fault *fault)
{
	char path[PATH_LEN_MAX + 1], whole[2 * PATH_LEN_MAX];
	int error = errno;
	catalog_path(c, dir, path);
	snprintf(whole, sizeof whole, "%s%s%s%s%.*s", d->path, dir ? "/" : "", dir ? path : "",
	         name.len ? "/" : "", (int)name.len, name.len ? name.s : "");
	return reason ? fault_set(fault, EXIT_VOLUME, whole, action, "%s", reason)
	              : fault_errno(fault, error, whole, action);
}

bool dest_fault(const struct dest *d, const struct catalog *c, uint32_t dir, struct text name,
                const char *action, struct fault *fault)
{
	bool spelling =
	    d->aliases && (errno == EEXIST || errno == ENOENT || errno == ENOTDIR || errno == EISDIR);
	return dest_refuse(
	    d, c, dir, name, action,
	    spelling ? "the volume ignores case or forms of Unicode, and has another spelling, or none"
	             : NULL,
	    fault);
}

static bool all_zero(const unsigned char *data, size_t size)
{
	return size == 0 || (data[0] == 0 && memcmp(data, data + 1, size - 1) == 0);
}

bool dest_write_holes(int fd, const unsigned char *data, size_t size, uint64_t at)
{
	/* Gather the longest run of windows with bytes in them into one write. */
	size_t from = 0;
	for (size_t to = 0; to < size;) {
		size_t window = HOLE_WINDOW - (size_t)((at + to) % HOLE_WINDOW);
		if (window > size - to)
			window = size - to;
		if (all_zero(data + to, window)) {
			if (to > from && !write_full(fd, data + from, to - from, (int64_t)(at + from)))
				return false;
			from = to + window;
		}
		to += window;
	}
	return size == from || write_full(fd, data + from, size - from, (int64_t)(at + from));
}

bool dest_truncate(int fd, uint64_t size)
{
	return ftruncate(fd, (off_t)size) == 0;
}

bool dest_mkdir(int dir, const char *name, uint32_t mode)
{
	return mkdirat(dir, name, mode) == 0;
}

bool dest_rename(int from_dir, const char *from, int to_dir, const char *to)
{
	return renameat(from_dir, from, to_dir, to) == 0;
}

bool dest_link(int from_dir, const char *from, int to_dir, const char *to)
{
	return linkat(from_dir, from, to_dir, to, 0) == 0;
}

bool dest_unlink(int dir, const char *name)
{
	return unlinkat(dir, name, 0) == 0;
}

bool dest_rmdir(int dir, const char *name)
{
	return unlinkat(dir, name, AT_REMOVEDIR) == 0;
}

bool dest_is_dir(int dir, const char *name)
{
	struct stat st;
	int error = errno;
	bool is = fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
	errno = error;
	return is;
}

/* Takes FD, which may be -1: what goes wrong here, the change that wants it will report. */
static void unlock(int fd)
{
	struct stat st;

	if (fd >= 0 && fstat(fd, &st) == 0 && (st.st_mode & 0700) != 0700)
		(void)fchmod(fd, (st.st_mode & MODE_MASK) | 0700);
	close_fd(&fd);
}

void dest_unlock(const struct dest *d, const char *path)
{
	if (!d->overrides)
		unlock(dest_dir(d, path, O_RDONLY));
}

void dest_unlock_child(const struct dest *d, int dir, const char *name)
{
	if (!d->overrides)
		unlock(dest_child(d, dir, name, O_RDONLY));
}

bool dest_space(const struct dest *d, uint64_t *bytes, uint64_t *inodes, uint32_t *unit)
{
	struct statvfs fs;
	if (fstatvfs(d->root, &fs) != 0)
		return false;
	/* Some network and FUSE file systems answer 0 for all of it; root may use what is reserved. */
	*bytes = fs.f_blocks ? (uint64_t)(d->owners ? fs.f_bfree : fs.f_bavail) * fs.f_frsize : UINT64_MAX;
	*inodes = fs.f_files ? (d->owners ? fs.f_ffree : fs.f_favail) : UINT64_MAX;
	/* Network file systems may count in MiB and keep less. */
	*unit = fs.f_frsize && fs.f_frsize < 4096 ? (uint32_t)fs.f_frsize : 4096;
	return true;
}

void dest_reread(const struct dest *d, int fd)
{
	if (d->rereads && fd >= 0)
		(void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
}

bool dest_sync(const struct dest *d)
{
	return syncfs(d->root) == 0;
}

bool dest_sync_tells(const struct dest *d, bool *tells)
{
	enum { OVERLAYFS_MAGIC = 0x794c7630 }; /* statfs(2) */
	struct statfs fs;
	if (fstatfs(d->root, &fs) != 0)
		return false;
	*tells = fs.f_type != OVERLAYFS_MAGIC;
	return true;
}
