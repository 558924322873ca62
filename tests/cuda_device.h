/* cuda_device.h - where test_cuda gets its backend from.  No state. */
#ifndef S3D_CUDA_DEVICE_H
#define S3D_CUDA_DEVICE_H
#include "kernels/backend_abi.h"
#include "kernels/devices/load.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

/* The emulated backend, or (DEVICE_REAL) the one that the program would load, in the folder that
 * tests/run names. */
static inline const struct backend *cuda_device(char err[ERR_MAX])
{
#ifdef DEVICE_REAL
	char path[4096];

	snprintf(path, sizeof(path), "%s/" BACKEND_FILE, getenv("B") ? getenv("B") : ".");
	return backend_load(path, err);
#else
	char abi[BACKEND_ABI_MAX];

	return s3dcuda_open(backend_abi(abi), err);
#endif
}

/* How many rows a test that is to see each number of them takes, ending with 0.  Emulated, where a
 * row takes long, the numbers at which another kernel, or another block of one, begins or ends
 * (product_few): those between run what their neighbours run. */
static const int few_counts[] = {
#ifdef DEVICE_REAL
	1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 0
#else
	1, 2, 3, 4, 5, 8, 9, 16, 17, 0
#endif
};

/* For a program's main: the same, or NULL and why not; with an argument, a pattern, only the tests
 * of such names run. */
static inline const struct backend *cuda_begin(int argc, char **argv)
{
	char err[ERR_MAX] = "";
	const struct backend *cuda = cuda_device(err);

	if (!cuda)
		printf("no cuda backend: %s\n", err);
	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cuda;
}
#endif
