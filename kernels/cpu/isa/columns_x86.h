/* columns_x86.h - half a block's integer products by columns, by AVX-512, AVX-VNNI or AVX2: part of
 * columns.c.
 *
 * A register is the same bytes of four columns, interleaved: as many rows of a unit as it has sets
 * of four bytes.  For one row of activations the sums of all units stay in registers while columns
 * pass; for more, planes are kept in memory and each unit's multiplied with all rows.
 * Invariant: sums are exact. */
#ifndef S3D_COLUMNS_X86_H
#define S3D_COLUMNS_X86_H
#if defined(ISA_avx512)
#include "kernels/cpu/isa/packed_avx512.h"
#define WIDE(op) _mm512_##op
INLINE int left_offset(enum quant_type k) { return code_offset(k); }
enum { ROWS_AT_ONCE = 2, SUMS_ARE_WIDE = 1 };
INLINE bytes only(bytes a, bytes b) { return _mm512_and_si512(a, b); }
INLINE bytes all_zero(void) { return _mm512_setzero_si512(); }
INLINE bytes load(const uint8_t *p) { return _mm512_loadu_si512(p); }
INLINE void store_sums(int32_t *p, bytes x) { _mm512_storeu_si512(p, x); }

/* High bits: byte 4r+c is row r of column c. */
INLINE bytes load_high(const uint8_t *const run[4], size_t at)
{
	const __m512i lanes = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14,
						3, 7, 11, 15);
	const __m128i turn = _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
	__m512i x = _mm512_castsi128_si512(_mm_loadu_si128((const void *)(run[0] + at)));

	x = _mm512_inserti32x4(x, _mm_loadu_si128((const void *)(run[1] + at)), 1);
	x = _mm512_inserti32x4(x, _mm_loadu_si128((const void *)(run[2] + at)), 2);
	x = _mm512_inserti32x4(x, _mm_loadu_si128((const void *)(run[3] + at)), 3);
	return _mm512_shuffle_epi8(_mm512_permutexvar_epi32(lanes, x),
				   _mm512_broadcast_i32x4(turn));
}

INLINE bytes dot(enum quant_type k, bytes sum, bytes w, bytes x)
{
	(void)k;
	return _mm512_dpbusd_epi32(sum, w, x);
}
INLINE bytes dot_end(enum quant_type k, bytes sum, int32_t start)
{
	(void)k;
	return _mm512_add_epi32(sum, _mm512_set1_epi32(start));
}
#else
#include "kernels/cpu/isa/packed_avx2.h"
#define WIDE(op) _mm256_##op
enum { ROWS_AT_ONCE = 1 };
INLINE bytes only(bytes a, bytes b) { return _mm256_and_si256(a, b); }
INLINE bytes all_zero(void) { return _mm256_setzero_si256(); }
INLINE bytes load(const uint8_t *p) { return _mm256_loadu_si256((const void *)p); }
INLINE void store_sums(int32_t *p, bytes x) { _mm256_storeu_si256((void *)p, x); }

INLINE bytes load_high(const uint8_t *const run[4], size_t at)
{
	__m128i a = _mm_unpacklo_epi8(_mm_loadl_epi64((const void *)(run[0] + at)),
				      _mm_loadl_epi64((const void *)(run[1] + at)));
	__m128i b = _mm_unpacklo_epi8(_mm_loadl_epi64((const void *)(run[2] + at)),
				      _mm_loadl_epi64((const void *)(run[3] + at)));

	return _mm256_set_m128i(_mm_unpackhi_epi16(a, b), _mm_unpacklo_epi16(a, b));
}

