/* tui_main.h - the full screen on a terminal.
 *
 * Standard input and output are the terminal.  Invariant: whatever ends the program, the terminal
 * is left as it was found. */
#ifndef S3D_APP_TUI_MAIN_H
#define S3D_APP_TUI_MAIN_H
#include "app/config/config.h"

/* Returns the exit status, or -1 with err.  The configuration's theme and keys are copied. */
int tui_main(const struct options *, const struct config *, char err[ERR_MAX]);
#endif
