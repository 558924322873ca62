/* placement.c - see placement.h.
 *
 * Invariant: what host_layers says was planned with all that will lie there, or this has failed. */
#include "engine/placement.h"
#include "engine/approx/pruning.h"
#include "engine/draft_compat.h"
#include "engine/engine_approx.h"
#include "engine/engine_sidecar.h"
#include "engine/model/window.h"
#include "kernels/devices/registry.h"
#include "kernels/devices/split.h"
#include <string.h>

enum { CTX_DEFAULT = 4096 };

static int at_most(int n, int most)
{
	return n < most ? n : most;
}

static int at_least(int n, int least)
{
	return n > least ? n : least;
}

int placement_settle(struct engine *e, const struct engine_opt *o, struct placement *s,
		     char err[ERR_MAX])
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
	s->be.columns = pruning_asked(o->dip.spec);
	if (o->limit_layers)
		s->be.host_layers = at_least(e->model->cfg.n_layers - o->gpu_layers, 0);
	e->be = backend_find(o->backend, e->be_err);
	if (!e->be)
		return fail(err, "%s", e->be_err);
	return 0;
}

void placement_drop_little(struct engine *e)
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
static int find_little(struct engine *e, const struct engine_opt *o, struct placement *s,
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

/* be: with the layers of mem. */
static void set_big(struct memory_plan *p, const struct engine *e, const struct backend_opt *be,
		    int n_ctx, const struct backend_memory *mem)
{
	int rows = memory_rows(n_ctx);

	p->sidecar = engine_sidecar_weights(e) + engine_sidecar_kept(e);
	p->weights = mem->weights + engine_sidecar_weights(e);
	p->work = mem->work;
	p->kv = memory_kv(e->model, be, rows) + engine_sidecar_kept(e);
	p->host = mem->host + memory_kv_host(e->model, be, rows);
	p->host_weights = mem->host_weights;
	p->host_layers = mem->host_layers;
	p->by_cpu = be->split;
}

static size_t all_of_little(const struct engine *e, const struct placement *s,
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
static int plan_here(struct engine *e, const struct engine_opt *o, struct placement *s,
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
	set_big(p, e, &s->be, s->n_ctx, &mem);
	if (!o->model_draft)
		return 0;
	big = p->weights + p->work + p->kv;
	host.free = p->free > big ? p->free - big : 0;
	if (find_little(e, o, s, e->draft_err) != 0 ||
	    check_here(e, o, e->draft_model, &s->little_be, s->little_ctx, &host,
		       e->draft_err) != 0 ||
	    e->be->plan(e->draft_model, &s->little_be, s->little_ctx, &mem, e->draft_err) != 0)
		placement_drop_little(e);
	else
		p->little = all_of_little(e, s, &mem);
	return 0;
}

/* All of the little model must be on the device: each token asks it several times. */
static int fit_little(struct engine *e, struct placement *s, const struct memory_room *r,
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

/* Layers as planned: open is not told the context. */
static int fit_big(struct engine *e, struct placement *s, const struct memory_room *all,
		   size_t little, bool force, char err[ERR_MAX])
{
	struct memory_room r = { .budget = all->budget > little ? all->budget - little : 0,
				 .most = all->most > little ? all->most - little : 0,
				 .others = all->others + little };
	struct backend_opt be = s->be;
	struct backend_memory mem;
	size_t free = machine_free();

	if (memory_fit(e->be, e->model, &be, s->n_ctx, &r, &mem, err) != 0)
		return -1;
	be.host_layers = mem.host_layers;
	be.budget = r.budget;
	set_big(&e->plan, e, &be, s->n_ctx, &mem);
	if (e->plan.host > free && !force)
		return fail(err, "%s: %zu MiB of its weights do not fit the GPU's memory, and only "
			    "%zu MiB of host memory are free; a larger --vram, a smaller -c, a "
			    "smaller model or --backend cpu needs less; --force loads it all the "
			    "same", gguf_path(e->model->file), e->plan.host >> 20, free >> 20);
	s->be = be;
	return 0;
}

/* In a device's memory the little model goes first, for the big one's layers may be elsewhere; but
 * rather the big one alone than none. */
static int place_there(struct engine *e, const struct engine_opt *o, struct placement *s,
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
		placement_drop_little(e);
	if (fit_big(e, s, &r, p->little, o->force, err) == 0)
		return 0;
	if (!e->draft_model || fit_big(e, s, &r, 0, o->force, err) != 0)
		return -1;
	fail(e->draft_err, "%s is left out: its %zu MiB would leave too little of the GPU's memory "
	     "for the big model", gguf_path(e->draft_model->file), p->little >> 20);
	p->little = 0;
	placement_drop_little(e);
	return 0;
}

/* The sidecar's drafts need all layers behind its bridge on one device: where the cpu has some of
 * these, its room is for others. */
static int plan_there(struct engine *e, const struct engine_opt *o, struct placement *s,
		      char err[ERR_MAX])
{
	const struct placement asked = *s;

	if (place_there(e, o, s, err) != 0)
		return -1;
	if (!s->be.split || !e->sidecar ||
	    spread_bridge(&s->be.spread, &e->model->cfg, s->be.host_layers, e->sidecar->bridge.s,
			  e->sidecar_err) == 0)
		return 0;
	sidecar_close(e->sidecar);
	e->sidecar = NULL;
	placement_drop_little(e);
	*s = asked;
	return place_there(e, o, s, err);
}

static void forget_little(struct engine *e)
{
	placement_drop_little(e);
	*e->draft_err = *e->notes[NOTE_DRAFT] = '\0';
}

/* be: a backend with memory of its own.  split: what does not fit there is the cpu's. */
static int plan_way(struct engine *e, const struct engine_opt *o, struct placement *s,
		    const struct backend *be, bool split, char err[ERR_MAX])
{
	forget_little(e);
	e->plan = (struct memory_plan){ .n_layers = e->model->cfg.n_layers };
	s->be.split = split;
	e->be = split ? backend_split(be) : be;
	return plan_there(e, o, s, err);
}

/* Groups that CPU and GPU might share: before a bridge, for behind it all is the GPU's. */
static bool may_share(struct engine *e, const struct engine_opt *o, struct grouping *g)
{
	char why[ERR_MAX];      /* who sets the groups, when all is loaded, says it */

	if (engine_groups_find(e, o->cqil, g, why) != 0 || g->size < 2 || g->bypass ||
	    !e->be->groups)
		return false;
	if (e->sidecar && g->to > e->sidecar->bridge.s)
		g->to = g->from + (e->sidecar->bridge.s - g->from) / g->size * g->size;
	return g->to - g->from > 1;
}

/* By the cpu, groups shared out by these speeds if that pays, and if as many layers leave a sidecar
 * its own. */
static int plan_shared(struct engine *e, const struct engine_opt *o, struct placement *s,
		       const struct backend *be, const struct host_speed *v, char err[ERR_MAX])
{
	struct host_groups h = { .size = 0 };
	struct grouping g;
	char why[ERR_MAX];

	if (may_share(e, o, &g))
		h = host_groups(&g, e->model, v);
	if (e->sidecar && spread_bridge(&h.spread, &e->model->cfg, e->plan.host_layers,
					e->sidecar->bridge.s, why) != 0)
		h.spread = (struct host_spread){ .size = 0 };
	s->be.spread = h.spread;
	if (plan_way(e, o, s, be, true, err) != 0)
		return -1;
	e->plan.speed = *v;
	e->plan.groups = h;
	return 0;
}

static int plan_cpu(struct engine *e, const struct engine_opt *o, struct placement *s,
		    char err[ERR_MAX])
{
	const struct backend *be = e->be;
	const struct placement asked = *s;
	struct host_speed v;
	struct grouping g;
	char why[ERR_MAX];

	if (plan_way(e, o, s, be, true, err) != 0)
		return -1;
	if (!e->plan.host_layers || !may_share(e, o, &g))
		return 0;
	if (host_speed(o->host_file, be, e->model, &asked.be, &v, e->notes[NOTE_LAYERS],
		       why) != 0) {
		fail(e->notes[NOTE_LAYERS], "--cqil: CPU and GPU share no groups but one, for how "
		     "fast they are cannot be measured: %.300s", why);
		return 0;
	}
	*s = asked;
	return plan_shared(e, o, s, be, &v, err);
}

/* Layers that do not fit are for the one of bus and cpu that reads them faster.  Where that cannot
 * be told they are read over the bus. */
static int plan_faster(struct engine *e, const struct engine_opt *o, struct placement *s,
		       char err[ERR_MAX])
{
	const struct backend *be = e->be;
	const struct placement asked = *s;
	struct placement cpu = asked;
	struct host_speed v;
	char why[ERR_MAX];

	if (plan_way(e, o, s, be, false, err) != 0) {   /* the cpu has caches of its layers too */
		*s = asked;
		return plan_way(e, o, s, be, true, why);
	}
	if (!e->plan.host_layers)
		return 0;
	if (host_speed(o->host_file, be, e->model, &asked.be, &v, e->notes[NOTE_LAYERS],
		       why) != 0) {
		fail(e->notes[NOTE_LAYERS], "--host-layers auto: layers are read over the bus, for "
		     "what is faster cannot be measured: %.300s", why);
		return 0;
	}
	if (v.cpu > v.bus && plan_shared(e, o, &cpu, be, &v, why) == 0) {
		*s = cpu;
		return 0;
	}
	if (v.cpu > v.bus && (*s = asked, plan_way(e, o, s, be, false, err)) != 0)
		return -1;
	e->plan.speed = v;
	return 0;
}

int placement_plan(struct engine *e, const struct engine_opt *o, struct placement *s,
		   char err[ERR_MAX])
{
	int rc;

	e->plan = (struct memory_plan){ .n_layers = e->model->cfg.n_layers };
	rc = !e->be->own_memory ? plan_here(e, o, s, err) :
	     o->host == HOST_AUTO ? plan_faster(e, o, s, err) :
	     o->host == HOST_CPU ? plan_cpu(e, o, s, err) :
	     plan_way(e, o, s, e->be, false, err);
	if (rc != 0)
		return -1;
	e->plan.now = machine_taken();
	if (o->planned)
		o->planned(o->planned_ctx, &e->plan);
	return 0;
}
