/* prune.cu - see prune.cuh.  A block of threads for each row, which chooses as kernels/topk.c does:
 * digit by digit of the smallest score that stays.
 *
 * Owns nothing.  Invariant: what is kept of a row depends on that row alone. */
#include "kernels/cuda/op/prune.cuh"
#include "kernels/cuda/op/finish.cuh"

enum { THREADS = 256, BUCKETS = 1 << 11, EACH = BUCKETS / THREADS, LATER_BITS = 10, KEY_BITS = 31 };

struct edge {
	unsigned key;           /* of the smallest score that stays */
	int equal;              /* so many of these */
	int last;               /* the column of the last of them */
};

/* Rises with the score; 0: it is not a number. */
static __device__ unsigned key_of(float score)
{
	unsigned bits = (unsigned)__float_as_int(score) & 0x7fffffffu;

	return bits > 0x7f800000u ? 0 : bits + 1;
}

/* One thread: in which bucket the cut is; *equal of those in it are needed. */
static __device__ int bucket_of(const int *count, const int *sum, int *equal)
{
	int part = THREADS - 1, digit;

	for (; part && sum[part] < *equal; part--)
		*equal -= sum[part];
	digit = part * EACH + EACH - 1;
	for (; digit > part * EACH && count[digit] < *equal; digit--)
		*equal -= count[digit];
	return digit;
}

/* One thread: of more equal ones than are needed the first. */
static __device__ void find_last(const float *x, int n, int there, struct edge *edge)
{
	int left = edge->equal;

	edge->last = n;
	for (int i = 0; there > edge->equal && left; i++)
		if (key_of(x[i]) == edge->key && --left == 0)
			edge->last = i;
}

/* Called by the whole block, which shares *edge. */
static __device__ void find(const float *x, int n, int keep, struct edge *edge)
{
	__shared__ int count[BUCKETS], sum[THREADS];
	int t = thread_x(), above = KEY_BITS;

	if (t == 0) {
		edge->key = 0;
		edge->equal = keep;
	}
	for (int shift = 2 * LATER_BITS; shift >= 0; above = shift, shift -= LATER_BITS) {
		unsigned digits = (1u << (above - shift)) - 1, known;

		for (int i = t; i < BUCKETS; i += THREADS)
			count[i] = 0;
		__syncthreads();
		known = edge->key;
		for (int i = t; i < n; i += THREADS) {
			unsigned key = key_of(x[i]);

			if ((key ^ known) >> above == 0)
				atomicAdd(&count[key >> shift & digits], 1);
		}
		__syncthreads();
		sum[t] = 0;
		for (int i = 0; i < EACH; i++)
			sum[t] += count[t * EACH + i];
		__syncthreads();
		if (t == 0) {
			int digit = bucket_of(count, sum, &edge->equal);

			edge->key |= (unsigned)digit << shift;
			if (!shift)
				find_last(x, n, count[digit], edge);
		}
		__syncthreads();
	}
}

__global__ void __launch_bounds__(THREADS) prune_kernel(struct act a, int keep, int apart)
{
	__shared__ struct edge edge;
	int row = (int)(blockIdx.y * (unsigned)apart + blockIdx.x);
	float *x = a.f + (size_t)row * (size_t)a.k;

	find(x, a.k, keep, &edge);
	for (int c = thread_x(); c < a.k; c += THREADS) {       /* whole warps */
		unsigned key = key_of(x[c]);
		bool stays = key > edge.key || (key == edge.key && c <= edge.last);

		put_tile(&a, row, c / TILE, stays ? x[c] : 0, true);
	}
}

cudaError_t prune_run(const struct act *a, int keep, int n, int n_group, int apart,
		      cudaStream_t stream)
{
	LAUNCH(prune_kernel, dim3((unsigned)n, (unsigned)n_group), dim3(THREADS), 0, stream, *a,
	       keep, apart);
	return cudaGetLastError();
}

cudaError_t prune_load(void)
{
	return kernels_load(prune_kernel);
}
