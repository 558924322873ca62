/* attend.c - see attend.h.  RoPE, the cache, and attention cut into items.
 *
 * A query's blocks are those of all positions, whichever of them it sees.
 * Invariant: how the work is cut decides only who computes a number, never how. */
#include "kernels/cpu/attend.h"
#include <math.h>
#include <string.h>

/* How attention of a layer, the i-th of a group, is cut: (head group, rows, pieces of the context,
 * which are blocks first.. or all of blocks first..blocks-1). */
struct cut {
	int layer, i;
	int group, rows, chunks, pieces, first, blocks;
	int room;               /* for pieces, the same in all layers of the group */
};

/* One head of one row turned by RoPE, in place. */
static void turn_head(const struct model_config *c, const float *turn, float *x)
{
	int half = c->n_rot / 2, step = c->rope == ROPE_PAIRS ? 2 : 1;
	int apart = c->rope == ROPE_PAIRS ? 1 : half;

	for (int j = 0; j < half; j++) {
		float *p = x + j * step, cosine = turn[2 * j], sine = turn[2 * j + 1];
		float a = p[0], b = p[apart];

		p[0] = a * cosine - b * sine;
		p[apart] = a * sine + b * cosine;
	}
}

/* The Walsh-Hadamard transform of every run of as many dimensions as the largest power of two that
 * divides them, in place.  It is orthogonal: queries and keys that both went through it have the
 * scores they had, but no dimension of a key is left much larger than the others, for whose codes
 * few steps would remain (QuaRot, Ashkboos et al. 2024, where KV caches are rounded). */
static void spread(float *x, int dim)
{
	int run = dim & -dim;
	float norm = 1 / sqrtf((float)run);

	for (int step = 1; step < run; step *= 2)
		for (int i = 0; i < dim; i += 2 * step)
			for (int j = i; j < i + step; j++) {
				float a = x[j], b = x[j + step];

				x[j] = a + b;
				x[j + step] = a - b;
			}
	for (int i = 0; i < dim; i++)
		x[i] *= norm;
}

static struct plane plane_of(const struct kv *kv, struct plane all, int layer, int head)
{
	size_t row = kv->head.rings.at[layer] +
		     (size_t)head * (size_t)kv->head.rings.rows[layer];
	size_t at = row * (size_t)kv->dev->pad_dim;

	if (!all.scale)
		return (struct plane){ (uint16_t *)all.x + at, NULL };
	return (struct plane){ (int8_t *)all.x + at,
			       all.scale + row * (size_t)plane_blocks(kv->dev->pad_dim) };
}

/* One position of one head; the dimensions of x lie apart elements from each other from at on. */
static void store_row(const struct dev *d, struct plane p, int pos, const float *x, size_t at,
		      size_t apart)
{
	int dim = d->model->cfg.head_dim, blocks = plane_blocks(d->pad_dim);
	uint16_t half[ATTEND_MAX_DIM], *scale = p.scale;
	float all[ATTEND_MAX_DIM] = { 0 };
	int8_t code[ATTEND_MAX_DIM];

	if (!p.scale) {
		d->k->halves(x, half, dim);
		for (int i = 0; i < dim; i++)
			((uint16_t *)p.x)[at + (size_t)i * apart] = half[i];
		return;
	}
	memcpy(all, x, sizeof(*x) * (size_t)dim);
	d->k->codes(all, blocks * BLOCK, code, half);
	for (int i = 0; i < dim; i++)
		((int8_t *)p.x)[at + (size_t)i * apart] = code[i];
	scale += (size_t)(pos / 16 * blocks * 16 + pos % 16);
	for (int b = 0; b < blocks; b++)
		scale[b * 16] = half[b];
}

static void store_kv(const struct kv *kv, int layer, int head, int pos, const float *k,
		     const float *v)
{
	size_t pad = (size_t)kv->dev->pad_dim, in_tile = (size_t)(pos % 16);

	pos %= kv->head.rings.rows[layer];
	store_row(kv->dev, plane_of(kv, kv->k, layer, head), pos, k,
		  ((size_t)pos - in_tile) * pad + in_tile, 16);
	store_row(kv->dev, plane_of(kv, kv->v, layer, head), pos, v, (size_t)pos * pad, 1);
}

