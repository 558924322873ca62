/* forward.c - one forward pass on the processor, from token ids to logits.
 *
 * Every thread runs `forward` from top to bottom and does its share of each stage; a stage that
 * needs what other threads wrote begins after a barrier.
 * Invariant: the share of a thread decides only who computes a number, never how. */
#include "kernels/cpu/dev.h"
#include <math.h>
#include <string.h>

struct step {
	struct dev *d;
	struct kv *kv;
	const struct batch *b;
};

static bool in_set(const uint64_t *set, int layer)
{
	return set[layer / 64] >> (layer % 64) & 1;
}

/* Rows r0.. of the batch: token embedding, and the angles of RoPE at their positions. */
static void embed(struct step *s, int t)
{
	struct dev *d = s->d;
	const struct model *m = d->model;
	int n_embd = m->cfg.n_embd, half = m->cfg.n_rot / 2, from, to;
	size_t row_bytes = quant_bytes(quant_info(m->embd->type), n_embd);

	pool_share(d->pool, t, s->b->n, &from, &to);
	for (int i = from; i < to; i++) {
		const uint8_t *row = (const uint8_t *)m->embd->data +
				     (size_t)s->b->tok[i] * row_bytes;
		float position = (float)(s->b->pos + i) * m->cfg.rope_scale;
		float *turn = d->turn + (size_t)i * (size_t)(2 * half);

		quant_row(m->embd->type, row, d->x + (size_t)i * (size_t)n_embd, n_embd);
		for (int j = 0; j < half; j++) {
			turn[2 * j] = cosf(position * d->inv_freq[j]);
			turn[2 * j + 1] = sinf(position * d->inv_freq[j]);
		}
	}
}

/* Activations for the matrices: n rows at x (of k columns), normed by w unless it is NULL.  Few
 * rows are prepared by every thread for itself, many are shared out. */
static struct act prepare(struct dev *d, int t, const float *x, const float *w, int k, int n)
{
	bool few = n <= FEW_ROWS;
	struct act a = few ? d->own[t] : d->all;
	int from = 0, to = n;

	a.k = a.ldf = k;
	a.f = w ? a.room : x;
	if (!few)
		pool_share(d->pool, t, n, &from, &to);
	for (int i = from; i < to; i++) {
		size_t at = (size_t)i * (size_t)k;

		if (w)
			d->k->norm(x + at, w, k, d->model->cfg.norm_eps, a.room + at);
		if (!d->floats)
			d->k->quantise(&a, i, 0, k / BLOCK);
	}
	if (!few)
		pool_sync(d->pool);
	return a;
}

/* Thread t's share of several matrices over the same activations, each into its own y. */
static void multiply(struct dev *d, int t, const struct act *a, int n, int count,
		     const struct mat *const m[], float *const y[], int ldy)
{
	int total = 0, from, to, first = 0;

	for (int i = 0; i < count; i++)
		total += (m[i]->rows + UNIT - 1) / UNIT;
	pool_share(d->pool, t, total, &from, &to);
	for (int i = 0; i < count; i++) {
		int units = (m[i]->rows + UNIT - 1) / UNIT;
		int u0 = from > first ? from - first : 0;
		int u1 = to < first + units ? to - first : units;

		if (u0 < u1)
			m[i]->mul(m[i], u0, u1, a, n, y[i], ldy);
		first += units;
	}
}

/* x += m . a, each thread for the rows of m which it multiplied. */
static void multiply_add(struct dev *d, int t, const struct act *a, int n, const struct mat *m)
{
	int from, to;

	pool_share(d->pool, t, m->rows / UNIT, &from, &to);
	m->mul(m, from, to, a, n, d->tmp, m->rows);
	for (int i = 0; i < n; i++) {
		size_t at = (size_t)i * (size_t)m->rows + (size_t)(from * UNIT);

		d->k->add(d->x + at, d->tmp + at, (to - from) * UNIT);
	}
}

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

static uint16_t *cache_at(const struct step *s, uint16_t *base, int layer, int head)
{
	size_t plane = (size_t)s->kv->n_ctx * (size_t)s->d->pad_dim;

	return base + ((size_t)layer * (size_t)s->d->model->cfg.n_kv_heads + (size_t)head) * plane;
}

static void store_kv(const struct step *s, int layer, int head, int pos, const float *k,
		     const float *v)
{
	struct dev *d = s->d;
	int dim = d->model->cfg.head_dim;
	uint16_t *kc = cache_at(s, s->kv->k, layer, head), half[ATTEND_MAX_DIM];
	uint16_t *vc = cache_at(s, s->kv->v, layer, head);

	d->k->halves(k, half, dim);
	kc += (size_t)(pos / 16 * 16) * (size_t)d->pad_dim + (size_t)(pos % 16);
	for (int i = 0; i < dim; i++)
		kc[i * 16] = half[i];
	d->k->halves(v, vc + (size_t)pos * (size_t)d->pad_dim, dim);
}

