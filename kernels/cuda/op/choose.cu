/* choose.cu - the largest logits of a row, and a drafter's guess, without the host.
 *
 * One block of threads for a row.  Peaks (the largest of 16 logits each, backend.h) are looked at
 * instead of logits wherever they suffice.
 * Invariant: of equal logits the first counts, as in probs.c and sampler.c of engine/decode. */
#include "kernels/cuda/op/choose.cuh"
#include "kernels/noise.h"
#include "kernels/peaks.h"
#include <math.h>

enum { THREADS = 1024, WARPS = THREADS / 32, BINS = 256 };

/* Floats as unsigned numbers of the same order. */
static __device__ unsigned ordered(float f)
{
	unsigned bits = (unsigned)__float_as_int(f);

	return bits >> 31 ? ~bits : bits | 0x80000000u;
}

/* The n_best-th largest of n peaks, as ordered(): a byte at a time from the top. */
static __device__ unsigned find_least(const float *peaks, int n, int n_best)
{
	__shared__ unsigned count[BINS], found, left;
	unsigned prefix = 0;

	if (threadIdx.x == 0)
		left = (unsigned)n_best;
	for (int shift = 24; shift >= 0; shift -= 8) {
		for (int i = (int)threadIdx.x; i < BINS; i += THREADS)
			count[i] = 0;
		__syncthreads();
		for (int i = (int)threadIdx.x; i < n; i += THREADS) {
			unsigned x = ordered(peaks[i]);

			if (shift == 24 || x >> (shift + 8) == prefix)
				atomicAdd(&count[x >> shift & (BINS - 1)], 1u);
		}
		__syncthreads();
		if (threadIdx.x == 0) {
			int bin = BINS - 1;

			while (bin > 0 && count[bin] < left)
				left -= count[bin--];
			found = prefix << 8 | (unsigned)bin;
		}
		__syncthreads();
		prefix = found;
		__syncthreads();
	}
	return prefix;
}

__global__ void __launch_bounds__(THREADS)
groups_kernel(const float *rows, int ld, int vocab, int n_best, float *out)
{
	const float *row = rows + (size_t)blockIdx.x * (size_t)ld, *peaks = row + vocab;
	float *to = out + (size_t)blockIdx.x * (size_t)ld;
	int groups = (vocab + PEAK - 1) / PEAK;
	unsigned least = n_best < groups ? find_least(peaks, groups, n_best) : 0;

	for (int g = (int)threadIdx.x; g < groups; g += THREADS) {
		bool keep = ordered(peaks[g]) >= least;

		to[vocab + g] = keep ? peaks[g] : -INFINITY;
		for (int i = g * PEAK; keep && i < (g + 1) * PEAK && i < vocab; i++)
			to[i] = row[i];
	}
}

cudaError_t choose_groups(const float *rows, int n, int ld, int vocab, int n_best, float *out,
			  cudaStream_t stream)
{
	LAUNCH(groups_kernel, dim3((unsigned)n), dim3(THREADS), 0, stream, rows, ld, vocab, n_best,
	       out);
	return cudaGetLastError();
}

/* f folded over the threads of the block, for all of them, in the same order each time. */
template <typename F>
static __device__ float block_fold(float x, F f)
{
	__shared__ float part[WARPS];

	for (int m = 16; m; m /= 2)
		x = f(x, __shfl_xor_sync(~0u, x, m));
	__syncthreads();
	if (threadIdx.x % 32 == 0)
		part[threadIdx.x / 32] = x;
	__syncthreads();
	x = part[threadIdx.x % WARPS];
	for (int m = 16; m; m /= 2)
		x = f(x, __shfl_xor_sync(~0u, x, m));
	return x;
}

static __device__ float block_max(float x)
{
	return block_fold(x, [](float a, float b) { return fmaxf(a, b); });
}

static __device__ float block_sum(float x)
{
	return block_fold(x, [](float a, float b) { return a + b; });
}

/* What a logit is worth for a guess; -infinity where the law leaves it out. */
static __device__ float worth(const struct guess_law *law, float logit, float top, int tok, int pos)
{
	float below = (logit - top) / law->temp;

	if (expf(below) < law->min_p)
		return -INFINITY;
	return below + law->lambda * (float)noise_gumbel(law->seed, (uint64_t)pos, (uint32_t)tok);
}

/* The first place whose value is the largest of all threads'. */
static __device__ int first_of(float best, int at)
{
	__shared__ int first;
	float top = block_max(best);

	if (threadIdx.x == 0)
		first = 0x7fffffff;
	__syncthreads();
	if (best == top)
		atomicMin(&first, at);
	__syncthreads();
	return first;
}

__global__ void __launch_bounds__(THREADS)
guess_kernel(const float *row, int vocab, const int *ids, struct chain *chain,
	     struct guess_out *out)
{
	float top = -INFINITY, sum = 0, best = -INFINITY;
	int at = 0;

	for (int g = (int)threadIdx.x; g * PEAK < vocab; g += THREADS)
		top = fmaxf(top, row[vocab + g]);
	top = block_max(top);
	for (int i = (int)threadIdx.x; i < vocab; i += THREADS) {
		float x = chain->law.temp > 0 ? worth(&chain->law, row[i], top,
						      ids ? ids[i] : i, chain->pos + 1) : row[i];

		sum += expf(row[i] - top);
		if (x > best) {
			best = x;
			at = i;
		}
	}
	sum = block_sum(sum);
	at = first_of(best, at);
	if (threadIdx.x == 0) {
		out->tok[chain->i] = chain->tok = ids ? ids[at] : at;
		out->sure[chain->i] = 1.0 / (double)sum;
		chain->i++;
		chain->pos++;
	}
}

cudaError_t choose_guess(const float *row, int vocab, const int *ids, struct chain *chain,
			 struct guess_out *out, cudaStream_t stream)
{
	LAUNCH(guess_kernel, dim3(1), dim3(THREADS), 0, stream, row, vocab, ids, chain, out);
	return cudaGetLastError();
}

cudaError_t choose_load(void)
{
	return kernels_load(groups_kernel, guess_kernel);
}
