/* bench.c - opens, goes round all measurements in turn, closes; see bench.h.
 *
 * Everything is measured once per repetition, one after the other, so that a slow minute of the
 * machine hits all of them alike. */
#include "app/bench/bench.h"
#include "app/config/args.h"
#include "app/bench/bench_parts.h"
#include "app/config/model_path.h"
#include "app/config/setup.h"
#include "base/text.h"
#include "engine/info.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BATCH_ROWS = 512 };
static bool no_probes(const struct options *o)
{
	return o->strategies || o->bild_grid || o->dip_sim;
}

static void note(const char *text)
{
	if (*text)
		text_tell("bench", text);
}

/* Loading has nothing to be interleaved with: it is repeated first, the last engine stays. */
static int load(struct bench *b, char err[ERR_MAX])
{
	const struct options *o = b->opt;
	char *little = model_path_little(o->model, o->model_draft);
	char *sidecar = model_path_sidecar(o->model, o->sidecar);
	char *cqil = model_path_cqil(o->model), *host = setup_host_file(o);
	struct engine_opt eo = setup_engine(o);
	int times = no_probes(o) ? 1 : b->reps;

	eo.model = o->model;
	eo.model_draft = little;
	eo.sidecar = sidecar;
	eo.cqil_file = cqil;
	eo.host_file = host;
	eo.chat_template = *o->chat_template ? o->chat_template : NULL;
	eo.be.n_batch = BATCH_ROWS;
	eo.be.n_out = STEP_MAX;
	eo.spare_ctx = no_probes(o) ? 0 : bench_probe_depth(b);
	for (int i = 0; i < times && (!i || b->e); i++) {
		double start = clock_now();

		engine_close(b->e);
		b->e = engine_open(&eo, err);
		if (b->e && !no_probes(o))
			bench_add(b, clock_now() - start, "s", "load");
	}
	free(little);
	free(sidecar);
	free(cqil);
	free(host);
	if (!b->e)
		return -1;
	note(b->e->notes[NOTE_THREADS]);
	note(b->e->notes[NOTE_BACKEND]);
	note(b->e->notes[NOTE_LAYERS]);
	note(b->e->notes[NOTE_MEMORY]);
	note(b->e->notes[NOTE_GROUPS]);
	note(b->e->notes[NOTE_COLUMNS]);
	note(b->e->sidecar_err);
	note(*b->e->draft_err ? b->e->draft_err : b->e->notes[NOTE_DRAFT]);
	b->token_bytes = engine_token_bytes(b->e);
	bench_strategy_open(b);
	return 0;
}

static int bench_open(struct bench *b, char err[ERR_MAX])
{
	if (b->opt->probes && no_probes(b->opt))
		return fail(err, "--probes and %s leave nothing to do",
			    b->opt->bild_grid ? "--bild-grid" : b->opt->dip_sim ? "--dip-sim" :
			    "--strategies");
	b->pool = mem_new((size_t)BENCH_SERIES_MAX * (size_t)b->reps, sizeof(*b->pool), err);
	if (!b->pool || prompts_load(&b->prompts, b->opt->prompts, err) || load(b, err))
		return -1;
	if (b->opt->bild_grid && b->n_contenders < 2)
		return fail(err, "--bild-grid needs a little model (-md FILE) or a sidecar");
	return no_probes(b->opt) ? 0 : bench_probe_open(b, err);
}

static void bench_close(struct bench *b)
{
	bench_probe_close(b);
	engine_close(b->e);
	prompts_free(&b->prompts);
	mem_free(b->pool);
}

static int measure(struct bench *b, char err[ERR_MAX])
{
	int rc = 0;

	for (int rep = 0; rep < b->reps && !rc; rep++) {
		if (!no_probes(b->opt))
			rc = bench_probe_run(b, rep, err);
		if (!rc && b->ids && b->opt->stages)
			rc = bench_stages_run(b, err);
		if (!rc && !rep && b->opt->dip_sim)     /* nothing of it is measured by a clock */
			rc = bench_sim_run(b, err);
		if (!rc && !b->opt->probes && !b->opt->dip_sim)
			rc = bench_strategy_run(b, rep, err);
	}
	if (isatty(STDERR_FILENO))
		fputs("\r\033[K", stderr);
	return rc;
}

int bench_run(const struct options *o, FILE *out, char err[ERR_MAX])
{
	bool reps = o->given[args_find("reps") - option_rows];
	struct bench b = {
		.opt = o, .reps = o->quick && !reps ? 1 : o->reps,
		.prompt_step = o->quick && !*o->prompts ? 3 : 1,
		.n_predict = o->quick ? 48 : 128, .n_decode = o->quick ? 16 : 64,
	};
	int rc = bench_open(&b, err);

	if (!rc)
		rc = measure(&b, err);
	if (!rc)
		bench_report(&b, out);
	if (!rc)
		rc = text_flush(out, err);
	if (!rc && !o->probes)
		rc = bench_strategy_check(&b, err);
	bench_close(&b);
	return rc;
}
