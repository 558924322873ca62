/* dev.h - private to kernels/cpu: one model there, with matrices, work buffers and cache.
 *
 * struct dev owns everything but the model, which it borrows.  All buffers are sized at open.
 * Invariant: a forward allocates nothing. */
#ifndef S3D_CPU_DEV_H
#define S3D_CPU_DEV_H
#include "kernels/cpu/cpu.h"
#include "kernels/pass.h"
#include "kernels/topk.h"
#include "base/threads.h"

/* Up to this many rows every thread prepares its own copy of the activations, which is cheaper
 * than a barrier; and attention is split along the context as well. */
enum { FEW_ROWS = 16 };
/* Room for as many of the layers of a group, each of which begins a panel. */
enum { FEW_ROOM = GROUP_MAX * PANEL };

struct cpu_layer {
	struct mat mat[LAYER_MATS];
	unsigned takes[STAGES];         /* formats that the matrices of a stage take */
	float *norm[LAYER_NORMS];       /* NULL: the model has none */
	float *qkv_bias;                /* (ld_qkv), or NULL */
};

struct cpu_adapter {
	struct mat down, up;
};

struct crossing {       /* the bridge that passes may be over, made ready */
	const struct bridge *b; /* NULL: none */
	struct mat weight;
	struct mat output;      /* of the draft vocabulary */
	struct cpu_adapter (*adapt)[ADAPTS];    /* (n_layers), or NULL */
	uint8_t *arena;
	struct act features;    /* one row */
	struct act *low;        /* (threads) BRIDGE_ROWS rows of the rank */
	float *up;              /* (BRIDGE_ROWS, widest product) of adapters */
	size_t weights, work;
};

struct dev {
	const struct model *model;
	const struct cpu_kernels *k;
	struct pool *pool;
	bool owns_pool;         /* false: another device's, which outlives this one */
	bool floats;            /* every matrix by the float kernel */
	bool columns;           /* there is room for MLPs by columns */
	bool split;             /* it has no output, and only some layers: */
	int n_layers;           /* so many, */
	uint64_t has[MODEL_MAX_LAYERS / 64];    /* these: a bit for each */
	int n_threads, n_batch, n_out, n_back;
	struct cpu_layer *layer;        /* (all), empty but where it has them */
	struct mat output;              /* none: it is split */
	float *norm;            /* (n_embd) */
	uint8_t *arena;         /* packed matrices */
	size_t arena_bytes, work_bytes;
	float *inv_freq;        /* (sets, n_rot/2) radians a position */

	float *x;               /* (n_batch, n_embd) the residual stream */
	float *tmp;             /* (n_batch, n_embd) */
	float *beside;          /* (n_batch, n_embd) what MLPs of a group take */
	float *qkv;             /* (n_batch, ld_qkv) */
	float *attn;            /* (n_batch, n_heads*head_dim) */
	float *gate, *up;       /* (n_batch, n_ff) */
	float *turn;            /* (n_batch, sets, n_rot) cosine and sine in turn */
	float *logits;          /* (n_out, cfg.n_out and peaks); NULL: it is split */
	struct act *own;        /* (threads) FEW_ROOM rows of max(n_embd, n_heads*head_dim) */
	struct act all;         /* n_batch rows of the same */
	struct act ff;          /* n_batch rows of n_ff */
	struct topk_cut *cut;   /* (n_batch) what stays of rows of n_ff, if they are pruned */
	struct partial *part;   /* (n_part) */
	float *part_acc;        /* (n_part, pad_dim) */
	size_t n_part;
	int ld_qkv, pad_dim;
	struct crossing cross;
	bool q8_k, q8_v;        /* what its caches hold: q8_0, or f16 */
	bool timed;             /* somebody looks at the stages */
	struct backend_stage stage[STAGES];
	double stage_start;
	void (*watch)(void *ctx, const char *stage, int layer, const float *rows, int n,
		      int width);       /* or NULL */
	void *watch_ctx;
	char describe[64], err[ERR_MAX];
};

struct column_cache;
struct kept {           /* residual rows that entered the layers of kv_head, see kv_keep */
	int pos[KEEP_ROWS];     /* whose rows lie there; -1: nobody's */
	float *x;               /* (KEEP_ROWS, layers, n_embd), position p at p % KEEP_ROWS */
};

struct kv {
	struct kv_head head;
	struct dev *dev;
	struct plane k, v;      /* (its layers, n_kv_heads) of them; q8_0 keys are rotated */
	struct kept kept;
	struct column_cache *columns;   /* or NULL, see backend_columns.h */
};

/* backend.c */
/* Rows of k columns, with floats of their own; *bytes grows by what they take. */
int act_open(struct act *, int rows, int k, bool floats, size_t *bytes, char err[ERR_MAX]);
void act_close(struct act *);
size_t kv_row_bytes(const struct kv *);         /* keys and values of one position in one layer */

/* timing.c */
void stage_begin(struct dev *);         /* a pass begins; called by one thread */
/* Thread t is done with its share of a stage: waits for the others. */
void stage_end(struct dev *, int t, enum stage);
struct step;
void stage_count(const struct step *);  /* counts what a pass reads */
int stage_look(struct dev *, struct backend_stage out[BACKEND_STAGES_MAX]);
double stream_time(struct dev *, size_t bytes);

/* forward.c */
const float *cpu_forward(struct dev *, struct kv *, const struct batch *);
#endif
