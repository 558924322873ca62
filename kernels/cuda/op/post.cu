/* post.cu - see post.cuh.  A block of threads for each row.
 *
 * Owns nothing.  Invariant: what is made of a row depends on that row alone. */
#include "kernels/cuda/op/post.cuh"
#include "kernels/cuda/op/finish.cuh"

enum { THREADS = 256 };

/* Called by the whole block: the sum of y (n) squared. */
static __device__ float sum_squares(const float *y, int n)
{
	__shared__ float part[THREADS / 32];
	float sum = 0;

	for (int i = (int)threadIdx.x; i < n; i += THREADS)
		sum = fmaf(y[i], y[i], sum);
	for (int m = 16; m; m /= 2)
		sum += __shfl_xor_sync(~0u, sum, m);
	if (threadIdx.x % 32 == 0)
		part[threadIdx.x / 32] = sum;
	__syncthreads();
	sum = 0;
	for (int i = 0; i < THREADS / 32; i++)
		sum += part[i];
	return sum;
}

__global__ void __launch_bounds__(THREADS) post_kernel(const __grid_constant__ struct join a)
{
	__shared__ float factor[GROUP_MAX];
	const float *made = a.made + (size_t)blockIdx.x * (size_t)a.width;
	size_t next = (size_t)a.apart * (size_t)a.width;

	for (int i = 0; i < a.n_group; i++) {
		float sum = a.norm[i] ? sum_squares(made + (size_t)i * next, a.width) : 0;

		if (threadIdx.x == 0)
			factor[i] = 1.0f / sqrtf(sum / (float)a.width + a.eps);
		__syncthreads();
	}
	for (int c = (int)threadIdx.x; c < a.width; c += THREADS)       /* whole warps */
		join_tile(&a, (int)blockIdx.x, c / TILE, true, [&](int i) {
			float y = made[(size_t)i * next + (size_t)c];

			return a.scale * (a.norm[i] ? y * factor[i] * a.norm[i][c] : y);
		});
}

cudaError_t post_run(const struct join *a, int n, cudaStream_t stream)
{
	LAUNCH(post_kernel, dim3((unsigned)n), dim3(THREADS), 0, stream, *a);
	return cudaGetLastError();
}

cudaError_t post_load(void)
{
	return kernels_load(post_kernel);
}
