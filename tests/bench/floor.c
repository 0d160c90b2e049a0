/* floor - the least that anything can need to put a tree into a volume:
 *     floor OUT THREADS BUNDLE TREE DEST
 * It reads TREE and the zstd file BUNDLE into memory first. Then it takes the time of two things and adds
 * them up: unpacking all frames of BUNDLE, to nowhere; and writing TREE to the empty directory DEST with the
 * fewest system calls: mkdirat; openat, write, futimens, close; symlinkat, utimensat. It checks nothing,
 * knows no owners, attributes or hard links, and is no copier. OUT gets one line of JSON, as measure's. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <zstd.h>

/* Neighbours stay with one thread: two in one directory would wait for each other. */
enum { RUN = 2048, THREADS_MAX = 64, ROOM = 16 << 20 };

struct item {
	char *name, *data; /* content, or a symbolic link's target */
	size_t size, dir;
	mode_t mode;
	struct timespec mtime;
};

struct dir {
	char *path;
	mode_t mode;
};

static struct item *items;
static struct dir *dirs;
static size_t item_count, dir_count;
static char *packed;
static size_t packed_size;
static size_t *frames, frame_count;
static atomic_size_t next_run, next_frame;
static int root;

static void die(const char *what)
{
	fprintf(stderr, "floor: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void *need(void *memory)
{
	if (!memory)
		die("memory");
	return memory;
}

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static char *slurp(int dir, const char *name, size_t *size)
{
	struct stat st;
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) != 0)
		die(name);
	char *data = need(malloc((size_t)st.st_size + 1));
	for (*size = 0; *size < (size_t)st.st_size;) {
		ssize_t got = read(fd, data + *size, (size_t)st.st_size - *size);
		if (got <= 0)
			die(name);
		*size += (size_t)got;
	}
	close(fd);
	return data;
}

static void add_item(int fd, const char *name, size_t dir, const struct stat *st)
{
	char target[4096];
	if (item_count % 4096 == 0)
		items = need(realloc(items, (item_count + 4096) * sizeof *items));
	struct item *item = &items[item_count++];
	*item =
	    (struct item){.name = need(strdup(name)), .dir = dir, .mode = st->st_mode, .mtime = st->st_mtim};
	if (S_ISLNK(st->st_mode)) {
		ssize_t length = readlinkat(fd, name, target, sizeof target - 1);
		if (length < 0)
			die(name);
		target[length] = '\0';
		item->data = need(strdup(target));
	} else {
		item->data = slurp(fd, name, &item->size);
	}
}

/* Names in order, as decant's bundle has them; the files of a directory before its directories. */
static void scan(const char *path, mode_t mode)
{
	char below[4096];
	struct dirent **names;
	struct stat st;
	size_t number = dir_count;

	if (dir_count % 4096 == 0)
		dirs = need(realloc(dirs, (dir_count + 4096) * sizeof *dirs));
	dirs[dir_count++] = (struct dir){need(strdup(path)), mode};
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int count = scandir(path, &names, NULL, alphasort);
	if (fd < 0 || count < 0)
		die(path);
	for (int pass = 0; pass < 2; pass++) {
		for (int i = 0; i < count; i++) {
			const char *name = names[i]->d_name;
			if (!strcmp(name, ".") || !strcmp(name, ".."))
				continue;
			if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
				die(name);
			snprintf(below, sizeof below, "%s/%s", path, name);
			if (pass == 1 && S_ISDIR(st.st_mode))
				scan(below, st.st_mode);
			else if (pass == 0 && !S_ISDIR(st.st_mode))
				add_item(fd, name, number, &st);
		}
	}
	for (int i = 0; i < count; i++)
		free(names[i]);
	free(names);
	close(fd);
}

