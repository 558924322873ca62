/* test_collectives.cpp - shuffles, votes, barriers and atomics against their definitions.
 *
 * Everything runs in several orders and must not depend on the order. */
#include "tests/emu/test_kit.h"

/* 80 threads: the last warp is half empty. */
enum { THREADS = 80, LANES = 32 };
enum shuffle { INDEX, UP, DOWN, XOR, SHUFFLES };

template <class T> static __host__ __device__ T value_of(int thread)
{
	return (T)(thread * 1000003 - 40000000) * (T)3;
}

template <class T> static __device__ T shuffled(int kind, T x, int arg, int width)
{
	switch (kind) {
	case INDEX: return __shfl_sync(~0u, x, arg, width);
	case UP: return __shfl_up_sync(~0u, x, arg, width);
	case DOWN: return __shfl_down_sync(~0u, x, arg, width);
	default: return __shfl_xor_sync(~0u, x, arg, width);
	}
}

template <class T> static __global__ void shuffle_kernel(T *to, int kind, int arg, int width)
{
	to[threadIdx.x] = shuffled(kind, value_of<T>((int)threadIdx.x), arg, width);
}

/* The lane that is read, in the words of the programming guide. */
static int source_of(int kind, int lane, int arg, int width)
{
	int in = lane % width, segment = lane / width;

	switch (kind) {
	case INDEX: return segment * width + arg % width;
	case UP: return in >= arg ? lane - arg : lane;
	case DOWN: return in + arg < width ? lane + arg : lane;
	default: return (lane ^ arg) / width <= segment ? lane ^ arg : lane;
	}
}

template <class T> static bool shuffle_is_right(int kind, int arg, int width)
{
	device_array<T> to(THREADS);
	int wrong = 0;

	LAUNCH(shuffle_kernel<T>, 1, THREADS, 0, nullptr, to.p, kind, arg, width);
	assert_int_equal(cudaGetLastError(), cudaSuccess);
	for (int i = 0; i < THREADS; i++) {
		int from = i / LANES * LANES + source_of(kind, i % LANES, arg, width);
		T want;

		memset(&want, 0xff, sizeof(want));
		if (from < THREADS)             /* no such thread: all ones */
			want = value_of<T>(from);
		wrong += memcmp(&want, &to[(size_t)i], sizeof(T)) != 0;
	}
	return wrong == 0;
}

static void test_shuffles(void **)
{
	for (int order = 0; order < ORDERS; order++)
		for (int kind = 0; kind < SHUFFLES; kind++)
			for (int width = 2; width <= LANES; width *= 2)
				for (int arg = 0; arg < width; arg++) {
					emu_set_order(order);
					assert_true(shuffle_is_right<int>(kind, arg, width));
					assert_true(shuffle_is_right<double>(kind, arg, width));
				}
	assert_true(shuffle_is_right<unsigned>(XOR, 5, 32));
	assert_true(shuffle_is_right<float>(XOR, 8, 32));
	assert_true(shuffle_is_right<long long>(DOWN, 8, 16));
	assert_true(shuffle_is_right<unsigned long long>(UP, 3, 8));
	assert_true(shuffle_is_right<short>(INDEX, 3, 8));
	assert_true(shuffle_is_right<int>(XOR, 16, 16));        /* reaches into an earlier one */
}

struct votes {
	unsigned ballot, any, all, half, active;
};

static __global__ void vote_kernel(struct votes *to, unsigned bits)
{
	int lane = (int)threadIdx.x % LANES, p = (int)(bits >> lane & 1);
	struct votes v;

	v.active = __activemask();
	v.ballot = __ballot_sync(~0u, p);
	v.any = (unsigned)__any_sync(~0u, p);
	v.all = (unsigned)__all_sync(~0u, p);
	if (lane < 16)          /* both halves, each for itself */
		v.half = __ballot_sync(0xffffu, p);
	else
		v.half = __ballot_sync(0xffff0000u, p);
	to[threadIdx.x] = v;
}

