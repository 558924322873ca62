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

__global__ void __launch_bounds__(THREADS) post_kernel(const __grid_constant__ struct post a)
{
	int row = (int)blockIdx.x, width = a.out.k;
	const float *y = a.made + (size_t)row * (size_t)width;
	float *x = a.x + (size_t)row * (size_t)width;
	float factor = 1.0f / sqrtf(sum_squares(y, width) / (float)width + a.eps);

	for (int i = (int)threadIdx.x; i < width; i += THREADS) {       /* whole warps */
		float v = fmaf(a.scale, y[i] * factor * a.norm[i], x[i]);

		x[i] = v;
		keep_tile(&a.out, &a.squares, row, i / TILE, v, a.w, true);
	}
}

cudaError_t post_run(const struct post *a, int n, cudaStream_t stream)
{
	LAUNCH(post_kernel, dim3((unsigned)n), dim3(THREADS), 0, stream, *a);
	return cudaGetLastError();
}

cudaError_t post_load(void)
{
	return kernels_load(post_kernel);
}
