/* prompt.cuh - products for many rows at once, by cuBLAS.
 *
 * cuBLAS is looked for when a device is opened; without it product_few does the same, slower. */
#ifndef S3D_CUDA_PROMPT_CUH
#define S3D_CUDA_PROMPT_CUH
#include "kernels/cuda/op/product.cuh"

enum { BLAS_TRIAL = 24 << 10 };
/* NULL: there is no cuBLAS that can be loaded, or it fails at a product of its own, for which
 * `trial` has BLAS_TRIAL bytes. */
struct blas *blas_open(cudaStream_t, void *room, size_t bytes, void *trial);
void blas_close(struct blas *);
cudaError_t prompt_load(void);
/* The same as product_few, in f16; product_few makes the rest when cuBLAS fails, and all from then
 * on.  -1: d->err says why. */
int prompt_product(struct dev *, const struct product *);
#endif