/* RoPE on queries and keys, keys and values into the cache. */
static void turn_and_store(struct step *s, int t, int layer)
{
	struct dev *d = s->d;
	const struct model_config *c = &d->model->cfg;
	int heads = c->n_heads + c->n_kv_heads, from, to;

	pool_share(d->pool, t, s->b->n * heads, &from, &to);
	for (int i = from; i < to; i++) {
		int row = i / heads, head = i % heads;
		float *base = d->qkv + (size_t)row * (size_t)d->ld_qkv;
		const float *turn = d->turn + (size_t)row * (size_t)c->n_rot;

		turn_head(c, turn, base + head * c->head_dim);
		if (head >= c->n_heads)
			store_kv(s, layer, head - c->n_heads, s->b->pos + row,
				 base + head * c->head_dim,
				 base + (head + c->n_kv_heads) * c->head_dim);
	}
}

/* How attention is cut: (head group, rows, pieces of the context). */
struct cut {
	int group, chunks, pieces, blocks;
};

static struct cut attention_cut(const struct step *s)
{
	const struct model_config *c = &s->d->model->cfg;
	int blocks = (s->b->pos + s->b->n + ATTEND_BLOCK - 1) / ATTEND_BLOCK;

	return (struct cut){
		.group = c->n_heads / c->n_kv_heads,
		.chunks = (s->b->n + ATTEND_ROWS - 1) / ATTEND_ROWS,
		.pieces = s->b->n <= FEW_ROWS ? blocks : 1,
		.blocks = blocks,
	};
}

/* Slot of a partial softmax: the pieces of one (row, head) lie side by side. */
static size_t part_at(const struct step *s, const struct cut *cut, int row, int head, int piece)
{
	size_t heads = (size_t)s->d->model->cfg.n_heads;

	return ((size_t)row * heads + (size_t)head) * (size_t)cut->pieces + (size_t)piece;
}

/* One head group, up to ATTEND_ROWS rows, one piece of the context. */
static void attend_item(struct step *s, int layer, const struct cut *cut, int kv_head, int row0,
			int piece)
{
	struct dev *d = s->d;
	const struct model_config *c = &d->model->cfg;
	struct partial part[ATTEND_ROWS * CPU_MAX_GROUP];
	int rows = s->b->n - row0 < ATTEND_ROWS ? s->b->n - row0 : ATTEND_ROWS;
	int end = s->b->pos + row0 + rows;
	int first = cut->pieces > 1 ? piece : 0, last = cut->pieces > 1 ? piece + 1 : cut->blocks;
	struct attend a = {
		.q = d->qkv + kv_head * cut->group * c->head_dim, .ldq = d->ld_qkv,
		.pos = s->b->pos,
		.group = cut->group, .head_dim = c->head_dim, .pad_dim = d->pad_dim,
		.k = cache_at(s, s->kv->k, layer, kv_head),
		.v = cache_at(s, s->kv->v, layer, kv_head),
		.scale = 1.0f / sqrtf((float)c->head_dim),
	};

	for (int i = 0; i < rows * cut->group; i++) {
		size_t at = part_at(s, cut, row0 + i / cut->group,
				    kv_head * cut->group + i % cut->group, piece);

		part[i] = (struct partial){ -INFINITY, 0, d->part_acc + at * (size_t)d->pad_dim };
		memset(part[i].acc, 0, sizeof(float) * (size_t)d->pad_dim);
	}
	for (int b = first; b < last && b * ATTEND_BLOCK < end; b++) {
		int t1 = (b + 1) * ATTEND_BLOCK < end ? (b + 1) * ATTEND_BLOCK : end;

		d->k->attend(&a, row0, rows, b * ATTEND_BLOCK, t1, part);
	}
	for (int i = 0; i < rows * cut->group; i++)
		d->part[part_at(s, cut, row0 + i / cut->group,
				kv_head * cut->group + i % cut->group, piece)] = part[i];
}

static void attend(struct step *s, int t, int layer, const struct cut *cut)
{
	int items = s->d->model->cfg.n_kv_heads * cut->chunks * cut->pieces, from, to;

	pool_share(s->d->pool, t, items, &from, &to);
	for (int i = from; i < to; i++)
		attend_item(s, layer, cut, i / cut->pieces / cut->chunks,
			    i / cut->pieces % cut->chunks * ATTEND_ROWS, i % cut->pieces);
}

