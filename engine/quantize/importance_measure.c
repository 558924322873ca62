/* importance_measure.c - the mean squares of what a text sends through each matrix.
 *
 * The backend shows what every stage left (see watch in backend.h); of residual rows the norm is
 * taken here, as the matrices behind it see them.  struct watcher borrows everything. */
#include "base/file.h"
#include "engine/probe.h"
#include "engine/quantize/importance_parts.h"
#include "kernels/stage.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK = 512, BATCH = 128 };

struct watcher {
	const struct model *model;      /* NULL: not yet open */
	struct importance *out;
	double *sum[STAGES];            /* (n_layers, width) of what the stage's matrices take */
	double *last;                   /* (n_embd) of what the output matrix takes */
	float *norm;            /* (n_embd) */
	long rows;
};

/* Residual rows as the matrices behind that norm see them. */
static void add_normed(struct watcher *w, double *sum, const struct gguf_tensor *norm,
		       const float *rows, int n)
{
	int width = w->model->cfg.n_embd;

	quant_row(norm->type, norm->data, w->norm, width);
	for (int r = 0; r < n; r++) {
		const float *x = rows + (size_t)r * (size_t)width;
		double square = 0, scale;

		for (int i = 0; i < width; i++)
			square += (double)x[i] * (double)x[i];
		scale = 1 / (square / width + (double)w->model->cfg.norm_eps);
		for (int i = 0; i < width; i++)
			sum[i] += (double)x[i] * (double)x[i] * scale * (double)w->norm[i] *
				  (double)w->norm[i];
	}
}

static void add_rows(double *sum, const float *rows, int n, int width)
{
	for (int r = 0; r < n; r++)
		for (int i = 0; i < width; i++) {
			double v = (double)rows[(size_t)r * (size_t)width + (size_t)i];

			sum[i] += v * v;
		}
}

static double *sum_at(struct watcher *w, enum stage stage, int layer)
{
	int first = stage_mats(stage).first;
	int64_t width = layer_mat_shape(&w->model->cfg, (enum layer_mat)first).cols;

	return w->sum[stage] + (int64_t)layer * width;
}

/* What enters a layer, or behind the last one the output matrix. */
static void add_entering(struct watcher *w, int layer, const float *rows, int n)
{
	const struct model *m = w->model;

	if (layer < m->cfg.n_layers)
		add_normed(w, sum_at(w, STAGE_QKV, layer), m->layer[layer].norm[NORM_ATTN], rows,
			   n);
	else
		add_normed(w, w->last, m->norm, rows, n);
}

static void watch(void *ctx, const char *stage, int layer, const float *rows, int n, int width)
{
	struct watcher *w = ctx;

	if (!w->model)
		return;
	if (!strcmp(stage, stage_name(STAGE_EMBED))) {
		add_entering(w, 0, rows, n);
		w->rows += n;
	} else if (!strcmp(stage, stage_name(STAGE_DOWN))) {
		add_entering(w, layer + 1, rows, n);
	} else if (!strcmp(stage, stage_name(STAGE_ATTEND))) {
		add_rows(sum_at(w, STAGE_WO, layer), rows, n, width);
	} else if (!strcmp(stage, stage_name(STAGE_WO))) {
		add_normed(w, sum_at(w, STAGE_GATE_UP, layer),
			   w->model->layer[layer].norm[NORM_FFN], rows, n);
	} else if (!strcmp(stage, stage_name(STAGE_GATE_UP))) {
		add_rows(sum_at(w, STAGE_DOWN, layer), rows, n, width);
	}
}

static int open_sums(struct watcher *w, const struct model *m, char err[ERR_MAX])
{
	const struct model_config *c = &m->cfg;
	size_t embd = (size_t)c->n_embd;

	w->norm = mem_new(embd, sizeof(float), err);
	w->last = mem_new(embd, sizeof(double), err);
	if (!w->norm || !w->last)
		return -1;
	for (int s = 0; s < STAGES; s++) {
		struct stage_mats mats = stage_mats((enum stage)s);

		if (!mats.n)
			continue;
		w->sum[s] = mem_new((size_t)c->n_layers * (size_t)layer_mat_shape(c,
				    (enum layer_mat)mats.first).cols, sizeof(double), err);
		if (!w->sum[s])
			return -1;
	}
	w->model = m;
	return 0;
}

static void close_sums(struct watcher *w)
{
	for (int s = 0; s < STAGES; s++)
		mem_free(w->sum[s]);
	mem_free(w->norm);
	mem_free(w->last);
}

static int put(struct watcher *w, struct gguf_str name, const double *sum, int64_t n,
	       char err[ERR_MAX])
{
	float *mean = importance_add(w->out, name, n, err);

	for (int64_t i = 0; mean && i < n; i++)
		mean[i] = (float)(sum[i] / (double)w->rows);
	return mean ? 0 : -1;
}

/* By the names that the matrices have in the file; several in one tensor take the same. */
static int put_all(struct watcher *w, char err[ERR_MAX])
{
	const struct model *m = w->model;
	int rc = put(w, m->output->name, w->last, m->cfg.n_embd, err);

	for (int l = 0; !rc && l < m->cfg.n_layers; l++)
		for (int s = 0; !rc && s < STAGES; s++) {
			struct stage_mats mats = stage_mats((enum stage)s);

			for (int i = mats.first; !rc && i < mats.first + mats.n; i++)
				rc = put(w, m->layer[l].mat[i]->name, sum_at(w, (enum stage)s, l),
					 m->layer[l].mat[i]->dim[0], err);
		}
	return rc;
}

static int run(const struct importance_job *job, struct engine *e, const int *ids, int n,
	       char err[ERR_MAX])
{
	for (int at = 0; at < n;) {
		int pos = at % CHUNK, some = CHUNK - pos < BATCH ? CHUNK - pos : BATCH;

		some = n - at < some ? n - at : some;
		if (job->stop && job->stop(job->ctx)) {
			*err = '\0';
			return -1;
		}
		if (!probe_look(e, ids + at, some, pos, 0, err))
			return -1;
		at += some;
		if (job->progress)
			job->progress(job->ctx, (double)at / n);
	}
	return 0;
}

static int run_text(const struct importance_job *job, struct engine *e, char err[ERR_MAX])
{
	size_t len;
	int *ids = NULL, n, rc;
	char *text = file_read(job->text, 0, (size_t)1 << 30, &len, err);

	if (!text)
		return -1;
	n = tokenizer_encode_new(e->tok, text, len, false, tokenizer_add_bos(e->tok), &ids, err);
	free(text);
	if (n == 0)
		rc = fail(err, "%s: there is no text in it", job->text);
	else
		rc = n < 0 ? -1 : run(job, e, ids, n < job->tokens ? n : job->tokens, err);
	mem_free(ids);
	return rc;
}

struct importance *importance_measure(const struct importance_job *job, char err[ERR_MAX])
{
	struct watcher w = { .out = importance_new(err) };
	struct engine_opt eo = job->engine;
	struct engine *e;
	int rc = -1;

	eo.n_ctx = CHUNK;
	eo.be.n_batch = BATCH;
	eo.be.n_out = 1;
	eo.be.watch = watch;
	eo.be.watch_ctx = &w;
	eo.strategy = "plain";
	e = w.out ? engine_open(&eo, err) : NULL;
	if (e && !open_sums(&w, e->model, err) && !run_text(job, e, err))
		rc = put_all(&w, err);
	w.model = NULL;
	engine_close(e);
	close_sums(&w);
	if (!rc)
		return w.out;
	importance_free(w.out);
	return NULL;
}
