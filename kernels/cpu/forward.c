/* forward.c - one forward pass on the processor, from token ids to logits.
 *
 * Every thread runs `forward` from top to bottom and does its share of each stage; a stage that
 * needs what other threads wrote begins after a barrier.
 * Invariant: the share of a thread decides only who computes a number, never how. */
#include "kernels/cpu/bridge.h"
#include <math.h>
#include <string.h>

static void embed_row(const struct step *s, int i)
{
	const struct model *m = s->d->model;
	int width = m->cfg.n_embd;
	size_t bytes = quant_bytes(quant_info(m->embd->type), width);
	float *x = s->d->x + (size_t)i * (size_t)width;

	quant_row(m->embd->type, (const uint8_t *)m->embd->data + (size_t)s->b->tok[i] * bytes, x,
		  width);
	if (m->cfg.embd_scale != 1)
		s->d->k->bend(x, m->cfg.embd_scale, 0, width);
}

/* Token embedding of the batch's rows; the angles of RoPE at all positions of the pass. */
static void embed(struct step *s, int t)
{
	struct dev *d = s->d;
	const struct model_config *c = &d->model->cfg;
	int angles = rope_sets(c) * c->n_rot / 2, from, to;

	pool_share(d->pool, t, pass_rows(s->b), &from, &to);
	for (int i = from; i < to; i++) {
		float position = (float)step_lane(s, i).pos;
		float *turn = d->turn + (size_t)i * (size_t)(2 * angles);

		if (i < s->n)
			embed_row(s, i);
		for (int j = 0; j < angles; j++) {
			turn[2 * j] = cosf(position * d->inv_freq[j]) * c->rope_gain;
			turn[2 * j + 1] = sinf(position * d->inv_freq[j]) * c->rope_gain;
		}
	}
}

/* What the matrices of a stage take, and the adapter beside them. */
static unsigned takes(const struct step *s, const struct op *op, enum stage stage, enum adapt which)
{
	const struct cpu_adapter *a = adapter_of(s->d, op, which);

	return s->d->layer[op->layer].takes[stage] | (a ? (unsigned)a->down.takes : 0);
}

/* Activations in the formats that their consumers take: n rows at x (of k columns), normed by w
 * unless it is NULL.  Few rows are prepared by every thread for itself, many are shared out. */
static struct act prepare(const struct step *s, int t, const float *x, const float *w, int k, int n,
			  unsigned formats)
{
	struct dev *d = s->d;
	bool few = n <= FEW_ROWS;
	struct act a = few ? d->own[t] : d->all;
	int from = 0, to = n;

	a.k = a.ldf = k;
	a.f = w ? a.room : x;
	if (!few)
		pool_share(d->pool, t, n, &from, &to);
	for (int i = from; i < to && !step_halted(s); i++) {
		size_t at = (size_t)i * (size_t)k;

		if (w)
			d->k->norm(x + at, w, k, d->model->cfg.norm_eps, a.room + at);
		if (formats & ACT_INT8)
			d->k->quantise(&a, i, 0, k / BLOCK);
	}
	if (!few)
		pool_sync(d->pool);
	return a;
}

/* Units u0..u1-1 of a product.  In a pass that may end early a few at a time, which the bits do not
 * depend on. */
static void times(const struct step *s, const struct mat *m, int u0, int u1, const struct act *a,
		  int n, float *y, int ldy)
{
	enum { AT_ONCE = 1 << 24 };     /* multiply-adds: some milliseconds of a slow core */
	long unit = (long)UNIT * m->cols * n;
	int each = s->b->halt ? (int)(AT_ONCE / unit) + 1 : u1 - u0;

	for (int u = u0; u < u1 && !step_halted(s); u += each)
		m->mul(m, u, u1 - u < each ? u1 : u + each, a, n, y, ldy);
}

/* Thread t's share of several matrices over the same activations, each into its own y. */
static void multiply(const struct step *s, int t, const struct act *a, int count,
		     const struct mat m[], float *const y[], int ldy)
{
	int total = 0, from, to, first = 0;

	for (int i = 0; i < count; i++)
		total += (m[i].rows + UNIT - 1) / UNIT;
	pool_share(s->d->pool, t, total, &from, &to);
	for (int i = 0; i < count; i++) {
		int units = (m[i].rows + UNIT - 1) / UNIT;
		int u0 = from > first ? from - first : 0;
		int u1 = to < first + units ? to - first : units;

		if (u0 < u1)
			times(s, &m[i], u0, u1, a, s->n, y[i], ldy);
		first += units;
	}
}

/* x += what attention (ADAPT_OUT) or the MLP (ADAPT_DOWN) makes of a, normed where the model does;
 * each thread for the columns which it multiplied. */
