/* prune.h - MLPs that read only the columns which a row's own activations need, see struct pruning
 * of kernels/plan.h: what makes the others zero.
 *
 * No state.  Invariant: what is kept of a row depends on that row alone. */
#ifndef S3D_CPU_PRUNE_H
#define S3D_CPU_PRUNE_H
#include "kernels/cpu/attend.h"

/* Of a row of x, which enters the MLP of the i-th layer of a group, what does not count. */
void prune_in(const struct step *, const struct op *, int i, float *x);
/* Of what gate and up of all layers of a group have made, in d->gate: where a row is cut is found by
 * one thread, then each cuts its part of all rows, and quantises it for d->ff where that is asked
 * for.  A barrier must lie before and behind. */
void prune_hidden(const struct step *, int t, const struct op *, bool quantised);
#endif
