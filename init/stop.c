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
	struct sigaction was;

	sigemptyset(&action.sa_mask);
	for (size_t i = 0; i < sizeof stopping / sizeof *stopping; i++) {
		sigaction(stopping[i], &action, &was);
		/* As below nohup. SIGINT, which a shell's background job ignores, too, still ends it. */
		if (stopping[i] == SIGHUP && was.sa_handler == SIG_IGN)
			sigaction(SIGHUP, &was, NULL);
	}
	sigprocmask(SIG_SETMASK, &action.sa_mask, NULL); /* the parent may have blocked them */
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN); /* EFBIG says it better */
}

int stop_requested(void)
{
	return atomic_load_explicit(&requested, memory_order_relaxed);
}