#if defined(ISA_avxvnni)
enum { SUMS_ARE_WIDE = 1 };
INLINE bytes dot(enum quant_type k, bytes sum, bytes w, bytes x)
{
	(void)k;
	return dpbusd(sum, w, x);
}
INLINE bytes dot_end(enum quant_type k, bytes sum, int32_t start)
{
	(void)k;
	return _mm256_add_epi32(sum, _mm256_set1_epi32(start));
}
#else
enum { SUMS_ARE_WIDE = 0 };
/* Up to five bits, the sums of pairs of four fours have room in 16 bits, see `sixteen`. */
INLINE bytes dot(enum quant_type k, bytes sum, bytes w, bytes x)
{
	if (bits_of(k) < 6 && !is_wide(k))
		return _mm256_add_epi16(sum, pairs(k, w, x));
	return _mm256_add_epi32(sum, sum_pairs(pairs(k, w, x)));
}
INLINE bytes dot_end(enum quant_type k, bytes sum, int32_t start)
{
	if (bits_of(k) < 6 && !is_wide(k))
		sum = sum_pairs(sum);
	return left_offset(k) ? _mm256_add_epi32(sum, _mm256_set1_epi32(start)) : sum;
}
#endif
#endif

/* A register holds a part of a plane's 64 bytes, which is so many of a unit's rows. */
enum { PART_BYTES = sizeof(bytes), PART_ROWS = PART_BYTES / 4 };

/* v[j] = bytes 4j.. of each sixteen of the four columns, interleaved. */
INLINE void interleave(const uint8_t *const run[4], size_t at, bytes v[4])
{
	bytes a = load(run[0] + at), b = load(run[1] + at);
	bytes c = load(run[2] + at), d = load(run[3] + at);
	bytes ab = WIDE(unpacklo_epi8)(a, b), cd = WIDE(unpacklo_epi8)(c, d);

	v[0] = WIDE(unpacklo_epi16)(ab, cd);
	v[1] = WIDE(unpackhi_epi16)(ab, cd);
	ab = WIDE(unpackhi_epi8)(a, b);
	cd = WIDE(unpackhi_epi8)(c, d);
	v[2] = WIDE(unpacklo_epi16)(ab, cd);
	v[3] = WIDE(unpackhi_epi16)(ab, cd);
}

/* Bits of x, moved `left`, where the mask has them. */
INLINE bytes moved(bytes x, int left, int mask)
{
	if (left > 0)
		x = WIDE(slli_epi16)(x, (unsigned)left);
	else if (left < 0)
		x = WIDE(srli_epi16)(x, (unsigned)-left);
	return only(x, WIDE(set1_epi8)((char)mask));
}

/* Plain nibbles need not be taken apart one by one if sums have room: see `split`. */
INLINE bool split_later(enum quant_type k)
{
	return SUMS_ARE_WIDE && bits_of(k) == 4 && !has_table(k);
}

/* Four columns of a part of a slab, as `dot` takes them: a plane of each unit. */
INLINE void planes(enum quant_type k, const struct half *h, int first, int part, bool whole,
		   bytes w[SLAB_UNITS])
{
	const uint8_t *const *run = h->run + first;
	size_t low = h->low + (size_t)(part * PART_BYTES);
	size_t high = h->high + (size_t)(part * PART_ROWS);
	bytes v[4], upper[2];

	for (int i = 0; i < 4; i++)     /* what the next slab takes, into the first cache */
		__builtin_prefetch(run[i] + low + 64);
	interleave(run, low, v);
	if (bits_of(k) == 8)
		interleave(run, low + 64, w + 4);
	if (bits_of(k) == 5 || bits_of(k) == 6)
		upper[0] = load_high(run, high);
	if (bits_of(k) == 6)
		upper[1] = load_high(run, high + UNIT);
#pragma GCC unroll 8
	for (int u = 0; u < SLAB_UNITS; u++) {
		if (bits_of(k) == 8)
			w[u] = u < 4 ? v[u] : w[u];
		else if (whole)
			w[u] = u % 2 ? moved(v[u / 2], 0, 240) : v[u / 2];
		else
			w[u] = moved(v[u / 2], -4 * (u % 2), 15);
		if (has_table(k))
			w[u] = iq4(w[u]);
		if (bits_of(k) == 5)
			w[u] = both(w[u], moved(upper[0], 4 - u, 16));
		if (bits_of(k) == 6)
			w[u] = both(w[u], moved(upper[u / 4], 4 - 2 * (u % 4), 48));
		if (code_offset(k) && !left_offset(k))  /* as signed bytes */
			w[u] = WIDE(sub_epi8)(w[u], WIDE(set1_epi8)((char)code_offset(k)));
	}
}

