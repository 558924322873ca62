/* backend.c - the cpu backend: loads a model into one arena, owns its buffers and caches.
 *
 * Invariant: dev_close accepts what a failed open left. */
#include "base/machine.h"
#include "engine/model/rope.h"
#include "kernels/cpu/bridge.h"
#include "kernels/cpu/load.h"
#include "kernels/cpu/prune.h"
#include "kernels/devices/registry.h"
#include "kernels/peaks.h"
#include <stdio.h>
#include <string.h>

static float *load_floats(const struct gguf_tensor *t, char err[ERR_MAX])
{
	float *f = mem_new((size_t)t->dim[0], sizeof(float), err);

	if (f)
		quant_row(t->type, t->data, f, t->dim[0]);
	return f;
}

/* Those of queries, keys and values behind each other, as their products lie. */
static float *load_biases(const struct layer *l, char err[ERR_MAX])
{
	float *f, *at;
	size_t n = 0;

	for (int i = 0; i < 3; i++)
		n += (size_t)l->bias[i]->dim[0];
	f = at = mem_new(n, sizeof(float), err);
	for (int i = 0; f && i < 3; at += l->bias[i++]->dim[0])
		quant_row(l->bias[i]->type, l->bias[i]->data, at, l->bias[i]->dim[0]);
	return f;
}

/* How matrix i of a layer lies when it is loaded. */
static enum lie lie_of(const struct dev *d, int i)
{
	bool mlp = i == MAT_GATE || i == MAT_UP || i == MAT_DOWN;

	return d->columns && mlp ? BY_COLUMNS : BY_UNITS;
}

/* Bytes of the matrices that are packed, or of those that stay in the mapped file. */
static size_t weight_bytes(const struct dev *d, bool packed)
{
	const struct model *m = d->model;
	size_t sum = 0;

	for (int i = d->split ? 0 : -1; i < LAYER_MATS * m->cfg.n_layers; i++) {
		const struct gguf_tensor *t = i < 0 ? m->output :
			m->layer[i / LAYER_MATS].mat[i % LAYER_MATS];

		if (i >= 0 && !plan_has(d->has, i / LAYER_MATS))
			continue;
		sum += packed ? mat_packed(d, t, i < 0 ? BY_UNITS : lie_of(d, i % LAYER_MATS)) :
		       mat_packs(d, t) ? 0 : t->bytes;
	}
	return sum;
}

static int load_layer(struct dev *d, int l, uint8_t **at, char err[ERR_MAX])
{
	const struct layer *from = &d->model->layer[l];
	struct cpu_layer *to = &d->layer[l];

	for (int i = 0; i < LAYER_MATS; i++)
		mat_load(d, &to->mat[i], from->mat[i], d->model->file, lie_of(d, i), at);
	for (int i = 0; i < STAGES; i++) {
		struct stage_mats w = stage_mats((enum stage)i);

		for (int j = w.first; j < w.first + w.n; j++)
			to->takes[i] |= to->mat[j].takes;
	}
	if (from->bias[0] && !(to->qkv_bias = load_biases(from, err)))
		return -1;
	for (int i = 0; i < LAYER_NORMS; i++)
		if (from->norm[i] && !(to->norm[i] = load_floats(from->norm[i], err)))
			return -1;
	return 0;
}

static int load_weights(struct dev *d, const struct backend_opt *opt, char err[ERR_MAX])
{
	const struct model *m = d->model;
	uint8_t *at;
	int n = 0;

	d->arena_bytes = weight_bytes(d, true);
	d->layer = mem_new((size_t)m->cfg.n_layers, sizeof(*d->layer), err);
	at = d->arena = mem_new(d->arena_bytes + ARENA_PAST, 1, err);
	if (!d->layer || !d->arena)
		return -1;
	mem_huge(d->arena, d->arena_bytes);
	for (int l = 0; l < m->cfg.n_layers; l++) {
		if (!plan_has(d->has, l))
			continue;
		if (load_layer(d, l, &at, err) != 0)
			return -1;
		gguf_drop_all(m->file); /* pages around what was read were mapped with it */
		if (opt->progress)
			opt->progress(opt->progress_ctx, ++n / (d->n_layers + 1.0));
	}
	if (!d->split)
		mat_load(d, &d->output, m->output, m->file, BY_UNITS, &at);
	gguf_drop_all(m->file);
	d->norm = load_floats(m->norm, err);
	if (opt->progress)
		opt->progress(opt->progress_ctx, 1.0);
	return d->norm ? 0 : -1;
}

static void *room(size_t *bytes, size_t n, size_t size, char err[ERR_MAX])
{
	void *p = mem_new(n, size, err);

	if (p)
		*bytes += n * size;
	return p;
}

