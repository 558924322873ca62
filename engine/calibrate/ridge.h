/* ridge.h - least squares in closed form, from sums over the data.
 *
 * G = sum of f f^T and R = sum of f y^T over rows of n features f, of which the caller makes the
 * last one 1, and numbers y to foretell.  The matrix B that makes the sum of |B^T f - y|^2 +
 * keep |B|^2 least solves (G + keep) B = R.  No state.  All is row by row, in double; of G only
 * the upper triangle is looked at. */
#ifndef S3D_RIDGE_H
#define S3D_RIDGE_H
#include "base/util.h"

/* Overwrites G with the Cholesky factor of G + keep, where keep is `share` times the mean of its
 * diagonal.  -1 where that is not positive definite. */
int ridge_factor(int n, double share, double *g, size_t ld, char err[ERR_MAX]);
/* Overwrites R (n and more, up to a multiple of 8; out, a multiple of 8) with B. */
int ridge_solve(int n, int out, const double *factor, size_t ld, double *r, int n_threads,
		char err[ERR_MAX]);
/* Bytes that it takes meanwhile. */
size_t ridge_room(int n, int out);
#endif
