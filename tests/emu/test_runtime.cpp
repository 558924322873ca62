/* test_runtime.cpp - devices, memory and its accounts, launch limits, errors and faults. */
#include "tests/emu/test_kit.h"
#include <cstdlib>
#include <thread>

static __global__ void add_kernel(int *to, int n, int by)
{
	int i = (int)(blockIdx.x * blockDim.x + threadIdx.x);

	if (i < n)
		to[i] += by;
}

static __global__ void big_shared_kernel(int *to)
{
	DYNAMIC_SHARED(int, x);

	x[threadIdx.x] = 5;
	*to = x[threadIdx.x];
}

static void test_devices(void **)
{
	struct cudaDeviceProp p;
	char id[16];
	int n, value;

	assert_int_equal(cudaGetDeviceCount(&n), cudaSuccess);
	assert_int_equal(n, 1);
	assert_int_equal(cudaSetDevice(0), cudaSuccess);
	assert_int_equal(cudaSetDevice(1), cudaErrorInvalidDevice);
	assert_int_equal(cudaGetLastError(), cudaErrorInvalidDevice);
	assert_int_equal(cudaGetLastError(), cudaSuccess);
	emu_device()->major = 7;
	emu_device()->minor = 5;
	emu_device()->memory = (size_t)3 << 30;
	assert_int_equal(cudaGetDeviceProperties(&p, 0), cudaSuccess);
	assert_true(p.major == 7 && p.minor == 5 && p.totalGlobalMem == (size_t)3 << 30);
	assert_int_equal(p.sharedMemPerBlockOptin, 227 << 10);
	assert_int_equal(cudaDeviceGetAttribute(&value, cudaDevAttrComputeCapabilityMajor, 0),
			 cudaSuccess);
	assert_int_equal(value, 7);
	assert_int_equal(cudaDeviceGetPCIBusId(id, sizeof(id), 0), cudaSuccess);
	assert_string_equal(id, "0000:01:00.0");
	assert_int_equal(cudaDeviceGetPCIBusId(id, 5, 0), cudaErrorInvalidValue);
}

static void test_no_device(void **)
{
	int n = 7, version;
	void *p;

	setenv("EMU_DEVICES", "0", 1);
	emu_reset();
	assert_int_equal(cudaGetDeviceCount(&n), cudaErrorNoDevice);
	assert_int_equal(n, 0);
	assert_int_equal(cudaMalloc(&p, 1), cudaErrorNoDevice);
	unsetenv("EMU_DEVICES");
	setenv("EMU_DRIVER", "12080", 1);
	emu_reset();
	assert_int_equal(cudaDriverGetVersion(&version), cudaSuccess);
	assert_int_equal(version, 12080);
	assert_int_equal(cudaGetDeviceCount(&n), cudaErrorInsufficientDriver);
	assert_string_equal(cudaGetErrorName(cudaErrorInsufficientDriver),
			    "cudaErrorInsufficientDriver");
	unsetenv("EMU_DRIVER");
	emu_reset();
	emu_device()->image = false;
	LAUNCH(add_kernel, 1, 1, 0, nullptr, nullptr, 0, 0);
	assert_int_equal(cudaGetLastError(), cudaErrorNoKernelImageForDevice);
}

static void test_memory_counts(void **)
{
	size_t free0, free1, total;
	void *a, *b, *c;

	setenv("EMU_MEMORY", "16", 1);
	emu_reset();
	unsetenv("EMU_MEMORY");
	assert_int_equal(cudaMemGetInfo(&free0, &total), cudaSuccess);
	assert_int_equal(total, 16 << 20);
	assert_int_equal(free0, total - emu_device()->others);
	assert_int_equal(cudaMalloc(&a, 1), cudaSuccess);
	assert_int_equal(cudaMalloc(&b, 513), cudaSuccess);
	assert_int_equal(emu_memory().device, 512 + 1024);
	assert_int_equal(cudaMemGetInfo(&free1, &total), cudaSuccess);
	assert_int_equal(free0 - free1, 512 + 1024);
	assert_int_equal(cudaMalloc(&c, free1 + 1), cudaErrorMemoryAllocation);
	assert_null(c);
	assert_int_equal(cudaMalloc(&c, free1), cudaSuccess);
	assert_int_equal(cudaFree(c), cudaSuccess);
	assert_int_equal(cudaFree(a), cudaSuccess);
	assert_int_equal(cudaFree(b), cudaSuccess);
	assert_int_equal(cudaFree(nullptr), cudaSuccess);
	assert_int_equal(cudaFree(&total), cudaErrorInvalidValue);
	assert_int_equal(emu_memory().device, 0);
	assert_int_equal(emu_memory().device_peak, free0);
	assert_int_equal(emu_memory().mallocs, 4);
}

