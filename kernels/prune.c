/* prune.c - see prune.h.  No state. */
#include "kernels/prune.h"
#include "engine/gguf/quant.h"
#include <math.h>

struct pruning prune_split(double rho)
{
	struct pruning p = { .in = 1, .hidden = 1 };

	if (rho > 0 && rho < 1) {
		p.in = 1 / (1 + exp(-(0.98499307 * log(rho / (1 - rho)) + 0.29976478)));
		p.hidden = fmax(3 * rho - 2 * p.in, 0);
	}
	return p;
}

/* sum[i] += the squares of column i; row: room for one. */
static void add_squares(const struct gguf_tensor *t, float *row, double *sum)
{
	size_t bytes = quant_bytes(quant_info((int)t->type), t->dim[0]);

	for (int64_t r = 0; r < t->dim[1]; r++) {
		quant_row(t->type, (const uint8_t *)t->data + (size_t)r * bytes, row, t->dim[0]);
		for (int64_t i = 0; i < t->dim[0]; i++)
			sum[i] += (double)row[i] * (double)row[i];
	}
}

/* Of the columns of n matrices from `first` on together; NULL: no memory. */
static float *norms_of(const struct layer *l, enum layer_mat first, int n, char err[ERR_MAX])
{
	size_t cols = (size_t)l->mat[first]->dim[0];
	double *sum = mem_new(cols, sizeof(*sum), err);
	float *row = sum ? mem_new(cols, sizeof(*row), err) : NULL;

	for (int i = 0; row && i < n; i++)
		add_squares(l->mat[(int)first + i], row, sum);
	for (size_t i = 0; row && i < cols; i++)
		row[i] = (float)sqrt(sum[i]);
	mem_free(sum);
	return row;
}

struct column_norms *column_norms_new(const struct model *m, char err[ERR_MAX])
{
	struct column_norms *c = mem_new(1, sizeof(*c), err);
	int l = 0;

	for (; c && l < m->cfg.n_layers; l++) {
		c->in[l] = norms_of(&m->layer[l], MAT_GATE, 2, err);
		c->hidden[l] = c->in[l] ? norms_of(&m->layer[l], MAT_DOWN, 1, err) : NULL;
		if (!c->hidden[l])
			break;
		gguf_drop_all(m->file);
	}
	if (c && l == m->cfg.n_layers)
		return c;
	column_norms_free(c);
	return NULL;
}

void column_norms_free(struct column_norms *c)
{
	for (int l = 0; c && l < MODEL_MAX_LAYERS; l++) {
		mem_free(c->in[l]);
		mem_free(c->hidden[l]);
	}
	mem_free(c);
}
