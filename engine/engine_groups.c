/* engine_groups.c - the groups that an engine's layers run in: see engine_approx.h.  No state. */
#include "engine/engine_approx.h"
#include "engine/engine_sidecar.h"
#include "engine/approx/grouping.h"
#include "engine/approx/grouping_file.h"

static int no_groups(const struct engine *e, char err[ERR_MAX])
{
	return fail(err, "the %s backend runs no groups of layers; --backend cpu does",
		    e->be->name);
}

int engine_groups_find(struct engine *e, const char *spec, struct grouping *g, char err[ERR_MAX])
{
	int n_layers = e->model->cfg.n_layers, asked = advice_asked(spec);
	struct advice a;

	if (asked < 0)
		return advice_check(spec, n_layers, err) ? -1 :
		       grouping_parse(spec, n_layers, g, err);
	if (advice_read(e->cqil_file, e->model, &a, err) != 0)
		return -1;
	*g = a.group[asked];
	if (g->size < 2)
		fail(e->notes[NOTE_GROUPS], "no layers of this model run in groups for %g %% of "
		     "perplexity: all run one by one", advice_loss[asked]);
	return 0;
}

static void group_drafts(struct engine *e, const struct grouping *g)
{
	e->draft_group = e->skip.group = *g;
	skip_use(&e->skip, &e->skip.now, &e->skip.now.plan);
	engine_sidecar_group(e);
}

static int group_target(struct engine *e, const char *spec, bool released, char err[ERR_MAX])
{
	struct grouping g;

	if (engine_groups_find(e, spec, &g, err) != 0)
		return -1;
	if (g.size > 1 && !e->be->groups)
		return no_groups(e, err);
	g.released = released;
	if (engine_prune_target(e, &g, &e->dip, err) != 0)
		return -1;
	e->group = g;
	if (!e->drafts_apart)
		group_drafts(e, &g);
	return 0;
}

int engine_group(struct engine *e, const char *spec, bool released, char err[ERR_MAX])
{
	*e->notes[NOTE_GROUPS] = '\0';
	return group_target(e, spec, released, err);
}

int engine_groups_first(struct engine *e, const struct engine_opt *o, char err[ERR_MAX])
{
	struct grouping g;

	if (engine_groups_find(e, o->cqil_draft, &g, err) != 0)
		return -1;
	if (g.size > 1 && !e->be->groups)
		return no_groups(e, err);
	e->drafts_apart = o->cqil_draft && *o->cqil_draft;
	if (e->drafts_apart)
		group_drafts(e, &g);
	return group_target(e, o->cqil, o->cqil_released, err);
}

bool engine_exact(const struct engine *e)
{
	return e->target.base.whole && strategy_exact(&e->strat);
}
