/* backend_draft.h - what a backend may offer to those who draft: a bridge over layers of the model
 * itself, adapters behind it, rows that a cache keeps for it, and guesses without the host.
 *
 * The caller owns bridges, which live as long as a device has them.  Invariant: nothing here
 * changes what a pass of the whole model makes. */
#ifndef S3D_BACKEND_DRAFT_H
#define S3D_BACKEND_DRAFT_H
#include "kernels/backend.h"
#ifdef __cplusplus
extern "C" {
#endif

/* Beside the matrices of one stage of a layer, whose products get up (down x) added: of low rank,
 * (rank, in) and (out, rank).  What goes out is all rows of the stage's matrices one behind the
 * other: queries, keys, values; gate, up.  NULL: none. */
enum adapt { ADAPT_QKV, ADAPT_OUT, ADAPT_GATE_UP, ADAPT_DOWN, ADAPTS };
struct adapter {
	const struct gguf_tensor *down, *up;
};

/* How the model drafts for itself (S3D): the row of a batch's only token, once through layers
 * 0..a-1, becomes the batch's n_out rows, which enter layer s at its position and those behind it.
 * Element j of row o is row o * n_embd + j of a matrix times the features, and a bias.  Features
 * are the token's row, and the rows that entered layer s and the last layer at the position before
 * (zeros when they are not kept any more).  What such a pass leaves in the cache the next full
 * pass overwrites.  Matrices are of F32, F16 or Q8_0. */
enum { BRIDGE_ROWS = 4, KEEP_ROWS = 32, KEEP_LAYERS = 2, BRIDGE_PARTS = KEEP_LAYERS + 1,
	BRIDGE_RANK = 256 };
struct bridge {
	int a, s, k;            /* 0 <= a < s < n_layers, 1 <= k <= BRIDGE_ROWS */
	const struct gguf_tensor *weight;       /* (k * n_embd, BRIDGE_PARTS * n_embd) */
	const struct gguf_tensor *bias;         /* (k * n_embd), F32 */
	/* Draft vocabulary: a row has the logits of these only, places in a row of all, which
	 * ascend; a multiple of PEAK.  NULL: all. */
	const int *vocab;
	int n_vocab;
	int rank;               /* of the adapters: a multiple of 32 up to BRIDGE_RANK */
	struct adapter (*adapt)[ADAPTS];  /* (n_layers), layers s.. act; NULL: none */
};
/* -1: its shapes, types, layers or tokens are not for this model; err says which. */
int bridge_fits(const struct model_config *, const struct bridge *, char err[ERR_MAX]);
/* The layers whose residual rows of the position before it takes. */
static inline void bridge_fed(const struct bridge *g, const struct model_config *c,
			      int layer[KEEP_LAYERS])
{
	layer[0] = g->s;
	layer[1] = c->n_layers - 1;
}
/* What goes into an adapter, and what comes out. */
int adapt_in(const struct model_config *, enum adapt);
int adapt_out(const struct model_config *, enum adapt);
static inline int adapt_widest(const struct model_config *c)
{
	int most = 0;

	for (int i = 0; i < ADAPTS; i++)
		most = adapt_out(c, (enum adapt)i) > most ? adapt_out(c, (enum adapt)i) : most;
	return most;
}

/* What every backend asks before a cache keeps rows of layers, and before a pass over a bridge:
 * with the bridge that the device has, or NULL, and the layers whose rows the pass's cache keeps.
 * -1: cannot be done; err says why. */
int keep_fits(const struct model_config *, const int *layer, int n, char err[ERR_MAX]);
int bridge_pass_fits(const struct model_config *, const struct batch *, const struct bridge *given,
		     const int *kept, int n_kept, char err[ERR_MAX]);

/* A drafter's guesses of the choices behind the token tok at pos: argmax of logit / temp plus
 * lambda times the noise of noise.h, over what is at least min_p as likely as the
 * likeliest; temp 0: the largest logit.  Untempered, sure[i] is the probability of the likeliest.
 */
enum { GUESS_MAX = 4 };
struct guess_law {
	float temp, min_p, lambda;
	uint64_t seed;
};
struct guess_batch {
	const struct schedule *run;     /* what each of the steps does */
	int tok, pos, n;        /* rows pos..pos+n-1 are written; n <= GUESS_MAX */
	struct guess_law law;
	int out[GUESS_MAX];
	double sure[GUESS_MAX];
};

struct backend_draft {
	/* From now on this cache keeps the residual rows that enter n layers in passes that make
	 * the text (plan.target), of the KEEP_ROWS positions written last: for bridges, which need
	 * s and the last layer.  They count in kv_bytes. */
	int (*kv_keep)(struct kv *, const int *layer, int n, char err[ERR_MAX]);
	/* From now on passes over this bridge can be run, which must live as long: its matrices are
	 * made ready, and memory() counts them.  NULL: none any more.  A device has one at a time.
	 * -1: it has none now. */
	int (*bridge)(struct dev *, const struct bridge *, char err[ERR_MAX]);
	/* n steps of a drafter in a row, each with the guess of the one before, which need not come
	 * to the host in between.  0, or -1 as forward.  NULL: forward is as good. */
	int (*guess)(struct dev *, struct kv *, struct guess_batch *);
	bool (*guesses)(const struct dev *);    /* whether this one does; NULL: they all do */
};

static inline bool backend_guesses(const struct backend *be, const struct dev *d)
{
	return be->draft && be->draft->guess && (!be->draft->guesses || be->draft->guesses(d));
}

#ifdef __cplusplus
}
#endif
#endif
