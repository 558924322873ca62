/* engine_approx.h - for the engine's own files: its target, and its drafts, approximated: layers in
 * groups (CQIL), MLPs that read less (DIP).  Users ask for it by engine_group and engine_prune.
 *
 * Invariant: with prompts that are not pruned a row of the text is pruned if and only if it was
 * run to make the token behind it: the strategy that makes it does not matter. */
#ifndef S3D_ENGINE_APPROX_H
#define S3D_ENGINE_APPROX_H
#include "engine/engine.h"

/* What spec says, or for "auto" the model's file; a note tells where that names none. */
int engine_groups_find(struct engine *, const char *spec, struct grouping *, char err[ERR_MAX]);
/* The groups that an engine begins with, whose target is open, and its drafts'. */
int engine_groups_first(struct engine *, const struct engine_opt *, char err[ERR_MAX]);
/* Likewise the part of its MLPs. */
int engine_prune_first(struct engine *, const struct engine_opt *, char err[ERR_MAX]);
/* The target runs in such groups and so pruned. */
int engine_prune_target(struct engine *, const struct grouping *, const struct dip *,
			char err[ERR_MAX]);
void engine_prune_close(struct engine *);
#endif
