/* grouping.c - see grouping.h and engine.h.  No state. */
#include "engine/engine_sidecar.h"
#include "engine/grouping.h"
#include <stdio.h>
#include <string.h>

static int read_numbers(const char *spec, struct grouping *g)
{
	int end = 0;

	if (sscanf(spec, "%5d:%5d:%5d:%5d%n", &g->from, &g->to, &g->size, &g->bypass, &end) == 4 &&
	    !spec[end])
		return 0;
	g->bypass = end = 0;
	return sscanf(spec, "%5d:%5d:%5d%n", &g->from, &g->to, &g->size, &end) == 3 &&
	       !spec[end] ? 0 : -1;
}

int grouping_parse(const char *spec, int n_layers, struct grouping *out, char err[ERR_MAX])
{
	struct grouping g = { .size = 0 };

	*out = g;
	if (!spec || !*spec || !strcmp(spec, "off"))
		return 0;
	if (read_numbers(spec, &g) != 0)
		return fail(err, "--cqil and --cqil-draft take off, S:E:P or S:E:P:D (layers S to "
			    "E-1 in groups of P, as 12:28:2), not '%.32s'", spec);
	if (g.from < 0 || g.from >= g.to || g.to > n_layers)
		return fail(err, "groups %.32s: there are no layers %d to %d, of %d counted from 0",
			    spec, g.from, g.to - 1, n_layers);
	if (g.size < 1 || g.size > GROUP_MAX)
		return fail(err, "--cqil %.32s: %d layers in a group; 1 to %d can be", spec, g.size,
			    GROUP_MAX);
	if (g.bypass < 0 || g.bypass >= GROUP_MAX)
		return fail(err, "--cqil %.32s: a bypass of %d; 0 to %d can be", spec, g.bypass,
			    GROUP_MAX - 1);
	*out = g;
	return 0;
}

const char *grouping_text(const struct grouping *g, char text[GROUPING_TEXT])
{
	if (!g->size)
		snprintf(text, GROUPING_TEXT, "off");
	else if (g->bypass)
		snprintf(text, GROUPING_TEXT, "%d:%d:%d:%d", g->from, g->to, g->size, g->bypass);
	else
		snprintf(text, GROUPING_TEXT, "%d:%d:%d", g->from, g->to, g->size);
	return text;
}

static int no_groups(const struct engine *e, char err[ERR_MAX])
{
	return fail(err, "the %s backend runs no groups of layers; --backend cpu does",
		    e->be->name);
}

static void group_drafts(struct engine *e, const struct grouping *g)
{
	e->draft_group = e->skip.group = *g;
	skip_use(&e->skip, &e->skip.now, &e->skip.now.plan);
	engine_sidecar_group(e);
}

int engine_group(struct engine *e, const char *spec, bool released, char err[ERR_MAX])
{
	struct grouping g;

	if (grouping_parse(spec, e->model->cfg.n_layers, &g, err) != 0)
		return -1;
	if (g.size > 1 && !e->be->groups)
		return no_groups(e, err);
	g.released = released;
	if (session_group(&e->target, e->model, &g, STEP_MAX, err) != 0)
		return -1;
	e->group = g;
	if (!e->drafts_apart)
		group_drafts(e, &g);
	return 0;
}

int grouping_first(struct engine *e, const struct engine_opt *o, char err[ERR_MAX])
{
	struct grouping g;

	if (grouping_parse(o->cqil_draft, e->model->cfg.n_layers, &g, err) != 0)
		return -1;
	if (g.size > 1 && !e->be->groups)
		return no_groups(e, err);
	e->drafts_apart = o->cqil_draft && *o->cqil_draft;
	if (e->drafts_apart)
		group_drafts(e, &g);
	return engine_group(e, o->cqil, o->cqil_released, err);
}

bool engine_exact(const struct engine *e)
{
	return e->target.base.whole && strategy_exact(&e->strat);
}
