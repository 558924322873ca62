/* simd.h - sixteen float lanes for whichever instruction set this file is compiled for (ISA).
 *
 * Nothing here is visible outside the kernels of one instruction set.  Invariant: every operation
 * works lane by lane, and sums across lanes are taken in one fixed order. */
#ifndef S3D_SIMD_H
#define S3D_SIMD_H
#include "engine/gguf/quant.h"
#include <math.h>
#include <stdint.h>
#include <string.h>

#define CAT2(a, b) a##_##b
#define CAT(a, b) CAT2(a, b)
#define K(name) CAT(name, ISA)
#if defined(ISA_generic)        /* plain code: what to inline is the compiler's business */
#define INLINE static inline __attribute__((unused))
#else
#define INLINE static inline __attribute__((always_inline, unused))
#endif

#if defined(ISA_avx512)
#include <immintrin.h>
struct vf { __m512 v; };
#define V(...) ((struct vf){ __VA_ARGS__ })
INLINE struct vf v_load(const float *p) { return V(_mm512_loadu_ps(p)); }
INLINE void v_store(float *p, struct vf a) { _mm512_storeu_ps(p, a.v); }
INLINE struct vf v_set(float x) { return V(_mm512_set1_ps(x)); }
INLINE struct vf v_add(struct vf a, struct vf b) { return V(_mm512_add_ps(a.v, b.v)); }
INLINE struct vf v_sub(struct vf a, struct vf b) { return V(_mm512_sub_ps(a.v, b.v)); }
INLINE struct vf v_mul(struct vf a, struct vf b) { return V(_mm512_mul_ps(a.v, b.v)); }
INLINE struct vf v_div(struct vf a, struct vf b) { return V(_mm512_div_ps(a.v, b.v)); }
INLINE struct vf v_max(struct vf a, struct vf b) { return V(_mm512_max_ps(a.v, b.v)); }
INLINE struct vf v_min(struct vf a, struct vf b) { return V(_mm512_min_ps(a.v, b.v)); }
INLINE struct vf v_fma(struct vf a, struct vf b, struct vf c)
{
	return V(_mm512_fmadd_ps(a.v, b.v, c.v));
}
INLINE struct vf v_round(struct vf a)
{
	return V(_mm512_roundscale_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
INLINE struct vf v_pow2(struct vf n)    /* 2^n for whole n in -126..127 */
{
	__m512i i = _mm512_add_epi32(_mm512_cvtps_epi32(n.v), _mm512_set1_epi32(127));

	return V(_mm512_castsi512_ps(_mm512_slli_epi32(i, 23)));
}
INLINE struct vf v_load_f16(const uint16_t *p)
{
	return V(_mm512_cvtph_ps(_mm256_loadu_si256((const void *)p)));
}
INLINE struct vf v_load_bf16(const uint16_t *p)
{
	__m512i x = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const void *)p));

	return V(_mm512_castsi512_ps(_mm512_slli_epi32(x, 16)));
}
INLINE struct vf v_load_i8(const int8_t *p)
{
	return V(_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const void *)p))));
}
INLINE struct vf v_load_u8(const uint8_t *p)
{
	return V(_mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128((const void *)p))));
}
INLINE struct vf v_load_i32(const int32_t *p)
{
	return V(_mm512_cvtepi32_ps(_mm512_loadu_si512(p)));
}
INLINE struct vf v_load_u4(const uint8_t *p, int from)  /* four bits of each byte, `from` on */
{
	__m512i x = _mm512_cvtepu8_epi32(_mm_loadu_si128((const void *)p));

	x = _mm512_and_si512(_mm512_srli_epi32(x, (unsigned)from), _mm512_set1_epi32(15));
	return V(_mm512_cvtepi32_ps(x));
}
#elif defined(ISA_avx2)
#include <immintrin.h>
struct vf { __m256 a, b; };
#define V(...) ((struct vf){ __VA_ARGS__ })
INLINE struct vf v_load(const float *p)
{
	return V(_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8));
}
INLINE void v_store(float *p, struct vf x)
{
	_mm256_storeu_ps(p, x.a);
	_mm256_storeu_ps(p + 8, x.b);
}
INLINE struct vf v_set(float x) { return V(_mm256_set1_ps(x), _mm256_set1_ps(x)); }
#define V_BINARY(name, op) \
	INLINE struct vf name(struct vf x, struct vf y) { return V(op(x.a, y.a), op(x.b, y.b)); }
