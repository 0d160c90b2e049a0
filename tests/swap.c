/* swap - an attacker who may write a volume: swaps names in it for symbolic links that lead out, and back.
 *
 *     swap VOLUME ASIDE OUTSIDE PAUSE NAME...
 *
 * Each NAME of VOLUME changes places with ASIDE/NAME, a link to OUTSIDE/NAME, for a moment, and comes back;
 * then follows a pause of up to PAUSE microseconds, so that a fill gets through now and then. Until SIGTERM;
 * then it prints how many swaps it made. */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t stopped;

static void stop(int number)
{
	(void)number;
	stopped = 1;
}

static void nap(long microseconds)
{
	nanosleep(&(struct timespec){.tv_nsec = microseconds * 1000}, NULL);
}

/* What the fill made in the link's place goes out of the way, and a new link stands ready. */
static void make_link(const char *aside, const char *to, unsigned long number)
{
	char old[PATH_MAX + 32];
	struct stat st;

	if (lstat(aside, &st) == 0 && S_ISLNK(st.st_mode))
		return;
	snprintf(old, sizeof old, "%s.%lu", aside, number);
	(void)rename(aside, old);
	if (symlink(to, aside) != 0) {
		fprintf(stderr, "swap: %s: %s\n", aside, strerror(errno));
		exit(1);
	}
}

int main(int argc, char **argv)
{
	char in[PATH_MAX], aside[PATH_MAX], out[PATH_MAX];
	unsigned long swaps = 0;
	unsigned seed = 1;

	if (argc < 6) {
		fputs("usage: swap VOLUME ASIDE OUTSIDE PAUSE NAME...\n", stderr);
		return 2;
	}
	signal(SIGTERM, stop);
	int pause = atoi(argv[4]);
	while (!stopped) {
		const char *name = argv[5 + rand_r(&seed) % (argc - 5)];
		snprintf(in, sizeof in, "%s/%s", argv[1], name);
		snprintf(aside, sizeof aside, "%s/%s", argv[2], name);
		snprintf(out, sizeof out, "%s/%s", argv[3], name);
		make_link(aside, out, swaps);
		if (renameat2(-100, in, -100, aside, RENAME_EXCHANGE) == 0) {
			nap(rand_r(&seed) % 50);
			if (renameat2(-100, in, -100, aside, RENAME_EXCHANGE) == 0)
				swaps++;
		}
		if (pause > 0)
			nap(rand_r(&seed) % pause);
	}
	printf("%lu\n", swaps);
	return 0;
}
