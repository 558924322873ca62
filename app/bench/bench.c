/* bench.c - opens, goes round all measurements in turn, closes; see bench.h.
 *
 * Everything is measured once per repetition, one after the other, so that a slow minute of the
 * machine hits all of them alike. */
#include "app/bench/bench.h"
#include "app/config/args.h"
#include "app/bench/bench_parts.h"
#include "app/config/model_path.h"
#include "app/setup.h"
#include "base/text.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BATCH_ROWS = 512 };

void bench_add(struct bench *b, double value, const char *unit, const char *fmt, ...)
{
	char name[sizeof(b->series[0].name)];
	struct series *s = b->series;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(name, sizeof(name), fmt, ap);
	va_end(ap);
	while (s < b->series + b->n_series && strcmp(s->name, name))
		s++;
	if (s == b->series + b->n_series) {
		assert(b->n_series < BENCH_SERIES_MAX);
		*s = (struct series){ .unit = unit, .v = b->pool + b->n_series * b->reps };
		memcpy(s->name, name, sizeof(name));
		b->n_series++;
	}
	assert(s->n < b->reps);
	s->v[s->n++] = value;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

struct spread bench_values(const double *v, int n)
{
	double sorted[1000];

	assert(n <= 1000);
	if (!n)
		return (struct spread){ NAN, NAN, NAN };
	memcpy(sorted, v, (size_t)n * sizeof(*v));
	qsort(sorted, (size_t)n, sizeof(*sorted), by_size);
	return (struct spread){ .median = (sorted[(n - 1) / 2] + sorted[n / 2]) / 2,
				.min = sorted[0], .max = sorted[n - 1] };
}

struct spread bench_spread(const struct bench *b, const char *fmt, ...)
{
	char name[sizeof(b->series[0].name)];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(name, sizeof(name), fmt, ap);
	va_end(ap);
	for (int i = 0; i < b->n_series; i++)
		if (!strcmp(b->series[i].name, name))
			return bench_values(b->series[i].v, b->series[i].n);
	return bench_values(NULL, 0);
}

void bench_progress(const struct bench *b, int rep, const char *what)
{
	bool terminal = isatty(STDERR_FILENO);

	fprintf(stderr, "%sbench: %d of %d: %s%s", terminal ? "\r\033[K" : "", rep + 1, b->reps,
		what, terminal ? "" : "\n");
}

static size_t needed_bytes(const struct model *m)
{
	size_t n = m->output->bytes + m->norm->bytes;

	for (int i = 0; i < m->cfg.n_layers; i++) {
		const struct layer *l = &m->layer[i];

		n += l->attn_norm->bytes + l->wq->bytes + l->wk->bytes + l->wv->bytes +
			l->wo->bytes + l->ffn_norm->bytes + l->gate->bytes + l->up->bytes +
			l->down->bytes;
	}
	return n;
}

static bool no_probes(const struct options *o)
{
	return o->strategies || o->bild_grid;
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
	struct engine_opt eo = setup_engine(o);
	int times = no_probes(o) ? 1 : b->reps;

	eo.model = o->model;
	eo.model_draft = little;
	eo.sidecar = sidecar;
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
	if (!b->e)
		return -1;
	note(b->e->notes[NOTE_THREADS]);
	note(b->e->notes[NOTE_BACKEND]);
	note(b->e->notes[NOTE_MEMORY]);
	note(b->e->side_err);
	note(*b->e->draft_err ? b->e->draft_err : b->e->notes[NOTE_PAIR]);
	b->token_bytes = needed_bytes(b->e->model);
	bench_strategy_open(b);
	return 0;
}

static int bench_open(struct bench *b, char err[ERR_MAX])
{
	if (b->opt->probes && no_probes(b->opt))
		return fail(err, "--probes and %s leave nothing to do",
			    b->opt->bild_grid ? "--bild-grid" : "--strategies");
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
		if (!rc && !b->opt->probes)
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
