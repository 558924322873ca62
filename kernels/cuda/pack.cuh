/* pack.cuh - a matrix of the file's blocks becomes planes (decode.cuh).  No state. */
#ifndef S3D_CUDA_PACK_CUH
#define S3D_CUDA_PACK_CUH
#include "kernels/cuda/op/decode.cuh"

/* Rows filled up to whole tiles. */
static inline int pack_rows_of(int rows)
{
	return (rows + TILE - 1) / TILE * TILE;
}
/* Bytes of all planes of a matrix. */
size_t pack_bytes(enum quant_type, int rows, int cols);
/* The matrix whose planes lie behind each other from base (aligned to 256) on. */
struct mat pack_place(enum quant_type, int rows, int cols, uint8_t *base);
/* n rows at src (device), as they are in the file, become rows row0.. of m.  Rows behind the matrix
 * must be zeroed by the caller. */
cudaError_t pack_rows(const struct mat *m, const uint8_t *src, int row0, int n, cudaStream_t);
/* Rows of a matrix, named by `row` (device), become all those of another of the same type. */
cudaError_t pack_pick(const struct mat *from, const int *row, const struct mat *to, cudaStream_t);
/* Bytes of a row in each of the planes q, h, s, d. */
void pack_strides(const struct mat *m, size_t bytes[4]);
cudaError_t pack_load(void);
#endif
