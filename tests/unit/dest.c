/* dest.c - tests of init/dest.h: what must not lead out of a volume, and what files get. */
#include "dest.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>

#include "unit.h"

static char base[64]; /* holds the volume "v" and a directory "out" beside it */

static void at(char *path, const char *name)
{
	snprintf(path, 256, "%s/%s", base, name);
}

static void make_dir(const char *name)
{
	char path[256];
	at(path, name);
	ck_assert_int_eq(mkdir(path, 0755), 0);
}

static void make_file(const char *name)
{
	char path[256];
	at(path, name);
	int fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644);
	ck_assert_int_ge(fd, 0);
	close(fd);
}

static void make_link(const char *target, const char *name)
{
	char path[256];
	at(path, name);
	ck_assert_int_eq(symlink(target, path), 0);
}

static void set_up(struct dest *d)
{
	struct fault fault = {.code = EXIT_DONE};
	char path[256];

	umask(0);
	unit_dir(base);
	make_dir("out");
	make_dir("out/inner");
	make_dir("v");
	make_dir("v/a");
	make_dir("v/a/b");
	make_file("v/file");
	make_link("a", "v/inside");
	make_link("../out", "v/outside");
	make_link("/", "v/root");
	make_link("../../out", "v/a/outside");
	make_link("nowhere", "v/dangling");
	make_link("/proc/self/cwd", "v/magic");
	at(path, "v");
	ck_assert(dest_open(d, path, false, &fault));
}

static void tear_down(struct dest *d)
{
	dest_close(d);
	unit_dir_remove(base);
}

START_TEST(a_volume_is_a_directory_and_no_link_to_one)
{
	static const struct {
		const char *name;
		bool create, opens;
	} rows[] = {{"v", false, true},         {"v/", false, true},         {"v", true, true},
	            {"v/a", false, true},       {"v/file", false, false},    {"v/file", true, false},
	            {"v/none", false, false},   {"v/new", true, true},       {"v/none/x", true, false},
	            {"v/inside", false, false}, {"v/inside/", false, false}, {"v/inside//", true, false},
	            {"v/outside", true, false}, {"v/dangling", true, false}};
	struct dest d;
	set_up(&d);
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct fault fault = {.code = EXIT_DONE};
		struct dest other;
		char path[256];
		at(path, rows[i].name);
		bool opened = dest_open(&other, path, rows[i].create, &fault);
		ck_assert_msg(opened == rows[i].opens, "%s: %d: %s", rows[i].name, opened, fault.reason);
		ck_assert(opened == (fault.code == EXIT_DONE));
		dest_close(&other);
	}
	tear_down(&d);
}
END_TEST

START_TEST(directories_of_the_volume_are_opened)
{
	static const char *const paths[] = {".", "a", "a/b"};
	struct dest d;
	set_up(&d);
	for (int walk = 0; walk < 2; walk++)
		for (size_t i = 0; i < COUNT_OF(paths); i++)
			for (int flags = 0; flags < 2; flags++) {
				struct stat st, wanted;
				char path[256], name[128];
				d.walk = walk;
				int fd = dest_dir(&d, paths[i], flags ? O_PATH : O_RDONLY);
				ck_assert_msg(fd >= 0, "%s: %s", paths[i], strerror(errno));
				snprintf(name, sizeof name, "v/%s", paths[i]);
				at(path, name);
				ck_assert_int_eq(fstat(fd, &st), 0);
				ck_assert_int_eq(stat(path, &wanted), 0);
				ck_assert_uint_eq(st.st_ino, wanted.st_ino);
				close(fd);
			}
	tear_down(&d);
}
END_TEST

