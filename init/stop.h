/* stop.h - "please stop": SIGTERM, SIGINT and SIGHUP, which process 1 must handle itself (kill(2), NOTES). */
#ifndef DECANT_STOP_H
#define DECANT_STOP_H

/* Handle the three signals, ignore SIGPIPE (a log that nobody reads must not end a fill). */
void stop_install(void);

/* The signal that asked to stop, or 0. Safe in any thread; looked at between two entries. */
int stop_requested(void);

#endif
