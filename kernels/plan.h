/* plan.h - what is asked of a pass: which sub-layers it leaves out, which bridge it goes over.
 *
 * Only schedule_make (schedule.h) reads what a plan means; others make and show plans.  A bridge is
 * borrowed, and stays as it is while there are schedules over it. */
#ifndef S3D_PLAN_H
#define S3D_PLAN_H
#include "engine/model/model.h"

struct bridge;

struct plan {
	uint64_t skip_attn[MODEL_MAX_LAYERS / 64];      /* a bit for each layer */
	uint64_t skip_mlp[MODEL_MAX_LAYERS / 64];
	const struct bridge *bridge;    /* NULL: over none */
	/* The text is made by such passes, which drafts are measured against: caches keep the rows
	 * of them that bridges take.  Else it is a draft, which leaves no trace that stays. */
	bool target;
};

static inline bool plan_has(const uint64_t *set, int layer)
{
	return set[layer / 64] >> (layer % 64) & 1;
}
#endif