START_TEST(no_link_is_followed_on_the_way_to_a_directory)
{
	static const char *const paths[] = {
	    "inside",          "inside/b", "outside", "outside/inner", "root", "root/etc", "a/outside",
	    "a/outside/inner", "dangling", "magic",   "magic/v",       "file", "file/x",   "none",
	    "none/x",          "a/none",   "/",       "/tmp",          ""};
	struct dest d;
	set_up(&d);
	for (int walk = 0; walk < 2; walk++)
		for (size_t i = 0; i < COUNT_OF(paths); i++) {
			d.walk = walk;
			errno = 0;
			ck_assert_msg(dest_dir(&d, paths[i], O_RDONLY) == -1, "%s, walk %d", paths[i], walk);
			ck_assert_int_ne(errno, 0);
			ck_assert_msg(dest_dir(&d, paths[i], O_PATH) == -1, "%s, walk %d", paths[i], walk);
			if (!strchr(paths[i], '/'))
				ck_assert_msg(dest_child(&d, d.root, paths[i], O_RDONLY) == -1, "%s, walk %d",
				              paths[i], walk);
		}
	tear_down(&d);
}
END_TEST

START_TEST(dots_do_not_lead_above_the_root)
{
	struct dest d;
	set_up(&d);
	d.walk = false; /* by component no names are looked at; none with dots comes from a checked index */
	ck_assert_int_eq(dest_dir(&d, "..", O_PATH), -1);
	ck_assert_int_eq(dest_dir(&d, "../out", O_PATH), -1);
	ck_assert_int_eq(dest_dir(&d, "a/../../out", O_PATH), -1);
	ck_assert_int_eq(dest_child(&d, d.root, "..", O_RDONLY), -1);
	tear_down(&d);
}
END_TEST

START_TEST(no_other_file_system_is_entered)
{
	/* Before the volume is opened: its descriptor is of one name space. */
	bool alone = unshare(CLONE_NEWNS) == 0 && mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
	struct dest d;
	char path[256];

	set_up(&d);
	at(path, "v/a/b");
	/* Where this user may not mount, there is nothing to enter. */
	if (alone && mount("none", path, "tmpfs", 0, "size=64k") == 0) {
		int a = openat(d.root, "a", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		for (int walk = 0; walk < 2; walk++) {
			d.walk = walk;
			ck_assert_int_eq(dest_dir(&d, "a/b", O_PATH), -1);
			ck_assert_int_eq(errno, EXDEV);
			ck_assert_int_eq(dest_child(&d, a, "b", O_RDONLY), -1);
			ck_assert_int_eq(errno, EXDEV);
		}
		close(a);
		ck_assert_int_eq(umount(path), 0);
	}
	tear_down(&d);
}
END_TEST

static const struct metadata wanted = {.mode = 0640, .mtime = 1234567890, .nsec = 123456789};

START_TEST(a_new_file_takes_no_name_that_is_there)
{
	static const char *const names[] = {"file", "inside", "dangling", "a"};
	struct dest d;
	set_up(&d);
	for (size_t i = 0; i < COUNT_OF(names); i++) {
		ck_assert_int_eq(dest_create(&d, d.root, names[i], &wanted, &(struct habit){0}), -1);
		ck_assert_int_eq(errno, EEXIST);
	}
	struct stat st;
	ck_assert_int_eq(fstatat(d.root, "nowhere", &st, 0), -1);
	tear_down(&d);
}
END_TEST

/* Make file NAME with a byte in it, finish it, and see that it is as META says. */
static void check_finished(const struct dest *d, int dir, const char *name, const struct metadata *meta,
                           struct habit *habit)
{
	const char *action = NULL;
	struct stat st;
	int fd = dest_create(d, dir, name, meta, habit);

	ck_assert_msg(fd >= 0, "%s: %s", name, strerror(errno));
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_uint_eq(st.st_mode & SETID_MASK, 0);
	ck_assert_int_eq(write(fd, "x", 1), 1);
	ck_assert_msg(dest_finish(d, fd, meta, habit, &action), "%s: %s: %s", name, action, strerror(errno));
	close(fd);
	ck_assert_int_eq(fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW), 0);
	ck_assert_msg((st.st_mode & MODE_MASK) == meta->mode, "%s has mode %o", name, st.st_mode);
	ck_assert_uint_eq(dest_differs(d, -1, &st, meta), 0);
	ck_assert_int_eq(st.st_mtim.tv_sec, meta->mtime);
	ck_assert_int_eq(st.st_mtim.tv_nsec, meta->nsec);
	if (d->owners) {
		ck_assert_uint_eq(st.st_uid, meta->uid);
		ck_assert_uint_eq(st.st_gid, meta->gid);
	}
}

