/* forward.c - one forward pass on the processor, from token ids to logits.
 *
 * Every thread runs `forward` from top to bottom and does its share of each stage; a stage that
 * needs what other threads wrote begins after a barrier.
 * Invariant: the share of a thread decides only who computes a number, never how. */
#include "kernels/cpu/bridge.h"
#include "kernels/cpu/columns.h"
#include "kernels/cpu/prune.h"
#include <math.h>
#include <string.h>

static void embed_row(const struct step *s, int i)
{
	const struct model *m = s->d->model;
	int width = m->cfg.n_embd;
	size_t bytes = quant_bytes(quant_info(m->embd->type), width);
	size_t at = (size_t)i * (size_t)width;
	float *x = s->d->x + at;

	if (s->b->run->op[0].part == OP_ENTER) {
		memmove(x, s->b->rows + at, sizeof(*x) * (size_t)width);
		return;
	}
	quant_row(m->embd->type, (const uint8_t *)m->embd->data + (size_t)s->b->tok[i] * bytes, x,
		  width);
	s->d->k->bend(x, m->cfg.embd_scale, 0, width);
}

/* Token embedding of the batch's rows, or what another device made of them; the angles of RoPE at
 * all positions of the pass. */
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

/* What the matrices of a stage take, and the adapters beside them. */
static unsigned takes(const struct step *s, const struct op *op, enum stage stage, enum adapt which)
{
	unsigned all = 0;

	for (int l = op->layer; l < op->layer + op->n_group; l++) {
		const struct cpu_adapter *a = adapter_of(s->d, op, l, which);

		all |= s->d->layer[l].takes[stage] | (a ? (unsigned)a->down.takes : 0);
	}
	return all;
}

/* Rows of activations from `row` on, which begins a panel. */
static struct act act_from(struct act a, int row)
{
	size_t panels = (size_t)row / PANEL, blocks = panels * (size_t)(a.k / BLOCK);

	a.q += blocks * PANEL * BLOCK;
	a.d += blocks * 2 * PANEL;
	a.s += blocks * PANEL;
	a.h += blocks * 2 * PANEL;
	a.f += (size_t)row * (size_t)a.ldf;
	a.room += a.room ? (size_t)row * (size_t)a.k : 0;
	return a;
}

/* What is made into activations: for each of n_group layers n rows of k columns, from x + i * next
 * on, normed by norm[i] unless that is NULL; and pruned, where they are for `mlp`. */
struct feed {
	const float *x;
	size_t next;
	int n_group, n, k;
	const float *norm[GROUP_MAX];
	const struct op *mlp;           /* or NULL */
};

/* Activations in the formats that their consumers take.  Few rows are prepared by every thread for
 * itself, many are shared out. */
static struct act prepare(const struct step *s, int t, const struct feed *f, unsigned formats)
{
	struct dev *d = s->d;
	bool few = f->n * f->n_group <= FEW_ROWS;
	struct act a = few ? d->own[t] : d->all;
	int from = 0, to = f->n * f->n_group;

	a.k = a.ldf = f->k;
	a.f = f->norm[0] ? a.room : f->x;
	if (!few)
		pool_share(d->pool, t, to, &from, &to);
	for (int j = from; j < to && !step_halted(s); j++) {
		int i = j / f->n, row = j % f->n, at = i * s->apart + row;
		const float *x = f->x + (size_t)i * f->next + (size_t)row * (size_t)f->k;
		float *y = a.room + (size_t)at * (size_t)f->k;

		if (f->norm[i])
			d->k->norm(x, f->norm[i], f->k, d->model->cfg.norm_eps, y);
		if (f->mlp)
			prune_in(s, f->mlp, i, y);
		if (formats & ACT_INT8)
			d->k->quantise(&a, at, 0, f->k / BLOCK);
	}
	if (!few)
		pool_sync(d->pool);
	return a;
}

/* Attention leaves what the MLPs take beside the residual stream. */
static bool grouped(const struct op *op)
{
	return op->n_group > 1 || op->apart;
}

/* Of an operation whose layers norm what they get: the residual stream, or, the MLPs of a group,
 * what attention left for each of them. */
