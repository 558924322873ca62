/* memory.c - see memory.h.  No state. */
#include "engine/memory.h"
#include <stdio.h>

#define MIB ((size_t)1 << 20)
static const size_t WORK = 64 * MIB;    /* buffers, tokenizer and the like, generously */

size_t memory_kv(const struct model *m, int n_ctx)
{
	size_t head = ((size_t)m->cfg.head_dim + 15) & ~(size_t)15;

	return 2 * sizeof(uint16_t) * (size_t)m->cfg.n_layers * (size_t)m->cfg.n_kv_heads * head *
	       (size_t)n_ctx;
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

int memory_check(const struct model *m, int n_ctx, size_t free, char err[ERR_MAX])
{
	size_t fixed = gguf_size(m->file) + WORK, kv = memory_kv(m, n_ctx);
	size_t fits;

	if (fixed <= free && kv <= free - fixed)
		return 0;
	if (fixed >= free || memory_kv(m, 1) > free - fixed)
		return fail(err, "%s needs %zu MiB for its weights, %zu MiB are free; a smaller "
			    "model or a harder quantised file would fit", gguf_path(m->file),
			    fixed / MIB, free / MIB);
	fits = (free - fixed) / memory_kv(m, 1);
	fits = fits < 256 ? fits : fits / 256 * 256;
	return fail(err, "%s with a context of %d needs %zu MiB (weights and buffers %zu, cache "
		    "%zu), %zu MiB are free; -c %zu would fit", gguf_path(m->file), n_ctx,
		    (fixed + kv) / MIB, fixed / MIB, kv / MIB, free / MIB, fits);
}
