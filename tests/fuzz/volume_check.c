/* volume_check.c - the looking half of volume.h. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "hash.h"
#include "volume.h"

/* What stands for one name, to be added up with others in any order. */
static uint64_t weigh(int fd, const char *name, const struct stat *st)
{
	struct {
		uint64_t mode, uid, gid, size, sec, nsec, content, name, xattrs;
	} w = {st->st_mode,
	       st->st_uid,
	       st->st_gid,
	       S_ISDIR(st->st_mode) ? 0 : (uint64_t)st->st_size,
	       (uint64_t)st->st_mtim.tv_sec,
	       (uint64_t)st->st_mtim.tv_nsec,
	       0,
	       hash64(name, strlen(name)),
	       0};
	static char buffer[1 << 16];

	if (S_ISLNK(st->st_mode)) {
		ssize_t n = readlinkat(fd, name, buffer, sizeof buffer);
		w.content = hash64(buffer, n > 0 ? (size_t)n : 0);
	} else if (S_ISREG(st->st_mode) || S_ISDIR(st->st_mode)) {
		ssize_t n = 0;
		int file = openat(fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
		while (S_ISREG(st->st_mode) && (n = read(file, buffer, sizeof buffer)) > 0)
			w.content = w.content * 31 + hash64(buffer, (size_t)n);
		n = flistxattr(file, buffer, sizeof buffer);
		for (char *at = buffer; n > 0 && at < buffer + n; at += strlen(at) + 1) {
			char value[4096];
			ssize_t len = fgetxattr(file, at, value, sizeof value);
			w.xattrs += hash64(at, strlen(at)) * 31 + hash64(value, len > 0 ? (size_t)len : 0);
		}
		close(file);
	}
	return hash64(&w, sizeof w);
}

/* The sum over all below FD, which is closed. */
static uint64_t add_up(int fd, bool top)
{
	DIR *stream = fdopendir(fd);
	uint64_t sum = 0;
	struct dirent *item;
	struct stat st;

	while (stream && (item = readdir(stream)) != NULL) {
		const char *name = item->d_name;
		if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
		    (top && (strcmp(name, ".decant") == 0 || strcmp(name, "volume") == 0)))
			continue;
		if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
			broken("%s: %s", name, strerror(errno));
		uint64_t one = weigh(fd, name, &st);
		if (S_ISDIR(st.st_mode))
			one = one * 31 + add_up(openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW), false);
		sum += hash64(&one, sizeof one);
	}
	if (!stream)
		broken("a directory cannot be read: %s", strerror(errno));
	closedir(stream);
	return sum;
}

uint64_t volume_state(int fd, bool root)
{
	struct stat st;
	uint64_t sum = add_up(openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), true);

	if (root && fstat(fd, &st) == 0)
		sum += weigh(fd, ".", &st);
	return sum;
}

/* ---- a tree against a reference --------------------------------------------------------------- */

static const char *terminate(char *out, struct bytes name)
{
	memcpy(out, name.s, name.n);
	out[name.n] = '\0';
	return out;
}

static void check_meta(const struct stat *st, const struct ref_meta *m, const char *name)
{
	if (!S_ISLNK(st->st_mode) && (st->st_mode & 07777) != m->mode)
		broken("%s: mode %o instead of %o", name, st->st_mode & 07777, m->mode);
	if (st->st_uid != m->uid || st->st_gid != m->gid)
		broken("%s: owner %u:%u instead of %u:%u", name, st->st_uid, st->st_gid, m->uid, m->gid);
	/* In the first second of all the kernel keeps no fraction (timestamp_truncate), and decant, which
	 * tells the steps of times by one that the kernel has set, takes that for right when this happens to
	 * end in zeros. */
	bool cut = m->mtime == INT64_MIN && st->st_mtim.tv_nsec == 0;
	if (st->st_mtim.tv_sec != m->mtime || (st->st_mtim.tv_nsec != m->nsec && !cut))
		broken("%s: time %lld.%09ld instead of %lld.%09u", name, (long long)st->st_mtim.tv_sec,
		       st->st_mtim.tv_nsec, (long long)m->mtime, m->nsec);
}

static uint32_t number(const unsigned char *s)
{
	return s[0] | (uint32_t)s[1] << 8 | (uint32_t)s[2] << 16 | (uint32_t)s[3] << 24;
}