START_TEST(files_get_their_metadata_whatever_the_directory_is_used_to)
{
	static const uint32_t modes[] = {0644, 0600, 0444, 0, 0777, 0644, 04755, 02711, 06000, 0755};
	static const mode_t masks[] = {0, 027, 077, 0777};
	struct dest d;
	char name[32];

	set_up(&d);
	for (size_t mask = 0; mask < COUNT_OF(masks); mask++)
		for (unsigned setgid = 0; setgid < 2; setgid++) {
			struct habit habit = {0};
			umask(0);
			snprintf(name, sizeof name, "dir%zu%u", mask, setgid);
			ck_assert(dest_mkdir(d.root, name, 0755));
			int dir = dest_child(&d, d.root, name, O_RDONLY);
			ck_assert_int_ge(dir, 0);
			if (setgid && d.owners)
				ck_assert_int_eq(fchown(dir, 0, 4321), 0);
			if (setgid)
				ck_assert_int_eq(fchmod(dir, 02755), 0);
			umask(masks[mask]);
			/* Each mode and owner twice: the second file goes by what the first one taught. */
			for (unsigned i = 0; i < 4 * COUNT_OF(modes); i++) {
				struct metadata meta = wanted;
				meta.mode = modes[i % COUNT_OF(modes)];
				meta.uid = d.owners ? (i / COUNT_OF(modes) % 2) * 1000 : geteuid();
				meta.gid = d.owners ? (i % 3) * 4321 / 2 : getegid();
				snprintf(name, sizeof name, "%u", i);
				check_finished(&d, dir, name, &meta, &habit);
			}
			close(dir);
		}
	tear_down(&d);
}
END_TEST

START_TEST(what_differs_is_told)
{
	struct dest d = {.owners = true};
	struct stat st = {.st_mode = S_IFREG | 0640, .st_mtim = {1234567890, 123456789}};

	ck_assert_uint_eq(dest_differs(&d, -1, &st, &wanted), 0);
	st.st_mode = S_IFREG | 0644;
	ck_assert_uint_eq(dest_differs(&d, -1, &st, &wanted), DIFFERS_MODE);
	st.st_mode = S_IFREG | 04640;
	ck_assert_uint_eq(dest_differs(&d, -1, &st, &wanted), DIFFERS_MODE);
	st.st_mode = S_IFLNK | 0777;
	ck_assert_uint_eq(dest_differs(&d, -1, &st, &wanted), 0);
	st.st_uid = 1;
	ck_assert_uint_eq(dest_differs(&d, -1, &st, &wanted), DIFFERS_OWNER);
	d.owners = false;
	ck_assert_uint_eq(dest_differs(&d, -1, &st, &wanted), 0);
	d.owners = true;
	st.st_uid = 0;
	st.st_gid = 1;
	ck_assert_uint_eq(dest_differs(&d, -1, &st, &wanted), DIFFERS_OWNER);
	st.st_gid = 0;
	st.st_mtim.tv_nsec++;
	ck_assert_uint_eq(dest_differs(&d, -1, &st, &wanted), DIFFERS_TIME);
	st.st_mtim.tv_nsec--;
	st.st_mtim.tv_sec--;
	ck_assert_uint_eq(dest_differs(&d, -1, &st, &wanted), DIFFERS_TIME);
}
END_TEST

