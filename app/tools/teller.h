/* teller.h - what a command that takes long says meanwhile, and how a signal ends it.
 *
 * On a terminal one line that is written over, elsewhere a line every ten seconds, for programs
 * lines "progress DONE seconds-left SECONDS" on standard output.  One at a time.
 * Invariant: a signal only sets a flag, which whoever works asks for; the second one has no effect.
 */
#ifndef S3D_APP_TELLER_H
#define S3D_APP_TELLER_H
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>

struct teller {
	const char *name;       /* of the command */
	FILE *out;
	bool machine, terminal;
	bool line;              /* one is on the terminal that the next overwrites */
	double told;
	struct sigaction was_int, was_term;
};

/* Until teller_close SIGINT and SIGTERM ask to stop.  machine: progress goes to out. */
void teller_open(struct teller *, const char *name, FILE *out, bool machine);
void teller_close(struct teller *);
void teller_end_line(struct teller *);  /* before something else is written */
int teller_signal(void);                /* that came, or 0 */

/* For callbacks: ctx is the teller. */
bool teller_stopped(void *ctx);
void teller_note(void *ctx, const char *text);
void teller_progress(void *ctx, double done, double seconds_left, const char *what);
#endif
