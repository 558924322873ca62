/* bridge.h - a pass that leaves the middle of the model out, and the rows that it needs from full
 * passes.
 *
 * The cache owns the kept rows.  Invariant: they are written by the passes that make the text, at
 * the position that the cache row has, so rollback needs nothing. */
#ifndef S3D_CPU_BRIDGE_H
#define S3D_CPU_BRIDGE_H
#include "kernels/cpu/attend.h"

int kv_keep(struct kv *, const int *layer, int n, char err[ERR_MAX]);
size_t kept_bytes(const struct kv *);
/* The rows that an operation is about to read, if their caches keep these. */
void keep_rows(const struct step *, int t, const struct op *);

int bridge_open(struct dev *, const struct bridge *, char err[ERR_MAX]);        /* .bridge */
/* The rows behind the bridge instead of the one before it; a barrier must follow. */
void bridge_cross(struct step *, int t);
/* Adds to thread t's share of a stage's products of the i-th layer of a group what adapters make of
 * x, the activations that the stage's matrices got. */
void adapt(const struct step *, int t, const struct op *, int i, enum adapt, const struct act *x);
/* What acts beside a stage of a layer, or NULL. */
static inline const struct cpu_adapter *adapter_of(const struct dev *d, const struct op *op,
						   int layer, enum adapt which)
{
	return op->adapted && d->cross.adapt[layer][which].down.data ?
	       &d->cross.adapt[layer][which] : NULL;
}
/* What makes the logits: the draft vocabulary's rows, or all. */
static inline const struct mat *step_output(const struct step *s)
{
	const struct bridge *g = s->b->run->bridge;

	return g && g->vocab ? &s->d->cross.output : &s->d->output;
}
#endif
