/* post.cuh - what sub-layers gave, added to the residual stream a whole row at a time: where it is
 * normed before, or where there are many rows.  No state. */
#ifndef S3D_CUDA_POST_CUH
#define S3D_CUDA_POST_CUH
#include "kernels/cuda/op/product.cuh"

cudaError_t post_run(const struct join *, int n, cudaStream_t);
cudaError_t post_load(void);
#endif