V_BINARY(v_add, _mm256_add_ps)
V_BINARY(v_sub, _mm256_sub_ps)
V_BINARY(v_mul, _mm256_mul_ps)
V_BINARY(v_div, _mm256_div_ps)
V_BINARY(v_max, _mm256_max_ps)
V_BINARY(v_min, _mm256_min_ps)
INLINE struct vf v_fma(struct vf x, struct vf y, struct vf z)
{
	return V(_mm256_fmadd_ps(x.a, y.a, z.a), _mm256_fmadd_ps(x.b, y.b, z.b));
}
INLINE struct vf v_round(struct vf x)
{
	enum { TO = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC };

	return V(_mm256_round_ps(x.a, TO), _mm256_round_ps(x.b, TO));
}
INLINE __m256 v_pow2_half(__m256 n)
{
	__m256i i = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));

	return _mm256_castsi256_ps(_mm256_slli_epi32(i, 23));
}
INLINE struct vf v_pow2(struct vf n) { return V(v_pow2_half(n.a), v_pow2_half(n.b)); }
INLINE struct vf v_load_f16(const uint16_t *p)
{
	return V(_mm256_cvtph_ps(_mm_loadu_si128((const void *)p)),
		 _mm256_cvtph_ps(_mm_loadu_si128((const void *)(p + 8))));
}
INLINE __m256 v_load_bf16_half(const uint16_t *p)
{
	__m256i x = _mm256_cvtepu16_epi32(_mm_loadu_si128((const void *)p));

	return _mm256_castsi256_ps(_mm256_slli_epi32(x, 16));
}
INLINE struct vf v_load_bf16(const uint16_t *p)
{
	return V(v_load_bf16_half(p), v_load_bf16_half(p + 8));
}
INLINE __m256 v_load_i8_half(const int8_t *p)
{
	return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const void *)p)));
}
INLINE struct vf v_load_i8(const int8_t *p)
{
	return V(v_load_i8_half(p), v_load_i8_half(p + 8));
}
INLINE __m256 v_load_u8_half(const uint8_t *p)
{
	return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const void *)p)));
}
INLINE struct vf v_load_u8(const uint8_t *p)
{
	return V(v_load_u8_half(p), v_load_u8_half(p + 8));
}
INLINE struct vf v_load_i32(const int32_t *p)
{
	return V(_mm256_cvtepi32_ps(_mm256_loadu_si256((const void *)p)),
		 _mm256_cvtepi32_ps(_mm256_loadu_si256((const void *)(p + 8))));
}
INLINE __m256 v_load_u4_half(const uint8_t *p, int from)
{
	__m256i x = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const void *)p));

	x = _mm256_and_si256(_mm256_srli_epi32(x, from), _mm256_set1_epi32(15));
	return _mm256_cvtepi32_ps(x);
}
INLINE struct vf v_load_u4(const uint8_t *p, int from)
{
	return V(v_load_u4_half(p, from), v_load_u4_half(p + 8, from));
}
#elif defined(ISA_neon)
#include <arm_neon.h>
struct vf { float32x4_t v[4]; };
#define V_EACH(expr) \
	do { \
		struct vf r; \
		_Pragma("GCC unroll 4") \
		for (int i = 0; i < 4; i++) \
			r.v[i] = (expr); \
		return r; \
	} while (0)
