/* workers.c - tests of init/workers.h. */
#include "workers.h"

#include <sched.h>
#include <sys/resource.h>

#include "unit.h"

/* tests/Makefile has the linker send decant's calls here: more processors than the machine may have. */
int __real_sched_getaffinity(pid_t pid, size_t size, cpu_set_t *set);
int __wrap_sched_getaffinity(pid_t pid, size_t size, cpu_set_t *set);
static int processors; /* 0: as many as there are */

int __wrap_sched_getaffinity(pid_t pid, size_t size, cpu_set_t *set)
{
	if (!processors)
		return __real_sched_getaffinity(pid, size, set);
	CPU_ZERO_S(size, set);
	for (size_t cpu = 0; cpu < (size_t)processors; cpu++)
		CPU_SET_S(cpu, size, set);
	return 0;
}

START_TEST(there_is_at_least_one_worker_and_at_most_eight)
{
	static const size_t bytes[] = {0, 1, 4096, 1 << 20, 64 << 20, (size_t)1 << 40, SIZE_MAX - 1};
	for (processors = 0; processors <= 64; processors++) {
		for (size_t i = 0; i < COUNT_OF(bytes); i++) {
			unsigned workers = workers_allowed(bytes[i]);
			must(workers >= 1);
			must(workers <= 8);
			must(processors == 0 || workers <= (unsigned)processors);
		}
	}
}
END_TEST

START_TEST(jobs_that_take_more_memory_get_no_more_workers)
{
	unsigned before = workers_allowed(0);
	for (size_t bytes = 1; bytes < (size_t)1 << 62; bytes *= 2) {
		unsigned now = workers_allowed(bytes);
		ck_assert_uint_le(now, before);
		before = now;
	}
	ck_assert_uint_eq(workers_allowed((size_t)1 << 60), 1);
}
END_TEST

START_TEST(one_allowed_processor_means_one_worker)
{
	cpu_set_t all, one;

	ck_assert_int_eq(sched_getaffinity(0, sizeof all, &all), 0);
	int allowed = CPU_COUNT(&all);
	size_t cpu = 0;
	ck_assert_uint_le(workers_allowed(0), (unsigned)allowed);
	while (!CPU_ISSET(cpu, &all))
		cpu++;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	ck_assert_int_eq(sched_setaffinity(0, sizeof one, &one), 0);
	unsigned workers = workers_allowed(0);
	ck_assert_int_eq(sched_setaffinity(0, sizeof all, &all), 0);
	ck_assert_uint_eq(workers, 1);
}
END_TEST

START_TEST(a_low_limit_of_open_files_means_few_workers)
{
	unsigned most = workers_allowed(0);
	struct rlimit before, files;

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	for (rlim_t limit = 8; limit < 64; limit++) {
		files = (struct rlimit){limit, before.rlim_max};
		ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &files), 0);
		unsigned workers = workers_allowed(0);
		ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
		ck_assert_uint_ge(workers, 1);
		ck_assert_uint_le(workers, most);
		/* At least one descriptor a worker, and some for all. */
		ck_assert_uint_lt(workers, limit < 16 ? 2 : (unsigned)limit / 2);
	}
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
	    there_is_at_least_one_worker_and_at_most_eight,
	    jobs_that_take_more_memory_get_no_more_workers,
	    one_allowed_processor_means_one_worker,
	    a_low_limit_of_open_files_means_few_workers,
	    NULL,
	};
	return unit_main("workers", tests);
}
