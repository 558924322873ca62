/* worker.c - see worker.h: takes commands, loads the model, hands answers to answer.c, settings to
 * worker_settings.c.
 *
 * Invariant: only this thread touches the engine, and frees it if it was left behind. */
#include "app/worker/worker_parts.h"
#include "app/config/model_path.h"
#include "app/config/setup.h"
#include "base/altstack.h"
#include "engine/info.h"

#include <errno.h>
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

static void on_plan(void *ctx, const struct memory_plan *p)
{
	struct worker *w = ctx;

	msgq_put(&w->out, (struct msg){ .kind = MSG_PLAN, .info = worker_planned(p) });
}

static void tell_ready(struct worker *w, bool again)
{
	worker_tell_loaded(w, MSG_READY, again);
}

static int load_all(struct worker *w, char err[ERR_MAX])
{
	char *little = model_path_little(w->model, w->opt.model_draft);
	char *sidecar = model_path_sidecar(w->model, w->opt.sidecar);
	char *cqil = model_path_cqil(w->model), *host = setup_host_file(&w->opt);
	struct engine_opt opt = setup_engine(&w->opt);

	if (w->on_cpu)
		opt.backend = "cpu";
	opt.model = w->model;
	opt.model_draft = little;
	opt.sidecar = sidecar;
	opt.cqil_file = cqil;
	opt.host_file = host;
	opt.strategy = w->opt.strategy;
	opt.chat_template = *w->opt.chat_template ? w->opt.chat_template : NULL;
	opt.planned = on_plan;
	opt.planned_ctx = opt.be.progress_ctx = w;
	opt.be.progress = on_progress;
	w->engine = engine_open(&opt, err);
	free(little);
	free(sidecar);
	free(cqil);
	free(host);
	if (!w->engine)
		return -1;
	worker_frame(w);
	worker_apply(w);
	worker_note(w, w->engine->notes[NOTE_THREADS]);
	worker_note(w, w->engine->notes[NOTE_MODEL]);
	worker_note(w, w->engine->notes[NOTE_CONTEXT]);
	worker_note(w, w->engine->notes[NOTE_MEMORY]);
	worker_note(w, w->engine->notes[NOTE_GROUPS]);
	worker_note(w, w->engine->notes[NOTE_LAYERS]);
	worker_note(w, w->engine->notes[NOTE_COLUMNS]);
	worker_note(w, w->engine->notes[NOTE_BACKEND]);
	worker_note(w, *w->engine->notes[NOTE_STRATEGY] ? w->engine->notes[NOTE_STRATEGY] :
						   w->engine->draft_err);
	worker_note(w, w->engine->sidecar_err);
	worker_note(w, w->engine->notes[NOTE_DRAFT]);
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
		engine_fail(w->engine, "going on with --backend cpu", err);
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
		else if (!worker_setting(w, &m))
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
