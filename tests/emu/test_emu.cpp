/* test_emu.cpp - the emulated device against what CUDA says of the real one. */
#include "tests/emu/cuda_emu.h"
#include <csetjmp>
#include <cstdarg>
extern "C" {
#include <cmocka.h>
}

/* Sum of the block's numbers, by warps and then through shared memory. */
template <int WARPS> __global__ void block_sum(float *to, const float *x, bool broken)
{
	DYNAMIC_SHARED(float, all);
	__shared__ float part[WARPS];
	float sum;

	all[threadIdx.x] = x[blockIdx.x * blockDim.x + threadIdx.x];
	sum = all[threadIdx.x];
	for (int m = 16; m; m >>= 1)
		sum += __shfl_xor_sync(~0u, sum, m);
	if (threadIdx.x % 32 == 0)
		part[threadIdx.x / 32] = sum;
	if (!broken)
		__syncthreads();
	sum = 0;
	for (int i = 0; i < WARPS; i++)
		sum += part[i];
	if (threadIdx.x == 7)
		to[blockIdx.x] = sum;
}

static void test_barrier(void **)
{
	enum { BLOCKS = 5, THREADS = 128 };
	float *x, *sum;

	assert_int_equal(cudaMalloc(&x, BLOCKS * THREADS * sizeof(*x)), cudaSuccess);
	assert_int_equal(cudaMalloc(&sum, BLOCKS * sizeof(*sum)), cudaSuccess);
	for (int i = 0; i < BLOCKS * THREADS; i++)
		x[i] = (float)(i / THREADS);
	for (int order = 0; order < 6; order++)
		for (int broken = 0; broken < 2; broken++) {
			int right = 0;

			emu_set_order(order);
			LAUNCH(block_sum<4>, BLOCKS, THREADS, THREADS * 4, nullptr, sum, x, broken);
			assert_int_equal(cudaGetLastError(), cudaSuccess);
			for (int b = 0; b < BLOCKS; b++)
				right += sum[b] == (float)(b * THREADS);
			if (!broken)
				assert_int_equal(right, BLOCKS);
			else if (order == 0)
				assert_int_equal(right, 0);
		}
	cudaFree(x);
	cudaFree(sum);
	assert_int_equal(emu_memory().allocations, 0);
}

int main()
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_barrier) };

	return cmocka_run_group_tests(tests, nullptr, nullptr);
}
