/* ridge.c - see ridge.h.  Products and the Cholesky factor are BLAS's and LAPACK's.
 *
 * Their matrices go column by column: G, of which they fill the upper triangle, is symmetric; R is
 * kept as (out, in), so that features, rows of `in` numbers, are columns to them.
 * Invariant: rows wait in a block until it is full, and those of a block that is not count. */
#include "engine/ridge.h"
#include <string.h>

enum { BLOCK_ROWS = 128 };

/* Fortran's: BLAS and LAPACK in Debian have 32-bit numbers, and lengths of strings behind. */
void dsyrk_(const char *uplo, const char *trans, const int *n, const int *k, const double *alpha,
	    const double *a, const int *lda, const double *beta, double *c, const int *ldc, size_t,
	    size_t);
void dgemm_(const char *transa, const char *transb, const int *m, const int *n, const int *k,
	    const double *alpha, const double *a, const int *lda, const double *b, const int *ldb,
	    const double *beta, double *c, const int *ldc, size_t, size_t);
void dposv_(const char *uplo, const int *n, const int *nrhs, double *a, const int *lda, double *b,
	    const int *ldb, int *info, size_t);

struct ridge {
	int in, out, waiting;
	long rows;
	double *g;              /* (in, in), the upper triangle by columns */
	double *r;              /* (out, in): column o of R is contiguous */
	double *f, *y;          /* (BLOCK_ROWS, in), (BLOCK_ROWS, out): rows that wait */
};

struct ridge *ridge_open(int in, int out, char err[ERR_MAX])
{
	struct ridge *r = mem_new(1, sizeof(*r), err);
	size_t i = (size_t)in, o = (size_t)out;

	if (!r)
		return NULL;
	r->in = in;
	r->out = out;
	if (!(r->g = mem_new(i * i, sizeof(double), err)) ||
	    !(r->r = mem_new(i * o, sizeof(double), err)) ||
	    !(r->f = mem_new(BLOCK_ROWS * i, sizeof(double), err)) ||
	    !(r->y = mem_new(BLOCK_ROWS * o, sizeof(double), err))) {
		ridge_close(r);
		return NULL;
	}
	return r;
}

void ridge_close(struct ridge *r)
{
	if (!r)
		return;
	mem_free(r->g);
	mem_free(r->r);
	mem_free(r->f);
	mem_free(r->y);
	mem_free(r);
}

size_t ridge_bytes(int in, int out)
{
	size_t i = (size_t)in, o = (size_t)out;

	return (2 * i * (i + o) + BLOCK_ROWS * (i + o)) * sizeof(double);
}

long ridge_rows(const struct ridge *r)
{
	return r->rows;
}

/* Adds the rows that wait to g (in, in) and r. */
static void sum_block(const struct ridge *x, double *g, double *r)
{
	const double one = 1;

	if (!x->waiting)
		return;
	dsyrk_("U", "N", &x->in, &x->waiting, &one, x->f, &x->in, &one, g, &x->in, 1, 1);
	dgemm_("N", "T", &x->in, &x->out, &x->waiting, &one, x->f, &x->in, x->y, &x->out, &one, r,
	       &x->in, 1, 1);
}

void ridge_add(struct ridge *x, int n, const float *f, const float *y)
{
	for (int i = 0; i < n; i++) {
		double *to = x->f + (size_t)x->waiting * (size_t)x->in;

		for (int j = 0; j < x->in; j++)
			to[j] = (double)f[(size_t)i * (size_t)x->in + (size_t)j];
		to = x->y + (size_t)x->waiting * (size_t)x->out;
		for (int j = 0; j < x->out; j++)
			to[j] = (double)y[(size_t)i * (size_t)x->out + (size_t)j];
		if (++x->waiting < BLOCK_ROWS)
			continue;
		sum_block(x, x->g, x->r);
		x->waiting = 0;
	}
	x->rows += n;
}

/* In g and r, copies that the factor and the solution overwrite. */
static int solve(const struct ridge *x, double share, double *g, double *r, char err[ERR_MAX])
{
	size_t in = (size_t)x->in;
	double mean = 0;
	int info;

	memcpy(g, x->g, in * in * sizeof(*g));
	memcpy(r, x->r, in * (size_t)x->out * sizeof(*r));
	sum_block(x, g, r);
	for (size_t i = 0; i < in; i++)
		mean += g[i * (in + 1)] / (double)in;
	for (size_t i = 0; i < in; i++)
		g[i * (in + 1)] += share * mean;
	dposv_("U", &x->in, &x->out, g, &x->in, r, &x->in, &info, 1);
	if (info)
		return fail(err, "%ld rows do not determine %d features (pivot %d); more text "
			    "does, or a larger ridge", x->rows, x->in, info);
	return 0;
}

int ridge_solve(const struct ridge *x, double share, float *b, char err[ERR_MAX])
{
	size_t in = (size_t)x->in, out = (size_t)x->out;
	double *g = mem_new(in * in, sizeof(*g), err);
	double *r = g ? mem_new(in * out, sizeof(*r), err) : NULL;
	int rc = r ? solve(x, share, g, r, err) : -1;

	for (size_t i = 0; rc == 0 && i < in; i++)
		for (size_t o = 0; o < out; o++)
			b[i * out + o] = (float)r[o * in + i];
	mem_free(g);
	mem_free(r);
	return rc;
}
