/* pass.h - what every backend says alike of a pass: whether it can be run, what it reads.
 *
 * No state.  Invariant: what is refused here every backend refuses, with the same words. */
#ifndef S3D_PASS_H
#define S3D_PASS_H
#include "engine/model/window.h"
#include "kernels/schedule.h"
#include "kernels/backend_time.h"
#include "kernels/peaks.h"
#ifdef __cplusplus
extern "C" {
#endif

/* What every backend's struct kv begins with. */
struct kv_head {
	int n_ctx;              /* positions, a multiple of 16 */
	struct rings rings;
	/* The layers of which it keeps the rows that enter them, see kv_keep. */
	int kept_layer[KEEP_LAYERS], n_kept;
};
/* The place of a layer among these; -1: none. */
static inline int kv_kept(const struct kv_head *kv, int layer)
{
	for (int i = 0; i < kv->n_kept; i++)
		if (kv->kept_layer[i] == layer)
			return i;
	return -1;
}

/* Rows that are in work at the end of a pass. */
static inline int pass_rows(const struct batch *b)
{
	return b->run->bridge ? b->n_out : b->n;
}

struct pass_limits {
	const struct model_config *cfg;
	int n_batch, n_out;     /* rows and outputs of a pass at most */
	const struct bridge *bridge;    /* that the device was given, or NULL */
	const uint64_t *has;    /* a bit for each layer that it has; NULL: all */
	bool no_tokens, no_output;      /* it has no embeddings, or no output */
};
/* 0; or -1 when a pass is asked for that cannot be run; err says why. */
int pass_check(const struct pass_limits *, const struct kv *, const struct batch *,
	       char err[ERR_MAX]);
/* The caches go on to the positions that a checked pass writes. */
void pass_reach(struct kv *, const struct batch *);
/* Widths that all kernels take: multiples of `block` columns. */
int pass_widths(const struct model_config *, int block, char err[ERR_MAX]);

/* Adds to each stage the bytes that a pass with n_out outputs reads in it: weights(ctx, op, layer,
 * stage) of one stage of an operation, in the backend's own formats, for each of its layers, and
 * cache(ctx, layer) by a layer's attention. */
void pass_count(const struct schedule *, int n_out, struct backend_stage stage[STAGES],
		size_t (*weights)(const void *ctx, const struct op *, int layer, enum stage),
		size_t (*cache)(const void *ctx, int layer), const void *ctx);

#ifdef __cplusplus
}
#endif
#endif
