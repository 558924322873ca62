/* product.cu - quantised matrices times up to COLUMNS rows of int8 activations (dp4a).
 *
 * A block of threads has 16 rows of a matrix.  Eight threads share a row, each decodes 32 weights
 * once and uses them for all columns; further warps take every second GROUP of columns.
 * Invariant: the sum of a (row, column) is made in the same order whatever n is. */
#include "kernels/cuda/op/decode.cuh"
#include "kernels/cuda/op/finish.cuh"

enum { ROW_THREADS = 8, TILE_THREADS = TILE * ROW_THREADS, SLICES = 2, SOME = 4 };

/* Four products of each half of a block. */
static __device__ __forceinline__ void dot_halves(const int w[8], const uint8_t *p, int *a, int *b)
{
	int4 x = __ldg((const int4 *)p), y = __ldg((const int4 *)(p + 128));

	*a = __dp4a(w[0], x.x, __dp4a(w[1], x.y, __dp4a(w[2], x.z, __dp4a(w[3], x.w, 0))));
	*b = __dp4a(w[4], y.x, __dp4a(w[5], y.y, __dp4a(w[6], y.z, __dp4a(w[7], y.w, 0))));
}

template <int T, int NC>
static __device__ __forceinline__ void dot_codes(const struct mat *m, int row, const uint8_t *act,
						 int ld, int slice, int slices, float acc[NC])
{
	constexpr struct planes p = planes_of(T);
	int lane = (int)threadIdx.x % ROW_THREADS, blocks = m->cols / BLOCK;

	/* two blocks at once where there are registers, of which a lookup takes some */
#pragma unroll (NC > (type_facts((enum quant_type)T).flags & TYPE_TABLE ? 2 : 4) ? 1 : 2)
	for (int b = slice * 8 + lane; b < blocks; b += slices * 8) {
		unsigned at = (unsigned)(b / 8 * GROUP_BYTES + lane * 16);
		struct codes k;

		decode<T>(m, (size_t)row, b, &k);
#pragma unroll
		for (int c = 0; c < NC; c++, at += ld) {
			float4 s = __ldg((const float4 *)(act + at + 256));
			int x, y;

			dot_halves(k.w, act + at, &x, &y);
			if constexpr (p.halves) {
				acc[c] = fmaf(k.scale[0], s.x * (float)x, acc[c]);
				acc[c] = fmaf(k.scale[1], s.y * (float)y, acc[c]);
				if constexpr (p.offset)
					acc[c] = fmaf(k.offset[1], s.w,
						      fmaf(k.offset[0], s.z, acc[c]));
			} else {
				acc[c] = fmaf(k.scale[0], fmaf(s.x, (float)x, s.y * (float)y),
					      acc[c]);
				if constexpr (p.offset)
					acc[c] = fmaf(k.offset[0], s.z + s.w, acc[c]);
			}
		}
	}
}

/* The low half of a word. */
template <int T>
static __device__ __forceinline__ float short_float(unsigned bits)
{
	return T == QUANT_BF16 ? bf16_at(bits & 0xffff) :
	       __half2float(__ushort_as_half((unsigned short)bits));
}

/* Four neighbouring weights of a float type. */
template <int T>
static __device__ __forceinline__ float4 four_floats(const struct mat *m, size_t at)
{
	if constexpr (T == QUANT_F32) {
		return __ldg((const float4 *)(m->q + 4 * at));
	} else {
		uint2 v = __ldg((const uint2 *)(m->q + 2 * at));

		return make_float4(short_float<T>(v.x), short_float<T>(v.x >> 16),
				   short_float<T>(v.y), short_float<T>(v.y >> 16));
	}
}

template <int T, int NC>
static __device__ __forceinline__ void dot_floats(const struct mat *m, int row, const float *act,
						  int slice, int slices, float acc[NC])
{
	int lane = (int)threadIdx.x % ROW_THREADS;

#pragma unroll 1
	for (int b = slice; b < m->cols / BLOCK; b += slices) {
		int col = b * BLOCK + lane * 4;
		float4 w = four_floats<T>(m, (size_t)row * (size_t)m->cols + (size_t)col);
#pragma unroll
		for (int c = 0; c < NC; c++) {
			float4 x = __ldg((const float4 *)(act + (size_t)c * (size_t)m->cols +
							  (size_t)col));

			acc[c] = fmaf(w.x, x.x, fmaf(w.y, x.y, fmaf(w.z, x.z,
								    fmaf(w.w, x.w, acc[c]))));
		}
	}
}

