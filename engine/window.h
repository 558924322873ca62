/* window.h - caches of layers that see only so many positions: rings, for all backends.
 *
 * Position p of a ring of n rows lies in row p % n.  It holds the window and one step more, so that
 * what a step writes is never what it still reads, and a few positions to go back by.
 * Invariant: a ring is a multiple of WINDOW_SPAN rows, so positions of a span lie side by side. */
#ifndef S3D_WINDOW_H
#define S3D_WINDOW_H
#include "model.h"

enum { WINDOW_SPAN = 128, WINDOW_SPARE = 64, BATCH_DEFAULT = 256 };

/* Positions that a cache of n_ctx sets aside in layers that see all of it. */
static inline int memory_rows(int n_ctx)
{
	return (n_ctx + 15) & ~15;
}

/* Rows that a layer has in a cache whose other layers have n_ctx, when a step has at most n_batch
 * (0: the default). */
static inline int window_rows(const struct model_config *c, int layer, int n_ctx, int n_batch)
{
	int64_t step = n_batch > 0 ? n_batch : BATCH_DEFAULT;
	int64_t ring = (c->window + step + WINDOW_SPARE + WINDOW_SPAN - 1) / WINDOW_SPAN *
		       WINDOW_SPAN;

	return layer_local(c, layer) && ring < n_ctx ? (int)ring : n_ctx;
}

/* The sum of that over all layers. */
static inline size_t window_rows_all(const struct model_config *c, int n_ctx, int n_batch)
{
	size_t sum = 0;

	for (int l = 0; l < c->n_layers; l++)
		sum += (size_t)window_rows(c, l, n_ctx, n_batch);
	return sum;
}

/* The first position, beside 0, that a pass may begin at in a ring of so many rows, after positions
 * below top were written: all that it sees are there. */
static inline int window_back(const struct model_config *c, int rows, int top)
{
	return top > rows ? top - rows + c->window - 1 : 0;
}

/* The first position that a query at pos sees in a layer. */
static inline int window_first(const struct model_config *c, int layer, int pos)
{
	return layer_local(c, layer) && pos >= c->window ? pos - c->window + 1 : 0;
}
#endif
