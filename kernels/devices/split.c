/* split.c - see split.h.
 *
 * A device owns one of each backend, a cache one of each; the cpu's are NULL where it has no
 * layers.  The halves' struct dev and struct kv are other types than those below, and only passed
 * on.  Invariant: a row is handed over as it is, so what a pass makes depends on where the layers
 * are cut, and on nothing else that a pass over one device would not depend on. */
#include "kernels/devices/split.h"
#include "kernels/backend_draft.h"
#include "kernels/devices/registry.h"
#include "kernels/backend_time.h"
#include "kernels/schedule_leg.h"
#include "engine/model/window.h"
#include <stdio.h>
#include <string.h>

/* The backend of the other half: set by backend_split, before anything is opened. */
static const struct backend *there;

/* A prompt's rows go in so many pieces at most, of PIECE_ROWS at least: while the other half is at
 * one the cpu is at the next.  Fewer rows the GPU would multiply in another way. */
enum { PIECES = 4, PIECE_ROWS = 32 };

struct dev {
	const struct model *model;
	struct backend_opt opt; /* that it was opened with */
	int at;                 /* layers of the cpu, */
	uint64_t host[MODEL_MAX_LAYERS / 64];   /* these: a bit for each */
	struct dev *cpu, *gpu;
	struct leg leg;         /* of a pass, the one in work */
	int n_rows;
	float *x;               /* (n_rows, n_embd) rows that both halves take or made */
	struct lane *lane[2];   /* (n_rows) of the halves' caches */
	struct backend_counts counts;   /* what was handed over */
	char describe[192], err[ERR_MAX];
};

struct kv {
	struct dev *dev;
	struct kv *cpu, *gpu;
};

/* ---- devices ---- */

static void dev_close(struct dev *d)
{
	if (!d)
		return;
	if (d->cpu)
		backend_cpu.close(d->cpu);
	if (d->gpu)
		there->close(d->gpu);
	mem_free(d->lane[0]);
	mem_free(d->lane[1]);
	mem_free(d->x);
	mem_free(d);
}

/* Loading both halves is one progress. */
struct stretch {
	const struct backend_opt *whole;
	double from, part;
};

static void loaded(void *ctx, double done)
{
	const struct stretch *s = ctx;

	s->whole->progress(s->whole->progress_ctx, s->from + done * s->part);
}

static int open_halves(struct dev *d, const struct model *m, const struct backend_opt *o,
		       char err[ERR_MAX])
{
	double cpu_part = (double)d->at / (d->model->cfg.n_layers + 1);
	struct stretch gpu = { o, 0, 1 - cpu_part }, cpu = { o, 1 - cpu_part, cpu_part };
	struct backend_opt half = *o;

	half.split = d->at > 0;
	half.share = o->share ? o->share->gpu : NULL;
	half.progress = o->progress ? loaded : NULL;
	half.progress_ctx = &gpu;
	d->gpu = there->open(m, &half, err);
	if (!d->gpu || !d->at)
		return d->gpu ? 0 : -1;
	half.host_layers = d->at;
	half.share = o->share ? o->share->cpu : NULL;
	half.progress_ctx = &cpu;
	d->cpu = backend_cpu.open(m, &half, err);
	return d->cpu ? 0 : -1;
}

static int most_rows(const struct backend_opt *o)
{
	return o->n_batch > 0 ? o->n_batch : BATCH_DEFAULT;
}

/* Of the rows that both halves take or made. */
static size_t rows_bytes(const struct model *m, const struct backend_opt *o)
{
	return (size_t)most_rows(o) * (size_t)m->cfg.n_embd * sizeof(float);
}

static struct dev *dev_open(const struct model *m, const struct backend_opt *o, char err[ERR_MAX])
{
	struct dev *d = mem_new(1, sizeof(*d), err);
	int most = m->cfg.n_layers;

	if (!d)
		return NULL;
	d->model = m;
	d->at = !o->split ? 0 : o->host_layers < most ? o->host_layers : most;
	d->opt = *o;
	d->opt.host_layers = d->at;
	d->n_rows = most_rows(o);
	for (int i = 0; i < 2; i++)
		d->lane[i] = mem_new((size_t)d->n_rows, sizeof(*d->lane[i]), err);
	spread_layers(&o->spread, most, d->at, d->host);
	if (d->at)
		d->x = mem_new(rows_bytes(m, o), 1, err);
	if (!d->lane[0] || !d->lane[1] || (d->at && !d->x) || open_halves(d, m, o, err) != 0) {
		dev_close(d);
		return NULL;
	}
	snprintf(d->describe, sizeof(d->describe), "%.100s", there->describe(d->gpu));
	if (d->at)
		snprintf(d->describe, sizeof(d->describe), "%.80s; %d of %d layers: cpu, %.60s",
			 there->describe(d->gpu), d->at, most, backend_cpu.describe(d->cpu));
	return d;
}

