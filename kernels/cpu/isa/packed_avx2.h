/* packed_avx2.h - a block's products by AVX2, eight rows at a time: part of packed.c.
 *
 * The codes of a block's eight rows are decoded once, into eight registers, and stay there for all
 * columns; a column's sum lies in memory.  maddubs multiplies unsigned codes and signed activations
 * and adds pairs in 16 bits, where the four pairs of a half have room too unless codes are wide.
 * With AVX-VNNI dpbusd does all of that, as in packed_avx512.h.
 * Invariant: integers are exact, and floats are added as add_block of the others does it. */
#ifndef S3D_PACKED_AVX2_H
#define S3D_PACKED_AVX2_H
enum { WIDTH = 8 };

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

/* Codes of plane g for rows 8 * part.. */
INLINE void codes(enum quant_type k, const uint8_t *w, int g, int part, __m256i *lo, __m256i *hi)
{
	const __m256i nibble = _mm256_set1_epi8(15);
	__m256i q = _mm256_loadu_si256((const void *)(w + g * 64 + part * 32)), h0, h1;

	if (bits_of(k) == 8) {
		*lo = q;
		*hi = _mm256_loadu_si256((const void *)(w + (g + 4) * 64 + part * 32));
		return;
	}
	*lo = _mm256_and_si256(q, nibble);
	*hi = _mm256_and_si256(_mm256_srli_epi16(q, 4), nibble);
	if (has_table(k)) {
		const __m256i table = _mm256_xor_si256(_mm256_set1_epi8(-128),
			_mm256_broadcastsi128_si256(_mm_loadu_si128((const void *)quant_iq4)));

		*lo = _mm256_shuffle_epi8(table, *lo);
		*hi = _mm256_shuffle_epi8(table, *hi);
	}
	h0 = bits_of(k) > 4 ? _mm256_loadu_si256((const void *)(w + 256 + part * 32)) : nibble;
	if (bits_of(k) == 5) {
		const __m256i bit = _mm256_set1_epi8(16);

		*lo = _mm256_or_si256(*lo, _mm256_and_si256(_mm256_slli_epi16(h0, 4 - g), bit));
		*hi = _mm256_or_si256(*hi, _mm256_and_si256(_mm256_srli_epi16(h0, g), bit));
	} else if (bits_of(k) == 6) {
		const __m256i bits = _mm256_set1_epi8(48);

		h1 = _mm256_loadu_si256((const void *)(w + 320 + part * 32));
		h0 = g < 2 ? _mm256_slli_epi16(h0, 4 - 2 * g) : _mm256_srli_epi16(h0, 2 * g - 4);
		h1 = g < 2 ? _mm256_slli_epi16(h1, 4 - 2 * g) : _mm256_srli_epi16(h1, 2 * g - 4);
		*lo = _mm256_or_si256(*lo, _mm256_and_si256(h0, bits));
		*hi = _mm256_or_si256(*hi, _mm256_and_si256(h1, bits));
	}
}

/* The four activations that stand at q, for every row. */
INLINE __m256i four(const int8_t *q)
{
	int32_t x;

	memcpy(&x, q, 4);
	return _mm256_set1_epi32(x);
}

#if defined(ISA_avxvnni)
/* As they lie in memory. */
INLINE __m256i sign_codes(enum quant_type k, __m256i w)
{
	(void)k;
	return w;
}

/* Sixteen products a row, summed: each dpbusd adds four.  h: the sum of the activations. */
INLINE __m256i half_product(enum quant_type k, const __m256i w[4], const int8_t *q,
			    const int32_t *h)
{
	__m256i sum = _mm256_set1_epi32(-code_offset(k) * *h);

#pragma GCC unroll 4
	for (int g = 0; g < 4; g++)
		sum = dpbusd(sum, w[g], four(q + 4 * g));
	return sum;
}
#else
/* Less their offset where they are wide. */
INLINE __m256i sign_codes(enum quant_type k, __m256i w)
{
	return is_wide(k) ? _mm256_xor_si256(w, _mm256_set1_epi8(-128)) : w;
}

/* Pairs of products: what 16 bits hold is 2 * 128 * 127, so the sign of wide codes moves from them
 * to the activation. */
