/* prompt.cuh - products for many rows at once, by cuBLAS.
 *
 * cuBLAS is looked for when a device is opened; without it product_few does the same, slower. */
#ifndef S3D_CUDA_PROMPT_CUH
#define S3D_CUDA_PROMPT_CUH
#include "kernels/cuda/product.cuh"

/* NULL: there is no cuBLAS that can be loaded. */
struct blas *blas_open(cudaStream_t, void *room, size_t bytes);
void blas_close(struct blas *);
/* The same as product_few, in f16.  -1: d->err says why. */
int prompt_product(struct dev *, const struct product *);
#endif