/* Adds what the cpu takes for its layers, and what is handed over. */
static void add_host(struct backend_memory *m, const struct backend_memory *cpu, size_t rows)
{
	m->host += cpu->weights + cpu->work + rows;
	m->host_weights = cpu->weights;
}

static int dev_plan(const struct model *m, const struct backend_opt *o, int n_ctx,
		    struct backend_memory *out, char err[ERR_MAX])
{
	struct backend_opt half = *o;
	struct backend_memory cpu;

	if (there->plan(m, o, n_ctx, out, err) != 0)
		return -1;
	half.host_layers = out->host_layers;
	if (!o->split || !half.host_layers)
		return 0;
	if (backend_cpu.plan(m, &half, n_ctx, &cpu, err) != 0)
		return -1;
	add_host(out, &cpu, rows_bytes(m, o));
	return 0;
}

static struct backend_memory dev_memory(const struct dev *d)
{
	struct backend_memory m = there->memory(d->gpu), cpu;

	if (d->cpu) {
		cpu = backend_cpu.memory(d->cpu);
		add_host(&m, &cpu, rows_bytes(d->model, &d->opt));
	}
	return m;
}

static const char *dev_error(const struct dev *d)
{
	return d->err;
}

static const char *dev_describe(const struct dev *d)
{
	return d->describe;
}

static double dev_stream(struct dev *d, size_t bytes)
{
	return there->stream(d->gpu, bytes);
}

static int dev_stages(struct dev *d, struct backend_stage out[BACKEND_STAGES_MAX])
{
	struct backend_stage cpu[BACKEND_STAGES_MAX];
	int n = there->stages(d->gpu, out), also = d->cpu ? backend_cpu.stages(d->cpu, cpu) : 0;

	for (int i = 0; i < also; i++) {        /* they have the same names */
		out[i].seconds += cpu[i].seconds;
		out[i].bytes += cpu[i].bytes;
	}
	return n;
}

static struct backend_counts dev_counts(struct dev *d)
{
	struct backend_counts c = there->counts(d->gpu);

	c.handed = d->counts.handed;
	c.crossings = d->counts.crossings;
	c.handed_bytes = d->counts.handed_bytes;
	c.first_s = d->counts.first_s;
	c.rest_s = d->counts.rest_s;
	d->counts = (struct backend_counts){ .handed = 0 };
	return c;
}

/* ---- caches ---- */

static void kv_free(struct kv *kv)
{
	if (!kv)
		return;
	if (kv->cpu)
		backend_cpu.kv_free(kv->cpu);
	if (kv->gpu)
		there->kv_free(kv->gpu);
	mem_free(kv);
}

static struct kv *kv_new(struct dev *d, int n_ctx, char err[ERR_MAX])
{
	struct kv *kv = mem_new(1, sizeof(*kv), err);

	if (!kv)
		return NULL;
	kv->dev = d;
	kv->gpu = there->kv_new(d->gpu, n_ctx, err);
	if (kv->gpu && d->cpu)
		kv->cpu = backend_cpu.kv_new(d->cpu, n_ctx, err);
	if (kv->gpu && (kv->cpu || !d->cpu))
		return kv;
	kv_free(kv);
	return NULL;
}

/* As all sizes but .host, where the other backend computes. */
static size_t kv_bytes(const struct kv *kv)
{
	return there->kv_bytes(kv->gpu);
}

static int kv_back(const struct kv *kv)
{
	int gpu = there->kv_back(kv->gpu), cpu = kv->cpu ? backend_cpu.kv_back(kv->cpu) : 0;

	return gpu > cpu ? gpu : cpu;
}

/* ---- passes ---- */

static void set_lanes(struct dev *d, const struct batch *b)
{
	for (int i = 0; i < b->n; i++) {
		d->lane[0][i] = (struct lane){ b->lanes[i].kv->cpu, b->lanes[i].pos };
		d->lane[1][i] = (struct lane){ b->lanes[i].kv->gpu, b->lanes[i].pos };
	}
}

