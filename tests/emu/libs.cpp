/* libs.cpp - the libraries that a program may open: cuBLAS, as far as one product, and NVML.
 *
 * Functions have the real names and signatures, with int for enums and void * for handles.
 * Invariant: parameters are checked as cuBLAS does; memory that is not the device's ends the test,
 * since the real one would lose the device. */
#include "tests/emu/inside.h"
#include <cstdio>
#include <set>
#include <unistd.h>

enum { BLAS_OK = 0, BLAS_NOT_INITIALIZED = 1, BLAS_ALLOC_FAILED = 3, BLAS_INVALID_VALUE = 7,
	BLAS_EXECUTION_FAILED = 13, BLAS_INTERNAL_ERROR = 14, BLAS_NOT_SUPPORTED = 15 };
enum { NVML_OK = 0, NVML_UNINITIALIZED = 1, NVML_INVALID_ARGUMENT = 2, NVML_NOT_FOUND = 6,
	NVML_INSUFFICIENT_SIZE = 7, NVML_DRIVER_NOT_LOADED = 9, NVML_UNKNOWN = 999 };
enum { R_32F = 0, R_16F = 2, COMPUTE_32F = 68, COMPUTE_32F_FAST_16F = 74 };

struct blas {
	cudaStream_t stream;
};
static std::set<struct blas *> handles;

template <class F> static int blas_call(const char *name, int kind, struct blas *h, F f)
{
	int status = BLAS_OK;
	cudaError_t e = emu_call(name, kind | CALL_QUIET, [&] {
		status = handles.count(h) ? f() : BLAS_NOT_INITIALIZED;
		return cudaSuccess;
	});

	return !e ? status : e == cudaErrorMemoryAllocation ? BLAS_ALLOC_FAILED :
	       BLAS_INTERNAL_ERROR;
}

static int blas_create(struct blas **h)
{
	cudaError_t e = emu_call("cublasCreate", CALL_UNSAFE | CALL_QUIET, [=] {
		*h = new blas{ nullptr };
		handles.insert(*h);
		return cudaSuccess;
	});

	return !e ? BLAS_OK : e == cudaErrorMemoryAllocation ? BLAS_ALLOC_FAILED :
	       BLAS_NOT_INITIALIZED;
}

static int blas_destroy(struct blas *h)
{
	return blas_call("cublasDestroy", CALL_ALWAYS, h, [=] {
		handles.erase(h);
		delete h;
		return BLAS_OK;
	});
}

static int blas_set_stream(struct blas *h, cudaStream_t s)
{
	return blas_call("cublasSetStream", CALL_PLAIN, h, [=] {
		h->stream = s;
		return BLAS_OK;
	});
}

static int blas_set_math_mode(struct blas *h, int)
{
	return blas_call("cublasSetMathMode", CALL_PLAIN, h, [] { return BLAS_OK; });
}

static int blas_set_workspace(struct blas *h, void *p, size_t n)
{
	return blas_call("cublasSetWorkspace", CALL_PLAIN, h, [=] {
		return !n || emu_is_device(p, n) ? BLAS_OK : BLAS_INVALID_VALUE;
	});
}

static int blas_get_version(struct blas *h, int *version)
{
	return blas_call("cublasGetVersion", CALL_PLAIN, h, [=] {
		*version = 130000;
		return BLAS_OK;
	});
}

struct matrix {         /* f16, columns of rows, or that transposed */
	const __half *x;
	int transposed, ld;
};

/* y = alpha op(a) op(b) + beta y: (m, k) by (k, n), all by columns. */
struct product : emu_work {
	int m, n, k;
	float alpha, beta;
	struct matrix a, b;
	float *y;
	int ld_y;

	void run() override;
};

/* n vectors of k numbers, each `step` apart, as floats one after the other. */
static std::vector<float> vectors(const __half *x, int n, int k, size_t next, size_t step)
{
	std::vector<float> to((size_t)n * (size_t)k);
	float *p = to.data();

	for (size_t i = 0; i < (size_t)n; i++)
		for (size_t j = 0; j < (size_t)k; j++)
			*p++ = __half2float(x[i * next + j * step]);
	return to;
}

