/* engine.c - see engine.h.  Opens the parts in order and closes them in reverse. */
#include "engine/engine.h"
#include "engine/draft_compat.h"
#include "engine/engine_approx.h"
#include "engine/engine_sidecar.h"
#include "engine/placement.h"
#include "kernels/devices/registry.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A sampler for rows of n logits of the tokens ids, which knows what ends a turn. */
static struct sampler *open_sampler(const struct engine *e, int n, const int *ids,
				    char err[ERR_MAX])
{
	struct sampler *s = sampler_open(n, ids, err);

	if (s)
		sampler_spare(s, tokenizer_ends(e->tok), tokenizer_size(e->tok));
	return s;
}

void engine_template(struct engine *e, const char *name)
{
	e->tmpl = name ? template_named(name, e->tok, e->tmpl_err) :
			 template_guess(e->model->file, e->tok, e->tmpl_err);
}

static int open_model(struct engine *e, const struct engine_opt *o, char err[ERR_MAX])
{
	e->model = model_open(o->model, NULL, err);
	e->tok = e->model ? tokenizer_open(e->model->file, err) : NULL;
	if (!e->tok)
		return -1;
	if (tokenizer_size(e->tok) > e->model->cfg.n_vocab)
		return fail(err, "%s: %d tokens but only %d embeddings", o->model,
			    tokenizer_size(e->tok), e->model->cfg.n_vocab);
	tokenizer_note(e->tok, e->notes[NOTE_MODEL]);
	e->cqil_file = o->cqil_file ? strdup(o->cqil_file) : NULL;
	if (o->cqil_file && !e->cqil_file)
		return fail(err, "out of memory");
	if (draft_compat_mute(e->model, e->tok, err) != 0)
		return -1;
	if (skip_open(&e->skip, o->self_skip, e->model, err) != 0)
		return -1;
	engine_template(e, o->chat_template);
	return !o->chat_template || template_find(o->chat_template) ? 0 :
	       fail(err, "%s", e->tmpl_err);
}

static int open_device(struct engine *e, const struct placement *s, char err[ERR_MAX])
{
	e->dev = e->be->open(e->model, &s->be, err);
	if (!e->dev)
		return -1;
	return session_open(&e->target, e->be, e->dev, e->model, s->n_ctx, s->be.n_batch,
			    err);
}

/* The little model beside the big one, on the same threads. */
static int open_little(struct engine *e, const struct placement *s, char err[ERR_MAX])
{
	const struct model *m = e->draft_model;
	struct backend_opt be = s->little_be;

	be.share = e->dev;
	e->draft_dev = e->be->open(m, &be, err);
	if (!e->draft_dev)
		return -1;
	e->strat.draft_smp = open_sampler(e, m->cfg.n_out, m->out_id, err);
	if (!e->strat.draft_smp ||
	    session_open(&e->draft, e->be, e->draft_dev, m, s->little_ctx, be.n_batch,
			 err) != 0)
		return -1;
	e->strat.draft = &e->draft;
	return 0;
}

/* The chat goes on with what works: plain, where the little model that is needed is not there. */
static int first_strategy(struct engine *e, const char *name, char err[ERR_MAX])
{
	const struct strategy *s = strategy_find(name, err);

	if (!s)
		return -1;
	if (!strategy_lacks(&e->strat, s))
		return engine_strategy(e, name, err);
	engine_strategy(e, name, e->notes[NOTE_STRATEGY]);
	fail(e->notes[NOTE_STRATEGY], "%s; going on with plain", e->notes[NOTE_STRATEGY]);
	return engine_strategy(e, "plain", err);
}

/* Everything that lies where the backend computes. */
static int open_there(struct engine *e, const struct engine_opt *o, struct placement *s,
		      char err[ERR_MAX])
{
	if (placement_plan(e, o, s, err) != 0 || open_device(e, s, err) != 0 ||
	    engine_groups_first(e, o, err) != 0 || engine_prune_first(e, o, err) != 0)
		return -1;
	e->strat = (struct strat){ .target = &e->target, .tok = e->tok, .cost = &e->cost,
				   .skip = &e->skip,
				   .law = SAMPLER_DEFAULTS, .opt = STRATEGY_DEFAULTS };
	e->strat.smp = open_sampler(e, e->model->cfg.n_out, NULL, err);
	if (!e->strat.smp)
		return -1;
	if (e->draft_model && open_little(e, s, e->draft_err) != 0)
		placement_drop_little(e);
	engine_sidecar_attach(e);
	return 0;
}

static void close_there(struct engine *e)
{
	strategy_close(&e->strat);
	engine_sidecar_detach(e);
	sampler_close(e->strat.smp);
	placement_drop_little(e);
	if (e->target.tok)
		session_close(&e->target);
	if (e->dev)
		e->be->close(e->dev);
	e->dev = NULL;
	e->strat = (struct strat){ .smp = NULL };
}

