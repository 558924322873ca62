/* pruning.h - how much of what its MLPs read an engine keeps (DIP, struct pruning of plan.h), as
 * users write it.  engine_prune in engine.h changes it.
 *
 * Invariant: with prompts that are not pruned a row of the text is pruned if and only if it was
 * run to make the token behind it: the strategy that makes it does not matter. */
#ifndef S3D_PRUNING_H
#define S3D_PRUNING_H
#include "engine/engine.h"

enum { PRUNING_TEXT = 48 };

/* spec: RHO, a part of the columns above 0 and up to 1; RHO:even, the same part of all; RHO:hidden,
 * of down's alone, for as many in all; or "off" (NULL and "" too).  -1: it is none of these. */
int pruning_parse(const char *spec, struct pruning *, char err[ERR_MAX]);
/* As that takes it, with its score and prompts if they are not the usual ones; returns text. */
const char *pruning_text(const struct dip *, char text[PRUNING_TEXT]);
/* That which an engine begins with, whose target is open, and its drafts'. */
int pruning_first(struct engine *, const struct engine_opt *, char err[ERR_MAX]);
/* The target runs in such groups and so pruned. */
int pruning_target(struct engine *, const struct grouping *, const struct dip *,
		   char err[ERR_MAX]);
void pruning_close(struct engine *);
#endif
