/* test_libraries.cpp - cuBLAS and NVML as a program finds them. */
#include "tests/emu/test_kit.h"
#include <unistd.h>

enum { OK = 0, NOT_INITIALIZED = 1, ALLOC_FAILED = 3, INVALID_VALUE = 7, NOT_SUPPORTED = 15 };
enum { F32 = 0, F16 = 2, COMPUTE_F32 = 68 };
typedef void *handle_t;

struct blas {
	void *library;
	handle_t handle;
	int (*create)(handle_t *);
	int (*destroy)(handle_t);
	int (*set_stream)(handle_t, cudaStream_t);
	int (*set_math_mode)(handle_t, int);
	int (*set_workspace)(handle_t, void *, size_t);
	int (*gemm)(handle_t, int op_a, int op_b, int m, int n, int k, const void *alpha,
		    const void *a, int type_a, int ld_a, const void *b, int type_b, int ld_b,
		    const void *beta, void *c, int type_c, int ld_c, int compute, int algo);
};

template <class F> static void find(void *library, const char *name, F *f)
{
	*f = (F)emu_dlsym(library, name);
	assert_non_null((void *)*f);
}

static void blas_open(struct blas *b)
{
	b->library = emu_dlopen("libcublas.so.13", 0);
	assert_non_null(b->library);
	find(b->library, "cublasCreate_v2", &b->create);
	find(b->library, "cublasDestroy_v2", &b->destroy);
	find(b->library, "cublasSetStream_v2", &b->set_stream);
	find(b->library, "cublasSetMathMode", &b->set_math_mode);
	find(b->library, "cublasSetWorkspace_v2", &b->set_workspace);
	find(b->library, "cublasGemmEx", &b->gemm);
	assert_null(emu_dlsym(b->library, "cublasSgemm_v2"));
	assert_int_equal(b->create(&b->handle), OK);
}

static void blas_close(struct blas *b)
{
	assert_int_equal(b->destroy(b->handle), OK);
	assert_int_equal(emu_dlclose(b->library), 0);
}

struct shape {
	int op_a, op_b, m, n, k, ld_a, ld_b, ld_c;
};

static float at(const __half *x, int op, int ld, int row, int column)
{
	return __half2float(op ? x[row * ld + column] : x[column * ld + row]);
}

static void check_product(struct blas *b, const struct shape *s, float alpha, float beta)
{
	device_array<__half> x((size_t)(s->ld_a * (s->op_a ? s->m : s->k)));
	device_array<__half> y((size_t)(s->ld_b * (s->op_b ? s->k : s->n)));
	device_array<float> to((size_t)(s->ld_c * s->n));

	for (size_t i = 0; i < x.n; i++)
		x[i] = __float2half_rn((float)((int)(i * 7 % 23) - 11) / 8);
	for (size_t i = 0; i < y.n; i++)
		y[i] = __float2half_rn((float)((int)(i * 5 % 19) - 9) / 4);
	for (size_t i = 0; i < to.n; i++)
		to[i] = beta ? (float)i : NAN;
	assert_int_equal(b->gemm(b->handle, s->op_a, s->op_b, s->m, s->n, s->k, &alpha, x.p, F16,
				 s->ld_a, y.p, F16, s->ld_b, &beta, to.p, F32, s->ld_c,
				 COMPUTE_F32, -1), OK);
	for (int j = 0; j < s->n; j++)
		for (int i = 0; i < s->ld_c; i++) {
			float got = to[(size_t)(j * s->ld_c + i)], was = (float)(j * s->ld_c + i);
			float sum = 0;

			for (int l = 0; i < s->m && l < s->k; l++)
				sum += at(x.p, s->op_a, s->ld_a, i, l) *
				       at(y.p, s->op_b, s->ld_b, l, j);
			if (i < s->m)           /* sums of eighths and quarters are exact */
				assert_true(got == alpha * sum + (beta ? beta * was : 0));
			else
				assert_true(beta ? got == was : isnan(got));
		}
}

static void test_product(void **)
{
	struct blas b = {};

	blas_open(&b);
	for (int op_a = 0; op_a < 2; op_a++)
		for (int op_b = 0; op_b < 2; op_b++) {
			struct shape s = { op_a, op_b, 5, 3, 18, op_a ? 20 : 6, op_b ? 4 : 19, 7 };

			check_product(&b, &s, 1, 0);
			check_product(&b, &s, 0.5f, 2);
		}
	blas_close(&b);
}

