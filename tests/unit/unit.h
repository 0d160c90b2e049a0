/* unit.h - what the unit tests share: the Check library, and one suite that runs to its end. */
#ifndef DECANT_UNIT_H
#define DECANT_UNIT_H

#include <check.h>
#include <ftw.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

/* What ck_assert does, for loops: it notes each line that it comes by in a pipe, which takes its time. */
#define must(condition)                                                                                      \
	do {                                                                                                 \
		if (!(condition))                                                                            \
			ck_abort_msg("%s", #condition);                                                      \
	} while (0)

/* Run TESTS, which NULL ends, each in a process of its own. Returns what main returns. */
static inline int unit_main(const char *name, const TTest *const *tests)
{
	Suite *suite = suite_create(name);
	TCase *all = tcase_create(name);

	tcase_set_timeout(all, 120);
	for (; *tests; tests++)
		tcase_add_test(all, *tests);
	suite_add_tcase(suite, all);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}

/* Numbers that look random and are the same in each run. */
static inline uint32_t unit_random(uint32_t *state)
{
	*state = *state * 1664525u + 1013904223u;
	return *state >> 8;
}

/* A new directory of a test, to DIR (64 bytes). */
static inline void unit_dir(char *dir)
{
	const char *base = getenv("TMPDIR");
	if (!base || strlen(base) > 40)
		base = "/tmp";
	snprintf(dir, 64, "%s/decant-unit.XXXXXX", base);
	ck_assert_ptr_nonnull(mkdtemp(dir));
}

static inline int unit_remove(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

static inline void unit_dir_remove(const char *dir)
{
	nftw(dir, unit_remove, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

#endif
