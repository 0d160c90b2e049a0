/* maketree - makes a tree of files to test with: the same SEED gives the same tree.
 *
 *     maketree SEED DIR [ENTRIES]     DIR is made; ENTRIES (default 400) bounds its random part
 *     maketree --plain N DIR          N small files in a hundred directories, nothing odd
 *
 * The tree always holds one of each odd thing that a bundle can carry; the random part mixes them. Owners
 * are set when this runs as root, xattrs and times as far as the file system takes them. */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

static uint64_t seed;

/* splitmix64 */
static uint64_t roll(void)
{
	uint64_t z = (seed += UINT64_C(0x9e3779b97f4a7c15));
	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static unsigned below(unsigned n)
{
	return (unsigned)(roll() % n);
}

static void die(const char *what, const char *name)
{
	fprintf(stderr, "maketree: %s: %s: %s\n", name, what, strerror(errno));
	exit(1);
}

static void must(bool ok, const char *what, const char *name)
{
	if (!ok)
		die(what, name);
}

/* Times of all kinds; beyond what the file system holds the kernel clamps. */
static struct timespec a_time(void)
{
	static const int64_t odd[] = {0,          -1,         -86400,     -1000000000,
	                              2147483647, 2147483648, 4294967296, 13569465600};
	struct timespec t = {.tv_sec = 1500000000 + (int64_t)below(200000000),
	                     .tv_nsec = (long)below(1000000000)};
	if (below(6) == 0)
		t.tv_sec = odd[below(sizeof odd / sizeof odd[0])];
	if (below(5) == 0)
		t.tv_nsec = 0;
	return t;
}

static void set_owner(int dir, const char *name)
{
	static const unsigned ids[] = {0, 0, 33, 1000, 65534, 100000, 2097152, 4000000000u};
	if (geteuid() == 0)
		must(fchownat(dir, name, ids[below(8)], ids[below(8)], AT_SYMLINK_NOFOLLOW) == 0, "chown",
		     name);
}

static void set_time(int dir, const char *name)
{
	struct timespec t = a_time();
	struct timespec both[2] = {t, t};
	must(utimensat(dir, name, both, AT_SYMLINK_NOFOLLOW) == 0, "utimensat", name);
}

static void set_xattrs(int fd, const char *name)
{
	if (below(8) != 0)
		return;
	char value[300];
	for (unsigned i = 0; i < 1 + below(3); i++) {
		char key[32];
		size_t len = below(2) ? below(40) : below(sizeof value);
		for (size_t k = 0; k < len; k++)
			value[k] = (char)roll();
		snprintf(key, sizeof key, "user.t%u", below(100));
		if (fsetxattr(fd, key, value, len, 0) != 0 && errno != ENOTSUP)
			die("setxattr", name);
	}
}

static void put(int fd, const char *name, const void *data, size_t size)
{
	must(write(fd, data, size) == (ssize_t)size, "write", name);
}

/* Half of the content is words that pack well, half is noise. */
static void put_content(int fd, const char *name, uint64_t size)
{
	static const char *const words[] = {"volume ", "bundle ", "the same tree\n", "<p>",
	                                    "</p>\n",  "0000",    "index "};
	unsigned char buffer[8192];
	bool noise = below(2) == 0;
	while (size > 0) {
		size_t n = size < sizeof buffer ? (size_t)size : sizeof buffer;
		if (noise) {
			for (size_t i = 0; i < sizeof buffer; i += 8) {
				uint64_t r = roll();
				memcpy(buffer + i, &r, 8);
			}
		} else {
			for (size_t i = 0; i < sizeof buffer;) {
				const char *w = words[below(7)];
				for (; *w && i < sizeof buffer; w++)
					buffer[i++] = (unsigned char)*w;
			}
		}
		put(fd, name, buffer, n);
		size -= n;
	}
}

static void make_file_mode(int dir, const char *name, uint64_t size, mode_t mode)
{
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	must(fd >= 0, "create", name);
	put_content(fd, name, size);
	set_xattrs(fd, name);
	set_owner(dir, name);
	must(fchmod(fd, mode) == 0, "chmod", name);
	must(close(fd) == 0, "close", name);
	set_time(dir, name);
}

static void make_file(int dir, const char *name, uint64_t size)
{
	static const mode_t modes[] = {0644, 0644, 0755, 0400, 0444, 0600, 0711, 0640, 0000};
	make_file_mode(dir, name, size, modes[below(9)]);
}

/* Data at AT, a hole before it, and one behind it when SIZE is larger. */
static void make_sparse(int dir, const char *name, off_t at, off_t size)
{
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	must(fd >= 0, "create", name);
	must(ftruncate(fd, size) == 0, "truncate", name);
	if (at < size)
		must(pwrite(fd, "data", 4, at) == 4, "write", name);
	must(close(fd) == 0, "close", name);
	set_owner(dir, name);
	set_time(dir, name);
}

static void make_symlink(int dir, const char *name, const char *target)
{
	must(symlinkat(target, dir, name) == 0, "symlink", name);
	set_owner(dir, name);
	set_time(dir, name);
}

static int make_dir(int dir, const char *name)
{
	must(mkdirat(dir, name, 0700) == 0, "mkdir", name);
	int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	must(fd >= 0, "open", name);
	return fd;
}

/* Last thing for a directory: what is made in it later would change its time. */
static void end_dir(int dir, int fd, const char *name)
{
	static const mode_t modes[] = {0755, 0755, 0700, 0555, 0711, 0775};
	set_xattrs(fd, name);
	set_owner(dir, name);
	must(fchmod(fd, modes[below(6)]) == 0, "chmod", name);
	must(close(fd) == 0, "close", name);
	set_time(dir, name);
}

static void a_name(char *out, unsigned number)
{
	static const char *const kinds[] = {
	    "page%u.html", "f%u",     "a b %u", "caf\xc3\xa9-%u", "\xe6\x96\x87\xe4\xbb\xb6%u",
	    "%u\\back",    "-dash%u", "%u~",    "UPPER%u",        "%u.tar.zst"};
	snprintf(out, 64, kinds[below(10)], number);
}

static const uint64_t sizes[] = {0,    1,    2,    511,   512,   513,   1023,  1024,
                                 4095, 4096, 4097, 65535, 65536, 65537, 307200};

struct made {
	char path[4096];
} * files;
static unsigned file_count, file_room;

static unsigned budget; /* how many entries may still be made */

static void fill_dir(int root, int dir, const char *path, unsigned depth)
{
	unsigned n = 1 + below(18);
	for (unsigned i = 0; i < n && budget > 0; i++) {
		budget--;
		char name[64], whole[4096];
		a_name(name, i);
		if (snprintf(whole, sizeof whole, "%s%s%s", path, *path ? "/" : "", name) >= 1000)
			continue;
		unsigned kind = below(20);
		if (kind < 4 && depth < 7) {
			int sub = make_dir(dir, name);
			if (below(5) != 0)
				fill_dir(root, sub, whole, depth + 1);
			end_dir(dir, sub, name);
		} else if (kind < 6) {
			static const char *const targets[] = {"f1", "../up", "/etc/hostname", "no/such/place",
			                                      ".",  "a b",   "\xff\xfe"};
			make_symlink(dir, name, targets[below(7)]);
		} else if (kind == 6 && file_count > 0) {
			must(linkat(root, files[below(file_count)].path, dir, name, 0) == 0, "link", name);
		} else {
			uint64_t size = below(3) ? below(3000) : sizes[below(sizeof sizes / sizeof sizes[0])];
			make_file(dir, name, size);
			if (file_count < file_room)
				strcpy(files[file_count++].path, whole);
		}
	}
}

/* A chain of directories so that the path of the file at its end has LEN bytes. */
static void make_deep(int dir, unsigned len, unsigned component)
{
	char name[256];
	unsigned left = len, room = component < 255 ? component : 255;
	memset(name, 'd', sizeof name);
	if (left > room + 1 + 8) {
		name[room] = '\0';
		int sub = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (sub < 0)
			sub = make_dir(dir, name);
		make_deep(sub, left - room - 1, component);
		must(close(sub) == 0, "close", name);
		set_time(dir, name);
	} else {
		memset(name, 'e', sizeof name);
		name[left] = '\0';
		make_file(dir, name, 100);
	}
}

static void make_odd(int root)
{
	int dir = make_dir(root, "sizes");
	for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		char name[32];
		snprintf(name, sizeof name, "%u", (unsigned)sizes[i]);
		make_file(dir, name, sizes[i]);
	}
	make_file(dir, "over-4-MiB", (4u << 20) + 1 + below(5000));
	make_file(dir, "over-9-MiB", (9u << 20) + below(700000));
	end_dir(root, dir, "sizes");

	dir = make_dir(root, "modes");
	static const mode_t modes[] = {0400, 0444, 0755, 0644, 0600, 0711, 0000, 0777};
	for (unsigned i = 0; i < 8; i++) {
		char name[32];
		snprintf(name, sizeof name, "%04o", (unsigned)modes[i]);
		make_file_mode(dir, name, 10, modes[i]);
	}
	end_dir(root, dir, "modes");

	dir = make_dir(root, "names");
	char long_name[256];
	memset(long_name, 'n', 255);
	long_name[255] = '\0';
	static const char *const names[] = {
	    "with space",  "new\nline", "tab\there", "caf\xc3\xa9",     "\xff\xfe\x80 not UTF-8",
	    "back\\slash", "quote'\"",  "-",         "--help",          "*",
	    "...",         "~",         "\x01\x7f",  ".hidden",         " ",
	    "semi;colon",  "$(name)",   "%s%n",      "\xf0\x9f\xaa\xa3"};
	for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++)
		make_file(dir, names[i], i);
	make_file(dir, long_name, 5);
	long_name[0] = 'N';
	end_dir(dir, make_dir(dir, long_name), long_name);
	make_symlink(dir, "link\nline", "new\nline");
	end_dir(dir, make_dir(dir, ".decant"), ".decant"); /* reserved at the root only */
	end_dir(root, dir, "names");

	dir = make_dir(root, "links");
	char target[4096];
	memset(target, 't', sizeof target);
	make_symlink(dir, "dangling", "nowhere");
	make_symlink(dir, "absolute", "/no/such/file");
	make_symlink(dir, "self", "self");
	make_symlink(dir, "dir", "../sizes");
	target[99] = '\0';
	make_symlink(dir, "target-99", target);
	target[99] = 't', target[100] = '\0';
	make_symlink(dir, "target-100", target);
	target[100] = 't', target[101] = '\0';
	make_symlink(dir, "target-101", target);
	target[101] = 't', target[255] = '/', target[2000] = '\0';
	make_symlink(dir, "target-2000", target);
	make_file(dir, "one", 700);
	must(linkat(dir, "one", dir, "two", 0) == 0, "link", "two");
	int sub = make_dir(dir, "a");
	must(linkat(dir, "one", sub, "before", 0) == 0, "link", "before");
	end_dir(dir, sub, "a");
	make_file(dir, "empty", 0);
	must(linkat(dir, "empty", dir, "empty-too", 0) == 0, "link", "empty-too");
	end_dir(root, dir, "links");
	sub = make_dir(root, "aaa-links");
	must(linkat(root, "links/one", sub, "one", 0) == 0, "link", "aaa-links/one");
	end_dir(root, sub, "aaa-links");

	dir = make_dir(root, "sparse");
	make_sparse(dir, "hole", 0, 0);
	make_sparse(dir, "all-hole", 3000000, 3000000);
	make_sparse(dir, "tail", 5000000, 5000004);
	make_sparse(dir, "middle", 1000000, 6000001);
	end_dir(root, dir, "sparse");

	dir = make_dir(root, "deep");
	static const unsigned lengths[] = {99, 100, 101, 154, 155, 156, 254, 255, 256, 257, 1000};
	for (unsigned i = 0; i < sizeof lengths / sizeof lengths[0]; i++)
		make_deep(dir, lengths[i] - 5, 60);
	make_deep(dir, 4000, 250);
	end_dir(root, dir, "deep");

	end_dir(root, make_dir(root, "empty"), "empty");
	dir = make_dir(root, "empties");
	sub = make_dir(dir, "empty");
	end_dir(sub, make_dir(sub, "empty"), "empty");
	end_dir(dir, sub, "empty");
	end_dir(root, dir, "empties");
}

