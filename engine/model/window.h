/* window.h - caches of layers that see only so many positions: rings, for all backends.
 *
 * Position p of a ring of n rows lies in row p % n.  It holds the window and one step more, so that
 * what a step writes is never what it still reads, and so many positions to go back by: a few for
 * drafts, in a chat a whole turn, which may be asked again or taken back.
 * Invariant: a ring is a multiple of WINDOW_SPAN rows, so positions of a span lie side by side. */
#ifndef S3D_WINDOW_H
#define S3D_WINDOW_H
#include "engine/model/model.h"

enum { WINDOW_SPAN = 128, WINDOW_SPARE = 64, BATCH_DEFAULT = 256 };

/* Positions that a cache of n_ctx sets aside in layers that see all of it. */
static inline int memory_rows(int n_ctx)
{
	return (n_ctx + 15) & ~15;
}

/* Positions that a chat's caches go back by: of most turns, question and answer, all; fewer where
 * the rings of a large model would take more memory for it than the budget. */
enum { WINDOW_TURN = 2048, WINDOW_BUDGET_MIB = 128 };
static inline int window_turn(const struct model_config *c)
{
	int64_t each = 0, rows;         /* bytes of f16 keys and values of one position */

	for (int l = 0; l < c->n_layers; l++)
		if (layer_local(c, l))
			each += (int64_t)4 * c->n_kv_heads * ((c->head_dim + 15) & ~15);
	rows = each ? ((int64_t)WINDOW_BUDGET_MIB << 20) / each : 0;
	return rows < WINDOW_SPARE ? WINDOW_SPARE : rows > WINDOW_TURN ? WINDOW_TURN : (int)rows;
}

/* Rows that a layer has in a cache whose other layers have n_ctx, when a step has at most n_batch
 * (0: the default) and the cache goes back by n_back (0: what drafts need). */
static inline int window_rows(const struct model_config *c, int layer, int n_ctx, int n_batch,
			      int n_back)
{
	int64_t step = n_batch > 0 ? n_batch : BATCH_DEFAULT;
	int64_t back = n_back > WINDOW_SPARE ? n_back : WINDOW_SPARE;
	int64_t ring = (c->window + step + back + WINDOW_SPAN - 1) / WINDOW_SPAN * WINDOW_SPAN;

	return layer_local(c, layer) && ring < n_ctx ? (int)ring : n_ctx;
}

/* Where the rows of a cache lie, whose planes of one layer, n_kv_heads of them, stand behind those
 * of the layer before. */
struct rings {
	int rows[MODEL_MAX_LAYERS];     /* of each of a layer's planes */
	size_t at[MODEL_MAX_LAYERS];    /* rows of all planes before */
	size_t all;                     /* rows of all planes */
	int top;                        /* behind the last position that was written */
};

/* Of a device that has some layers only, a bit for each (NULL: all): others have no rows. */
static inline void rings_lay_out(struct rings *r, const struct model_config *c,
				 const uint64_t *has, int n_ctx, int n_batch, int n_back)
{
	r->all = 0;
	for (int l = 0; l < c->n_layers; l++) {
		bool here = !has || (has[l / 64] >> (l % 64) & 1);

		r->rows[l] = here ? window_rows(c, l, n_ctx, n_batch, n_back) : 0;
		r->at[l] = r->all;
		r->all += (size_t)c->n_kv_heads * (size_t)r->rows[l];
	}
}

/* A pass writes n rows from pos on. */
static inline void rings_reach(struct rings *r, int pos, int n)
{
	if (!pos || pos + n > r->top)
		r->top = pos + n;
}

/* The first position, beside 0, that a pass may begin at: all that it sees are there. */
static inline int rings_back(const struct rings *r, const struct model_config *c)
{
	int back = 0;

	for (int l = 0; l < c->n_layers; l++) {
		int at = r->top > r->rows[l] ? r->top - r->rows[l] + c->window - 1 : 0;

		back = r->rows[l] && at > back ? at : back;
	}
	return back;
}

/* The first position that a query at pos sees in a layer. */
static inline int window_first(const struct model_config *c, int layer, int pos)
{
	return layer_local(c, layer) && pos >= c->window ? pos - c->window + 1 : 0;
}
#endif
