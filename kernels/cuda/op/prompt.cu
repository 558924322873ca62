/* prompt.cu - see prompt.cuh.  Weights become f16 a piece of a matrix at a time.
 *
 * Owns the handle of cuBLAS, which is loaded when the program runs, so that a machine without it
 * (or a build without its headers) has the backend all the same. */
#include "kernels/cuda/op/decode.cuh"
#include "kernels/cuda/dev_api.cuh"
#include "kernels/cuda/op/finish.cuh"
#include "kernels/cuda/op/prompt.cuh"

static const float HALF_MOST = 32768;

/* From cublas_api.h and library_types.h of CUDA 11 to 13. */
enum { OP_N = 0, OP_T = 1, TYPE_F32 = 0, TYPE_F16 = 2, COMPUTE_F32 = 68, ALGO_DEFAULT = -1 };

struct blas {
	void *handle;
	int (*destroy)(void *handle);
	int (*gemm)(void *handle, int op_a, int op_b, int m, int n, int k, const void *alpha,
		    const void *a, int type_a, int ld_a, const void *b, int type_b, int ld_b,
		    const void *beta, void *c, int type_c, int ld_c, int compute, int algo);
};

static void *find_library(void)
{
	static const char *const names[] = {
		"libcublas.so.13", "libcublas.so.12", "libcublas.so.11",
		"/usr/local/cuda/lib64/libcublas.so",
	};
	void *library = NULL;

	for (size_t i = 0; !library && i < sizeof(names) / sizeof(names[0]); i++)
		library = library_open(names[i]);
	return library;
}

/* The first product loads what cuBLAS needs for one, which can fail. */
static bool try_product(const struct blas *b, cudaStream_t stream, void *trial)
{
	enum { N = 64 };
	static const float one = 1, zero = 0;
	uint8_t *y = (uint8_t *)trial + N * N * sizeof(__half);

	static_assert(N * N * (sizeof(__half) + sizeof(float)) <= BLAS_TRIAL, "both matrices");
	return cudaMemsetAsync(trial, 0, BLAS_TRIAL, stream) == cudaSuccess &&
	       b->gemm(b->handle, OP_T, OP_N, N, N, N, &one, trial, TYPE_F16, N, trial, TYPE_F16,
		       N, &zero, y, TYPE_F32, N, COMPUTE_F32, ALGO_DEFAULT) == 0 &&
	       cudaStreamSynchronize(stream) == cudaSuccess;
}

struct blas *blas_open(cudaStream_t stream, void *room, size_t bytes, void *trial)
{
	void *library = find_library();
	int (*create)(void **), (*set_stream)(void *, cudaStream_t);
	int (*set_room)(void *, void *, size_t);
	char err[ERR_MAX];
	struct blas *b;

	if (!library || !(b = (struct blas *)mem_new(1, sizeof(*b), err)))
		return NULL;
	*(void **)&create = library_symbol(library, "cublasCreate_v2");
	*(void **)&set_stream = library_symbol(library, "cublasSetStream_v2");
	*(void **)&set_room = library_symbol(library, "cublasSetWorkspace_v2");
	*(void **)&b->destroy = library_symbol(library, "cublasDestroy_v2");
	*(void **)&b->gemm = library_symbol(library, "cublasGemmEx");
	if (!create || !set_stream || !set_room || !b->destroy || !b->gemm ||
	    create(&b->handle) != 0) {
		mem_free(b);
		return NULL;
	}
	if (set_stream(b->handle, stream) == 0 && set_room(b->handle, room, bytes) == 0 &&
	    try_product(b, stream, trial))
		return b;
	blas_close(b);
	return NULL;
}

void blas_close(struct blas *b)
{
	if (!b)
		return;
	b->destroy(b->handle);
	mem_free(b);
}

/* Activations of a row, normed, in f16, which ends at 65504: divided by scale, which is 1 but for
 * rows that come near that.  A warp for each row. */
__global__ void half_kernel(struct act in, struct squares norm, int row0, __half *out,
			    float *scale)
{
	const float *f = in.f + (size_t)(row0 + (int)blockIdx.x) * (size_t)in.k;
	float factor = norm_factor(&norm, row0 + (int)blockIdx.x), top = 0, by;

	for (int i = (int)threadIdx.x; i < in.k; i += 32)
		top = fmaxf(top, fabsf(f[i] * factor));
	for (int m = 16; m; m /= 2)
		top = fmaxf(top, __shfl_xor_sync(~0u, top, m));
	by = top > HALF_MOST ? top / HALF_MOST : 1.0f;
	if (threadIdx.x == 0)
		scale[blockIdx.x] = by;
	for (int i = (int)threadIdx.x; i < in.k; i += 32)
		out[(size_t)blockIdx.x * (size_t)in.k + (size_t)i] =
			__float2half_rn(f[i] * factor / by);
}

