/* sweep.c - see sweep.h: what is tried, in which order, and what is advised.
 *
 * Invariant: which range comes next depends on figures of earlier ones alone, so a sweep that knows
 * some of them already goes the same way. */
#include "engine/calibrate/sweep_parts.h"
#include "engine/calibrate/calibrate_parts.h"
#include "base/file.h"
#include "engine/approx/grouping.h"
#include "kernels/devices/registry.h"
#include "engine/info.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOSS_MOST 0.05          /* of perplexity, where ranges stop to grow */
enum { GROWS = 8 };             /* rows for growing that are expected of a size */
enum { KEEP_EACH = 5 };         /* seconds */

double sweep_perplexity(const struct sweep_result *r, double nll)
{
	return exp(nll / (double)r->rows);
}

double sweep_loss(const struct sweep_result *r, const struct sweep_row *row, double *error)
{
	double n = (double)r->rows, mean = (row->nll - r->dense) / n;
	double variance = row->apart / n - mean * mean;

	*error = exp(mean) * sqrt(variance > 0 ? variance / (n - 1) : 0);
	return exp(mean) - 1;
}

static void tell(struct sweep *s, const char *what)
{
	double each = (clock_now() - s->began) / (s->measured > 0 ? s->measured : 1);
	int n = s->r->n;
	double left = each * (s->expected > n ? s->expected - n : 1);
	double done = (double)n / s->expected;

	if (s->o->progress)
		s->o->progress(s->o->ctx, done < 0.99 ? done : 0.99, left > 1 ? left : 1, what);
}

/* Of a group that was tried before nothing is done again.  *index: its row. */
static int measure(struct sweep *s, struct grouping g, int *index, char err[ERR_MAX])
{
	const struct sweep_row *had = sweep_find(s->r->row, s->r->n, &g);
	struct sweep_row row = { .group = g };
	char text[GROUPING_TEXT];
	int rc = 0;

	*index = had ? (int)(had - s->r->row) : s->r->n;
	if (had)
		return 0;
	had = sweep_find(s->known, s->n_known, &g);
	if (had)
		row = *had;
	else
		rc = sweep_score(s, &row, err);
	if (rc != 0)
		return rc;
	row.steps = s->r->n_layers - (g.to - g.from) / g.size * (g.size - 1);
	s->measured += !had;
	s->r->row[s->r->n++] = row;
	tell(s, grouping_text(&g, text));
	if (had || clock_now() - s->kept < KEEP_EACH)
		return 0;
	s->kept = clock_now();
	return sweep_keep(s, err);
}

/* All single groups of a size; *best: the one with the least divergence. */
static int singles(struct sweep *s, int size, int *best, char err[ERR_MAX])
{
	*best = -1;
	for (int from = 0; from + size <= s->r->n_layers; from++) {
		int i, rc = measure(s, (struct grouping){ from, from + size, size, 0, false }, &i,
				    err);

		if (rc != 0)
			return rc;
		if (*best < 0 || s->r->row[i].kl < s->r->row[*best].kl)
			*best = i;
	}
	return 0;
}

/* The range with one group more at the end where that costs less; *to -1: there is no room. */
static int widen(struct sweep *s, const struct grouping *g, int *to, char err[ERR_MAX])
{
	*to = -1;
	for (int end = 0; end < 2; end++) {
		struct grouping wide = *g;
		int i, rc;

		if (end)
			wide.to += g->size;
		else
			wide.from -= g->size;
		if (wide.from < 0 || wide.to > s->r->n_layers)
			continue;
		rc = measure(s, wide, &i, err);
		if (rc != 0)
			return rc;
		if (*to < 0 || s->r->row[i].kl < s->r->row[*to].kl)
			*to = i;
	}
	return 0;
}

static bool costs_too_much(const struct sweep *s, int row)
{
	double error;

	return sweep_loss(s->r, &s->r->row[row], &error) > LOSS_MOST;
}

