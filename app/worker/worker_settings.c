/* worker_settings.c - what may come at any time, in the middle of an answer too: settings, another
 * strategy, frame or sidecar; and what the decode thread tells of itself.
 *
 * Invariant: whatever changes here is told, and the seed stays. */
#include "app/worker/worker_parts.h"
#include "app/config/setup.h"
#include "engine/approx/grouping.h"
#include "engine/approx/pruning.h"
#include "engine/info.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void worker_note(struct worker *w, const char *text)
{
	if (*text)
		msgq_put_text(&w->out, (struct msg){ .kind = MSG_NOTE }, text, strlen(text));
}

/* What the plan knows, of a loaded model too. */
struct model_info worker_planned(const struct memory_plan *p)
{
	struct model_info i = {
		.weights = p->weights, .draft = p->little, .kv = p->kv, .work = p->work,
		.sidecar = p->sidecar,
		.planned = memory_total(p), .free = p->free < SIZE_MAX ? p->free : 0,
		.gpu = p->device, .budget = p->budget < SIZE_MAX ? p->budget : 0,
		.host_weights = p->host_weights, .host_layers = p->host_layers,
		.n_layers = p->n_layers, .by_cpu = p->by_cpu, .host = p->host,
		.bus_speed = p->speed.bus, .cpu_speed = p->speed.cpu, .gpu_speed = p->speed.own,
		.group_size = p->groups.size, .group_share = p->groups.share,
		.shared = p->groups.spread.size > 1, .group_cpu = p->groups.cpu,
		.group_gpu = p->groups.other, .group_cross = p->groups.cross,
	};

	memory_layers(p, i.layers);
	memcpy(i.measured, p->speed.date, sizeof(i.measured));
	return i;
}

void worker_error(struct worker *w, const char *text, enum msg_error error)
{
	struct msg m = { .kind = MSG_ERROR, .error = error };

	msgq_put_text(&w->out, m, text, strlen(text));
}

void worker_tell_strategy(struct worker *w)
{
	const struct strat *s = &w->engine->strat;
	struct msg m = { .kind = MSG_STRATEGY, .exact = engine_exact(w->engine) };

	msgq_put_text(&w->out, m, s->ops->name, strlen(s->ops->name));
}

void worker_apply(struct worker *w)
{
	const struct options *o = &w->opt;
	struct strat *s = &w->engine->strat;

	s->law = (struct sampler_opt){
		.temp = o->temp, .top_k = o->top_k, .top_p = o->top_p, .min_p = o->min_p,
		.repeat_penalty = o->repeat_penalty, .repeat_last_n = o->repeat_last_n,
		.frequency_penalty = o->frequency_penalty,
		.presence_penalty = o->presence_penalty, .seed = s->law.seed,
	};
	s->opt.draft_max = o->draft_max;
	s->opt.draft_min = o->draft_min;
	s->opt.draft_p_min = o->draft_p_min;
	s->opt.fallback = o->fallback;
	s->opt.rollback = o->rollback;
	s->opt.rollback_exact = isinf(o->rollback);
	s->opt.bild_max = o->bild_max;
	s->opt.auto_approximate = o->auto_approximate;
	s->opt.bild_paper = !strcmp(o->bild, "paper");
}

static unsigned lacking(const struct strat *s)
{
	unsigned bits = 0;

	for (unsigned i = 0; strategies[i]; i++)
		bits |= strategy_lacks(s, strategies[i]) ? 1u << i : 0;
	return bits;
}

void worker_look(struct worker *w)
{
	w->device_used = engine_used(w->engine);
}

void worker_tell_loaded(struct worker *w, enum msg_kind kind, bool again)
{
	struct engine *e = w->engine;
	struct engine_memory mem = engine_memory(e);
	struct msg m = { .kind = kind, .info = worker_planned(&e->plan) };
	const char *slash = strrchr(w->model, '/');
	struct gguf_str name = { .s = slash ? slash + 1 : w->model };

	m.info.again = again;
	m.info.ctx_size = e->target.n_ctx;
	m.info.token_weights = engine_token_bytes(e);
	m.info.ctx_train = e->model->cfg.n_ctx_train;
	m.info.load_s = e->load_s;
	m.info.weights = mem.weights;
	m.info.work = mem.work;
	m.info.draft = mem.little;
	m.info.calibrates = engine_calibrates(e);
	m.info.lacking = lacking(&e->strat);
	m.info.sidecar = e->strat.bridged ? e->plan.sidecar : 0;
	m.info.kv = mem.kv;
	worker_look(w);
	m.info.used = w->device_used;
	name.n = strlen(name.s);
	gguf_string(e->model->file, "general.name", &name);
	snprintf(m.info.arch, sizeof(m.info.arch), "%s", e->model->cfg.arch);
	snprintf(m.info.frame, sizeof(m.info.frame), "%s",
		 e->tmpl ? template_name(e->tmpl) : "none");
	grouping_text(&e->group, m.info.cqil);
	m.info.apart = !e->plan.by_cpu ? 0 :
		       grouping_apart(&e->group, &e->plan.groups.spread, e->plan.n_layers,
				      e->plan.host_layers);
	pruning_text(&e->dip, m.info.dip);
	snprintf(m.info.device, sizeof(m.info.device), "%s: %s", engine_backend(e),
		 engine_device(e));
	snprintf(m.info.no_cuda, sizeof(m.info.no_cuda), "%.255s", e->be_err);
	if (kind == MSG_READY && (!again || strcmp(w->opt.strategy, e->strat.ops->name) != 0))
		worker_tell_strategy(w);       /* asked for, or not what was in force before */
	msgq_put_text(&w->out, m, name.s, name.n);
}

