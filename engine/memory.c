/* memory.c - see memory.h.  No state. */
#include "engine/memory.h"
#include <stdio.h>
#include <unistd.h>

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

size_t memory_kv(const struct model *m, const struct backend_opt *be, int n_ctx)
{
	size_t each = head_bytes(be->cache_k, m->cfg.head_dim) +
		      head_bytes(be->cache_v, m->cfg.head_dim);
	struct rings rings;

	rings_lay_out(&rings, &m->cfg, n_ctx, be->n_batch);
	return each * rings.all;
}

static size_t number_in(const char *path, const char *format)
{
	unsigned long long n = 0;
	char line[256];
	FILE *f = fopen(path, "r");
	bool found = false;

	while (f && !found && fgets(line, sizeof(line), f))
		found = sscanf(line, format, &n) == 1;
	if (f)
		fclose(f);
	return found ? (size_t)n : SIZE_MAX;
}

size_t memory_free(void)
{
	size_t kib = number_in("/proc/meminfo", "MemAvailable: %llu");
	size_t limit = number_in("/sys/fs/cgroup/memory.max", "%llu");
	size_t used = number_in("/sys/fs/cgroup/memory.current", "%llu");
	size_t system = kib == SIZE_MAX ? SIZE_MAX : kib * 1024;
	size_t group = limit == SIZE_MAX || used == SIZE_MAX ? SIZE_MAX :
		       limit > used ? limit - used : 0;

	return system < group ? system : group;
}

size_t memory_now(void)
{
	size_t pages = number_in("/proc/self/statm", "%*u %llu");

	return pages == SIZE_MAX ? 0 : pages * (size_t)sysconf(_SC_PAGESIZE);
}

int memory_check(const struct model *m, const struct backend_opt *be, int n_ctx, size_t free,
		 char err[ERR_MAX])
{
	const struct quant_info *q8 = quant_find("q8_0");
	struct backend_opt small = { .cache_k = q8, .cache_v = q8 };
	size_t fixed = gguf_size(m->file) + WORK, kv = memory_kv(m, be, n_ctx);
	int fits = n_ctx;
	bool other;

	if (fixed <= free && kv <= free - fixed)
		return 0;
	if (fixed >= free || memory_kv(m, be, 1) > free - fixed)
		return fail(err, "%s needs %zu MiB for its weights, %zu MiB are free; a smaller "
			    "model or a harder quantised file would fit", gguf_path(m->file),
			    fixed / MIB, free / MIB);
	while (memory_kv(m, be, fits) > free - fixed)
		fits = fits > 256 ? (fits - 1) / 256 * 256 : fits - 1;
	other = memory_kv(m, &small, n_ctx) <= free - fixed;
	return fail(err, "%s with a context of %d needs %zu MiB (weights and buffers %zu, cache "
		    "%zu), %zu MiB are free; -c %d would fit%s", gguf_path(m->file), n_ctx,
		    (fixed + kv) / MIB, fixed / MIB, kv / MIB, free / MIB, fits,
		    other ? ", and so would -ctk q8_0 -ctv q8_0" : "");
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

size_t memory_bus(const struct backend *be, const struct model *m, const struct backend_opt *opt,
		  int n_ctx, const struct backend_memory *mem)
{
	struct backend_opt all = *opt;
	struct backend_memory none;
	char err[ERR_MAX];

	all.host_layers = 0;
	all.budget = (size_t)1 << 44;
	if (be->plan(m, &all, n_ctx, &none, err) != 0 || none.host > mem->host)
		return mem->host;
	return mem->host - none.host;
}