/* A pass of one half, with the lanes of its own caches. */
static const float *run_half(struct dev *d, struct kv *kv, enum side side, struct batch b)
{
	bool cpu = side == SIDE_HOST;
	const struct backend *be = cpu ? &backend_cpu : there;
	struct dev *to = cpu ? d->cpu : d->gpu;
	struct kv *own = !kv ? NULL : cpu ? kv->cpu : kv->gpu;
	const float *rows;

	if (b.lanes)
		b.lanes = d->lane[side];
	rows = be->forward(to, own, &b);
	if (!rows)
		fail(d->err, "%s", be->error(to));
	return rows;
}

/* Rows that are there, or will be when the other half's pass is done. */
static const float *wait_there(struct dev *d, const float *rows)
{
	if (!there->wait)
		return rows;
	rows = there->wait(d->gpu);
	if (!rows)
		fail(d->err, "%s", there->error(d->gpu));
	return rows;
}

/* A pass with logits goes to its end. */
static bool halted(const struct batch *b)
{
	return b->halt && b->halt->seen && !b->n_out;
}

/* The cpu's part of a leg. */
static const float *run_here(struct dev *d, struct kv *kv, const struct batch *b, const float *rows)
{
	double start = clock_now();
	struct batch half = *b;

	half.run = &d->leg.run[SIDE_HOST];
	half.rows = rows;
	half.n_out = half.n_best = 0;
	half.halt = b->n_out ? NULL : b->halt;
	rows = run_half(d, kv, SIDE_HOST, half);
	d->counts.first_s += clock_now() - start;
	return rows;
}

static void count_crossing(struct dev *d, const struct batch *b)
{
	d->counts.crossings++;
	d->counts.handed_bytes += sizeof(float) * (size_t)b->n * (size_t)d->model->cfg.n_embd;
}

/* The other half's.  Ahead: it may go on with it. */
static const float *run_there(struct dev *d, struct kv *kv, const struct batch *b,
			      const float *rows, bool ahead)
{
	double start = clock_now();
	struct batch half = *b;
	bool last;

	half.run = &d->leg.run[SIDE_OTHER];
	last = half.run->op[half.run->n - 1].part == OP_OUTPUT;
	half.rows = rows;
	half.ahead = ahead || (b->ahead && last);
	if (!last)
		half.n_out = half.n_best = 0;
	rows = run_half(d, kv, SIDE_OTHER, half);
	count_crossing(d, b);
	if (!last)
		count_crossing(d, b);
	d->counts.rest_s += clock_now() - start;
	return rows;
}

/* Layers of a group at once, from the same rows; what the cpu's add comes to the others' rows. */
static const float *run_together(struct dev *d, struct kv *kv, const struct batch *b,
				 const float *rows)
{
	size_t n = (size_t)b->n * (size_t)d->model->cfg.n_embd;
	const float *here, *other;
	double start;

	if (rows != d->x)
		memcpy(d->x, rows, n * sizeof(*rows));
	other = run_there(d, kv, b, d->x, true);
	if (!other)
		return NULL;
	here = run_here(d, kv, b, d->x);
	start = clock_now();
	other = wait_there(d, other);
	d->counts.rest_s += clock_now() - start;
	for (size_t i = 0; here && other && i < n; i++)
		d->x[i] = other[i] + here[i];
	return here && other ? d->x : NULL;
}

/* Leg by leg, each with the rows that the one before left. */
static const float *run_legs(struct dev *d, struct kv *kv, const struct batch *b)
{
	struct leg_at at = { 0 };
	const float *rows = NULL;

	do {
		if (schedule_leg(b->run, d->host, &at, &d->leg, d->err) != 0)
			return NULL;
		rows = d->leg.on[SIDE_HOST] && d->leg.on[SIDE_OTHER] ?
		       run_together(d, kv, b, rows) :
		       d->leg.on[SIDE_HOST] ? run_here(d, kv, b, rows) :
		       run_there(d, kv, b, rows, false);
	} while (rows && !halted(b) && at.op < b->run->n);
	d->counts.handed += rows && !halted(b);
	return rows;
}

/* Each text's row is in a cache of its own, what crosses a bridge becomes others, and layers of a
 * group are at work together anyway. */
