/* forward.cu - one forward pass on the GPU, from token ids to logits.
 *
 * Five kernels a layer for a few rows: what stands between two products is done by the last of them
 * (norms and int8 codes, RoPE, cache); two more for an adapter, one where rows are kept, one for a
 * norm of what is added to the residual stream; as many for a group of layers.  The same stages as
 * kernels/cpu/forward.c.
 * Invariant: what a pass queues depends only on what graph.cu takes for its key. */
#include "kernels/cuda/op/attend.cuh"
#include "kernels/cuda/op/choose.cuh"
#include "kernels/cuda/dev_api.cuh"
#include "kernels/cuda/op/embed.cuh"
#include "kernels/cuda/op/post.cuh"
#include "kernels/cuda/op/prune.cuh"
#include "kernels/cuda/op/prompt.cuh"
#include <limits.h>

/* What made rows has made the input of one layer: those of the others of a group, where it is one
 * that comes next. */
static int spread(const struct step *s, const struct op *op)
{
	struct join j = join_before(s, op->out);

	return j.n_out == 1 ? 0 :
	       dev_check(s->d, post_run(&j, s->n, s->d->stream), "inputs of a group");
}

static int embed(const struct step *s, const struct op *op)
{
	struct dev *d = s->d;
	const struct model_config *c = &d->model->cfg;
	struct embed e = {
		.tok = s->chained ? &d->chain->tok : d->mail_device->tok,
		.pos = s->chained ? &d->chain->pos : &d->mail_device->pos,
		.n_tok = s->n, .rows = op->part == OP_ENTER ? d->enter_device : NULL,
		.embd = d->embd, .scale = c->embd_scale, .place = d->place, .x = d->x,
		.w = norm_weights(d, op->out, 0), .out = d->in, .squares = d->squares,
		.turn = d->turn,
		.inv_freq = d->inv_freq,
		.angles = rope_sets(c) * c->n_rot / 2, .gain = c->rope_gain,
	};

	if (dev_check(d, embed_run(&e, step_end_rows(s), d->stream), "embedding tokens") != 0)
		return -1;
	return spread(s, op);
}

static int qkv(const struct step *s, const struct op *op)
{
	struct dev *d = s->d;
	const struct model_config *c = &d->model->cfg;
	int heads = (c->n_heads + 2 * c->n_kv_heads) * ((s->n + COLUMNS - 1) / COLUMNS);
	struct products g = {};

	g.n = op->n_group;
	for (int i = 0; i < g.n; i++) {
		const struct cuda_layer *w = &d->layer[op->layer + i];
		struct product *p = &g.p[i];

		p->kind = FINISH_QKV;
		take_mats(p, w, STAGE_QKV);
		p->n = s->n;
		p->row0 = i * s->apart;
		p->in = d->in;
		p->norm = d->squares;
		p->y = d->qkv + (size_t)p->row0 * (size_t)d->ld_qkv;
		p->ld = d->ld_qkv;
		p->bias = w->qkv_bias;
		p->heads = kv_heads(s->kv, op->layer + i);
		p->heads.ticket += i * heads;
	}

	if (adapt(s, op, ADAPT_QKV, &g) != 0)
		return -1;
	return multiply_group(s, &g, "making queries, keys and values");
}

/* Pieces that a layer looks at: those of the context, or as many as its window may touch. */
static int layer_pieces(const struct step *s, bool local)
{
	const struct cut *cut = s->kv->cut;
	int end = s->pieces * cut[false].piece;
	int all = (end + cut[local].piece - 1) / cut[local].piece;

	if (s->n > FEW_ROWS)
		return 1;
	return all < cut[local].pieces ? all : cut[local].pieces;
}

/* Of the i-th layer of a group, the k-th of those that run together. */
static struct attend attend_layer(const struct step *s, const struct op *op, int i, int k)
{
	struct dev *d = s->d;
	const struct model_config *c = &d->model->cfg;
	bool local = layer_local(c, op->layer + i);
	size_t part = (size_t)(k * s->n * c->n_heads * s->kv->part_pieces * (c->head_dim + 2));
	struct attend a = {
		.h = kv_heads(s->kv, op->layer + i),
		.qkv = d->qkv + (size_t)(i * s->apart) * (size_t)d->ld_qkv,
		.ld = d->ld_qkv, .n = s->n,
		.scale = c->attn_scale, .cap = c->attn_cap,
		.window = local ? c->window : INT_MAX,
		.piece = s->kv->cut[local].piece, .pieces = layer_pieces(s, local),
		.pieces_max = s->kv->part_pieces, .part = s->kv->part + part,
		.out = act_from(d->heads, i * s->apart),
	};

