/* finish.cuh - what becomes of a tile of a product: biases, RoPE and cache; residual sum and the
 * next product's activations; activation function; logits and their peaks; a bridge's rows.
 *
 * Called by whole blocks.  Invariant: what is made of a row depends on that row alone. */
#ifndef S3D_CUDA_FINISH_CUH
#define S3D_CUDA_FINISH_CUH
#include "kernels/cuda/op/product.cuh"

/* threadIdx.x, read where it stands: kept from before the loop over the weights, what is made of it
 * would push other registers of that loop into memory. */
static __device__ __forceinline__ int thread_x(void)
{
#ifdef __CUDA_ARCH__
	int x;

	asm volatile("mov.u32 %0, %%tid.x;" : "=r"(x));
	return x;
#else
	return (int)threadIdx.x;
#endif
}

/* Half a warp has a tile of a row between its lanes, each one column; whole warps call what
 * follows, lanes whose tile is not `there` store nothing.
 *
 * To int8 codes, their scale, and the scaled sum of the codes. */
static __device__ void quantise(const struct act *a, int row, int tile, float v, bool there)
{
	int lane = thread_x() % TILE, block = tile / 2, half = tile % 2, code, sum;
	uint8_t *group = a->q + (size_t)row * (size_t)a->ld + (size_t)(block / 8 * GROUP_BYTES);
	float *aux = (float *)(group + 256 + block % 8 * 16);
	float top = fmaxf(0, fabsf(v));         /* no NaN */

	for (int m = TILE / 2; m; m /= 2)
		top = fmaxf(top, __shfl_xor_sync(~0u, top, m));
	code = __float2int_rn(v * (top > 0 ? 127.0f / top : 0));
	sum = code;
	for (int m = TILE / 2; m; m /= 2)
		sum += __shfl_xor_sync(~0u, sum, m);
	if (!there)
		return;
	group[half * 128 + block % 8 * 16 + lane] = (uint8_t)code;
	if (lane == 0) {
		aux[half] = top / 127.0f;
		aux[2 + half] = top / 127.0f * (float)sum;
	}
}

/* As the next product takes it: in floats, too. */
static __device__ void put_tile(const struct act *a, int row, int tile, float v, bool there)
{
	if (there)
		a->f[(size_t)row * (size_t)a->k + (size_t)(tile * TILE) + thread_x() % TILE] = v;
	quantise(a, row, tile, v, there);
}

/* The same behind a norm: times its weights, and the sum of x squared in the columns' order. */
static __device__ void keep_tile(const struct act *a, const struct squares *s, int row, int tile,
				 float x, const float *w, bool there)
{
	int lane = thread_x() % TILE;
	float sum = 0;

#pragma unroll
	for (int i = 0; i < TILE; i++) {
		float other = __shfl_sync(~0u, x, i, TILE);

		sum = fmaf(other, other, sum);
	}
	put_tile(a, row, tile, x * w[tile * TILE + lane], there);
	if (there && lane == 0)
		s->sum[(size_t)row * (size_t)s->n + (size_t)tile] = sum;
}

/* Calls f(c, lane, there) with half a warp for each column of a tile of rows c0..c1-1; where there
 * are no more, for the last one again. */
template <typename F>
static __device__ __forceinline__ void each_column(int c0, int c1, F f)
{
	int end = ((c1 - c0) * TILE + 31) / 32 * 32;

	for (int i = thread_x(); i < end; i += (int)blockDim.x)
		f(min(c0 + i / TILE, c1 - 1), i % TILE, c0 + i / TILE < c1);
}

/* What RMS norm multiplies a row with; called by a whole warp. */
static inline __device__ float norm_factor(const struct squares *s, int row)
{
	const float *p = s->sum + (size_t)row * (size_t)s->n;
	float sum = 0;

	if (!s->n)
		return 1.0f;
	for (int i = thread_x() % 32; i < s->n; i += 32)
		sum += p[i];
	for (int m = 16; m; m /= 2)
		sum += __shfl_xor_sync(~0u, sum, m);
	return 1.0f / sqrtf(sum / (float)s->cols + s->eps);
}