static struct act prepare_normed(const struct step *s, int t, const struct op *op, unsigned formats)
{
	const struct dev *d = s->d;
	int k = d->model->cfg.n_embd;
	bool apart = op->part == OP_MLP && grouped(op);
	struct feed f = {
		.x = apart ? d->beside : d->x, .next = apart ? (size_t)s->apart * (size_t)k : 0,
		.n_group = op->n_group, .n = s->n, .k = k,
		.mlp = op->part == OP_MLP ? op : NULL,
	};

	if (f.mlp && op->keep_in && prune_cache(s)) {
		prune_in_cached(s, t, op, f.x, f.next);
		pool_sync(d->pool);
		f.x = d->tmp;
		f.next = (size_t)s->apart * (size_t)k;
		f.mlp = NULL;
		return prepare(s, t, &f, formats);
	}
	for (int i = 0; i < op->n_group; i++)
		f.norm[i] = d->layer[op->layer + i].norm[op->in.which];
	return prepare(s, t, &f, formats);
}

/* Units u0..u1-1 of a product.  In a pass that may end early a few at a time, which the bits do not
 * depend on. */
static void times(const struct step *s, const struct mat *m, int u0, int u1, const struct act *a,
		  int n, float *y, int ldy)
{
	enum { AT_ONCE = 1 << 24 };     /* multiply-adds: some milliseconds of a slow core */
	int whole = m->slabs ? SLAB_UNITS : 1;  /* units that are multiplied together anyway */
	long some = (long)UNIT * m->cols * n * whole;
	int each = s->b->halt ? ((int)(AT_ONCE / some) + 1) * whole : u1 - u0, to;

	for (int u = u0; u < u1 && !step_halted(s); u = to) {
		to = s->b->halt ? (u + each) / whole * whole : u1;
		to = to < u1 ? to : u1;
		m->mul(m, u, to, a, n, y, ldy);
	}
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

/* Row `row` of what the i-th layer made is added to y, columns from..to-1. */
static void add_made(const struct step *s, int t, const struct op *op, int i, int row, float *y,
		     int from, int to)
{
	const struct dev *d = s->d;
	const struct model_config *c = &d->model->cfg;
	enum layer_norm which = op->part == OP_ATTN ? NORM_ATTN_POST : NORM_FFN_POST;
	const float *made = step_at(s, d->tmp, i, c->n_embd) + (size_t)row * (size_t)c->n_embd;
	const float *norm = d->layer[op->layer + i].norm[which];
	float *normed = d->own[t].room;

	if (norm)
		d->k->norm(made, norm, c->n_embd, c->norm_eps, normed);
	d->k->add(y + from, (norm ? normed : made) + from, c->residual_scale, to - from);
}

/* Behind attention of a group, see struct grouping: h[i] has a_i of a row, x what entered.  Then
 * h[i] is what MLP i takes, and x has all a_i, beside what entered or alone. */
static void bypass(const struct op *op, float *x, float *const h[], int from, int to)
{
	for (int c = from; c < to; c++) {
		float entered = x[c], a[GROUP_MAX];

		x[c] = op->apart ? 0 : entered;
		for (int i = 0; i < op->n_group; i++) {
			float b = 0;

			a[i] = h[i][c];
			for (int j = 1; j <= op->bypass && j <= i; j++)
				b += a[i - j];
			h[i][c] = entered + a[i] + b;
			x[c] += a[i] + (op->released ? b : 0);
		}
	}
}

/* One row of the residual stream and thread t's columns from..to-1 of it. */
static void add_row(const struct step *s, int t, const struct op *op, int row, int from, int to)
{
	const struct dev *d = s->d;
	int width = d->model->cfg.n_embd;
	size_t at = (size_t)row * (size_t)width;
	bool apart = op->part == OP_ATTN && grouped(op);
	float *h[GROUP_MAX];

	for (int i = 0; i < op->n_group; i++) {
		h[i] = (apart ? step_at(s, d->beside, i, width) : d->x) + at;
		if (apart)
			memset(h[i] + from, 0, sizeof(float) * (size_t)(to - from));
		add_made(s, t, op, i, row, h[i], from, to);
	}
	if (apart)
		bypass(op, d->x + at, h, from, to);
}

/* x += what attention (ADAPT_OUT) or the MLP (ADAPT_DOWN) makes of `all`, normed where the model
 * does; each thread for the columns which it multiplied. */
static void residual(const struct step *s, int t, const struct op *op, enum adapt which,
		     const struct act *all)
{
	struct dev *d = s->d;
	const struct cpu_layer *w = &d->layer[op->layer];
	int width = d->model->cfg.n_embd, from, to;

	pool_share(d->pool, t, width / UNIT, &from, &to);
	for (int i = 0; i < op->n_group; i++) {
		struct act a = act_from(*all, i * s->apart);

		times(s, &w[i].mat[which == ADAPT_OUT ? MAT_OUT : MAT_DOWN], from, to, &a, s->n,
		      step_at(s, d->tmp, i, width), width);
		adapt(s, t, op, i, which, &a);
	}
	if (w->norm[which == ADAPT_OUT ? NORM_ATTN_POST : NORM_FFN_POST])
		pool_sync(d->pool);
	for (int row = 0; row < s->n && !step_halted(s); row++)
		add_row(s, t, op, row, from * UNIT, to * UNIT);
}

/* Gate and up of a layer, the i-th of its group, 32 rows of both at a time so that their product
 * can be quantised at once. */
static void gate_up(const struct step *s, int t, const struct op *op, int i, const struct act *a,
		    unsigned formats)
{
	struct dev *d = s->d;
	const struct mat *m = d->layer[op->layer + i].mat;
	int n_ff = m[MAT_GATE].rows, from, to;
	float *gate = step_at(s, d->gate, i, n_ff), *up = step_at(s, d->up, i, n_ff);

	pool_share(d->pool, t, n_ff / BLOCK, &from, &to);
	times(s, &m[MAT_GATE], 2 * from, 2 * to, a, s->n, gate, n_ff);
	times(s, &m[MAT_UP], 2 * from, 2 * to, a, s->n, up, n_ff);
	adapt(s, t, op, i, ADAPT_GATE_UP, a);
	for (int row = 0; row < s->n && !step_halted(s); row++) {
		size_t at = (size_t)row * (size_t)n_ff + (size_t)(from * BLOCK);

		d->k->glu(d->model->cfg.act, gate + at, up + at, (to - from) * BLOCK);
		if (formats & ACT_INT8 && !op->keep_hidden)
			d->k->quantise(&d->ff, i * s->apart + row, from, to);
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

/* What a stage left, for whoever watches: the next stage reads it, the one behind writes it.  Of a
 * group for each of its layers; behind its MLPs the residual stream for the last of them. */
static void watch(const struct step *s, int t, enum stage stage, const struct op *op)
{
	const struct dev *d = s->d;
	const struct model_config *c = &d->model->cfg;
	bool group = grouped(op);
	const struct {
		float *rows;
		int width;
		bool each;
	} left[STAGES] = {
		[STAGE_EMBED] = { d->x, c->n_embd, false },
		[STAGE_QKV] = { d->qkv, d->ld_qkv, true },
		[STAGE_ATTEND] = { d->attn, c->n_heads * c->head_dim, true },
		[STAGE_WO] = { group ? d->beside : d->x, c->n_embd, true },
		[STAGE_GATE_UP] = { d->gate, c->n_ff, true },
		[STAGE_DOWN] = { d->x, c->n_embd, false },
	};

	if (t || !d->watch)
		return;
	for (int i = left[stage].each ? 0 : op->n_group - 1; i < op->n_group; i++)
		d->watch(d->watch_ctx, stage_name(stage), op->layer + i,
			 step_at(s, left[stage].rows, left[stage].each ? i : 0, left[stage].width),
			 s->n, left[stage].width);
}

/* Queries, keys and values of a layer, the i-th of its group. */
static void qkv(const struct step *s, int t, const struct op *op, int i, const struct act *a)
{
	struct dev *d = s->d;
	const struct mat *m = d->layer[op->layer + i].mat;
	float *queries = step_at(s, d->qkv, i, d->ld_qkv), *keys = queries + m[MAT_Q].rows;

	multiply(s, t, a, 3, &m[MAT_Q], (float *[]){ queries, keys, keys + m[MAT_K].rows },
		 d->ld_qkv);
	adapt(s, t, op, i, ADAPT_QKV, a);
}

/* Attention of a layer, added to the residual stream; or of a group of layers. */
static void attention(const struct step *s, int t, const struct op *op)
{
	struct dev *d = s->d;
	const struct model_config *c = &d->model->cfg;
	int width = c->n_heads * c->head_dim;
	struct act a;

	/* norm + quantise, QKV */
	a = prepare_normed(s, t, op, takes(s, op, STAGE_QKV, ADAPT_QKV));
	for (int i = 0; i < op->n_group; i++) {
		struct act own = act_from(a, i * s->apart);

		qkv(s, t, op, i, &own);
	}
	stage_end(d, t, STAGE_QKV);
	/* RoPE + cache write */
	attend_store(s, t, op);
	stage_end(d, t, STAGE_QKV);
	watch(s, t, STAGE_QKV, op);
	/* attention, cut along the context, folded in order */
	attend_all(s, t, op);
	stage_end(d, t, STAGE_ATTEND);
	attend_join(s, t, op);
	stage_end(d, t, STAGE_ATTEND);
	watch(s, t, STAGE_ATTEND, op);
	/* output + residual */
	a = prepare(s, t, &(struct feed){ .x = d->attn, .next = (size_t)(s->apart * width),
					  .n_group = op->n_group, .n = s->n, .k = width },
		    takes(s, op, STAGE_WO, ADAPT_OUT));
	residual(s, t, op, ADAPT_OUT, &a);
	stage_end(d, t, STAGE_WO);
	watch(s, t, STAGE_WO, op);
}

/* The MLP of a layer, or of each of a group, added to the residual stream. */
static void mlp(const struct step *s, int t, const struct op *op)
{
	struct dev *d = s->d;
	unsigned formats = takes(s, op, STAGE_DOWN, ADAPT_DOWN);
	struct act a;

	/* norm + gate/up + activation */
	a = prepare_normed(s, t, op, takes(s, op, STAGE_GATE_UP, ADAPT_GATE_UP));
	for (int i = 0; i < op->n_group; i++) {
		struct act own = act_from(a, i * s->apart);

		gate_up(s, t, op, i, &own, formats);
	}
	stage_end(d, t, STAGE_GATE_UP);
	if (op->keep_hidden) {
		prune_hidden(s, t, op, formats & ACT_INT8);
		stage_end(d, t, STAGE_GATE_UP);
	}
	watch(s, t, STAGE_GATE_UP, op);
	/* down + residual */
	residual(s, t, op, ADAPT_DOWN, &d->ff);
	stage_end(d, t, STAGE_DOWN);
	watch(s, t, STAGE_DOWN, op);
}

/* Final norm, logits and their peaks. */
static void logits(const struct step *s, int t)
{
	struct dev *d = s->d;
	int n_out = s->b->n_out, width = d->model->cfg.n_embd;
	struct act a;

	if (!n_out)
		return;
	a = prepare(s, t, &(struct feed){ .x = d->x + (size_t)(s->n - n_out) * (size_t)width,
					  .n_group = 1, .n = n_out, .k = width,
					  .norm = { d->norm } },
		    step_output(s)->takes);
	output(s, t, &a, n_out);
	stage_end(d, t, STAGE_OUTPUT);
}

static void forward(void *arg, int t)
{
	struct step own = *(struct step *)arg, *s = &own;
	const struct schedule *run = s->b->run;

	if (!t)
		stage_begin(s->d);
	for (int i = 0; i < run->n; i++) {
		const struct op *op = &run->op[i];

		keep_rows(s, t, op);
		switch (op->part) {
		case OP_EMBED:
			embed(s, t);
			stage_end(s->d, t, STAGE_EMBED);
			watch(s, t, STAGE_EMBED, op);
			break;
		case OP_ENTER:          /* whoever made these rows has shown them */
			embed(s, t);
			stage_end(s->d, t, STAGE_EMBED);
			break;
		case OP_BRIDGE:         /* the middle left out, one row becomes several */
			bridge_cross(s, t);
			stage_end(s->d, t, STAGE_EMBED);
			watch(s, t, STAGE_EMBED, op);
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
		case OP_LEAVE:          /* they are in x */
			break;
		}
	}
}

const float *cpu_forward(struct dev *d, struct kv *kv, const struct batch *b)
{
	struct pass_limits limits = { &d->model->cfg, d->n_batch, d->n_out, d->cross.b, d->has,
				      false, d->split };
	struct step s = { .d = d, .kv = kv, .b = b };

	if (pass_check(&limits, kv, b, d->err) != 0 || prune_pass(&s, d->err) != 0)
		return NULL;
	pass_reach(kv, b);
	step_rows(&s, b->n);
	stage_count(&s);
	pool_run(d->pool, forward, &s);
	return b->run->op[b->run->n - 1].part == OP_LEAVE ? d->x : d->logits;
}
