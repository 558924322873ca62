/* attend.cu - scores, softmax and weighted sum, split along the context (flash-decoding, Dao 2023).
 *
 * A block of threads has one key head, up to QV of the queries that share it (rows times heads of
 * its group) and one piece of the context, which it goes over in spans of 128 positions.  The last
 * block of a piece puts the pieces together and quantises the result.  In a ring, too, the rows of
 * a span lie side by side (engine/model/window.h).
 * Invariant: a query's result depends on the positions that it sees and on the size of a piece,
 * not on n, QV or the number of pieces. */
#include "kernels/cuda/op/attend.cuh"
#include "kernels/cuda/op/finish.cuh"

enum { THREADS = SPAN };

/* Sixteen bytes of a key in a row of its plane: dimensions unit * u .. of a head, as floats. */
template <bool Q8>
static __device__ __forceinline__ void load_key(const struct attend *a, int head, int row, int u,
						float v[16])
{
	constexpr int unit = Q8 ? 16 : 8;
	size_t at = ((size_t)head * (size_t)a->h.rows + (size_t)(row / 16 * 16)) *
		    (size_t)a->h.dim + (size_t)((u * 16 + row % 16) * unit);
	int4 x = *(const int4 *)(a->h.k.x + at * (Q8 ? 1 : 2));
	int w[4] = { x.x, x.y, x.z, x.w };

#pragma unroll
	for (int i = 0; i < unit; i++)
		v[i] = Q8 ? (float)(int8_t)(w[i / 4 % 4] >> 8 * (i % 4))
			  : __half2float(__ushort_as_half((unsigned short)(w[i / 2 % 4] >>
									   16 * (i % 2))));
}

/* Scale of a q8_0 plane for block b of a head in a row. */
static __device__ __forceinline__ float scale_at(const struct attend *a, const struct plane *p,
						 int head, int row, int b)
{
	int blocks = (a->h.dim + 31) / 32;
	size_t at = ((size_t)head * (size_t)a->h.rows + (size_t)(row / 16 * 16)) * (size_t)blocks +
		    (size_t)(b * 16 + row % 16);

	return __half2float(__ushort_as_half(p->scale[at]));
}

/* Dot products of the key in a row with all queries. */
template <int QV, bool Q8>
static __device__ __forceinline__ void score(const struct attend *a, const float *q, int head,
					     int row, float s[QV])
{
	constexpr int unit = Q8 ? 16 : 8;
	float v[16];

#pragma unroll
	for (int i = 0; i < QV; i++)
		s[i] = 0;
	for (int u = 0; u < a->h.dim / unit; u++) {
		float scale = Q8 ? scale_at(a, &a->h.k, head, row, u / 2) : 1.0f;

		load_key<Q8>(a, head, row, u, v);
		if (Q8)
#pragma unroll
			for (int d = 0; d < unit; d++)
				v[d] *= scale;
#pragma unroll
		for (int i = 0; i < QV; i++) {
			const float *x = q + i * a->h.dim + u * unit;
#pragma unroll
			for (int d = 0; d < unit; d++)
				s[i] = fmaf(x[d], v[d], s[i]);
		}
	}
}

/* Two neighbouring dimensions of the values in a row. */
static __device__ __forceinline__ float2 load_value(const struct attend *a, int head, int row,
						    int d)
{
	size_t at = ((size_t)head * (size_t)a->h.rows + (size_t)row) * (size_t)a->h.dim +
		    (size_t)d;
	float scale;
	char2 c;

	if (!a->h.q8_v)
		return __half22float2(*(const __half2 *)(a->h.v.x + 2 * at));
	c = *(const char2 *)(a->h.v.x + at);
	scale = scale_at(a, &a->h.v, head, row, d / 32);
	return make_float2(scale * (float)c.x, scale * (float)c.y);
}

/* What a block has of its queries: everything in shared memory. */
template <int QV>
struct work {
	float *q;               /* (QV, dim) */
	float *p;               /* (QV, SPAN) scores, then weights */
	float *sums;            /* (groups, QV, dim) weighted sums of every groups-th position */
	float *acc;             /* (QV, dim) */
	float *top, *sum, *keep, *take; /* (QV) */
	int *first, *last;      /* (QV) positions that a query sees; behind the last row: none */
};

/* Row of the step, and head, of this block's query i; the row may be behind the last one. */
template <int QV>
static __device__ __forceinline__ int row_of(const struct attend *a, int i)
{
	return ((int)blockIdx.y * QV + i) / (a->h.n_heads / a->h.n_kv_heads);
}

