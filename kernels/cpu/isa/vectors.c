/* vectors.c - norm, quantisation of activations, activation function, residual sum.
 *
 * Rows of heads have any length; where only multiples of a step are taken, that is asserted.
 * Invariant: nothing here looks at more than one row. */
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/isa/simd.h"
#include <assert.h>

void K(norm)(const float *x, const float *w, int n, float eps, float *y);
void K(norm)(const float *x, const float *w, int n, float eps, float *y)
{
	struct vf sum = v_set(0), scale;

	for (int i = 0; i < n; i += 16) {
		struct vf v = v_load_n(x + i, n - i);

		sum = v_fma(v, v, sum);
	}
	scale = v_set(1.0f / sqrtf(v_sum(sum) / (float)n + eps));
	for (int i = 0; i < n; i += 16)
		v_store_n(y + i, v_mul(v_mul(v_load_n(x + i, n - i), scale),
				       v_load_n(w + i, n - i)), n - i);
}

void K(add)(float *x, const float *y, float scale, int n);
void K(add)(float *x, const float *y, float scale, int n)
{
	for (int i = 0; i < n; i += 16)
		v_store_n(x + i, v_fma(v_load_n(y + i, n - i), v_set(scale),
				       v_load_n(x + i, n - i)), n - i);
}

/* g * sigmoid(by) * up; GELU(g) = g / 2 (1 + tanh u) is g * sigmoid(2 u). */
INLINE void gate_with(float *gate, const float *up, struct vf by)
{
	struct vf g = v_load(gate), one = v_set(1.0f);
	struct vf act = v_div(g, v_add(one, v_exp(v_sub(v_set(0), by))));

	v_store(gate, v_mul(act, v_load(up)));
}

void K(glu)(enum activation act, float *gate, const float *up, int n);
void K(glu)(enum activation act, float *gate, const float *up, int n)
{
	const struct vf root = v_set(1.5957691216f), cubic = v_set(0.044715f), one = v_set(1.0f);

	assert(n % 16 == 0);
	for (int i = 0; i < n; i += 16) {
		struct vf g = v_load(gate + i), by = g;

		if (act == ACT_GELU)
			by = v_mul(v_mul(root, g), v_fma(v_mul(cubic, g), g, one));
		gate_with(gate + i, up + i, by);
	}
}

void K(bend)(float *x, float scale, float cap, int n);
void K(bend)(float *x, float scale, float cap, int n)
{
	for (int i = 0; i + 16 <= n; i += 16) {
		struct vf v = v_mul(v_load(x + i), v_set(scale));

		v_store(x + i, cap > 0 ? v_cap(v, cap) : v);
	}
	for (int i = n & ~15; i < n; i++) {
		x[i] *= scale;
		if (cap > 0)
			x[i] = cap * tanhf(x[i] / cap);
	}
}

/* Sixteen whole floats in -127..127 to bytes; returns their sum. */
#if defined(ISA_avx512)
INLINE int to_bytes(struct vf v, int8_t *out)
{
	__m512i i = _mm512_cvtps_epi32(v.v);

	_mm_storeu_si128((void *)out, _mm512_cvtepi32_epi8(i));
	return _mm512_reduce_add_epi32(i);
}
#elif defined(ISA_avx2)
INLINE int to_bytes(struct vf v, int8_t *out)
{
	__m256i a = _mm256_cvtps_epi32(v.a), b = _mm256_cvtps_epi32(v.b);
	__m128i low = _mm_packs_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
	__m128i high = _mm_packs_epi32(_mm256_castsi256_si128(b), _mm256_extracti128_si256(b, 1));
	__m128i sum = _mm_madd_epi16(_mm_add_epi16(low, high), _mm_set1_epi16(1));

	_mm_storeu_si128((void *)out, _mm_packs_epi16(low, high));
	sum = _mm_add_epi32(sum, _mm_unpackhi_epi64(sum, sum));
	return _mm_cvtsi128_si32(_mm_add_epi32(sum, _mm_shuffle_epi32(sum, 1)));
}
#else
INLINE int to_bytes(struct vf v, int8_t *out)
{
	float f[16];
	int sum = 0;

	v_store(f, v);
	for (int i = 0; i < 16; i++) {
		out[i] = (int8_t)f[i];
		sum += out[i];
	}
	return sum;
}
#endif

