/* bridge.c - whether a bridge fits a model, and a pass the bridge: what every backend asks.  No
 * state. */
#include "kernels/schedule.h"
#include "kernels/peaks.h"

static bool check_shape(const struct gguf_tensor *t, int rows, int cols)
{
	return t && t->n_dims <= 2 && t->dim[0] == cols && t->dim[1] == rows &&
	       (t->type == QUANT_F32 || t->type == QUANT_F16 || t->type == QUANT_Q8_0);
}

static int check_adapters(const struct model_config *c, const struct bridge *g, char err[ERR_MAX])
{
	int keys = c->n_kv_heads * c->head_dim;

	if (g->rank < 1 || g->rank % 32 || g->rank > BRIDGE_RANK || keys % 16)
		return fail(err, "adapters of rank %d beside keys of %d rows: there may be "
			    "multiples of 32 up to %d, and of 16", g->rank, keys, BRIDGE_RANK);
	for (int l = g->s; l < c->n_layers; l++)
		for (int i = 0; i < ADAPTS; i++) {
			const struct adapter *a = &g->adapt[l][i];

			if ((a->down || a->up) &&
			    (!check_shape(a->down, g->rank, adapt_in(c, (enum adapt)i)) ||
			     !check_shape(a->up, adapt_out(c, (enum adapt)i), g->rank)))
				return fail(err, "adapter %d of layer %d has not the shape or type "
					    "that this model needs", i, l);
		}
	return 0;
}

static int check_vocabulary(const struct model_config *c, const struct bridge *g,
			    char err[ERR_MAX])
{
	if (g->n_vocab < PEAK || g->n_vocab % PEAK || g->n_vocab > c->n_out)
		return fail(err, "a draft vocabulary of %d tokens: there may be multiples of %d up "
			    "to the model's %d", g->n_vocab, PEAK, c->n_out);
	for (int i = 0; i < g->n_vocab; i++)
		if (g->vocab[i] < 0 || g->vocab[i] >= c->n_out ||
		    (i && g->vocab[i] <= g->vocab[i - 1]))
			return fail(err, "token %d of a draft vocabulary, in place %d: they must "
				    "ascend, and the model has %d", g->vocab[i], i, c->n_out);
	return 0;
}

int bridge_fits(const struct model_config *c, const struct bridge *g, char err[ERR_MAX])
{
	if (g->a < 0 || g->s <= g->a || g->s >= c->n_layers || g->k < 1 || g->k > BRIDGE_ROWS)
		return fail(err, "a bridge from layer %d to %d for %d rows: the model has %d "
			    "layers, and at most %d rows cross", g->a, g->s, g->k, c->n_layers,
			    BRIDGE_ROWS);
	if (!check_shape(g->weight, g->k * c->n_embd, BRIDGE_PARTS * c->n_embd) ||
	    !check_shape(g->bias, 1, g->k * c->n_embd) || g->bias->type != QUANT_F32)
		return fail(err, "the bridge's matrix or bias has not the shape or type that %d "
			    "rows of this model need", g->k);
	if (g->vocab && check_vocabulary(c, g, err) != 0)
		return -1;
	return g->adapt ? check_adapters(c, g, err) : 0;
}

int keep_fits(const struct model_config *c, const int *layer, int n, char err[ERR_MAX])
{
	if (n < 1 || n > KEEP_LAYERS)
		return fail(err, "rows of %d layers to keep: a cache keeps those of 1 to %d", n,
			    KEEP_LAYERS);
	for (int i = 0; i < n; i++)
		if (layer[i] < 0 || layer[i] >= c->n_layers)
			return fail(err, "rows of layer %d to keep: the model has %d layers",
				    layer[i], c->n_layers);
	return 0;
}

static bool has(const int *kept, int n, int layer)
{
	for (int i = 0; i < n; i++)
		if (kept[i] == layer)
			return true;
	return false;
}

int bridge_pass_fits(const struct model_config *c, const struct batch *b,
		     const struct bridge *given, const int *kept, int n_kept, char err[ERR_MAX])
{
	const struct bridge *g = b->run->bridge;
	int fed[KEEP_LAYERS];

	if (given != g)
		return fail(err, "a pass over a bridge that this device was not given");
	if (b->lanes || b->n != 1)
		return fail(err, "a bridge for %d rows%s: it takes the one row of one text", b->n,
			    b->lanes ? " of several texts" : "");
	if (b->n_out < 1 || b->n_out > g->k)
		return fail(err, "a bridge for %d rows is to make %d of one", g->k, b->n_out);
	bridge_fed(g, c, fed);
	if (!has(kept, n_kept, fed[0]) || !has(kept, n_kept, fed[1]))
		return fail(err, "a bridge to layer %d: the cache does not keep what enters layers "
			    "%d and %d (kv_keep)", g->s, fed[0], fed[1]);
	return 0;
}
