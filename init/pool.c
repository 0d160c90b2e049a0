#include "pool.h"

#include <signal.h>
#include <time.h>

#include "stop.h"

struct worker {
	struct pool *pool;
	unsigned number;
};

/* Keep the first fault and stop the others. Called with the lock held. */
static void give_up(struct pool *pool, const struct fault *fault)
{
	if (!pool->fault->code)
		*pool->fault = *fault;
	pool->stopping = true;
	pthread_cond_broadcast(&pool->changed);
}

static void *work(void *argument)
{
	struct worker *self = argument;
	struct pool *pool = self->pool;
	struct fault fault = {.code = EXIT_DONE};

	pool_lock(pool);
	while (!pool->stopping && pool->next < pool->jobs) {
		uint32_t number = pool->next++;
		pool_unlock(pool);
		bool done = stop_check(&fault) && pool->job(pool->context, self->number, number, &fault);
		pool_lock(pool);
		if (!done)
			give_up(pool, &fault);
	}
	pool_unlock(pool);
	return NULL;
}

bool pool_run(unsigned workers, uint32_t jobs,
              bool (*job)(void *context, unsigned worker, uint32_t number, struct fault *fault),
              void *context, struct pool **self, struct fault *fault)
{
	struct pool pool = {.jobs = jobs, .job = job, .context = context, .fault = fault};
	struct worker all[WORKERS_MAX];
	pthread_t threads[WORKERS_MAX];
	pthread_condattr_t clock;
	unsigned started = 1;
	sigset_t every, before;

	if (self)
		*self = &pool;
	if (workers > WORKERS_MAX)
		workers = WORKERS_MAX;
	if (workers > jobs)
		workers = jobs;
	pthread_mutex_init(&pool.lock, NULL);
	pthread_condattr_init(&clock);
	pthread_condattr_setclock(&clock, CLOCK_MONOTONIC); /* nobody sets that back */
	pthread_cond_init(&pool.changed, &clock);
	pthread_condattr_destroy(&clock);

	/* Signals go to the main thread alone: it may be in the read of a pipe, which must end. */
	sigfillset(&every);
	pthread_sigmask(SIG_SETMASK, &every, &before);
	for (; started < workers; started++) {
		all[started] = (struct worker){&pool, started};
		if (pthread_create(&threads[started], NULL, work, &all[started]) != 0)
			break;
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);

	all[0] = (struct worker){&pool, 0};
	work(&all[0]);
	while (started > 1)
		pthread_join(threads[--started], NULL);
	pthread_cond_destroy(&pool.changed);
	pthread_mutex_destroy(&pool.lock);
	if (self)
		*self = NULL;
	return fault->code == EXIT_DONE;
}

void pool_lock(struct pool *pool)
{
	pthread_mutex_lock(&pool->lock);
}

void pool_unlock(struct pool *pool)
{
	pthread_mutex_unlock(&pool->lock);
}

void pool_wait(struct pool *pool)
{
	struct timespec until;
	struct fault fault = {.code = EXIT_DONE};

	/* Not for ever: the signal that asks to stop wakes nobody. */
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += 200 * 1000 * 1000;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	pthread_cond_timedwait(&pool->changed, &pool->lock, &until);
	if (!pool->stopping && !stop_check(&fault))
		give_up(pool, &fault);
}

void pool_wake(struct pool *pool)
{
	pthread_cond_broadcast(&pool->changed);
}

bool pool_stopping(struct pool *pool)
{
	return pool->stopping;
}

bool pool_turn(struct pool *pool, uint32_t number)
{
	pool_lock(pool);
	while (pool->turn != number && !pool->stopping)
		pool_wait(pool);
	bool mine = !pool->stopping;
	pool_unlock(pool);
	return mine;
}

void pool_turn_over(struct pool *pool)
{
	pool_lock(pool);
	pool->turn++;
	pool_wake(pool);
	pool_unlock(pool);
}
