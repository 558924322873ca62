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

static void count_adapters(struct dev *d, const struct bridge *g)
{
	static const enum stage stage[ADAPTS] = { STAGE_QKV, STAGE_WO, STAGE_GATE_UP, STAGE_DOWN };

	for (int l = g && g->adapt ? g->s : d->model->cfg.n_layers; l < d->model->cfg.n_layers; l++)
		for (int i = 0; i < ADAPTS; i++)
			if (g->adapt[l][i].down)
				d->stage[stage[i]].bytes += mat_bytes(&d->cross.adapt[l][i].down) +
							    mat_bytes(&d->cross.adapt[l][i].up);
}

/* Bytes of the cache that a layer's attention reads. */
static size_t cache_bytes(const struct step *s, int layer)
{
	const struct batch *b = s->b;
	size_t bytes = 0;

	for (int i = b->lanes ? 0 : b->n - 1; i < b->n; i++) {
		struct lane lane = step_lane(s, i);
		int first = window_first(&s->d->model->cfg, layer, lane.pos);

		bytes += kv_row_bytes(lane.kv) * (size_t)(lane.pos + 1 - first);
	}
	return bytes;
}

void stage_count(const struct step *s)
{
	struct dev *d = s->d;
	const struct batch *b = s->b;
	const struct plan *p = b->plan;
	const struct bridge *g = step_bridge(s);

	if (!d->timed)
		return;
	if (g)
		d->stage[STAGE_EMBED].bytes += mat_bytes(&d->cross.weight);
	count_adapters(d, g);
	for (int l = 0; l < d->model->cfg.n_layers; l++) {
		const struct cpu_layer *w = &d->layer[l];

		if (plan_runs(p, false, l)) {
			d->stage[STAGE_QKV].bytes += mat_bytes(&w->wq) + mat_bytes(&w->wk) +
						     mat_bytes(&w->wv);
			d->stage[STAGE_ATTEND].bytes += cache_bytes(s, l);
			d->stage[STAGE_WO].bytes += mat_bytes(&w->wo);
		}
		if (plan_runs(p, true, l)) {
			d->stage[STAGE_GATE_UP].bytes += mat_bytes(&w->gate) + mat_bytes(&w->up);
			d->stage[STAGE_DOWN].bytes += mat_bytes(&w->down);
		}
	}
	if (b->n_out)
		d->stage[STAGE_OUTPUT].bytes += mat_bytes(step_output(s));
}

const char *stage_name(enum stage stage)
{
	static const char *const names[STAGES] = { "embedding", "QKV", "attention", "output",
		"gate+up", "down", "logits" };

	return names[stage];
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
