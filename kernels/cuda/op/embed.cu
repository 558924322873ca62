/* embed.cu - a step begins: token embeddings, or rows that another device made of them, angles of
 * RoPE, and the place for the kernels that follow.
 *
 * Tokens and position are read where the host (or the step before) left them, so that a recorded
 * graph need not know them.  Invariant: what is made of a row depends on that row alone. */
#include "kernels/cuda/op/decode.cuh"
#include "kernels/cuda/op/embed.cuh"
#include "kernels/cuda/op/finish.cuh"

enum { THREADS = 128, ROOM = 32 };      /* blocks of columns that are decoded at once */

template <int T>
static __device__ void decode_row(const struct embed *a, int tok, int first, int end,
				  float (*v)[BLOCK + 1])
{
	for (int b = first + (int)threadIdx.x; b < end; b += THREADS)
		decode_values<T>(&a->embd, (size_t)tok, b, [&](int i, float value) {
			v[b - first][i] = value * a->scale;
		});
}

static __device__ void embed_row(const struct embed *a, int row, int tok)
{
	__shared__ float v[ROOM][BLOCK + 1];    /* threads write side by side */
	int blocks = a->embd.cols / BLOCK;
	float *x = a->x + (size_t)row * (size_t)a->embd.cols;

	for (int first = 0; first < blocks; first += ROOM) {
		int end = min(first + ROOM, blocks);

#define DECODE(T) decode_row<T>(a, tok, first, end, v)
		FOR_TYPE(a->embd.type, DECODE)
#undef DECODE
		__syncthreads();
		for (int i = first * BLOCK + (int)threadIdx.x; i < end * BLOCK; i += THREADS) {
			x[i] = v[i / BLOCK - first][i % BLOCK];
			keep_tile(&a->out, &a->squares, row, i / TILE, x[i], a->w, true);
		}
		__syncthreads();
	}
}

/* From pinned memory, read once. */
static __device__ void enter_row(const struct embed *a, int row)
{
	size_t at = (size_t)row * (size_t)a->out.k;

	for (int i = (int)threadIdx.x; i < a->out.k; i += THREADS) {
		float x = a->rows[at + (size_t)i];

		a->x[at + (size_t)i] = x;
		keep_tile(&a->out, &a->squares, row, i / TILE, x, a->w, true);
	}
}

__global__ void embed_kernel(const __grid_constant__ struct embed a)
{
	int row = (int)blockIdx.x, pos = *a.pos;
	float *turn = a.turn + (size_t)row * (size_t)(2 * a.angles);

	if (row == 0 && threadIdx.x == 0)
		a.place->pos = pos;
	for (int j = (int)threadIdx.x; j < a.angles; j += (int)blockDim.x) {
		float angle = (float)(pos + row) * a.inv_freq[j];

		turn[2 * j] = cosf(angle) * a.gain;
		turn[2 * j + 1] = sinf(angle) * a.gain;
	}
	if (row < a.n_tok && a.rows)
		enter_row(&a, row);
	else if (row < a.n_tok)
		embed_row(&a, row, a.tok[row]);
}

cudaError_t embed_run(const struct embed *a, int rows, cudaStream_t stream)
{
	LAUNCH(embed_kernel, dim3((unsigned)rows), dim3(THREADS), 0, stream, *a);
	return cudaGetLastError();
}

cudaError_t embed_load(void)
{
	return kernels_load(embed_kernel);
}
