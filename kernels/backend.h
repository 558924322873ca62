/* backend.h - the only door between the engine and the arithmetic.
 *
 * A backend owns device copies of one model's weights and any number of KV caches.  It knows no
 * text, sampling or strategies.  Prefill, decode, draft and verify are the same call.
 * Invariants: rows >= pos are overwritten and rows >= pos+n never read, so rollback is a smaller
 * pos (but see kv_back); a row's logits do not depend, to the bit, on how many rows ran with it. */
#ifndef S3D_BACKEND_H
#define S3D_BACKEND_H
#include "engine/model/model.h"
#include "engine/gguf/quant.h"
#include "base/util.h"
#include <stdio.h>
#include <string.h>
#ifdef __cplusplus
extern "C" {
#endif

struct dev;             /* one model resident on one backend */
struct kv;              /* one cache, rows 0..n_ctx-1 */

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
static inline int adapt_in(const struct model_config *c, enum adapt which)
{
	return which == ADAPT_OUT ? c->n_heads * c->head_dim : which == ADAPT_DOWN ? c->n_ff :
	       c->n_embd;
}
static inline int adapt_out(const struct model_config *c, enum adapt which)
{
	return which == ADAPT_QKV ? (c->n_heads + 2 * c->n_kv_heads) * c->head_dim :
	       which == ADAPT_GATE_UP ? 2 * c->n_ff : c->n_embd;
}

static inline int adapt_widest(const struct model_config *c)
{
	int most = 0;

	for (int i = 0; i < ADAPTS; i++)
		most = adapt_out(c, (enum adapt)i) > most ? adapt_out(c, (enum adapt)i) : most;
	return most;
}

/* Which sub-layers run.  Read-only while in use; a skipped sub-layer is a pure residual pass. */
struct plan {
	uint64_t skip_attn[MODEL_MAX_LAYERS / 64];
	uint64_t skip_mlp[MODEL_MAX_LAYERS / 64];
	const struct bridge *bridge;    /* or NULL; no lanes then, and n is 1 */
};

static inline bool plan_has(const uint64_t *set, int layer)
{
	return set[layer / 64] >> (layer % 64) & 1;
}

static inline const struct bridge *plan_bridge(const struct plan *p)
{
	return p ? p->bridge : NULL;
}
/* Whether a layer's attention, or its MLP, runs; p may be NULL. */
static inline bool plan_runs(const struct plan *p, bool mlp, int layer)
{
	const struct bridge *g = plan_bridge(p);

	return !p || ((!g || layer < g->a || layer >= g->s) &&
		      !plan_has(mlp ? p->skip_mlp : p->skip_attn, layer));
}

/* The end of one of several texts that advance together, each in a cache of its own. */
struct lane {
	struct kv *kv;
	int pos;                /* the cache row that is written */
};

/* What may end a pass without logits before it is done. */
struct halt {
	bool (*asked)(void *ctx);       /* by any thread, every few milliseconds */
	void *ctx;
	bool seen;              /* it was: the pass is not done, its rows are as never written */
};

struct batch {
	const int *tok;         /* (n) token ids */
	int n, pos;             /* cache rows pos..pos+n-1 are written */
	const struct plan *plan;        /* NULL: the whole model */
	int n_out;              /* logits wanted for the last n_out rows: 0..n; 1..bridge->k */
	/* 0: all of them.  Else only the n_best largest of a row are looked for, and those equal to
	 * the last of these: logits without one in their group of PEAK may be missing, whose peak
	 * then is -infinity. */
	int n_best;
	/* NULL: one text.  Else (n): row i belongs to lanes[i], all of them different caches of
	 * this device; pos, and the cache that the call names, are not looked at. */
	const struct lane *lanes;
	struct halt *halt;      /* NULL: to the end, as backends may do in any case */
};

/* What every backend asks before a cache keeps rows of layers, and before a pass over a bridge:
 * with the bridge that the device has, or NULL, and the layers whose rows the pass's cache keeps.
 * -1: cannot be done; err says why. */
int keep_fits(const struct model_config *, const int *layer, int n, char err[ERR_MAX]);
int bridge_pass_fits(const struct model_config *, const struct batch *, const struct bridge *given,
		     const int *kept, int n_kept, char err[ERR_MAX]);

/* A row of n logits has behind it the largest of every PEAK of them, in order, which a backend
 * finds while it makes them: who looks for the largest ones need not read them all. */
enum { PEAK = 16 };
static inline int row_peaks(int n)
{
	return (n + PEAK - 1) / PEAK;
}
static inline const float *row_at(const float *rows, int n, int i)      /* row i of rows of n */
{
	return rows + (size_t)i * (size_t)(n + row_peaks(n));
}

struct backend_opt {
	int n_threads;          /* 0: as many as the process may use */
	int n_batch;            /* rows in one forward at most */
	int n_out;              /* rows of logits in one forward at most */
	int n_back;             /* positions that rings of caches go back by, see window.h */
	struct dev *share;      /* a device of the same backend whose threads this one uses too */
	bool shares;            /* for plan: there will be one, whose room it uses too */
	/* What caches hold: F16 (NULL too) or Q8_0. */
	const struct quant_info *cache_k, *cache_v;
	const char *kernels;    /* cpu: "auto", "float", "generic", "avx2", "avx512", "amx" */
	/* Bytes that this model may take where the backend computes: its weights, work buffers and
	 * one cache of the n_ctx that plan is told.  0: what is free, less a margin. */
	size_t budget;
	/* Layers, the last ones, whose weights stay in host memory at least, though the backend
	 * computes elsewhere (cuda).  plan may find that more have to; open is then told so. */
	int host_layers;
	void (*progress)(void *ctx, double done);       /* 0..1 while loading, or NULL */
	void *progress_ctx;
	/* Is shown what each stage left, n rows of width, before the next but one begins: tests
	 * look at all, calibration at the residual rows.  Layers count from 0; -1: not in a layer.
	 * Or NULL. */
	void (*watch)(void *ctx, const char *stage, int layer, const float *rows, int n,
		      int width);
	void *watch_ctx;
};

struct backend_memory {         /* bytes */
	size_t weights, work;   /* where the backend computes */
	size_t host;            /* beside that: host memory which the device reads, pinned */
	int host_layers;        /* layers whose weights are there */
};

/* One stage of the forward passes since the last look, summed over layers. */
struct backend_stage {
	const char *name;
	double seconds;         /* waiting for slower threads included */
	size_t bytes;           /* weights and cache that it had to read, each once a pass */
};
enum { BACKEND_STAGES_MAX = 8 };

/* What a device that records passes and replays them did since the last look. */
struct backend_counts {
	long passes, replays, recorded;
	long launches;          /* kernels and copies in the passes that were replayed */
	double idle_s;          /* from the end of a pass to the start of the next, summed */
};

/* A drafter's guesses of the choices behind the token tok at pos: argmax of logit / temp plus
 * lambda times the noise of engine/decode/sampler.h, over what is at least min_p as likely as the
 * likeliest; temp 0: the largest logit.  Untempered, sure[i] is the probability of the likeliest.
 */
enum { GUESS_MAX = 4 };
struct guess_law {
	float temp, min_p, lambda;
	uint64_t seed;
};
struct guess_batch {
	int tok, pos, n;        /* rows pos..pos+n-1 are written; n <= GUESS_MAX */
	struct guess_law law;
	int out[GUESS_MAX];
	double sure[GUESS_MAX];
};

struct backend {
	const char *name;       /* "cpu", "cuda" */
	/* Bytes that a process may still take where this backend computes, SIZE_MAX: unknown; and
	 * those that this process takes there now, 0: unknown. */
	size_t (*free)(void);
	size_t (*used)(void);
	/* What open and one kv_new of n_ctx positions would set aside, the cache not counted, but
	 * weights that stay in the mapped file are.  -1: does not fit, err says what would. */
	int (*plan)(const struct model *, const struct backend_opt *, int n_ctx,
		    struct backend_memory *, char err[ERR_MAX]);
	struct dev *(*open)(const struct model *, const struct backend_opt *, char err[ERR_MAX]);
	void (*close)(struct dev *);
	struct kv *(*kv_new)(struct dev *, int n_ctx, char err[ERR_MAX]);
	void (*kv_free)(struct kv *);
	size_t (*kv_bytes)(const struct kv *);
	/* The first position, beside 0, that a pass may begin at now: a cache forgets what is far
	 * behind where layers see a window only.  0: any. */
	int (*kv_back)(const struct kv *);
	/* From now on this cache keeps the residual rows that enter n layers in passes without a
	 * plan, of the KEEP_ROWS positions written last: for bridges, which need s and the last
	 * layer.  They count in kv_bytes.  NULL: this backend takes no bridges. */
	int (*kv_keep)(struct kv *, const int *layer, int n, char err[ERR_MAX]);
	/* From now on passes over this bridge can be run, which must live as long: its matrices are
	 * made ready, and memory() counts them.  NULL: none any more.  A device has one at a time.
	 * -1: it has none now.  NULL: this backend takes no bridges. */
	int (*bridge)(struct dev *, const struct bridge *, char err[ERR_MAX]);
	/* n_out rows of cfg.n_out logits and their peaks (see row_at) in host memory, valid until
	 * the next call; NULL on failure, and then error() has the text.  n_out == 0 returns a
	 * pointer that must not be read. */
	const float *(*forward)(struct dev *, struct kv *, const struct batch *);
	/* n steps of a drafter in a row, each with the guess of the one before, which need not come
	 * to the host in between.  0, or -1 as forward.  NULL: forward is as good. */
	int (*guess)(struct dev *, struct kv *, struct guess_batch *);
	const char *(*error)(const struct dev *);
	struct backend_memory (*memory)(const struct dev *);
	const char *(*describe)(const struct dev *);    /* "avx512, 2 threads" */
	/* Seconds to stream-read bytes of memory with this device's threads (for bench). */
	double (*stream)(struct dev *, size_t bytes);
	/* Where the time of all passes since the last call went; returns how many stages there
	 * are.  The first call only starts the measurement, which costs a clock per stage. */
	int (*stages)(struct dev *, struct backend_stage out[BACKEND_STAGES_MAX]);
	/* NULL: it records nothing. */
	struct backend_counts (*counts)(struct dev *);
};

extern const struct backend backend_cpu;
/* Processors that this process may use: its affinity mask, and quotas of its control groups. */
int cpu_usable_cores(void);
/* Threads for who asks for so many (0: as many as there may be): no more than processors, for they
 * wait for each other in every stage, and crawl when they share one.  note: "", or that it is so.
 */
int backend_threads(int asked, char note[ERR_MAX]);
/* The one in the shared object beside the program; NULL with the reason when it cannot be loaded or
 * there is no GPU that it can use. */
const struct backend *backend_cuda(char err[ERR_MAX]);
/* NULL or "auto": the best that works here; err then says why a better one does not, or is "". */
const struct backend *backend_find(const char *name, char err[ERR_MAX]);

/* What is wrong with a backend of this name: "cuda: " before a text that does not begin so. */
int backend_fail(const char *name, const char *text, const char *then, char err[ERR_MAX]);

/* A backend in a file of its own is asked for by this name, with backend_abi of the program that
 * loads it.  NULL with the reason: it was built for another program, or finds no device. */
#define BACKEND_ENTRY "s3dcuda_open"
typedef const struct backend *backend_entry(const char *abi, char err[ERR_MAX]);
__attribute__((visibility("default"))) backend_entry s3dcuda_open;

/* The version, and the sizes of all that both sides look into. */
enum { BACKEND_ABI_MAX = 128 };
static inline const char *backend_abi(char out[BACKEND_ABI_MAX])
{
	snprintf(out, BACKEND_ABI_MAX, "%s/%zu.%zu.%zu.%zu.%zu.%zu.%zu.%zu.%zu.%zu.%zu.%zu",
		 S3D_VERSION,
		 sizeof(struct backend), sizeof(struct backend_opt), sizeof(struct backend_memory),
		 sizeof(struct backend_stage), sizeof(struct batch), sizeof(struct lane),
		 sizeof(struct plan), sizeof(struct model), sizeof(struct gguf_tensor),
		 sizeof(struct quant_info), sizeof(struct guess_batch), sizeof(struct bridge));
	return out;
}
/* What the entry asks first; -1 with the reason. */
static inline int backend_abi_check(const char *abi, char err[ERR_MAX])
{
	char mine[BACKEND_ABI_MAX];

	if (!strcmp(backend_abi(mine), abi))
		return 0;
	snprintf(err, ERR_MAX, "it was built for s3dchat %s, and this is %s; build both anew", mine,
		 abi);
	return -1;
}

#ifdef __cplusplus
}
#endif
#endif
