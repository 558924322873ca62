/* memory.h - whether a model and its cache fit into memory, asked before anything is loaded. */
#ifndef S3D_MEMORY_H
#define S3D_MEMORY_H
#include "engine/backend.h"

struct memory_plan {            /* bytes */
	size_t now;             /* what the process takes before it loads: program, vocabulary */
	size_t weights, kv, work;       /* of the big model */
	size_t little;          /* the same of the little one, 0: none */
	size_t free;            /* SIZE_MAX: unknown */
};

/* All that the process will take; 0: unknown, as now is. */
static inline size_t memory_total(const struct memory_plan *p)
{
	return p->now ? p->now + p->weights + p->kv + p->work + p->little : 0;
}

/* Positions that a cache of n_ctx sets aside. */
static inline int memory_rows(int n_ctx)
{
	return (n_ctx + 15) & ~15;
}
/* Bytes of a cache of n_ctx positions, its types as a backend would be told. */
size_t memory_kv(const struct model *, const struct backend_opt *, int n_ctx);
/* Bytes that this process may still take: what the system has free (or can free) and what its
 * control group allows; SIZE_MAX when neither is known. */
size_t memory_free(void);
/* Bytes of memory that this process takes now; 0: unknown. */
size_t memory_now(void);
/* 0 when weights, cache and work buffers fit into free bytes; else -1 with an err that says what is
 * missing and which -c or type of cache would fit. */
int memory_check(const struct model *, const struct backend_opt *, int n_ctx, size_t free,
		 char err[ERR_MAX]);
#endif
