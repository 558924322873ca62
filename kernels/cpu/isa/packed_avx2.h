/* packed_avx2.h - a block's products by AVX2, half a block at a time: part of packed.c.
 *
 * The codes of sixteen rows of a half are decoded once, into eight registers, and stay there for
 * all columns; a column's sums lie in memory.  maddubs multiplies unsigned codes and signed
 * activations and adds pairs in 16 bits, where the four pairs of a half have room too unless codes
 * are wide.  With AVX-VNNI dpbusd does all of that, as in packed_avx512.h.
 * Invariant: integers are exact. */
#ifndef S3D_PACKED_AVX2_H
#define S3D_PACKED_AVX2_H
/* sum + the four products of unsigned codes w and signed activations x in each 32 bits. */
#if defined(AVXVNNI_EMULATED)
INLINE __m256i dpbusd(__m256i sum, __m256i w, __m256i x)
{
	__m256i even = _mm256_madd_epi16(_mm256_and_si256(w, _mm256_set1_epi16(255)),
					 _mm256_srai_epi16(_mm256_slli_epi16(x, 8), 8));
	__m256i odd = _mm256_madd_epi16(_mm256_srli_epi16(w, 8), _mm256_srai_epi16(x, 8));

	return _mm256_add_epi32(sum, _mm256_add_epi32(even, odd));
}
#elif defined(ISA_avxvnni)
INLINE __m256i dpbusd(__m256i sum, __m256i w, __m256i x)
{
	return _mm256_dpbusd_avx_epi32(sum, w, x);
}
#endif

typedef __m256i bytes;

INLINE bytes bits_at(const uint8_t *p, int left, int mask)
{
	bytes x = _mm256_loadu_si256((const void *)p);

	if (left)
		x = left > 0 ? _mm256_slli_epi16(x, left) : _mm256_srli_epi16(x, -left);
	return _mm256_and_si256(x, _mm256_set1_epi8((char)mask));
}

INLINE bytes both(bytes a, bytes b)
{
	return _mm256_or_si256(a, b);
}

INLINE bytes iq4(bytes x)
{
	__m256i table = _mm256_broadcastsi128_si256(_mm_loadu_si128((const void *)quant_iq4));

	return _mm256_shuffle_epi8(_mm256_xor_si256(_mm256_set1_epi8(-128), table), x);
}

#include "kernels/cpu/isa/packed_codes.h"

/* The four activations that stand at q, for every row. */
INLINE __m256i four(const int8_t *q)
{
	int32_t x;

	memcpy(&x, q, 4);
	return _mm256_set1_epi32(x);
}

/* What of a code's offset is left in it, and taken off by the sum of the activations. */
#if defined(ISA_avxvnni)
INLINE int left_offset(enum quant_type k) { return code_offset(k); }

/* Sixteen products a row of eight rows, summed, more than `sum`. */
INLINE __m256i sixteen(enum quant_type k, const __m256i w[4], const __m256i x[4], __m256i sum)
{
	(void)k;
#pragma GCC unroll 4
	for (int g = 0; g < 4; g++)
		sum = dpbusd(sum, w[g], x[g]);
	return sum;
}
#else
/* Wide codes are less their offset already, see half_codes. */
INLINE int left_offset(enum quant_type k) { return is_wide(k) ? 0 : code_offset(k); }

/* Pairs of products: what 16 bits hold is 2 * 128 * 127, so the sign of wide codes moves from them
 * to the activation. */
INLINE __m256i pairs(enum quant_type k, __m256i w, __m256i x)
{
	if (is_wide(k))
		return _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(x, w));
	return _mm256_maddubs_epi16(w, x);
}

INLINE __m256i sum_pairs(__m256i x)
{
	return _mm256_madd_epi16(x, _mm256_set1_epi16(1));
}

/* As with AVX-VNNI.  16 bits hold 4 * 2 * 31 * 127, and of 6 bits 2 * 2 * 63 * 127. */
INLINE __m256i sixteen(enum quant_type k, const __m256i w[4], const __m256i x[4], __m256i sum)
{
	__m256i a = pairs(k, w[0], x[0]), b = pairs(k, w[1], x[1]);
	__m256i c = pairs(k, w[2], x[2]), d = pairs(k, w[3], x[3]);

	if (is_wide(k)) {
		a = _mm256_add_epi32(_mm256_add_epi32(sum_pairs(a), sum_pairs(b)),
				     _mm256_add_epi32(sum_pairs(c), sum_pairs(d)));
	} else if (bits_of(k) == 6) {
		a = _mm256_add_epi32(sum_pairs(_mm256_add_epi16(a, b)),
				     sum_pairs(_mm256_add_epi16(c, d)));
	} else {
		a = sum_pairs(_mm256_add_epi16(_mm256_add_epi16(a, b), _mm256_add_epi16(c, d)));
	}
	return left_offset(k) ? _mm256_add_epi32(a, sum) : a;
}
#endif

struct half_codes {     /* of sixteen rows: (part, plane) */
	__m256i w[2][4];
};

INLINE struct half_codes half_codes(enum quant_type k, const uint8_t *w, int half)
{
	struct half_codes c;

#pragma GCC unroll 2
	for (int part = 0; part < 2; part++)
#pragma GCC unroll 4
		for (int g = 0; g < 4; g++) {
			c.w[part][g] = codes(k, w + part * 32, half, g);
			if (code_offset(k) && !left_offset(k))
				c.w[part][g] = _mm256_xor_si256(c.w[part][g],
								_mm256_set1_epi8(-128));
		}
	return c;
}

/* codes . q for sixteen rows; h: the sum of the activations. */
INLINE struct vf half_product(enum quant_type k, const struct half_codes *w, const int8_t *q,
			      const int32_t *h)
{
	__m256i sum = _mm256_set1_epi32(-left_offset(k) * *h);
	__m256i x[4] = { four(q), four(q + 4), four(q + 8), four(q + 12) };

	return V(_mm256_cvtepi32_ps(sixteen(k, w->w[0], x, sum)),
		 _mm256_cvtepi32_ps(sixteen(k, w->w[1], x, sum)));
}
#endif
