/* prune.c - see prune.h. */
#include "kernels/cpu/prune.h"
#include "kernels/prune.h"
#include "kernels/topk.h"

static const float *norm_of(const struct step *s, int layer, enum column_side side)
{
	const struct column_norms *w = s->b->run->norms;

	return !w ? NULL : side == COLUMNS_IN ? w->in[layer] : w->hidden[layer];
}

void prune_in(const struct step *s, const struct op *op, int i, float *x)
{
	if (op->keep_in)
		topk_keep(x, norm_of(s, op->layer + i, COLUMNS_IN), s->d->model->cfg.n_embd,
			  op->keep_in);
}

struct column_cache *prune_cache(const struct step *s)
{
	return s->b->run->gamma > 0 && !s->b->lanes ? s->kv->columns : NULL;
}

/* What of a row counts, which enters the i-th layer of a group or its last matrix. */
static void choose(const struct step *s, const struct op *op, int i, enum column_side side, int row,
		   float *x)
{
	const struct schedule *run = s->b->run;
	struct column_choice h = {
		.layer = op->layer + i, .side = side,
		.k = side == COLUMNS_IN ? op->keep_in : op->keep_hidden,
		.norm = norm_of(s, op->layer + i, side), .gamma = run->gamma, .warm = run->warm,
	};

	column_cache_choose(prune_cache(s), &h, row, x);
}

void prune_in_cached(const struct step *s, int t, const struct op *op, const float *x, size_t next)
{
	const struct dev *d = s->d;
	int k = d->model->cfg.n_embd, from, to;

	pool_share(d->pool, t, op->n_group, &from, &to);
	for (int i = from; i < to; i++)
		for (int row = 0; row < s->n; row++) {
			size_t at = (size_t)row * (size_t)k;
			const float *norm = d->layer[op->layer + i].norm[NORM_FFN];
			float *y = step_at(s, d->tmp, i, k) + at;

			d->k->norm(x + (size_t)i * next + at, norm, k, d->model->cfg.norm_eps, y);
			choose(s, op, i, COLUMNS_IN, row, y);
		}
}

/* Each layer's rows by one thread, in their order, as each may choose by what those before took. */
static void prune_hidden_cached(const struct step *s, int t, const struct op *op, bool quantised)
{
	const struct dev *d = s->d;
	int n_ff = d->model->cfg.n_ff, from, to;

	pool_share(d->pool, t, op->n_group, &from, &to);
	for (int i = from; i < to && !step_halted(s); i++)
		for (int row = 0; row < s->n; row++) {
			choose(s, op, i, COLUMNS_HIDDEN, row,
			       step_at(s, d->gate, i, n_ff) + (size_t)row * (size_t)n_ff);
			if (quantised)
				d->k->quantise(&d->ff, i * s->apart + row, 0, n_ff / BLOCK);
		}
}

/* Row j of those that all layers of a group have made; *weight: its layer's. */
static float *hidden_row(const struct step *s, const struct op *op, int j, const float **weight)
{
	int n_ff = s->d->model->cfg.n_ff, i = j / s->n;

	*weight = norm_of(s, op->layer + i, COLUMNS_HIDDEN);
	return step_at(s, s->d->gate, i, n_ff) + (size_t)(j % s->n) * (size_t)n_ff;
}

void prune_hidden(const struct step *s, int t, const struct op *op, bool quantised)
{
	const struct dev *d = s->d;
	int n_ff = d->model->cfg.n_ff, rows = s->n * op->n_group, from, to;
	const float *weight;

	if (prune_cache(s)) {
		prune_hidden_cached(s, t, op, quantised);
		return;
	}
	pool_share(d->pool, t, rows, &from, &to);
	for (int j = from; j < to && !step_halted(s); j++) {
		const float *row = hidden_row(s, op, j, &weight);

		d->cut[j] = topk_find(row, weight, n_ff, op->keep_hidden);
	}
	pool_sync(d->pool);
	pool_share(d->pool, t, n_ff / BLOCK, &from, &to);
	for (int j = 0; j < rows && !step_halted(s); j++) {
		float *row = hidden_row(s, op, j, &weight);

		topk_cut(row, weight, from * BLOCK, to * BLOCK, &d->cut[j]);
		if (quantised)
			d->k->quantise(&d->ff, j / s->n * s->apart + j % s->n, from, to);
	}
}

int prune_pass(const struct step *s, char err[ERR_MAX])
{
	struct column_cache *c = s->b->lanes ? NULL : s->kv->columns;
	bool chooses = c && prune_cache(s);

	if (chooses && s->b->n > column_cache_rows(c))
		return fail(err, "forward of %d rows that choose by a cache of columns, which "
			    "takes %d", s->b->n, column_cache_rows(c));
	if (c)
		column_cache_pass(c, s->b->pos, chooses ? s->b->n : 0);
	return 0;
}

/* ---- the extension ---- */

static int kv_columns(struct kv *kv, const struct column_cache_opt *o, char err[ERR_MAX])
{
	struct dev *d = kv->dev;
	struct column_cache *c = o ? column_cache_new(d->model, o, d->n_out, err) : NULL;

	if (o && !c)
		return -1;
	column_cache_free(kv->columns);
	kv->columns = c;
	return 0;
}

static void kv_anew(struct kv *kv)
{
	if (kv->columns)
		column_cache_anew(kv->columns);
}

static struct column_counts kv_counts(const struct kv *kv)
{
	return kv->columns ? column_cache_counts(kv->columns) : (struct column_counts){ .rows = 0 };
}

const struct backend_columns cpu_columns = {
	.kv_columns = kv_columns, .kv_anew = kv_anew, .kv_counts = kv_counts,
};