/* Whether this block is the last of `count` that come by; what they wrote before is then there to
 * be read with __ldcg.  The ticket is 0 again afterwards. */
static __device__ bool last_of(unsigned *ticket, unsigned count)
{
	__shared__ bool last;

	__threadfence();
	__syncthreads();
	if (thread_x() == 0)
		last = atomicInc(ticket, count - 1) == count - 1;
	__syncthreads();
	__threadfence();
	return last;
}

/* One warp: x (dim) in shared memory divided by its root mean square, times w. */
static __device__ void norm_head(const struct heads *h, const float *w, float *x)
{
	int lane = thread_x() % 32;
	float sum = 0, factor;

	for (int i = lane; i < h->dim; i += 32)
		sum = fmaf(x[i], x[i], sum);
	for (int m = 16; m; m /= 2)
		sum += __shfl_xor_sync(~0u, sum, m);
	factor = 1.0f / sqrtf(sum / (float)h->dim + h->eps);
	for (int i = lane; i < h->dim; i += 32)
		x[i] = x[i] * factor * w[i];
	__syncwarp();
}

/* One warp: x (dim) in shared memory turned by RoPE. */
static __device__ void turn_head(const struct heads *h, const float *turn, float *x)
{
	int half = h->n_rot / 2, step = h->pairs ? 2 : 1, apart = h->pairs ? 1 : half;

	for (int j = thread_x() % 32; j < half; j += 32) {
		float *p = x + j * step, a = p[0], b = p[apart];
		float cosine = turn[2 * j], sine = turn[2 * j + 1];

		p[0] = a * cosine - b * sine;
		p[apart] = a * sine + b * cosine;
	}
	__syncwarp();
}

/* One warp: the Walsh-Hadamard transform of every run of as many dimensions as the largest power of
 * two that divides them; scores stay as they were, no dimension of a key is much larger than the
 * others, and codes are finer for it (QuaRot, Ashkboos et al. 2024). */
static __device__ void spread_head(int dim, float *x)
{
	int run = dim & -dim, lane = thread_x() % 32;
	float norm = 1.0f / sqrtf((float)run);

	for (int step = 1; step < run; step *= 2) {
		for (int i = lane; i < dim / 2; i += 32) {
			int at = i / step * 2 * step + i % step;
			float a = x[at], b = x[at + step];

			x[at] = a + b;
			x[at + step] = a - b;
		}
		__syncwarp();
	}
	for (int i = lane; i < dim; i += 32)
		x[i] *= norm;
	__syncwarp();
}

/* One warp: a head's keys or values into row `pos` of its plane.  Codes are rounded with the
 * scale as it is kept, in f16. */
static __device__ void store_head(const struct heads *h, const struct plane *p, bool keys,
				  int head, int pos, const float *x)
{
	size_t all = (size_t)head * (size_t)h->rows * (size_t)h->dim;
	size_t row = all + (size_t)(keys ? pos / 16 * 16 : pos) * (size_t)h->dim;
	int blocks = (h->dim + 31) / 32, unit = p->scale ? 16 : 8;

	for (int b = 0; b < blocks; b++) {
		int i = b * 32 + thread_x() % 32;
		float v = i < h->dim ? x[i] : 0, top = fabsf(v), kept;
		size_t at = keys ? row + (size_t)((i / unit * 16 + pos % 16) * unit + i % unit)
				 : row + (size_t)i;
		__half scale;

		if (!p->scale) {
			if (i < h->dim)
				((__half *)p->x)[at] = __float2half_rn(v);
			continue;
		}
		for (int m = 16; m; m /= 2)
			top = fmaxf(top, __shfl_xor_sync(~0u, top, m));
		scale = __float2half_rn(top / 127.0f);
		kept = __half2float(scale);
		v *= kept > 0 ? 1 / kept : 0;
		if (i < h->dim)
			((int8_t *)p->x)[at] = (int8_t)__float2int_rn(fmaxf(fminf(v, 127.0f),
									     -127.0f));
		if (i % 32 == 0)
			p->scale[((size_t)head * (size_t)h->rows + (size_t)(pos / 16 * 16)) *
				 (size_t)blocks + (size_t)(b * 16 + pos % 16)] =
				__half_as_ushort(scale);
	}
}

