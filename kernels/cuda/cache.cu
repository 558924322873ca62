/* cache.cu - keys and values of a text, and how far a pass may go back in them.
 *
 * A cache owns a block of device memory (and one for the rows that it keeps, bridge.cu); layers
 * that see a window have rings in it (engine/model/window.h), so planes differ in size.
 * Invariant: placing twice from the same base gives the same pointers. */
#include "kernels/cuda/dev_api.cuh"

/* ---- memory ---- */

static int parts_of(int n, int each)
{
	return (n + each - 1) / each;
}

/* So many positions in few pieces of whole spans. */
static struct cut cut_context(int seen)
{
	int piece = parts_of(parts_of(seen, SPAN), PIECES) * SPAN;

	return (struct cut){ piece, parts_of(seen, piece) };
}

/* A window, which may begin within a piece, touches one more. */
static void cut_all(struct kv *kv)
{
	const struct model_config *c = &kv->dev->model->cfg;
	bool windowed = c->window && c->window < kv->head.n_ctx - FEW_ROWS;

	kv->cut[false] = cut_context(kv->head.n_ctx);
	kv->cut[true] = cut_context(windowed ? c->window + FEW_ROWS : kv->head.n_ctx);
	kv->cut[true].pieces += windowed;
	kv->part_pieces = kv->cut[kv->cut[true].pieces > kv->cut[false].pieces].pieces;
}

static size_t scales(const struct model_config *c)      /* of a row in q8_0 */
{
	return (size_t)((c->head_dim + BLOCK - 1) / BLOCK);
}

static size_t plane_place(const struct kv *kv, struct plane *p, bool q8, struct arena *a)
{
	const struct model_config *c = &kv->dev->model->cfg;
	size_t rows = kv->head.rings.all, from = a->at;

	p->x = (uint8_t *)arena_take(a, rows * (size_t)c->head_dim, q8 ? 1 : 2);
	p->scale = q8 ? (uint16_t *)arena_take(a, rows * scales(c), 2) : NULL;
	return a->at - from;
}

static size_t part_bytes(const struct kv *kv)
{
	const struct model_config *c = &kv->dev->model->cfg;

	return (size_t)FEW_ROWS * (size_t)c->n_heads * (size_t)kv->part_pieces *
	       (size_t)(c->head_dim + 2) * sizeof(float);
}

size_t kv_place(struct kv *kv)
{
	struct arena a = { kv->arena, 0 };

	rings_lay_out(&kv->head.rings, &kv->dev->model->cfg, kv->dev->has, kv->head.n_ctx,
		      kv->dev->n_batch, kv->dev->n_back);
	cut_all(kv);
	kv->bytes = plane_place(kv, &kv->k, kv->dev->q8_k, &a);
	kv->bytes += plane_place(kv, &kv->v, kv->dev->q8_v, &a);
	kv->part = (float *)arena_take(&a, part_bytes(kv), 1);
	return a.at;
}

void kv_free(struct kv *kv)
{
	if (!kv)
		return;
	graphs_drop(kv->dev, kv);
	cudaFree(kv->kept.arena);
	cudaFree(kv->arena);
	mem_free(kv);
}

struct kv *kv_new(struct dev *d, int n_ctx, char err[ERR_MAX])
{
	struct kv *kv = (struct kv *)mem_new(1, sizeof(*kv), err);
	size_t bytes;

	if (!kv)
		return NULL;
	kv->dev = d;
	kv->head.n_ctx = memory_rows(n_ctx);
	bytes = kv_place(kv);
	if (cuda_check(err, cudaMalloc((void **)&kv->arena, bytes), "a cache") != 0 ||
	    cuda_check(err, cudaMemsetAsync(kv->arena, 0, bytes, d->stream), "a cache") != 0) {
		kv_free(kv);
		return NULL;
	}
	kv_place(kv);
	d->work_bytes += bytes - kv->bytes;
	return kv;
}

size_t kv_bytes(const struct kv *kv)
{
	return kv->bytes + kv->kept.bytes;
}

size_t kv_row_bytes(const struct kv *kv)
{
	const struct model_config *c = &kv->dev->model->cfg;

	return kv->bytes * (size_t)c->n_kv_heads / kv->head.rings.all;
}

static struct plane plane_of(const struct kv *kv, struct plane all, int layer)
{
	const struct model_config *c = &kv->dev->model->cfg;
	size_t each = (size_t)c->head_dim * (all.scale ? 1 : sizeof(uint16_t));
	size_t at = kv->head.rings.at[layer];

	return (struct plane){ all.x + at * each, all.scale ? all.scale + at * scales(c) : NULL };
}

struct heads kv_heads(const struct kv *kv, int layer)
{
	const struct dev *d = kv->dev;
	const struct model_config *c = &d->model->cfg;
	const struct cuda_layer *w = &d->layer[layer];
	int set = layer_rope(c, layer, kv->head.n_ctx);

	return (struct heads){
		.n_heads = c->n_heads, .n_kv_heads = c->n_kv_heads, .dim = c->head_dim,
		.n_rot = c->n_rot, .pairs = c->rope == ROPE_PAIRS, .q8_k = d->q8_k,
		.q8_v = d->q8_v, .rows = kv->head.rings.rows[layer],
		.k = plane_of(kv, kv->k, layer), .v = plane_of(kv, kv->v, layer),
		.turn = d->turn + set * c->n_rot, .ld_turn = rope_sets(c) * c->n_rot,
		.q_norm = w->norm[NORM_Q], .k_norm = w->norm[NORM_K], .eps = c->norm_eps,
		.place = d->place, .ticket = d->ticket,
	};
}

/* ---- how far back ---- */

int kv_back(const struct kv *kv)
{
	return rings_back(&kv->head.rings, &kv->dev->model->cfg);
}
