/* schedule.h - what one forward pass does, as a list of operations in their order.
 *
 * A plan is what is asked for (plan.h); a schedule is what that means for a model, made once and
 * read-only after that.  The forwards, the count of what they read, recorded graphs, kept rows and
 * calibration go through this list: nobody else knows what a plan means.  Plain data without
 * pointers into itself; a bridge and norms of columns are borrowed.
 * Invariant: what an operation leaves in the residual stream is what the next one reads. */
#ifndef S3D_SCHEDULE_H
#define S3D_SCHEDULE_H
#include "kernels/plan.h"
#include "kernels/stage.h"
#ifdef __cplusplus
extern "C" {
#endif

enum op_part {
	OP_EMBED,               /* tokens become rows of the residual stream */
	OP_ENTER,               /* in its place: rows that another device left */
	OP_ATTN, OP_MLP,        /* of one layer, added to the residual stream */
	OP_BRIDGE,              /* the one row becomes n_out others, see backend_draft.h */
	OP_OUTPUT,              /* logits of the last n_out rows; not run when n_out is 0 */
	OP_LEAVE,               /* in its place: the rows are what the pass returns */
};

struct norm_at {
	int layer, n;           /* of layers layer..layer+n-1; -1: the model's last norm */
	enum layer_norm which;
};

struct op {
	enum op_part part;
	int layer;              /* whose matrices; of a bridge the first behind it; else -1 */
	/* A group of layers from there on, see struct grouping; 1: a layer for itself.  Attention
	 * of a group leaves the inputs of its MLPs beside the residual stream; they come next. */
	int n_group;
	int bypass;
	bool released;
	/* Of an MLP, see struct pruning: so many columns of gate and up, and of down, act in a row.
	 * 0: all. */
	int keep_in, keep_hidden;
	/* What it reads is what enters the layers keep_from..keep_to-1, and is kept by caches that
	 * keep rows of one of these. */
	int keep_from, keep_to;
	/* The norm of what it reads, and of what it leaves: its consumer's, for a backend that
	 * norms where rows are made.  A bridge and the embedding read no normed rows. */
	struct norm_at in, out;
	bool adapted;           /* the bridge's adapters of this layer act */
	/* The rest of its group is another device's: the residual stream is left without what
	 * entered, so that it is what these layers add. */
	bool apart;
	/* Of weights in the file that it needs, adapters and bridge too: of pruned matrices the
	 * codes of the columns that act, and all scales. */
	size_t bytes;
};

/* The stages of an operation. */
struct op_stages {
	enum stage first, last;
};
struct op_stages op_stages(const struct op *);

struct schedule {
	uint64_t id;            /* equal where all below is equal: names a pass that was recorded */
	bool whole;             /* the model itself, nothing left out, at once or beside it */
	int n_group;            /* layers of its largest group */
	const struct column_norms *norms;       /* weigh inputs of MLPs; NULL: nothing does */
	float gamma;            /* as in struct pruning; 0: no cache of columns takes part */
	bool warm;
	const struct bridge *bridge;    /* crossed by one of the operations; NULL: none is */
	int n;
	struct op op[2 * MODEL_MAX_LAYERS + 4];
};

void schedule_make(struct schedule *, const struct model *, const struct plan *);
size_t schedule_bytes(const struct schedule *);         /* all that a pass with outputs reads */
/* Rows that a pass may have where n_batch are room for one layer: those of a group's layers lie
 * behind each other, each layer's from a multiple of 8 on.  0: none at all. */
int schedule_rows(const struct schedule *, int n_batch);

#ifdef __cplusplus
}
#endif
#endif
