/* test_graphs.cpp - what a stream captures, what a graph repeats, and every call of it failing. */
#include "tests/emu/test_kit.h"

/* *to = a * *to + b: the order of two of them matters. */
static __global__ void step_kernel(int *to, int a, int b)
{
	*to = a * *to + b;
}

struct pair {
	int a, b;
};

static __global__ void pair_kernel(int *to, const __grid_constant__ struct pair p)
{
	*to = p.a * *to + p.b;
}

static void capture(cudaStream_t s, int *device, int *pinned)
{
	struct pair p = { 10, 3 };

	assert_int_equal(cudaStreamBeginCapture(s, cudaStreamCaptureModeGlobal), cudaSuccess);
	cudaMemcpyAsync(device, pinned, 4, cudaMemcpyHostToDevice, s);
	LAUNCH(step_kernel, 1, 1, 0, s, device, 2, 1);
	LAUNCH(pair_kernel, 1, 1, 0, s, device, p);
	p.a = 0;                /* arguments are those of the launch */
	cudaMemcpyAsync(pinned + 1, device, 4, cudaMemcpyDeviceToHost, s);
	assert_int_equal(cudaGetLastError(), cudaSuccess);
}

static void test_replay(void **)
{
	device_array<int> x(1);
	cudaStream_t s;
	cudaGraph_t graph;
	cudaGraphExec_t exec;
	size_t nodes;
	int *pinned;

	assert_int_equal(cudaHostAlloc(&pinned, 8, 0), cudaSuccess);
	assert_int_equal(cudaStreamCreateWithFlags(&s, 0), cudaSuccess);
	x[0] = pinned[0] = pinned[1] = 77;
	capture(s, x.p, pinned);
	assert_true(x[0] == 77 && pinned[1] == 77);     /* nothing has run */
	assert_int_equal(cudaStreamEndCapture(s, &graph), cudaSuccess);
	assert_int_equal(cudaGraphGetNodes(graph, nullptr, &nodes), cudaSuccess);
	assert_int_equal(nodes, 4);
	assert_int_equal(cudaGraphInstantiate(&exec, graph, 0), cudaSuccess);
	assert_int_equal(cudaGraphDestroy(graph), cudaSuccess);
	for (int i = 0; i < 5; i++) {
		pinned[0] = i;
		assert_int_equal(cudaGraphLaunch(exec, s), cudaSuccess);
		assert_int_equal(cudaStreamSynchronize(s), cudaSuccess);
		assert_int_equal(pinned[1], 10 * (2 * i + 1) + 3);
	}
	assert_int_equal(emu_memory().launches, 0);
	assert_int_equal(emu_memory().graph_launches, 5);
	assert_int_equal(emu_memory().kernels, 10);
	assert_int_equal(emu_memory().captures, 1);
	assert_int_equal(emu_memory().instantiations, 1);
	assert_int_equal(cudaGraphExecDestroy(exec), cudaSuccess);
	assert_int_equal(cudaGraphLaunch(exec, s), cudaErrorInvalidValue);
	cudaStreamDestroy(s);
	cudaFreeHost(pinned);
}

static cudaError_t forbidden(int which, cudaStream_t s, int *x)
{
	int y;
	void *p;

	switch (which) {
	case 0: return cudaMalloc(&p, 4);
	case 1: return cudaStreamSynchronize(s);
	case 2: return cudaMemcpy(&y, x, 4, cudaMemcpyDeviceToHost);
	case 3: return cudaDeviceSynchronize();
	case 4: return cudaStreamQuery(s);
	case 5: return cudaFree(x);
	case 6: return cudaHostAlloc(&p, 4, 0);
	default: return cudaMemset(x, 0, 4);
	}
}

static void test_forbidden_in_capture(void **)
{
	device_array<int> x(1);
	enum cudaStreamCaptureStatus status;
	cudaGraph_t graph = nullptr;
	cudaStream_t s;

	assert_int_equal(cudaStreamCreateWithFlags(&s, 0), cudaSuccess);
	assert_int_equal(cudaStreamEndCapture(s, &graph), cudaErrorInvalidValue);
	for (int which = 0; which < 8; which++) {
		assert_int_equal(cudaStreamBeginCapture(s, cudaStreamCaptureModeThreadLocal),
				 cudaSuccess);
		assert_int_equal(cudaStreamIsCapturing(s, &status), cudaSuccess);
		assert_int_equal(status, cudaStreamCaptureStatusActive);
		assert_int_equal(forbidden(which, s, x.p), cudaErrorStreamCaptureUnsupported);
		assert_int_equal(cudaStreamIsCapturing(s, &status), cudaSuccess);
		assert_int_equal(status, cudaStreamCaptureStatusInvalidated);
		LAUNCH(step_kernel, 1, 1, 0, s, x.p, 1, 1);
		assert_int_equal(cudaGetLastError(), cudaErrorStreamCaptureInvalidated);
		assert_int_equal(cudaStreamEndCapture(s, &graph),
				 cudaErrorStreamCaptureInvalidated);
		assert_null(graph);
		assert_int_equal(cudaStreamSynchronize(s), cudaSuccess);
	}
	/* relaxed: what has nothing to do with the stream is allowed */
	assert_int_equal(cudaStreamBeginCapture(s, cudaStreamCaptureModeRelaxed), cudaSuccess);
	assert_int_equal(cudaMemset(x.p, 0, 4), cudaSuccess);
	assert_int_equal(cudaStreamEndCapture(s, &graph), cudaSuccess);
	assert_int_equal(cudaGraphDestroy(graph), cudaSuccess);
	cudaStreamDestroy(s);
}