static void test_votes(void **)
{
	const unsigned patterns[] = { 0, 1, 0x80000000u, 0xdeadbeef, 0xffff, 0xffff0000u, ~0u };
	device_array<struct votes> to(THREADS);

	for (int order = 0; order < ORDERS; order++)
		for (unsigned bits : patterns) {
			emu_set_order(order);
			LAUNCH(vote_kernel, 1, THREADS, 0, nullptr, to.p, bits);
			for (size_t i = 0; i < THREADS; i++) {
				unsigned live = i < 64 ? ~0u : 0xffffu, own = bits & live;
				unsigned half = i % LANES < 16 ? 0xffffu : 0xffff0000u;

				assert_int_equal(to[i].active, live);
				assert_int_equal(to[i].ballot, own);
				assert_int_equal(to[i].any, own != 0);
				assert_int_equal(to[i].all, own == live);
				assert_int_equal(to[i].half, own & half);
			}
		}
}

/* Threads from n on return at once; the others still meet. */
static __global__ void barrier_kernel(int *to, int n, int below)
{
	int i = (int)threadIdx.x;

	if (i >= n)
		return;
	to[3 * i] = __syncthreads_count(i < below);
	to[3 * i + 1] = __syncthreads_and(i < below);
	to[3 * i + 2] = __syncthreads_or(i < below);
}

static void test_barriers(void **)
{
	device_array<int> to(3 * 1024);

	for (int order = 0; order < ORDERS; order++)
		for (int n = 1; n <= 1024; n += n < 70 ? 1 : 151)
			for (int below = 0; below <= n; below += (n + 2) / 3) {
				emu_set_order(order);
				LAUNCH(barrier_kernel, 1, 1024, 0, nullptr, to.p, n, below);
				for (size_t i = 0; i < (size_t)n; i++) {
					assert_int_equal(to[3 * i], below);
					assert_int_equal(to[3 * i + 1] != 0, below == n);
					assert_int_equal(to[3 * i + 2] != 0, below > 0);
				}
			}
}

/* The halves of a warp go their own ways, for different times, and meet again. */
static __global__ void divided_kernel(int *to)
{
	int lane = (int)threadIdx.x % LANES, sum = lane;
	unsigned mask = lane < 16 ? 0xffffu : 0xffff0000u;

	for (int i = 0; i < (lane < 16 ? 3 : 7); i++) {
		sum += __shfl_xor_sync(mask, sum, 1 << i % 4);
		__syncwarp(mask);
	}
	__syncwarp();
	to[threadIdx.x] = __shfl_sync(~0u, sum, 31 - lane);
}

static void test_divided_warp(void **)
{
	device_array<int> to(LANES);
	int sum[LANES], next[LANES];

	for (int i = 0; i < LANES; i++)
		sum[i] = i;
	for (int k = 0; k < 7; k++) {
		for (int i = 0; i < LANES; i++)
			next[i] = i < 16 && k >= 3 ? sum[i] : sum[i] + sum[i ^ 1 << k % 4];
		memcpy(sum, next, sizeof(sum));
	}
	for (int order = 0; order < ORDERS; order++) {
		emu_set_order(order);
		LAUNCH(divided_kernel, 1, LANES, 0, nullptr, to.p);
		for (size_t i = 0; i < LANES; i++)
			assert_int_equal(to[i], sum[31 - i]);
	}
}

/* Lanes that return while the others wait for them in a collective are not waited for. */
static __global__ void leaving_kernel(unsigned *to)
{
	if (threadIdx.x % 3 == 1)
		return;
	to[threadIdx.x] = __ballot_sync(~0u, 1);
}

static void test_lanes_that_left(void **)
{
	device_array<unsigned> to(64);

	for (int order = 0; order < ORDERS; order++) {
		emu_set_order(order);
		LAUNCH(leaving_kernel, 1, 64, 0, nullptr, to.p);
		assert_int_equal(to[0], 0x6db6db6du);
		assert_int_equal(to[33], 0xdb6db6dbu);
	}
}

