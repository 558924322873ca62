/* split.c - see split.h.
 *
 * A device owns one of each backend, a cache one of each; the cpu's are NULL where it has no
 * layers.  The halves' struct dev and struct kv are other types than those below, and only passed
 * on.  Invariant: a row is handed over as it is, so what a pass makes depends on where the layers
 * are cut, and on nothing else that a pass over one device would not depend on. */
#include "kernels/split.h"
#include "kernels/backend_draft.h"
#include "kernels/registry.h"
#include "kernels/schedule.h"
#include "engine/model/window.h"
#include <stdio.h>
#include <string.h>

/* The backend of the other half: set by backend_split, before anything is opened. */
static const struct backend *there;

/* Schedules that were cut last; a chat has three: text, drafts, and drafts over a bridge. */
enum { CUTS = 8 };
struct cut {
	uint64_t id;            /* of the schedule; first.n is 0: of none */
	struct schedule first, rest;
};

struct dev {
	const struct model_config *cfg;
	int at;                 /* layers of the cpu */
	struct dev *cpu, *gpu;
	struct cut cut[CUTS];
	int next;               /* of them goes next */
	int n_rows;
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
	double cpu_part = (double)d->at / (d->cfg->n_layers + 1);
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

static struct dev *dev_open(const struct model *m, const struct backend_opt *o, char err[ERR_MAX])
{
	struct dev *d = mem_new(1, sizeof(*d), err);
	int most = m->cfg.n_layers;

	if (!d)
		return NULL;
	d->cfg = &m->cfg;
	d->at = !o->split ? 0 : o->host_layers < most ? o->host_layers : most;
	d->n_rows = o->n_batch > 0 ? o->n_batch : BATCH_DEFAULT;
	for (int i = 0; i < 2; i++)
		d->lane[i] = mem_new((size_t)d->n_rows, sizeof(*d->lane[i]), err);
	if (!d->lane[0] || !d->lane[1] || open_halves(d, m, o, err) != 0) {
		dev_close(d);
		return NULL;
	}
	snprintf(d->describe, sizeof(d->describe), "%.100s", there->describe(d->gpu));
	if (d->at)
		snprintf(d->describe, sizeof(d->describe), "%.80s; %d of %d layers: cpu, %.60s",
			 there->describe(d->gpu), d->at, most, backend_cpu.describe(d->cpu));
	return d;
}

/* Adds what the cpu takes for its layers. */
static void add_host(struct backend_memory *m, const struct backend_memory *cpu)
{
	m->host += cpu->weights + cpu->work;
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
	add_host(out, &cpu);
	return 0;
}

static struct backend_memory dev_memory(const struct dev *d)
{
	struct backend_memory m = there->memory(d->gpu), cpu;

