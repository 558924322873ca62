/* post.cuh - what attention or the MLP gave, normed and added to the residual stream, in models
 * that have such norms.  No state. */
#ifndef S3D_CUDA_POST_CUH
#define S3D_CUDA_POST_CUH
#include "kernels/cuda/dev.cuh"

struct post {
	const float *made;      /* (n, width) what the sub-layer gave */
	const float *norm;      /* (width) weights of its norm */
	float eps, scale;       /* of what is added */
	float *x;               /* (n, width) the residual stream */
	const float *w;         /* weights of the norm that follows the sum */
	struct act out;         /* what the next product takes */
	struct squares squares;
};

cudaError_t post_run(const struct post *, int n, cudaStream_t);
cudaError_t post_load(void);
#endif