static void residual(const struct step *s, int t, const struct op *op, enum adapt which,
		     const struct act *a)
{
	struct dev *d = s->d;
	const struct model_config *c = &d->model->cfg;
	const struct cpu_layer *w = &d->layer[op->layer];
	const struct mat *m = &w->mat[which == ADAPT_OUT ? MAT_OUT : MAT_DOWN];
	const float *norm = w->norm[which == ADAPT_OUT ? NORM_ATTN_POST : NORM_FFN_POST];
	float *normed = d->own[t].room;
	int from, to;

	pool_share(d->pool, t, m->rows / UNIT, &from, &to);
	times(s, m, from, to, a, s->n, d->tmp, m->rows);
	adapt(s, t, op, which, a);
	if (norm)
		pool_sync(d->pool);
	for (int i = 0; i < s->n && !step_halted(s); i++) {
		float *x = d->x + (size_t)i * (size_t)m->rows;
		const float *y = d->tmp + (size_t)i * (size_t)m->rows;

		if (norm)
			d->k->norm(y, norm, m->rows, c->norm_eps, normed);
		d->k->add(x + from * UNIT, (norm ? normed : y) + from * UNIT, c->residual_scale,
			  (to - from) * UNIT);
	}
}

/* Gate and up, 32 rows of both at a time so that their product can be quantised at once. */
static void gate_up(const struct step *s, int t, const struct op *op, const struct act *a)
{
	struct dev *d = s->d;
	const struct mat *m = d->layer[op->layer].mat;
	unsigned formats = takes(s, op, STAGE_DOWN, ADAPT_DOWN);
	int n_ff = m[MAT_GATE].rows, from, to;

	pool_share(d->pool, t, n_ff / BLOCK, &from, &to);
	times(s, &m[MAT_GATE], 2 * from, 2 * to, a, s->n, d->gate, n_ff);
	times(s, &m[MAT_UP], 2 * from, 2 * to, a, s->n, d->up, n_ff);
	adapt(s, t, op, ADAPT_GATE_UP, a);
	for (int i = 0; i < s->n && !step_halted(s); i++) {
		size_t at = (size_t)i * (size_t)n_ff + (size_t)(from * BLOCK);

		d->k->glu(d->model->cfg.act, d->gate + at, d->up + at, (to - from) * BLOCK);
		if (formats & ACT_INT8)
			d->k->quantise(&d->ff, i, from, to);
	}
}

/* Of rows from..from+n-1 of the model's output, those that are no tokens. */
static void silence(const unsigned char *mute, float *row, int from, int n)
{
	for (int i = from; i < from + n; i++)
		if (mute[i])
			row[i] = -INFINITY;
}

/* Logits and their peaks, a few units at a time so that the peaks find them in the cache. */
static void output(const struct step *s, int t, const struct act *a, int n_out)
{
	enum { SOME = 64 };
	struct dev *d = s->d;
	const struct model_config *c = &d->model->cfg;
	const struct mat *m = step_output(s);
	/* Beside the model's output only a sidecar's, whose tokens answers were made of. */
	const unsigned char *no_tokens = m == &d->output ? d->model->mute : NULL;
	bool bent = c->logit_scale != 1 || c->logit_cap > 0;
	int units = (m->rows + UNIT - 1) / UNIT, ld = m->rows + row_peaks(m->rows), from, to;

	_Static_assert((int)PEAK == (int)UNIT, "the rows of a unit have one peak");
	pool_share(d->pool, t, units, &from, &to);
	for (int u = from; u < to; u += SOME) {
		int end = to - u < SOME ? to : u + SOME;
		int rows = (end * UNIT < m->rows ? end * UNIT : m->rows) - u * UNIT;

		m->mul(m, u, end, a, n_out, d->logits, ld);
		for (int i = 0; i < n_out; i++) {
			float *row = d->logits + (size_t)i * (size_t)ld;

			if (bent)
				d->k->bend(row + u * UNIT, c->logit_scale, c->logit_cap, rows);
			if (no_tokens)
				silence(no_tokens, row, u * UNIT, rows);
			d->k->peaks(row + u * UNIT, rows, row + m->rows + u);
		}
	}
}

/* What a stage left, for whoever watches: the next stage reads it, the one behind writes it. */
static void watch(const struct step *s, int t, enum stage stage, int layer)
{
	const struct dev *d = s->d;
	const struct model_config *c = &d->model->cfg;
	int n = s->n;

	if (t || !d->watch)
		return;
	if (stage == STAGE_QKV)
		d->watch(d->watch_ctx, stage_name(stage), layer, d->qkv, n, d->ld_qkv);
	else if (stage == STAGE_ATTEND)
		d->watch(d->watch_ctx, stage_name(stage), layer, d->attn, n,
			 c->n_heads * c->head_dim);
	else if (stage == STAGE_GATE_UP)
		d->watch(d->watch_ctx, stage_name(stage), layer, d->gate, n, c->n_ff);
	else
		d->watch(d->watch_ctx, stage_name(stage), layer, d->x, n, c->n_embd);
}