static float dot(const float *a, const float *b, int k)
{
	float part[8] = { 0 };
	int i = 0;

	for (; i + 8 <= k; i += 8)
		for (int j = 0; j < 8; j++)
			part[j] += a[i + j] * b[i + j];
	for (; i < k; i++)
		part[0] += a[i] * b[i];
	return ((part[0] + part[4]) + (part[1] + part[5])) +
	       ((part[2] + part[6]) + (part[3] + part[7]));
}

void product::run()
{
	size_t lda = (size_t)a.ld, ldb = (size_t)b.ld;
	std::vector<float> rows = a.transposed ? vectors(a.x, m, k, lda, 1) :
						 vectors(a.x, m, k, 1, lda);
	std::vector<float> columns = b.transposed ? vectors(b.x, n, k, 1, ldb) :
						    vectors(b.x, n, k, ldb, 1);

	for (size_t j = 0; j < (size_t)n; j++)
		for (size_t i = 0; i < (size_t)m; i++) {
			float *to = &y[j * (size_t)ld_y + i];
			float sum = alpha * dot(&rows[i * (size_t)k], &columns[j * (size_t)k], k);

			*to = beta == 0 ? sum : sum + beta * *to;
		}
}

static void check_memory(const char *name, const void *p, int rows, int columns, int ld,
			 size_t size)
{
	size_t n = rows && columns ? ((size_t)ld * (size_t)(columns - 1) + (size_t)rows) * size : 0;

	if (n && !emu_is_device(p, n))
		emu_die("cublasGemmEx: matrix %s of %d x %d is not all in device memory", name,
			rows, columns);
}

static int blas_gemm(struct blas *h, int op_a, int op_b, int m, int n, int k, const void *alpha,
		     const void *a, int type_a, int ld_a, const void *b, int type_b, int ld_b,
		     const void *beta, void *c, int type_c, int ld_c, int compute, int)
{
	return blas_call("cublasGemmEx", CALL_PLAIN, h, [=] {
		int rows_a = op_a ? k : m, rows_b = op_b ? n : k;

		if (m < 0 || n < 0 || k < 0 || op_a < 0 || op_a > 2 || op_b < 0 || op_b > 2 ||
		    ld_a < (rows_a > 1 ? rows_a : 1) || ld_b < (rows_b > 1 ? rows_b : 1) ||
		    ld_c < (m > 1 ? m : 1) || !alpha || !beta)
			return (int)BLAS_INVALID_VALUE;
		if (type_a != R_16F || type_b != R_16F || type_c != R_32F ||
		    (compute != COMPUTE_32F && compute != COMPUTE_32F_FAST_16F))
			return (int)BLAS_NOT_SUPPORTED;
		check_memory("A", a, rows_a, op_a ? m : k, ld_a, 2);
		check_memory("B", b, rows_b, op_b ? k : n, ld_b, 2);
		check_memory("C", c, m, n, ld_c, 4);

		auto p = std::make_shared<product>();

		p->m = m;
		p->n = n;
		p->k = k;
		p->alpha = *(const float *)alpha;
		p->beta = *(const float *)beta;
		p->a = { (const __half *)a, op_a, ld_a };
		p->b = { (const __half *)b, op_b, ld_b };
		p->y = (float *)c;
		p->ld_y = ld_c;
		emu.use.products++;
		return emu_submit(p, h->stream) ? (int)BLAS_EXECUTION_FAILED : (int)BLAS_OK;
	});
}

/* NVML: the program itself is the one process that uses the device. */
struct process_info {
	unsigned pid;
	unsigned long long used;
	unsigned instance, compute_instance;
};
static int nvml_users;

template <class F> static int nvml_call(const char *name, bool first, F f)
{
	int status = NVML_OK;
	cudaError_t e = emu_call(name, CALL_ANYWHERE | CALL_ALWAYS | CALL_QUIET, [&] {
		status = emu.set.driver == 0 ? NVML_DRIVER_NOT_LOADED :
			 !first && !nvml_users ? NVML_UNINITIALIZED : NVML_OK;
		return cudaSuccess;
	});

	return e ? NVML_UNKNOWN : status ? status : f();
}