int act_open(struct act *a, int rows, int k, bool floats, size_t *bytes, char err[ERR_MAX])
{
	size_t panels = ((size_t)rows + PANEL - 1) / PANEL, blocks = panels * (size_t)(k / BLOCK);

	a->k = a->ldf = k;
	a->q = room(bytes, blocks * PANEL, BLOCK, err);
	a->d = room(bytes, blocks * PANEL, 2 * sizeof(float), err);
	a->s = room(bytes, blocks * PANEL, sizeof(float), err);
	a->h = room(bytes, blocks * PANEL, 2 * sizeof(int32_t), err);
	if (floats)
		a->room = room(bytes, (size_t)rows * (size_t)k, sizeof(float), err);
	return a->q && a->d && a->s && a->h && (a->room || !floats) ? 0 : -1;
}

void act_close(struct act *a)
{
	mem_free(a->q);
	mem_free(a->d);
	mem_free(a->s);
	mem_free(a->h);
	mem_free(a->room);
}

static int open_acts(struct dev *d, char err[ERR_MAX])
{
	const struct model_config *c = &d->model->cfg;
	int wide = c->n_heads * c->head_dim > c->n_embd ? c->n_heads * c->head_dim : c->n_embd;
	int threads = d->n_threads;
	size_t *work = &d->work_bytes;

	d->own = mem_new((size_t)threads, sizeof(*d->own), err);
	if (!d->own)
		return -1;
	for (int t = 0; t < threads; t++)
		if (act_open(&d->own[t], FEW_ROOM, wide, true, work, err) != 0)
			return -1;
	if (act_open(&d->all, d->n_batch, wide, true, work, err) != 0 ||
	    act_open(&d->ff, d->n_batch, c->n_ff, false, work, err) != 0)
		return -1;
	d->ff.f = d->gate;
	return 0;
}

static int open_work(struct dev *d, char err[ERR_MAX])
{
	const struct model_config *c = &d->model->cfg;
	size_t n = (size_t)d->n_batch, f = sizeof(float), *work = &d->work_bytes;

	d->ld_qkv = (c->n_heads + 2 * c->n_kv_heads) * c->head_dim;
	d->x = room(work, n * (size_t)c->n_embd, f, err);
	d->tmp = room(work, n * (size_t)c->n_embd, f, err);
	d->beside = room(work, n * (size_t)c->n_embd, f, err);
	d->qkv = room(work, n * (size_t)d->ld_qkv, f, err);
	d->attn = room(work, n * (size_t)(c->n_heads * c->head_dim), f, err);
	d->gate = room(work, n * (size_t)c->n_ff, f, err);
	d->up = room(work, n * (size_t)c->n_ff, f, err);
	d->cut = room(work, n, sizeof(*d->cut), err);
	d->turn = room(work, n * (size_t)(rope_sets(c) * c->n_rot), f, err);
	if (!d->split)
		d->logits = room(work, (size_t)d->n_out * (size_t)(c->n_out + row_peaks(c->n_out)),
				 f, err);
	d->inv_freq = room(work, (size_t)(rope_sets(c) * c->n_rot) / 2 + 1, f, err);
	if (!d->x || !d->tmp || !d->beside || !d->qkv || !d->attn || !d->gate || !d->up ||
	    !d->cut || !d->turn || (!d->logits && !d->split) || !d->inv_freq)
		return -1;
	return open_acts(d, err);
}

static int check_shape(const struct model_config *c, char err[ERR_MAX])
{
	if (pass_widths(c, BLOCK, err) != 0)
		return -1;
	if (c->head_dim > ATTEND_MAX_DIM || c->head_dim % 8 ||
	    c->n_heads / c->n_kv_heads > CPU_MAX_GROUP)
		return fail(err, "heads of %d dimensions, %d to a key head: the cpu backend takes "
			    "multiples of 8 up to %d, and up to %d heads", c->head_dim,
			    c->n_heads / c->n_kv_heads, ATTEND_MAX_DIM, CPU_MAX_GROUP);
	return 0;
}

static void dev_close(struct dev *d)
{
	if (!d)
		return;
	for (int l = 0; d->layer && l < d->model->cfg.n_layers; l++) {
		for (int i = 0; i < LAYER_NORMS; i++)
			mem_free(d->layer[l].norm[i]);
		mem_free(d->layer[l].qkv_bias);
	}
	bridge_open(d, NULL, d->err);
	for (int t = 0; d->own && t < d->n_threads; t++)
		act_close(&d->own[t]);
	act_close(&d->all);
	act_close(&d->ff);
	void *all[] = { d->layer, d->arena, d->norm, d->own, d->x, d->tmp, d->beside, d->qkv,
			d->attn, d->gate, d->up, d->cut, d->turn, d->logits, d->inv_freq, d->part,
			d->part_acc };
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		mem_free(all[i]);
	if (d->owns_pool)
		pool_close(d->pool);
	mem_free(d);
}

