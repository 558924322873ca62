/* backend_columns.h - what a backend may offer whose MLPs read a part of their columns: to prefer
 * those that a cache in fast memory holds (DIP-CA, see kernels/columns/column_cache.h).
 *
 * Passes take part whose schedule says so (schedule.gamma) and whose cache of keys and values was
 * given a cache of columns.  Invariant: a text does not depend on how it was cut into passes, nor
 * on drafts that did not hold. */
#ifndef S3D_BACKEND_COLUMNS_H
#define S3D_BACKEND_COLUMNS_H
#include "base/util.h"
#ifdef __cplusplus
extern "C" {
#endif

struct kv;

/* Which column leaves: the one that the fewest rows have read, or that none has read for longest.
 * Of equal ones the last. */
enum slot_policy { SLOTS_LFU, SLOTS_LRU };
enum column_side { COLUMNS_IN, COLUMNS_HIDDEN, COLUMN_SIDES };  /* of gate and up; of down */

struct column_cache_opt {
	size_t bytes;           /* of columns at most, as the file has them; 0: half of all */
	enum slot_policy policy;
	/* Is shown the columns that each row chose, of n, as bits; in the order of rows, of one
	 * layer and side by one thread.  Or NULL. */
	void (*seen)(void *ctx, int layer, enum column_side, const uint64_t *set, int n);
	void *ctx;
};

/* A row counts though it was a draft that did not hold: its columns have been read. */
struct column_counts {
	long rows;              /* that chose */
	long used, hits;        /* columns that they read; those of them that were in the cache */
	size_t fast, slow;      /* bytes of these, and of the others */
};

struct backend_columns {
	/* This cache of keys and values gets a cache of columns, in place of the one that it had;
	 * NULL: it has none any more.  Passes that take part have n_out rows of the device's at
	 * most.  -1: no memory, and the one before stays. */
	int (*kv_columns)(struct kv *, const struct column_cache_opt *, char err[ERR_MAX]);
	/* Another text: no column is in it, and the counts begin again. */
	void (*kv_anew)(struct kv *);
	struct column_counts (*kv_counts)(const struct kv *);   /* 0: it has none */
};

#ifdef __cplusplus
}
#endif
#endif