template <int QV>
static __device__ __forceinline__ int head_of(const struct attend *a, int i)
{
	int group = a->h.n_heads / a->h.n_kv_heads;

	return (int)blockIdx.x * group + ((int)blockIdx.y * QV + i) % group;
}

/* Scores of a span to weights exp(s - top of the span); a warp for every fourth query. */
template <int QV>
static __device__ void soften(const struct attend *a, struct work<QV> *w)
{
	int lane = (int)threadIdx.x % 32;

	for (int i = (int)threadIdx.x / 32; i < QV; i += THREADS / 32) {
		float *p = w->p + i * SPAN, top = -INFINITY, sum = 0, all;

		for (int t = lane; t < SPAN; t += 32) {
			if (a->cap > 0 && p[t] > -INFINITY)
				p[t] = a->cap * tanhf(p[t] / a->cap);
			top = fmaxf(top, p[t]);
		}
		for (int m = 16; m; m /= 2)
			top = fmaxf(top, __shfl_xor_sync(~0u, top, m));
		for (int t = lane; t < SPAN; t += 32) {
			p[t] = p[t] > -INFINITY ? expf(p[t] - top) : 0;
			sum += p[t];
		}
		for (int m = 16; m; m /= 2)
			sum += __shfl_xor_sync(~0u, sum, m);
		if (lane == 0) {
			all = fmaxf(w->top[i], top);
			w->keep[i] = w->top[i] > -INFINITY ? expf(w->top[i] - all) : 0;
			w->take[i] = top > -INFINITY ? expf(top - all) : 0;
			w->sum[i] = fmaf(w->sum[i], w->keep[i], sum * w->take[i]);
			w->top[i] = all;
		}
		__syncwarp();
	}
}

/* The weighted sum of a span's values, those in rows row0..row0+count-1, folded into acc. */
template <int QV>
static __device__ void mix(const struct attend *a, struct work<QV> *w, int head, int row0,
			   int count)
{
	int pairs = a->h.dim / 2, groups = THREADS / pairs, group = (int)threadIdx.x / pairs;
	int d = 2 * ((int)threadIdx.x % pairs);
	float2 s[QV];

	if (group < groups) {
#pragma unroll
		for (int i = 0; i < QV; i++)
			s[i] = make_float2(0, 0);
		for (int t = group; t < count; t += groups) {
			float2 v = load_value(a, head, row0 + t, d);
#pragma unroll
			for (int i = 0; i < QV; i++) {
				s[i].x = fmaf(w->p[i * SPAN + t], v.x, s[i].x);
				s[i].y = fmaf(w->p[i * SPAN + t], v.y, s[i].y);
			}
		}
#pragma unroll
		for (int i = 0; i < QV; i++)
			*(float2 *)(w->sums + (group * QV + i) * a->h.dim + d) = s[i];
	}
	__syncthreads();
	for (int i = (int)threadIdx.x; i < QV * a->h.dim; i += THREADS) {
		float sum = w->sums[i];

		for (int g = 1; g < groups; g++)
			sum += w->sums[g * QV * a->h.dim + i];
		w->acc[i] = fmaf(w->acc[i], w->keep[i / a->h.dim], sum * w->take[i / a->h.dim]);
	}
}

/* The first position that a row of the step sees. */
static __device__ __forceinline__ int first_seen(const struct attend *a, int row)
{
	return max(0, a->h.place->pos + row - a->window + 1);
}

/* The spans with positions from..to-1, which are those that any of the queries sees. */
template <int QV, bool Q8>
static __device__ void go_over(const struct attend *a, struct work<QV> *w, int head, int from,
			       int to)
{
	for (int t0 = from / SPAN * SPAN; t0 < to; t0 += SPAN) {
		int t = (int)threadIdx.x, pos = t0 + t, row0 = t0 % a->h.rows;
		float s[QV];

		if (pos < to)
			score<QV, Q8>(a, w->q, head, row0 + t, s);
#pragma unroll
		for (int i = 0; i < QV; i++)
			w->p[i * SPAN + t] = pos >= w->first[i] && pos <= w->last[i] ? s[i]
										     : -INFINITY;
		__syncthreads();
		soften(a, w);
		__syncthreads();
		mix(a, w, head, row0, min(SPAN, to - t0));
		__syncthreads();
	}
}