/* All that does not take a thread or a weight. */
static int dev_set(struct dev *d, const struct model *m, const struct backend_opt *opt,
		   char err[ERR_MAX])
{
	d->model = m;
	d->split = opt->split;
	d->n_layers = opt->split ? opt->host_layers : m->cfg.n_layers;
	spread_layers(&opt->spread, m->cfg.n_layers, d->n_layers, d->has);
	if (check_shape(&d->model->cfg, err) != 0 ||
	    quant_cache(opt->cache_k, &d->q8_k, err) != 0 ||
	    quant_cache(opt->cache_v, &d->q8_v, err) != 0)
		return -1;
	d->k = cpu_kernels_find(opt->kernels, err);
	if (!d->k)
		return -1;
	d->n_threads = opt->share ? pool_size(opt->share->pool) :
		       opt->n_threads > 0 ? opt->n_threads : machine_cores();
	d->columns = opt->columns;
	d->floats = opt->kernels && !strcmp(opt->kernels, "float");
	d->watch = opt->watch;
	d->watch_ctx = opt->watch_ctx;
	d->n_batch = opt->n_batch > 0 ? opt->n_batch : BATCH_DEFAULT;
	d->n_out = opt->n_out > 0 ? opt->n_out : 32;
	d->n_back = opt->n_back;
	d->pad_dim = (d->model->cfg.head_dim + 15) & ~15;
	return 0;
}

static int dev_fill(struct dev *d, const struct backend_opt *opt, char err[ERR_MAX])
{
	int threads;

	d->owns_pool = !opt->share;
	d->pool = opt->share ? opt->share->pool : pool_open(d->n_threads, err);
	if (!d->pool)
		return -1;
	d->n_threads = threads = pool_size(d->pool);
	snprintf(d->describe, sizeof(d->describe), "%s%s, %d thread%s%s%s", d->k->name,
		 d->floats ? " float" : "", threads, threads == 1 ? "" : "s",
		 d->q8_k ? ", keys q8_0" : "", d->q8_v ? ", values q8_0" : "");
	if (open_work(d, err) != 0 || load_weights(d, opt, err) != 0)
		return -1;
	for (int i = 0; i < rope_sets(&d->model->cfg); i++)
		rope_freqs(d->model, i, d->inv_freq + i * d->model->cfg.n_rot / 2);
	return 0;
}

static struct dev *dev_open(const struct model *m, const struct backend_opt *opt, char err[ERR_MAX])
{
	struct dev *d = mem_new(1, sizeof(*d), err);

	if (!d)
		return NULL;
	if (dev_set(d, m, opt, err) != 0 || dev_fill(d, opt, err) != 0) {
		dev_close(d);
		return NULL;
	}
	return d;
}

/* Room for the partial softmaxes of the longest context that any cache of the device has; what
 * there is stays when there is no more. */
static int open_parts(struct dev *d, int n_ctx, char err[ERR_MAX])
{
	size_t blocks = ((size_t)n_ctx + ATTEND_BLOCK - 1) / ATTEND_BLOCK;
	size_t rows = FEW_ROWS * blocks > (size_t)d->n_batch ? FEW_ROWS * blocks
							     : (size_t)d->n_batch;
	size_t n = rows * (size_t)d->model->cfg.n_heads;
	size_t each = sizeof(*d->part) + sizeof(float) * (size_t)d->pad_dim;
	struct partial *part;
	float *acc;

	if (n <= d->n_part)
		return 0;
	part = mem_new(n, sizeof(*part), err);
	acc = part ? mem_new(n * (size_t)d->pad_dim, sizeof(*acc), err) : NULL;
	if (!acc) {
		mem_free(part);
		return -1;
	}
	mem_free(d->part);
	mem_free(d->part_acc);
	d->part = part;
	d->part_acc = acc;
	d->work_bytes += (n - d->n_part) * each;
	d->n_part = n;
	return 0;
}

/* Buffers are opened without being touched, which takes no memory, and closed again. */
static int dev_plan(const struct model *m, const struct backend_opt *opt, int n_ctx,
		    struct backend_memory *out, char err[ERR_MAX])
{
	struct dev *d = mem_new(1, sizeof(*d), err);
	int rc = -1;

	if (d && dev_set(d, m, opt, err) == 0 && open_work(d, err) == 0)
		rc = open_parts(d, n_ctx, err);
	if (rc == 0)
		*out = (struct backend_memory){
			.weights = weight_bytes(d, true) + weight_bytes(d, false),
			.work = d->work_bytes,
		};
	dev_close(d);
	return rc;
}

