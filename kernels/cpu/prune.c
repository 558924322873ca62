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

void prune_hidden(const struct step *s, int t, const struct op *op, bool quantised)
{
	const struct dev *d = s->d;
	const struct column_norms *w = s->b->run->norms;
	int n_ff = d->model->cfg.n_ff, from, to;

	pool_share(d->pool, t, s->n * op->n_group, &from, &to);
	for (int j = from; j < to && !step_halted(s); j++) {
		int i = j / s->n, row = j % s->n;

		topk_keep(step_at(s, d->gate, i, n_ff) + (size_t)row * (size_t)n_ff,
			  w ? w->hidden[op->layer + i] : NULL, n_ff, op->keep_hidden);
		if (quantised)
			d->k->quantise(&d->ff, i * s->apart + row, 0, n_ff / BLOCK);
	}
}
