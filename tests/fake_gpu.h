/* fake_gpu.h - a backend "cuda" for tests, with memory of its own, that can be made to fail.
 *
 * The linker takes backend_cuda from here and not from the library.  It computes by backend_cpu,
 * and pretends that every layer has weights of fake.layer bytes and the rest of a model fake.fixed.
 * Included once by a test.  Invariant: fake.devs and fake.kvs are what is open now. */
#ifndef S3D_FAKE_GPU_H
#define S3D_FAKE_GPU_H
#include "engine/place/memory.h"
#include "kernels/backend_bus.h"
#include "kernels/devices/registry.h"
#include <stdio.h>
#include <string.h>

enum { FAKE_PINNED = 100000 };  /* host memory of a model without its layers */

static struct fake_gpu {
	bool there;
	size_t free, used, layer, fixed;
	/* Counted down by each call; the one that finds 1 fails, and so does every pass behind a
	 * failed one.  0: none. */
	int fail_open, fail_kv, fail_forward;
	bool lost;
	double bus;             /* bytes a second; 0: that cannot be measured */
	double own, cross;      /* of its memory, and seconds of a call; 0: quick */
	const char *name;       /* of the card */
	int measured;           /* how often its bus was */
	int devs, kvs, passes;
	/* To open; [1]: a model of one layer only. */
	struct { int host_layers; size_t budget; struct host_spread spread; } told[2];
} fake;

static inline bool fake_fails(int *count)
{
	return *count && --*count == 0;
}

static inline size_t fake_free(void)
{
	return fake.free;
}

static inline size_t fake_used(void)
{
	return fake.used;
}

static inline int fake_plan(const struct model *m, const struct backend_opt *o, int n_ctx,
			    struct backend_memory *mem, char err[ERR_MAX])
{
	int n = m->cfg.n_layers, host = o->host_layers < n ? o->host_layers : n;
	struct backend_opt some = *o;

	for (; host <= n; host++) {
		some.host_layers = host;
		if (fake.fixed + fake.layer * (size_t)(n - host) +
		    memory_kv(m, &some, memory_rows(n_ctx)) <= o->budget)
			break;
	}
	if (host > n)
		return fail(err, "the fake is too small");
	*mem = (struct backend_memory){
		.weights = fake.layer * (size_t)(n - host), .work = fake.fixed,
		.host = fake.layer * (size_t)host + FAKE_PINNED,
		.host_weights = fake.layer * (size_t)host, .host_layers = host,
	};
	return 0;
}

static inline struct dev *fake_open(const struct model *m, const struct backend_opt *o,
				    char err[ERR_MAX])
{
	struct dev *d = NULL;
	struct backend_opt all = *o;

	all.split = false;              /* it computes nothing of its own: all layers will do */
	if (fake_fails(&fake.fail_open))
		fail(err, "fake: no device memory to open with");
	else
		d = backend_cpu.open(m, &all, err);
	fake.devs += d != NULL;
	fake.told[m->cfg.n_layers == 1].host_layers = o->host_layers;
	fake.told[m->cfg.n_layers == 1].budget = o->budget;
	fake.told[m->cfg.n_layers == 1].spread = o->spread;
	return d;
}

static inline void fake_close(struct dev *d)
{
	fake.devs--;
	backend_cpu.close(d);
}

static inline struct kv *fake_kv_new(struct dev *d, int n_ctx, char err[ERR_MAX])
{
	struct kv *kv = NULL;

	if (fake_fails(&fake.fail_kv))
		fail(err, "fake: no device memory for a cache");
	else
		kv = backend_cpu.kv_new(d, n_ctx, err);
	fake.kvs += kv != NULL;
	return kv;
}

static inline void fake_kv_free(struct kv *kv)
{
	fake.kvs--;
	backend_cpu.kv_free(kv);
}

static inline int fake_kv_back(const struct kv *kv)
{
	return backend_cpu.kv_back(kv);
}

static inline size_t fake_kv_bytes(const struct kv *kv)
{
	return backend_cpu.kv_bytes(kv);
}

static inline const float *fake_forward(struct dev *d, struct kv *kv, const struct batch *b)
{
	fake.passes++;
	fake.lost |= fake_fails(&fake.fail_forward);
	return fake.lost ? NULL : backend_cpu.forward(d, kv, b);
}

static inline const char *fake_error(const struct dev *d)
{
	return fake.lost ? "fake: the device is lost" : backend_cpu.error(d);
}

static inline struct backend_memory fake_memory(const struct dev *d)
{
	return backend_cpu.memory(d);
}

static inline const char *fake_describe(const struct dev *d)
{
	(void)d;
	return "a fake";
}

static inline int fake_name(char out[BUS_NAME], char err[ERR_MAX])
{
	if (!fake.name)
		return fail(err, "fake: a card without a name");
	snprintf(out, BUS_NAME, "%s", fake.name);
	return 0;
}

static inline double fake_read(enum bus_way way, size_t bytes, char err[ERR_MAX])
{
	if (way == BUS_CALL)
		return fake.cross > 0 ? fake.cross : 1e-9;
	if (way == BUS_OWN)
		return (double)bytes / (fake.own > 0 ? fake.own : 1e12);
	fake.measured++;
	return fake.bus > 0 ? (double)bytes / fake.bus : fail(err, "fake: no bus to be seen");
}

static inline const struct backend *fake_table(void)
{
	static const struct backend_bus bus = { .name = fake_name, .read = fake_read };
	static const struct backend table = {
		.name = "cuda", .own_memory = true, .can_be_lost = true, .groups = true,
		.bus = &bus,
		.free = fake_free, .used = fake_used, .plan = fake_plan,
		.open = fake_open, .close = fake_close, .kv_new = fake_kv_new,
		.kv_free = fake_kv_free, .kv_bytes = fake_kv_bytes,
		.kv_back = fake_kv_back, .forward = fake_forward,
		.error = fake_error, .memory = fake_memory, .describe = fake_describe,
	};

	return &table;
}

const struct backend *backend_cuda(char err[ERR_MAX])
{
	fail(err, "%s", fake.there ? "" : "fake: no device");
	return fake.there ? fake_table() : NULL;
}
#endif
