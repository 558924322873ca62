/* packed.c - packed weights times up to 8 columns, each weight decoded once for all of them.
 *
 * One source for all instruction sets: generic C, AVX2 (maddubs), AVX-512 with VNNI (dpbusd), and
 * AMX, which is AVX-512 and packed_pair.h; what differs is the block product.  See pack.c for the
 * layout.
 * Invariant: y = sum over blocks, in order, of d * (scales of halves * (codes . q)) [+ m * s]. */
#include "kernels/cpu/isa/packed.h"

#if defined(ISA_avx512)
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
INLINE struct vf bytes_float(const uint8_t *p, bool is_signed)
{
	__m128i b = _mm_loadu_si128((const void *)p);

	return V(_mm512_cvtepi32_ps(is_signed ? _mm512_cvtepi8_epi32(b) : _mm512_cvtepu8_epi32(b)));
}
INLINE void prefetch_block(const uint8_t *w, int bytes)
{
	for (int i = 0; i < bytes; i += 64)
		_mm_prefetch((const char *)w + AHEAD + i, _MM_HINT_T0);
}
#elif defined(ISA_avx2)
enum { WIDTH = 4 };
struct ints { __m256i a, b; };

INLINE struct vf ints_float(struct ints x)
{
	return V(_mm256_cvtepi32_ps(x.a), _mm256_cvtepi32_ps(x.b));
}

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

/* Four products a row, summed.  Pairs are summed in 16 bits: 2 * 63 * 127 fits; codes of 8 bits do
 * not, so there the sign moves from the weight (code - 128) to the activation. */
INLINE __m256i dot4(enum quant_type k, __m256i w, const int8_t *q)
{
	int32_t x;
	__m256i a;

	memcpy(&x, q, 4);
	a = _mm256_set1_epi32(x);
	if (is_wide(k)) {
		w = _mm256_xor_si256(w, _mm256_set1_epi8(-128));
		a = _mm256_sign_epi8(a, w);
		w = _mm256_abs_epi8(w);
	}
	return _mm256_madd_epi16(_mm256_maddubs_epi16(w, a), _mm256_set1_epi16(1));
}

INLINE void half_product(enum quant_type k, int n, const uint8_t *w, const int8_t *q, int part,
			 __m256i *lo, __m256i *hi)
{
#pragma GCC unroll 4
	for (int g = 0; g < 4; g++) {
		__m256i wl, wh;

		codes(k, w, g, part, &wl, &wh);
#pragma GCC unroll 4
		for (int c = 0; c < n; c++) {
			const int8_t *x = q + c * BLOCK + 4 * g;

			lo[c] = _mm256_add_epi32(lo[c], dot4(k, wl, x));
			hi[c] = _mm256_add_epi32(hi[c], dot4(k, wh, x + 16));
		}
	}
}

INLINE void block_product(enum quant_type k, int n, const uint8_t *w, const struct panel *p,
			  int b, struct ints *lo, struct ints *hi)
{
	const int8_t *q = p->q + b * PANEL * BLOCK;
	const int32_t *h = p->h + b * PANEL * 2;
	int offset = is_wide(k) ? 0 : code_offset(k);
	__m256i l[PANEL], u[PANEL];

	for (int part = 0; part < 2; part++) {
		for (int c = 0; c < n; c++) {
			l[c] = _mm256_set1_epi32(-offset * h[c]);
			u[c] = _mm256_set1_epi32(-offset * h[PANEL + c]);
		}
		half_product(k, n, w, q, part, l, u);
		for (int c = 0; c < n; c++)
			if (part == 0) {
				lo[c].a = l[c];
				hi[c].a = u[c];
			} else {
				lo[c].b = l[c];
				hi[c].b = u[c];
			}
	}
}
INLINE struct vf bytes_float(const uint8_t *p, bool is_signed)
{
	__m128i x = _mm_loadu_si128((const void *)p), y = _mm_srli_si128(x, 8);

	return is_signed ? V(_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(x)),
			     _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(y)))
			 : V(_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(x)),
			     _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(y)));
}
INLINE void prefetch_block(const uint8_t *w, int bytes)
{
	for (int i = 0; i < bytes; i += 64)
		_mm_prefetch((const char *)w + AHEAD + i, _MM_HINT_T0);
}
#else
enum { WIDTH = 8 };
struct ints { int32_t v[UNIT]; };

