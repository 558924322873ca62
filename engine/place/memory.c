/* memory.c - see memory.h.  No state. */
#include "engine/place/memory.h"
#include <stdio.h>

#define MIB ((size_t)1 << 20)
static const size_t WORK = 64 * MIB;    /* buffers, tokenizer and the like, generously */

/* Keys or values of a head at one position; a last block of 16 has a scale too. */
static size_t head_bytes(const struct quant_info *type, int head_dim)
{
	size_t padded = ((size_t)head_dim + 15) & ~(size_t)15;

	if (type && type->type == QUANT_Q8_0)
		return padded + (padded + 31) / 32 * sizeof(uint16_t);
	return padded * sizeof(uint16_t);
}

/* Of the layers that a set has; NULL: of all. */
static size_t kv_of(const struct model *m, const struct backend_opt *be, const uint64_t *has,
		    int n_ctx)
{
	size_t each = head_bytes(be->cache_k, m->cfg.head_dim) +
		      head_bytes(be->cache_v, m->cfg.head_dim);
	struct rings rings;

	rings_lay_out(&rings, &m->cfg, has, n_ctx, be->n_batch, be->n_back);
	return each * rings.all;
}

size_t memory_kv(const struct model *m, const struct backend_opt *be, int n_ctx)
{
	return kv_of(m, be, NULL, n_ctx) - memory_kv_host(m, be, n_ctx);
}

size_t memory_kv_host(const struct model *m, const struct backend_opt *be, int n_ctx)
{
	uint64_t host[MODEL_MAX_LAYERS / 64];

	spread_layers(&be->spread, m->cfg.n_layers, be->host_layers, host);
	return be->split ? kv_of(m, be, host, n_ctx) : 0;
}

static bool in_host(const struct memory_plan *p, const uint64_t *host, int layer)
{
	return layer < p->n_layers && (p->by_cpu ? plan_has(host, layer) :
				       layer >= p->n_layers - p->host_layers);
}

/* As much of it as there is room for. */
const char *memory_layers(const struct memory_plan *p, char text[MEMORY_LAYERS])
{
	uint64_t host[MODEL_MAX_LAYERS / 64];
	int n = 0, end;

	*text = '\0';
	spread_layers(&p->groups.spread, p->n_layers, p->host_layers, host);
	for (int l = 0; l < p->n_layers; l = end) {
		for (end = l; in_host(p, host, end); end++)
			;
		if (end > l && n < MEMORY_LAYERS - 16)
			n += sprintf(text + n, end > l + 1 ? "%s%d..%d" : "%s%d", n ? "," : "", l,
				     end - 1);
		end += end == l;
	}
	return text;
}

/* Each part of what is needed and of what there is, and what helps. */
static int refuse(const struct model *m, const struct backend_opt *be, int n_ctx,
		  const struct machine_memory *h, const char *advice, char err[ERR_MAX])
{
	size_t weights = gguf_size(m->file), kv = memory_kv(m, be, n_ctx);
	char swap[64] = "";

	if (h->swap >= MIB)
		snprintf(swap, sizeof(swap), " (%zu MiB of swap are too slow to count)",
			 h->swap / MIB);
	return fail(err, "%.160s needs %zu MiB of memory: weights %zu, cache for a context of %d "
		    "%zu, buffers and a reserve %zu; %zu MiB are free%s%s; %s; --force loads it "
		    "all the same", gguf_path(m->file), (weights + kv + WORK + MIB - 1) / MIB,
		    weights / MIB, n_ctx, kv / MIB, WORK / MIB, h->free / MIB,
		    h->group ? " in the control group" : "", swap, advice);
}