	a.h.ticket += k * s->n * c->n_heads;
	return a;
}

/* Together as many layers as there is room for their parts. */
static int attention(const struct step *s, const struct op *op)
{
	struct dev *d = s->d;
	struct attend a[ATTEND_LAYERS];
	int most = FEW_ROWS / s->n, rc = 0;

	most = most > ATTEND_LAYERS ? ATTEND_LAYERS : most < 1 ? 1 : most;
	for (int i = 0, n; i < op->n_group && rc == 0; i += n) {
		n = op->n_group - i < most ? op->n_group - i : most;
		for (int k = 0; k < n; k++)
			a[k] = attend_layer(s, op, i + k, k);
		rc = dev_check(d, n == 1 ? attend_run(a, d->stream) :
			       attend_group(a, n, d->stream), "attention");
	}
	return rc;
}

/* x += what attention (ADAPT_OUT) or the MLP (ADAPT_DOWN) made, and x as the next product wants
 * it.  Where that is more than a sum and one norm, what is made is joined. */
static int residual(const struct step *s, const struct op *op, enum adapt which)
{
	struct dev *d = s->d;
	bool mlp = which == ADAPT_DOWN, normed, joined;
	enum layer_norm norm = mlp ? NORM_FFN_POST : NORM_ATTN_POST;
	const char *doing = mlp ? "down and residual sum" : "output of attention";
	struct join j = join_before(s, op->out);
	struct products g = {};

	normed = d->layer[op->layer].norm[norm];
	joined = normed || op->n_group > 1 || op->out.n > 1;
	g.n = j.n_group = op->n_group;
	j.attention = !mlp && op->n_group > 1;
	j.bypass = j.attention ? op->bypass : 0;
	j.released = op->released;
	for (int i = 0; i < g.n; i++) {
		struct product *p = &g.p[i];

		j.norm[i] = d->layer[op->layer + i].norm[norm];
		p->kind = joined ? FINISH_FLOATS : FINISH_RESIDUAL;
		take_mats(p, &d->layer[op->layer + i], mlp ? STAGE_DOWN : STAGE_WO);
		p->n = s->n;
		p->row0 = i * s->apart;
		p->in = mlp ? d->ff : d->heads;
		p->y = joined ? d->made + (size_t)p->row0 * (size_t)j.width : d->x;
		p->ld = j.width;
		p->scale = j.scale;
		p->w = j.w[0];
		p->out = d->in;
		p->squares = d->squares;
	}
	if (joined && !normed)
		g.join = j;

	if (adapt(s, op, which, &g) != 0 || multiply_group(s, &g, doing) != 0)
		return -1;
	return normed ? dev_check(d, post_run(&j, s->n, d->stream), "norm of what is added") : 0;
}

static int gate_up(const struct step *s, const struct op *op)
{
	struct dev *d = s->d;
	struct products g = {};

	g.n = op->n_group;
	for (int i = 0; i < g.n; i++) {
		struct product *p = &g.p[i];

		p->kind = FINISH_GATE_UP;
		take_mats(p, &d->layer[op->layer + i], STAGE_GATE_UP);
		p->n = s->n;
		p->row0 = i * s->apart;
		p->act = d->model->cfg.act;
		p->in = d->in;
		p->norm = d->squares;
		p->out = act_from(d->ff, p->row0);
	}

	if (adapt(s, op, ADAPT_GATE_UP, &g) != 0)
		return -1;
	return multiply_group(s, &g, "gate and up");
}

/* The row that is about to enter layer a becomes those that enter layer s. */
static int cross(struct step *s, const struct op *op)
{
	struct dev *d = s->d;
	struct product p = {};

	if (put_features(s) != 0)
		return -1;
	step_rows(s, s->n_out);
	p.kind = FINISH_CROSS;
	p.n_mats = 1;
	p.m[0] = d->cross.weight;
	p.m[0].rows = s->n * d->model->cfg.n_embd;
	p.n = 1;
	p.in = d->cross.features;
	p.y = d->x;
	p.ld = d->model->cfg.n_embd;
	p.bias = d->cross.bias;
	p.w = norm_weights(d, op->out, 0);
	p.out = d->in;
	p.squares = d->squares;

	return multiply(d, &p, "crossing a bridge") || spread(s, op) ? -1 : 0;
}

