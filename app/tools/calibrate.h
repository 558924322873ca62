/* calibrate.h - s3dchat calibrate: a sidecar for a model, with progress and a table.
 *
 * No ownership.  Invariant: standard output gets the table, and with --progress lines
 * "progress DONE seconds-left SECONDS" before it; all else goes to standard error. */
#ifndef S3D_APP_CALIBRATE_H
#define S3D_APP_CALIBRATE_H
#include "app/config/options.h"
#include "base/util.h"

#include <stdio.h>

/* options.model names a file.  0, -1, or 128 + the signal that stopped it. */
int calibrate_main(const struct options *, FILE *out, char err[ERR_MAX]);
#endif