/* This thread's part of the sums of its row with rows c0.. of the activations. */
template <int NC>
static __device__ __forceinline__ void dot(const struct product *a, const struct mat *m, int row,
					   int c0, float acc[NC])
{
	int slice = (int)threadIdx.x / TILE_THREADS, slices = (int)blockDim.x / TILE_THREADS;
	const uint8_t *q = a->in.q + (size_t)(a->row0 + c0) * (size_t)a->in.ld;
	const float *f = a->in.f + (size_t)(a->row0 + c0) * (size_t)a->in.k;

#pragma unroll
	for (int c = 0; c < NC; c++)
		acc[c] = 0;
#define DOT(T) \
	if constexpr (is_float(T)) \
		dot_floats<T, NC>(m, row, f, slice, slices, acc); \
	else \
		dot_codes<T, NC>(m, row, q, a->in.ld, slice, slices, acc)
	FOR_TYPE(m->type, DOT)
#undef DOT
}

/* The matrix of a tile, whose number in it replaces *tile. */
static __device__ int find_mat(const struct product *a, int *tile)
{
	int i = 0;

	if (a->kind != FINISH_QKV)
		return 0;
	while (i < 2 && *tile >= a->first[i + 1])
		i++;
	*tile -= a->first[i];
	return i;
}

/* What is to be added to the (mats, NC, TILE) numbers of this block, each by the thread that made
 * it. */
template <int NC>
static __device__ APART void add_tile(const struct product *a, float *y, int n, int c0, int c1)
{
	for (int i = (int)threadIdx.x; i < n; i += (int)blockDim.x) {
		int c = c0 + i / TILE % NC, half = i / TILE / NC * (a->ld_add / 2);

		if (c < c1)
			y[i] += a->add[(size_t)c * (size_t)a->ld_add +
				       (size_t)(half + (int)blockIdx.y * TILE + i % TILE)];
	}
}

/* Blocks that a multiprocessor is to hold: on sm_90 two of them leave a register too few for all
 * COLUMNS, which would go through memory in the loop over the weights. */
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ == 900
#define BLOCKS(nc) ((nc) == 1 ? 3 : (nc) < COLUMNS ? 2 : 1)
#else
#define BLOCKS(nc) ((nc) == 1 ? 3 : 2)
#endif

template <int NC>
static __device__ __forceinline__ void product_block(const struct product &a)
{
	__shared__ float part[SLICES][2][NC][TILE], factor[NC];
	int c0 = (int)blockIdx.x * NC, c1 = min(c0 + NC, a.n);
	int tile = a.tile0 + (int)blockIdx.y;
	int slices = (int)blockDim.x / TILE_THREADS, slice = (int)threadIdx.x / TILE_THREADS;
	int r = (int)threadIdx.x % TILE_THREADS / ROW_THREADS, which = find_mat(&a, &tile);
	int mats = a.kind == FINISH_GATE_UP ? 2 : 1;
	float *y = &part[0][0][0][0], acc[NC];

#pragma unroll 1
	for (int i = 0; i < mats; i++) {
		const struct mat m = a.m[which + i];

		dot<NC>(&a, &m, tile * TILE + r, c0, acc);
#pragma unroll
		for (int c = 0; c < NC; c++) {
			for (int at = ROW_THREADS / 2; at; at /= 2)
				acc[c] += __shfl_xor_sync(~0u, acc[c], at);
			if (threadIdx.x % ROW_THREADS == 0)
				part[slice][i][c][r] = acc[c];
		}
	}
	for (int c = thread_x() / 32; c < c1 - c0; c += (int)blockDim.x / 32) {
		float f = norm_factor(&a.norm, a.row0 + c0 + c);

		if (thread_x() % 32 == 0)
			factor[c] = f;
	}
	__syncthreads();
	for (int i = thread_x(); i < mats * NC * TILE; i += (int)blockDim.x) {
		float sum = y[i];

		for (int s = 1; s < slices; s++)
			sum += y[s * 2 * NC * TILE + i];
		if (c0 + i / TILE % NC < c1)
			y[i] = sum * factor[i / TILE % NC];
	}
	if (a.add)
		add_tile<NC>(&a, y, mats * NC * TILE, c0, c1);
	__syncthreads();
	finish_tile(&a, y, a.tile0 + (int)blockIdx.y, NC, c0, c1);
}

template <int NC>
__global__ void __launch_bounds__(TILE_THREADS * SLICES, BLOCKS(NC))
product_kernel(const __grid_constant__ struct product a)
{
	product_block<NC>(a);
}

/* So many of a group's at once: parameters of a kernel are few. */
struct some_products {
	struct product p[SOME];
	struct join join;
};

/* The last of the blocks that have made a tile joins what all layers left in it. */
template <int NC>
static __device__ APART void join_block(const struct join *j, int c0, int c1)
{
	int tile = (int)blockIdx.y;

	if (!last_of(j->ticket + tile * (int)gridDim.x + (int)blockIdx.x, (unsigned)j->n_group))
		return;
	each_column(c0, c1, [&](int c, int lane, bool there) {
		const float *made = j->made + (size_t)c * (size_t)j->width +
				    (size_t)(tile * TILE + lane);
		size_t next = (size_t)j->apart * (size_t)j->width;

		join_tile(j, c, tile, there, [&](int i) {
			return j->scale * __ldcg(made + (size_t)i * next);
		});
	});
}