#define V_BINARY(name, expr) INLINE struct vf name(struct vf a, struct vf b) { V_EACH(expr); }
/* The second of two that are equal or of which one is no number, as everywhere else. */
INLINE float32x4_t v_max_part(float32x4_t a, float32x4_t b)
{
	return vbslq_f32(vcgtq_f32(a, b), a, b);
}
INLINE float32x4_t v_min_part(float32x4_t a, float32x4_t b)
{
	return vbslq_f32(vcltq_f32(a, b), a, b);
}
INLINE struct vf v_load(const float *p) { V_EACH(vld1q_f32(p + 4 * i)); }
INLINE void v_store(float *p, struct vf a)
{
#pragma GCC unroll 4
	for (int i = 0; i < 4; i++)
		vst1q_f32(p + 4 * i, a.v[i]);
}
INLINE struct vf v_set(float x) { V_EACH(vdupq_n_f32(x)); }
V_BINARY(v_add, vaddq_f32(a.v[i], b.v[i]))
V_BINARY(v_sub, vsubq_f32(a.v[i], b.v[i]))
V_BINARY(v_mul, vmulq_f32(a.v[i], b.v[i]))
V_BINARY(v_div, vdivq_f32(a.v[i], b.v[i]))
V_BINARY(v_max, v_max_part(a.v[i], b.v[i]))
V_BINARY(v_min, v_min_part(a.v[i], b.v[i]))
INLINE struct vf v_fma(struct vf a, struct vf b, struct vf c)
{
	V_EACH(vfmaq_f32(c.v[i], a.v[i], b.v[i]));
}
INLINE struct vf v_round(struct vf a) { V_EACH(vrndnq_f32(a.v[i])); }
INLINE float32x4_t v_pow2_part(float32x4_t n)
{
	int32x4_t i = vaddq_s32(vcvtq_s32_f32(n), vdupq_n_s32(127));

	return vreinterpretq_f32_s32(vshlq_n_s32(i, 23));
}
INLINE struct vf v_pow2(struct vf a) { V_EACH(v_pow2_part(a.v[i])); }
INLINE struct vf v_load_f16(const uint16_t *p)
{
	V_EACH(vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p + 4 * i))));
}
INLINE struct vf v_load_i32(const int32_t *p) { V_EACH(vcvtq_f32_s32(vld1q_s32(p + 4 * i))); }
INLINE struct vf v_load_bf16(const uint16_t *p)
{
	V_EACH(vreinterpretq_f32_u32(vshlq_n_u32(vmovl_u16(vld1_u16(p + 4 * i)), 16)));
}
INLINE struct vf v_whole(int16x8_t a, int16x8_t b)     /* sixteen whole numbers */
{
	return (struct vf){ { vcvtq_f32_s32(vmovl_s16(vget_low_s16(a))),
			      vcvtq_f32_s32(vmovl_s16(vget_high_s16(a))),
			      vcvtq_f32_s32(vmovl_s16(vget_low_s16(b))),
			      vcvtq_f32_s32(vmovl_s16(vget_high_s16(b))) } };
}
INLINE struct vf v_load_i8(const int8_t *p)
{
	return v_whole(vmovl_s8(vld1_s8(p)), vmovl_s8(vld1_s8(p + 8)));
}
INLINE struct vf v_load_u8(const uint8_t *p)
{
	return v_whole(vreinterpretq_s16_u16(vmovl_u8(vld1_u8(p))),
			vreinterpretq_s16_u16(vmovl_u8(vld1_u8(p + 8))));
}
INLINE uint8x8_t v_four_bits(const uint8_t *p, int from)
{
	return vand_u8(vshl_u8(vld1_u8(p), vdup_n_s8((int8_t)-from)), vdup_n_u8(15));
}
INLINE struct vf v_load_u4(const uint8_t *p, int from)
{
	return v_whole(vreinterpretq_s16_u16(vmovl_u8(v_four_bits(p, from))),
		       vreinterpretq_s16_u16(vmovl_u8(v_four_bits(p + 8, from))));
}
#else
struct vf { float f[16]; };
#define V_EACH(expr) \
	do { \
		for (int i = 0; i < 16; i++) \
			r.f[i] = (expr); \
		return r; \
	} while (0)
#define V_BINARY(name, expr) \
	INLINE struct vf name(struct vf a, struct vf b) { struct vf r; V_EACH(expr); }
INLINE struct vf v_load(const float *p) { struct vf r; V_EACH(p[i]); }
INLINE void v_store(float *p, struct vf a) { memcpy(p, a.f, sizeof(a.f)); }
INLINE struct vf v_set(float x) { struct vf r; V_EACH(x); }
V_BINARY(v_add, a.f[i] + b.f[i])
V_BINARY(v_sub, a.f[i] - b.f[i])
V_BINARY(v_mul, a.f[i] * b.f[i])
V_BINARY(v_div, a.f[i] / b.f[i])
V_BINARY(v_max, a.f[i] > b.f[i] ? a.f[i] : b.f[i])
V_BINARY(v_min, a.f[i] < b.f[i] ? a.f[i] : b.f[i])
INLINE struct vf v_fma(struct vf a, struct vf b, struct vf c)
{
	struct vf r;

	V_EACH(a.f[i] * b.f[i] + c.f[i]);
}
INLINE struct vf v_round(struct vf a) { struct vf r; V_EACH(rintf(a.f[i])); }
INLINE struct vf v_pow2(struct vf a) { struct vf r; V_EACH(ldexpf(1.0f, (int)a.f[i])); }
INLINE struct vf v_load_f16(const uint16_t *p) { struct vf r; V_EACH(quant_f16_to_f32(p[i])); }
INLINE struct vf v_load_bf16(const uint16_t *p) { struct vf r; V_EACH(quant_bf16_to_f32(p[i])); }
INLINE struct vf v_load_i32(const int32_t *p) { struct vf r; V_EACH((float)p[i]); }
INLINE struct vf v_load_i8(const int8_t *p) { struct vf r; V_EACH(p[i]); }
INLINE struct vf v_load_u8(const uint8_t *p) { struct vf r; V_EACH(p[i]); }
INLINE struct vf v_load_u4(const uint8_t *p, int from) { struct vf r; V_EACH(p[i] >> from & 15); }
#endif

