/* stop.h - "please stop": SIGTERM, SIGINT and SIGHUP, which process 1 must handle itself (kill(2), NOTES). */
#ifndef DECANT_STOP_H
#define DECANT_STOP_H

/* Handle the three signals, but SIGHUP not where it is ignored, as below nohup(1). Also SIGALRM, which ends
 * the program 3 s after one of them at the latest: a worker may be in the write to a terminal that nobody
 * reads, a file system may answer for ever. What that leaves is what SIGKILL would leave. Also ignore SIGPIPE
 * (a log that nobody reads must not end a fill), and block no signal. */
void stop_install(void);

/* The signal that asked to stop, or 0. Safe in any thread; looked at between two entries. */
int stop_requested(void);

#endif
