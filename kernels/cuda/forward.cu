/* forward.cu - one forward pass on the GPU, from token ids to logits.
 *
 * Five kernels a layer for a few rows: what stands between two products is done by the last of them
 * (norms and int8 codes, RoPE, cache); two more for an adapter, one where rows are kept, one for a
 * norm of what is added to the residual stream.  The same stages as kernels/cpu/forward.c.
 * Invariant: what a pass queues depends only on what graph.cu takes for its key. */
#include "kernels/cuda/op/attend.cuh"
#include "kernels/cuda/op/choose.cuh"
#include "kernels/cuda/dev_api.cuh"
#include "kernels/cuda/op/embed.cuh"
#include "kernels/cuda/op/post.cuh"
#include "kernels/cuda/op/prompt.cuh"
#include <limits.h>

/* Weights of a norm. */
static const float *norm_at(const struct dev *d, struct norm_at at)
{
	return at.layer < 0 ? d->norm : d->layer[at.layer].norm[at.which];
}

/* Rows in the end. */
static int rows_of(const struct step *s)
{
	return s->run->bridge ? s->n_out : s->n;
}

static int embed(const struct step *s, const struct op *op)
{
	struct dev *d = s->d;
	const struct model_config *c = &d->model->cfg;
	struct embed e = {
		.tok = s->chained ? &d->chain->tok : d->mail_device->tok,
		.pos = s->chained ? &d->chain->pos : &d->mail_device->pos,
		.n_tok = s->n, .embd = d->embd, .scale = c->embd_scale, .place = d->place,
		.x = d->x,
		.w = norm_at(d, op->out), .out = d->in, .squares = d->squares, .turn = d->turn,
		.inv_freq = d->inv_freq,
		.angles = rope_sets(c) * c->n_rot / 2, .gain = c->rope_gain,
	};

	return dev_check(d, embed_run(&e, rows_of(s), d->stream), "embedding tokens");
}

/* Tiles of the matrices behind each other. */
static void count_tiles(struct product *p)
{
	for (int i = 0; i < p->n_mats; i++)
		p->first[i + 1] = p->first[i] + (p->m[i].rows + TILE - 1) / TILE;
	if (p->kind == FINISH_GATE_UP)
		p->first[1] = (p->m[0].rows + TILE - 1) / TILE;
}

static int multiply(struct dev *d, struct product *p, const char *doing)
{
	count_tiles(p);
	if (p->n > FEW_ROWS && d->blas && !d->blas_failed)
		return prompt_product(d, p);
	return dev_check(d, product_few(p, d->stream), doing);
}

/* The matrices that a stage of a layer multiplies by. */
static void take_mats(struct product *p, const struct cuda_layer *w, enum stage stage)
{
	struct stage_mats from = stage_mats(stage);

	p->n_mats = from.n;
	for (int i = 0; i < from.n; i++)
		p->m[i] = w->mat[from.first + i];
}

/* What acts in a pass over a bridge beside the matrices of a product, which is all known but for
 * this: their rows get up (down in) more. */
static int adapt(const struct step *s, const struct op *op, enum adapt which, struct product *p)
{
	struct dev *d = s->d;
	const struct cuda_adapter *a = adapter_of(d, op, which);
	struct product low = {}, up = {};

	if (!a)
		return 0;
	low.kind = FINISH_LOW;
	low.n_mats = 1;
	low.m[0] = a->down;
	low.n = p->n;
	low.in = p->in;
	low.norm = p->norm;
	low.out = d->cross.low;
	up.kind = FINISH_FLOATS;
	up.n_mats = 1;
	up.m[0] = a->up;
	up.n = p->n;
	up.in = d->cross.low;
	up.y = d->cross.up;
	up.ld = a->up.rows;
	p->add = d->cross.up;
	p->ld_add = a->up.rows;
	return multiply(d, &low, "an adapter") || multiply(d, &up, "an adapter") ? -1 : 0;
}