/* What a calibration has made. */
static void take_sidecar(struct worker *w, const char *path)
{
	static const char good[] = "the model can draft for itself now: strategy s3d, and auto too";
	const char *before = w->engine->strat.ops->name;
	uint64_t seed = w->engine->strat.law.seed;
	char err[ERR_MAX];
	int rc = engine_sidecar(w->engine, path, err);

	w->engine->strat.law.seed = seed;
	worker_note(w, rc ? err : good);
	worker_tell_loaded(w, MSG_SIDECAR, true);
	if (strcmp(before, w->engine->strat.ops->name) != 0)
		worker_tell_strategy(w);
}

static void switch_strategy(struct worker *w, const char *name)
{
	uint64_t seed = w->engine->strat.law.seed;
	char err[ERR_MAX];

	if (engine_strategy(w->engine, name, err))
		worker_error(w, err, ERROR_NOTE);
	w->engine->strat.law.seed = seed;
	worker_apply(w);
	worker_tell_strategy(w);
}

void worker_no_frame(const struct engine *e, char err[ERR_MAX])
{
	fail(err, "%s (in the chat: /set chat-template NAME)", e->tmpl_err);
}

void worker_frame(struct worker *w)
{
	const struct engine *e = w->engine;
	char err[ERR_MAX];

	free(w->system);
	w->system = e->tmpl ? template_default_system(e->tmpl, e->model->file) : NULL;
	if (e->tmpl)
		return;
	worker_no_frame(e, err);
	msgq_put_text(&w->out, (struct msg){ .kind = MSG_NOTE, .reason = DONE_REFUSED }, err,
		      strlen(err));
}

static void change_frame(struct worker *w)
{
	char note[ERR_MAX];

	engine_template(w->engine, *w->opt.chat_template ? w->opt.chat_template : NULL);
	worker_frame(w);
	if (w->engine->tmpl && !*w->opt.chat_template) {
		fail(note, "the model's own chat frame is %s", template_name(w->engine->tmpl));
		worker_note(w, note);
	}
	worker_tell_loaded(w, MSG_SIDECAR, true);
}

/* What was set cannot be done: the setting too becomes again what it was before. */
static void put_back(struct worker *w, const char **setting, const char *before,
		     struct msg still)
{
	*setting = before;
	msgq_put_text(&w->out, still, before, strlen(before));
}

static void change_groups(struct worker *w, const char *before)
{
	char err[ERR_MAX];
	bool released = !strcmp(w->opt.cqil_form, "released");

	if (engine_group(w->engine, w->opt.cqil, released, err)) {
		worker_error(w, err, ERROR_NOTE);
		put_back(w, &w->opt.cqil, before, (struct msg){ .kind = MSG_CQIL });
	}
	worker_note(w, w->engine->notes[NOTE_GROUPS]);
	worker_tell_loaded(w, MSG_SIDECAR, true);
}

/* Of what says how MLPs are pruned that which was changed is put back. */
static void change_pruning(struct worker *w, const struct options *before)
{
	struct dip_opt dip = setup_engine(&w->opt).dip;
	char err[ERR_MAX];
	bool refused = engine_prune(w->engine, &dip, err) != 0;

	if (refused)
		worker_error(w, err, ERROR_NOTE);
	if (refused && strcmp(w->opt.dip_score, before->dip_score) != 0) {
		put_back(w, &w->opt.dip_score, before->dip_score,
			 (struct msg){ .kind = MSG_DIP_SCORE });
	} else if (refused) {
		put_back(w, &w->opt.dip, before->dip, (struct msg){ .kind = MSG_DIP });
		put_back(w, &w->opt.dip_ca, before->dip_ca, (struct msg){ .kind = MSG_DIP_CA });
	}
	worker_note(w, w->engine->notes[NOTE_COLUMNS]);
	worker_tell_loaded(w, MSG_SIDECAR, true);
}

static bool prunes_otherwise(const struct options *a, const struct options *b)
{
	return strcmp(a->dip, b->dip) != 0 || a->dip_prompt != b->dip_prompt ||
	       strcmp(a->dip_score, b->dip_score) != 0 || strcmp(a->dip_ca, b->dip_ca) != 0 ||
	       a->dip_cache < b->dip_cache || a->dip_cache > b->dip_cache ||
	       strcmp(a->dip_policy, b->dip_policy) != 0;
}

/* A setting may make what is written exact, or end that. */
static void change_settings(struct worker *w, const struct options *o)
{
	bool before, frame = strcmp(w->opt.chat_template, o->chat_template) != 0;
	const struct options old = w->opt;

	w->opt = *o;
	if (!w->engine)
		return;
	before = engine_exact(w->engine);
	worker_apply(w);
	if (frame)
		change_frame(w);
	if (strcmp(old.cqil, o->cqil) != 0)
		change_groups(w, old.cqil);
	if (prunes_otherwise(&old, o))
		change_pruning(w, &old);
	if (engine_exact(w->engine) != before)
		msgq_put(&w->out, (struct msg){ .kind = MSG_EXACT, .exact = !before });
}

/* What may come at any time; true if the message was one of these. */
bool worker_setting(struct worker *w, struct msg *m)
{
	if (m->kind == CMD_SET) {
		change_settings(w, &m->options);
	} else if (m->kind == CMD_QUIT) {
		w->quit = true;
	} else if (m->kind == CMD_STRATEGY || m->kind == CMD_SIDECAR) {
		if (w->engine && m->kind == CMD_STRATEGY)
			switch_strategy(w, m->text);
		else if (w->engine)
			take_sidecar(w, m->text);
	} else {
		return false;
	}
	return true;
}

void worker_settings(struct worker *w)
{
	struct msg m;

	while (!w->quit && msgq_get(&w->in, &m)) {
		worker_setting(w, &m);
		msg_free(&m);
	}
}