/* The ranges that grow from the best group, the first that costs too much included. */
static int grow(struct sweep *s, int at, int *path, int *n, char err[ERR_MAX])
{
	for (*n = 0; at >= 0;) {
		const struct grouping g = s->r->row[at].group;
		int rc;

		path[(*n)++] = at;
		if (costs_too_much(s, at))
			break;
		rc = widen(s, &g, &at, err);
		if (rc != 0)
			return rc;
	}
	return 0;
}

static int sweep_size(struct sweep *s, int size, char err[ERR_MAX])
{
	int path[MODEL_MAX_LAYERS], n, best, i;
	int rc = singles(s, size, &best, err);

	rc = rc ? rc : grow(s, best, path, &n, err);
	for (int k = 0; rc == 0 && k < n; k++) {
		struct grouping g = s->r->row[path[k]].group;

		g.bypass = 1;
		rc = measure(s, g, &i, err);
	}
	return rc;
}

/* Fewest steps; of those the least divergence. */
static int advise(const struct sweep *s, double percent)
{
	const struct sweep_result *r = s->r;
	double error;
	int best = -1;

	for (int i = 0; i < r->n; i++) {
		const struct sweep_row *a = &r->row[i], *b = &r->row[best < 0 ? i : best];

		if (sweep_loss(r, a, &error) > percent / 100)
			continue;
		if (best < 0 || a->steps < b->steps || (a->steps == b->steps && a->kl < b->kl))
			best = i;
	}
	return best;
}

static int write_advice(struct sweep *s, char err[ERR_MAX])
{
	struct advice a = { 0 };
	char figures[ADVICE_N][128];
	const char *lines[ADVICE_N];
	const struct sweep_result *r = s->r;

	for (int i = 0; i < ADVICE_N; i++) {
		int best = s->r->best[i] = advise(s, advice_loss[i]);

		lines[i] = figures[i];
		*figures[i] = '\0';
		if (best < 0)
			continue;
		a.group[i] = r->row[best].group;
		snprintf(figures[i], sizeof(figures[i]), "%d steps of %d, perplexity %.3f (dense "
			 "%.3f), divergence %.4f", r->row[best].steps, r->n_layers,
			 sweep_perplexity(r, r->row[best].nll), sweep_perplexity(r, r->dense),
			 r->row[best].kl / (double)r->rows);
	}
	return advice_write(s->o->out, s->e->model, &a, lines, err);
}

/* ---- what goes before ---- */

/* "auto" goes on with one that runs groups. */
static int choose_backend(const struct sweep_opt *o, const char **name, char err[ERR_MAX])
{
	const struct backend *be = backend_find(o->engine.backend, err);

	if (!be)
		return -1;
	*name = be->name;
	if (be->groups)
		return 0;
	if (o->engine.backend && strcmp(o->engine.backend, "auto") != 0)
		return fail(err, "the %s backend runs no groups of layers; --backend cpu does",
			    be->name);
	if (o->note)
		o->note(o->ctx, "this backend runs no groups of layers; going on with cpu");
	*name = backend_cpu.name;
	return 0;
}

static int open_engine(struct sweep *s, char err[ERR_MAX])
{
	struct engine_opt o = s->o->engine;
	const struct model_config *c;

	if (choose_backend(s->o, &o.backend, err) != 0)
		return -1;
	o.n_ctx = SWEEP_CHUNK;
	o.be.n_batch = SWEEP_BATCH;
	o.be.n_out = SWEEP_OUT;
	o.be.watch = sweep_watch;
	o.be.watch_ctx = s;
	o.strategy = "plain";
	o.cqil = o.cqil_draft = NULL;
	s->e = engine_open(&o, err);
	if (!s->e)
		return -1;
	if (s->o->note && *s->e->notes[NOTE_THREADS])
		s->o->note(s->o->ctx, s->e->notes[NOTE_THREADS]);
	c = &s->e->model->cfg;
	if (c->n_layers < 2)
		return fail(err, "a model of one layer has none to run in groups");
	if (c->n_out != c->n_vocab)
		return fail(err, "this is a little model, whose logits are of a part of the "
			    "vocabulary only: groups are for the big one");
	sidecar_base(s->e->model, s->base);
	return 0;
}

