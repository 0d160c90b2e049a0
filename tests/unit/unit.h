/* unit.h - what the unit tests share. */
#ifndef DECANT_UNIT_H
#define DECANT_UNIT_H

#include <check.h>
#include <stdlib.h>

/* Run the tests of CASE and exit. Output goes where CK_TAP_LOG_FILE_NAME says. */
static inline int unit_run(const char *name, TCase *tests)
{
	Suite *suite = suite_create(name);
	suite_add_tcase(suite, tests);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

#endif
