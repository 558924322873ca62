/* host_speed.c - see host_speed.h: measuring. */
#include "engine/place/host_speed.h"
#include "base/machine.h"
#include "engine/sidecar/sidecar.h"
#include "kernels/backend_bus.h"
#include "kernels/devices/registry.h"
#include "kernels/schedule_leg.h"
#include <stdio.h>
#include <string.h>
#include <time.h>

#define MIB ((size_t)1 << 20)

/* A model's first layers on the cpu alone: as many as are more than caches hold. */
struct probe {
	struct schedule whole;
	struct leg leg;         /* of the cpu */
	struct backend_opt opt;
	struct dev *dev;
	struct kv *kv;
	size_t bytes;
};

static int choose_layers(struct probe *p, const struct model *m, char err[ERR_MAX])
{
	uint64_t host[MODEL_MAX_LAYERS / 64] = { 0 };
	struct leg_at at;
	int n = 0;

	schedule_make(&p->whole, m, &(struct plan){ .target = true });
	do {
		host[n / 64] |= (uint64_t)1 << (n % 64);
		n++;
		at = (struct leg_at){ 0 };
		if (schedule_leg(&p->whole, host, &at, &p->leg, err) != 0)
			return -1;
		p->bytes = schedule_bytes(&p->leg.run[SIDE_HOST]);
	} while (n < m->cfg.n_layers && p->bytes < 256 * MIB);
	p->opt.host_layers = n;
	return 0;
}

static int probe_open(struct probe *p, const struct model *m, const struct backend_opt *o,
		      char err[ERR_MAX])
{
	p->opt = (struct backend_opt){ .n_threads = o->n_threads, .n_batch = 1, .n_out = 1,
				       .cache_k = o->cache_k, .cache_v = o->cache_v,
				       .kernels = o->kernels, .split = true };
	if (choose_layers(p, m, err) != 0)
		return -1;
	if (machine_free() / 2 < p->bytes)
		return fail(err, "%zu MiB of memory for it are not free", p->bytes / MIB);
	p->dev = backend_cpu.open(m, &p->opt, err);
	p->kv = p->dev ? backend_cpu.kv_new(p->dev, 16, err) : NULL;
	return p->kv ? 0 : -1;
}

static void probe_close(struct probe *p)
{
	if (p->kv)
		backend_cpu.kv_free(p->kv);
	if (p->dev)
		backend_cpu.close(p->dev);
	mem_free(p);
}

/* Bytes a second of the fastest of some passes for one token; the first one warms up.  0 with
 * err. */
static double probe_run(struct probe *p, char err[ERR_MAX])
{
	static const int token;
	double best = 0;

	for (int i = 0; i < 4; i++) {
		struct batch b = { .tok = &token, .n = 1, .pos = i, .run = &p->leg.run[SIDE_HOST] };
		double t = clock_now();

		if (!backend_cpu.forward(p->dev, p->kv, &b)) {
			fail(err, "%s", backend_cpu.error(p->dev));
			return 0;
		}
		t = clock_now() - t;
		if (i > 0 && t > 0 && (best <= 0 || t < best))
			best = t;
	}
	if (best <= 0)
		fail(err, "the clock stands still");
	return best > 0 ? (double)p->bytes / best : 0;
}

static double cpu_speed(const struct model *m, const struct backend_opt *o, char err[ERR_MAX])
{
	struct probe *p = mem_new(1, sizeof(*p), err);
	double speed = 0;

	if (!p)
		return 0;
	if (probe_open(p, m, o, err) == 0)
		speed = probe_run(p, err);
	probe_close(p);
	return speed;
}

/* Of one layer, as it is read in a pass, but no more than is quickly measured; of what the device
 * has some layers, for it has caches. */
static double bus_speed(const struct backend *be, const struct model *m, enum bus_way way,
			char err[ERR_MAX])
{
	size_t bytes = 0;
	double t;

	for (int i = 0; i < LAYER_MATS; i++)
		bytes += m->layer[0].mat[i]->bytes;
	bytes = bytes < MIB ? MIB : bytes > 64 * MIB ? 64 * MIB : bytes & ~(size_t)15;
	bytes *= way == BUS_OWN ? 4 : 1;
	t = be->bus->read(way, bytes, err);
	return t > 0 ? (double)bytes / t : 0;
}

/* One row of the residual stream; it can be longer than a read takes, but not shorter. */
static double crossing(const struct backend *be, const struct model *m, char err[ERR_MAX])
{
	return be->bus->read(BUS_CALL, (size_t)m->cfg.n_embd * sizeof(float), err);
}

static int measure(const struct backend *be, const struct model *m, const struct backend_opt *o,
		   struct host_speed *v, char err[ERR_MAX])
{
	time_t now = time(NULL);
	struct tm day;

	*v = (struct host_speed){ .bus = bus_speed(be, m, BUS_HOST, err) };
	if (v->bus <= 0 || (v->own = bus_speed(be, m, BUS_OWN, err)) <= 0 ||
	    (v->cross = crossing(be, m, err)) <= 0 || (v->cpu = cpu_speed(m, o, err)) <= 0)
		return -1;
	if (!localtime_r(&now, &day) || !strftime(v->date, sizeof(v->date), "%Y-%m-%d", &day))
		return fail(err, "the clock shows no date");
	return 0;
}

int host_speed(const char *path, const struct backend *be, const struct model *m,
	       const struct backend_opt *o, struct host_speed *v, char note[ERR_MAX],
	       char err[ERR_MAX])
{
	struct host_key key = { .threads = o->n_threads,
				.kernels = o->kernels ? o->kernels : "auto" };
	char why[ERR_MAX];

	*note = '\0';
	if (!be->bus)
		return fail(err, "the %s backend does not say how fast its bus is", be->name);
	if (be->bus->name(key.device, err) != 0)
		return -1;
	for (char *p = key.device; *p; p++)
		*p = *p > ' ' && *p < 0x7f ? *p : '_';  /* one word of a line */
	sidecar_base(m, key.model);
	if (path && host_speed_read(path, &key, v) == 0)
		return 0;
	if (measure(be, m, o, v, err) != 0)
		return -1;
	if (path && host_speed_write(path, &key, v, why) != 0)
		fail(note, "what was measured for --host-layers is not kept, the next start "
		     "measures again: %.300s", why);
	return 0;
}
