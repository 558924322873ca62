/* crash.h - the terminal given back, and a reason told, when the program crashes in any thread.
 *
 * Process-wide state.  Invariant: the handler calls nothing that is not safe in one. */
#ifndef S3D_UI_CRASH_H
#define S3D_UI_CRASH_H
#include <stdbool.h>

/* For the whole run, from the first thread, before there are others. */
void crash_open(void);
/* The line editor has the terminal, or has left it. */
void crash_line(bool on);
#endif
