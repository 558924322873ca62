/* packed_avx512.h - a block's integer products by AVX-512 with VNNI: part of packed.c.
 *
 * Sixteen rows fill a register; dpbusd adds four products of unsigned codes and signed activations
 * to each row's sum.  Invariant: sums are exact. */
#ifndef S3D_PACKED_AVX512_H
#define S3D_PACKED_AVX512_H
struct ints { __m512i v; };     /* one per row */

INLINE struct vf ints_float(struct ints a)
{
	return V(_mm512_cvtepi32_ps(a.v));
}

typedef __m512i bytes;

INLINE bytes bits_at(const uint8_t *p, int left, int mask)
{
	bytes x = _mm512_loadu_si512(p);

	if (left)
		x = left > 0 ? _mm512_slli_epi16(x, left) : _mm512_srli_epi16(x, -left);
	return _mm512_and_si512(x, _mm512_set1_epi8((char)mask));
}

INLINE bytes both(bytes a, bytes b)
{
	return _mm512_or_si512(a, b);
}

INLINE bytes iq4(bytes x)
{
	__m512i table = _mm512_broadcast_i32x4(_mm_loadu_si128((const void *)quant_iq4));

	return _mm512_shuffle_epi8(_mm512_xor_si512(_mm512_set1_epi8(-128), table), x);
}

#include "kernels/cpu/isa/packed_codes.h"

INLINE __m512i four(const int8_t *q)
{
	int32_t x;

	memcpy(&x, q, 4);
	return _mm512_set1_epi32(x);
}

/* lo[c], hi[c] = codes . q of the block's halves for column c, less the codes' offset. */
INLINE void block_product(enum quant_type k, int n, const uint8_t *w, const struct panel *p,
			  int b, struct ints *lo, struct ints *hi)
{
	const int8_t *q = p->q + b * PANEL * BLOCK;
	const int32_t *h = p->h + b * PANEL * 2;

	for (int c = 0; c < n; c++) {
		lo[c].v = _mm512_set1_epi32(-code_offset(k) * h[c]);
		hi[c].v = _mm512_set1_epi32(-code_offset(k) * h[PANEL + c]);
	}
#pragma GCC unroll 4
	for (int g = 0; g < 4; g++) {
		__m512i wl = codes(k, w, 0, g), wh = codes(k, w, 1, g);

#pragma GCC unroll 8
		for (int c = 0; c < n; c++) {
			const int8_t *x = q + c * BLOCK + 4 * g;

			lo[c].v = _mm512_dpbusd_epi32(lo[c].v, wl, four(x));
			hi[c].v = _mm512_dpbusd_epi32(hi[c].v, wh, four(x + 16));
		}
	}
}
#endif
