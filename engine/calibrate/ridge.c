/* ridge.c - see ridge.h.  The factor is LAPACK's; most of the substitution is products.
 *
 * Row by row an upper triangle U is what column by column is a lower one, so LAPACK's G = L L^T is
 * U^T U here.  Invariant: rows of R before the block at hand are solved, those behind it have had
 * all solved ones taken off (and the other way round on the way back). */
#include "engine/calibrate/ridge.h"
#include "engine/calibrate/product.h"
#include <string.h>

enum { BLOCK = 128 };

/* Fortran's: LAPACK in Debian has 32-bit numbers, and lengths of strings behind. */
void dpotrf_(const char *uplo, const int *n, double *a, const int *lda, int *info, size_t);
void dtrsm_(const char *side, const char *uplo, const char *trans, const char *diag, const int *m,
	    const int *n, const double *alpha, const double *a, const int *lda, double *b,
	    const int *ldb, size_t, size_t, size_t, size_t);

int ridge_factor(int n, double share, double *g, size_t ld, char err[ERR_MAX])
{
	double mean = 0;
	int info, step = (int)ld;

	for (size_t i = 0; i < (size_t)n; i++)
		mean += g[i * (ld + 1)] / n;
	for (size_t i = 0; i < (size_t)n; i++)
		g[i * (ld + 1)] += share * mean;
	dpotrf_("L", &n, g, &step, &info, 1);
	if (info)
		return fail(err, "the text does not determine %d features (pivot %d); more of it "
			    "does", n, info);
	return 0;
}

struct solve {
	int n, out, threads;
	const double *u;
	size_t ld;
	double *r;
	double *a, *b;          /* packed */
};

/* Rows from..from+rows-1 of R times the triangle that is there in U. */
static void diagonal(const struct solve *s, int from, int rows, const char *trans)
{
	const double one = 1;
	int ld = (int)s->ld;

	dtrsm_("R", "L", trans, "N", &s->out, &rows, &one, s->u + (size_t)from * (s->ld + 1), &ld,
	       s->r + (size_t)from * (size_t)s->out, &s->out, 1, 1, 1, 1);
}

/* c -= a^T b for n rows of R from `to` on: b are its rows at `from`, a is what U has of both. */
static void take_off(const struct solve *s, int from, int rows, int to, int n, bool down)
{
	size_t out = (size_t)s->out;
	struct product p = {
		.a = s->a, .b = s->b, .a_panels = product_panels(n),
		.b_panels = s->out / PRODUCT_WIDE, .rows = rows, .minus = true,
		.c = s->r + (size_t)to * out, .ld = out,
	};

	memset(s->a, 0, sizeof(*s->a) * (size_t)(p.a_panels * PRODUCT_WIDE * rows));
	for (int k = 0; k < rows; k++) {
		size_t row = (size_t)(from + k);

		for (int i = 0; i < n; i++) {
			size_t other = (size_t)(to + i);

			s->a[(size_t)((i / PRODUCT_WIDE * rows + k) * PRODUCT_WIDE +
				      i % PRODUCT_WIDE)] =
				down ? s->u[row * s->ld + other] : s->u[other * s->ld + row];
		}
		for (size_t j = 0; j < out; j += PRODUCT_WIDE)
			memcpy(s->b + j * (size_t)rows + (size_t)k * PRODUCT_WIDE,
			       s->r + row * out + j, sizeof(double) * PRODUCT_WIDE);
	}
	product_run(&p, s->threads);
}

static void substitute(const struct solve *s)
{
	int n = s->n, last = (n - 1) / BLOCK * BLOCK;

	for (int i = 0; i < n; i += BLOCK) {
		int rows = n - i < BLOCK ? n - i : BLOCK;

		diagonal(s, i, rows, "T");
		if (i + rows < n)
			take_off(s, i, rows, i + rows, n - i - rows, true);
	}
	for (int i = last; i >= 0; i -= BLOCK) {
		int rows = n - i < BLOCK ? n - i : BLOCK;

		diagonal(s, i, rows, "N");
		if (i)
			take_off(s, i, rows, 0, i, false);
	}
}

size_t ridge_room(int n, int out)
{
	return (size_t)BLOCK * (size_t)(n + PRODUCT_WIDE + out) * sizeof(double);
}

int ridge_solve(int n, int out, const double *factor, size_t ld, double *r, int n_threads,
		char err[ERR_MAX])
{
	struct solve s = { n, out, n_threads, factor, ld, r, NULL, NULL };

	s.a = mem_new((size_t)BLOCK * (size_t)(n + PRODUCT_WIDE), sizeof(double), err);
	s.b = s.a ? mem_new((size_t)BLOCK * (size_t)out, sizeof(double), err) : NULL;
	if (s.b)
		substitute(&s);
	mem_free(s.a);
	mem_free(s.b);
	return s.b ? 0 : -1;
}