/* acc (QV, dim) are the finished rows: floats and codes for the output matrix. */
template <int QV>
static __device__ void give_out(const struct attend *a, const struct work<QV> *w)
{
	int dim = a->h.dim;

	for (int j = (int)threadIdx.x; j < QV * dim; j += THREADS) {    /* whole warps */
		int i = j / dim, row = row_of<QV>(a, i);
		int tile = (head_of<QV>(a, i) * dim + j % dim) / TILE;
		bool there = row < a->n;

		put_tile(&a->out, row, tile, there ? w->acc[j] / w->sum[i] : 0, there);
	}
}

template <int QV>
static __device__ float *part_of(const struct attend *a, int i, int piece)
{
	size_t query = (size_t)row_of<QV>(a, i) * (size_t)a->h.n_heads +
		       (size_t)head_of<QV>(a, i);

	return a->part + (query * (size_t)a->pieces_max + (size_t)piece) * (size_t)(a->h.dim + 2);
}

/* Leaves this piece for the block that comes last. */
template <int QV>
static __device__ void leave(const struct attend *a, const struct work<QV> *w, int queries,
			     int piece)
{
	int dim = a->h.dim;

	for (int j = (int)threadIdx.x; j < queries * dim; j += THREADS)
		part_of<QV>(a, j / dim, piece)[2 + j % dim] = w->acc[j];
	for (int i = (int)threadIdx.x; i < queries; i += THREADS) {
		part_of<QV>(a, i, piece)[0] = w->top[i];
		part_of<QV>(a, i, piece)[1] = w->sum[i];
	}
}

/* The pieces put together, in order.  p becomes (QV, SPAN) what each of them weighs. */
template <int QV>
static __device__ void join(const struct attend *a, struct work<QV> *w, int queries)
{
	int pieces = a->pieces, dim = a->h.dim;

	for (int i = (int)threadIdx.x; i < queries; i += THREADS) {
		float top = -INFINITY, sum = 0;

		for (int p = 0; p < pieces; p++)
			top = fmaxf(top, __ldcg(part_of<QV>(a, i, p)));
		for (int p = 0; p < pieces; p++) {
			const float *from = part_of<QV>(a, i, p);
			float weight = __ldcg(from) > -INFINITY ? expf(__ldcg(from) - top) : 0;

			w->p[i * SPAN + p] = weight;
			sum = fmaf(__ldcg(from + 1), weight, sum);
		}
		w->sum[i] = sum;
	}
	__syncthreads();
	for (int j = (int)threadIdx.x; j < queries * dim; j += THREADS) {
		float sum = 0;

		for (int p = 0; p < pieces; p++)
			sum = fmaf(__ldcg(part_of<QV>(a, j / dim, p) + 2 + j % dim),
				   w->p[j / dim * SPAN + p], sum);
		w->acc[j] = sum;
	}
	__syncthreads();
}

template <int QV>
static __host__ __device__ size_t shared_floats(int dim)
{
	size_t groups = (size_t)(THREADS / (dim / 2));

	return (size_t)QV * ((size_t)(2 + groups) * (size_t)dim + SPAN + 6);
}

template <int QV>
static __device__ void lay_out(const struct attend *a, struct work<QV> *w, float *shared)
{
	int dim = a->h.dim;

	w->q = shared;
	w->acc = w->q + QV * dim;
	w->sums = w->acc + QV * dim;
	w->p = w->sums + THREADS / (dim / 2) * QV * dim;
	w->top = w->p + QV * SPAN;
	w->sum = w->top + QV;
	w->keep = w->sum + QV;
	w->take = w->keep + QV;
	w->first = (int *)(w->take + QV);
	w->last = w->first + QV;
	for (int j = (int)threadIdx.x; j < QV * dim; j += THREADS) {
		int row = row_of<QV>(a, j / dim), head = head_of<QV>(a, j / dim);

		w->acc[j] = 0;
		w->q[j] = row >= a->n ? 0 :
			  a->qkv[(size_t)row * (size_t)a->ld + (size_t)(head * dim + j % dim)] *
			  a->scale;
	}
	if (threadIdx.x < QV) {
		int row = row_of<QV>(a, (int)threadIdx.x);

		w->top[threadIdx.x] = -INFINITY;
		w->sum[threadIdx.x] = 0;
		w->first[threadIdx.x] = first_seen(a, row);
		w->last[threadIdx.x] = row < a->n ? a->h.place->pos + row : -1;
	}
	__syncthreads();
}