static void make_plain(int root, unsigned n)
{
	char name[64];
	static char text[600];
	for (unsigned d = 0; d < 100; d++) {
		snprintf(name, sizeof name, "dir-%02u", d);
		int dir = make_dir(root, name);
		for (unsigned i = d; i < n; i += 100) {
			char leaf[64];
			snprintf(leaf, sizeof leaf, "file-%06u.html", i);
			if (i % 10 == 9) {
				snprintf(text, sizeof text, "file-%06u.html", i - 1);
				must(symlinkat(text, dir, leaf) == 0, "symlink", leaf);
				continue;
			}
			int fd = openat(dir, leaf, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
			must(fd >= 0, "create", leaf);
			int len = snprintf(text, sizeof text, "<html><title>%u</title>%*u</html>\n", i,
			                   (int)(1 + below(400)), i);
			put(fd, leaf, text, (size_t)len);
			must(close(fd) == 0, "close", leaf);
		}
		must(close(dir) == 0, "close", name);
	}
}

int main(int argc, char **argv)
{
	bool plain = argc > 1 && strcmp(argv[1], "--plain") == 0;
	if (plain ? argc != 4 : argc != 3 && argc != 4) {
		fputs("usage: maketree SEED DIR [ENTRIES] | maketree --plain N DIR\n", stderr);
		return 2;
	}
	const char *path = plain ? argv[3] : argv[2];
	umask(022);
	must(mkdir(path, 0755) == 0, "mkdir", path);
	int root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	must(root >= 0, "open", path);
	if (plain) {
		make_plain(root, (unsigned)strtoul(argv[2], NULL, 10));
	} else {
		seed = strtoull(argv[1], NULL, 10);
		budget = argc == 4 ? (unsigned)strtoul(argv[3], NULL, 10) : 400;
		file_room = 1000;
		files = calloc(file_room, sizeof *files);
		must(files, "allocate", path);
		make_odd(root);
		while (budget > 0) {
			char name[64];
			snprintf(name, sizeof name, "r%u", budget);
			int dir = make_dir(root, name);
			fill_dir(root, dir, name, 0);
			end_dir(root, dir, name);
			if (budget > 0)
				budget--;
		}
		free(files);
	}
	struct timespec t[2] = {{.tv_sec = 1600000000, .tv_nsec = 123456789},
	                        {.tv_sec = 1600000000, .tv_nsec = 123456789}};
	must(futimens(root, t) == 0, "utimensat", path);
	must(close(root) == 0, "close", path);
	return 0;
}
