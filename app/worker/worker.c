/* worker.c - see worker.h: takes commands, loads the model, hands answers to answer.c.
 *
 * Invariant: only this thread touches the engine, and frees it if it was left behind. */
#include "app/worker/worker.h"
#include "app/worker/answer.h"
#include "kernels/registry.h"
#include "app/config/model_path.h"
#include "app/setup.h"
#include "base/altstack.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static atomic_bool left;        /* a thread that was loading when its worker was closed */

static void on_progress(void *ctx, double done)
{
	struct worker *w = ctx;
	double now = clock_now();

	if (now - w->shown < 0.05)
		return;
	w->shown = now;
	msgq_put(&w->out, (struct msg){ .kind = MSG_LOADING, .share = done });
}

static void note(struct worker *w, const char *text)
{
	if (*text)
		msgq_put_text(&w->out, (struct msg){ .kind = MSG_NOTE }, text, strlen(text));
}

/* What the plan knows, of a loaded model too. */
static struct model_info planned(const struct memory_plan *p)
{
	return (struct model_info){
		.weights = p->weights, .draft = p->little, .kv = p->kv, .work = p->work,
		.sidecar = p->sidecar,
		.planned = memory_total(p), .free = p->free < SIZE_MAX ? p->free : 0,
		.gpu = p->device, .budget = p->budget < SIZE_MAX ? p->budget : 0,
		.bus = p->bus, .host_layers = p->host_layers, .n_layers = p->n_layers,
	};
}

static void on_plan(void *ctx, const struct memory_plan *p)
{
	struct worker *w = ctx;

	msgq_put(&w->out, (struct msg){ .kind = MSG_PLAN, .info = planned(p) });
}

void worker_error(struct worker *w, const char *text, enum msg_error error)
{
	struct msg m = { .kind = MSG_ERROR, .error = error };

	msgq_put_text(&w->out, m, text, strlen(text));
}

static void tell_strategy(struct worker *w)
{
	const struct strat *s = &w->engine->strat;
	struct msg m = { .kind = MSG_STRATEGY, .exact = strategy_exact(s) };

	msgq_put_text(&w->out, m, s->ops->name, strlen(s->ops->name));
}

static void apply_settings(struct worker *w)
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

/* What the little model has: weights, work space and context. */
static size_t little_bytes(const struct engine *e)
{
	struct backend_memory mem;

	if (!e->draft_dev)
		return 0;
	mem = e->be->memory(e->draft_dev);
	return mem.weights + mem.work + e->be->kv_bytes(e->draft.kv);
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
	w->device_used = w->engine->plan.device ? w->engine->be->used() : 0;
}

static void tell_loaded(struct worker *w, enum msg_kind kind, bool again)
{
	struct engine *e = w->engine;
	struct backend_memory mem = e->be->memory(e->dev);
	struct msg m = { .kind = kind, .info = planned(&e->plan) };
	const char *slash = strrchr(w->model, '/');
	struct gguf_str name = { .s = slash ? slash + 1 : w->model };

	m.info.again = again;
	m.info.ctx_size = e->target.n_ctx;
	m.info.ctx_train = e->model->cfg.n_ctx_train;
	m.info.load_s = e->load_s;
	m.info.weights = mem.weights;
	m.info.work = mem.work;
	m.info.draft = little_bytes(e);
	m.info.calibrates = e->be->draft != NULL;
	m.info.lacking = lacking(&e->strat);
	m.info.sidecar = e->strat.bridged ? e->plan.sidecar : 0;
	m.info.kv = e->be->kv_bytes(e->target.kv);
	worker_look(w);
	m.info.used = w->device_used;
	name.n = strlen(name.s);
	gguf_string(e->model->file, "general.name", &name);
	snprintf(m.info.arch, sizeof(m.info.arch), "%s", e->model->cfg.arch);
	snprintf(m.info.frame, sizeof(m.info.frame), "%s",
		 e->tmpl ? template_name(e->tmpl) : "none");
	snprintf(m.info.device, sizeof(m.info.device), "%s: %s", e->be->name,
		 e->be->describe(e->dev));
	snprintf(m.info.no_cuda, sizeof(m.info.no_cuda), "%.255s", e->be_err);
	if (kind == MSG_READY && (!again || strcmp(w->opt.strategy, e->strat.ops->name) != 0))
		tell_strategy(w);       /* asked for, or not what was in force before */
	msgq_put_text(&w->out, m, name.s, name.n);
}