static int output(const struct step *s)
{
	struct dev *d = s->d;
	struct product p = {};

	p.kind = FINISH_LOGITS;
	p.n_mats = 1;
	p.m[0] = *step_output(s);
	p.n = s->n_out;
	p.row0 = s->n - s->n_out;
	p.in = d->in;
	p.norm = d->squares;
	p.y = d->logits;
	p.scale = d->model->cfg.logit_scale;
	p.cap = d->model->cfg.logit_cap;
	/* Beside the model's output only a sidecar's, whose tokens answers were made of. */
	p.mute = step_output(s) == &d->output ? d->mute : NULL;
	p.ld = p.m[0].rows + row_peaks(p.m[0].rows);

	return multiply(d, &p, "making logits");
}

/* What becomes of the logits: a guess for the next step, the rows that the host asked for, or only
 * the groups in them where the largest are. */
static int deliver(const struct step *s)
{
	struct dev *d = s->d;
	int vocab = step_output(s)->rows, ld = vocab + row_peaks(vocab);
	size_t bytes = (size_t)s->n_out * (size_t)ld * sizeof(float);

	if (s->chained)
		return dev_check(d, choose_guess(d->logits, vocab, d->out_id, d->chain,
						 d->guess_device, d->stream), "guessing");
	if (s->n_best)
		return dev_check(d, choose_groups(d->logits, s->n_out, ld, vocab, s->n_best,
						  d->rows_device, d->stream), "choosing logits");
	return dev_check(d, cudaMemcpyAsync(d->rows, d->logits, bytes, cudaMemcpyDeviceToHost,
					    d->stream), "reading logits");
}

/* The rows for another device. */
static int leave(const struct step *s)
{
	struct dev *d = s->d;
	size_t bytes = (size_t)s->n * (size_t)d->model->cfg.n_embd * sizeof(float);

	return dev_check(d, cudaMemcpyAsync(d->enter, d->x, bytes, cudaMemcpyDeviceToHost,
					    d->stream), "reading rows");
}

/* Attention of a layer: QKV of rows normed and quantised before, RoPE and cache write; scores and
 * values, cut along the context, folded in order, and quantise; output and residual, norm and
 * quantise. */
static int run_attention(const struct step *s, const struct op *op)
{
	return qkv(s, op) || stage_mark(s, STAGE_QKV, op) ||
	       attention(s, op) || stage_mark(s, STAGE_ATTEND, op) ||
	       residual(s, op, ADAPT_OUT) || stage_mark(s, STAGE_WO, op) ? -1 : 0;
}

/* What of rows of activations does not count becomes zero; keep 0: nothing does. */
static int prune(const struct step *s, const struct op *op, const struct act *a, int keep)
{
	struct dev *d = s->d;

	return !keep ? 0 : dev_check(d, prune_run(a, keep, s->n, op->n_group, s->apart, d->stream),
				     "choosing columns");
}

/* The MLP of a layer: gate/up, activation and quantise; down and residual, norm and quantise. */
static int run_mlp(const struct step *s, const struct op *op)
{
	return prune(s, op, &s->d->in, op->keep_in) || gate_up(s, op) ||
	       prune(s, op, &s->d->ff, op->keep_hidden) ||
	       stage_mark(s, STAGE_GATE_UP, op) ||
	       residual(s, op, ADAPT_DOWN) || stage_mark(s, STAGE_DOWN, op) ? -1 : 0;
}

static int run_op(struct step *s, const struct op *op)
{
	switch (op->part) {
	case OP_EMBED:
	case OP_ENTER:
		return embed(s, op) || stage_mark(s, STAGE_EMBED, op);
	case OP_BRIDGE:         /* the middle left out, one row becomes several */
		return cross(s, op) || stage_mark(s, STAGE_EMBED, op);
	case OP_ATTN:
		return run_attention(s, op);
	case OP_MLP:
		return run_mlp(s, op);
	case OP_OUTPUT:         /* logits of the final norm, and their peaks */
		return s->n_out && (output(s) || deliver(s) || stage_mark(s, STAGE_OUTPUT, op));
	case OP_LEAVE:
		return leave(s);
	}
	return -1;
}

int pass_queue(const struct step *whole)
{
	struct step s = *whole;

	for (int i = 0; i < s.run->n; i++)
		if (keep_rows(&s, &s.run->op[i]) || run_op(&s, &s.run->op[i]))
			return -1;
	return 0;
}
