/* pass.c - see pass.h.  No state. */
#include "kernels/pass.h"

/* One row: where it is written, and the token that it is of. */
static int check_row(const struct pass_limits *p, const struct kv *kv, const struct batch *b, int i,
		     char err[ERR_MAX])
{
	const struct kv_head *into = (const struct kv_head *)(b->lanes ? b->lanes[i].kv : kv);
	int pos = b->lanes ? b->lanes[i].pos : b->pos + i, back = rings_back(&into->rings, p->cfg);

	if (pos < 0 || pos >= into->n_ctx)
		return fail(err, "forward of a row at %d: the cache takes %d positions", pos,
			    into->n_ctx);
	if ((!i || b->lanes) && pos && pos < back)
		return fail(err, "forward at %d: the cache has forgotten what is before %d", pos,
			    back);
	if (i < b->n && b->run->op[0].part == OP_EMBED &&
	    (b->tok[i] < 0 || b->tok[i] >= p->cfg->n_vocab))
		return fail(err, "token id %d is outside the vocabulary of %d", b->tok[i],
			    p->cfg->n_vocab);
	return 0;
}

/* Whether the device has what the operations multiply by. */
static int check_parts(const struct pass_limits *p, const struct batch *b, char err[ERR_MAX])
{
	const struct schedule *run = b->run;

	if (run->op[0].part == OP_ENTER && !b->rows)
		return fail(err, "forward of a later part without the rows of the first");
	for (int i = 0; i < run->n; i++) {
		const struct op *op = &run->op[i];

		if (op->part == OP_EMBED && p->no_tokens)
			return fail(err, "forward of tokens: this device has no embeddings");
		if (op->part == OP_OUTPUT && p->no_output)
			return fail(err, "forward to logits: this device has no output");
		for (int l = op->layer; p->has && l >= 0 && l < op->layer + op->n_group; l++)
			if (!plan_has(p->has, l))
				return fail(err, "forward of layer %d, which another device has",
					    l);
	}
	return 0;
}

int pass_check(const struct pass_limits *p, const struct kv *kv, const struct batch *b,
	       char err[ERR_MAX])
{
	const struct kv_head *head = (const struct kv_head *)kv;        /* NULL: lanes are named */
	int rows = pass_rows(b), most;

	if (b->run->n < 1)
		return fail(err, "forward of a schedule without operations");
	if (check_parts(p, b, err) != 0)
		return -1;
	most = schedule_rows(b->run, p->n_batch);
	if (b->run->bridge && bridge_pass_fits(p->cfg, b, p->bridge, head ? head->kept_layer : NULL,
					       head ? head->n_kept : 0, err) != 0)
		return -1;
	if (rows < 1 || rows > most || b->n_out < 0 || b->n_out > rows ||
	    b->n_out > p->n_out)
		return fail(err, "forward of %d rows with %d outputs: this device takes %d rows "
			    "and %d outputs", rows, b->n_out, most, p->n_out);
	for (int i = 0; i < rows; i++)
		if (check_row(p, kv, b, i, err) != 0)
			return -1;
	return 0;
}

void pass_reach(struct kv *kv, const struct batch *b)
{
	for (int i = 0; b->lanes && i < b->n; i++)
		rings_reach(&((struct kv_head *)b->lanes[i].kv)->rings, b->lanes[i].pos, 1);
	if (!b->lanes)
		rings_reach(&((struct kv_head *)kv)->rings, b->pos, pass_rows(b));
}

int pass_widths(const struct model_config *c, int block, char err[ERR_MAX])
{
	int heads = c->n_heads * c->head_dim;

	if (c->n_embd % block || c->n_ff % block || heads % block)
		return fail(err, "widths %d, %d and %d of this model must be multiples of %d",
			    c->n_embd, c->n_ff, heads, block);
	return 0;
}

void pass_count(const struct schedule *run, int n_out, struct backend_stage stage[STAGES],
		size_t (*weights)(const void *ctx, const struct op *, int layer, enum stage),
		size_t (*cache)(const void *ctx, int layer), const void *ctx)
{
	for (int i = 0; i < run->n; i++) {
		const struct op *op = &run->op[i];

		if (op->part == OP_OUTPUT && !n_out)
			continue;
		for (int l = op->layer; l < op->layer + op->n_group; l++) {
			for (int s = op_stages(op).first; s <= (int)op_stages(op).last; s++)
				stage[s].bytes += weights(ctx, op, l, (enum stage)s);
			if (op->part == OP_ATTN)
				stage[STAGE_ATTEND].bytes += cache(ctx, l);
		}
	}
}