static void tell_ready(struct worker *w, bool again)
{
	tell_loaded(w, MSG_READY, again);
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
	note(w, rc ? err : good);
	tell_loaded(w, MSG_SIDECAR, true);
	if (strcmp(before, w->engine->strat.ops->name) != 0)
		tell_strategy(w);
}

static int load_all(struct worker *w, char err[ERR_MAX])
{
	char *little = model_path_little(w->model, w->opt.model_draft);
	char *sidecar = model_path_sidecar(w->model, w->opt.sidecar);
	struct engine_opt opt = setup_engine(&w->opt);

	if (w->on_cpu)
		opt.backend = "cpu";
	opt.model = w->model;
	opt.model_draft = little;
	opt.sidecar = sidecar;
	opt.strategy = w->opt.strategy;
	opt.chat_template = *w->opt.chat_template ? w->opt.chat_template : NULL;
	opt.planned = on_plan;
	opt.planned_ctx = opt.be.progress_ctx = w;
	opt.be.progress = on_progress;
	w->engine = engine_open(&opt, err);
	free(little);
	free(sidecar);
	if (!w->engine)
		return -1;
	answer_frame(w);
	apply_settings(w);
	note(w, w->engine->notes[NOTE_THREADS]);
	note(w, w->engine->notes[NOTE_MODEL]);
	note(w, w->engine->notes[NOTE_CONTEXT]);
	note(w, w->engine->notes[NOTE_MEMORY]);
	note(w, w->engine->notes[NOTE_BACKEND]);
	note(w, *w->engine->notes[NOTE_STRATEGY] ? w->engine->notes[NOTE_STRATEGY] :
						   w->engine->draft_err);
	note(w, w->engine->side_err);
	note(w, w->engine->notes[NOTE_PAIR]);
	return 0;
}

static int load(struct worker *w, char err[ERR_MAX])
{
	int rc;

	atomic_store(&w->loading, true);
	rc = load_all(w, err);
	atomic_store(&w->loading, false);
	return rc;
}

static void switch_strategy(struct worker *w, const char *name)
{
	uint64_t seed = w->engine->strat.law.seed;
	char err[ERR_MAX];

	if (engine_strategy(w->engine, name, err))
		worker_error(w, err, ERROR_NOTE);
	w->engine->strat.law.seed = seed;
	apply_settings(w);
	tell_strategy(w);
}

static void unload(struct worker *w)
{
	w->opt.strategy = w->engine->strat.ops->name;
	engine_close(w->engine);
	w->engine = NULL;
	free(w->system);
	w->system = NULL;
}

/* What was loaded before; if need be on the cpu. */
static void load_again(struct worker *w, bool again)
{
	char err[ERR_MAX];
	int rc = load(w, err);

	if (rc && !w->on_cpu) {
		w->on_cpu = true;
		rc = load(w, err);
	}
	if (!rc) {
		tell_ready(w, again);
		return;
	}
	w->on_cpu = false;
	worker_error(w, err, ERROR_GONE);
}

/* Another model; when it cannot be loaded, the one before again if there was one. */
static void change_model(struct worker *w, const char *path)
{
	char *before = w->model, err[ERR_MAX];
	bool had = w->engine != NULL;
	int rc = (w->model = strdup(path)) ? 0 : fail(err, "out of memory");

	if (!rc && had)
		unload(w);
	if (!rc)
		rc = load(w, err);
	if (!rc) {
		free(before);
		tell_ready(w, false);
		return;
	}
	free(w->model);
	w->model = before;
	worker_error(w, err, had ? ERROR_LOAD : ERROR_GONE);
	if (w->engine)
		tell_ready(w, false);
	else if (had)
		load_again(w, false);
}

/* A device has failed.  The conversation is the other thread's; only the engine is made anew. */
static void go_on_with_cpu(struct worker *w)
{
	w->on_cpu = true;
	unload(w);
	load_again(w, true);
}

static void change_frame(struct worker *w)
{
	engine_template(w->engine, *w->opt.chat_template ? w->opt.chat_template : NULL);
	answer_frame(w);
	tell_loaded(w, MSG_SIDECAR, true);
}

/* A setting may make the strategy in force exact, or end that. */
static void change_settings(struct worker *w, const struct options *o)
{
	bool before, frame = strcmp(w->opt.chat_template, o->chat_template) != 0;

	w->opt = *o;
	if (!w->engine)
		return;
	before = strategy_exact(&w->engine->strat);
	apply_settings(w);
	if (frame)
		change_frame(w);
	if (strategy_exact(&w->engine->strat) != before)
		msgq_put(&w->out, (struct msg){ .kind = MSG_EXACT, .exact = !before });
}

