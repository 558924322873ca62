/* prune.h - MLPs that read only the columns which a row's own activations need, see struct pruning
 * of kernels/plan.h: what makes the others zero.
 *
 * A cache of columns is its kv's.  Invariant: what is kept of a row depends on that row, and with a
 * cache of columns on the rows of the text before it, but not on the pass that they ran in. */
#ifndef S3D_CPU_PRUNE_H
#define S3D_CPU_PRUNE_H
#include "kernels/backend_columns.h"
#include "kernels/columns/column_cache.h"
#include "kernels/cpu/attend.h"

/* Of a row of x, which enters the MLP of the i-th layer of a group, what does not count. */
void prune_in(const struct step *, const struct op *, int i, float *x);
/* Of what gate and up of all layers of a group have made, in d->gate: where a row is cut is found
 * by one thread, then each cuts its part of all rows, and quantises it for d->ff where that is
 * asked for; with a cache of columns all of a layer is one thread's.  A barrier must lie before
 * and behind. */
void prune_hidden(const struct step *, int t, const struct op *, bool quantised);

/* The cache by which rows of this pass choose; NULL: each by itself. */
struct column_cache *prune_cache(const struct step *);
/* In place of prune_in then, for all rows of a group's layers: x (from a layer to the next: `next`)
 * becomes normed and pruned rows in d->tmp.  A barrier must lie before and behind. */
void prune_in_cached(const struct step *, int t, const struct op *, const float *x, size_t next);
/* A pass begins, by one thread; -1: it has more rows than the cache can take back. */
int prune_pass(const struct step *, char err[ERR_MAX]);

extern const struct backend_columns cpu_columns;
#endif
