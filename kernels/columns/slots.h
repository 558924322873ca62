/* slots.h - which columns of a matrix lie in a memory that is fast, but has room for some of them
 * only: the cache of DIP-CA (Federici et al. 2025, algorithm 1).
 *
 * A row reads a set of columns (a bit for each), and all of them go in; what leaves for that are
 * columns that this row does not read.  Owns its tables; no bytes of columns are here.
 * Invariant: never more than `most` columns have a slot, and no two the same. */
#ifndef S3D_SLOTS_H
#define S3D_SLOTS_H
#include "kernels/backend_columns.h"

struct slots {
	int n, most;            /* columns; slots */
	enum slot_policy policy;
	int taken;              /* slots 0..taken-1 have a column */
	long rows;              /* that have read */
	int *slot;              /* (n) of a column; -1: it has none */
	float *score;           /* (n) LFU: rows that read it; LRU: the last that did */
	float *rank;            /* (n) scratch, and the slots that become free */
	int *vacant;
};

int slots_open(struct slots *, int n, int most, enum slot_policy, char err[ERR_MAX]);
void slots_close(struct slots *);
size_t slots_bytes(const struct slots *);
void slots_clear(struct slots *);       /* no column has a slot, no row has read */
/* The state of another one of the same sizes. */
void slots_copy(struct slots *, const struct slots *from);

static inline int slots_words(int n)
{
	return (n + 63) / 64;
}
static inline bool slots_has(const uint64_t *set, int i)
{
	return set[i / 64] >> (i % 64) & 1;
}

/* What a column's activation is weighed by before the largest are chosen: norm[i] (NULL: 1), times
 * gamma where the column has no slot (the paper's equation 10).  With gamma 1 slots change nothing.
 */
void slots_weigh(const struct slots *, const float *norm, float gamma, float *weight);
/* A row reads these columns.  Returns how many of them had a slot. */
int slots_use(struct slots *, const uint64_t *set);
#endif
