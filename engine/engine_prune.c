/* engine_prune.c - how much of its MLPs an engine reads: see engine_approx.h.
 *
 * Norms of columns are made when they are asked for first, and stay until the engine is closed. */
#include "engine/engine_approx.h"
#include "engine/engine_sidecar.h"
#include "kernels/prune.h"
#include <stdio.h>

/* Everything of *d but what spec says is there. */
static int resolve(struct engine *e, const char *spec, struct dip *d, char err[ERR_MAX])
{
	if (pruning_parse(spec, &d->keep, err) != 0)
		return -1;
	snprintf(d->spec, sizeof(d->spec), "%s", spec ? spec : "");
	if (d->keep.in <= 0)
		return 0;
	if (!e->be->prunes)
		return fail(err, "the %s backend leaves no columns of MLPs out; --backend cpu does",
			    e->be->name);
	if (d->weighted && !e->be->weighs)
		return fail(err, "the %s backend knows no norms of columns; --dip-score magnitude, "
			    "or --backend cpu, needs none", e->be->name);
	if (d->weighted && !e->norms && !(e->norms = column_norms_new(e->model, err)))
		return -1;
	d->keep.norms = d->weighted ? e->norms : NULL;
	return 0;
}

/* As the target reads its MLPs now. */
static void lay(struct engine *e)
{
	int all = 3 * e->model->cfg.n_layers, others = 0;
	bool columns = pruning_any(&e->dip.keep);

	*e->notes[NOTE_COLUMNS] = '\0';
	if (e->be->lay)
		others = e->be->lay(e->dev, columns);
	if (columns && others)
		fail(e->notes[NOTE_COLUMNS], "--dip: %d of the %d matrices of MLPs are read whole, "
		     "as their type, backend or shape has no form by columns", others, all);
}

/* A cache of columns for the text, or none, as spec says. */
static int resolve_cache(struct engine *e, const struct dip_opt *o, struct dip *d,
			 char err[ERR_MAX])
{
	const struct backend_columns *be = e->be->columns;

	if (pruning_aware(o->aware, &d->keep, err) != 0)
		return -1;
	snprintf(d->aware, sizeof(d->aware), "%s", o->aware ? o->aware : "");
	if (d->keep.in <= 0)
		d->keep.gamma = 0;
	if (d->keep.gamma > 0 && !be)
		return fail(err, "the %s backend has no cache of columns; --dip-ca off, or "
			    "--backend cpu, which has", e->be->name);
	return be ? be->kv_columns(e->target.kv, d->keep.gamma > 0 ? &o->cache : NULL, err) : 0;
}

static void prune_drafts(struct engine *e, const struct dip *d)
{
	e->draft_dip = *d;
	e->draft_dip.keep.gamma = 0;    /* drafts leave no trace in the cache, and see none */
	e->skip.prune = e->draft_dip.keep;
	skip_use(&e->skip, &e->skip.now, &e->skip.now.plan);
	engine_sidecar_group(e);
}

int engine_prune_target(struct engine *e, const struct grouping *g, const struct dip *d,
		   char err[ERR_MAX])
{
	struct plan text = { .target = true, .group = *g, .prune = d->keep }, prompt = text;

	prompt.prune.gamma = 0;         /* it begins with what is written */
	if (!d->prompts)
		prompt.prune = (struct pruning){ .in = 0 };
	return session_target(&e->target, e->model, &text, &prompt, STEP_MAX, err);
}

int engine_prune(struct engine *e, const struct dip_opt *o, char err[ERR_MAX])
{
	struct dip d = { .weighted = o->weighted, .prompts = o->prompts };

	if (resolve(e, o->spec, &d, err) != 0 || resolve_cache(e, o, &d, err) != 0 ||
	    engine_prune_target(e, &e->group, &d, err) != 0)
		return -1;
	e->dip = d;
	lay(e);
	if (!e->dip_apart)
		prune_drafts(e, &d);
	return 0;
}

int engine_prune_first(struct engine *e, const struct engine_opt *o, char err[ERR_MAX])
{
	struct dip d = { .weighted = o->dip.weighted };

	e->dip_apart = o->dip_draft && *o->dip_draft;
	if (e->dip_apart) {
		if (resolve(e, o->dip_draft, &d, err) != 0)
			return -1;
		prune_drafts(e, &d);
	}
	return engine_prune(e, &o->dip, err);
}

void engine_prune_close(struct engine *e)
{
	column_norms_free(e->norms);
	e->norms = NULL;
}
