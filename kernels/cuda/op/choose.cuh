/* choose.cuh - what is picked out of a row of logits on the device.  No state. */
#ifndef S3D_CUDA_CHOOSE_CUH
#define S3D_CUDA_CHOOSE_CUH
#include "kernels/cuda/dev.cuh"

/* Rows (n, ld) of logits and peaks to the host: all peaks, but only those groups of logits whose
 * peak is among the n_best largest (with all that are equal to the last of them); the peaks of the
 * others become -infinity. */
cudaError_t choose_groups(const float *rows, int n, int ld, int vocab, int n_best, float *out,
			  cudaStream_t);

/* The guess of one row becomes the chain's next token, and number i in out.  ids (vocab): tokens of
 * the logits, NULL: 0, 1, ... */
cudaError_t choose_guess(const float *row, int vocab, const int *ids, struct chain *,
			 struct guess_out *out, cudaStream_t);
cudaError_t choose_load(void);
#endif