START_TEST(a_time_that_is_cut_off_is_right_only_where_the_kernels_own_times_are)
{
	static const struct {
		long step, mtime, ctime;
		bool right;
	} rows[] = {
	    {1, 123456700, 0, false},
	    {100, 123456700, 0, true},
	    {100, 123456700, 987654300, true},
	    {100, 123456700, 987654301, false},
	    {100, 123456000, 0, false},
	    {1000000, 123000000, 987000000, true},
	    {1000000, 123456000, 987000000, true},
	    {1000000, 123000000, 987650000, false},
	    {1000000, 123456000, 987654000, true},
	    {1000000000, 0, 0, true},
	    {1000000000, 0, 500000000, false},
	};

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct dest d = {.owners = true, .step = rows[i].step};
		struct stat st = {.st_mode = S_IFREG | 0640,
		                  .st_mtim = {1234567890, rows[i].mtime},
		                  .st_ctim = {1700000000, rows[i].ctime}};
		unsigned want = rows[i].right ? 0 : DIFFERS_TIME;
		ck_assert_msg(dest_differs(&d, -1, &st, &wanted) == want, "row %zu", i);
	}
}
END_TEST

START_TEST(the_step_of_times_is_no_larger_than_decants_own_directory_shows)
{
	struct stat st;
	struct dest d;
	char path[256];

	set_up(&d);
	make_dir("v/.decant");
	at(path, "v/.decant");
	do {
		ck_assert(chmod(path, 0700) == 0 && stat(path, &st) == 0);
	} while (st.st_ctim.tv_nsec % 10 == 0);
	/* As the root's time says once in a hundred times. */
	d.step = 100;
	dest_look(&d);
	ck_assert_int_eq(d.step, 1);
	tear_down(&d);
}
END_TEST

START_TEST(a_file_is_brought_to_its_metadata)
{
	static const uint32_t modes[] = {0640, 04755, 02750, 0};
	struct dest d;

	set_up(&d);
	for (unsigned i = 0; i < COUNT_OF(modes); i++)
		for (unsigned owner = 0; owner < 2; owner++) {
			struct metadata meta = wanted;
			const char *action;
			struct stat st;
			meta.mode = modes[i];
			meta.uid = d.owners ? owner * 1000 : geteuid();
			meta.gid = d.owners ? owner * 1001 : getegid();
			int fd = openat(d.root, "file", O_RDONLY | O_CLOEXEC);
			ck_assert_int_eq(fstat(fd, &st), 0);
			ck_assert(dest_amend(&d, fd, &st, &meta, &action));
			ck_assert_int_eq(fstat(fd, &st), 0);
			ck_assert_uint_eq(dest_differs(&d, -1, &st, &meta), 0);
			ck_assert_uint_eq(st.st_mode & MODE_MASK, meta.mode);
			close(fd);
			if (!d.owners)
				ck_assert_int_eq(fchmodat(d.root, "file", 0600, 0), 0);
		}
	tear_down(&d);
}
END_TEST

