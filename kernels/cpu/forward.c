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

	pool_share(d->pool, t, step_rows(s), &from, &to);
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

/* Activations for the matrices: n rows at x (of k columns), normed by w unless it is NULL.  Few
 * rows are prepared by every thread for itself, many are shared out. */
static struct act prepare(const struct step *s, int t, const float *x, const float *w, int k, int n)
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
		if (!d->floats)
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
		     const struct mat *const m[], float *const y[], int ldy)
{
	int total = 0, from, to, first = 0;

	for (int i = 0; i < count; i++)
		total += (m[i]->rows + UNIT - 1) / UNIT;
	pool_share(s->d->pool, t, total, &from, &to);
	for (int i = 0; i < count; i++) {
		int units = (m[i]->rows + UNIT - 1) / UNIT;
		int u0 = from > first ? from - first : 0;
		int u1 = to < first + units ? to - first : units;

		if (u0 < u1)
			times(s, m[i], u0, u1, a, s->n, y[i], ldy);
		first += units;
	}
}

/* x += what attention (ADAPT_OUT) or the MLP (ADAPT_DOWN) makes of a, normed where the model does;
 * each thread for the columns which it multiplied. */
static void residual(const struct step *s, int t, int l, enum adapt which, const struct act *a)
{
	struct dev *d = s->d;
	const struct model_config *c = &d->model->cfg;
	const struct cpu_layer *w = &d->layer[l];
	const struct mat *m = which == ADAPT_OUT ? &w->wo : &w->down;
	const float *norm = which == ADAPT_OUT ? w->attn_post : w->ffn_post;
	float *normed = d->own[t].room;
	int from, to;

	pool_share(d->pool, t, m->rows / UNIT, &from, &to);
	times(s, m, from, to, a, s->n, d->tmp, m->rows);
	adapt(s, t, l, which, a);
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
static void gate_up(struct step *s, int t, int l, const struct act *a)
{
	struct dev *d = s->d;
	const struct cpu_layer *w = &d->layer[l];
	int n_ff = w->gate.rows, from, to;

	pool_share(d->pool, t, n_ff / BLOCK, &from, &to);
	times(s, &w->gate, 2 * from, 2 * to, a, s->n, d->gate, n_ff);
	times(s, &w->up, 2 * from, 2 * to, a, s->n, d->up, n_ff);
	adapt(s, t, l, ADAPT_GATE_UP, a);
	for (int i = 0; i < s->n && !step_halted(s); i++) {
		size_t at = (size_t)i * (size_t)n_ff + (size_t)(from * BLOCK);

		d->k->glu(d->model->cfg.act, d->gate + at, d->up + at, (to - from) * BLOCK);
		if (!d->floats)
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

static void forward(void *arg, int t)
{
	struct step own = *(struct step *)arg, *s = &own;
	struct dev *d = s->d;
	const struct model_config *c = &d->model->cfg;
	const struct plan *p = s->b->plan;
	const struct bridge *g = step_bridge(s);
	int n = s->n, n_out = s->b->n_out;
	struct cut cuts[] = { attend_cut(s, false), attend_cut(s, true) };
	struct act a;

	if (!t)
		stage_begin(d);
	embed(s, t);
	stage_end(d, t, STAGE_EMBED);
	watch(s, t, STAGE_EMBED, -1);
	for (int l = 0; l < c->n_layers; l++) {
		const struct cpu_layer *w;

		/* bridge: the middle left out, one row becomes several */
		if (g && l == g->a) {
			bridge_cross(s, t);
			l = g->s;
			n = s->n;
			cuts[0] = attend_cut(s, false);
			cuts[1] = attend_cut(s, true);
			stage_end(d, t, STAGE_EMBED);
			watch(s, t, STAGE_EMBED, l);
		}
		w = &d->layer[l];
		keep_rows(s, t, l);
		if (plan_runs(p, false, l)) {
			/* norm + quantise, QKV */
			a = prepare(s, t, d->x, w->attn_norm, c->n_embd, n);
			multiply(s, t, &a, 3, (const struct mat *[]){ &w->wq, &w->wk, &w->wv },
				 (float *[]){ d->qkv, d->qkv + w->wq.rows,
					      d->qkv + w->wq.rows + w->wk.rows }, d->ld_qkv);
			adapt(s, t, l, ADAPT_QKV, &a);
			stage_end(d, t, STAGE_QKV);
			/* RoPE + cache write */
			attend_store(s, t, l);
			stage_end(d, t, STAGE_QKV);
			watch(s, t, STAGE_QKV, l);
			/* attention, cut along the context, folded in order */
			attend_all(s, t, l, &cuts[layer_local(c, l)]);
			stage_end(d, t, STAGE_ATTEND);
			attend_join(s, t, &cuts[layer_local(c, l)]);
			stage_end(d, t, STAGE_ATTEND);
			watch(s, t, STAGE_ATTEND, l);
			/* output + residual */
			a = prepare(s, t, d->attn, NULL, c->n_heads * c->head_dim, n);
			residual(s, t, l, ADAPT_OUT, &a);
			stage_end(d, t, STAGE_WO);
			watch(s, t, STAGE_WO, l);
		}
		if (plan_runs(p, true, l)) {
			/* norm + gate/up + activation */
			a = prepare(s, t, d->x, w->ffn_norm, c->n_embd, n);
			gate_up(s, t, l, &a);
			stage_end(d, t, STAGE_GATE_UP);
			watch(s, t, STAGE_GATE_UP, l);
			/* down + residual */
			residual(s, t, l, ADAPT_DOWN, &d->ff);
			stage_end(d, t, STAGE_DOWN);
			watch(s, t, STAGE_DOWN, l);
		}
	}
	/* final norm + logits and their peaks */
	if (n_out) {
		a = prepare(s, t, d->x + (size_t)(n - n_out) * (size_t)c->n_embd, d->norm,
			    c->n_embd, n_out);
		output(s, t, &a, n_out);
		stage_end(d, t, STAGE_OUTPUT);
	}
}

/* 0, or -1 when the backend was asked for what it cannot do. */
static int check(const struct step *s)
{
	struct dev *d = s->d;
	const struct batch *b = s->b;
	int rows = step_rows(s);

	if (step_bridge(s) && bridge_check(s) != 0)
		return -1;
	if (rows < 1 || rows > d->n_batch || b->n_out < 0 || b->n_out > rows ||
	    b->n_out > d->n_out)
		return fail(d->err, "forward of %d rows with %d outputs: this device takes %d rows "
			    "and %d outputs", rows, b->n_out, d->n_batch, d->n_out);
	for (int i = 0; i < rows; i++) {
		struct lane lane = step_lane(s, i);

		if (lane.pos < 0 || lane.pos >= lane.kv->n_ctx)
			return fail(d->err, "forward of a row at %d: the cache takes %d positions",
				    lane.pos, lane.kv->n_ctx);
		if ((!i || b->lanes) && lane.pos && lane.pos < kv_back(lane.kv))
			return fail(d->err, "forward at %d: the cache has forgotten what is before "
				    "%d", lane.pos, kv_back(lane.kv));
	}
	for (int i = 0; i < b->n; i++)
		if (b->tok[i] < 0 || b->tok[i] >= d->model->cfg.n_vocab)
			return fail(d->err, "token id %d is outside the vocabulary of %d",
				    b->tok[i], d->model->cfg.n_vocab);
	return 0;
}

const float *cpu_forward(struct dev *d, struct kv *kv, const struct batch *b)
{
	struct step s = { d, kv, b, b->n };

	if (check(&s) != 0)
		return NULL;
	for (int i = 0; b->lanes && i < b->n; i++)
		rings_reach(&b->lanes[i].kv->rings, b->lanes[i].pos, 1);
	if (!b->lanes)
		rings_reach(&kv->rings, b->pos, step_rows(&s));
	stage_count(&s);
	pool_run(d->pool, forward, &s);
	return d->logits;
}
