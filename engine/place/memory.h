/* memory.h - whether a model and its cache fit into memory, asked before anything is loaded.
 *
 * No ownership.  Invariant: no advice is given that would not work. */
#ifndef S3D_MEMORY_H
#define S3D_MEMORY_H
#include "base/machine.h"
#include "kernels/backend.h"
#include "engine/place/host_groups.h"
#include "engine/model/window.h"

struct memory_plan {            /* bytes, where the backend computes */
	size_t now;             /* what the process takes before it loads: program, vocabulary */
	size_t weights, kv, work;       /* of the big model */
	size_t little;          /* the same of the little one, 0: none */
	size_t sidecar;         /* of weights and kv what the sidecar takes */
	size_t free;            /* SIZE_MAX: unknown */
	/* A backend with memory of its own: */
	bool device;
	size_t budget;          /* what all of it may take there; SIZE_MAX: unknown */
	size_t host;            /* host memory that it needs besides, pinned where it reads it */
	size_t host_weights;    /* of that weights, which every pass reads once */
	int host_layers, n_layers;      /* of the big model */
	bool by_cpu;            /* the cpu computes these layers: nothing is read over the bus */
	struct host_speed speed;        /* by which that was chosen, and */
	struct host_groups groups;      /* what both compute at once */
};

/* Which layers are in host memory, as 0..3,8; returns text. */
enum { MEMORY_LAYERS = 256 };
const char *memory_layers(const struct memory_plan *, char text[MEMORY_LAYERS]);

/* All that will be taken, of a device's own memory or by the whole process; 0: unknown, as now
 * is. */
static inline size_t memory_total(const struct memory_plan *p)
{
	size_t models = p->weights + p->kv + p->work + p->little;

	return p->device ? models : p->now ? p->now + models : 0;
}

/* Bytes of a cache of n_ctx positions, its types as a backend would be told; of a split device what
 * lies where the backend computes, and what the cpu has of it. */
size_t memory_kv(const struct model *, const struct backend_opt *, int n_ctx);
size_t memory_kv_host(const struct model *, const struct backend_opt *, int n_ctx);
/* 0 when weights, cache and work buffers fit; else -1 with an err that says each part of it and
 * which -c or type of cache would fit. */
int memory_check(const struct model *, const struct backend_opt *, int n_ctx,
		 const struct machine_memory *, char err[ERR_MAX]);

/* What models may take of a device's memory of which so much is free: what is asked for (0: all),
 * but never more than there is; unasked with a margin for the driver and others. */
size_t memory_budget(size_t free, size_t asked);
/* Some of a device's memory. */
struct memory_room {
	size_t budget;          /* for this model */
	size_t most;            /* for it without --vram */
	size_t others;          /* what is kept from it for others */
};
/* be->plan within room.budget, whatever budget the options say.  When it fails, err says what is
 * missing and which settings would fit; they have been tried. */
int memory_fit(const struct backend *, const struct model *, const struct backend_opt *, int n_ctx,
	       const struct memory_room *, struct backend_memory *, char err[ERR_MAX]);
#endif
