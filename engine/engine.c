/* engine.c - see engine.h.  Opens the parts in order and closes them in reverse. */
#include "engine/engine.h"
#include "engine/grouping.h"
#include "engine/draft_compat.h"
#include "engine/engine_sidecar.h"
#include "engine/model/window.h"
#include "kernels/registry.h"
#include "kernels/split.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CTX_DEFAULT = 4096 };

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

/* What is settled before anything is loaded. */
struct setup {
	struct backend_opt be, little_be;
	int n_ctx, little_ctx;
};

static int at_most(int n, int most)
{
	return n < most ? n : most;
}

static int at_least(int n, int least)
{
	return n > least ? n : least;
}

static int settle(struct engine *e, const struct engine_opt *o, struct setup *s, char err[ERR_MAX])
{
	int trained = e->model->cfg.n_ctx_train, rows = o->be.n_batch <= 0 ? 256 : o->be.n_batch;

	s->be = o->be;
	s->be.n_threads = backend_threads(o->be.n_threads, e->notes[NOTE_THREADS]);
	s->be.n_batch = at_least(rows, STEP_MAX);
	s->be.n_out = at_least(o->be.n_out, STEP_MAX);
	s->n_ctx = o->n_ctx > 0 ? o->n_ctx : at_most(trained, CTX_DEFAULT);
	if (!s->be.n_back)
		s->be.n_back = window_turn(&e->model->cfg);
	if (s->n_ctx > trained)
		fail(e->notes[NOTE_CONTEXT], "a context of %d tokens is more than the %d that the "
		     "model was trained for: what it writes behind these may make no sense",
		     s->n_ctx, trained);
	s->little_be = s->be;
	s->little_be.n_out = STEP_MAX;
	s->little_be.shares = true;
	if (o->limit_layers)
		s->be.host_layers = at_least(e->model->cfg.n_layers - o->gpu_layers, 0);
	e->be = backend_find(o->backend, e->be_err);
	if (!e->be)
		return fail(err, "%s", e->be_err);
	s->be.split = o->host_cpu && e->be->own_memory;
	if (s->be.split)
		e->be = backend_split(e->be);
	return 0;
}

static void close_little(struct engine *e)
{
	e->strat.draft = NULL;
	sampler_close(e->strat.draft_smp);
	e->strat.draft_smp = NULL;
	if (e->draft.tok)
		session_close(&e->draft);
	if (e->draft_dev)
		e->be->close(e->draft_dev);
	e->draft_dev = NULL;
	model_close(e->draft_model);
	e->draft_model = NULL;
}

/* The little model's file, if it can draft for the big one. */
static int find_little(struct engine *e, const struct engine_opt *o, struct setup *s,
		       char err[ERR_MAX])
{
	struct model *m = e->draft_model = model_open(o->model_draft, e->model, err);

	if (!m || draft_compat(e->model, e->tok, e->tmpl, m, err) != 0 ||
	    draft_compat_mute(m, e->tok, err) != 0)
		return -1;
	draft_compat_note(e->model, m, s->n_ctx, e->notes[NOTE_DRAFT]);
	s->little_ctx = at_most(s->n_ctx, m->cfg.n_ctx_train);
	s->little_be.n_back = o->be.n_back ? o->be.n_back : window_turn(&m->cfg);
	return 0;
}

static void set_big(struct memory_plan *p, const struct engine *e, const struct setup *s,
		    const struct backend_memory *mem)
{
	p->sidecar = engine_sidecar_weights(e) + engine_sidecar_kept(e);
	p->weights = mem->weights + engine_sidecar_weights(e);
	p->work = mem->work;
	p->kv = memory_kv(e->model, &s->be, memory_rows(s->n_ctx)) + engine_sidecar_kept(e);
	p->host = mem->host + memory_kv_host(e->model, &s->be, memory_rows(s->n_ctx));
	p->host_layers = mem->host_layers;
	p->by_cpu = s->be.split;
	p->bus = 0;
}