static void write_item(int fd, const struct item *item)
{
	struct timespec times[2] = {{0, UTIME_OMIT}, item->mtime};
	if (S_ISLNK(item->mode)) {
		if (symlinkat(item->data, fd, item->name) != 0 ||
		    utimensat(fd, item->name, times, AT_SYMLINK_NOFOLLOW) != 0)
			die(item->name);
		return;
	}
	int file = openat(fd, item->name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, item->mode & 0777);
	if (file < 0)
		die(item->name);
	for (size_t done = 0; done < item->size;) {
		ssize_t wrote = write(file, item->data + done, item->size - done);
		if (wrote <= 0)
			die(item->name);
		done += (size_t)wrote;
	}
	if (futimens(file, times) != 0 || close(file) != 0)
		die(item->name);
}

static void *writer(void *unused)
{
	size_t run, open_dir = SIZE_MAX;
	int fd = -1;

	while ((run = atomic_fetch_add(&next_run, 1)) * RUN < item_count) {
		size_t end = (run + 1) * RUN < item_count ? (run + 1) * RUN : item_count;
		for (size_t i = run * RUN; i < end; i++) {
			if (items[i].dir != open_dir) {
				if (fd >= 0)
					close(fd);
				open_dir = items[i].dir;
				fd = openat(root, dirs[open_dir].path, O_PATH | O_DIRECTORY | O_CLOEXEC);
				if (fd < 0)
					die(dirs[open_dir].path);
			}
			write_item(fd, &items[i]);
		}
	}
	if (fd >= 0)
		close(fd);
	return unused;
}

static void *decoder(void *unused)
{
	size_t frame;
	char *plain = need(malloc(ROOM));
	ZSTD_DCtx *unpacker = need(ZSTD_createDCtx());

	memset(plain, 0, ROOM); /* decant's memory is warm after its first frame */
	while ((frame = atomic_fetch_add(&next_frame, 1)) < frame_count) {
		size_t from = frames[frame], to = frames[frame + 1];
		if (ZSTD_isError(ZSTD_decompressDCtx(unpacker, plain, ROOM, packed + from, to - from)))
			die("unpack a frame");
	}
	ZSTD_freeDCtx(unpacker);
	free(plain);
	return unused;
}

static void find_frames(void)
{
	frames = need(malloc((packed_size / 8 + 2) * sizeof *frames));
	for (size_t at = 0; at < packed_size;) {
		size_t size = ZSTD_findFrameCompressedSize(packed + at, packed_size - at);
		if (ZSTD_isError(size))
			die("find a frame");
		frames[frame_count++] = at;
		at += size;
	}
	frames[frame_count] = packed_size;
}

static double take_time(unsigned threads, void *(*work)(void *))
{
	pthread_t ids[THREADS_MAX];
	double start = now();
	for (unsigned i = 1; i < threads; i++)
		if (pthread_create(&ids[i], NULL, work, NULL) != 0)
			die("thread");
	work(NULL);
	for (unsigned i = 1; i < threads; i++)
		pthread_join(ids[i], NULL);
	return now() - start;
}

int main(int argc, char **argv)
{
	struct stat st;
	if (argc != 6)
		return 2;
	unsigned threads = (unsigned)strtoul(argv[2], NULL, 10);
	if (threads < 1 || threads > THREADS_MAX)
		return 2;
	packed = slurp(AT_FDCWD, argv[3], &packed_size);
	find_frames();
	root = open(argv[5], O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0 || chdir(argv[4]) != 0 || stat(".", &st) != 0)
		die(argv[5]);
	scan(".", st.st_mode);
	umask(0);

	double decode = take_time(threads, decoder);
	double start = now();
	for (size_t i = 1; i < dir_count; i++)
		if (mkdirat(root, dirs[i].path, dirs[i].mode & 0777) != 0)
			die(dirs[i].path);
	take_time(threads, writer);
	double written = now() - start;

	FILE *out = fopen(argv[1], "we");
	if (!out)
		die(argv[1]);
	fprintf(out, "{\"wall\":%.6f,\"decode\":%.6f,\"write\":%.6f}\n", decode + written, decode, written);
	return fclose(out) != 0;
}
