/* confine.c - tests of init/confine.h. */
#include "confine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "unit.h"

/* What a confined process has done well, one after the other; it ends with the number of what it has not. */
static int step;

static void demand(bool holds)
{
	step++;
	if (!holds)
		_exit(step);
}

static bool refused(long result)
{
	return result < 0 && errno == EACCES;
}

/* A volume, what is beside it, and a descriptor of each. */
struct scene {
	char dir[64];
	int top, volume, beside;
};

static struct scene scene_make(void)
{
	struct scene s;
	unit_dir(s.dir);
	s.top = open(s.dir, O_RDONLY | O_DIRECTORY);
	ck_assert_int_eq(mkdirat(s.top, "volume", 0755), 0);
	ck_assert_int_eq(mkdirat(s.top, "beside", 0755), 0);
	s.volume = openat(s.top, "volume", O_RDONLY | O_DIRECTORY);
	s.beside = openat(s.top, "beside", O_RDONLY | O_DIRECTORY);
	ck_assert_int_ge(s.volume, 0);
	ck_assert_int_ge(s.beside, 0);
	ck_assert_int_ge(openat(s.beside, "canary", O_WRONLY | O_CREAT | O_CLOEXEC, 0644), 0);
	ck_assert_int_ge(openat(s.volume, "file", O_WRONLY | O_CREAT | O_CLOEXEC, 0644), 0);
	return s;
}

/* Run WHAT in a process that is confined to the volume, and still holds what is beside it, as a bundle is
 * held. */
static void confined(void (*what)(const struct scene *s))
{
	struct scene s = scene_make();
	int status;

	pid_t pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		const int kept[] = {s.volume, s.beside, s.top};
		confine(kept, COUNT_OF(kept), 1);
		what(&s);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	unit_dir_remove(s.dir);
	ck_assert(WIFEXITED(status));
	ck_assert_msg(WEXITSTATUS(status) == 0, "number %d does not hold", WEXITSTATUS(status));
}

static void outside(const struct scene *s)
{
	/* Neither by a path nor by a descriptor that is still open. */
	demand(refused(open("/etc/passwd", O_RDONLY)));
	demand(refused(open("/", O_RDONLY | O_DIRECTORY)));
	demand(refused(openat(s->beside, "canary", O_RDONLY)));
	demand(refused(openat(s->beside, "canary", O_WRONLY)));
	demand(refused(openat(s->volume, "../beside/canary", O_WRONLY | O_TRUNC)));
	demand(refused(openat(s->beside, "new", O_WRONLY | O_CREAT, 0644)));
	demand(refused(mkdirat(s->beside, "new", 0755)));
	demand(refused(symlinkat("file", s->beside, "new")));
	demand(refused(unlinkat(s->beside, "canary", 0)));
	demand(refused(unlinkat(s->top, "beside", AT_REMOVEDIR)));
	demand(refused(renameat(s->beside, "canary", s->beside, "new")));
	/* Out of the volume, and into it: landlock(7) has EXDEV for some of these. */
	demand(renameat(s->volume, "file", s->beside, "new") < 0 && (errno == EACCES || errno == EXDEV));
	demand(renameat(s->beside, "canary", s->volume, "new") < 0 && (errno == EACCES || errno == EXDEV));
	demand(linkat(s->volume, "file", s->beside, "new", 0) < 0 && (errno == EACCES || errno == EXDEV));
	demand(linkat(s->beside, "canary", s->volume, "new", 0) < 0 && (errno == EACCES || errno == EXDEV));
}

START_TEST(nothing_outside_the_volume_can_be_opened_made_renamed_or_removed)
{
	confined(outside);
}
END_TEST

static void inside(const struct scene *s)
{
	char byte;
	int fd = openat(s->volume, "new", O_RDWR | O_CREAT | O_EXCL, 0644);
	demand(fd >= 0);
	demand(write(fd, "x", 1) == 1);
	demand(pread(fd, &byte, 1, 0) == 1);
	demand(ftruncate(fd, 0) == 0);
	demand(mkdirat(s->volume, "a", 0755) == 0);
	demand(mkdirat(s->volume, "a/b", 0755) == 0);
	demand(renameat(s->volume, "new", s->volume, "a/b/new") == 0);
	demand(linkat(s->volume, "a/b/new", s->volume, "linked", 0) == 0);
	demand(symlinkat("linked", s->volume, "symlink") == 0);
	demand(openat(s->volume, "a", O_RDONLY | O_DIRECTORY) >= 0);
	demand(unlinkat(s->volume, "a/b/new", 0) == 0);
	demand(unlinkat(s->volume, "a/b", AT_REMOVEDIR) == 0);
	/* What no bundle has. */
	demand(refused(mknodat(s->volume, "fifo", S_IFIFO | 0644, 0)));
	demand(refused(mknodat(s->volume, "socket", S_IFSOCK | 0644, 0)));
}

START_TEST(all_that_a_fill_does_in_the_volume_can_be_done)
{
	confined(inside);
}
END_TEST

static void gains_nothing(const struct scene *s)
{
	(void)s;
	demand(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
}

START_TEST(it_can_gain_no_privileges)
{
	confined(gains_nothing);
}
END_TEST

static void others_closed(const struct scene *s)
{
	demand(fcntl(s->volume, F_GETFD) >= 0);
	demand(fcntl(s->beside, F_GETFD) >= 0);
	demand(fcntl(s->top, F_GETFD) >= 0);
	for (int fd = 3; fd < 64; fd++)
		demand(fd == s->volume || fd == s->beside || fd == s->top ||
		       (fcntl(fd, F_GETFD) < 0 && errno == EBADF));
}

START_TEST(all_descriptors_but_those_that_are_kept_are_closed)
{
	confined(others_closed);
}
END_TEST

/* ABI 1 forbids every rename from one directory to another, and confine() does without it. */
static bool has_landlock(void)
{
	return syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) >= 2;
}

int main(void)
{
	const TTest *const tests[] = {
	    all_that_a_fill_does_in_the_volume_can_be_done,
	    it_can_gain_no_privileges,
	    all_descriptors_but_those_that_are_kept_are_closed,
	    nothing_outside_the_volume_can_be_opened_made_renamed_or_removed,
	    NULL,
	};
	if (has_landlock())
		return unit_main("confine", tests);
	/* Check cannot skip. */
	const char *log = getenv("CK_TAP_LOG_FILE_NAME");
	FILE *tap = log ? fopen(log, "w") : stdout;
	return !tap || fprintf(tap, "1..1\nok 1 - confine # skip this kernel has no Landlock\n") < 0 ||
	       fclose(tap) != 0;
}
