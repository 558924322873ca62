/* embed.cu - a step begins: token embeddings, angles of RoPE, and the place for the kernels that
 * follow.
 *
 * Tokens and position are read where the host (or the step before) left them, so that a recorded
 * graph need not know them.  Invariant: what is made of a row depends on that row alone. */
#include "kernels/cuda/decode.cuh"
#include "kernels/cuda/embed.cuh"
#include "kernels/cuda/finish.cuh"

template <int T>
static __device__ void embed_block(const struct embed *a, int row, int tok, int b)
{
	float v[BLOCK], *x = a->x + (size_t)row * (size_t)a->embd.cols + (size_t)(b * BLOCK);

	decode_values<T>(&a->embd, (size_t)tok, b, [&](int i, float value) {
		v[i] = x[i] = value * a->scale;
	});
	keep_tile(&a->out, &a->squares, row, 2 * b, v, a->w);
	keep_tile(&a->out, &a->squares, row, 2 * b + 1, v + TILE, a->w);
}

__global__ void embed_kernel(const __grid_constant__ struct embed a)
{
	int row = (int)blockIdx.x, tok, pos = *a.pos;
	float *turn = a.turn + (size_t)row * (size_t)(2 * a.angles);

	if (row == 0 && threadIdx.x == 0)
		a.place->pos = pos;
	for (int j = (int)threadIdx.x; j < a.angles; j += (int)blockDim.x) {
		float angle = (float)(pos + row) * a.inv_freq[j];

		turn[2 * j] = cosf(angle) * a.gain;
		turn[2 * j + 1] = sinf(angle) * a.gain;
	}
	if (row >= a.n_tok)
		return;
	tok = a.tok[row];
#define EMBED(T) \
	for (int b = (int)threadIdx.x; b < a.embd.cols / BLOCK; b += (int)blockDim.x) \
		embed_block<T>(&a, row, tok, b)
	FOR_TYPE(a.embd.type, EMBED)
#undef EMBED
}

cudaError_t embed_run(const struct embed *a, int rows, cudaStream_t stream)
{
	LAUNCH(embed_kernel, dim3((unsigned)rows), dim3(128), 0, stream, *a);
	return cudaGetLastError();
}
