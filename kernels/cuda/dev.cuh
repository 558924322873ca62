/* dev.cuh - private to kernels/cuda: one model there, with matrices in planes, activations, cache
 * and work buffers.
 *
 * struct dev owns everything but the model, which it borrows.  Device pointers are marked (device);
 * a layer whose weights stay in host memory has such pointers too, into pinned memory that the
 * device reads over the bus.  Invariant: a forward allocates nothing on the device. */
#ifndef S3D_CUDA_DEV_CUH
#define S3D_CUDA_DEV_CUH
#include "kernels/pass.h"
#include "kernels/cuda/platform.cuh"

/* TILE rows of a matrix are the share of one thread block; activations have a scale for as many
 * columns; BLOCK columns are what one thread decodes at once, GROUP those of eight threads. */
enum { TILE = 16, BLOCK = 32, GROUP = 256, COLUMNS = 8, CUDA_MAX_DIM = 256 };
/* Rows of a step up to which weights meet int8 activations (product.cu) and attention is split
 * along the context: those of the longest verification.  More go through cuBLAS, if it is there. */
enum { FEW_ROWS = 17 };
/* Numbers of a piece of a matrix that is made wide for cuBLAS, rows of it at most; bytes that
 * cuBLAS may work in. */
enum { WIDE = 4 << 20, WIDE_ROWS = 2048, BLAS_ROOM = 8 << 20 };
/* Positions that attention scores at once, and pieces of the context at most. */
enum { SPAN = 128, PIECES = 64 };

/* Every buffer and every plane of a matrix begins at a multiple of ALIGN bytes. */
enum { ALIGN = 256 };
static inline size_t align_up(size_t bytes)
{
	return (bytes + ALIGN - 1) / ALIGN * ALIGN;
}

struct mat {            /* (rows, cols), rows filled up with zeros to whole tiles; see pack.cu */
	enum quant_type type;
	int rows, cols;
	const uint8_t *q;       /* (device) codes, or their low bits, or the floats themselves */
	const uint8_t *h;       /* (device) high bits */
	const uint8_t *s;       /* (device) scales */
	const uint8_t *d;       /* (device) what scales the scales */
};

/* Rows of activations: as floats, and in int8 with a scale for every 16 of them.
 * A GROUP of columns is 384 bytes: 8 runs of the first 16 codes of a block, 8 of the second, and 8
 * times two scales and, for each, scale times the sum of the codes. */
struct act {
	int k, ld;              /* columns; bytes of a row of q */
	uint8_t *q;             /* (device) (rows, ld) */
	float *f;               /* (device) (rows, k) */
};
enum { GROUP_BYTES = 384 };

/* What RMS norm divides by is not known while a row is being made: activations are stored as x * w,
 * and each tile leaves its sum of squares here; products are scaled afterwards (as calm does). */
struct squares {
	float *sum;             /* (device) (rows, n) */
	int n;                  /* tiles of a row; 0: not normed */
	float eps;
	int cols;               /* numbers in a row */
};

struct plane {          /* keys or values of a layer: (n_kv_heads) of (rows, head_dim) */
	uint8_t *x;             /* (device) f16 or int8; keys in tiles of 16 positions */
	uint16_t *scale;        /* (device) f16 (rows/16, blocks of 32, 16); NULL: x is f16 */
};

/* How attention is cut along the context. */
struct cut {
	int piece;              /* positions: a multiple of SPAN */
	int pieces;             /* of them at most, whatever a pass sees */
};

struct kept {           /* residual rows that entered the n layers of kv_head, see kv_keep */
	uint8_t *arena;         /* (device) both; NULL: none are kept */
	float *x;               /* (device) (KEEP_ROWS, n, n_embd), by position % KEEP_ROWS */
	int *pos;               /* (device) (KEEP_ROWS, n) which position that is; -1: none yet */
	size_t bytes;
};

struct kv {
	struct kv_head head;
	struct dev *dev;
	struct cut cut[2];      /* of layers that see all, and of local ones */
	struct plane k, v;      /* of all layers */
	uint8_t *arena;         /* (device) both, and part */
	float *part;            /* (device) (FEW_ROWS, n_heads, part_pieces, head_dim + 2) */
	int part_pieces;
	size_t bytes;           /* of keys and values */
	struct kept kept;
};

struct cuda_layer {
	struct mat mat[LAYER_MATS];
	const float *norm[LAYER_NORMS];         /* (device) NULL: the model has none */
	const float *qkv_bias;                  /* (device) (ld_qkv), or NULL */
};

struct cuda_adapter {
	struct mat down, up;    /* no rows: none */
};