/* A head of queries or keys: norm, RoPE, rotation. */
static void turn(const struct dev *d, int layer, bool key, const float *angles, float *x)
{
	const struct model_config *c = &d->model->cfg;
	const float *norm = d->layer[layer].norm[key ? NORM_K : NORM_Q];

	if (norm)
		d->k->norm(x, norm, c->head_dim, c->norm_eps, x);
	turn_head(c, angles, x);
	if (d->q8_k)
		spread(x, c->head_dim);
}

static void add_bias(const struct dev *d, int layer, int head, float *qkv)
{
	int dim = d->model->cfg.head_dim;

	if (d->layer[layer].qkv_bias)
		d->k->add(qkv + head * dim, d->layer[layer].qkv_bias + head * dim, 1, dim);
}

/* Thread t's share of a layer, the i-th of a group. */
static void store_layer(const struct step *s, int t, int layer, int i)
{
	struct dev *d = s->d;
	const struct model_config *c = &d->model->cfg;
	int heads = c->n_heads + c->n_kv_heads, sets = rope_sets(c), from, to;

	pool_share(d->pool, t, s->n * heads, &from, &to);
	for (int j = from; j < to && !step_halted(s); j++) {
		int row = j / heads, head = j % heads, value = head + c->n_kv_heads;
		float *base = step_at(s, d->qkv, i, d->ld_qkv) + (size_t)row * (size_t)d->ld_qkv;
		struct lane lane = step_lane(s, row);
		size_t angles = (size_t)(row * sets + layer_rope(c, layer, lane.kv->head.n_ctx));

		add_bias(d, layer, head, base);
		turn(d, layer, head >= c->n_heads, d->turn + angles * (size_t)c->n_rot,
		     base + head * c->head_dim);
		if (head < c->n_heads)
			continue;
		add_bias(d, layer, value, base);
		store_kv(lane.kv, layer, head - c->n_heads, lane.pos, base + head * c->head_dim,
			 base + value * c->head_dim);
	}
}

void attend_store(const struct step *s, int t, const struct op *op)
{
	for (int i = 0; i < op->n_group; i++)
		store_layer(s, t, op->layer + i, i);
}

static struct cut cut_layer(const struct step *s, const struct op *op, int layer)
{
	const struct model_config *c = &s->d->model->cfg;
	int rows = s->b->lanes ? 1 : ATTEND_ROWS, first = 0, end = 0, blocks;
	bool local = layer_local(c, layer), split = s->n * op->n_group <= FEW_ROWS;

	for (int i = 0; i < s->n; i++) {
		int pos = step_lane(s, i).pos, seen = pos - c->window + 1;

		if (pos >= end)
			end = pos + 1;
		if (local && (!i || seen < first))
			first = seen;
	}
	first = first > 0 ? first / ATTEND_BLOCK : 0;
	blocks = (end + ATTEND_BLOCK - 1) / ATTEND_BLOCK;
	return (struct cut){
		.layer = layer,
		.i = layer - op->layer,
		.group = c->n_heads / c->n_kv_heads,
		.rows = rows,
		.chunks = (s->n + rows - 1) / rows,
		.pieces = split ? blocks - first : 1,
		.first = first,
		.blocks = blocks,
		.room = split ? blocks : 1,
	};
}

/* Slot of a partial softmax: the pieces of one (row, head) lie side by side. */
static size_t part_at(const struct step *s, const struct cut *cut, int row, int head, int piece)
{
	size_t heads = (size_t)s->d->model->cfg.n_heads, at = (size_t)(cut->i * s->n + row);

	return (at * heads + (size_t)head) * (size_t)cut->room + (size_t)piece;
}

/* Rows of the item that begins with row0. */
static int item_rows(const struct step *s, const struct cut *cut, int row0)
{
	return s->n - row0 < cut->rows ? s->n - row0 : cut->rows;
}

