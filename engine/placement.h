/* placement.h - for engine.c: what is settled before anything is loaded: options, budgets, and
 * which layers go where.
 *
 * Fills in the engine's plan, its backend and the little model's file; what a plan refuses stands
 * in its texts.  No state. */
#ifndef S3D_PLACEMENT_H
#define S3D_PLACEMENT_H
#include "engine/engine.h"

struct placement {
	struct backend_opt be, little_be;
	int n_ctx, little_ctx;
};

/* With the model open: sizes, threads, and the backend that was asked for. */
int placement_settle(struct engine *, const struct engine_opt *, struct placement *,
		     char err[ERR_MAX]);
/* What goes where; tells opt.planned. */
int placement_plan(struct engine *, const struct engine_opt *, struct placement *,
		   char err[ERR_MAX]);
/* All that there is of the little model. */
void placement_drop_little(struct engine *);
#endif
