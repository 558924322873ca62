/* tui_signal.h - signals as bytes in a pipe.
 *
 * Process-wide state, one user.  Invariant: between open and close no signal that can be caught
 * ends the program without the terminal being restored (for those of a crash see crash.h). */
#ifndef S3D_APP_TUI_SIGNAL_H
#define S3D_APP_TUI_SIGNAL_H
#include "base/util.h"

int tui_signal_open(char err[ERR_MAX]);
void tui_signal_close(void);
int tui_signal_fd(void);                /* for poll */
int tui_signal_take(void);              /* the next one that came, 0: none */
/* The terminal's keys stop and end us in the usual way: while something else has the terminal. */
void tui_signal_usual(void);
void tui_signal_ours(void);             /* what came meanwhile is forgotten */
#endif