/* Of plain nibbles that were not taken apart: sums of the whole bytes, and of 16 times the high
 * nibbles. */
INLINE void split(bytes *low, bytes *high)
{
	*low = WIDE(sub_epi32)(*low, *high);
	*high = WIDE(srai_epi32)(*high, 4);
}

/* All units at once. */
INLINE void few_rows(enum quant_type k, const struct half *h, int n, int part,
		     int32_t *sums)
{
	bytes sum[SLAB_UNITS][ROWS_AT_ONCE], w[SLAB_UNITS];

#pragma GCC unroll 8
	for (int u = 0; u < SLAB_UNITS; u++)
		for (int c = 0; c < n; c++)
			sum[u][c] = all_zero();
	for (int g = 0; g < h->fours; g++) {
		planes(k, h, 4 * g, part, split_later(k), w);
#pragma GCC unroll 2
		for (int c = 0; c < n; c++) {
			bytes x = four(h->x + c * 16 + 4 * g);

#pragma GCC unroll 8
			for (int u = 0; u < SLAB_UNITS; u++)
				sum[u][c] = dot(k, sum[u][c], w[u], x);
		}
	}
#pragma GCC unroll 8
	for (int u = 0; u < SLAB_UNITS; u += 2)
		for (int c = 0; split_later(k) && c < n; c++)
			split(&sum[u][c], &sum[u + 1][c]);
#pragma GCC unroll 8
	for (int u = 0; u < SLAB_UNITS; u++)
		for (int c = 0; c < n; c++)
			store_sums(sums + (u * n + c) * UNIT + part * PART_ROWS,
				   dot_end(k, sum[u][c], h->start[c]));
}

/* One unit after the other. */
INLINE void more_rows(enum quant_type k, const struct half *h, int n, int part,
		      int32_t *sums)
{
	bytes plane[4][SLAB_UNITS];

	for (int g = 0; g < h->fours; g++)
		planes(k, h, 4 * g, part, false, plane[g]);
	for (int u = 0; u < SLAB_UNITS; u++) {
		bytes sum[PANEL];

#pragma GCC unroll 8
		for (int c = 0; c < n; c++)
			sum[c] = all_zero();
		for (int g = 0; g < h->fours; g++)
#pragma GCC unroll 8
			for (int c = 0; c < n; c++)
				sum[c] = dot(k, sum[c], plane[g][u], four(h->x + c * 16 + 4 * g));
#pragma GCC unroll 8
		for (int c = 0; c < n; c++)
			store_sums(sums + (u * n + c) * UNIT + part * PART_ROWS,
				   dot_end(k, sum[c], h->start[c]));
	}
}

INLINE void sum_half(enum quant_type k, const struct half *h, int n, int32_t *sums)
{
#pragma GCC unroll 2
	for (int part = 0; part < 64 / PART_BYTES; part++) {
		if (n <= ROWS_AT_ONCE)
			few_rows(k, h, n, part, sums);
		else
			more_rows(k, h, n, part, sums);
	}
}

#define HALF(kind, rows) \
	static void half_##kind##_##rows(const struct half *h, int32_t *sums) \
	{ \
		sum_half(QUANT_##kind, h, rows, sums); \
	}
#define HALVES(kind) \
	HALF(kind, 1) HALF(kind, 2) HALF(kind, 3) HALF(kind, 4) \
	HALF(kind, 5) HALF(kind, 6) HALF(kind, 7) HALF(kind, 8) \
	static half_fn *const halves_##kind[PANEL] = { \
		half_##kind##_1, half_##kind##_2, half_##kind##_3, half_##kind##_4, \
		half_##kind##_5, half_##kind##_6, half_##kind##_7, half_##kind##_8, \
	};
#endif
