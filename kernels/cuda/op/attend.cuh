/* attend.cuh - attention of one layer: queries against the cache.  No state. */
#ifndef S3D_CUDA_ATTEND_CUH
#define S3D_CUDA_ATTEND_CUH
#include "kernels/cuda/op/product.cuh"

struct attend {
	struct heads h;
	const float *qkv;       /* (n, ld) turned queries first */
	int ld, n;
	float scale, cap;       /* of scores; these become cap * tanh(s / cap), unless it is 0 */
	int window;             /* positions that a query sees, its own included */
	int piece, pieces;      /* positions of a piece, and how many are looked at: from the one
				 * where the first query begins to see */
	int pieces_max;         /* stride of part */
	float *part;            /* (n, n_heads, pieces_max, dim + 2) */
	struct act out;         /* (n, n_heads*dim) for the output matrix */
};

cudaError_t attend_load(void);
cudaError_t attend_run(const struct attend *, cudaStream_t);
/* Of n layers of a group, at most ATTEND_LAYERS, which differ in heads, window, pieces and where
 * their rows and parts lie. */
enum { ATTEND_LAYERS = 4 };
cudaError_t attend_group(const struct attend *, int n, cudaStream_t);
#endif