/* Attention of a layer, added to the residual stream. */
static void attention(const struct step *s, int t, const struct op *op)
{
	struct dev *d = s->d;
	const struct model_config *c = &d->model->cfg;
	const struct cpu_layer *w = &d->layer[op->layer];
	const struct mat *m = w->mat;
	const struct cut *cut = &s->cut[layer_local(c, op->layer)];
	float *keys = d->qkv + m[MAT_Q].rows;
	struct act a;

	/* norm + quantise, QKV */
	a = prepare(s, t, d->x, w->norm[NORM_ATTN], c->n_embd, s->n,
		    takes(s, op, STAGE_QKV, ADAPT_QKV));
	multiply(s, t, &a, 3, &m[MAT_Q], (float *[]){ d->qkv, keys, keys + m[MAT_K].rows },
		 d->ld_qkv);
	adapt(s, t, op, ADAPT_QKV, &a);
	stage_end(d, t, STAGE_QKV);
	/* RoPE + cache write */
	attend_store(s, t, op->layer);
	stage_end(d, t, STAGE_QKV);
	watch(s, t, STAGE_QKV, op->layer);
	/* attention, cut along the context, folded in order */
	attend_all(s, t, op->layer, cut);
	stage_end(d, t, STAGE_ATTEND);
	attend_join(s, t, cut);
	stage_end(d, t, STAGE_ATTEND);
	watch(s, t, STAGE_ATTEND, op->layer);
	/* output + residual */
	a = prepare(s, t, d->attn, NULL, c->n_heads * c->head_dim, s->n,
		    takes(s, op, STAGE_WO, ADAPT_OUT));
	residual(s, t, op, ADAPT_OUT, &a);
	stage_end(d, t, STAGE_WO);
	watch(s, t, STAGE_WO, op->layer);
}

/* The MLP of a layer, added to the residual stream. */
static void mlp(const struct step *s, int t, const struct op *op)
{
	struct dev *d = s->d;
	struct act a;

	/* norm + gate/up + activation */
	a = prepare(s, t, d->x, d->layer[op->layer].norm[NORM_FFN], d->model->cfg.n_embd, s->n,
		    takes(s, op, STAGE_GATE_UP, ADAPT_GATE_UP));
	gate_up(s, t, op, &a);
	stage_end(d, t, STAGE_GATE_UP);
	watch(s, t, STAGE_GATE_UP, op->layer);
	/* down + residual */
	residual(s, t, op, ADAPT_DOWN, &d->ff);
	stage_end(d, t, STAGE_DOWN);
	watch(s, t, STAGE_DOWN, op->layer);
}

/* Final norm, logits and their peaks. */
static void logits(const struct step *s, int t)
{
	struct dev *d = s->d;
	int n_out = s->b->n_out, width = d->model->cfg.n_embd;
	struct act a;

	if (!n_out)
		return;
	a = prepare(s, t, d->x + (size_t)(s->n - n_out) * (size_t)width, d->norm, width, n_out,
		    step_output(s)->takes);
	output(s, t, &a, n_out);
	stage_end(d, t, STAGE_OUTPUT);
}

static void cut_rows(struct step *s)
{
	for (int local = 0; local < 2; local++)
		s->cut[local] = attend_cut(s, local);
}

static void forward(void *arg, int t)
{
	struct step own = *(struct step *)arg, *s = &own;
	const struct schedule *run = s->b->run;

	if (!t)
		stage_begin(s->d);
	cut_rows(s);
	for (int i = 0; i < run->n; i++) {
		const struct op *op = &run->op[i];

		keep_rows(s, t, op);
		switch (op->part) {
		case OP_EMBED:
			embed(s, t);
			stage_end(s->d, t, STAGE_EMBED);
			watch(s, t, STAGE_EMBED, op->layer);
			break;
		case OP_BRIDGE:         /* the middle left out, one row becomes several */
			bridge_cross(s, t);
			cut_rows(s);
			stage_end(s->d, t, STAGE_EMBED);
			watch(s, t, STAGE_EMBED, op->layer);
			break;
		case OP_ATTN:
			attention(s, t, op);
			break;
		case OP_MLP:
			mlp(s, t, op);
			break;
		case OP_OUTPUT:
			logits(s, t);
			break;
		}
	}
}

const float *cpu_forward(struct dev *d, struct kv *kv, const struct batch *b)
{
	struct pass_limits limits = { &d->model->cfg, d->n_batch, d->n_out, d->cross.b };
	struct step s = { .d = d, .kv = kv, .b = b, .n = b->n };

	if (pass_check(&limits, kv, b, d->err) != 0)
		return NULL;
	pass_reach(kv, b);
	stage_count(&s);
	pool_run(d->pool, forward, &s);
	return d->logits;
}