static int make_room(struct sweep *s, char err[ERR_MAX])
{
	struct sweep_result *r = s->r;
	int layers = s->e->model->cfg.n_layers;

	r->n_layers = layers;
	s->most = SWEEP_SIZES * 3 * layers;     /* alone, at either end, with a bypass */
	r->row = mem_new((size_t)s->most, sizeof(*r->row), err);
	s->known = r->row ? mem_new((size_t)s->most, sizeof(*s->known), err) : NULL;
	r->alike = s->known ? mem_new((size_t)layers, sizeof(*r->alike), err) : NULL;
	s->before = r->alike ? mem_new((size_t)SWEEP_BATCH * (size_t)s->e->model->cfg.n_embd,
				       sizeof(*s->before), err) : NULL;
	for (int size = 2; size < 2 + SWEEP_SIZES && size <= layers; size++)
		s->expected += layers - size + 1 + GROWS;
	return s->before ? 0 : -1;
}

/* As much of the text as time and memory allow, where a chunk takes that long. */
static int choose_chunks(const struct sweep *s, double each)
{
	double time = s->o->minutes * 60 / (each * (s->expected + 1));
	int fits = sweep_fits(s), n = time < fits ? (int)time : fits;

	if (n < CHUNKS_LEAST)
		n = fits < CHUNKS_LEAST ? fits : CHUNKS_LEAST;
	return n;
}

/* How much of the text; as much as before an interruption. */
static int settle(struct sweep *s, char err[ERR_MAX])
{
	double each = sweep_seconds(s, err);
	struct engine_memory m = engine_memory(s->e);
	int n = each < 0 ? -1 : sweep_recall(s, err), left;

	if (n < 0)
		return -1;
	n = n ? n : choose_chunks(s, each);
	left = s->expected > s->n_known ? s->expected - s->n_known : 1;
	if (s->o->begin)
		s->o->begin(s->o->ctx, each * n * (left + 1),
			    m.weights + m.work + m.kv + sweep_bytes(s, n));
	return sweep_take(s, n, err);
}

static int run(struct sweep *s, char err[ERR_MAX])
{
	int rc;

	if (calibrate_check_out(s->o->out, err) != 0 || open_engine(s, err) != 0 ||
	    make_room(s, err) != 0 || sweep_read(s, err) != 0 || settle(s, err) != 0)
		return -1;
	rc = sweep_dense(s, err);
	if (rc != 0)
		return rc;
	sweep_check_known(s);
	s->began = s->kept = clock_now();
	for (int size = 2; rc == 0 && size < 2 + SWEEP_SIZES && size <= s->r->n_layers; size++)
		rc = sweep_size(s, size, err);
	return rc ? rc : write_advice(s, err);
}

int sweep_run(const struct sweep_opt *o, struct sweep_result *r, char err[ERR_MAX])
{
	struct sweep s = { .o = o, .r = r, .start = clock_now() };
	char why[ERR_MAX];
	int rc = -1;

	*r = (struct sweep_result){ .n = 0 };
	if (asprintf(&s.part, "%s.part", o->out) < 0)
		return fail(err, "out of memory");
	rc = run(&s, err);
	if (rc == 0)
		unlink(s.part);
	else
		r->kept = r->n ? sweep_keep(&s, why) == 0 : s.n_known > 0;
	r->seconds = clock_now() - s.start;
	engine_close(s.e);
	mem_free(s.ids);
	mem_free(s.logits);
	mem_free(s.dense);
	mem_free(s.before);
	mem_free(s.known);
	free(s.part);
	return rc;
}

void sweep_free(struct sweep_result *r)
{
	mem_free(r->row);
	mem_free(r->alike);
}