/* One head group, up to cut.rows rows, one piece of the context. */
static void attend_item(const struct step *s, const struct cut *cut, int kv_head, int row0,
			int piece)
{
	struct dev *d = s->d;
	const struct model_config *c = &d->model->cfg;
	struct partial part[ATTEND_ROWS * CPU_MAX_GROUP];
	struct lane lane = step_lane(s, row0);
	int rows = item_rows(s, cut, row0);
	int end = lane.pos + rows;
	int first = cut->first + piece, last = cut->pieces > 1 ? first + 1 : cut->blocks;
	bool local = layer_local(c, cut->layer);
	struct attend a = {
		.q = step_at(s, d->qkv, cut->i, d->ld_qkv) + kv_head * cut->group * c->head_dim,
		.ldq = d->ld_qkv,
		.pos = lane.pos - row0,
		.group = cut->group, .head_dim = c->head_dim, .pad_dim = d->pad_dim,
		.k = plane_of(lane.kv, lane.kv->k, cut->layer, kv_head),
		.v = plane_of(lane.kv, lane.kv->v, cut->layer, kv_head),
		.scale = c->attn_scale, .cap = c->attn_cap, .window = local ? c->window : 0,
	};

	for (int i = 0; i < rows * cut->group; i++) {
		size_t at = part_at(s, cut, row0 + i / cut->group,
				    kv_head * cut->group + i % cut->group, piece);

		part[i] = (struct partial){ -INFINITY, 0, d->part_acc + at * (size_t)d->pad_dim };
		memset(part[i].acc, 0, sizeof(float) * (size_t)d->pad_dim);
	}
	for (int b = first; b < last && b * ATTEND_BLOCK < end; b++) {
		int t1 = (b + 1) * ATTEND_BLOCK < end ? (b + 1) * ATTEND_BLOCK : end;

		a.shift = b * ATTEND_BLOCK % lane.kv->head.rings.rows[cut->layer] -
			  b * ATTEND_BLOCK;
		d->k->attend(&a, row0, rows, b * ATTEND_BLOCK, t1, part);
	}
	for (int i = 0; i < rows * cut->group; i++)
		d->part[part_at(s, cut, row0 + i / cut->group,
				kv_head * cut->group + i % cut->group, piece)] = part[i];
}

/* Positions that an item goes over, and a few more for what it costs without any. */
static long item_cost(const struct step *s, const struct cut *cut, int row0, int piece)
{
	int rows = item_rows(s, cut, row0);
	int end = step_lane(s, row0).pos + rows, first = (cut->first + piece) * ATTEND_BLOCK;

	if (cut->pieces > 1 && end > first + ATTEND_BLOCK)
		end = first + ATTEND_BLOCK;
	return (long)rows * ((end > first ? end - first : 0) + 8);
}

static long layer_cost(const struct step *s, const struct cut *cut)
{
	long sum = 0;

	for (int i = 0; i < cut->chunks * cut->pieces; i++)
		sum += item_cost(s, cut, i / cut->pieces * cut->rows, i % cut->pieces);
	return sum * s->d->model->cfg.n_kv_heads;
}

/* Thread t's items of a layer, before whose items there is work of cost `before`, of `total`.
 * Returns what is before the next layer's. */
static long attend_layer(const struct step *s, int t, const struct cut *cut, long before,
			 long total)
{
	int each = cut->chunks * cut->pieces, items = s->d->model->cfg.n_kv_heads * each;
	long threads = pool_size(s->d->pool);

	for (int i = 0; i < items && !step_halted(s); i++) {
		int row0 = i % each / cut->pieces * cut->rows, piece = i % cut->pieces;
		long cost = item_cost(s, cut, row0, piece);

		if ((2 * before + cost) * threads / (2 * total) == t)
			attend_item(s, cut, i / each, row0, piece);
		before += cost;
	}
	return before;
}

/* The items of all layers and head groups in a row are cut where the cost of what is before is the
 * same for every thread: an item is for the thread whose share has its middle. */
void attend_all(const struct step *s, int t, const struct op *op)
{
	struct cut cut[GROUP_MAX];
	long total = 0, before = 0;

	for (int i = 0; i < op->n_group; i++) {
		cut[i] = cut_layer(s, op, op->layer + i);
		total += layer_cost(s, &cut[i]);
	}
	for (int i = 0; i < op->n_group; i++)
		before = attend_layer(s, t, &cut[i], before, total);
}

static void join_layer(const struct step *s, int t, const struct cut *cut)
{
	struct dev *d = s->d;
	const struct model_config *c = &d->model->cfg;
	float *out = step_at(s, d->attn, cut->i, c->n_heads * c->head_dim);
	int from, to;

	pool_share(d->pool, t, s->n * c->n_heads, &from, &to);
	for (int i = from; i < to && !step_halted(s); i++)
		d->k->fold(d->part + part_at(s, cut, i / c->n_heads, i % c->n_heads, 0),
			   cut->pieces, d->pad_dim, out + (size_t)i * (size_t)c->head_dim,
			   c->head_dim);
}

void attend_join(const struct step *s, int t, const struct op *op)
{
	for (int i = 0; i < op->n_group; i++) {
		struct cut cut = cut_layer(s, op, op->layer + i);

		join_layer(s, t, &cut);
	}
}