int memory_check(const struct model *m, const struct backend_opt *be, int n_ctx,
		 const struct machine_memory *h, char err[ERR_MAX])
{
	const struct quant_info *q8 = quant_find("q8_0");
	struct backend_opt small = { .cache_k = q8, .cache_v = q8 };
	size_t fixed = gguf_size(m->file) + WORK, kv = memory_kv(m, be, n_ctx), left;
	int fits = n_ctx;
	char advice[80];

	if (fixed <= h->free && kv <= h->free - fixed)
		return 0;
	left = fixed < h->free ? h->free - fixed : 0;
	if (memory_kv(m, be, 1) > left)
		return refuse(m, be, n_ctx, h, "a smaller model or a harder quantised file would "
			      "fit", err);
	while (memory_kv(m, be, fits) > left)
		fits = fits > 256 ? (fits - 1) / 256 * 256 : fits - 1;
	snprintf(advice, sizeof(advice), "-c %d would fit%s", fits,
		 memory_kv(m, &small, n_ctx) <= left ? ", and so would -ctk q8_0 -ctv q8_0" : "");
	return refuse(m, be, n_ctx, h, advice, err);
}

size_t memory_budget(size_t free, size_t asked)
{
	size_t margin = free / 50 > 64 * MIB ? free / 50 : 64 * MIB;

	if (asked)
		return asked < free ? asked : free;
	return free == SIZE_MAX ? free : free > margin ? free - margin : 0;
}

/* One question to a backend's plan. */
struct trial {
	const struct backend *be;
	const struct model *m;
	struct backend_opt opt;
	int n_ctx;
};

static bool fits(const struct trial *t)
{
	struct backend_memory mem;
	char err[ERR_MAX];

	return t->opt.budget && t->be->plan(t->m, &t->opt, t->n_ctx, &mem, err) == 0;
}

/* The smallest budget in MiB that is enough; 0: none is. */
static size_t least_budget(struct trial t)
{
	size_t no = 0, yes = 1 << 24;   /* 16 TiB */

	t.opt.budget = yes * MIB;
	if (!fits(&t))
		return 0;
	while (yes - no > 1) {
		size_t half = no + (yes - no) / 2;

		t.opt.budget = half * MIB;
		*(fits(&t) ? &yes : &no) = half;
	}
	return yes;
}

/* The largest context that fits, in steps of 256 if it can be; 0: none does. */
static int most_context(struct trial t)
{
	int no = t.n_ctx, yes = 0;

	while (no - yes > 1) {
		t.n_ctx = yes + (no - yes) / 2;
		*(fits(&t) ? &yes : &no) = t.n_ctx;
	}
	return yes < 256 ? yes : yes / 256 * 256;
}

static bool fits_q8(struct trial t)
{
	const struct quant_info *q8 = quant_find("q8_0");

	if (t.opt.cache_k == q8 && t.opt.cache_v == q8)
		return false;
	t.opt.cache_k = t.opt.cache_v = q8;
	return fits(&t);
}

static int too_little(const struct trial *t, const struct memory_room *r, size_t least,
		      char err[ERR_MAX])
{
	char ways[128] = "";
	int ctx = most_context(*t), n = 0;

	if (ctx)
		n = snprintf(ways, sizeof(ways), "-c %d, ", ctx);
	if (fits_q8(*t))
		n += snprintf(ways + n, sizeof(ways) - (size_t)n, "-ctk q8_0 -ctv q8_0, ");
	if (least * MIB <= r->most)
		n += snprintf(ways + n, sizeof(ways) - (size_t)n, "--vram %zu, ",
			      least + (r->others + MIB - 1) / MIB);
	if (!n)
		snprintf(ways, sizeof(ways), "a smaller model or a harder quantised file, ");
	return fail(err, "%.200s with a context of %d needs at least %zu MiB of the GPU's memory, "
		    "even with its layers in host memory; there are %zu for it, %zu are missing; "
		    "what would fit: %sor --backend cpu", gguf_path(t->m->file), t->n_ctx, least,
		    r->budget / MIB, least - r->budget / MIB, ways);
}

int memory_fit(const struct backend *be, const struct model *m, const struct backend_opt *opt,
	       int n_ctx, const struct memory_room *r, struct backend_memory *mem,
	       char err[ERR_MAX])
{
	struct trial t = { .be = be, .m = m, .opt = *opt, .n_ctx = n_ctx };
	size_t least;

	t.opt.budget = r->budget;
	if (r->budget && be->plan(m, &t.opt, n_ctx, mem, err) == 0)
		return 0;
	least = least_budget(t);
	if (least > r->budget / MIB)
		return too_little(&t, r, least, err);
	return r->budget ? -1 : fail(err, "the GPU has no memory free");
}
