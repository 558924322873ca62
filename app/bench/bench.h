/* bench.h - s3dchat bench: measures this machine with this model.
 *
 * bench_run owns everything that it opens.  Result to out, progress to standard error.
 * Invariant: what is printed was measured in this run; ratios are formed within one repetition. */
#ifndef S3D_APP_BENCH_H
#define S3D_APP_BENCH_H
#include "app/config/options.h"
#include "base/util.h"

#include <stdio.h>

/* options.model names a file. */
int bench_run(const struct options *, FILE *out, char err[ERR_MAX]);
#endif
