/* call.cu - what the backend is asked for, as passes: one text, several, guesses one behind the
 * other; what is handed in and out.  forward.cu says what a pass does.
 *
 * Invariant: when a call returns nothing is left to be done on the device, but what batch.ahead
 * allows, which the next call or cuda_wait waits for. */
#include "kernels/cuda/dev_api.cuh"

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

static bool leaves(const struct batch *b)
{
	return b->run->n && b->run->op[b->run->n - 1].part == OP_LEAVE;
}

/* Queues a pass: as it was recorded, or, where that is not known or somebody looks on, anew. */
static int queue(const struct step *s)
{
	s->d->counts.passes++;
	stage_count(s);
	if (s->n > FEW_ROWS || s->d->mark || s->d->watch)
		return pass_queue(s);
	return graph_run(s, pass_queue);
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
	d->ahead = false;
	if (dev_check(d, cudaStreamSynchronize(d->stream), "running the model") != 0)
		return -1;
	d->done_at = clock_now();
	return stage_sum(d);
}

/* What the first kernel reads, for rows from..from+n-1 of a batch. */
static void post_mail(struct dev *d, const struct batch *b, int from, int n, int pos)
{
	size_t width = (size_t)d->model->cfg.n_embd;

	d->mail->pos = pos;
	if (b->run->op[0].part == OP_ENTER)
		memmove(d->enter, b->rows + (size_t)from * width,
			sizeof(*b->rows) * (size_t)n * width);
	else
		memcpy(d->mail->tok, b->tok + from, sizeof(*b->tok) * (size_t)n);
}

/* One text: rows from.. of the batch at pos. */
static int run(struct dev *d, struct kv *kv, const struct batch *b, int from, int n, int pos,
	       int n_out)
{
	struct step s = {};

	if (d->ahead && finish(d) != 0)
		return -1;
	s.d = d;
	s.kv = kv;
	step_rows(&s, n);
	s.n_out = n_out;
	s.run = b->run;
	s.n_best = n_out && b->n_best < row_peaks(step_output(&s)->rows) ? b->n_best : 0;
	s.pieces = count_pieces(kv, n, pos + step_end_rows(&s));
	post_mail(d, b, from, n, pos);
	rings_reach(&kv->head.rings, pos, step_end_rows(&s));
	begin(d);
	if (queue(&s) != 0)
		return -1;
	d->made_rows = leaves(b) ? d->enter : d->rows;
	d->ahead = b->ahead && !b->lanes;
	return d->ahead ? 0 : finish(d);
}

/* Texts that advance together, one after the other: the last first, as each leaves its row of
 * logits where the first one's belong. */
static int run_lanes(struct dev *d, const struct batch *b)
{
	size_t width = (size_t)d->model->cfg.n_embd;

	for (int i = b->n - 1; i >= 0; i--) {
		int at = i - (b->n - b->n_out);

		if (run(d, b->lanes[i].kv, b, i, 1, b->lanes[i].pos, at >= 0) != 0)
			return -1;
		if (leaves(b))
			memmove(d->enter + (size_t)i * width, d->enter, sizeof(float) * width);
		if (at > 0)
			memcpy(d->rows + (size_t)at * (size_t)d->ld_out, d->rows,
			       sizeof(float) * (size_t)d->ld_out);
	}
	return 0;
}

/* 0, or -1 when the backend was asked for what it cannot do. */
static int check(struct dev *d, const struct kv *kv, const struct batch *b)
{
	struct pass_limits limits = { &d->model->cfg, d->n_batch, d->n_out, d->cross.b, d->has,
				      d->elsewhere > 0, false };

	if (!d->enter && (b->run->op[0].part == OP_ENTER || leaves(b)))
		return fail(d->err, "cuda: it was not opened for rows of another device");
	for (int i = 0; i < b->run->n; i++)
		if (b->run->op[i].apart)
			return fail(d->err, "cuda: of a group that two devices share it has the "
				    "residual stream");
	return pass_check(&limits, kv, b, d->err);
}

/* The first step's token goes to the device, the guesses come back; nothing between them. */
static int guess(struct dev *d, struct kv *kv, struct guess_batch *b)
{
	struct chain first = { b->pos, b->tok, 0, b->law };
	struct step s = {};

	s.d = d;
	s.kv = kv;
	step_rows(&s, 1);
	s.n_out = 1;
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
	struct batch first = { &b->tok, NULL, 1, b->pos, b->run, 0, 0, NULL, NULL, false };
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
		     run(d, kv, b, 0, b->n, b->pos, b->n_out);
	mem_guard(false);
	return rc == 0 ? d->made_rows : NULL;
}

const float *cuda_wait(struct dev *d)
{
	return !d->ahead || finish(d) == 0 ? d->made_rows : NULL;
}