static int qkv(const struct step *s, const struct op *op)
{
	struct dev *d = s->d;
	const struct cuda_layer *w = &d->layer[op->layer];
	struct product p = {};

	p.kind = FINISH_QKV;
	take_mats(&p, w, STAGE_QKV);
	p.n = s->n;
	p.in = d->in;
	p.norm = d->squares;
	p.y = d->qkv;
	p.ld = d->ld_qkv;
	p.bias = w->qkv_bias;
	p.heads = kv_heads(s->kv, op->layer);

	if (adapt(s, op, ADAPT_QKV, &p) != 0)
		return -1;
	return multiply(d, &p, "making queries, keys and values");
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

static int attention(const struct step *s, const struct op *op)
{
	struct dev *d = s->d;
	const struct model_config *c = &d->model->cfg;
	bool local = layer_local(c, op->layer);
	struct attend a = {
		.h = kv_heads(s->kv, op->layer), .qkv = d->qkv, .ld = d->ld_qkv, .n = s->n,
		.scale = c->attn_scale, .cap = c->attn_cap,
		.window = local ? c->window : INT_MAX,
		.piece = s->kv->cut[local].piece, .pieces = layer_pieces(s, local),
		.pieces_max = s->kv->part_pieces, .part = s->kv->part, .out = d->heads,
	};

	return dev_check(d, attend_run(&a, d->stream), "attention");
}

/* The rest of residual() where what product p made is normed first. */
static int post(const struct step *s, const struct product *p, const float *norm)
{
	struct dev *d = s->d;
	struct post a = {
		.made = p->y, .norm = norm, .eps = d->model->cfg.norm_eps, .scale = p->scale,
		.x = d->x, .w = p->w, .out = p->out, .squares = p->squares,
	};

	return dev_check(d, post_run(&a, s->n, d->stream), "norm of what is added");
}

/* x += what attention (ADAPT_OUT) or the MLP (ADAPT_DOWN) made, and x as the next product wants
 * it. */
static int residual(const struct step *s, const struct op *op, enum adapt which)
{
	struct dev *d = s->d;
	const struct cuda_layer *w = &d->layer[op->layer];
	bool mlp = which == ADAPT_DOWN;
	const float *norm = w->norm[mlp ? NORM_FFN_POST : NORM_ATTN_POST];
	struct product p = {};

	p.kind = norm ? FINISH_FLOATS : FINISH_RESIDUAL;
	take_mats(&p, w, mlp ? STAGE_DOWN : STAGE_WO);
	p.n = s->n;
	p.in = mlp ? d->ff : d->heads;
	p.y = norm ? d->made : d->x;
	p.ld = d->model->cfg.n_embd;
	p.scale = d->model->cfg.residual_scale;
	p.w = norm_at(d, op->out);
	p.out = d->in;
	p.squares = d->squares;

	if (adapt(s, op, which, &p) != 0 ||
	    multiply(d, &p, mlp ? "down and residual sum" : "output of attention") != 0)
		return -1;
	return norm ? post(s, &p, norm) : 0;
}

static int gate_up(const struct step *s, const struct op *op)
{
	struct dev *d = s->d;
	struct product p = {};

	p.kind = FINISH_GATE_UP;
	take_mats(&p, &d->layer[op->layer], STAGE_GATE_UP);
	p.n = s->n;
	p.act = d->model->cfg.act;
	p.in = d->in;
	p.norm = d->squares;
	p.out = d->ff;

	if (adapt(s, op, ADAPT_GATE_UP, &p) != 0)
		return -1;
	return multiply(d, &p, "gate and up");
}

/* The row that is about to enter layer a becomes those that enter layer s. */
static int cross(struct step *s, const struct op *op)
{
	struct dev *d = s->d;
	struct product p = {};

	if (put_features(s) != 0)
		return -1;
	s->n = s->n_out;
	p.kind = FINISH_CROSS;
	p.n_mats = 1;
	p.m[0] = d->cross.weight;
	p.m[0].rows = s->n * d->model->cfg.n_embd;
	p.n = 1;
	p.in = d->cross.features;
	p.y = d->x;
	p.ld = d->model->cfg.n_embd;
	p.bias = d->cross.bias;
	p.w = norm_at(d, op->out);
	p.out = d->in;
	p.squares = d->squares;

	return multiply(d, &p, "crossing a bridge");
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

/* Attention of a layer: QKV of rows normed and quantised before, RoPE and cache write; scores and
 * values, cut along the context, folded in order, and quantise; output and residual, norm and
 * quantise. */
static int run_attention(const struct step *s, const struct op *op)
{
	return qkv(s, op) || stage_mark(s, STAGE_QKV, op->layer) ||
	       attention(s, op) || stage_mark(s, STAGE_ATTEND, op->layer) ||
	       residual(s, op, ADAPT_OUT) || stage_mark(s, STAGE_WO, op->layer) ? -1 : 0;
}

/* The MLP of a layer: gate/up, activation and quantise; down and residual, norm and quantise. */
static int run_mlp(const struct step *s, const struct op *op)
{
	return gate_up(s, op) || stage_mark(s, STAGE_GATE_UP, op->layer) ||
	       residual(s, op, ADAPT_DOWN) || stage_mark(s, STAGE_DOWN, op->layer) ? -1 : 0;
}

static int run_op(struct step *s, const struct op *op)
{
	switch (op->part) {
	case OP_EMBED:
		return embed(s, op) || stage_mark(s, STAGE_EMBED, op->layer);
	case OP_BRIDGE:         /* the middle left out, one row becomes several */
		return cross(s, op) || stage_mark(s, STAGE_EMBED, op->layer);
	case OP_ATTN:
		return run_attention(s, op);
	case OP_MLP:
		return run_mlp(s, op);
	case OP_OUTPUT:         /* logits of the final norm, and their peaks */
		return s->n_out && (output(s) || deliver(s) || stage_mark(s, STAGE_OUTPUT, -1));
	}
	return -1;
}

static int forward(const struct step *whole)
{
	struct step s = *whole;

	for (int i = 0; i < s.run->n; i++)
		if (keep_rows(&s, &s.run->op[i]) || run_op(&s, &s.run->op[i]))
			return -1;
	return 0;
}

/* Pieces of the context to look at for positions below end: a power of two of them, so that few
 * graphs serve all lengths. */
static int count_pieces(const struct kv *kv, int n, int end)
{
	int pieces = 1;

	if (n > FEW_ROWS)
		return 1;
	while (pieces * kv->cut[false].piece < end)
		pieces *= 2;
	return pieces < kv->cut[false].pieces ? pieces : kv->cut[false].pieces;
}

/* Queues a pass: as it was recorded, or, where that is not known or somebody looks on, anew. */
static int queue(const struct step *s)
{
	s->d->counts.passes++;
	stage_count(s);
	if (s->n > FEW_ROWS || s->d->mark || s->d->watch)
		return forward(s);
	return graph_run(s, forward);
}

/* Before the first pass of a call is queued. */
static void begin(struct dev *d)
{
	cudaGetLastError();     /* what went wrong before, and was told or did not matter */
	if (d->done_at > 0)
		d->counts.idle_s += clock_now() - d->done_at;
}

static int finish(struct dev *d)
{
	if (dev_check(d, cudaStreamSynchronize(d->stream), "running the model") != 0)
		return -1;
	d->done_at = clock_now();
	return stage_sum(d);
}

/* One text: rows tok at pos. */
static int run(struct dev *d, struct kv *kv, const struct batch *b, const int *tok, int n, int pos,
	       int n_out)
{
	struct step s = {};

	s.d = d;
	s.kv = kv;
	s.n = n;
	s.n_out = n_out;
	s.run = b->run;
	s.n_best = n_out && b->n_best < row_peaks(step_output(&s)->rows) ? b->n_best : 0;
	s.pieces = count_pieces(kv, n, pos + rows_of(&s));
	memcpy(d->mail->tok, tok, sizeof(*tok) * (size_t)n);
	d->mail->pos = pos;
	rings_reach(&kv->head.rings, pos, rows_of(&s));
	begin(d);
	return queue(&s) == 0 ? finish(d) : -1;
}

/* Texts that advance together, one after the other: the last first, as each leaves its row of
 * logits where the first one's belong. */
static int run_lanes(struct dev *d, const struct batch *b)
{
	for (int i = b->n - 1; i >= 0; i--) {
		int at = i - (b->n - b->n_out);

		if (run(d, b->lanes[i].kv, b, b->tok + i, 1, b->lanes[i].pos, at >= 0) != 0)
			return -1;
		if (at > 0)
			memcpy(d->rows + (size_t)at * (size_t)d->ld_out, d->rows,
			       sizeof(float) * (size_t)d->ld_out);
	}
	return 0;
}

/* 0, or -1 when the backend was asked for what it cannot do. */
static int check(struct dev *d, const struct kv *kv, const struct batch *b)
{
	struct pass_limits limits = { &d->model->cfg, d->n_batch, d->n_out, d->cross.b };

	return pass_check(&limits, kv, b, d->err);
}

/* The first step's token goes to the device, the guesses come back; nothing between them. */
static int guess(struct dev *d, struct kv *kv, struct guess_batch *b)
{
	struct chain first = { b->pos, b->tok, 0, b->law };
	struct step s = {};

	s.d = d;
	s.kv = kv;
	s.n = s.n_out = 1;
	s.chained = true;
	s.run = b->run;
	begin(d);
	if (dev_check(d, cudaMemcpyAsync(d->chain, &first, sizeof(first), cudaMemcpyHostToDevice,
					 d->stream), "starting to draft") != 0)
		return -1;
	for (int i = 0; i < b->n; i++) {
		s.pieces = count_pieces(kv, 1, b->pos + i + 1);
		d->mail->pos = b->pos + i;      /* only counted with */
		if (queue(&s) != 0)
			return -1;
	}
	if (finish(d) != 0)
		return -1;
	memcpy(b->out, d->guess->tok, sizeof(b->out));
	memcpy(b->sure, d->guess->sure, sizeof(b->sure));
	return 0;
}

int cuda_guess(struct dev *d, struct kv *kv, struct guess_batch *b)
{
	struct batch first = { &b->tok, 1, b->pos, b->run, 0, 0, NULL, NULL };
	int rc;

	if (b->n < 1 || b->n > GUESS_MAX || b->pos > kv->head.n_ctx - b->n)
		return fail(d->err, "%d guesses at %d: at most %d in %d positions", b->n, b->pos,
			    GUESS_MAX, kv->head.n_ctx);
	if (check(d, kv, &first) != 0)
		return -1;
	rings_reach(&kv->head.rings, b->pos, b->n);
	mem_guard(true);
	rc = guess(d, kv, b);
	mem_guard(false);
	return rc;
}

const float *cuda_forward(struct dev *d, struct kv *kv, const struct batch *b)
{
	int rc = check(d, kv, b);

	mem_guard(true);
	if (rc == 0)
		rc = b->lanes ? run_lanes(d, b) :
		     run(d, kv, b, b->tok, b->n, b->pos, b->n_out);
	mem_guard(false);
	return rc == 0 ? d->rows : NULL;
}