	if (d->cpu) {
		cpu = backend_cpu.memory(d->cpu);
		add_host(&m, &cpu);
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

/* NULL: it cannot be cut there. */
static const struct cut *cut_of(struct dev *d, const struct schedule *run)
{
	struct cut *c = NULL;

	for (int i = 0; i < CUTS; i++)
		if (d->cut[i].first.n && d->cut[i].id == run->id)
			return &d->cut[i];
	c = &d->cut[d->next];
	c->first.n = 0;
	if (schedule_cut(run, d->at, &c->first, &c->rest, d->err) != 0)
		return NULL;
	c->id = run->id;
	d->next = (d->next + 1) % CUTS;
	return c;
}

static int set_lanes(struct dev *d, const struct batch *b)
{
	if (b->n > d->n_rows)
		return fail(d->err, "forward of %d texts: this device takes %d rows", b->n,
			    d->n_rows);
	for (int i = 0; i < b->n; i++) {
		d->lane[0][i] = (struct lane){ b->lanes[i].kv->cpu, b->lanes[i].pos };
		d->lane[1][i] = (struct lane){ b->lanes[i].kv->gpu, b->lanes[i].pos };
	}
	return 0;
}

/* A half's pass, with the lanes of its own caches. */
static const float *run_half(struct dev *d, const struct backend *be, struct dev *half,
			     struct kv *kv, struct batch b)
{
	const float *rows;

	if (b.lanes)
		b.lanes = d->lane[be == there];
	rows = be->forward(half, kv, &b);
	if (!rows)
		fail(d->err, "%s", be->error(half));
	return rows;
}

/* The rows before the cut.  A pass with logits goes to its end. */
static const float *run_first(struct dev *d, struct kv *kv, const struct batch *b,
			      const struct cut *c)
{
	struct batch first = *b;

	first.run = &c->first;
	first.n_out = first.n_best = 0;
	first.halt = b->n_out ? NULL : b->halt;
	return run_half(d, &backend_cpu, d->cpu, kv ? kv->cpu : NULL, first);
}

static void count(struct dev *d, const struct batch *b, double start, double between)
{
	d->counts.handed++;
	d->counts.handed_bytes += sizeof(float) * (size_t)b->n * (size_t)d->cfg->n_embd;
	d->counts.first_s += between - start;
	d->counts.rest_s += clock_now() - between;
}

/* One half after the other. */
static const float *run_both(struct dev *d, struct kv *kv, const struct batch *b)
{
	const struct cut *c = cut_of(d, b->run);
	struct batch rest = *b;
	double start = clock_now(), between;

	rest.rows = c ? run_first(d, kv, b, c) : NULL;
	if (!rest.rows || (b->halt && b->halt->seen && !b->n_out))
		return rest.rows;
	between = clock_now();
	rest.run = &c->rest;
	rest.rows = run_half(d, there, d->gpu, kv ? kv->gpu : NULL, rest);
	count(d, b, start, between);
	return rest.rows;
}

static const float *forward(struct dev *d, struct kv *kv, const struct batch *b)
{
	if (b->lanes && set_lanes(d, b) != 0)
		return NULL;
	return d->at ? run_both(d, kv, b) :
	       run_half(d, there, d->gpu, kv ? kv->gpu : NULL, *b);
}

/* ---- drafts ---- */

/* What crosses a bridge, and the rows that it takes, are to be on one device. */
int split_bridge(const struct model_config *c, int at, int layer, char err[ERR_MAX])
{
	if (layer >= at)
		return 0;
	return fail(err, "drafts over a bridge to layer %d: the cpu has %d of the %d layers, and "
		    "may have %d (-ngl %d, or --host-layers bus)", layer, at, c->n_layers, layer,
		    c->n_layers - layer);
}

static int bridge_there(const struct dev *d, int layer, char err[ERR_MAX])
{
	return split_bridge(d->cfg, d->at, layer, err);
}

static int kv_keep(struct kv *kv, const int *layer, int n, char err[ERR_MAX])
{
	if (keep_fits(kv->dev->cfg, layer, n, err) != 0)
		return -1;
	for (int i = 0; i < n; i++)
		if (bridge_there(kv->dev, layer[i], err) != 0)
			return -1;
	return there->draft->kv_keep(kv->gpu, layer, n, err);
}

static int bridge(struct dev *d, const struct bridge *g, char err[ERR_MAX])
{
	if (g && (bridge_fits(d->cfg, g, err) != 0 || bridge_there(d, g->s, err) != 0)) {
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
		.prunes = over->prunes,
		.draft = over->draft ? &draft : NULL, .free = over->free, .used = over->used,
		.plan = dev_plan, .open = dev_open, .close = dev_close, .kv_new = kv_new,
		.kv_free = kv_free, .kv_bytes = kv_bytes, .kv_back = kv_back, .forward = forward,
		.error = dev_error, .memory = dev_memory, .describe = dev_describe,
		.stream = dev_stream, .stages = dev_stages,
		.counts = over->counts ? dev_counts : NULL,
	};
	return &table;
}
