/* column_sim.h - what a cache of columns would have spared a slow memory: choices of columns that
 * were recorded, run through caches of any size and policy, and what that means for time.
 *
 * A trace owns its rows, all of one text, which begins with an empty cache.  Invariant: no policy
 * has more hits than SIM_BELADY, which knows what comes. */
#ifndef S3D_COLUMN_SIM_H
#define S3D_COLUMN_SIM_H
#include "kernels/columns/column_cache.h"

double column_total(const struct model *);      /* bytes of all columns */

struct column_trace {
	const struct model *model;      /* borrowed */
	int most;                       /* rows; what comes behind them is not recorded */
	struct trace_side {
		int n, rows;
		uint64_t *set;          /* (most, words) */
	} (*layer)[COLUMN_SIDES];
};
int column_trace_open(struct column_trace *, const struct model *, int most, char err[ERR_MAX]);
void column_trace_close(struct column_trace *);
void column_trace_clear(struct column_trace *);
/* As column_cache_opt.seen, with a trace as ctx: allocates nothing. */
void column_trace_seen(void *trace, int layer, enum column_side, const uint64_t *set, int n);

/* Belady: of what the row reads and what is there those stay that are read again soonest. */
enum sim_policy { SIM_NONE, SIM_LRU, SIM_LFU, SIM_BELADY, SIM_POLICIES };
/* Hits with so many slots of the columns that rows of one side chose; -1: no memory. */
long column_sim_hits(const struct trace_side *, int slots, enum sim_policy, char err[ERR_MAX]);
/* Adds what a cache of so many bytes (0: half of the columns) would have counted. */
int column_sim(const struct column_trace *, size_t bytes, enum sim_policy, struct column_counts *,
	       char err[ERR_MAX]);

/* Tokens a second where `fixed` bytes a token and the cache are in a memory of `fast` bytes a
 * second, all else comes from one of `slow`, one after the other, and computing takes no time. */
double column_sim_speed(const struct column_counts *, double fixed, double fast, double slow);
#endif
