/* test_mistakes.cpp - what is wrong with a kernel shows: in some order, or as an error.
 *
 * A kernel without a barrier that it needs must give a wrong result in at least one order, the same
 * kernel with it a right one in all. */
#include "tests/emu/test_kit.h"

enum { THREADS = 128 };

/* What another warp has written is read. */
static __global__ void read_kernel(int *to, bool sync)
{
	__shared__ int x[THREADS];
	int i = (int)threadIdx.x;

	x[i] = i;
	if (sync)
		__syncthreads();
	to[i] = x[(i + 64) % THREADS];
}

/* What another warp is still to read is written. */
static __global__ void write_kernel(int *to, bool sync)
{
	__shared__ int x[THREADS];
	int i = (int)threadIdx.x, sum = 0;

	for (int k = 0; k < 3; k++) {
		x[i] = i + k;
		__syncthreads();
		sum += x[(i + 64) % THREADS];
		if (sync)
			__syncthreads();
	}
	to[i] = sum - 3 - 2 * ((i + 64) % THREADS);
}

/* The same within a warp. */
static __global__ void warp_kernel(int *to, bool sync)
{
	DYNAMIC_SHARED(int, x);
	int i = (int)threadIdx.x;

	x[i] = i;
	if (sync)
		__syncwarp();
	to[i ^ 64] = x[i ^ 1] ^ 1;
}

/* Blocks have no order, and nothing can give them one. */
static __global__ void block_kernel(int *to, bool sync)
{
	int i = (int)(blockIdx.x * blockDim.x + threadIdx.x), other = (i + 64) % THREADS;

	if (sync)
		to[i] = other;
	else
		to[i] = i < 64 ? other : to[i - 64] - 64;
}

/* In how many orders everything is right. */
static int orders_right(void (*kernel)(int *, bool), int blocks, bool sync)
{
	device_array<int> to(THREADS);
	int right = 0;

	for (int order = 0; order < ORDERS; order++) {
		bool good = true;

		emu_set_order(order);
		cudaMemset(to.p, 0xff, THREADS * sizeof(int));
		LAUNCH(kernel, blocks, THREADS / blocks, THREADS * sizeof(int), nullptr, to.p,
		       sync);
		assert_int_equal(cudaGetLastError(), cudaSuccess);
		for (int i = 0; i < THREADS; i++)
			good &= to[(size_t)i] == (i + 64) % THREADS;
		right += good;
	}
	return right;
}

static void test_missing_barriers(void **)
{
	assert_int_equal(orders_right(read_kernel, 1, true), ORDERS);
	assert_in_range(orders_right(read_kernel, 1, false), 0, ORDERS - 1);
	assert_int_equal(orders_right(write_kernel, 1, true), ORDERS);
	assert_in_range(orders_right(write_kernel, 1, false), 0, ORDERS - 1);
	assert_int_equal(orders_right(warp_kernel, 1, true), ORDERS);
	assert_in_range(orders_right(warp_kernel, 1, false), 0, ORDERS - 1);
	assert_int_equal(orders_right(block_kernel, 2, true), ORDERS);
	assert_in_range(orders_right(block_kernel, 2, false), 0, ORDERS - 1);
}

template <int N> static __global__ void unset_kernel(float *to)
{
	DYNAMIC_SHARED(float, dynamic);
	__shared__ float fixed[N];
	int i = (int)threadIdx.x;

	to[2 * i] = fixed[i];
	to[2 * i + 1] = dynamic[i];
	fixed[i] = dynamic[i] = 1;
}

/* What nobody has written is not a number, in every block anew. */
static void test_unset_memory(void **)
{
	device_array<float> to(2 * 64), also(3);

	for (int block = 0; block < 2; block++) {
		LAUNCH(unset_kernel<64>, 2, 64, 64 * sizeof(float), nullptr, to.p);
		for (size_t i = 0; i < to.n; i++)
			assert_true(isnan(to[i]));
	}
	assert_true(isnan(also[0]) && isnan(also[2]));
}

enum mistake { HALF_AT_BARRIER, TWO_BARRIERS, KINDS_OF_BARRIERS, BARRIER_AND_SHUFFLE, HALF_OF_MASK,
	TWO_COLLECTIVES, NOT_IN_MASK, BAD_WIDTH, NOT_CONVERGED };

static __device__ void two_places(bool first)
{
	if (first)
		__syncthreads();
	else
		__syncthreads();
}

