/* bridge.cu - a pass that leaves the middle of the model out: the rows that it needs from full
 * passes, its features, its matrices.
 *
 * A cache owns the rows that it keeps, a device its bridge; each is a block of device memory.
 * Invariant: whose row is kept is written beside the row, by the same kernel and from the position
 * that the cache's row gets, so recorded and chained passes, and rollback, need nobody to count. */
#include "kernels/cuda/dev_api.cuh"
#include "kernels/cuda/op/finish.cuh"
#include "kernels/cuda/pack.cuh"

/* ---- kept rows ---- */

/* From k->arena on, NULL: only to see how much it takes. */
static void kept_place(struct kept *k, int n, int width)
{
	struct arena a = { k->arena, 0 };

	k->x = (float *)arena_take(&a, (size_t)(KEEP_ROWS * n) * (size_t)width, sizeof(*k->x));
	k->pos = (int *)arena_take(&a, (size_t)(KEEP_ROWS * n), sizeof(*k->pos));
	k->bytes = a.at;
}

static int kept_new(const struct kv *kv, struct kept *k, int n, char err[ERR_MAX])
{
	const struct dev *d = kv->dev;

	kept_place(k, n, d->model->cfg.n_embd);
	if (cuda_check(err, cudaMalloc((void **)&k->arena, k->bytes), "rows to keep") != 0)
		return -1;
	kept_place(k, n, d->model->cfg.n_embd);
	return cuda_check(err, cudaMemsetAsync(k->pos, -1, (size_t)(KEEP_ROWS * n) *
					       sizeof(*k->pos), d->stream), "rows to keep");
}

int kv_keep(struct kv *kv, const int *layer, int n, char err[ERR_MAX])
{
	struct kept kept = {};

	if (keep_fits(&kv->dev->model->cfg, layer, n, err) != 0)
		return -1;
	if (kept_new(kv, &kept, n, err) != 0) {
		cudaFree(kept.arena);
		return -1;
	}
	graphs_drop(kv->dev, kv);
	cudaFree(kv->kept.arena);
	kv->kept = kept;
	kv->head.n_kept = n;
	memcpy(kv->head.kept_layer, layer, sizeof(*layer) * (size_t)n);
	return 0;
}

/* The last rows of a step, a block of threads for each; `slots` rows are kept of a position. */
__global__ void keep_kernel(const float *x, int n, int width, const struct place *place,
			    float *kept, int *kept_pos, int slots)
{
	int row = n - (int)gridDim.x + (int)blockIdx.x, pos = place->pos + row;
	int at = pos % KEEP_ROWS * slots;

	for (int i = (int)threadIdx.x; i < width; i += (int)blockDim.x)
		kept[(size_t)at * (size_t)width + (size_t)i] =
			x[(size_t)row * (size_t)width + (size_t)i];
	if (threadIdx.x == 0)
		kept_pos[at] = pos;
}

int keep_rows(const struct step *s, const struct op *op)
{
	const struct kv_head *kv = &s->kv->head;
	const struct kept *k = &s->kv->kept;
	int width = s->d->model->cfg.n_embd;

	for (int i = 0; i < kv->n_kept; i++)
		if (kv->kept_layer[i] >= op->keep_from && kv->kept_layer[i] < op->keep_to)
			LAUNCH(keep_kernel, dim3((unsigned)(s->n < KEEP_ROWS ? s->n : KEEP_ROWS)),
			       dim3(128), 0, s->d->stream, s->d->x, s->n, width, s->d->place,
			       k->x + (size_t)i * (size_t)width, k->pos + i, kv->n_kept);
	return dev_check(s->d, cudaGetLastError(), "keeping rows");
}

/* ---- features ---- */

struct features {
	const float *x;         /* (width) the row that crosses */
	const float *kept[KEEP_LAYERS]; /* (KEEP_ROWS, slots, width) what entered layers */
	const int *pos[KEEP_LAYERS];    /* (KEEP_ROWS, slots) */
	int slots, width;
	const struct place *place;
	struct act out;
};

/* A thread for each column.  What is not kept any more counts as zeros. */
__global__ void features_kernel(const __grid_constant__ struct features a)
{
	int i = (int)(blockIdx.x * blockDim.x + threadIdx.x), part = i / a.width;
	int before = a.place->pos - 1, at = before % KEEP_ROWS * a.slots;
	const float *from = a.x;

	if (part >= BRIDGE_PARTS)       /* whole warps */
		return;
	if (part)
		from = before >= 0 && a.pos[part - 1][at] == before ?
		       a.kept[part - 1] + (size_t)at * (size_t)a.width : NULL;
	put_tile(&a.out, 0, i / TILE, from ? from[i % a.width] : 0, true);
}

int put_features(const struct step *s)
{
	struct dev *d = s->d;
	const struct model_config *c = &d->model->cfg;
	int fed[KEEP_LAYERS];
	unsigned blocks = (unsigned)(BRIDGE_PARTS * c->n_embd + 127) / 128;
	struct features f = {};

	bridge_fed(s->run->bridge, c, fed);
	for (int i = 0; i < KEEP_LAYERS; i++) {
		int slot = kv_kept(&s->kv->head, fed[i]);

		f.kept[i] = s->kv->kept.x + (size_t)slot * (size_t)c->n_embd;
		f.pos[i] = s->kv->kept.pos + slot;
	}
	f.x = d->x;
	f.slots = s->kv->head.n_kept;
	f.width = c->n_embd;
	f.place = d->place;
	f.out = d->cross.features;
	LAUNCH(features_kernel, dim3(blocks), dim3(128), 0, d->stream, f);
	return dev_check(d, cudaGetLastError(), "what a bridge takes");
}

