/* pool.h - runs numbered jobs on a few threads; the only module that starts threads.
 *
 * The caller's own thread is worker 0; one worker means the same code in line, and no thread. Jobs are
 * handed out in the order of their numbers: when job N runs, all jobs below N have been started. That is
 * what lets a job wait for the outcome of one before it (a file that spans frames, lines in order).
 *
 * The first job that fails stops the run: no new jobs are handed out, pool_stopping() becomes true for
 * those that still run, and their waits end. The fault kept is the one that came first. */
#ifndef DECANT_POOL_H
#define DECANT_POOL_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "fault.h"

#define WORKERS_MAX 64

struct pool {
	pthread_mutex_t lock; /* guards all below, and whatever jobs share by pool_lock */
	pthread_cond_t changed;
	uint32_t next, jobs;
	uint32_t turn; /* the job whose turn it is, see pool_turn */
	bool stopping;
	struct fault *fault;
	bool (*job)(void *context, unsigned worker, uint32_t number, struct fault *fault);
	void *context;
};

/* Run JOB for each number below JOBS on up to WORKERS threads (fewer when threads cannot be had, which is
 * no error). Returns false with *FAULT set when a job failed or a signal asked to stop. */
bool pool_run(unsigned workers, uint32_t jobs,
              bool (*job)(void *context, unsigned worker, uint32_t number, struct fault *fault),
              void *context, struct pool **self, struct fault *fault);

/* For use inside jobs. pool_wait releases the lock, waits for a pool_wake, takes the lock again. */
void pool_lock(struct pool *pool);
void pool_unlock(struct pool *pool);
void pool_wait(struct pool *pool);
void pool_wake(struct pool *pool);
bool pool_stopping(struct pool *pool); /* with the lock held */

/* Wait until each job below NUMBER has called pool_turn_over. False when the run is stopping. Every job of
 * a run calls both, or none does. */
bool pool_turn(struct pool *pool, uint32_t number);
void pool_turn_over(struct pool *pool);

#endif
