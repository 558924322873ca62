/* prune.c - see prune.h. */
#include "kernels/cpu/prune.h"
#include "kernels/prune.h"
#include "kernels/topk.h"

void prune_in(const struct step *s, const struct op *op, int i, float *x)
{
	const struct column_norms *w = s->b->run->norms;

	if (op->keep_in)
		topk_keep(x, w ? w->in[op->layer + i] : NULL, s->d->model->cfg.n_embd, op->keep_in);
}

/* Row j of those that all layers of a group have made; *weight: its layer's. */
static float *hidden_row(const struct step *s, const struct op *op, int j, const float **weight)
{
	const struct column_norms *w = s->b->run->norms;
	int n_ff = s->d->model->cfg.n_ff, i = j / s->n;

	*weight = w ? w->hidden[op->layer + i] : NULL;
	return step_at(s, s->d->gate, i, n_ff) + (size_t)(j % s->n) * (size_t)n_ff;
}

void prune_hidden(const struct step *s, int t, const struct op *op, bool quantised)
{
	const struct dev *d = s->d;
	int n_ff = d->model->cfg.n_ff, rows = s->n * op->n_group, from, to;
	const float *weight;

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
