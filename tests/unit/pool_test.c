/* The pool: all jobs run once and are handed out in order, the first fault is kept, turns come in order. */
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "pool.h"
#include "unit.h"

enum { JOBS = 500 };

struct work {
	struct pool *pool;
	atomic_uint ran[JOBS];
	atomic_uint total, highest_worker, last_begun;
	uint32_t order[JOBS];
	unsigned in_order;
	uint32_t fail_at, fail_too;
};

static void nap(uint32_t number)
{
	struct timespec t = {.tv_nsec = (long)(number * 7919 % 13) * 20000};
	nanosleep(&t, NULL);
}

static bool count_job(void *context, unsigned worker, uint32_t number, struct fault *fault)
{
	struct work *work = context;
	if (worker > atomic_load(&work->highest_worker))
		atomic_store(&work->highest_worker, worker);
	atomic_fetch_add(&work->ran[number], 1);
	atomic_fetch_add(&work->total, 1);
	if (number == work->fail_at || number == work->fail_too) {
		nap(5);
		return fault_set(fault, EXIT_IO, number == work->fail_at ? "first" : "second", "test",
		                 "because");
	}
	return true;
}

static bool turn_job(void *context, unsigned worker, uint32_t number, struct fault *fault)
{
	struct work *work = context;
	(void)worker;
	nap(number);
	if (number == work->fail_at)
		return fault_set(fault, EXIT_BUNDLE, "turn", "test", "because");
	if (!pool_turn(work->pool, number))
		return true;
	work->order[work->in_order++] = number;
	pool_turn_over(work->pool);
	return true;
}

static const unsigned workers[] = {1, 2, 4, 16, 64};

START_TEST(each_job_runs_once)
{
	static struct work work;
	memset(&work, 0, sizeof work);
	work.fail_at = work.fail_too = JOBS;
	struct fault fault = {0};
	ck_assert(pool_run(workers[_i], JOBS, count_job, &work, &work.pool, &fault));
	ck_assert_int_eq(fault.code, 0);
	for (unsigned i = 0; i < JOBS; i++)
		ck_assert_uint_eq(work.ran[i], 1);
	ck_assert_uint_lt(work.highest_worker, workers[_i]);
}
END_TEST

START_TEST(no_jobs_are_done_at_once)
{
	static struct work work;
	memset(&work, 0, sizeof work);
	struct fault fault = {0};
	ck_assert(pool_run(workers[_i], 0, count_job, &work, &work.pool, &fault));
	ck_assert_uint_eq(work.total, 0);
}
END_TEST

START_TEST(a_job_that_fails_stops_the_run)
{
	static struct work work;
	memset(&work, 0, sizeof work);
	work.fail_at = 50;
	work.fail_too = JOBS;
	struct fault fault = {0};
	ck_assert(!pool_run(workers[_i], JOBS, count_job, &work, &work.pool, &fault));
	ck_assert_int_eq(fault.code, EXIT_IO);
	ck_assert_str_eq(fault.object, "first");
	for (unsigned i = 0; i <= 50; i++)
		ck_assert_uint_eq(work.ran[i], 1);
	if (workers[_i] == 1)
		ck_assert_uint_eq(work.total, 51);
}
END_TEST

START_TEST(one_fault_of_several_is_kept_whole)
{
	static struct work work;
	memset(&work, 0, sizeof work);
	work.fail_at = 10;
	work.fail_too = 11;
	struct fault fault = {0};
	ck_assert(!pool_run(workers[_i], JOBS, count_job, &work, &work.pool, &fault));
	ck_assert_int_eq(fault.code, EXIT_IO);
	ck_assert(strcmp(fault.object, "first") == 0 || strcmp(fault.object, "second") == 0);
	if (workers[_i] == 1)
		ck_assert_str_eq(fault.object, "first");
	ck_assert_str_eq(fault.reason, "because");
}
END_TEST

START_TEST(turns_come_in_the_order_of_the_numbers)
{
	static struct work work;
	memset(&work, 0, sizeof work);
	work.fail_at = JOBS;
	struct fault fault = {0};
	ck_assert(pool_run(workers[_i], JOBS, turn_job, &work, &work.pool, &fault));
	ck_assert_uint_eq(work.in_order, JOBS);
	for (unsigned i = 0; i < JOBS; i++)
		ck_assert_uint_eq(work.order[i], i);
}
END_TEST

START_TEST(a_failure_ends_all_waits_for_a_turn)
{
	static struct work work;
	memset(&work, 0, sizeof work);
	work.fail_at = 100;
	struct fault fault = {0};
	ck_assert(!pool_run(workers[_i], JOBS, turn_job, &work, &work.pool, &fault));
	ck_assert_int_eq(fault.code, EXIT_BUNDLE);
	ck_assert_uint_le(work.in_order, 100);
	for (unsigned i = 0; i < work.in_order; i++)
		ck_assert_uint_eq(work.order[i], i);
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("pool");
	int n = sizeof workers / sizeof workers[0];
	tcase_set_timeout(tests, 30);
	tcase_add_loop_test(tests, each_job_runs_once, 0, n);
	tcase_add_loop_test(tests, no_jobs_are_done_at_once, 0, n);
	tcase_add_loop_test(tests, a_job_that_fails_stops_the_run, 0, n);
	tcase_add_loop_test(tests, one_fault_of_several_is_kept_whole, 0, n);
	tcase_add_loop_test(tests, turns_come_in_the_order_of_the_numbers, 0, n);
	tcase_add_loop_test(tests, a_failure_ends_all_waits_for_a_turn, 0, n);
	return unit_run("pool", tests);
}