/* The n numbers at p, of which a vector may have fewer than sixteen: zeros in the other lanes. */
INLINE struct vf v_load_n(const float *p, int n)
{
	float all[16] = { 0 };

	if (n >= 16)
		return v_load(p);
	memcpy(all, p, sizeof(*p) * (size_t)n);
	return v_load(all);
}
INLINE void v_store_n(float *p, struct vf a, int n)
{
	float all[16];

	if (n >= 16) {
		v_store(p, a);
		return;
	}
	v_store(all, a);
	memcpy(p, all, sizeof(*p) * (size_t)n);
}

INLINE struct vf v_first(struct vf a, int n)     /* the first n lanes, zeros in the others */
{
	float all[16];

	v_store(all, a);
	for (int i = n < 0 ? 0 : n; i < 16; i++)
		all[i] = 0;
	return v_load(all);
}

INLINE struct vf v_abs(struct vf a)
{
	return v_max(a, v_sub(v_set(0), a));
}

/* Across the lanes: lane i with lane i + 8, then i + 4, i + 2, i + 1. */
#if defined(ISA_generic)
#define V_ACROSS(name, expr, narrow) \
	INLINE float name(struct vf x) \
	{ \
		for (int step = 8; step; step /= 2) \
			for (int i = 0; i < step; i++) { \
				float a = x.f[i], b = x.f[i + step]; \
				x.f[i] = (expr); \
			} \
		return x.f[0]; \
	}
#elif defined(ISA_neon)
#define V_ACROSS(name, expr, op) \
	INLINE float name(struct vf x) \
	{ \
		float32x4_t y = op(op(x.v[0], x.v[2]), op(x.v[1], x.v[3])); \
		float a, b; \
		y = op(y, vextq_f32(y, y, 2)); \
		a = vgetq_lane_f32(y, 0); \
		b = vgetq_lane_f32(y, 1); \
		return (expr); \
	}
#else
#if defined(ISA_avx512)
INLINE __m256 v_low(struct vf x) { return _mm512_castps512_ps256(x.v); }
INLINE __m256 v_high(struct vf x) { return _mm512_extractf32x8_ps(x.v, 1); }
#else
INLINE __m256 v_low(struct vf x) { return x.a; }
INLINE __m256 v_high(struct vf x) { return x.b; }
#endif
#define V_ACROSS(name, expr, op) \
	INLINE float name(struct vf x) \
	{ \
		__m256 y = _mm256_##op##_ps(v_low(x), v_high(x)); \
		__m128 z = _mm256_castps256_ps128(y); \
		z = _mm_##op##_ps(z, _mm256_extractf128_ps(y, 1)); \
		z = _mm_##op##_ps(z, _mm_movehl_ps(z, z)); \
		return _mm_cvtss_f32(_mm_##op##_ss(z, _mm_movehdup_ps(z))); \
	}
#endif
#if defined(ISA_neon)
V_ACROSS(v_sum, a + b, vaddq_f32)
V_ACROSS(v_largest, a > b ? a : b, v_max_part)
#else
V_ACROSS(v_sum, a + b, add)
V_ACROSS(v_largest, a > b ? a : b, max)
#endif

/* exp(x) within 2 ulp for x in -87..88; below it underflows to 2^-126 or less, never to NaN.
 * x = n ln2 + r, |r| <= ln2/2; the polynomial is the Taylor series of exp(r) to degree 7. */
INLINE struct vf v_exp(struct vf x)
{
	struct vf n, r, p;

	x = v_min(v_max(x, v_set(-87.0f)), v_set(88.0f));
	n = v_round(v_mul(x, v_set(1.44269504f)));
	r = v_fma(n, v_set(-0.693359375f), x);
	r = v_fma(n, v_set(2.12194440e-4f), r);
	p = v_set(1.0f / 5040);
	p = v_fma(p, r, v_set(1.0f / 720));
	p = v_fma(p, r, v_set(1.0f / 120));
	p = v_fma(p, r, v_set(1.0f / 24));
	p = v_fma(p, r, v_set(1.0f / 6));
	p = v_fma(p, r, v_set(0.5f));
	p = v_fma(p, r, v_set(1.0f));
	p = v_fma(p, r, v_set(1.0f));
	return v_mul(p, v_pow2(n));
}

/* cap * tanh(x / cap) */
INLINE struct vf v_cap(struct vf x, float cap)
{
	struct vf one = v_set(1.0f), e = v_exp(v_mul(x, v_set(2.0f / cap)));

	return v_mul(v_set(cap), v_sub(one, v_div(v_set(2.0f), v_add(e, one))));
}
#endif
