/* packed_avx512.h - a block's integer products by AVX-512 with VNNI: part of packed.c.
 *
 * Sixteen rows fill a register; dpbusd adds four products of unsigned codes and signed activations
 * to each row's sum.  Invariant: sums are exact. */
#ifndef S3D_PACKED_AVX512_H
#define S3D_PACKED_AVX512_H
enum { WIDTH = 8 };
struct ints { __m512i v; };     /* one per row */

INLINE struct vf ints_float(struct ints a)
{
	return V(_mm512_cvtepi32_ps(a.v));
}

/* Codes of plane g: lo has the first half's columns, hi those 16 further on. */
INLINE void codes(enum quant_type k, const uint8_t *w, int g, __m512i *lo, __m512i *hi)
{
	const __m512i nibble = _mm512_set1_epi8(15);
	__m512i q = _mm512_loadu_si512(w + g * 64), h0, h1;

	if (bits_of(k) == 8) {
		*lo = q;
		*hi = _mm512_loadu_si512(w + (g + 4) * 64);
		return;
	}
	*lo = _mm512_and_si512(q, nibble);
	*hi = _mm512_and_si512(_mm512_srli_epi16(q, 4), nibble);
	if (has_table(k)) {
		const __m512i table = _mm512_xor_si512(_mm512_set1_epi8(-128),
			_mm512_broadcast_i32x4(_mm_loadu_si128((const void *)quant_iq4)));

		*lo = _mm512_shuffle_epi8(table, *lo);
		*hi = _mm512_shuffle_epi8(table, *hi);
	}
	if (bits_of(k) == 5) {
		const __m512i bit = _mm512_set1_epi8(16);

		h0 = _mm512_loadu_si512(w + 256);
		*lo = _mm512_or_si512(*lo, _mm512_and_si512(_mm512_slli_epi16(h0, 4 - g), bit));
		*hi = _mm512_or_si512(*hi, _mm512_and_si512(_mm512_srli_epi16(h0, g), bit));
	} else if (bits_of(k) == 6) {
		const __m512i bits = _mm512_set1_epi8(48);

		h0 = _mm512_loadu_si512(w + 256);
		h1 = _mm512_loadu_si512(w + 320);
		h0 = g < 2 ? _mm512_slli_epi16(h0, 4 - 2 * g) : _mm512_srli_epi16(h0, 2 * g - 4);
		h1 = g < 2 ? _mm512_slli_epi16(h1, 4 - 2 * g) : _mm512_srli_epi16(h1, 2 * g - 4);
		*lo = _mm512_or_si512(*lo, _mm512_and_si512(h0, bits));
		*hi = _mm512_or_si512(*hi, _mm512_and_si512(h1, bits));
	}
}

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
		__m512i wl, wh;

		codes(k, w, g, &wl, &wh);
#pragma GCC unroll 8
		for (int c = 0; c < n; c++) {
			const int8_t *x = q + c * BLOCK + 4 * g;

			lo[c].v = _mm512_dpbusd_epi32(lo[c].v, wl, four(x));
			hi[c].v = _mm512_dpbusd_epi32(hi[c].v, wh, four(x + 16));
		}
	}
}
#endif