static void test_pinned_memory(void **)
{
	static char own[100];
	int *p, *d;

	assert_int_equal(cudaHostAlloc(&p, 40, cudaHostAllocMapped), cudaSuccess);
	assert_int_equal(cudaHostGetDevicePointer(&d, p, 0), cudaSuccess);
	assert_int_equal(emu_memory().pinned, 40);
	*p = 1;
	LAUNCH(add_kernel, 1, 1, 0, nullptr, d, 1, 2);
	assert_int_equal(*p, 3);
	assert_int_equal(cudaHostRegister(own, sizeof(own), cudaHostRegisterReadOnly),
			 cudaSuccess);
	assert_int_equal(cudaHostRegister(own + 50, 10, 0), cudaErrorHostMemoryAlreadyRegistered);
	assert_int_equal(emu_memory().pinned_peak, 140);
	assert_int_equal(cudaFreeHost(own), cudaErrorInvalidValue);
	assert_int_equal(cudaHostUnregister(own), cudaSuccess);
	assert_int_equal(cudaHostUnregister(own), cudaErrorHostMemoryNotRegistered);
	assert_int_equal(cudaHostGetDevicePointer(&d, own, 0), cudaErrorInvalidValue);
	assert_int_equal(cudaFree(p), cudaErrorInvalidValue);
	assert_int_equal(cudaFreeHost(p), cudaSuccess);
}

static void test_copies(void **)
{
	device_array<int> a(10), b(10);
	int x[10], y[10];

	for (int i = 0; i < 10; i++)
		x[i] = i;
	assert_int_equal(cudaMemcpy(a.p, x, 40, cudaMemcpyHostToDevice), cudaSuccess);
	assert_int_equal(cudaMemcpy(b.p + 1, a.p, 36, cudaMemcpyDeviceToDevice), cudaSuccess);
	assert_int_equal(cudaMemcpy(y, b.p + 1, 36, cudaMemcpyDefault), cudaSuccess);
	assert_memory_equal(x, y, 36);
	assert_int_equal(emu_memory().copied, 40 + 36 + 36);
	assert_int_equal(cudaMemset(b.p, 0x11, 8), cudaSuccess);
	assert_int_equal(cudaDeviceSynchronize(), cudaSuccess);
	assert_true(b[1] == 0x11111111 && b[2] == 1);
	/* pointers of the wrong kind, and too far */
	assert_int_equal(cudaMemcpy(x, y, 40, cudaMemcpyHostToDevice), cudaErrorInvalidValue);
	assert_int_equal(cudaMemcpy(y, x, 40, cudaMemcpyDeviceToHost), cudaErrorInvalidValue);
	assert_int_equal(cudaMemcpy(a.p, b.p, 40, cudaMemcpyHostToDevice), cudaErrorInvalidValue);
	assert_int_equal(cudaMemcpy(a.p, x, 41, cudaMemcpyHostToDevice), cudaErrorInvalidValue);
	assert_int_equal(cudaMemcpy(a.p + 1, x, 40, cudaMemcpyDefault), cudaErrorInvalidValue);
	assert_int_equal(cudaMemset(a.p + 9, 0, 5), cudaErrorInvalidValue);
}

