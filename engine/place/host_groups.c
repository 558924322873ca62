/* host_groups.c - see host_groups.h.  No state. */
#include "engine/place/host_groups.h"

static size_t layer_bytes(const struct model *m, int layer)
{
	size_t bytes = 0;

	for (int i = 0; i < LAYER_MATS; i++)
		bytes += m->layer[layer].mat[i]->bytes;
	return bytes;
}

/* A token's pass is as fast as weights are read: so a layer takes its bytes by the speed. */
struct host_groups host_groups(const struct grouping *g, const struct model *m,
			       const struct host_speed *v)
{
	struct host_groups h = { .size = g->to - g->from < g->size ? g->to - g->from : g->size };
	double cpu, other, both;

	if (h.size < 2 || g->bypass || v->cpu <= 0 || v->own <= 0)
		return (struct host_groups){ .size = 0 };
	cpu = (double)layer_bytes(m, g->from) / v->cpu;
	other = (double)layer_bytes(m, g->from) / v->own;
	h.spread = (struct host_spread){ g->from, g->to, g->size, other / (cpu + other) };
	h.share = spread_share(&h.spread, h.size);
	h.cpu = h.share * cpu;
	h.other = (h.size - h.share) * other;
	h.cross = 2 * v->cross;
	both = h.cpu < h.other ? h.cpu : h.other;
	if (both <= h.cross)
		h.spread = (struct host_spread){ .size = 0 };
	return h;
}