/* ---- the bridge of a device ---- */

/* Calls f with what is to be loaded of every adapter. */
template <typename F>
static int each_adapter(struct dev *d, const struct bridge *g, F f)
{
	for (int l = g->s; g->adapt && l < d->model->cfg.n_layers; l++)
		for (int i = 0; i < ADAPTS; i++)
			if (g->adapt[l][i].down &&
			    f(&d->cross.adapt[l][i], &g->adapt[l][i]) != 0)
				return -1;
	return 0;
}

/* From x->arena on, NULL: only to see how much it takes. */
static void place(struct dev *d, const struct bridge *g)
{
	struct crossing *x = &d->cross;
	const struct model_config *c = &d->model->cfg;
	struct arena a = { x->arena, 0 };

	x->weight = mat_place(&a, g->weight);
	x->bias = (const float *)arena_take(&a, (size_t)(g->k * c->n_embd), sizeof(*x->bias));
	if (g->vocab) {
		const struct mat *m = &d->output;

		x->vocab = (const int *)arena_take(&a, (size_t)g->n_vocab, sizeof(*x->vocab));
		x->output = pack_place(m->type, g->n_vocab, m->cols, (uint8_t *)arena_take(
				       &a, pack_bytes(m->type, g->n_vocab, m->cols), 1));
	}
	each_adapter(d, g, [&](struct cuda_adapter *to, const struct adapter *from) {
		to->down = mat_place(&a, from->down);
		to->up = mat_place(&a, from->up);
		return 0;
	});
	x->weights = a.at;
	act_place(&x->features, &a, 1, BRIDGE_PARTS * c->n_embd);
	if (g->adapt) {
		act_place(&x->low, &a, GROUP_MAX * BRIDGE_ROWS, g->rank);
		x->up = (float *)arena_take(&a, (size_t)(GROUP_MAX * BRIDGE_ROWS *
							 adapt_widest(c)), sizeof(*x->up));
	}
	x->work = a.at - x->weights;
}

static int take_memory(struct dev *d, const struct bridge *g, char err[ERR_MAX])
{
	struct crossing *x = &d->cross;
	size_t bytes;

	if (g->adapt) {
		x->adapt = (struct cuda_adapter (*)[ADAPTS])
			   mem_new((size_t)d->model->cfg.n_layers, sizeof(*x->adapt), err);
		if (!x->adapt)
			return -1;
	}
	place(d, g);
	bytes = x->weights + x->work;
	if (cuda_check(err, cudaMalloc((void **)&x->arena, bytes), "a bridge") != 0)
		return -1;
	place(d, g);
	return cuda_check(err, cudaMemsetAsync(x->arena, 0, bytes, d->stream), "a bridge");
}

/* The output matrix is on the device already, perhaps another's. */
static int load_vocab(struct dev *d, const struct bridge *g, char err[ERR_MAX])
{
	struct crossing *x = &d->cross;

	if (!g->vocab)
		return 0;
	if (words_load(d, x->vocab, g->vocab, (size_t)g->n_vocab, err) != 0)
		return -1;
	return cuda_check(err, pack_pick(&d->output, x->vocab, &x->output, d->stream),
			  "copying a draft vocabulary");
}

static int load(struct dev *d, const struct bridge *g, char err[ERR_MAX])
{
	struct crossing *x = &d->cross;

	if (words_load(d, x->bias, g->bias->data, (size_t)(g->k * d->model->cfg.n_embd),
		       err) != 0 ||
	    load_vocab(d, g, err) != 0 || mat_load(d, &x->weight, g->weight, err) != 0)
		return -1;
	return each_adapter(d, g, [&](struct cuda_adapter *to, const struct adapter *from) {
		return mat_load(d, &to->down, from->down, err) != 0 ? -1 :
		       mat_load(d, &to->up, from->up, err);
	});
}

int bridge_open(struct dev *d, const struct bridge *g, char err[ERR_MAX])
{
	bridge_close(d);
	if (!g)
		return 0;
	if (bridge_fits(&d->model->cfg, g, err) != 0)
		return -1;
	cudaGetLastError();     /* as before a pass */
	if (take_memory(d, g, err) != 0 || load(d, g, err) != 0) {
		bridge_close(d);
		return -1;
	}
	d->cross.b = g;
	return 0;
}

void bridge_close(struct dev *d)
{
	if (d->cross.arena)
		graphs_drop(d, NULL);
	cudaFree(d->cross.arena);
	mem_free(d->cross.adapt);
	memset(&d->cross, 0, sizeof(d->cross));
}

const struct cuda_adapter *adapter_of(const struct dev *d, const struct op *op, int layer,
				      enum adapt which)
{
	return op->adapted && d->cross.adapt[layer][which].down.rows ?
	       &d->cross.adapt[layer][which] : NULL;
}

cudaError_t bridge_load(void)
{
	return kernels_load(keep_kernel, features_kernel);
}
