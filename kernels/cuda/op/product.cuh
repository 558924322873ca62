/* product.cuh - a product of matrices with the rows of a step, and what becomes of it.
 *
 * The product itself is made by product.cu (few rows) or prompt.cu (many); what follows it, tile by
 * tile, stands once in finish.cuh.  No state. */
#ifndef S3D_CUDA_PRODUCT_CUH
#define S3D_CUDA_PRODUCT_CUH
#include "kernels/cuda/dev.cuh"

enum finish { FINISH_QKV, FINISH_RESIDUAL, FINISH_GATE_UP, FINISH_LOGITS, FINISH_CROSS,
	FINISH_LOW, FINISH_FLOATS };

struct heads {          /* how queries, keys and values are turned and kept: one layer */
	int n_heads, n_kv_heads, dim, n_rot;
	bool pairs;             /* RoPE turns (2i, 2i+1), else (i, i + n_rot/2) */
	bool q8_k, q8_v;
	int rows;               /* of a plane: position p is in row p % rows */
	struct plane k, v;
	const float *turn;      /* (n, ld_turn) those of this layer's set first */
	int ld_turn;
	const float *q_norm, *k_norm;   /* (dim) weights of the norm before that, or NULL */
	float eps;
	const struct place *place;
	unsigned *ticket;       /* (heads, columns of blocks) */
};

/* What sub-layers made goes into the residual stream, behind which inputs of the next products are
 * made: of layers that run as a group (struct grouping in kernels/plan.h), of one that is normed
 * before it is added, or of none.  Row r of what belongs to the i-th layer is row i * apart + r. */
struct join {
	int n_group;            /* layers whose rows are in made */
	bool attention;         /* of a group: what comes out are the inputs of its MLPs */
	int bypass;
	bool released;
	const float *made;      /* (n_group * apart, width) */
	const float *norm[GROUP_MAX];   /* (width) of what is made, or NULL; only in post.cu */
	float eps, scale;       /* of what is added */
	float *x;               /* (n, width) the residual stream */
	int width, apart;
	int n_out;              /* inputs that are made of a row, by as many norms */
	const float *w[GROUP_MAX];
	struct act out;
	struct squares squares;
	unsigned *ticket;       /* (tiles, columns of blocks) */
};

struct product {
	enum finish kind;
	int n_mats;
	struct mat m[3];        /* queries, keys, values; gate, up; or one */
	int first[4];           /* first tile of each, and their end; gate and up share theirs */
	int tile0;              /* product_few begins with it */
	int n;                  /* rows of activations */
	int row0;               /* the first of them, in `in` and `norm` */
	struct act in;
	struct squares norm;    /* n == 0: the rows are not to be normed any more */
	float *y;               /* (n, ld) qkv, the residual stream, logits, or as it is */
	int ld;
	const float *add;       /* (n, ld_add) to the products of all matrices, behind each other;
				 * or NULL.  Only product_few does that. */
	int ld_add;
	float scale;            /* of what is added to the residual stream; of logits */
	float cap;              /* logits become cap * tanh(x / cap), unless it is 0 */
	const uint8_t *mute;    /* (rows) logits that are to be -infinity; NULL: none */
	enum activation act;
	const float *w;         /* weights of the norm that follows the residual sum */
	struct act out;         /* what the next product takes */
	struct squares squares;
	const float *bias;      /* of qkv, or NULL; of what crosses */
	struct heads heads;
};

/* The products of the layers of a group, all of one kind and for as many rows, which are launched
 * together; joined where join.n_group is not 0, which then stand as floats in join.made. */
struct products {
	int n;
	struct product p[GROUP_MAX];
	struct join join;
};

/* Weights meet int8 activations, up to COLUMNS rows at a time. */
cudaError_t product_few(const struct product *, cudaStream_t);
cudaError_t product_group(const struct products *, cudaStream_t);
/* The same behind a product of a part of the matrices that was made otherwise: tiles
 * tile0..tile0+tiles-1, in made (rows, ld_made), for gate and up in two halves of ld_made / 2; row
 * i is still to be multiplied by scale[i]. */
cudaError_t product_finish(const struct product *, const float *made, int ld_made,
			   const float *scale, int tile0, int tiles, cudaStream_t);
cudaError_t product_load(void);
#endif