/* A head of qkv is complete for rows c0..c1-1: norm, RoPE, and the cache.  A warp for each row. */
static __device__ void turn_and_store(const struct product *a, int head, int c0, int c1)
{
	const struct heads *h = &a->heads;
	bool keys = head >= h->n_heads && head < h->n_heads + h->n_kv_heads;
	bool values = head >= h->n_heads + h->n_kv_heads;
	const float *norm = keys ? h->k_norm : h->q_norm;
	DYNAMIC_SHARED(float, room);    /* (warps, dim) */
	float *x = room + (size_t)(thread_x() / 32) * (size_t)h->dim;
	int lane = thread_x() % 32;

	for (int c = c0 + thread_x() / 32; c < c1; c += (int)blockDim.x / 32) {
		float *row = a->y + (size_t)c * (size_t)a->ld + (size_t)(head * h->dim);
		int pos = (h->place->pos + c) % h->rows;

		for (int i = lane; i < h->dim; i += 32)
			x[i] = __ldcg(row + i);
		__syncwarp();
		if (!values) {
			if (norm)
				norm_head(h, norm, x);
			turn_head(h, h->turn + (size_t)c * (size_t)h->ld_turn, x);
			if (h->q8_k)
				spread_head(h->dim, x);
		}
		for (int i = lane; i < h->dim; i += 32)
			row[i] = x[i];
		if (keys)
			store_head(h, &h->k, true, head - h->n_heads, pos, x);
		else if (values)
			store_head(h, &h->v, false, head - h->n_heads - h->n_kv_heads, pos, x);
		__syncwarp();
	}
}

/* y (columns, TILE) of tile `tile` of the fused queries, keys and values. */
static __device__ void finish_qkv(const struct product *a, const float *y, int tile, int c0, int c1)
{
	int first = tile * TILE, head = first / a->heads.dim;

	for (int i = thread_x(); i < (c1 - c0) * TILE; i += (int)blockDim.x) {
		int c = c0 + i / TILE, r = first + i % TILE;

		a->y[(size_t)c * (size_t)a->ld + (size_t)r] = y[i] + (a->bias ? a->bias[r] : 0);
	}
	if (last_of(a->heads.ticket + head * (int)gridDim.x + (int)blockIdx.x,
		    (unsigned)(a->heads.dim / TILE)))
		turn_and_store(a, head, c0, c1);
}

static __device__ void finish_residual(const struct product *a, const float *y, int tile, int c0,
				       int c1)
{
	each_column(c0, c1, [&](int c, int lane, bool there) {
		float *x = a->y + (size_t)c * (size_t)a->ld + (size_t)(tile * TILE + lane);
		float v = fmaf(a->scale, y[(c - c0) * TILE + lane], *x);

		if (there)
			*x = v;
		keep_tile(&a->out, &a->squares, c, tile, v, a->w, there);
	});
}

/* What the gate becomes: x sigmoid(x), or GELU by its formula with tanh u, which is x sigmoid(2 u)
 * (Hendrycks, Gimpel 2016). */
static __device__ float activate(enum activation act, float x)
{
	float by = act == ACT_GELU ? 1.5957691216f * x * (1.0f + 0.044715f * x * x) : x;

	return x / (1.0f + expf(-by));
}

static __device__ void finish_gate_up(const struct product *a, const float *gate, const float *up,
				      int tile, int c0, int c1)
{
	each_column(c0, c1, [&](int c, int lane, bool there) {
		int at = (c - c0) * TILE + lane;

		put_tile(&a->out, c, tile, activate(a->act, gate[at]) * up[at], there);
	});
}

static __device__ APART float bend(float x, float scale, float cap)
{
	x *= scale;
	return cap > 0 ? cap * tanhf(x / cap) : x;
}