static void test_product_is_checked(void **)
{
	struct blas b = {};
	device_array<__half> x(64);
	device_array<float> y(64);
	float one = 1, zero = 0;
	auto gemm = [&](int op, int m, int ld_a, int ld_c, int type) {
		return b.gemm(b.handle, op, 0, m, 4, 8, &one, x.p, type, ld_a, x.p, F16, 8, &zero,
			      y.p, F32, ld_c, COMPUTE_F32, -1);
	};

	blas_open(&b);
	assert_int_equal(gemm(0, 4, 4, 4, F16), OK);
	assert_int_equal(gemm(1, 4, 8, 4, F16), OK);
	assert_int_equal(gemm(0, 4, 3, 4, F16), INVALID_VALUE);
	assert_int_equal(gemm(1, 4, 7, 4, F16), INVALID_VALUE);
	assert_int_equal(gemm(0, 4, 4, 3, F16), INVALID_VALUE);
	assert_int_equal(gemm(3, 4, 8, 4, F16), INVALID_VALUE);
	assert_int_equal(gemm(0, -1, 4, 4, F16), INVALID_VALUE);
	assert_int_equal(gemm(0, 4, 4, 4, F32), NOT_SUPPORTED);
	assert_int_equal(b.set_math_mode(b.handle, 0), OK);
	assert_int_equal(b.set_workspace(b.handle, y.p, 256), OK);
	assert_int_equal(b.set_workspace(b.handle, y.p, 257), INVALID_VALUE);
	assert_int_equal(b.set_stream(nullptr, nullptr), NOT_INITIALIZED);
	emu_fail_at(1, cudaErrorMemoryAllocation);
	assert_int_equal(gemm(0, 4, 4, 4, F16), ALLOC_FAILED);
	assert_int_equal(cudaGetLastError(), cudaSuccess);
	blas_close(&b);
}

static void gemm_outside(void)
{
	struct blas b = {};
	device_array<__half> x(32);
	float one = 1, y[16];

	blas_open(&b);
	b.gemm(b.handle, 0, 0, 4, 4, 8, &one, x.p, F16, 4, x.p, F16, 8, &one, y, F32, 4,
	       COMPUTE_F32, -1);
}

static void test_product_elsewhere(void **)
{
	assert_true(kit_dies(gemm_outside, "matrix C of 4 x 4"));
}

/* A product becomes part of a graph like a kernel. */
static void test_product_in_graph(void **)
{
	struct blas b = {};
	device_array<__half> x(1);
	device_array<float> y(1);
	float one = 1, zero = 0;
	cudaStream_t s;
	cudaGraph_t graph;
	cudaGraphExec_t exec;

	blas_open(&b);
	assert_int_equal(cudaStreamCreateWithFlags(&s, 0), cudaSuccess);
	assert_int_equal(b.set_stream(b.handle, s), OK);
	y[0] = -1;
	assert_int_equal(cudaStreamBeginCapture(s, cudaStreamCaptureModeGlobal), cudaSuccess);
	assert_int_equal(b.gemm(b.handle, 0, 0, 1, 1, 1, &one, x.p, F16, 1, x.p, F16, 1, &zero,
				y.p, F32, 1, COMPUTE_F32, -1), OK);
	assert_int_equal(cudaStreamEndCapture(s, &graph), cudaSuccess);
	assert_true(y[0] == -1);
	assert_int_equal(cudaGraphInstantiate(&exec, graph, 0), cudaSuccess);
	for (int i = 0; i < 3; i++) {
		x[0] = __float2half_rn((float)i);
		assert_int_equal(cudaGraphLaunch(exec, s), cudaSuccess);
		assert_true(y[0] == (float)(i * i));
	}
	cudaGraphExecDestroy(exec);
	cudaGraphDestroy(graph);
	blas_close(&b);
	cudaStreamDestroy(s);
}

struct process {
	unsigned pid;
	unsigned long long used;
	unsigned instance, compute_instance;
};

static void test_nvml(void **)
{
	void *library = emu_dlopen("libnvidia-ml.so.1", 0), *device;
	device_array<char> some(1000);
	struct process list[4];
	unsigned n = 0;
	int (*init)(void), (*shutdown)(void), (*by_id)(const char *, void **);
	int (*processes)(void *, unsigned *, struct process *);

	find(library, "nvmlInit_v2", &init);
	find(library, "nvmlShutdown", &shutdown);
	find(library, "nvmlDeviceGetHandleByPciBusId_v2", &by_id);
	find(library, "nvmlDeviceGetComputeRunningProcesses_v3", &processes);
	assert_int_equal(by_id("0000:01:00.0", &device), 1);
	assert_int_equal(init(), 0);
	assert_int_equal(by_id("0000:02:00.0", &device), 6);
	assert_int_equal(by_id("0000:01:00.0", &device), 0);
	assert_int_equal(processes(device, &n, nullptr), 7);
	assert_int_equal(n, 1);
	n = 4;
	assert_int_equal(processes(device, &n, list), 0);
	assert_true(n == 1 && list[0].pid == (unsigned)getpid() && list[0].used == 1024);
	emu_fail_at(1, cudaErrorUnknown);
	assert_int_equal(processes(device, &n, list), 999);
	assert_int_equal(shutdown(), 0);
	assert_int_equal(shutdown(), 1);
	emu_dlclose(library);
}

static void test_libraries_absent(void **)
{
	assert_null(emu_dlopen("libcublas.so.14", 0));
	assert_null(emu_dlopen("libm.so.6", 0));
	emu_libraries(false);
	assert_null(emu_dlopen("libcublas.so.12", 0));
	emu_libraries(true);
	emu_fail_at(1, cudaErrorUnknown);
	assert_null(emu_dlopen("libcublas.so.12", 0));
}

int test_libraries(void)
{
	const struct CMUnitTest tests[] = {
		KIT_TEST(test_product), KIT_TEST(test_product_is_checked),
		KIT_TEST(test_product_elsewhere), KIT_TEST(test_product_in_graph),
		KIT_TEST(test_nvml), KIT_TEST(test_libraries_absent),
	};

	return cmocka_run_group_tests(tests, nullptr, nullptr);
}