static cudaError_t launch(dim3 grid, dim3 block, size_t shared)
{
	device_array<int> to(1);

	LAUNCH(big_shared_kernel, grid, block, shared, nullptr, to.p);
	return cudaGetLastError();
}

static void test_launch_limits(void **)
{
	assert_int_equal(launch(1, 1024, 4096), cudaSuccess);
	assert_int_equal(launch(1, 1025, 8192), cudaErrorInvalidConfiguration);
	assert_int_equal(launch(0, 32, 4096), cudaErrorInvalidConfiguration);
	assert_int_equal(launch(1, 0, 4096), cudaErrorInvalidConfiguration);
	assert_int_equal(launch(dim3(1, 65536), 32, 128), cudaErrorInvalidConfiguration);
	assert_int_equal(launch(dim3(1, 1, 65536), 32, 128), cudaErrorInvalidConfiguration);
	assert_int_equal(launch(1, 32, 48 << 10), cudaSuccess);
	assert_int_equal(launch(1, 32, (48 << 10) + 1), cudaErrorInvalidValue);
	assert_int_equal(cudaFuncSetAttribute(big_shared_kernel,
					      cudaFuncAttributeMaxDynamicSharedMemorySize,
					      (227 << 10) + 1), cudaErrorInvalidValue);
	assert_int_equal(cudaGetLastError(), cudaErrorInvalidValue);
	assert_int_equal(cudaFuncSetAttribute(big_shared_kernel,
					      cudaFuncAttributeMaxDynamicSharedMemorySize,
					      227 << 10), cudaSuccess);
	assert_int_equal(launch(1, 32, 227 << 10), cudaSuccess);
	assert_int_equal(launch(1, 32, (227 << 10) + 1), cudaErrorInvalidValue);
}

/* What a kernel has of its own counts too; each instance of a template has its own. */
template <int N> static __global__ void fixed_kernel(int *to)
{
	__shared__ int x[N];
	DYNAMIC_SHARED(int, y);

	x[threadIdx.x] = y[threadIdx.x] = (int)threadIdx.x;
	*to = x[0] + y[0];
}

static void test_static_shared(void **)
{
	device_array<int> to(1);
	struct cudaFuncAttributes attr;
	int blocks;

	assert_int_equal(cudaFuncGetAttributes(&attr, fixed_kernel<100>), cudaSuccess);
	assert_int_equal(attr.sharedSizeBytes, 400);
	assert_int_equal(attr.maxDynamicSharedSizeBytes, (48 << 10) - 400);
	LAUNCH(fixed_kernel<100>, 1, 32, (48 << 10) - 400, nullptr, to.p);
	assert_int_equal(cudaGetLastError(), cudaSuccess);
	LAUNCH(fixed_kernel<100>, 1, 32, (48 << 10) - 399, nullptr, to.p);
	assert_int_equal(cudaGetLastError(), cudaErrorInvalidValue);
	LAUNCH(fixed_kernel<200>, 1, 32, (48 << 10) - 799, nullptr, to.p);
	assert_int_equal(cudaGetLastError(), cudaErrorInvalidValue);
	assert_int_equal(cudaFuncSetAttribute(fixed_kernel<100>,
					      cudaFuncAttributeMaxDynamicSharedMemorySize,
					      (227 << 10) - 400), cudaSuccess);
	assert_int_equal(cudaOccupancyMaxActiveBlocksPerMultiprocessor(
				&blocks, fixed_kernel<100>, 128, 75 << 10), cudaSuccess);
	assert_int_equal(blocks, 2);
	assert_int_equal(cudaOccupancyMaxActiveBlocksPerMultiprocessor(
				&blocks, fixed_kernel<100>, 512, 0), cudaSuccess);
	assert_int_equal(blocks, 4);
}

