#include "stop.h"

#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <unistd.h>

#include "fault.h"

static atomic_int requested;

enum { PATIENCE = 3 }; /* seconds */

static void on_signal(int number)
{
	if (number != SIGALRM) {
		/* Once: one signal after another must not put it off. */
		if (atomic_exchange(&requested, number) == 0)
			alarm(PATIENCE);
	} else if (stop_requested()) {
		_exit(EXIT_SIGNAL + stop_requested());
	}
}

void stop_install(void)
{
	static const int stopping[] = {SIGTERM, SIGINT, SIGHUP, SIGALRM};
	struct sigaction action = {.sa_handler = on_signal}; /* no SA_RESTART: a read from a pipe must end */
	sigset_t wanted;

	sigemptyset(&action.sa_mask);
	sigemptyset(&wanted);
	for (size_t i = 0; i < sizeof stopping / sizeof *stopping; i++) {
		sigaction(stopping[i], &action, NULL);
		sigaddset(&wanted, stopping[i]);
	}
	sigprocmask(SIG_UNBLOCK, &wanted, NULL); /* the parent may have blocked them */
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN); /* EFBIG says it better */
}

int stop_requested(void)
{
	return atomic_load_explicit(&requested, memory_order_relaxed);
}
