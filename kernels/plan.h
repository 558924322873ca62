/* plan.h - which sub-layers of a model a pass runs, and over which bridge.
 *
 * The caller owns plans.  Invariant: no plan (NULL) is the whole model. */
#ifndef S3D_PLAN_H
#define S3D_PLAN_H
#include "kernels/backend_draft.h"

/* Which sub-layers run.  Read-only while in use; a skipped sub-layer is a pure residual pass. */
struct plan {
	uint64_t skip_attn[MODEL_MAX_LAYERS / 64];
	uint64_t skip_mlp[MODEL_MAX_LAYERS / 64];
	const struct bridge *bridge;    /* or NULL; no lanes then, and n is 1 */
};

static inline bool plan_has(const uint64_t *set, int layer)
{
	return set[layer / 64] >> (layer % 64) & 1;
}

static inline const struct bridge *plan_bridge(const struct plan *p)
{
	return p ? p->bridge : NULL;
}
/* Whether a layer's attention, or its MLP, runs; p may be NULL. */
static inline bool plan_runs(const struct plan *p, bool mlp, int layer)
{
	const struct bridge *g = plan_bridge(p);

	return !p || ((!g || layer < g->a || layer >= g->s) &&
		      !plan_has(mlp ? p->skip_mlp : p->skip_attn, layer));
}
#endif
