/* pool.c - tests of init/pool.h. */
#include "pool.h"

#include <signal.h>
#include <stdatomic.h>
#include <time.h>

#include "stop.h"
#include "unit.h"

enum { JOBS = 500 };

struct run {
	struct pool *pool;
	_Atomic unsigned ran[JOBS]; /* how often each job ran */
	_Atomic unsigned jobs_of[WORKERS_MAX];
	_Atomic unsigned wrong; /* what must not be; jobs cannot assert */
	unsigned workers;
	uint32_t order[JOBS]; /* by the order of the turns, or of the calls */
	_Atomic uint32_t next;
	uint32_t failing; /* the job that fails, or one of those that do */
	_Atomic unsigned waiting;
	bool started[JOBS]; /* guarded by the pool's lock */
	pthread_t caller;
};

static void nap(uint32_t number)
{
	struct timespec time = {0, (long)(number * 7919u % 200u) * 1000};
	nanosleep(&time, NULL);
}

static bool run(struct run *r, unsigned workers, uint32_t jobs,
                bool (*job)(void *context, unsigned worker, uint32_t number, struct fault *fault),
                struct fault *fault)
{
	*fault = (struct fault){.code = EXIT_DONE};
	r->workers = workers;
	r->caller = pthread_self();
	bool done = pool_run(workers, jobs, job, r, &r->pool, fault);
	ck_assert_ptr_null(r->pool);
	ck_assert_uint_eq(r->wrong, 0);
	return done;
}

static bool count_job(void *context, unsigned worker, uint32_t number, struct fault *fault)
{
	struct run *r = context;
	(void)fault;
	if (worker >= r->workers || (worker == 0) != (pthread_equal(pthread_self(), r->caller) != 0))
		r->wrong++;
	r->jobs_of[worker]++;
	r->ran[number]++;
	nap(number);
	return true;
}

START_TEST(every_job_runs_once)
{
	static const unsigned workers[] = {1, 2, 8, WORKERS_MAX, 1000};
	static const uint32_t jobs[] = {1, 2, 7, JOBS};

	for (size_t i = 0; i < COUNT_OF(workers); i++)
		for (size_t j = 0; j < COUNT_OF(jobs); j++) {
			struct run r = {.pool = NULL};
			struct fault fault;
			ck_assert(run(&r, workers[i], jobs[j], count_job, &fault));
			ck_assert_int_eq(fault.code, EXIT_DONE);
			for (uint32_t k = 0; k < JOBS; k++)
				ck_assert_uint_eq(r.ran[k], k < jobs[j]);
		}
}
END_TEST

START_TEST(no_jobs_are_done_at_once)
{
	static const unsigned workers[] = {0, 1, 8};
	for (size_t i = 0; i < COUNT_OF(workers); i++) {
		struct run r = {.pool = NULL};
		struct fault fault;
		ck_assert(run(&r, workers[i], 0, count_job, &fault));
		ck_assert_uint_eq(r.ran[0], 0);
	}
}
END_TEST

static bool note_job(void *context, unsigned worker, uint32_t number, struct fault *fault)
{
	struct run *r = context;
	(void)worker, (void)fault;
	r->order[r->next++] = number;
	return true;
}

START_TEST(one_worker_does_all_jobs_in_order)
{
	struct run r = {.pool = NULL};
	struct fault fault;
	ck_assert(run(&r, 1, JOBS, note_job, &fault));
	ck_assert_uint_eq(r.next, JOBS);
	for (uint32_t i = 0; i < JOBS; i++)
		ck_assert_uint_eq(r.order[i], i);
}
END_TEST

/* Waits for the job before, which is safe only when that one has been handed out. */
static bool follow_job(void *context, unsigned worker, uint32_t number, struct fault *fault)
{
	struct run *r = context;
	(void)worker, (void)fault;
	nap(number);
	pool_lock(r->pool);
	while (number > 0 && !r->started[number - 1] && !pool_stopping(r->pool))
		pool_wait(r->pool);
	r->started[number] = true;
	r->order[r->next++] = number;
	pool_wake(r->pool);
	pool_unlock(r->pool);
	return true;
}

START_TEST(a_job_can_wait_for_the_one_before_it)
{
	static const unsigned workers[] = {1, 2, 8};
	for (size_t i = 0; i < COUNT_OF(workers); i++) {
		struct run r = {.pool = NULL};
		struct fault fault;
		ck_assert(run(&r, workers[i], JOBS, follow_job, &fault));
		ck_assert_uint_eq(r.next, JOBS);
		for (uint32_t k = 0; k < JOBS; k++)
			ck_assert_uint_eq(r.order[k], k);
	}
}
END_TEST

static bool turn_job(void *context, unsigned worker, uint32_t number, struct fault *fault)
{
	struct run *r = context;
	(void)worker, (void)fault;
	nap(number);
	if (!pool_turn(r->pool, number)) {
		r->wrong++;
		return false;
	}
	/* No lock: the turn is this job's alone. */
	uint32_t next = r->next;
	r->order[next] = number;
	nap(number / 3);
	r->next = next + 1;
	pool_turn_over(r->pool);
	return true;
}

START_TEST(turns_come_in_the_order_of_the_jobs)
{
	static const unsigned workers[] = {1, 2, 8};
	for (size_t i = 0; i < COUNT_OF(workers); i++) {
		struct run r = {.pool = NULL};
		struct fault fault;
		ck_assert(run(&r, workers[i], JOBS, turn_job, &fault));
		ck_assert_uint_eq(r.next, JOBS);
		for (uint32_t k = 0; k < JOBS; k++)
			ck_assert_uint_eq(r.order[k], k);
	}
}
END_TEST