/* Sixteen logits of a row and the largest of them, which no NaN is. */
static __device__ void finish_logits(const struct product *a, const float *y, int tile, int c0,
				     int c1)
{
	int rows = a->m[0].rows;

	each_column(c0, c1, [&](int c, int lane, bool there) {
		bool inside = tile * TILE + lane < rows;
		float v = inside && !(a->mute && a->mute[tile * TILE + lane]) ?
			  bend(y[(c - c0) * TILE + lane], a->scale, a->cap) : -INFINITY;
		float *row = a->y + (size_t)c * (size_t)a->ld, top = v > -INFINITY ? v : -INFINITY;

		for (int m = TILE / 2; m; m /= 2)
			top = fmaxf(top, __shfl_xor_sync(~0u, top, m));
		if (there && inside)
			row[tile * TILE + lane] = v;
		if (there && lane == 0)
			row[rows + tile] = top;
	});
}

/* What makes several rows of one: tiles of the first row, of the second, ...  They are the residual
 * stream from here on. */
static __device__ APART void finish_cross(const struct product *a, const float *y, int tile)
{
	int tiles = a->ld / TILE, row = tile / tiles, at = tile % tiles;

	each_column(0, 1, [&](int, int lane, bool there) {
		float *x = a->y + (size_t)row * (size_t)a->ld + (size_t)(at * TILE + lane);
		float v = y[lane] + a->bias[tile * TILE + lane];

		if (there)
			*x = v;
		keep_tile(&a->out, &a->squares, row, at, v, a->w, there);
	});
}

static __device__ APART void finish_low(const struct product *a, const float *y, int tile,
					  int c0, int c1)
{
	each_column(c0, c1, [&](int c, int lane, bool there) {
		put_tile(&a->out, c, tile, y[(c - c0) * TILE + lane], there);
	});
}

static __device__ APART void finish_floats(const struct product *a, const float *y, int tile,
					  int c0, int c1)
{
	for (int i = thread_x(); i < (c1 - c0) * TILE; i += (int)blockDim.x)
		a->y[(size_t)(c0 + i / TILE) * (size_t)a->ld + (size_t)(tile * TILE + i % TILE)] =
			y[i];
}

/* A row's tile, by half a warp; made(i): what the i-th layer adds here. */
template <typename F>
static __device__ __forceinline__ void join_tile(const struct join *j, int row, int tile,
						 bool there, F made)
{
	float *x = j->x + (size_t)row * (size_t)j->width +
		   (size_t)(tile * TILE + thread_x() % TILE);
	float entered = *x, sum = entered;

	for (int i = 0; i < j->n_group; i++) {
		float a = made(i), b = 0;

		for (int k = max(i - j->bypass, 0); k < i; k++)
			b += made(k);
		if (j->attention)
			keep_tile(&j->out, &j->squares, i * j->apart + row, tile, entered + a + b,
				  j->w[i], there);
		sum += a + (j->released ? b : 0);
	}
	for (int i = 0; !j->attention && i < j->n_out; i++)
		keep_tile(&j->out, &j->squares, i * j->apart + row, tile, sum, j->w[i], there);
	if (there)
		*x = sum;
}

/* y (n_mats, columns, TILE): the finished sums of rows c0..c1-1, before the norm's factor. */
static inline __device__ void finish_tile(const struct product *a, float *y, int tile, int columns,
					  int c0, int c1)
{
	switch (a->kind) {
	case FINISH_QKV: finish_qkv(a, y, tile, c0, c1); break;
	case FINISH_RESIDUAL: finish_residual(a, y, tile, c0, c1); break;
	case FINISH_GATE_UP: finish_gate_up(a, y, y + columns * TILE, tile, c0, c1); break;
	case FINISH_LOGITS: finish_logits(a, y, tile, c0, c1); break;
	case FINISH_CROSS: finish_cross(a, y, tile); break;
	case FINISH_LOW: finish_low(a, y, tile, c0, c1); break;
	case FINISH_FLOATS: finish_floats(a, y, tile, c0, c1); break;
	}
}
#endif
