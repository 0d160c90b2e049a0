/* describe - writes down a tree, for diff: what two trees must have in common, but what decant keeps for
 * itself at the root.
 *
 *     describe DIR
 *
 * Lines of: path, type, mode, owner, size, time, target; sum of the content, or which path before is the same
 * file; then a line for each user attribute, below its path. An end of line in a name is written as \001. */
#define XXH_INLINE_ALL
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <xxhash.h>

struct inode {
	dev_t dev;
	ino_t ino;
	char *path;
};

static int compare_inodes(const void *a, const void *b)
{
	const struct inode *x = a, *y = b;
	return x->ino != y->ino ? (x->ino < y->ino ? -1 : 1) : (x->dev > y->dev) - (x->dev < y->dev);
}

static int compare_names(const FTSENT **a, const FTSENT **b)
{
	return strcmp((*a)->fts_name, (*b)->fts_name);
}

static int compare_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void put(const char *text)
{
	for (; *text; text++)
		putchar(*text == '\n' ? '\001' : *text);
}

/* The path under which the same file was seen before, if it was. */
static const char *seen_as(const struct stat *st, const char *path)
{
	static void *seen;
	struct inode *new = malloc(sizeof *new);
	char *copy = strdup(path);
	struct inode **found;

	if (!new || !copy)
		err(2, "%s", path);
	*new = (struct inode){st->st_dev, st->st_ino, copy};
	found = tsearch(new, &seen, compare_inodes);
	if (!found)
		err(2, "%s", path);
	if (*found == new)
		return NULL;
	free(copy);
	free(new);
	return (*found)->path;
}

static void put_content(const char *path)
{
	static char buffer[1 << 17];
	int fd = open(path, O_RDONLY | O_NOFOLLOW);
	XXH3_state_t *sum = XXH3_createState();
	ssize_t n = -1;

	if (fd < 0 || !sum)
		err(1, "%s", path);
	XXH3_128bits_reset(sum);
	while ((n = read(fd, buffer, sizeof buffer)) > 0)
		XXH3_128bits_update(sum, buffer, (size_t)n);
	if (n < 0)
		err(1, "%s", path);
	XXH128_hash_t h = XXH3_128bits_digest(sum);
	printf(" %016llx%016llx", (unsigned long long)h.high64, (unsigned long long)h.low64);
	XXH3_freeState(sum);
	close(fd);
}

static void put_attributes(const char *path)
{
	static char list[1 << 16], value[1 << 16];
	char *names[4096];
	size_t count = 0;
	ssize_t size = llistxattr(path, list, sizeof list);

	if (size < 0 && errno != EOPNOTSUPP)
		err(1, "%s", path);
	for (char *name = list; name < list + size && count < 4096; name += strlen(name) + 1)
		if (strncmp(name, "user.", 5) == 0)
			names[count++] = name;
	qsort(names, count, sizeof *names, compare_text);
	for (size_t i = 0; i < count; i++) {
		ssize_t length = lgetxattr(path, names[i], value, sizeof value);
		if (length < 0)
			err(1, "%s", path);
		putchar(' ');
		put(names[i]);
		putchar('=');
		for (ssize_t at = 0; at < length; at++)
			printf("%02x", (unsigned char)value[at]);
		putchar('\n');
	}
}

static void put_entry(const FTSENT *e)
{
	const struct stat *st = e->fts_statp;
	const char *path = e->fts_level == 0 ? "" : e->fts_path + 2, *before = NULL;
	static const char types[] = "?pc?d?b?-?l?s???";

	put(path);
	printf("\t%c", types[(st->st_mode & S_IFMT) >> 12]);
	if (!S_ISLNK(st->st_mode))
		printf(" %04o", st->st_mode & 07777);
	printf(" %u:%u", st->st_uid, st->st_gid);
	if (!S_ISLNK(st->st_mode) && !S_ISDIR(st->st_mode))
		printf(" %lld", (long long)st->st_size);
	printf(" %lld.%09ld", (long long)st->st_mtim.tv_sec, st->st_mtim.tv_nsec);
	if (S_ISLNK(st->st_mode)) {
		char target[4096];
		ssize_t n = readlink(e->fts_accpath, target, sizeof target - 1);
		if (n < 0)
			err(1, "%s", path);
		target[n] = '\0';
		printf(" -> ");
		put(target);
	} else if (!S_ISDIR(st->st_mode) && st->st_nlink > 1 && (before = seen_as(st, path))) {
		printf(" is ");
		put(before);
	} else if (S_ISREG(st->st_mode)) {
		put_content(e->fts_accpath);
	}
	putchar('\n');
	if (!S_ISLNK(st->st_mode) && !before)
		put_attributes(e->fts_accpath);
}

int main(int argc, char **argv)
{
	char *roots[] = {".", NULL};

	if (argc != 2)
		errx(2, "usage: describe DIR");
	if (chdir(argv[1]) != 0)
		err(1, "%s", argv[1]);
	FTS *tree = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, compare_names);
	if (!tree)
		err(1, "%s", argv[1]);
	for (FTSENT *e; (e = fts_read(tree));) {
		if (e->fts_info == FTS_DP)
			continue;
		if (e->fts_info == FTS_DNR || e->fts_info == FTS_ERR || e->fts_info == FTS_NS) {
			errno = e->fts_errno;
			err(1, "%s", e->fts_path);
		}
		if (strcmp(e->fts_path, "./.decant") == 0)
			fts_set(tree, e, FTS_SKIP);
		else
			put_entry(e);
	}
	fts_close(tree);
	return fflush(stdout) != 0;
}
