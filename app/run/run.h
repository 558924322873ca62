/* run.h - one answer on standard output, for scripts.
 *
 * Invariant: standard output gets the answer and nothing else; no readline, no curses. */
#ifndef S3D_APP_RUN_H
#define S3D_APP_RUN_H
#include "app/config/options.h"
#include "base/util.h"

/* The prompt of -p and -f together, else standard input: malloc'ed, NULL with err. */
char *run_prompt(const struct options *, size_t *len, char err[ERR_MAX]);
/* Returns the exit status: 0, 130 when stopped by Ctrl+C, -1 with err. */
int run_once(const struct options *, char err[ERR_MAX]);
#endif
