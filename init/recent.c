#include "recent.h"

#include <stdint.h>

#include "stop.h"

bool is_recent(struct timespec ctime)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME_COARSE, &now);
	int64_t seconds = now.tv_sec - ctime.tv_sec;
	if (seconds < -1 || seconds > 1)
		return false;
	return ctime.tv_nsec == 0 || seconds * 1000000000 + now.tv_nsec - ctime.tv_nsec < 11000000;
}

bool outlast(struct timespec ctime, struct fault *fault)
{
	static const struct timespec pause = {.tv_nsec = 1000 * 1000};

	while (is_recent(ctime)) {
		if (!stop_check(fault))
			return false;
		nanosleep(&pause, NULL);
	}
	return true;
}
