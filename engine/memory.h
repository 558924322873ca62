/* memory.h - whether a model and its cache fit into memory, asked before anything is loaded. */
#ifndef S3D_MEMORY_H
#define S3D_MEMORY_H
#include "engine/backend.h"

/* Bytes of a cache of n_ctx positions, its types as a backend would be told. */
size_t memory_kv(const struct model *, const struct backend_opt *, int n_ctx);
/* Bytes that this process may still take: what the system has free (or can free) and what its
 * control group allows; SIZE_MAX when neither is known. */
size_t memory_free(void);
/* 0 when weights, cache and work buffers fit into free bytes; else -1 with an err that says what is
 * missing and which -c or type of cache would fit. */
int memory_check(const struct model *, const struct backend_opt *, int n_ctx, size_t free,
		 char err[ERR_MAX]);
#endif
