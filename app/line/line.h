/* line.h - the chat as a plain dialogue, line by line.
 *
 * With a terminal on both sides lines are edited by readline; otherwise they are read as they are.
 * Invariant: what the model wrote never reaches standard output as a control sequence. */
#ifndef S3D_APP_LINE_H
#define S3D_APP_LINE_H
#include "app/config/options.h"
#include "base/util.h"

/* Returns the exit status, or -1 with err. */
int line_main(const struct options *, char err[ERR_MAX]);
#endif