/* The better backend is there, but not for this model: err says why. */
static int open_on_cpu(struct engine *e, const struct engine_opt *o, struct placement *s,
		       char err[ERR_MAX])
{
	backend_fail(e->be->name, err, "going on with the cpu", e->notes[NOTE_BACKEND]);
	fail(e->be_err, "%s", err);
	close_there(e);
	*e->draft_err = *e->notes[NOTE_DRAFT] = '\0';
	s->be.host_layers = 0;
	s->be.split = false;
	e->be = &backend_cpu;
	return open_there(e, o, s, err);
}

static int open_all(struct engine *e, const struct engine_opt *o, char err[ERR_MAX])
{
	struct placement s = { .n_ctx = 0 };
	bool any = !o->backend || !strcmp(o->backend, "auto");
	int rc;

	if (open_model(e, o, err) != 0 || placement_settle(e, o, &s, err) != 0)
		return -1;
	if (o->sidecar)
		e->sidecar = sidecar_open(o->sidecar, e->model, e->sidecar_err);
	rc = open_there(e, o, &s, err);
	if (rc != 0 && e->be->can_be_lost) {
		rc = any ? open_on_cpu(e, o, &s, err) : -1;
		if (!any && !strstr(err, "--backend cpu"))
			backend_fail(e->be->name, err, "--backend cpu works without it", err);
	}
	return rc != 0 ? -1 : first_strategy(e, o->strategy ? o->strategy : "", err);
}

struct engine *engine_open(const struct engine_opt *o, char err[ERR_MAX])
{
	double start = clock_now();
	struct engine *e = mem_new(1, sizeof(*e), err);

	if (!e)
		return NULL;
	if (open_all(e, o, err) != 0) {
		engine_close(e);
		return NULL;
	}
	e->load_s = clock_now() - start;
	return e;
}

void engine_close(struct engine *e)
{
	if (!e)
		return;
	close_there(e);
	sidecar_close(e->sidecar);
	engine_prune_close(e);
	tokenizer_close(e->tok);
	model_close(e->model);
	free(e->cqil_file);
	mem_free(e);
}

bool engine_lost(const struct engine *e)
{
	return e->be->can_be_lost && (e->target.failed || e->draft.failed);
}

int engine_strategy(struct engine *e, const char *name, char err[ERR_MAX])
{
	const struct strategy *s = strategy_find(name, err);
	struct strat next = e->strat;
	unsigned lacks = s ? strategy_lacks(&e->strat, s) : 0;

	if (!s)
		return -1;
	if (lacks == NEED_BRIDGE)
		return fail(err, "strategy %s needs a sidecar: %s", s->name, *e->sidecar_err ?
			    e->sidecar_err : "'s3dchat calibrate', or /calibrate, makes one");
	if (lacks == NEED_DRAFT_MODEL)
		return fail(err, "strategy %s needs a little model%s: %s", s->name,
			    s->needs & MAY_BRIDGE ? " or a sidecar" : "",
			    *e->draft_err ? e->draft_err : "-md FILE names one");
	if (e->strat.ops == s)
		return 0;
	next.ops = s;
	next.priv = NULL;
	if (strategy_open(&next, err) != 0)
		return -1;
	strategy_close(&e->strat);
	e->strat = next;
	cost_anew(&e->cost);
	return 0;
}

/* In the place of the one that is in use; it stays the caller's until this has gone well. */
static bool put_sidecar(struct engine *e, struct sidecar *side)
{
	engine_sidecar_detach(e);
	*e->sidecar_err = '\0';
	e->sidecar = side;
	engine_sidecar_attach(e);
	return e->strat.bridged != NULL;
}

int engine_sidecar(struct engine *e, const char *path, char err[ERR_MAX])
{
	const char *before = e->strat.ops->name;
	struct sidecar *old = e->sidecar, *made = sidecar_open(path, e->model, err);
	char why[ERR_MAX];
	bool taken;

	if (!made && !old)
		snprintf(e->sidecar_err, sizeof(e->sidecar_err), "%s", err);
	if (!made)
		return -1;
	if (engine_strategy(e, "plain", err) != 0) {
		sidecar_close(made);
		return -1;
	}
	taken = put_sidecar(e, made);
	if (!taken) {
		fail(err, "%s", e->sidecar_err);
		if (!put_sidecar(e, old))
			snprintf(e->sidecar_err, sizeof(e->sidecar_err), "%s", err);
	}
	sidecar_close(taken ? old : made);
	e->plan.sidecar = e->strat.bridged ? engine_sidecar_weights(e) + engine_sidecar_kept(e) : 0;
	engine_strategy(e, before, why);        /* plain where that needs what is not there now */
	return taken ? 0 : -1;
}
