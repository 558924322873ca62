/* prune.cuh - all but the largest numbers of rows of activations become zero: MLPs that read only a
 * part of their columns, see struct pruning in kernels/plan.h.  No state. */
#ifndef S3D_CUDA_PRUNE_CUH
#define S3D_CUDA_PRUNE_CUH
#include "kernels/cuda/dev.cuh"

/* Of each of n rows behind each of n_group multiples of apart the `keep` largest stay, as topk_keep
 * of kernels/topk.h says; codes and scales are made again. */
cudaError_t prune_run(const struct act *, int keep, int n, int n_group, int apart, cudaStream_t);
cudaError_t prune_load(void);
#endif
