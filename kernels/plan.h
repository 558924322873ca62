/* plan.h - what is asked of a pass: which sub-layers it leaves out, which bridge it goes over,
 * which layers it runs in groups, how much of what MLPs read it keeps.
 *
 * Only schedule_make (schedule.h) reads what a plan means; others make and show plans.  Bridges
 * and norms of columns are borrowed, and stay as they are while there are schedules with them. */
#ifndef S3D_PLAN_H
#define S3D_PLAN_H
#include "engine/model/model.h"

struct bridge;
struct column_norms;

/* Neighbouring layers that run from one input (CQIL, Zou et al. 2024).  A group of layers k = 0..
 * that share the input x makes
 *	a_k = Attn_k(x),  b_k = a_(k-1) + .. + a_(k-bypass) of the same group,
 *	m_k = MLP_k(x + a_k + b_k),  and leaves  x + the sum of all a_k + m_k. */
enum { GROUP_MAX = 8 };
struct grouping {
	int from, to;           /* layers from..to-1 */
	int size;               /* P: layers of a group, the last may have fewer; 0, 1: no groups */
	int bypass;             /* D */
	/* As the code does that the paper's authors published: it leaves b_k in the sum as well,
	 * which counts them twice. */
	bool released;
};

/* MLPs that read only the columns of their matrices that a row's own activations make count most
 * (DIP, Federici et al. 2025).  Of x, which enters an MLP, all but a part of the numbers are
 * taken for zero, for gate and up the same ones:
 *	h = act(gate x) * (up x),  and of h all but a part before down is multiplied by it.
 * See prune.h for how the two parts are chosen. */
struct pruning {
	double in, hidden;      /* parts of x and of h that stay; 0, 1: all */
	/* NULL: those stay that are largest; else those whose product with the norm of their
	 * column is. */
	const struct column_norms *norms;
	/* Above 0: which stay depends on a cache of columns in fast memory too (DIP-CA, see
	 * backend_columns.h): a number whose column is not there counts times this.  At 1 what the
	 * cache holds changes nothing, and is counted. */
	float gamma;
	bool warm;              /* the first rows of a text come from 1 to gamma */
};

struct plan {
	uint64_t skip_attn[MODEL_MAX_LAYERS / 64];      /* a bit for each layer */
	uint64_t skip_mlp[MODEL_MAX_LAYERS / 64];
	const struct bridge *bridge;    /* NULL: over none */
	struct grouping group;          /* layers of which something is left out run alone */
	struct pruning prune;
	/* The text is made by such passes, which drafts are measured against: caches keep the rows
	 * of them that bridges take.  Else it is a draft, which leaves no trace that stays. */
	bool target;
};

static inline bool plan_has(const uint64_t *set, int layer)
{
	return set[layer / 64] >> (layer % 64) & 1;
}
#endif