static int nvml_init(void)
{
	return nvml_call("nvmlInit", true, [] {
		nvml_users++;
		return NVML_OK;
	});
}

static int nvml_shutdown(void)
{
	return nvml_call("nvmlShutdown", false, [] {
		nvml_users--;
		return NVML_OK;
	});
}

/* Both "0000:01:00.0" and "00000000:01:00.0" name a device. */
static int nvml_by_bus_id(const char *id, void **device)
{
	return nvml_call("nvmlDeviceGetHandleByPciBusId", false, [=] {
		unsigned domain, bus, slot;

		*device = nullptr;
		if (!id || sscanf(id, "%x:%x:%x", &domain, &bus, &slot) != 3)
			return NVML_INVALID_ARGUMENT;
		if (domain || slot || bus < 1 || bus > (unsigned)emu.set.devices)
			return NVML_NOT_FOUND;
		*device = (void *)(uintptr_t)bus;
		return NVML_OK;
	});
}

static int nvml_processes(void *device, unsigned *n, struct process_info *list)
{
	return nvml_call("nvmlDeviceGetComputeRunningProcesses", false, [=] {
		unsigned room = *n;

		if (!device)
			return NVML_INVALID_ARGUMENT;
		*n = 1;
		if (room < 1 || !list)
			return NVML_INSUFFICIENT_SIZE;
		list[0] = { (unsigned)getpid(), emu.use.device, ~0u, ~0u };
		return NVML_OK;
	});
}

struct symbol {
	const char *name;
	void *address;
};
static const struct symbol blas_symbols[] = {
	{ "cublasCreate_v2", (void *)blas_create },
	{ "cublasDestroy_v2", (void *)blas_destroy },
	{ "cublasSetStream_v2", (void *)blas_set_stream },
	{ "cublasSetMathMode", (void *)blas_set_math_mode },
	{ "cublasSetWorkspace_v2", (void *)blas_set_workspace },
	{ "cublasGetVersion_v2", (void *)blas_get_version },
	{ "cublasGemmEx", (void *)blas_gemm },
	{ nullptr, nullptr },
};
static const struct symbol nvml_symbols[] = {
	{ "nvmlInit_v2", (void *)nvml_init },
	{ "nvmlShutdown", (void *)nvml_shutdown },
	{ "nvmlDeviceGetHandleByPciBusId_v2", (void *)nvml_by_bus_id },
	{ "nvmlDeviceGetComputeRunningProcesses_v3", (void *)nvml_processes },
	{ nullptr, nullptr },
};

struct library {
	const char *name;
	const struct symbol *symbols;
};
static const struct library libraries[] = {
	{ "libcublas.so.11", blas_symbols },
	{ "libcublas.so.12", blas_symbols },
	{ "libcublas.so.13", blas_symbols },
	{ "libnvidia-ml.so.1", nvml_symbols },
};

void *emu_dlopen(const char *name, int)
{
	const struct library *found = nullptr;

	emu_call("dlopen", CALL_ANYWHERE | CALL_QUIET, [&] {
		for (const struct library &l : libraries)
			if (emu.set.libraries && name && !strcmp(name, l.name))
				found = &l;
		emu.use.libraries += found != nullptr;
		return cudaSuccess;
	});
	return (void *)found;
}

void *emu_dlsym(void *library, const char *name)
{
	void *found = nullptr;

	emu_call("dlsym", CALL_ANYWHERE | CALL_QUIET, [&] {
		for (const struct symbol *s = ((const struct library *)library)->symbols; s->name;
		     s++)
			if (!strcmp(s->name, name))
				found = s->address;
		return cudaSuccess;
	});
	return found;
}

int emu_dlclose(void *library)
{
	emu_call("dlclose", CALL_ANYWHERE | CALL_ALWAYS | CALL_QUIET, [=] {
		emu.use.libraries -= library != nullptr;
		return cudaSuccess;
	});
	return 0;
}
