/* test_streams.cpp - what CUDA promises of the order of work in different streams, and no more: the
 * rest runs so late that a program which relies on it sees what was there before. */
#include "tests/emu/test_kit.h"

static __global__ void copy_kernel(int *to, const int *from)
{
	*to = *from;
}

struct three {
	cudaStream_t apart, other, among;       /* the last keeps order with the default stream */
	device_array<int> y;

	three() : y(1)
	{
		cudaStreamCreateWithFlags(&apart, cudaStreamNonBlocking);
		cudaStreamCreateWithFlags(&other, cudaStreamNonBlocking);
		cudaStreamCreate(&among);
	}
	/* What a kernel in stream s sees of x, when nobody has waited for anything else; cudaFree
	 * would wait for all. */
	int seen(const device_array<int> &x, cudaStream_t s)
	{
		LAUNCH(copy_kernel, 1, 1, 0, s, y.p, x.p);
		assert_int_equal(cudaStreamSynchronize(s), cudaSuccess);
		return y[0];
	}
	~three()
	{
		cudaStreamDestroy(apart);
		cudaStreamDestroy(other);
		cudaStreamDestroy(among);
	}
};

/* A memset returns before it is done; the default stream and those that keep order with it wait. */
static void test_default_stream(void **)
{
	for (int lazy = 0; lazy < 2; lazy++) {
		three s;
		device_array<int> x(1);

		emu_set_lazy(lazy);
		x[0] = 1;
		assert_int_equal(cudaMemset(x.p, 0, 4), cudaSuccess);
		assert_int_equal(s.seen(x, s.apart), 1);
		assert_int_equal(s.seen(x, nullptr), 0);
		x[0] = 1;
		assert_int_equal(cudaMemset(x.p, 0, 4), cudaSuccess);
		assert_int_equal(cudaStreamSynchronize(s.apart), cudaSuccess);
		assert_int_equal(x[0], 1);
		assert_int_equal(s.seen(x, s.among), 0);
		x[0] = 1;
		assert_int_equal(cudaMemset(x.p, 0, 4), cudaSuccess);
		assert_int_equal(cudaDeviceSynchronize(), cudaSuccess);
		assert_int_equal(x[0], 0);
	}
}

/* Another memset of a stream that is apart comes first, whenever it was asked for. */
static void test_late_memset(void **)
{
	three s;
	device_array<int> x(1);

	assert_int_equal(cudaMemset(x.p, 0, 4), cudaSuccess);
	assert_int_equal(cudaMemsetAsync(x.p, 1, 4, s.apart), cudaSuccess);
	assert_int_equal(cudaStreamSynchronize(s.apart), cudaSuccess);
	assert_int_equal(x[0], 0x01010101);
	assert_int_equal(cudaDeviceSynchronize(), cudaSuccess);
	assert_int_equal(x[0], 0);
}

/* To the device, and in it: late, with what the source was; pinned memory, and the host: done. */
static void test_copies(void **)
{
	three s;
	device_array<int> x(1), y(1);
	int plain = 5, *pinned;

	x[0] = y[0] = 0;
	assert_int_equal(cudaHostAlloc(&pinned, 4, 0), cudaSuccess);
	assert_int_equal(cudaMemcpy(x.p, &plain, 4, cudaMemcpyHostToDevice), cudaSuccess);
	plain = 6;
	assert_int_equal(s.seen(x, s.apart), 0);
	assert_int_equal(cudaMemcpy(y.p, x.p, 4, cudaMemcpyDeviceToDevice), cudaSuccess);
	assert_int_equal(s.seen(y, s.apart), 0);
	assert_int_equal(cudaMemcpy(&plain, y.p, 4, cudaMemcpyDeviceToHost), cudaSuccess);
	assert_int_equal(plain, 5);
	*pinned = 7;
	assert_int_equal(cudaMemcpy(x.p, pinned, 4, cudaMemcpyHostToDevice), cudaSuccess);
	assert_int_equal(s.seen(x, s.apart), 7);
	assert_int_equal(cudaMemset(pinned, 0, 4), cudaSuccess);
	assert_int_equal(*pinned, 0);
	cudaFreeHost(pinned);
}

/* Streams that are apart wait for each other only by an event. */
static void test_events(void **)
{
	three s;
	device_array<int> x(1);
	cudaEvent_t e;

	emu_set_lazy(true);
	assert_int_equal(cudaEventCreate(&e), cudaSuccess);
	x[0] = 1;
	assert_int_equal(cudaMemsetAsync(x.p, 0, 4, s.other), cudaSuccess);
	assert_int_equal(s.seen(x, s.apart), 1);
	assert_int_equal(cudaEventRecord(e, s.other), cudaSuccess);
	assert_int_equal(cudaMemsetAsync(x.p, 2, 4, s.other), cudaSuccess);
	assert_int_equal(cudaStreamWaitEvent(s.apart, e), cudaSuccess);
	assert_int_equal(s.seen(x, s.apart), 0);
	assert_int_equal(cudaStreamQuery(s.other), cudaErrorNotReady);
	assert_int_equal(x[0], 0x02020202);
	/* waiting for the event itself runs what comes before it, and no more */
	assert_int_equal(cudaMemsetAsync(x.p, 3, 4, s.other), cudaSuccess);
	assert_int_equal(cudaEventRecord(e, s.other), cudaSuccess);
	assert_int_equal(cudaMemsetAsync(x.p, 4, 4, s.other), cudaSuccess);
	assert_int_equal(cudaEventQuery(e), cudaErrorNotReady);
	assert_int_equal(x[0], 0x03030303);
	assert_int_equal(cudaEventSynchronize(e), cudaSuccess);
	assert_int_equal(x[0], 0x03030303);
	assert_int_equal(cudaStreamSynchronize(s.other), cudaSuccess);
	assert_int_equal(x[0], 0x04040404);
	cudaEventDestroy(e);
}

int test_streams(void)
{
	const struct CMUnitTest tests[] = {
		KIT_TEST(test_default_stream), KIT_TEST(test_late_memset), KIT_TEST(test_copies),
		KIT_TEST(test_events),
	};

	return cmocka_run_group_tests(tests, nullptr, nullptr);
}