/* The pieces of each (row, head) put together. */
static void join_pieces(struct step *s, int t, const struct cut *cut)
{
	struct dev *d = s->d;
	const struct model_config *c = &d->model->cfg;
	int from, to;

	pool_share(d->pool, t, s->b->n * c->n_heads, &from, &to);
	for (int i = from; i < to; i++)
		d->k->fold(d->part + part_at(s, cut, i / c->n_heads, i % c->n_heads, 0),
			   cut->pieces, d->pad_dim, d->attn + (size_t)i * (size_t)c->head_dim,
			   c->head_dim);
}

/* Gate and up, 32 rows of both at a time so that their product can be quantised at once. */
static void gate_up(struct step *s, int t, const struct cpu_layer *w, const struct act *a)
{
	struct dev *d = s->d;
	int n_ff = w->gate.rows, from, to;

	pool_share(d->pool, t, n_ff / BLOCK, &from, &to);
	w->gate.mul(&w->gate, 2 * from, 2 * to, a, s->b->n, d->gate, n_ff);
	w->up.mul(&w->up, 2 * from, 2 * to, a, s->b->n, d->up, n_ff);
	for (int i = 0; i < s->b->n; i++) {
		size_t at = (size_t)i * (size_t)n_ff + (size_t)(from * BLOCK);

		d->k->swiglu(d->gate + at, d->up + at, (to - from) * BLOCK);
		if (!d->floats)
			d->k->quantise(&d->ff, i, from, to);
	}
}

static void forward(void *arg, int t)
{
	struct step *s = arg;
	struct dev *d = s->d;
	const struct model_config *c = &d->model->cfg;
	const struct plan *p = s->b->plan;
	int n = s->b->n, n_out = s->b->n_out;
	struct cut cut = attention_cut(s);
	struct act a;

	embed(s, t);
	pool_sync(d->pool);
	for (int l = 0; l < c->n_layers; l++) {
		const struct cpu_layer *w = &d->layer[l];

		if (!p || !in_set(p->skip_attn, l)) {
			/* norm + quantise, QKV */
			a = prepare(d, t, d->x, w->attn_norm, c->n_embd, n);
			multiply(d, t, &a, n, 3, (const struct mat *[]){ &w->wq, &w->wk, &w->wv },
				 (float *[]){ d->qkv, d->qkv + w->wq.rows,
					      d->qkv + w->wq.rows + w->wk.rows }, d->ld_qkv);
			pool_sync(d->pool);
			/* RoPE + cache write */
			turn_and_store(s, t, l);
			pool_sync(d->pool);
			/* attention, cut along the context, folded in order */
			attend(s, t, l, &cut);
			pool_sync(d->pool);
			join_pieces(s, t, &cut);
			pool_sync(d->pool);
			/* output + residual */
			a = prepare(d, t, d->attn, NULL, c->n_heads * c->head_dim, n);
			multiply_add(d, t, &a, n, &w->wo);
			pool_sync(d->pool);
		}
		if (!p || !in_set(p->skip_mlp, l)) {
			/* norm + gate/up + activation */
			a = prepare(d, t, d->x, w->ffn_norm, c->n_embd, n);
			gate_up(s, t, w, &a);
			pool_sync(d->pool);
			/* down + residual */
			multiply_add(d, t, &d->ff, n, &w->down);
			pool_sync(d->pool);
		}
	}
	/* final norm + logits */
	if (n_out) {
		a = prepare(d, t, d->x + (size_t)(n - n_out) * (size_t)c->n_embd, d->norm,
			    c->n_embd, n_out);
		multiply(d, t, &a, n_out, 1, (const struct mat *[]){ &d->output },
			 (float *[]){ d->logits }, c->n_out);
	}
}

const float *cpu_forward(struct dev *d, struct kv *kv, const struct batch *b)
{
	if (b->n < 1 || b->n > d->n_batch || b->n_out < 0 || b->n_out > b->n ||
	    b->n_out > d->n_out || b->pos < 0 || b->n > kv->n_ctx - b->pos) {
		fail(d->err, "forward of %d rows at %d with %d outputs: this device takes %d rows, "
		     "%d outputs and %d positions", b->n, b->pos, b->n_out, d->n_batch, d->n_out,
		     kv->n_ctx);
		return NULL;
	}
	for (int i = 0; i < b->n; i++)
		if (b->tok[i] < 0 || b->tok[i] >= d->model->cfg.n_vocab) {
			fail(d->err, "token id %d is outside the vocabulary of %d", b->tok[i],
			     d->model->cfg.n_vocab);
			return NULL;
		}
	pool_run(d->pool, forward, &(struct step){ d, kv, b });
	return d->logits;
}