static void test_events(void **)
{
	device_array<int> x(1);
	cudaEvent_t from, to, plain;
	float ms = -1;

	x[0] = 0;
	assert_int_equal(cudaEventCreate(&from), cudaSuccess);
	assert_int_equal(cudaEventCreate(&to), cudaSuccess);
	assert_int_equal(cudaEventCreateWithFlags(&plain, cudaEventDisableTiming), cudaSuccess);
	assert_int_equal(cudaEventElapsedTime(&ms, from, to), cudaErrorInvalidResourceHandle);
	assert_int_equal(cudaEventRecord(from), cudaSuccess);
	LAUNCH(add_kernel, 1000, 32, 0, nullptr, x.p, 1, 1);
	assert_int_equal(cudaEventRecord(to), cudaSuccess);
	assert_int_equal(cudaEventRecord(plain), cudaSuccess);
	assert_int_equal(cudaEventQuery(to), cudaSuccess);
	assert_int_equal(cudaEventSynchronize(plain), cudaSuccess);
	assert_int_equal(cudaEventElapsedTime(&ms, from, to), cudaSuccess);
	assert_true(ms > 0 && ms < 10000);
	assert_int_equal(cudaEventElapsedTime(&ms, from, plain), cudaErrorInvalidResourceHandle);
	assert_int_equal(emu_memory().events, 3);
	for (cudaEvent_t e : { from, to, plain })
		assert_int_equal(cudaEventDestroy(e), cudaSuccess);
	assert_int_equal(cudaEventDestroy(from), cudaErrorInvalidResourceHandle);
}

static __global__ void sum_kernel(int *to, int by)
{
	__shared__ int x[64];
	DYNAMIC_SHARED(int, y);
	int i = (int)threadIdx.x;

	*to = 0;
	x[i] = y[i] = by;
	__syncthreads();
	atomicAdd(to, x[63 - i] + y[63 - i]);
}

static void launch_many(int by, int *wrong)
{
	int *to;

	*wrong = cudaMalloc(&to, sizeof(*to));
	for (int i = 0; i < 200 && !*wrong; i++) {
		LAUNCH(sum_kernel, 1, 64, 64 * sizeof(int), nullptr, to, by);
		*wrong += cudaGetLastError() || *to != 128 * by;
	}
	cudaFree(to);
}

/* Threads of the host may all use the device; each has the last error to itself. */
static void test_threads(void **)
{
	enum { N = 4 };
	std::vector<std::thread> threads;
	int wrong[N];

	cudaSetDevice(5);
	for (int i = 0; i < N; i++)
		threads.emplace_back(launch_many, i + 1, &wrong[i]);
	for (int i = 0; i < N; i++) {
		threads[(size_t)i].join();
		assert_int_equal(wrong[i], 0);
	}
	assert_int_equal(cudaGetLastError(), cudaErrorInvalidDevice);
	assert_int_equal(emu_memory().kernels, 200 * N);
}

/* Results come only when somebody waits; until then the host sees what was there before. */
static void test_lazy_streams(void **)
{
	device_array<int> x(1);
	cudaStream_t s;
	int *pinned, plain = 6;

	emu_set_lazy(true);
	assert_int_equal(cudaStreamCreateWithFlags(&s, cudaStreamNonBlocking), cudaSuccess);
	assert_int_equal(cudaHostAlloc(&pinned, sizeof(*pinned), 0), cudaSuccess);
	*pinned = 5;
	cudaMemcpyAsync(x.p, pinned, 4, cudaMemcpyHostToDevice, s);
	*pinned = 7;            /* too early: the copy has not been made */
	LAUNCH(add_kernel, 1, 1, 0, s, x.p, 1, 1);
	cudaMemcpyAsync(pinned, x.p, 4, cudaMemcpyDeviceToHost, s);
	assert_int_equal(*pinned, 7);
	assert_int_equal(cudaStreamQuery(s), cudaErrorNotReady);
	assert_int_equal(cudaStreamQuery(s), cudaSuccess);
	assert_int_equal(*pinned, 8);
	/* memory that is not pinned is read at once */
	cudaMemcpyAsync(x.p, &plain, 4, cudaMemcpyHostToDevice, s);
	plain = 0;
	cudaMemcpyAsync(pinned, x.p, 4, cudaMemcpyDeviceToHost, s);
	assert_int_equal(cudaStreamSynchronize(s), cudaSuccess);
	assert_int_equal(*pinned, 6);
	cudaFreeHost(pinned);
	cudaStreamDestroy(s);
	assert_int_equal(emu_memory().syncs, 1);
}