struct counters {
	int i, greatest, least;
	unsigned u, ring, swapped, cas;
	unsigned long long wide;
	float f;
};

/* The last block to come sees what all others have left. */
static __global__ void atomic_kernel(struct counters *c, int *part, int *total)
{
	__shared__ bool last;
	int id = (int)(blockIdx.x * blockDim.x + threadIdx.x);

	atomicAdd(&c->i, 1);
	atomicAdd(&c->u, 2u);
	atomicAdd(&c->wide, 1ull << 33);
	atomicAdd(&c->f, 0.5f);
	atomicMax(&c->greatest, id);
	atomicMin(&c->least, -id);
	atomicExch(&c->swapped, 77u);
	atomicCAS(&c->cas, 5u, 6u);
	if (threadIdx.x == 0) {
		part[blockIdx.x] = (int)blockIdx.x + 1;
		__threadfence();
		last = atomicInc(&c->ring, gridDim.x - 1) == gridDim.x - 1;
	}
	__syncthreads();
	if (last && threadIdx.x == 1) {
		int sum = 0;

		for (unsigned b = 0; b < gridDim.x; b++)
			sum += part[b];
		*total = sum;
	}
}

static void test_atomics(void **)
{
	enum { BLOCKS = 7, SIZE = 64 };
	device_array<struct counters> c(1);
	device_array<int> part(BLOCKS), total(1);

	for (int order = 0; order < ORDERS; order++) {
		emu_set_order(order);
		c[0] = {};
		c[0].cas = 5;
		cudaMemset(part.p, 0, BLOCKS * sizeof(int));
		LAUNCH(atomic_kernel, BLOCKS, SIZE, 0, nullptr, c.p, part.p, total.p);
		assert_int_equal(c[0].i, BLOCKS * SIZE);
		assert_int_equal(c[0].u, 2 * BLOCKS * SIZE);
		assert_true(c[0].wide == (unsigned long long)(BLOCKS * SIZE) << 33);
		assert_true(c[0].f == BLOCKS * SIZE / 2.0f);
		assert_int_equal(c[0].greatest, BLOCKS * SIZE - 1);
		assert_int_equal(c[0].least, 1 - BLOCKS * SIZE);
		assert_int_equal(c[0].swapped, 77);
		assert_int_equal(c[0].cas, 6);
		assert_int_equal(c[0].ring, 0);         /* went round once */
		assert_int_equal(total[0], BLOCKS * (BLOCKS + 1) / 2);
	}
}

static __global__ void where_kernel(int *count, dim3 *size)
{
	unsigned block = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;

	atomicAdd(&count[block * blockDim.x + threadIdx.x], 1);
	*size = gridDim;
}

static void test_grid(void **)
{
	device_array<int> count(3 * 4 * 5 * 33);
	device_array<dim3> size(1);

	for (int order = 0; order < ORDERS; order++) {
		emu_set_order(order);
		cudaMemset(count.p, 0, count.n * sizeof(int));
		LAUNCH(where_kernel, dim3(3, 4, 5), 33, 0, nullptr, count.p, size.p);
		for (size_t i = 0; i < count.n; i++)
			assert_int_equal(count[i], 1);
		assert_true(size[0].x == 3 && size[0].y == 4 && size[0].z == 5);
	}
}

int test_collectives(void)
{
	const struct CMUnitTest tests[] = {
		KIT_TEST(test_shuffles), KIT_TEST(test_votes), KIT_TEST(test_barriers),
		KIT_TEST(test_divided_warp), KIT_TEST(test_lanes_that_left),
		KIT_TEST(test_atomics), KIT_TEST(test_grid),
	};

	return cmocka_run_group_tests(tests, nullptr, nullptr);
}
