/* quantize.h - s3dchat quantize IN OUT TYPE: a model file with smaller tensors.
 *
 * No ownership.  Invariant: standard output gets what was made, with --dry-run what would be, and
 * with --progress lines as calibrate's before it; all else goes to standard error. */
#ifndef S3D_APP_QUANTIZE_H
#define S3D_APP_QUANTIZE_H
#include "app/config/options.h"
#include "base/util.h"

#include <stdio.h>

/* 0, -1, or 128 + the signal that stopped it. */
int quantize_main(const struct options *, FILE *out, char err[ERR_MAX]);
#endif