static int count_pieces(const struct batch *b)
{
	int least = b->n_out > PIECE_ROWS ? b->n_out : PIECE_ROWS, n = b->n / least;

	if (b->lanes || b->run->bridge || b->run->n_group > 1)
		return 1;
	return n < 1 ? 1 : n > PIECES ? PIECES : n;
}

/* All rows; outputs are of the last piece's. */
static const float *run_both(struct dev *d, struct kv *kv, const struct batch *b)
{
	int n = count_pieces(b);
	const float *rows = NULL;

	for (int i = 0; i < n; i++) {
		struct batch p = *b;
		int from = b->n * i / n, to = b->n * (i + 1) / n;

		p.tok += from;
		p.pos += from;
		p.n = to - from;
		p.ahead = i < n - 1;
		p.n_out = p.ahead ? 0 : b->n_out;
		p.halt = b->n_out ? NULL : b->halt;
		rows = run_legs(d, kv, &p);
		if (!rows || halted(&p))
			break;
	}
	/* where they ended early the GPU may be at one of them */
	if (n > 1 && !wait_there(d, rows))
		return NULL;
	return rows;
}

static const float *forward(struct dev *d, struct kv *kv, const struct batch *b)
{
	if (b->n > d->n_rows) {         /* pieces of it might be taken */
		fail(d->err, "forward of %d rows: this device takes %d rows", b->n, d->n_rows);
		return NULL;
	}
	if (b->lanes)
		set_lanes(d, b);
	return d->at ? run_both(d, kv, b) : run_half(d, kv, SIDE_OTHER, *b);
}

/* ---- drafts ---- */

static int bridge_there(const struct dev *d, int layer, char err[ERR_MAX])
{
	return spread_bridge(&d->opt.spread, &d->model->cfg, d->at, layer, err);
}

static int kv_keep(struct kv *kv, const int *layer, int n, char err[ERR_MAX])
{
	if (keep_fits(&kv->dev->model->cfg, layer, n, err) != 0)
		return -1;
	for (int i = 0; i < n; i++)
		if (bridge_there(kv->dev, layer[i], err) != 0)
			return -1;
	return there->draft->kv_keep(kv->gpu, layer, n, err);
}

static int bridge(struct dev *d, const struct bridge *g, char err[ERR_MAX])
{
	if (g && (bridge_fits(&d->model->cfg, g, err) != 0 || bridge_there(d, g->s, err) != 0)) {
		char old[ERR_MAX];

		there->draft->bridge(d->gpu, NULL, old);
		return -1;
	}
	return there->draft->bridge(d->gpu, g, err);
}

static bool guesses(const struct dev *d)
{
	return !d->at && backend_guesses(there, d->gpu);
}

static int guess(struct dev *d, struct kv *kv, struct guess_batch *b)
{
	if (!guesses(d))
		return fail(d->err, "guesses without the host, which has %d layers", d->at);
	return there->draft->guess(d->gpu, kv->gpu, b) == 0 ? 0 :
	       fail(d->err, "%s", there->error(d->gpu));
}

/* The cpu's layers, those it is given later too; the others lie as they lie. */
static int dev_lay(struct dev *d, bool columns)
{
	int others = 3 * (d->model->cfg.n_layers - d->at) * columns;

	d->opt.columns = columns;
	return others + (d->cpu ? backend_cpu.lay(d->cpu, columns) : 0);
}

/* ---- the tables ---- */

static const struct backend_draft draft = {
	.kv_keep = kv_keep, .bridge = bridge, .guess = guess, .guesses = guesses,
};

const struct backend *backend_split(const struct backend *over)
{
	static struct backend table;

	if (there == over)
		return &table;
	there = over;
	table = (struct backend){
		.name = over->name, .own_memory = over->own_memory,
		.can_be_lost = over->can_be_lost, .groups = over->groups, .bus = over->bus,
		.prunes = over->prunes, .lay = dev_lay,
		.draft = over->draft ? &draft : NULL, .free = over->free, .used = over->used,
		.plan = dev_plan, .open = dev_open, .close = dev_close, .kv_new = kv_new,
		.kv_free = kv_free, .kv_bytes = kv_bytes, .kv_back = kv_back, .forward = forward,
		.error = dev_error, .memory = dev_memory, .describe = dev_describe,
		.stream = dev_stream, .stages = dev_stages,
		.counts = over->counts ? dev_counts : NULL,
	};
	return &table;
}
