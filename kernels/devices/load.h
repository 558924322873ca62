/* load.h - a backend that lies in a file of its own.
 *
 * What was loaded stays loaded until the process ends: its tables are handed on by pointer. */
#ifndef S3D_KERNELS_LOAD_H
#define S3D_KERNELS_LOAD_H
#include "kernels/backend.h"

#define BACKEND_FILE "s3dcuda.so"

/* The backend in this file; NULL with the reason when it cannot be loaded, was built for another
 * program, or has nothing to compute on. */
const struct backend *backend_load(const char *path, char err[ERR_MAX]);
#endif