static size_t all_of_little(const struct engine *e, const struct setup *s,
			    const struct backend_memory *mem)
{
	return mem->weights + mem->work +
	       memory_kv(e->draft_model, &s->little_be, memory_rows(s->little_ctx));
}

/* Whether it fits; with force only a note says that it does not. */
static int check_here(struct engine *e, const struct engine_opt *o, const struct model *m,
		      const struct backend_opt *be, int n_ctx, const struct machine_memory *host,
		      char err[ERR_MAX])
{
	char why[ERR_MAX];

	if (memory_check(m, be, n_ctx, host, why) == 0)
		return 0;
	if (!o->force)
		return fail(err, "%s", why);
	fail(e->notes[NOTE_MEMORY], "%.160s does not fit into the %zu MiB of memory that are free: "
	     "the system may swap, become slow, or end this program or others",
	     gguf_path(m->file), host->free >> 20);
	return 0;
}

/* In the memory of the process: the big model first, the little one if there is room left. */
static int plan_here(struct engine *e, const struct engine_opt *o, struct setup *s,
		     char err[ERR_MAX])
{
	struct memory_plan *p = &e->plan;
	struct machine_memory host = machine_memory();
	struct backend_memory mem;
	size_t big;

	host.free = o->free ? o->free : host.free;
	p->free = host.free;
	if (check_here(e, o, e->model, &s->be, s->n_ctx, &host, err) != 0 ||
	    e->be->plan(e->model, &s->be, s->n_ctx, &mem, err) != 0)
		return -1;
	set_big(p, e, s, &mem);
	if (!o->model_draft)
		return 0;
	big = p->weights + p->work + p->kv;
	host.free = p->free > big ? p->free - big : 0;
	if (find_little(e, o, s, e->draft_err) != 0 ||
	    check_here(e, o, e->draft_model, &s->little_be, s->little_ctx, &host,
		       e->draft_err) != 0 ||
	    e->be->plan(e->draft_model, &s->little_be, s->little_ctx, &mem, e->draft_err) != 0)
		close_little(e);
	else
		p->little = all_of_little(e, s, &mem);
	return 0;
}

/* All of the little model must be on the device: each token asks it several times. */
static int fit_little(struct engine *e, struct setup *s, const struct memory_room *r,
		      char err[ERR_MAX])
{
	const struct model *m = e->draft_model;
	struct backend_memory mem;

	if (memory_fit(e->be, m, &s->little_be, s->little_ctx, r, &mem, err) != 0)
		return -1;
	if (mem.host_layers)
		return fail(err, "%s does not fit whole into the %zu MiB of the GPU's memory that "
			    "may be taken", gguf_path(m->file), r->budget >> 20);
	e->plan.little = all_of_little(e, s, &mem);
	s->little_be.budget = e->plan.little;
	return 0;
}

static int fit_big(struct engine *e, struct setup *s, const struct memory_room *all, size_t little,
		   bool force, char err[ERR_MAX])
{
	struct memory_room r = { .budget = all->budget > little ? all->budget - little : 0,
				 .most = all->most > little ? all->most - little : 0,
				 .others = all->others + little };
	struct backend_memory mem;
	size_t free = machine_free();
	int asked;

	if (memory_fit(e->be, e->model, &s->be, s->n_ctx, &r, &mem, err) != 0)
		return -1;
	asked = s->be.host_layers;
	s->be.host_layers = mem.host_layers;    /* as planned: open is not told the context */
	set_big(&e->plan, e, s, &mem);
	if (e->plan.host > free && !force) {
		s->be.host_layers = asked;
		return fail(err, "%s: %zu MiB of its weights do not fit the GPU's memory, and only "
			    "%zu MiB of host memory are free; a larger --vram, a smaller -c, a "
			    "smaller model or --backend cpu needs less; --force loads it all the "
			    "same", gguf_path(e->model->file), e->plan.host >> 20, free >> 20);
	}
	if (mem.host_layers && !s->be.split)
		e->plan.bus = memory_bus(e->be, e->model, &s->be, s->n_ctx, &mem);
	s->be.budget = r.budget;
	return 0;
}