/* A launch that fails is found afterwards; only some errors lose the device. */
static void test_faults(void **)
{
	device_array<int> x(1);
	void *p;

	x[0] = 0;
	emu_fail_at(2, cudaErrorMemoryAllocation);
	assert_int_equal(cudaDeviceSynchronize(), cudaSuccess);
	assert_int_equal(cudaMalloc(&p, 8), cudaErrorMemoryAllocation);
	assert_int_equal(cudaGetLastError(), cudaErrorMemoryAllocation);
	emu_fail_at(1, cudaErrorLaunchOutOfResources);
	LAUNCH(add_kernel, 1, 1, 0, nullptr, x.p, 1, 1);
	assert_int_equal(cudaPeekAtLastError(), cudaErrorLaunchOutOfResources);
	assert_int_equal(cudaGetLastError(), cudaErrorLaunchOutOfResources);
	assert_int_equal(cudaDeviceSynchronize(), cudaSuccess);
	emu_fail_at(1, cudaErrorIllegalAddress);
	LAUNCH(add_kernel, 1, 1, 0, nullptr, x.p, 1, 1);
	assert_int_equal(cudaDeviceSynchronize(), cudaErrorIllegalAddress);
	assert_int_equal(cudaGetLastError(), cudaErrorIllegalAddress);
	assert_int_equal(cudaGetLastError(), cudaErrorIllegalAddress);
	assert_int_equal(cudaMalloc(&p, 8), cudaErrorIllegalAddress);
	LAUNCH(add_kernel, 1, 1, 0, nullptr, x.p, 1, 1);
	assert_int_equal(x[0], 0);
	assert_int_equal(cudaFree(x.p), cudaErrorIllegalAddress);       /* and yet it is freed */
	x.p = nullptr;
	assert_int_equal(emu_memory().allocations, 0);
}

static void test_faults_from_environment(void **)
{
	int n;

	setenv("EMU_FAIL", "3", 1);
	emu_reset();
	assert_int_equal(cudaGetDeviceCount(&n), cudaSuccess);
	assert_int_equal(cudaGetDeviceCount(&n), cudaSuccess);
	assert_int_equal(cudaGetDeviceCount(&n), cudaErrorUnknown);
	assert_int_equal(cudaGetDeviceCount(&n), cudaSuccess);
	assert_int_equal(emu_calls(), 4);
	setenv("EMU_FAIL", "1:719", 1);
	emu_reset();
	assert_int_equal(cudaGetDeviceCount(&n), cudaErrorLaunchFailure);
	assert_int_equal(cudaGetDeviceCount(&n), cudaErrorLaunchFailure);
	assert_int_equal(cudaDeviceReset(), cudaErrorLaunchFailure);
	assert_int_equal(cudaGetDeviceCount(&n), cudaSuccess);
	unsetenv("EMU_FAIL");
}

static void test_reset(void **)
{
	void *p;

	assert_int_equal(cudaMalloc(&p, 100), cudaSuccess);
	assert_int_equal(cudaDeviceReset(), cudaSuccess);
	assert_int_equal(emu_memory().allocations, 0);
	assert_int_equal(cudaFree(p), cudaErrorInvalidValue);
}

int test_runtime(void)
{
	const struct CMUnitTest tests[] = {
		KIT_TEST(test_devices), KIT_TEST(test_no_device), KIT_TEST(test_memory_counts),
		KIT_TEST(test_pinned_memory), KIT_TEST(test_copies), KIT_TEST(test_launch_limits),
		KIT_TEST(test_static_shared), KIT_TEST(test_events),
		KIT_TEST(test_threads), KIT_TEST(test_lazy_streams), KIT_TEST(test_faults),
		KIT_TEST(test_faults_from_environment), KIT_TEST(test_reset),
	};

	return cmocka_run_group_tests(tests, nullptr, nullptr);
}