static __global__ void mistaken_kernel(int mistake)
{
	int i = (int)threadIdx.x;
	bool first = i % 32 < 16;

	if (mistake == HALF_AT_BARRIER && i < 32)
		__syncthreads();
	if (mistake == TWO_BARRIERS)
		two_places(i < 32);
	if (mistake == KINDS_OF_BARRIERS)
		first ? (void)__syncthreads_or(1) : __syncthreads();
	if (mistake == BARRIER_AND_SHUFFLE)
		first ? __syncthreads() : (void)__shfl_xor_sync(~0u, i, 1);
	if (mistake == HALF_OF_MASK && first)
		__shfl_xor_sync(~0u, i, 1);
	if (mistake == TWO_COLLECTIVES)
		first ? __any_sync(~0u, 1) : __all_sync(~0u, 1);
	if (mistake == NOT_IN_MASK)
		__shfl_sync(0xffffu, i, 1);
	if (mistake == BAD_WIDTH)
		__shfl_sync(~0u, i, 1, 12);
	if (mistake == NOT_CONVERGED && first)
		__activemask();
	__syncthreads();
}

template <int MISTAKE> static void make_mistake(void)
{
	LAUNCH(mistaken_kernel, 1, 64, 0, nullptr, MISTAKE);
}

static void flat_block(void)
{
	LAUNCH(mistaken_kernel, 1, dim3(8, 8), 0, nullptr, 0);
}

static void test_wrong_collectives(void **)
{
	for (int order = 0; order < 4; order++) {
		emu_set_order(order);
		assert_true(kit_dies(make_mistake<HALF_AT_BARRIER>, "in another at"));
		assert_true(kit_dies(make_mistake<TWO_BARRIERS>, "in another at"));
		assert_true(kit_dies(make_mistake<KINDS_OF_BARRIERS>, "in another at"));
		assert_true(kit_dies(make_mistake<BARRIER_AND_SHUFFLE>, "is in a barrier at"));
		assert_true(kit_dies(make_mistake<HALF_OF_MASK>, "is in a barrier at"));
		assert_true(kit_dies(make_mistake<TWO_COLLECTIVES>, "of its warp is in"));
		assert_true(kit_dies(make_mistake<NOT_IN_MASK>, "which the thread itself"));
		assert_true(kit_dies(make_mistake<BAD_WIDTH>, "with a width of 12"));
		assert_true(kit_dies(make_mistake<NOT_CONVERGED>, "__activemask"));
	}
	assert_true(kit_dies(flat_block, "only rows"));
	assert_true(kit_dies(make_mistake<TWO_COLLECTIVES>, "kernel mistaken_kernel, block (0, 0, "
			     "0), thread "));
}

#ifdef __SANITIZE_ADDRESS__
enum outside { READ, WRITE, DYNAMIC, FIXED, FREED, UNALIGNED };

static __global__ void outside_kernel(char *p, int what, int n)
{
	DYNAMIC_SHARED(char, dynamic);
	__shared__ int fixed[32];

	if (threadIdx.x != 3)
		return;
	if (what == READ || what == FREED)
		p[0] = p[n];
	else if (what == WRITE)
		p[n] = 0;
	else if (what == DYNAMIC)
		dynamic[n] = 0;
	else if (what == FIXED)
		p[0] = (char)fixed[n];
	else if (what == UNALIGNED)
		((uint4 *)(p + n))->x = 1;
}

/* n is an offset, or an index into 100 bytes of shared memory or 32 fixed ints. */
template <int WHAT, int N> static void go_outside(void)
{
	char *p, *q;

	cudaMalloc(&p, 1001);
	cudaMalloc(&q, 1001);
	if (WHAT == FREED)
		cudaFree(p);
	LAUNCH(outside_kernel, 1, 32, 100, nullptr, p, WHAT, N);
	cudaFree(p);
	cudaFree(q);
}

#endif

static void test_outside_with_asan_only(void **)
{
#ifdef __SANITIZE_ADDRESS__
	assert_true(kit_dies(go_outside<READ, 1001>, "heap-buffer-overflow"));
	assert_true(kit_dies(go_outside<READ, -1>, "heap-buffer-overflow"));
	assert_true(kit_dies(go_outside<WRITE, 1001>, "heap-buffer-overflow"));
	assert_true(kit_dies(go_outside<DYNAMIC, 100>, "heap-buffer-overflow"));
	assert_true(kit_dies(go_outside<DYNAMIC, -1>, "heap-buffer-overflow"));
	assert_true(kit_dies(go_outside<FIXED, 32>, "out of bounds"));
	assert_true(kit_dies(go_outside<FREED, 5>, "heap-use-after-free"));
	assert_true(kit_dies(go_outside<UNALIGNED, 8>, "misaligned address"));
	go_outside<READ, 1000>();       /* and what is inside is allowed */
	go_outside<DYNAMIC, 99>();
	go_outside<UNALIGNED, 16>();
#else
	print_message("# only the address sanitizer finds what is outside: FLAVOUR=asan\n");
	skip();
#endif
}

int test_mistakes(void)
{
	const struct CMUnitTest tests[] = {
		KIT_TEST(test_missing_barriers), KIT_TEST(test_unset_memory),
		KIT_TEST(test_wrong_collectives), KIT_TEST(test_outside_with_asan_only),
	};

	return cmocka_run_group_tests(tests, nullptr, nullptr);
}