/* One block, or two: which layer it is, and what joins, take registers. */
template <int NC>
__global__ void __launch_bounds__(TILE_THREADS * SLICES, NC == 1 ? 2 : 1)
group_kernel(const __grid_constant__ struct some_products a)
{
	int c0 = (int)blockIdx.x * NC;

	product_block<NC>(a.p[blockIdx.z]);
	if (a.join.n_group)
		join_block<NC>(&a.join, c0, min(c0 + NC, a.p[0].n));
}

struct shape {          /* of a launch */
	dim3 grid, block;
	size_t shared;
};

static struct shape shape_of(const struct product *a, int columns)
{
	int groups = (a->m[0].cols + GROUP - 1) / GROUP, slices = groups >= 6 ? SLICES : 1;
	int threads = slices * TILE_THREADS, last = a->kind == FINISH_GATE_UP ? 1 : a->n_mats;
	struct shape s = {};

	s.grid = dim3((unsigned)((a->n + columns - 1) / columns),
		      (unsigned)(a->first[last] - a->tile0));
	s.block = dim3((unsigned)threads);
	s.shared = a->kind == FINISH_QKV ?
		   (size_t)(threads / 32 * a->heads.dim) * sizeof(float) : 0;
	return s;
}

template <int NC>
static void launch(const struct product *a, cudaStream_t stream)
{
	struct shape s = shape_of(a, NC);

	LAUNCH(product_kernel<NC>, s.grid, s.block, s.shared, stream, *a);
}

cudaError_t product_few(const struct product *a, cudaStream_t stream)
{
	if (a->n <= 1)
		launch<1>(a, stream);
	else if (a->n <= 2)
		launch<2>(a, stream);
	else if (a->n <= 4)
		launch<4>(a, stream);
	else
		launch<COLUMNS>(a, stream);
	return cudaGetLastError();
}

/* A stage of the layers of a group has tiles as many, and threads as of the first. */
template <int NC>
static void launch_some(const struct some_products *a, int n, cudaStream_t stream)
{
	struct shape s = shape_of(&a->p[0], NC);

	s.grid.z = (unsigned)n;
	LAUNCH(group_kernel<NC>, s.grid, s.block, s.shared, stream, *a);
}

cudaError_t product_group(const struct products *g, cudaStream_t stream)
{
	static_assert(sizeof(struct some_products) <= 4096, "parameters of a kernel");

	for (int i = 0; i < g->n; i += SOME) {
		int n = g->n - i < SOME ? g->n - i : SOME, rows = g->p[0].n;
		struct some_products a = {};

		memcpy(a.p, g->p + i, sizeof(g->p[0]) * (size_t)n);
		a.join = g->join;
		if (rows <= 1)
			launch_some<1>(&a, n, stream);
		else if (rows <= 2)
			launch_some<2>(&a, n, stream);
		else if (rows <= 4)
			launch_some<4>(&a, n, stream);
		else
			launch_some<COLUMNS>(&a, n, stream);
	}
	return cudaGetLastError();
}

/* Columns of y are rows of the step; what is made here is made elsewhere as `made`. */
__global__ void finish_kernel(const __grid_constant__ struct product a, const float *made,
			      int ld_made, const float *scale, int tile0)
{
	__shared__ float y[2][COLUMNS][TILE];
	int c0 = (int)blockIdx.x * COLUMNS, c1 = min(c0 + COLUMNS, a.n);
	int mats = a.kind == FINISH_GATE_UP ? 2 : 1;

	for (int i = (int)threadIdx.x; i < mats * COLUMNS * TILE; i += (int)blockDim.x) {
		int c = c0 + i / TILE % COLUMNS, half = i / TILE / COLUMNS * (ld_made / 2);

		if (c < c1)
			y[i / TILE / COLUMNS][i / TILE % COLUMNS][i % TILE] =
				scale[c] * made[(size_t)c * (size_t)ld_made + (size_t)half +
						(size_t)((int)blockIdx.y * TILE + i % TILE)];
	}
	__syncthreads();
	finish_tile(&a, &y[0][0][0], tile0 + (int)blockIdx.y, COLUMNS, c0, c1);
}

cudaError_t product_finish(const struct product *a, const float *made, int ld_made,
			   const float *scale, int tile0, int tiles, cudaStream_t stream)
{
	size_t shared = a->kind == FINISH_QKV ?
			(size_t)(TILE_THREADS / 32 * a->heads.dim) * sizeof(float) : 0;

	LAUNCH(finish_kernel, dim3((unsigned)((a->n + COLUMNS - 1) / COLUMNS), (unsigned)tiles),
	       dim3(TILE_THREADS), shared, stream, *a, made, ld_made, scale, tile0);
	return cudaGetLastError();
}

cudaError_t product_load(void)
{
	return kernels_load(product_kernel<1>, product_kernel<2>, product_kernel<4>,
			    product_kernel<COLUMNS>, group_kernel<1>, group_kernel<2>,
			    group_kernel<4>, group_kernel<COLUMNS>, finish_kernel);
}