static void kv_free(struct kv *kv)
{
	if (!kv)
		return;
	mem_free(kv->k.x);
	mem_free(kv->k.scale);
	mem_free(kv->v.x);
	mem_free(kv->v.scale);
	mem_free(kv->kept.x);
	column_cache_free(kv->columns);
	mem_free(kv);
}

static int kv_back(const struct kv *kv)
{
	return rings_back(&kv->head.rings, &kv->dev->model->cfg);
}

static int planes_new(const struct kv *kv, struct plane *p, bool q8, char err[ERR_MAX])
{
	size_t n = kv->head.rings.all, pad = (size_t)kv->dev->pad_dim;
	size_t blocks = (size_t)plane_blocks(kv->dev->pad_dim);

	p->x = mem_new(n * pad, q8 ? sizeof(int8_t) : sizeof(uint16_t), err);
	if (p->x && q8)
		p->scale = mem_new(n * blocks, sizeof(*p->scale), err);
	return p->x && (p->scale || !q8) ? 0 : -1;
}

static size_t planes_bytes(const struct kv *kv, const struct plane *p)
{
	size_t pad = (size_t)kv->dev->pad_dim, blocks = (size_t)plane_blocks(kv->dev->pad_dim);
	size_t each = p->scale ? pad + blocks * sizeof(*p->scale) : pad * sizeof(uint16_t);

	return kv->head.rings.all * each;
}

static struct kv *kv_new(struct dev *d, int n_ctx, char err[ERR_MAX])
{
	struct kv *kv = mem_new(1, sizeof(*kv), err);

	if (!kv)
		return NULL;
	kv->dev = d;
	kv->head.n_ctx = memory_rows(n_ctx);
	rings_lay_out(&kv->head.rings, &d->model->cfg, d->has, kv->head.n_ctx, d->n_batch,
		      d->n_back);
	if (planes_new(kv, &kv->k, d->q8_k, err) != 0 ||
	    planes_new(kv, &kv->v, d->q8_v, err) != 0 || open_parts(d, kv->head.n_ctx, err) != 0) {
		kv_free(kv);
		return NULL;
	}
	return kv;
}

static size_t kv_bytes(const struct kv *kv)
{
	return planes_bytes(kv, &kv->k) + planes_bytes(kv, &kv->v) + kept_bytes(kv) +
	       (kv->columns ? column_cache_bytes(kv->columns) : 0);
}

size_t kv_row_bytes(const struct kv *kv)
{
	const struct model_config *c = &kv->dev->model->cfg;

	return (planes_bytes(kv, &kv->k) + planes_bytes(kv, &kv->v)) * (size_t)c->n_kv_heads /
	       kv->head.rings.all;
}

/* From the file again: a matrix has the room that it was loaded with. */
static int dev_lay(struct dev *d, bool columns)
{
	static const enum layer_mat mlp[] = { MAT_GATE, MAT_UP, MAT_DOWN };
	int others = 0;

	for (int l = 0; l < d->model->cfg.n_layers; l++)
		for (int i = 0; plan_has(d->has, l) && i < 3; i++) {
			const struct gguf_tensor *t = d->model->layer[l].mat[mlp[i]];
			struct mat *m = &d->layer[l].mat[mlp[i]];

			mat_lay(d, m, t, d->model->file, columns ? BY_COLUMNS : BY_UNITS,
				mat_packed(d, t, lie_of(d, (int)mlp[i])));
			others += columns != (m->slabs > 0);
		}
	return others;
}

static const char *dev_error(const struct dev *d)
{
	return d->err;
}

static struct backend_memory dev_memory(const struct dev *d)
{
	return (struct backend_memory){ .weights = d->arena_bytes + d->cross.weights,
					.work = d->work_bytes + d->cross.work };
}

static const char *dev_describe(const struct dev *d)
{
	return d->describe;
}

static const struct backend_draft draft = {
	.kv_keep = kv_keep,
	.bridge = bridge_open,
};

const struct backend backend_cpu = {
	.name = "cpu",
	.groups = true,
	.prunes = true,
	.weighs = true,
	.draft = &draft,
	.columns = &cpu_columns,
	.free = machine_free,
	.used = machine_taken,
	.plan = dev_plan,
	.open = dev_open,
	.close = dev_close,
	.lay = dev_lay,
	.kv_new = kv_new,
	.kv_free = kv_free,
	.kv_bytes = kv_bytes,
	.kv_back = kv_back,
	.forward = cpu_forward,
	.error = dev_error,
	.memory = dev_memory,
	.describe = dev_describe,
	.stream = stream_time,
	.stages = stage_look,
};
