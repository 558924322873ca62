/* pruning.h - how much of what its MLPs read an engine keeps (DIP, struct pruning of plan.h), as
 * users write it.  engine_prune in engine.h changes it.  No state. */
#ifndef S3D_PRUNING_H
#define S3D_PRUNING_H
#include "kernels/backend_columns.h"
#include "kernels/plan.h"

/* How much of what its MLPs read a model keeps. */
struct dip_opt {
	const char *spec;               /* NULL, "": "off" */
	bool weighted;                  /* inputs count by the norms of their columns too */
	bool prompts;                   /* what is read is pruned like what is written */
	const char *aware;              /* of what a cache of columns holds; NULL, "": "off" */
	struct column_cache_opt cache;
};
struct dip {
	struct pruning keep;
	bool weighted, prompts;
	char spec[24], aware[12];
};

enum { PRUNING_TEXT = 64 };

/* spec: RHO, a part of the columns above 0 and up to 1; RHO:even, the same part of all; RHO:hidden,
 * of down's alone, for as many in all; or "off" (NULL and "" too).  -1: it is none of these. */
int pruning_parse(const char *spec, struct pruning *, char err[ERR_MAX]);
bool pruning_any(const struct pruning *);       /* something is left out */
bool pruning_asked(const char *spec);           /* by this; false too if it is wrong */
/* spec: GAMMA, above 0 and up to 1; GAMMA:warm; or "off" (NULL and "" too).  Sets these alone. */
int pruning_aware(const char *spec, struct pruning *, char err[ERR_MAX]);
/* As that takes it, with its score and prompts if they are not the usual ones; returns text. */
const char *pruning_text(const struct dip *, char text[PRUNING_TEXT]);
#endif
