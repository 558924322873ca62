/* embed.cuh - how a step begins, see embed.cu.  No state. */
#ifndef S3D_CUDA_EMBED_CUH
#define S3D_CUDA_EMBED_CUH
#include "kernels/cuda/dev.cuh"

struct embed {
	const int *tok, *pos;   /* (n_tok), (1) */
	int n_tok;              /* rows that begin with a token; others only get their angles */
	const float *rows;      /* (n_tok, n_embd) these in place of tokens; NULL: tokens */
	struct mat embd;
	float scale;            /* of embeddings */
	struct place *place;    /* gets *pos */
	float *x;               /* (n, n_embd) */
	const float *w;         /* weights of the first norm */
	struct act out;
	struct squares squares;
	float *turn;            /* (n, 2 * angles) */
	const float *inv_freq;  /* (angles) */
	int angles;             /* of all sets of speeds */
	float gain;             /* of their cosines and sines */
};

cudaError_t embed_run(const struct embed *, int rows, cudaStream_t);
cudaError_t embed_load(void);
#endif
