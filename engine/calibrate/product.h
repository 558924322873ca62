/* product.h - sums of products over many rows: c += a^T b in double, as fast as the machine can.
 *
 * What is summed comes packed: PRODUCT_WIDE columns side by side, rows below each other, so that
 * both sides are read in order.  No state.  Invariant: an element's sum is taken over the rows in
 * their order, whoever computes it, so that a result does not depend on the threads. */
#ifndef S3D_PRODUCT_H
#define S3D_PRODUCT_H
#include "base/util.h"

enum { PRODUCT_WIDE = 8 };
/* n columns and more, up to a whole number of panels; those beyond n must be zeros. */
static inline int product_panels(int n)
{
	return (n + PRODUCT_WIDE - 1) / PRODUCT_WIDE;
}
/* Columns from..from+n-1 of row r of `rows`, of floats. */
void product_put(double *packed, int rows, int r, int from, const float *x, int n);

struct product {
	const double *a, *b;    /* panels of a and of b, each (rows, PRODUCT_WIDE) */
	int a_panels, b_panels, rows;
	bool upper;             /* a is b: only where column >= row, by panels */
	bool minus;             /* c -= a^T b */
	double *c;              /* (a_panels * PRODUCT_WIDE, ld) */
	size_t ld;
};
void product_run(const struct product *, int n_threads);
#endif