void K(quantise)(const struct act *a, int row, int b0, int b1);
void K(quantise)(const struct act *a, int row, int b0, int b1)
{
	const float *f = a->f + (size_t)row * (size_t)a->ldf;
	size_t panel = (size_t)(row / PANEL) * (size_t)(a->k / BLOCK);
	size_t lane = (size_t)(row % PANEL);

	assert(a->k % BLOCK == 0 && b1 <= a->k / BLOCK);
	for (int b = b0; b < b1; b++) {
		size_t block = (panel + (size_t)b) * PANEL, half = 2 * block + lane;
		int8_t *q = a->q + (block + lane) * BLOCK;

		a->s[block + lane] = 0;
		for (int i = 0; i < 2; i++, half += PANEL) {
			struct vf x = v_load(f + b * BLOCK + i * 16);
			float top = v_largest(v_abs(x));
			struct vf inverse = v_set(top > 0 ? 127.0f / top : 0);

			a->h[half] = to_bytes(v_round(v_mul(x, inverse)), q + 16 * i);
			a->d[half] = top / 127.0f;
			a->s[block + lane] += a->d[half] * (float)a->h[half];
		}
	}
}

void K(halves)(const float *x, uint16_t *y, int n);
void K(halves)(const float *x, uint16_t *y, int n)
{
	assert(n % 8 == 0);
	for (int i = 0; i < n; i += 8) {
#if defined(ISA_generic)
		for (int j = i; j < i + 8; j++)
			y[j] = quant_f32_to_f16(x[j]);
#elif defined(ISA_neon)
		for (int j = i; j < i + 8; j += 4)
			vst1_u16(y + j, vreinterpret_u16_f16(vcvt_f16_f32(vld1q_f32(x + j))));
#else
		_mm_storeu_si128((void *)(y + i), _mm256_cvtps_ph(_mm256_loadu_ps(x + i), 0));
#endif
	}
}

/* The codes are rounded with the scale as it is kept, in f16. */
void K(codes)(const float *x, int n, int8_t *code, uint16_t *scale);
void K(codes)(const float *x, int n, int8_t *code, uint16_t *scale)
{
	assert(n % 32 == 0);
	for (int i = 0; i < n; i += 32) {
		struct vf a = v_load(x + i), b = v_load(x + i + 16), inverse;
		struct vf high = v_set(127), low = v_set(-127);
		float kept;

		scale[i / 32] = quant_f32_to_f16(v_largest(v_max(v_abs(a), v_abs(b))) / 127.0f);
		kept = quant_f16_to_f32(scale[i / 32]);
		inverse = v_set(kept > 0 ? 1 / kept : 0);
		to_bytes(v_round(v_max(v_min(v_mul(a, inverse), high), low)), code + i);
		to_bytes(v_round(v_max(v_min(v_mul(b, inverse), high), low)), code + i + 16);
	}
}

void K(peaks)(const float *x, int n, float *y);
void K(peaks)(const float *x, int n, float *y)
{
	const struct vf least = v_set(-INFINITY);

	for (int i = 0; i + 16 <= n; i += 16)
		y[i / 16] = v_largest(v_max(v_load(x + i), least));
	if (n % 16) {
		y[n / 16] = -INFINITY;
		for (int i = n & ~15; i < n; i++)
			y[n / 16] = x[i] > y[n / 16] ? x[i] : y[n / 16];
	}
}

uint64_t K(read)(const void *p, size_t bytes);
uint64_t K(read)(const void *p, size_t bytes)
{
	const uint64_t *x = p;
	uint64_t sum[32] = { 0 }, all = 0;

	for (size_t i = 0; i + 32 <= bytes / 8; i += 32)
		for (int j = 0; j < 32; j++)
			sum[j] += x[i + (size_t)j];
	for (int j = 0; j < 32; j++)
		all += sum[j];
	return all;
}