/* What may come at any time; true if the message was one of these. */
static bool take_setting(struct worker *w, struct msg *m)
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
		take_setting(w, &m);
		msg_free(&m);
	}
}

/* By the cpu, if the device fails at once.  Without a model ERROR_GONE is on its way. */
static void answer_somehow(struct worker *w, const struct msg *m)
{
	bool done = !w->engine || answer(w, m->chat, m->seed);

	while (!done) {
		go_on_with_cpu(w);
		done = !w->engine || answer(w, m->chat, m->seed);
	}
}

/* Waits for a message, with what the strategy may find out meanwhile. */
static void next_message(struct worker *w, struct msg *m)
{
	char err[ERR_MAX];
	int rc = 1;

	while (rc > 0 && !msgq_get(&w->in, m)) {
		rc = atomic_load(&w->last) || !w->engine ? 0 : engine_idle(w->engine, err);
		if (rc == 0)
			msgq_wait(&w->in, m);
	}
	if (rc >= 0)
		return;
	if (engine_lost(w->engine)) {
		backend_fail(w->engine->be->name, err, "going on with --backend cpu", err);
		go_on_with_cpu(w);
	}
	worker_error(w, err, ERROR_NOTE);
	*m = (struct msg){ .kind = CMD_QUIT };
	if (!w->quit)
		msgq_wait(&w->in, m);
}

static void work(struct worker *w)
{
	char err[ERR_MAX];
	struct msg m;

	altstack_use();
	if (load(w, err))
		worker_error(w, err, ERROR_GONE);
	else
		tell_ready(w, false);
	while (!w->quit) {
		next_message(w, &m);
		if (m.kind == CMD_MODEL)
			change_model(w, m.text);
		else if (!take_setting(w, &m))
			answer_somehow(w, &m);
		msg_free(&m);
		if (!w->quit && w->engine && engine_lost(w->engine) && !atomic_load(&w->last))
			go_on_with_cpu(w);
	}
}

static void release(struct worker *w)
{
	if (atomic_fetch_sub(&w->owners, 1) > 1)
		return;
	engine_close(w->engine);
	msgq_free(&w->in);
	msgq_free(&w->out);
	free(w->system);
	free(w->model);
	free(w);
}

static void *run(void *arg)
{
	work(arg);
	release(arg);
	return NULL;
}

/* Signals are for the thread that owns the terminal, but for those of a crash in this one. */
static int start(struct worker *w)
{
	static const int own[] = { SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL };
	sigset_t all, old;
	int rc;

	sigfillset(&all);
	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		sigdelset(&all, own[i]);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(&w->thread, NULL, run, w);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return rc;
}

struct worker *worker_open(const struct options *o, const char *model, char err[ERR_MAX])
{
	struct worker *w = calloc(1, sizeof(*w));
	int rc;

	if (!w || !(w->model = strdup(model))) {
		free(w);
		fail(err, "out of memory");
		return NULL;
	}
	w->opt = *o;
	if (msgq_init(&w->in, false, err)) {
		free(w->model);
		free(w);
		return NULL;
	}
	if (msgq_init(&w->out, true, err)) {
		msgq_free(&w->in);
		free(w->model);
		free(w);
		return NULL;
	}
	atomic_store(&w->loading, true);
	atomic_store(&w->owners, 2);
	rc = start(w);
	if (rc) {
		atomic_store(&w->owners, 1);
		fail(err, "cannot start the decode thread: %s", strerror(rc));
		release(w);
		return NULL;
	}
	return w;
}

/* Waits for the thread to end; false: it is loading, and goes on with that. */
static bool wait_for(struct worker *w)
{
	struct timespec until;

	if (!atomic_load(&w->loading))
		return pthread_join(w->thread, NULL) == 0;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += 50 * 1000000;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	return pthread_timedjoin_np(w->thread, NULL, &until) == 0;
}

void worker_close(struct worker *w)
{
	if (!w)
		return;
	atomic_store(&w->stop, true);
	msgq_put(&w->in, (struct msg){ .kind = CMD_QUIT });
	if (!wait_for(w)) {
		pthread_detach(w->thread);
		atomic_store(&left, true);
	}
	release(w);
}

bool worker_left(void)
{
	return atomic_load(&left);
}