INLINE struct vf ints_float(struct ints a) { struct vf r; V_EACH((float)a.v[i]); }

/* The code of row r, column j of a block. */
INLINE int code(int bits, bool table, const uint8_t *w, int r, int j)
{
	int upper = j / 16, g = j % 16 / 4, at = 4 * r + j % 4, low;

	if (bits == 8)
		return w[(upper * 4 + g) * 64 + at];
	low = w[g * 64 + at] >> 4 * upper & 15;
	if (bits == 5)
		return low | (w[256 + at] >> (4 * upper + g) & 1) << 4;
	if (bits == 6)
		return low | (w[256 + upper * 64 + at] >> 2 * g & 3) << 4;
	return table ? quant_iq4[low] + 128 : low;
}

INLINE void block_product(enum quant_type k, int n, const uint8_t *w, const struct panel *p,
			  int b, struct ints *lo, struct ints *hi)
{
	const int8_t *q = p->q + b * PANEL * BLOCK;
	const int32_t *h = p->h + b * PANEL * 2;
	/* asked for once: here the compiler does not know the type */
	int bits = bits_of(k), offset = code_offset(k);
	bool table = has_table(k);

	for (int c = 0; c < n; c++)
		for (int r = 0; r < UNIT; r++) {
			lo[c].v[r] = -offset * h[c];
			hi[c].v[r] = -offset * h[PANEL + c];
		}
	for (int j = 0; j < 16; j++)
		for (int r = 0; r < UNIT; r++) {
			int first = code(bits, table, w, r, j);
			int second = code(bits, table, w, r, j + 16);

			for (int c = 0; c < n; c++) {
				lo[c].v[r] += first * q[c * BLOCK + j];
				hi[c].v[r] += second * q[c * BLOCK + j + 16];
			}
		}
}
INLINE struct vf bytes_float(const uint8_t *p, bool is_signed)
{
	struct vf r;

	V_EACH(is_signed ? (float)(int8_t)p[i] : (float)p[i]);
}
INLINE void prefetch_block(const uint8_t *w, int bytes)
{
	(void)w;
	(void)bytes;
}
#endif

/* What multiplies a block's sums: d those of the codes (with scales of halves: of the first half's,
 * m of the second half's), m the sum of the activations. */
struct scales {
	struct vf super_d, super_m;     /* factors of 256 columns */
	struct vf d, m;
};

/* Scales in front of block b, if there are any; where its planes begin. */
INLINE const uint8_t *super_scales(enum quant_type k, const uint8_t *w, int b, struct scales *s)
{
	if (!has_super(k) || b % 8 != 0)
		return w;
	s->super_d = v_load_f16((const void *)w);
	if (has_min(k))
		s->super_m = v_sub(v_set(0), v_load_f16((const void *)(w + 32)));
	return w + super_bytes(k);
}

/* Scales behind a block's planes. */
INLINE void block_scales(enum quant_type k, const uint8_t *p, struct scales *s)
{
	if (!has_super(k)) {
		s->d = v_load_f16((const void *)p);
		if (has_min(k))
			s->m = v_load_f16((const void *)(p + 32));
	} else {
		s->d = v_mul(s->super_d, bytes_float(p, has_halves(k)));
		/* the scale of the second half, or what is taken off */
		s->m = v_mul(has_halves(k) ? s->super_d : s->super_m,
			     bytes_float(p + 16, has_halves(k)));
	}
}