/* Registers for about as many blocks as shared memory has room for. */
/* Blocks that a multiprocessor is to hold: eight leave sm_120 a register too few where qv is 4. */
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ == 1200
#define BLOCKS(qv) ((qv) > 8 ? 4 : (qv) == 4 ? 7 : 8)
#else
#define BLOCKS(qv) ((qv) > 8 ? 4 : 8)
#endif

template <int QV>
static __device__ __forceinline__ void attend_block(const struct attend &a, int piece)
{
	DYNAMIC_SHARED(float, shared);
	int head = (int)blockIdx.x, from = first_seen(&a, row_of<QV>(&a, 0));
	int queries = a.n * (a.h.n_heads / a.h.n_kv_heads) - (int)blockIdx.y * QV;
	struct work<QV> w;
	int to;

	queries = min(queries, QV);
	to = a.h.place->pos + row_of<QV>(&a, queries - 1) + 1;
	if (a.pieces > 1) {
		int start = (from / a.piece + piece) * a.piece;

		from = max(from, start);
		to = min(to, start + a.piece);
	}
	lay_out(&a, &w, shared);
	if (a.h.q8_k)
		go_over<QV, true>(&a, &w, head, from, to);
	else
		go_over<QV, false>(&a, &w, head, from, to);
	if (a.pieces > 1) {
		leave(&a, &w, queries, piece);
		if (!last_of(a.h.ticket + blockIdx.x * gridDim.y + blockIdx.y, (unsigned)a.pieces))
			return;
		join(&a, &w, queries);
	}
	give_out(&a, &w);
}

template <int QV>
__global__ void __launch_bounds__(THREADS, BLOCKS(QV))
attend_kernel(const __grid_constant__ struct attend a)
{
	attend_block<QV>(a, (int)blockIdx.z);
}

struct attends {
	struct attend a[ATTEND_LAYERS];
	int pieces;             /* of the layer that has most */
};

/* Half as many blocks: which layer it is takes registers. */
template <int QV>
__global__ void __launch_bounds__(THREADS, BLOCKS(QV) / 2)
attends_kernel(const __grid_constant__ struct attends g)
{
	const struct attend &a = g.a[(int)blockIdx.z / g.pieces];
	int piece = (int)blockIdx.z % g.pieces;

	if (piece < a.pieces)
		attend_block<QV>(a, piece);
}

static int queries_of(const struct attend *a)
{
	return a->n * (a->h.n_heads / a->h.n_kv_heads);
}

template <int QV>
static dim3 grid_of(const struct attend *a, int pieces)
{
	return dim3((unsigned)a->h.n_kv_heads, (unsigned)((queries_of(a) + QV - 1) / QV),
		    (unsigned)pieces);
}

template <int QV>
static void launch(const struct attend *a, cudaStream_t stream)
{
	LAUNCH(attend_kernel<QV>, grid_of<QV>(a, a->pieces), dim3(THREADS),
	       shared_floats<QV>(a->h.dim) * sizeof(float), stream, *a);
}

template <int QV>
static void launch_all(const struct attends *g, int n, cudaStream_t stream)
{
	LAUNCH(attends_kernel<QV>, grid_of<QV>(g->a, n * g->pieces), dim3(THREADS),
	       shared_floats<QV>(g->a->h.dim) * sizeof(float), stream, *g);
}

cudaError_t attend_load(void)
{
	return kernels_load(attend_kernel<4>, attend_kernel<8>, attend_kernel<16>,
			    attends_kernel<4>, attends_kernel<8>, attends_kernel<16>);
}

cudaError_t attend_run(const struct attend *a, cudaStream_t stream)
{
	int queries = queries_of(a);

	if (queries <= 4)
		launch<4>(a, stream);
	else if (queries <= 8 || a->h.dim > 128)
		launch<8>(a, stream);
	else
		launch<16>(a, stream);
	return cudaGetLastError();
}

cudaError_t attend_group(const struct attend *a, int n, cudaStream_t stream)
{
	int queries = queries_of(a);
	struct attends g = {};

	static_assert(sizeof(g) <= 4096, "parameters of a kernel");
	for (int i = 0; i < n; i++) {
		g.a[i] = a[i];
		g.pieces = a[i].pieces > g.pieces ? a[i].pieces : g.pieces;
	}
	if (queries <= 4)
		launch_all<4>(&g, n, stream);
	else if (queries <= 8 || a->h.dim > 128)
		launch_all<8>(&g, n, stream);
	else
		launch_all<16>(&g, n, stream);
	return cudaGetLastError();
}