START_TEST(a_symbolic_link_gets_its_target_owner_and_time)
{
	struct habit habit = {0};
	struct dest d;
	set_up(&d);
	for (unsigned i = 0; i < 6; i++) {
		struct metadata meta = wanted;
		const char *action;
		char name[16], target[64];
		struct stat st;
		meta.uid = d.owners ? i % 2 * 1000 : geteuid();
		meta.gid = d.owners ? i % 3 * 1000 : getegid();
		snprintf(name, sizeof name, "l%u", i);
		ck_assert(dest_symlink(&d, d.root, name, (struct text){"../target and more", 9}, &meta,
		                       &habit, &action));
		ck_assert_int_eq(readlinkat(d.root, name, target, sizeof target), 9);
		ck_assert_mem_eq(target, "../target", 9);
		ck_assert_int_eq(fstatat(d.root, name, &st, AT_SYMLINK_NOFOLLOW), 0);
		ck_assert_uint_eq(dest_differs(&d, -1, &st, &meta), 0);
		ck_assert(!dest_symlink(&d, d.root, name, (struct text){"x", 1}, &meta, &habit, &action));
	}
	/* What a link leads to stays as it is. */
	struct stat before, after, st;
	struct metadata meta = wanted;
	const char *action;
	meta.uid = d.owners ? 1000 : geteuid();
	ck_assert_int_eq(fstatat(d.root, "outside", &before, 0), 0);
	ck_assert(dest_symlink(&d, d.root, "leads", (struct text){"outside", 7}, &meta, &(struct habit){0},
	                       &action));
	ck_assert_int_eq(fstatat(d.root, "leads", &after, 0), 0);
	ck_assert_mem_eq(&before.st_mtim, &after.st_mtim, sizeof before.st_mtim);
	ck_assert_uint_eq(after.st_uid, before.st_uid);
	ck_assert_int_eq(fstatat(d.root, "leads", &st, AT_SYMLINK_NOFOLLOW), 0);
	ck_assert_int_eq(st.st_mtim.tv_sec, wanted.mtime);
	tear_down(&d);
}
END_TEST

enum { HOLED = 6 * HOLE_WINDOW + 100 };

/* Windows 1, 2 and 4 are zero, and what follows the last whole one; 3 has one byte, its last. */
static unsigned char *holed_data(void)
{
	unsigned char *data = calloc(HOLED, 1);
	ck_assert_ptr_nonnull(data);
	memset(data, 'a', HOLE_WINDOW);
	data[4 * HOLE_WINDOW - 1] = 'b';
	memset(data + 5 * HOLE_WINDOW, 'c', 10);
	return data;
}

static void check_content(int fd, const unsigned char *data, size_t size)
{
	unsigned char *back = malloc(size + 1);
	ck_assert_ptr_nonnull(back);
	ck_assert_int_eq(pread(fd, back, size + 1, 0), (ssize_t)size);
	ck_assert_msg(memcmp(back, data, size) == 0, "not what was written");
	free(back);
}

START_TEST(windows_of_zeros_become_holes)
{
	unsigned char *data = holed_data();
	int fd = memfd_create("holes", MFD_CLOEXEC);
	struct stat st;

	ck_assert_int_ge(fd, 0);
	ck_assert(dest_write_holes(fd, data, HOLED, 0));
	ck_assert(dest_truncate(fd, HOLED));
	check_content(fd, data, HOLED);
	ck_assert_int_eq(lseek(fd, 0, SEEK_HOLE), HOLE_WINDOW);
	ck_assert_int_eq(lseek(fd, HOLE_WINDOW, SEEK_DATA), 3 * HOLE_WINDOW);
	ck_assert_int_eq(lseek(fd, 3 * HOLE_WINDOW, SEEK_HOLE), 4 * HOLE_WINDOW);
	ck_assert_int_eq(lseek(fd, 4 * HOLE_WINDOW, SEEK_DATA), 5 * HOLE_WINDOW);
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_int_le(st.st_blocks * 512, 3 * HOLE_WINDOW + 65536);
	close(fd);
	free(data);
}
END_TEST

START_TEST(a_file_that_comes_in_pieces_has_the_same_content)
{
	static const size_t pieces[] = {1000, 4096, 65535, 65536, 65537, 100000, 200000, 300001};
	unsigned char *data = holed_data();

	for (size_t i = 0; i < COUNT_OF(pieces); i++) {
		int fd = memfd_create("pieces", MFD_CLOEXEC);
		ck_assert_int_ge(fd, 0);
		/* From the end, as other workers may come first. */
		for (size_t n = (HOLED + pieces[i] - 1) / pieces[i]; n-- > 0;) {
			size_t from = n * pieces[i],
			       size = HOLED - from < pieces[i] ? HOLED - from : pieces[i];
			/* A copy of its own, so that a read behind it is noticed. */
			unsigned char *piece = malloc(size);
			ck_assert_ptr_nonnull(piece);
			memcpy(piece, data + from, size);
			ck_assert(dest_write_holes(fd, piece, size, from));
			free(piece);
		}
		ck_assert(dest_truncate(fd, HOLED));
		check_content(fd, data, HOLED);
		close(fd);
	}
	free(data);
}
END_TEST