/* sum[c] += block b's product with column c, given that of the codes. */
INLINE void add_block(enum quant_type k, int n, const struct panel *p, int b,
		      const struct scales *s, const struct ints *lo, const struct ints *hi,
		      struct vf *sum)
{
#pragma GCC unroll 8
	for (int c = 0; c < n; c++) {
		const float *scale = p->d + b * PANEL * 2 + c;
		struct vf l = v_mul(v_set(scale[0]), ints_float(lo[c]));
		struct vf h = ints_float(hi[c]), total = v_set(p->s[b * PANEL + c]);

		if (has_halves(k)) {
			sum[c] = v_fma(s->d, l, sum[c]);
			sum[c] = v_fma(s->m, v_mul(v_set(scale[PANEL]), h), sum[c]);
			continue;
		}
		sum[c] = v_fma(s->d, v_fma(v_set(scale[PANEL]), h, l), sum[c]);
		if (has_min(k))
			sum[c] = v_fma(s->m, total, sum[c]);
	}
}

/* A unit times n columns of a panel. */
INLINE void tile(enum quant_type k, int n, const uint8_t *w, int nb, struct panel p, float *y,
		 int ldy, int left)
{
	struct scales s = { v_set(0), v_set(0), v_set(0), v_set(0) };
	struct ints lo[PANEL], hi[PANEL];
	struct vf sum[PANEL];

	for (int c = 0; c < n; c++)
		sum[c] = v_set(0);
	for (int b = 0; b < nb; b++) {
		w = super_scales(k, w, b, &s);
		prefetch_block(w, block_bytes(k));
		block_product(k, n, w, &p, b, lo, hi);
		block_scales(k, w + bits_of(k) * 64, &s);
		add_block(k, n, &p, b, &s, lo, hi, sum);
		w += block_bytes(k);
	}
	for (int c = 0; c < n; c++)
		v_store_n(y + (size_t)c * (size_t)ldy, sum[c], left);
}

/* One function for each number of columns, so that their sums stay in registers: sixteen hold
 * those of four columns, thirty-two of eight.  The generic kernel has no registers to save. */
#if defined(ISA_generic)
#define TILES(kind) \
	static void any_##kind(int n, const uint8_t *w, int nb, struct panel p, float *y, int ldy, \
			       int left) \
	{ \
		tile(QUANT_##kind, n, w, nb, p, y, ldy, left); \
	} \
	tile_fn *const K(tiles_##kind)[PANEL] = { \
		any_##kind, any_##kind, any_##kind, any_##kind, \
		any_##kind, any_##kind, any_##kind, any_##kind, \
	};
#elif defined(ISA_avx2)
#define TILES(kind) \
	INSTANCE(kind, 1) INSTANCE(kind, 2) INSTANCE(kind, 3) INSTANCE(kind, 4) \
	tile_fn *const K(tiles_##kind)[PANEL] = { \
		tile_##kind##_1, tile_##kind##_2, tile_##kind##_3, tile_##kind##_4, \
	};
#else
#define TILES(kind) \
	INSTANCE(kind, 1) INSTANCE(kind, 2) INSTANCE(kind, 3) INSTANCE(kind, 4) \
	INSTANCE(kind, 5) INSTANCE(kind, 6) INSTANCE(kind, 7) INSTANCE(kind, 8) \
	tile_fn *const K(tiles_##kind)[PANEL] = { \
		tile_##kind##_1, tile_##kind##_2, tile_##kind##_3, tile_##kind##_4, \
		tile_##kind##_5, tile_##kind##_6, tile_##kind##_7, tile_##kind##_8, \
	};
#endif
#if defined(ISA_amx)
#include "kernels/cpu/isa/packed_pair.h"
#define MULTIPLY MULTIPLY_PAIRS
#else
#define MULTIPLY(kind) \
	TILES(kind) \
	static void mul_##kind(const struct mat *m, int u0, int u1, const struct act *a, int n, \
			       float *y, int ldy) \
	{ \
		walk(m, u0, u1, a, n, y, ldy, K(tiles_##kind), WIDTH); \
	}
#endif
PACKED_TYPES(MULTIPLY)

mat_mul_fn *K(packed_mul)(enum quant_type type);
mat_mul_fn *K(packed_mul)(enum quant_type type)
{
#define FUNCTION(ID) case QUANT_##ID: return mul_##ID;
	switch (type) {
	PACKED_TYPES(FUNCTION)
	default: return NULL;
	}
}