struct crossing {       /* the bridge that passes may be over, made ready */
	const struct bridge *b; /* NULL: none */
	uint8_t *arena;         /* (device) all that follows */
	struct mat weight;      /* (k * n_embd, BRIDGE_PARTS * n_embd) */
	const float *bias;      /* (device) (k * n_embd) */
	const int *vocab;       /* (device) (n_vocab), or NULL */
	struct mat output;      /* its rows of the output matrix */
	struct cuda_adapter (*adapt)[ADAPTS];   /* (n_layers), or NULL */
	struct act features;    /* one row */
	/* For each layer of a group BRIDGE_ROWS rows: of the rank, and (device) what adapters add
	 * to its widest product. */
	struct act low;
	float *up;
	size_t weights, work;   /* bytes */
};

/* Where a step is, in device memory so that a recorded graph need not know. */
struct place {
	int pos;
};

/* From the host to a step: pinned, read by its first kernel. */
struct mail {
	int pos;
	int tok[1];             /* (n_batch) */
};

/* A drafter's steps in a row, without the host: what a step leaves for the next. */
struct chain {
	int pos, tok;           /* the token that runs next */
	int i;                  /* guesses so far */
	struct guess_law law;
};
struct guess_out {
	int tok[GUESS_MAX];
	double sure[GUESS_MAX];
};

struct graph;           /* graph.cu */
struct blas;            /* blas.cu */

struct dev {
	const struct model *model;
	const struct dev *share;        /* whose table of embeddings and room for prompts this one
					 * uses, for no two passes run at once; or NULL */
	bool shares;            /* there is one, or will be */
	int n_batch, n_out, n_back, ld_qkv, ld_out;
	int elsewhere;          /* layers that another device has; > 0: and the embeddings */
	uint64_t has[MODEL_MAX_LAYERS / 64];    /* the others: a bit for each */
	bool split;             /* those before are another device's */
	int host_layers;        /* the last ones, whose weights are in host memory */
	bool q8_k, q8_v;
	struct cuda_layer *layer;       /* (n_layers) empty where it has none */
	struct mat embd, output;
	const float *norm;      /* (device) (n_embd) */
	uint8_t *arena;         /* (device) all of it but what is in host_arena */
	uint8_t *host_arena;    /* (pinned) */
	uint8_t *host_device;   /* the device's pointer to it */
	size_t arena_bytes, host_bytes, work_bytes;
	size_t host_layer_bytes;        /* of host_bytes those of layers */
	uint8_t *work;          /* (device) all that follows */

	struct place *place;
	const float *inv_freq;  /* (sets, n_rot/2) radians a position */
	float *turn;            /* (n_batch, sets, n_rot) cosine and sine in turn */
	float *x;               /* (n_batch, n_embd) the residual stream */
	float *made;            /* (n_batch, n_embd) what is joined, see struct join */
	float *qkv;             /* (n_batch, ld_qkv) */
	struct act in, heads, ff;       /* of n_embd, n_heads*head_dim, n_ff columns */
	struct squares squares;
	unsigned *ticket;       /* (tickets) all 0 between kernels */
	float *logits;          /* (n_out, ld_out) with peaks */
	uint16_t *half;         /* (n_batch, widest) f16 rows for cuBLAS */
	float *half_scale;      /* (n_batch) */
	uint16_t *wide;         /* (WIDE) a piece of a matrix in f16 */
	float *product;         /* (n_batch, WIDE_ROWS) */
	uint8_t *blas_room;     /* (BLAS_ROOM) */

	struct chain *chain;    /* (device) */
	const int *out_id;      /* (device) (n_out) tokens of the logits; NULL: 0, 1, ... */
	const uint8_t *mute;    /* (device) (n_out) 1: no token; NULL: all are */

	struct mail *mail;      /* (pinned) */
	const struct mail *mail_device;
	float *rows;            /* (pinned) (n_out, ld_out) what forward returns */
	float *rows_device;
	float *enter;           /* (pinned) (n_batch, n_embd) from another device, or to it; NULL:
				 * not split */
	float *enter_device;
	const float *made_rows; /* what the last pass returns */
	struct guess_out *guess;        /* (pinned) */
	struct guess_out *guess_device;
	struct crossing cross;
	cudaStream_t stream;
	struct graph *graphs;
	struct blas *blas;      /* NULL: no cuBLAS here */
	bool blas_failed;       /* it is not asked any more */
	cudaEvent_t *mark;      /* (marks) one behind each stage; NULL: nobody looks */
	int marks, marked;
	enum stage *marked_stage;       /* (marks) */
	struct backend_stage stage[STAGES];
	struct backend_counts counts;
	double done_at;         /* when the last pass ended; 0: there was none */
	bool ahead;             /* a pass is queued that nobody has waited for */
	void (*watch)(void *ctx, const char *stage, int layer, const float *rows, int n,
		      int width);
	void *watch_ctx;
	char describe[128], err[ERR_MAX];
};

struct step {           /* one forward pass */
	struct dev *d;
	struct kv *kv;
	int n, n_out, n_best;
	int pieces;             /* of the context that layers which see all look at */
	int apart;              /* rows from a layer of a group to the next */
	bool chained;           /* its token and position are where the step before left them, and
				 * it leaves its guess instead of logits */
	const struct schedule *run;
};
#endif
