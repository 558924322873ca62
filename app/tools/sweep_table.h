/* sweep_table.h - what calibrate --cqil found, for people.  No state. */
#ifndef S3D_APP_SWEEP_TABLE_H
#define S3D_APP_SWEEP_TABLE_H
#include "engine/calibrate/sweep.h"
#include <stdio.h>

/* path: where it was written.  -1 where out does not take it. */
int sweep_table(FILE *out, const struct sweep_result *, const char *path, char err[ERR_MAX]);
#endif
