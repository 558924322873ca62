/* packed.c - packed weights times up to 8 columns, each weight decoded once for all of them.
 *
 * One source for all instruction sets: generic C, AVX2 (maddubs), AVX-512 with VNNI (dpbusd),
 * AMX, which is AVX-512 and packed_pair.h, and NEON (sdot); what differs is the block product.  See
 * pack.c for the layout.
 * Invariant: y = sum over blocks, in order, of d * (scales of halves * (codes . q)) [+ m * s];
 * d, and with it m, may be one for each half. */
#include "kernels/cpu/isa/packed.h"

#if defined(ISA_avx512)
#include "kernels/cpu/isa/packed_avx512.h"
#elif defined(ISA_avx2)
#include "kernels/cpu/isa/packed_avx2.h"
#elif defined(ISA_neon)
#include "kernels/cpu/isa/packed_neon.h"
#else
#include "kernels/cpu/isa/packed_generic.h"
#endif

#if defined(ISA_avx2) || defined(ISA_neon)
/* The codes of one half at a time stay in registers for all columns. */
INLINE void add_block(enum quant_type k, int n, const uint8_t *w, const struct panel *p, int b,
		      const struct scales *s, struct vf *sum)
{
	const int8_t *q = p->q + b * PANEL * BLOCK;
	const int32_t *h = p->h + b * PANEL * 2;
	struct half_codes c = half_codes(k, w, 0);
	struct vf first[PANEL];

	for (int i = 0; i < n; i++)
		first[i] = add_first(k, p, b, i, s, half_product(k, &c, q + i * BLOCK, h + i),
				     sum[i]);
	c = half_codes(k, w, 1);
	for (int i = 0; i < n; i++)
		sum[i] = add_second(k, p, b, i, s, half_product(k, &c, q + i * BLOCK + 16,
								h + PANEL + i), first[i], sum[i]);
}
#else
/* sum[c] += block b's product with column c, given that of the codes. */
INLINE void add_sums(enum quant_type k, int n, const struct panel *p, int b,
		     const struct scales *s, const struct ints *lo, const struct ints *hi,
		     struct vf *sum)
{
#pragma GCC unroll 8
	for (int c = 0; c < n; c++)
		sum[c] = add_second(k, p, b, c, s, ints_float(hi[c]),
				    add_first(k, p, b, c, s, ints_float(lo[c]), sum[c]), sum[c]);
}
INLINE void add_block(enum quant_type k, int n, const uint8_t *w, const struct panel *p, int b,
		      const struct scales *s, struct vf *sum)
{
	struct ints lo[PANEL], hi[PANEL];

	block_product(k, n, w, p, b, lo, hi);
	add_sums(k, n, p, b, s, lo, hi, sum);
}
#endif

/* A unit times n columns of a panel. */
INLINE void tile(enum quant_type k, int n, const uint8_t *w, int nb, struct panel p, float *y,
		 int ldy, int left)
{
	struct scales s = { .super_d = v_set(0) };
	struct vf sum[PANEL];

	for (int c = 0; c < n; c++)
		sum[c] = v_set(0);
	for (int b = 0; b < nb; b++) {
		w = super_scales(k, w, b, &s);
		prefetch_block(w, block_bytes(k), n);
		block_scales(k, w + bits_of(k) * 64, &s);
		add_block(k, n, w, &p, b, &s, sum);
		w += block_bytes(k);
	}
	for (int c = 0; c < n; c++)
		v_store_n(y + (size_t)c * (size_t)ldy, sum[c], left);
}

/* One function for each number of columns: what is known is unrolled.  The generic kernel has
 * nothing to gain by it. */
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
		walk(m, u0, u1, a, n, y, ldy, K(tiles_##kind), PANEL); \
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