/* A small program that minds every error, with a graph in it. */
struct program {
	int *device, *pinned;
	cudaStream_t stream;
	cudaEvent_t event;
	cudaGraph_t graph;
	cudaGraphExec_t exec;
};

static bool program_open(struct program *p)
{
	return !cudaMalloc(&p->device, 4) && !cudaHostAlloc(&p->pinned, 8, 0) &&
	       !cudaStreamCreateWithFlags(&p->stream, 0) && !cudaEventCreate(&p->event);
}

static bool program_capture(struct program *p)
{
	if (cudaStreamBeginCapture(p->stream, cudaStreamCaptureModeGlobal))
		return false;
	bool good = !cudaMemcpyAsync(p->device, p->pinned, 4, cudaMemcpyHostToDevice, p->stream);

	LAUNCH(step_kernel, 1, 1, 0, p->stream, p->device, 3, 4);
	good &= !cudaGetLastError();
	good &= !cudaMemcpyAsync(p->pinned + 1, p->device, 4, cudaMemcpyDeviceToHost, p->stream);
	good &= !cudaStreamEndCapture(p->stream, &p->graph);
	return good && !cudaGraphInstantiate(&p->exec, p->graph, 0);
}

static bool program_run(struct program *p)
{
	for (int i = 0; i < 2; i++) {
		p->pinned[0] = i;
		if (cudaGraphLaunch(p->exec, p->stream) || cudaEventRecord(p->event, p->stream) ||
		    cudaEventSynchronize(p->event))
			return false;
		assert_int_equal(p->pinned[1], 3 * i + 4);
	}
	return true;
}

static void program_close(struct program *p)
{
	if (p->exec)
		cudaGraphExecDestroy(p->exec);
	if (p->graph)
		cudaGraphDestroy(p->graph);
	if (p->event)
		cudaEventDestroy(p->event);
	if (p->stream)
		cudaStreamDestroy(p->stream);
	cudaFreeHost(p->pinned);
	cudaFree(p->device);
}

static bool run_program(void)
{
	struct program p = {};
	bool good = program_open(&p) && program_capture(&p) && program_run(&p);

	program_close(&p);
	return good;
}

static void check_nothing_left(void)
{
	struct emu_use u = emu_memory();

	assert_true(!u.allocations && !u.pinned_allocations && !u.device && !u.pinned);
	assert_true(!u.streams && !u.graphs && !u.execs && !u.events);
}

static void test_every_call_fails(void **)
{
	for (int lazy = 0; lazy < 2; lazy++) {
		emu_reset();
		emu_set_lazy(lazy);
		assert_true(run_program());
		long calls = emu_calls(), closing = 6;

		assert_int_equal(calls, 16 + closing);
		for (int error : { cudaErrorMemoryAllocation, cudaErrorIllegalAddress,
				   cudaErrorUnknown })
			for (long n = 1; n <= calls; n++) {
				emu_reset();
				emu_set_lazy(lazy);
				emu_fail_at(n, error);
				assert_int_equal(run_program(), n > calls - closing);
				check_nothing_left();
			}
	}
}

static void test_stream_lost_in_capture(void **)
{
	cudaStream_t s;
	cudaGraph_t graph;

	/* a stream that goes while it captures takes with it what it had */
	assert_int_equal(cudaStreamCreateWithFlags(&s, 0), cudaSuccess);
	assert_int_equal(cudaStreamBeginCapture(s, cudaStreamCaptureModeGlobal), cudaSuccess);
	LAUNCH(step_kernel, 1, 1, 0, s, nullptr, 1, 1);
	assert_int_equal(cudaStreamDestroy(s), cudaSuccess);
	assert_int_equal(cudaStreamEndCapture(s, &graph), cudaErrorInvalidResourceHandle);
	assert_int_equal(cudaDeviceSynchronize(), cudaSuccess);
	check_nothing_left();
}

int test_graphs(void)
{
	const struct CMUnitTest tests[] = {
		KIT_TEST(test_replay), KIT_TEST(test_forbidden_in_capture),
		KIT_TEST(test_every_call_fails),
		KIT_TEST(test_stream_lost_in_capture),
	};

	return cmocka_run_group_tests(tests, nullptr, nullptr);
}