static void check_xattrs(int fd, struct bytes set, const char *name)
{
	char list[65536], key[256], *value = arena_take(65536);
	size_t count = 0, managed = 0;

	for (size_t at = 0; at < set.n; count++) {
		size_t len = set.s[at], size = number(set.s + at + 1 + len);
		terminate(key, (struct bytes){set.s + at + 1, len});
		ssize_t n = fgetxattr(fd, key, value, 65536);
		if (n != (ssize_t)size || memcmp(value, set.s + at + 5 + len, size) != 0)
			broken("%s: xattr %s: wrong", name, key);
		at += 5 + len + size;
	}
	ssize_t n = flistxattr(fd, list, sizeof list);
	for (char *at = list; n > 0 && at < list + n; at += strlen(at) + 1)
		managed += strncmp(at, "user.", 5) == 0 || strcmp(at, "security.capability") == 0;
	if (managed != count)
		broken("%s: %zu xattrs instead of %zu", name, managed, count);
}

static void check_content(int fd, const struct ref_entry *e, const char *name)
{
	unsigned char piece[4096];

	for (size_t at = 0; at < e->content.n; at += sizeof piece) {
		size_t n = e->content.n - at < sizeof piece ? e->content.n - at : sizeof piece;
		if (pread(fd, piece, n, (off_t)at) != (ssize_t)n || memcmp(piece, e->content.s + at, n) != 0)
			broken("%s: wrong bytes", name);
	}
}

/* INODES: what each entry's name was found to be, for the hard links to it. */
static void check_entry(const struct ref *ref, uint32_t i, int dir, uint64_t *inodes, bool content)
{
	const struct ref_entry *e = &ref->entry[i];
	const struct ref_meta *meta = &e->meta;
	char name[256], target[4096];
	struct stat st;

	if (fstatat(dir, terminate(name, e->name), &st, AT_SYMLINK_NOFOLLOW) != 0)
		broken("%s: is not there", name);
	inodes[i] = st.st_ino;
	if (e->type == 2) {
		if (st.st_ino != inodes[e->size])
			broken("%s: is no link to its file", name);
		return;
	}
	if ((st.st_mode & S_IFMT) != (e->type == 0 ? S_IFREG : S_IFLNK))
		broken("%s: has the wrong type", name);
	check_meta(&st, meta, name);
	if (e->type == 1) {
		ssize_t n = readlinkat(dir, name, target, sizeof target);
		if (n != (ssize_t)e->target.n || memcmp(target, e->target.s, e->target.n) != 0)
			broken("%s: has the wrong target", name);
		return;
	}
	int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || (uint64_t)st.st_size != e->size)
		broken("%s: %lld bytes instead of %llu", name, (long long)st.st_size,
		       (unsigned long long)e->size);
	check_xattrs(fd, e->xattrs, name);
	if (content)
		check_content(fd, e, name);
	close(fd);
}

static uint64_t count_names(int fd, bool top)
{
	DIR *stream = fdopendir(dup(fd));
	uint64_t count = 0;
	struct dirent *item;

	rewinddir(stream);
	while ((item = readdir(stream)) != NULL)
		count += strcmp(item->d_name, ".") != 0 && strcmp(item->d_name, "..") != 0 &&
		         !(top &&
		           (strcmp(item->d_name, ".decant") == 0 || strcmp(item->d_name, "lost+found") == 0));
	closedir(stream);
	return count;
}

/* One component after the other, as the directories' numbers lead up to the root. */
static int open_dir(const struct ref *ref, uint32_t dir)
{
	uint32_t *chain = arena_take(4096 * sizeof *chain), depth = 0;
	int fd = openat(volume_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char name[256];

	for (uint32_t d = dir; d; d = ref->dir[d].parent)
		chain[depth++] = d;
	while (depth && fd >= 0) {
		int next = openat(fd, terminate(name, ref->dir[chain[--depth]].name),
		                  O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		close(fd);
		fd = next;
	}
	if (fd < 0)
		broken("directory %u: %s", dir, strerror(errno));
	return fd;
}

void check_tree(const struct ref *ref, bool extra, bool content)
{
	uint64_t *inodes = arena_take((ref->entries + 1) * sizeof *inodes);
	uint32_t *children = arena_take((ref->dirs + 1) * sizeof *children), at = 0;
	struct stat st;

	for (uint32_t d = 1; d < ref->dirs; d++)
		children[ref->dir[d].parent]++;
	for (uint32_t d = 0; d < ref->dirs; d++) {
		const struct ref_dir *dir = &ref->dir[d];
		/* The way to all of a deep chain is long: its empty directories are tried here and there. */
		if (dir->path_len > 300 && !dir->entries && d % 61 != 0)
			continue;
		int fd = open_dir(ref, d);
		fstat(fd, &st);
		check_meta(&st, &dir->meta, d ? "a directory" : "the root");
		check_xattrs(fd, dir->xattrs, "a directory");
		for (uint32_t n = 0; n < dir->entries; n++)
			check_entry(ref, at++, fd, inodes, content);
		if (!extra && count_names(fd, d == 0) != dir->entries + children[d])
			broken("directory %u has other names, too", d);
		close(fd);
	}
}
