/* bridge.h - a pass that leaves the middle of the model out, and the rows that it needs from full
 * passes.
 *
 * The cache owns the kept rows.  Invariant: they are written by full passes alone, at the position
 * that the cache row has, so rollback needs nothing. */
#ifndef S3D_CPU_BRIDGE_H
#define S3D_CPU_BRIDGE_H
#include "kernels/cpu/attend.h"

static inline const struct bridge *step_bridge(const struct step *s)
{
	return plan_bridge(s->b->plan);
}
/* Rows in the end. */
static inline int step_rows(const struct step *s)
{
	return step_bridge(s) ? s->b->n_out : s->b->n;
}

int kv_keep(struct kv *, const int *layer, int n, char err[ERR_MAX]);
size_t kept_bytes(const struct kv *);
/* The rows about to enter a layer, if the pass is a full one and their caches keep these. */
void keep_rows(const struct step *, int t, int layer);

int bridge_open(struct dev *, const struct bridge *, char err[ERR_MAX]);        /* .bridge */
int bridge_check(const struct step *);  /* -1, with the device's error, where it cannot be run */
/* The rows behind the bridge instead of the one before it; a barrier must follow. */
void bridge_cross(struct step *, int t);
/* Adds to thread t's share of a stage's products what adapters make of x, the activations that
 * the stage's matrices got. */
void adapt(const struct step *, int t, int layer, enum adapt, const struct act *x);
/* What makes the logits: the draft vocabulary's rows, or all. */
static inline const struct mat *step_output(const struct step *s)
{
	const struct bridge *g = step_bridge(s);

	return g && g->vocab ? &s->d->cross.output : &s->d->output;
}
#endif