/* Rows row0.. of a matrix in f16, a thread for each block of 32 columns. */
__global__ void wide_kernel(struct mat m, int row0, int rows, __half *out)
{
	size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
	int blocks = m.cols / BLOCK, row = (int)(i / (size_t)blocks);
	int b = (int)(i % (size_t)blocks);
	__half *at = out + (size_t)row * (size_t)m.cols + (size_t)(b * BLOCK);

	if (row >= rows)
		return;
#define WIDEN(T) \
	decode_values<T>(&m, (size_t)(row0 + row), b, [&](int k, float value) { \
		at[k] = __float2half_rn(value); \
	})
	FOR_TYPE(m.type, WIDEN)
#undef WIDEN
}

/* product (n, ld) from column `at` on = rows of the activations times rows row0.. of m.  1: cuBLAS
 * has failed. */
static int multiply(struct dev *d, const struct product *p, const struct mat *m, int row0, int rows,
		    float *to, int ld)
{
	static const float one = 1, zero = 0;
	size_t blocks = (size_t)rows * (size_t)(m->cols / BLOCK);

	LAUNCH(wide_kernel, dim3((unsigned)((blocks + 127) / 128)), dim3(128), 0, d->stream, *m,
	       row0, rows, (__half *)d->wide);
	if (dev_check(d, cudaGetLastError(), "widening weights") != 0)
		return -1;
	return d->blas->gemm(d->blas->handle, OP_T, OP_N, rows, p->n, m->cols, &one, d->wide,
			     TYPE_F16, m->cols, d->half, TYPE_F16, m->cols, &zero, to, TYPE_F32,
			     ld, COMPUTE_F32, ALGO_DEFAULT) != 0;
}

/* Tiles from tile0 on without cuBLAS, which has failed and is not asked again. */
static int make_rest(struct dev *d, const struct product *p, int tile0)
{
	struct product rest = *p;
	size_t n = strlen(d->describe);

	d->blas_failed = true;
	snprintf(d->describe + n, sizeof(d->describe) - n, ", cuBLAS has failed");
	cudaGetLastError();     /* whatever it was */
	rest.tile0 = tile0;
	return dev_check(d, product_few(&rest, d->stream), "a prompt without cuBLAS");
}

/* Rows of a matrix that are widened at once. */
static int piece_rows(int cols, int most)
{
	int rows = WIDE / cols / TILE * TILE;

	return rows < most ? rows : most;
}

int prompt_product(struct dev *d, const struct product *p)
{
	bool pair = p->kind == FINISH_GATE_UP;
	int mats = pair ? 1 : p->n_mats, most = pair ? WIDE_ROWS / 2 : WIDE_ROWS;

	LAUNCH(half_kernel, dim3((unsigned)p->n), dim3(32), 0, d->stream, p->in, p->norm, p->row0,
	       (__half *)d->half, d->half_scale);
	if (dev_check(d, cudaGetLastError(), "preparing a prompt") != 0)
		return -1;
	for (int i = 0; i < mats; i++) {
		int all = (p->m[i].rows + TILE - 1) / TILE * TILE;
		int step = piece_rows(p->m[i].cols, most);

		for (int row = 0; row < all; row += step) {
			int rows = all - row < step ? all - row : step, ld = pair ? 2 * rows : rows;
			int tile0 = p->first[i] + row / TILE;
			int rc = multiply(d, p, &p->m[i], row, rows, d->product, ld);

			if (rc == 0 && pair)
				rc = multiply(d, p, &p->m[1], row, rows, d->product + rows, ld);
			if (rc > 0)
				return make_rest(d, p, tile0);
			if (rc < 0 ||
			    dev_check(d, product_finish(p, d->product, ld, d->half_scale, tile0,
							rows / TILE, d->stream), "a prompt") != 0)
				return -1;
		}
	}
	return 0;
}

cudaError_t prompt_load(void)
{
	return kernels_load(half_kernel, wide_kernel);
}