static bool fail_job(void *context, unsigned worker, uint32_t number, struct fault *fault)
{
	struct run *r = context;
	(void)worker;
	r->ran[number]++;
	return number < r->failing || fault_set(fault, EXIT_SPACE, "object", "act", "job %u", number);
}

START_TEST(after_a_failure_no_job_is_handed_out)
{
	struct run r = {.failing = 17};
	struct fault fault;
	ck_assert(!run(&r, 1, JOBS, fail_job, &fault));
	ck_assert_int_eq(fault.code, EXIT_SPACE);
	ck_assert_str_eq(fault.object, "object");
	ck_assert_str_eq(fault.action, "act");
	ck_assert_str_eq(fault.reason, "job 17");
	for (uint32_t k = 0; k < JOBS; k++)
		ck_assert_uint_eq(r.ran[k], k <= 17);
}
END_TEST

START_TEST(after_a_failure_many_workers_stop_soon)
{
	struct run r = {.failing = 17};
	struct fault fault;
	unsigned ran = 0;

	ck_assert(!run(&r, 8, JOBS, fail_job, &fault));
	ck_assert_int_eq(fault.code, EXIT_SPACE);
	for (uint32_t k = 0; k < JOBS; k++)
		ran += r.ran[k];
	ck_assert_uint_ge(ran, 18);
	/* One for each of the others that was handed out already. */
	ck_assert_uint_le(ran, 18 + 7);
}
END_TEST

/* Job 7 fails when all others wait; they fail because of that, and theirs is not the fault to tell. */
static bool wait_job(void *context, unsigned worker, uint32_t number, struct fault *fault)
{
	struct run *r = context;
	(void)worker;
	if (number < 7) {
		pool_lock(r->pool);
		r->waiting++;
		pool_wake(r->pool);
		while (!pool_stopping(r->pool))
			pool_wait(r->pool);
		pool_unlock(r->pool);
		r->ran[number]++;
		return fault_set(fault, EXIT_IO, "follower", "wait", "stopped");
	}
	pool_lock(r->pool);
	while (r->waiting < 7)
		pool_wait(r->pool);
	pool_unlock(r->pool);
	return fault_set(fault, EXIT_BUNDLE, "first", "check", "broken");
}

START_TEST(a_failure_wakes_those_that_wait_and_the_first_fault_is_kept)
{
	struct run r = {.pool = NULL};
	struct fault fault;

	ck_assert(!run(&r, 8, 8, wait_job, &fault));
	ck_assert_int_eq(fault.code, EXIT_BUNDLE);
	ck_assert_str_eq(fault.object, "first");
	ck_assert_str_eq(fault.reason, "broken");
	for (uint32_t k = 0; k < 7; k++)
		ck_assert_uint_eq(r.ran[k], 1);
}
END_TEST

/* Job 0 keeps its turn until the others wait for theirs, and fails. */
static bool hold_turn_job(void *context, unsigned worker, uint32_t number, struct fault *fault)
{
	struct run *r = context;
	(void)worker;
	if (number == 0) {
		while (r->waiting < 7)
			nap(number + 1);
		if (!pool_turn(r->pool, 0))
			r->wrong++;
		return fault_set(fault, EXIT_VOLUME, "zero", "hold", "held");
	}
	r->waiting++;
	if (pool_turn(r->pool, number))
		r->wrong++;
	r->ran[number]++;
	return false;
}

START_TEST(a_failure_ends_the_wait_for_a_turn)
{
	struct run r = {.pool = NULL};
	struct fault fault;

	ck_assert(!run(&r, 8, 8, hold_turn_job, &fault));
	ck_assert_int_eq(fault.code, EXIT_VOLUME);
	ck_assert_str_eq(fault.object, "zero");
	for (uint32_t k = 1; k < 8; k++)
		ck_assert_uint_eq(r.ran[k], 1);
}
END_TEST

static bool signal_job(void *context, unsigned worker, uint32_t number, struct fault *fault)
{
	struct run *r = context;
	(void)worker, (void)fault;
	r->ran[number]++;
	if (number == 20)
		kill(getpid(), SIGTERM);
	return true;
}

START_TEST(a_signal_that_asks_to_stop_ends_a_run)
{
	struct run r = {.pool = NULL};
	struct fault fault;

	stop_install();
	ck_assert(!run(&r, 1, JOBS, signal_job, &fault));
	ck_assert_int_eq(fault.code, EXIT_SIGNAL + SIGTERM);
	ck_assert_uint_eq(r.ran[20], 1);
	ck_assert_uint_eq(r.ran[21], 0);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
	    every_job_runs_once,
	    no_jobs_are_done_at_once,
	    one_worker_does_all_jobs_in_order,
	    a_job_can_wait_for_the_one_before_it,
	    turns_come_in_the_order_of_the_jobs,
	    after_a_failure_no_job_is_handed_out,
	    after_a_failure_many_workers_stop_soon,
	    a_failure_wakes_those_that_wait_and_the_first_fault_is_kept,
	    a_failure_ends_the_wait_for_a_turn,
	    a_signal_that_asks_to_stop_ends_a_run,
	    NULL,
	};
	return unit_main("pool", tests);
}
