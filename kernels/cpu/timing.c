/* timing.c - seconds and bytes of each stage of the forward pass; how fast memory is read.
 *
 * The first thread reads the clock behind each stage's barrier, so a stage's time includes waiting.
 * Invariant: nothing is counted, and no clock is read, until somebody has looked. */
#include "kernels/cpu/bridge.h"
#include <string.h>

void stage_begin(struct dev *d)
{
	if (d->timed)
		d->stage_start = clock_now();
}

void stage_end(struct dev *d, int t, enum stage stage)
{
	double now;

	pool_sync(d->pool);
	if (t || !d->timed)
		return;
	now = clock_now();
	d->stage[stage].seconds += now - d->stage_start;
	d->stage_start = now;
}

static size_t mat_bytes(const struct mat *m)
{
	if (m->packed)
		return m->unit_bytes * (size_t)((m->rows + UNIT - 1) / UNIT);
	return quant_bytes(quant_info(m->type), m->cols) * (size_t)m->rows;
}

/* Of a matrix of a layer: by columns only those that its rows need are read, of which no two may be
 * the same. */
static size_t layer_mat_bytes(const struct step *s, const struct op *op, const struct mat *m,
			      enum stage stage)
{
	int keep = stage == STAGE_GATE_UP ? op->keep_in :
		   stage == STAGE_DOWN ? op->keep_hidden : 0;
	size_t column = (size_t)m->rows * (size_t)type_facts(m->type).bits / 8;

	if (!m->slabs || !keep || keep * s->n >= m->cols)
		return mat_bytes(m);
	return mat_bytes(m) - column * (size_t)(m->cols - keep * s->n);
}

/* Bytes of the cache that a layer's attention reads. */
static size_t cache_bytes(const void *ctx, int layer)
{
	const struct step *s = ctx;
	const struct batch *b = s->b;
	size_t bytes = 0;

	for (int i = b->lanes ? 0 : b->n - 1; i < b->n; i++) {
		struct lane lane = step_lane(s, i);
		int first = window_first(&s->d->model->cfg, layer, lane.pos);

		bytes += kv_row_bytes(lane.kv) * (size_t)(lane.pos + 1 - first);
	}
	return bytes;
}

static size_t weight_bytes(const void *ctx, const struct op *op, int layer, enum stage stage)
{
	const struct step *s = ctx;
	const struct dev *d = s->d;
	struct stage_mats w = stage_mats(stage);
	size_t bytes = 0;

	if (op->part == OP_BRIDGE)
		return mat_bytes(&d->cross.weight);
	if (op->part == OP_OUTPUT)
		return mat_bytes(step_output(s));
	for (int i = w.first; i < w.first + w.n; i++)
		bytes += layer_mat_bytes(s, op, &d->layer[layer].mat[i], stage);
	for (int i = 0; i < ADAPTS; i++) {
		const struct cpu_adapter *a = adapter_of(d, op, layer, (enum adapt)i);

		if (a && adapt_stage((enum adapt)i) == stage)
			bytes += mat_bytes(&a->down) + mat_bytes(&a->up);
	}
	return bytes;
}

void stage_count(const struct step *s)
{
	if (s->d->timed)
		pass_count(s->b->run, s->b->n_out, s->d->stage, weight_bytes, cache_bytes, s);
}

int stage_look(struct dev *d, struct backend_stage out[BACKEND_STAGES_MAX])
{
	memcpy(out, d->stage, sizeof(d->stage));
	for (int i = 0; i < STAGES; i++) {
		out[i].name = stage_name((enum stage)i);
		d->stage[i] = (struct backend_stage){ 0 };
	}
	d->timed = true;
	return STAGES;
}

struct stream_job {
	struct dev *d;
	const uint8_t *p;
	size_t bytes;           /* a thread's part */
	volatile uint64_t sum;
};

static void stream_share(void *arg, int t)
{
	struct stream_job *j = arg;
	uint64_t sum = j->d->k->read(j->p + (size_t)t * j->bytes, j->bytes);

	if (sum == 1)           /* never: the memory is zero; keeps the reads from being removed */
		j->sum = sum;
}

double stream_time(struct dev *d, size_t bytes)
{
	char err[ERR_MAX];
	size_t part = bytes / (size_t)pool_size(d->pool) & ~(size_t)4095;
	struct stream_job j = { .d = d, .bytes = part };
	uint8_t *p = mem_new(bytes, 1, err);
	double best = 0;

	if (!p)
		return 0;
	memset(p, 2, bytes);    /* real pages, not the shared zero page */
	j.p = p;
	for (int i = 0; i < 4; i++) {
		double t = clock_now();

		pool_run(d->pool, stream_share, &j);
		t = clock_now() - t;
		best = i == 0 || t < best ? t : best;
	}
	mem_free(p);
	return best;
}