INLINE __m256i pairs(enum quant_type k, __m256i w, const int8_t *q)
{
	if (is_wide(k))
		return _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(four(q), w));
	return _mm256_maddubs_epi16(w, four(q));
}

INLINE __m256i sum_pairs(__m256i x)
{
	return _mm256_madd_epi16(x, _mm256_set1_epi16(1));
}

/* Sixteen products a row, summed: 4 * 2 * 31 * 127 fits 16 bits, 2 * 2 * 63 * 127 does. */
INLINE __m256i sixteen(enum quant_type k, const __m256i w[4], const int8_t *q)
{
	__m256i a = pairs(k, w[0], q), b = pairs(k, w[1], q + 4);
	__m256i c = pairs(k, w[2], q + 8), d = pairs(k, w[3], q + 12);

	if (is_wide(k))
		return _mm256_add_epi32(_mm256_add_epi32(sum_pairs(a), sum_pairs(b)),
					_mm256_add_epi32(sum_pairs(c), sum_pairs(d)));
	a = _mm256_add_epi16(a, b);
	c = _mm256_add_epi16(c, d);
	if (bits_of(k) == 6)
		return _mm256_add_epi32(sum_pairs(a), sum_pairs(c));
	return sum_pairs(_mm256_add_epi16(a, c));
}

/* The same less what the codes have too much; h: the sum of the activations. */
INLINE __m256i half_product(enum quant_type k, const __m256i w[4], const int8_t *q,
			    const int32_t *h)
{
	int offset = is_wide(k) ? 0 : code_offset(k);   /* a power of two, or none */

	if (!offset)
		return sixteen(k, w, q);
	return _mm256_sub_epi32(sixteen(k, w, q), _mm256_slli_epi32(_mm256_set1_epi32(*h),
				__builtin_ctz((unsigned)offset)));
}
#endif

struct codes8 {         /* of eight rows: the two halves of a block */
	__m256i lo[4], hi[4];
};

INLINE struct codes8 part_codes(enum quant_type k, const uint8_t *w, int part)
{
	struct codes8 c;

#pragma GCC unroll 4
	for (int g = 0; g < 4; g++) {
		codes(k, w, g, part, &c.lo[g], &c.hi[g]);
		c.lo[g] = sign_codes(k, c.lo[g]);
		c.hi[g] = sign_codes(k, c.hi[g]);
	}
	return c;
}

/* sum + block b's product with column c of p, for eight rows. */
INLINE __m256 add_column(enum quant_type k, const struct codes8 *w, const struct panel *p, int b,
			 int c, __m256 d, __m256 m, __m256 sum)
{
	const int8_t *q = p->q + (b * PANEL + c) * BLOCK;
	const int32_t *h = p->h + b * PANEL * 2 + c;
	const float *scale = p->d + b * PANEL * 2 + c;
	__m256 lo = _mm256_cvtepi32_ps(half_product(k, w->lo, q, h));
	__m256 hi = _mm256_cvtepi32_ps(half_product(k, w->hi, q + 16, h + PANEL));

	lo = _mm256_mul_ps(_mm256_set1_ps(scale[0]), lo);
	if (has_halves(k)) {
		hi = _mm256_mul_ps(_mm256_set1_ps(scale[PANEL]), hi);
		return _mm256_fmadd_ps(m, hi, _mm256_fmadd_ps(d, lo, sum));
	}
	lo = _mm256_fmadd_ps(_mm256_set1_ps(scale[PANEL]), hi, lo);
	sum = _mm256_fmadd_ps(d, lo, sum);
	return has_min(k) ? _mm256_fmadd_ps(m, _mm256_set1_ps(p->s[b * PANEL + c]), sum) : sum;
}

INLINE void add_block(enum quant_type k, int n, const uint8_t *w, const struct panel *p, int b,
		      const struct scales *s, struct vf *sum)
{
	struct codes8 low = part_codes(k, w, 0), high;

	for (int c = 0; c < n; c++)
		sum[c].a = add_column(k, &low, p, b, c, s->d.a, s->m.a, sum[c].a);
	high = part_codes(k, w, 1);
	for (int c = 0; c < n; c++)
		sum[c].b = add_column(k, &high, p, b, c, s->d.b, s->m.b, sum[c].b);
}
#endif