START_TEST(nothing_but_zeros_is_nothing_but_a_hole)
{
	static const unsigned char zeros[2 * HOLE_WINDOW];
	int fd = memfd_create("zeros", MFD_CLOEXEC);
	struct stat st;

	ck_assert_int_ge(fd, 0);
	ck_assert(dest_write_holes(fd, zeros, sizeof zeros, (uint64_t)HOLE_WINDOW << 20));
	ck_assert(dest_write_holes(fd, zeros, 0, 0));
	ck_assert(dest_truncate(fd, 3 * HOLE_WINDOW));
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_int_eq(st.st_blocks, 0);
	ck_assert_int_eq(st.st_size, 3 * HOLE_WINDOW);
	close(fd);
	/* And what cannot be written is told. */
	fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	ck_assert(!dest_write_holes(fd, (const unsigned char *)"x", 1, 0));
	ck_assert(dest_write_holes(fd, zeros, sizeof zeros, 0));
	close(fd);
}
END_TEST

START_TEST(names_are_moved_linked_and_removed_and_failures_told)
{
	struct dest d;
	struct stat st;
	uint64_t bytes = 0, inodes = 0;
	uint32_t unit = 0;

	set_up(&d);
	ck_assert(dest_link(d.root, "file", d.root, "second"));
	ck_assert_int_eq(fstatat(d.root, "file", &st, 0), 0);
	ck_assert_uint_eq(st.st_nlink, 2);
	ck_assert(!dest_link(d.root, "file", d.root, "second"));
	ck_assert(dest_link(d.root, "inside", d.root, "third"));
	ck_assert_int_eq(fstatat(d.root, "third", &st, AT_SYMLINK_NOFOLLOW), 0);
	ck_assert(S_ISLNK(st.st_mode));
	ck_assert(dest_rename(d.root, "second", d.root, "fourth"));
	ck_assert(!dest_rename(d.root, "second", d.root, "fourth"));
	ck_assert(dest_unlink(d.root, "fourth"));
	ck_assert(!dest_unlink(d.root, "fourth"));
	ck_assert(!dest_unlink(d.root, "a"));
	ck_assert(!dest_rmdir(d.root, "a"));
	ck_assert_int_eq(errno, ENOTEMPTY);
	ck_assert(!dest_mkdir(d.root, "a", 0755));
	ck_assert_int_eq(errno, EEXIST);
	ck_assert(dest_space(&d, &bytes, &inodes, &unit));
	ck_assert_uint_ge(unit, 512);
	tear_down(&d);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
	    a_volume_is_a_directory_and_no_link_to_one,
	    directories_of_the_volume_are_opened,
	    no_link_is_followed_on_the_way_to_a_directory,
	    dots_do_not_lead_above_the_root,
	    no_other_file_system_is_entered,
	    a_new_file_takes_no_name_that_is_there,
	    files_get_their_metadata_whatever_the_directory_is_used_to,
	    what_differs_is_told,
	    a_time_that_is_cut_off_is_right_only_where_the_kernels_own_times_are,
	    the_step_of_times_is_no_larger_than_decants_own_directory_shows,
	    a_file_is_brought_to_its_metadata,
	    a_symbolic_link_gets_its_target_owner_and_time,
	    windows_of_zeros_become_holes,
	    a_file_that_comes_in_pieces_has_the_same_content,
	    nothing_but_zeros_is_nothing_but_a_hole,
	    names_are_moved_linked_and_removed_and_failures_told,
	    NULL,
	};
	return unit_main("dest", tests);
}
