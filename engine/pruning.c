/* pruning.c - see pruning.h and engine.h.  Norms of columns are made when they are asked for first,
 * and stay until the engine is closed. */
#include "engine/pruning.h"
#include "engine/engine_sidecar.h"
#include "kernels/prune.h"
#include <stdio.h>
#include <string.h>

int pruning_parse(const char *spec, struct pruning *out, char err[ERR_MAX])
{
	double rho;
	int end = 0;

	*out = (struct pruning){ .in = 0 };
	if (!spec || !*spec || !strcmp(spec, "off"))
		return 0;
	if (strspn(spec, ".0123456789") < 1 || sscanf(spec, "%8lf%n", &rho, &end) != 1 ||
	    !(rho > 0 && rho <= 1))
		return fail(err, "--dip and --dip-draft take off, or the part of the MLPs' columns "
			    "that is read, above 0 and up to 1 (as .7), not '%.32s'", spec);
	*out = prune_split(rho);
	if (!strcmp(spec + end, ":even"))
		*out = (struct pruning){ .in = rho, .hidden = rho };
	else if (!strcmp(spec + end, ":hidden") && 3 * rho > 2)
		*out = (struct pruning){ .in = 1, .hidden = 3 * rho - 2 };
	else if (!strcmp(spec + end, ":hidden"))
		return fail(err, "--dip %.32s: two thirds are gate's and up's; above .667 can be",
			    spec);
	else if (spec[end])
		return fail(err, "--dip %.32s: behind the part only :even or :hidden can stand",
			    spec);
	return 0;
}

const char *pruning_text(const struct dip *d, char text[PRUNING_TEXT])
{
	bool on = d->keep.in > 0 && (d->keep.in < 1 || d->keep.hidden < 1);

	snprintf(text, PRUNING_TEXT, "%s%s%s", on ? d->spec : "off", on && d->weighted ?
		 " weighted" : "", on && d->prompts ? " with prompts" : "");
	return text;
}

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

static void prune_drafts(struct engine *e, const struct dip *d)
{
	e->draft_dip = *d;
	e->skip.prune = d->keep;
	skip_use(&e->skip, &e->skip.now, &e->skip.now.plan);
	engine_sidecar_group(e);
}

int pruning_target(struct engine *e, const struct grouping *g, const struct dip *d,
		   char err[ERR_MAX])
{
	struct plan text = { .target = true, .group = *g, .prune = d->keep }, prompt = text;

	if (!d->prompts)
		prompt.prune = (struct pruning){ .in = 0 };
	return session_target(&e->target, e->model, &text, &prompt, STEP_MAX, err);
}

int engine_prune(struct engine *e, const struct dip_opt *o, char err[ERR_MAX])
{
	struct dip d = { .weighted = o->weighted, .prompts = o->prompts };

	if (resolve(e, o->spec, &d, err) != 0 || pruning_target(e, &e->group, &d, err) != 0)
		return -1;
	e->dip = d;
	if (!e->dip_apart)
		prune_drafts(e, &d);
	return 0;
}

int pruning_first(struct engine *e, const struct engine_opt *o, char err[ERR_MAX])
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

void pruning_close(struct engine *e)
{
	column_norms_free(e->norms);
	e->norms = NULL;
}
