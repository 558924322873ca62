/* attend.cuh - attention of one layer: queries against the cache.  No state. */
#ifndef S3D_CUDA_ATTEND_CUH
#define S3D_CUDA_ATTEND_CUH
#include "kernels/cuda/product.cuh"

struct attend {
	struct heads h;
	const float *qkv;       /* (n, ld) turned queries first */
	int ld, n;
	int piece, pieces;      /* positions of a piece, and how many are looked at */
	int pieces_max;         /* stride of part */
	float *part;            /* (n, n_heads, pieces_max, dim + 2) */
	struct act out;         /* (n, n_heads*dim) for the output matrix */
};

cudaError_t attend_run(const struct attend *, cudaStream_t);
#endif
