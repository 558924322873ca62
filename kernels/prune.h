/* prune.h - how much of what MLPs read is kept (struct pruning of plan.h), and the norms of their
 * columns.
 *
 * struct column_norms is its maker's; plans and schedules borrow it.  Invariant: norms depend on
 * the model's weights alone. */
#ifndef S3D_PRUNE_H
#define S3D_PRUNE_H
#include "kernels/plan.h"

/* A part rho (0..1) of an MLP's columns, which is (2 * in + hidden) / 3, shared out so that it
 * costs least: as the paper's authors fitted it over several models. */
struct pruning prune_split(double rho);

/* What the inputs of columns are weighed by: root of the sum of squares of a column, of gate and up
 * together for `in`. */
struct column_norms {
	float *in[MODEL_MAX_LAYERS], *hidden[MODEL_MAX_LAYERS];
};
struct column_norms *column_norms_new(const struct model *, char err[ERR_MAX]);
void column_norms_free(struct column_norms *);
#endif