/* In a device's memory the little model goes first, for the big one's layers may be elsewhere; but
 * rather the big one alone than none. */
static int plan_there(struct engine *e, const struct engine_opt *o, struct setup *s,
		      char err[ERR_MAX])
{
	struct memory_plan *p = &e->plan;
	size_t spare = memory_kv(e->model, &s->be, memory_rows(o->spare_ctx)) +
		       engine_sidecar_weights(e) + engine_sidecar_kept(e);
	struct memory_room r = { .others = spare };

	p->device = true;
	p->n_layers = e->model->cfg.n_layers;
	p->free = e->be->free();
	p->budget = memory_budget(p->free, o->be.budget);
	r.budget = p->budget > spare ? p->budget - spare : 0;
	r.most = memory_budget(p->free, 0);
	r.most = r.most > spare ? r.most - spare : 0;
	if (o->model_draft && (find_little(e, o, s, e->draft_err) != 0 ||
			       fit_little(e, s, &r, e->draft_err) != 0))
		close_little(e);
	if (fit_big(e, s, &r, p->little, o->force, err) == 0)
		return 0;
	if (!e->draft_model || fit_big(e, s, &r, 0, o->force, err) != 0)
		return -1;
	fail(e->draft_err, "%s is left out: its %zu MiB would leave too little of the GPU's memory "
	     "for the big model", gguf_path(e->draft_model->file), p->little >> 20);
	p->little = 0;
	close_little(e);
	return 0;
}

static int plan_all(struct engine *e, const struct engine_opt *o, struct setup *s,
		    char err[ERR_MAX])
{
	int (*plan)(struct engine *, const struct engine_opt *, struct setup *, char *) =
		e->be->own_memory ? plan_there : plan_here;

	e->plan = (struct memory_plan){ .n_layers = e->model->cfg.n_layers };
	if (plan(e, o, s, err) != 0)
		return -1;
	e->plan.now = machine_taken();
	if (o->planned)
		o->planned(o->planned_ctx, &e->plan);
	return 0;
}

static int open_device(struct engine *e, const struct setup *s, char err[ERR_MAX])
{
	e->dev = e->be->open(e->model, &s->be, err);
	if (!e->dev)
		return -1;
	return session_open(&e->target, e->be, e->dev, e->model, s->n_ctx, s->be.n_batch,
			    err);
}

/* The little model beside the big one, on the same threads. */
static int open_little(struct engine *e, const struct setup *s, char err[ERR_MAX])
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
static int open_there(struct engine *e, const struct engine_opt *o, struct setup *s,
		      char err[ERR_MAX])
{
	if (plan_all(e, o, s, err) != 0 || open_device(e, s, err) != 0 ||
	    grouping_first(e, o, err) != 0)
		return -1;
	e->strat = (struct strat){ .target = &e->target, .tok = e->tok, .cost = &e->cost,
				   .skip = &e->skip,
				   .law = SAMPLER_DEFAULTS, .opt = STRATEGY_DEFAULTS };
	e->strat.smp = open_sampler(e, e->model->cfg.n_out, NULL, err);
	if (!e->strat.smp)
		return -1;
	if (e->draft_model && open_little(e, s, e->draft_err) != 0)
		close_little(e);
	engine_sidecar_attach(e);
	return 0;
}

static void close_there(struct engine *e)
{
	strategy_close(&e->strat);
	engine_sidecar_detach(e);
	sampler_close(e->strat.smp);
	close_little(e);
	if (e->target.tok)
		session_close(&e->target);
	if (e->dev)
		e->be->close(e->dev);
	e->dev = NULL;
	e->strat = (struct strat){ .smp = NULL };
}

/* The better backend is there, but not for this model: err says why. */
static int open_on_cpu(struct engine *e, const struct engine_opt *o, struct setup *s,
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
	struct setup s = { .n_ctx = 0 };
	bool any = !o->backend || !strcmp(o->backend, "auto");
	int rc;

	if (open_model(e, o, err) != 0 || settle(e, o, &s, err) != 0)
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
