/* packed_pair.h - packed weights times 9..16 columns, two panels at once, by the tiles of AMX.
 *
 * The packed layout is the one that tiles multiply: four planes of codes are 16 columns of 16 rows,
 * and half a block of a panel is 8 columns of 16 activations.  Codes go into the tiles less their
 * offset, as signed bytes.  Part of packed.c, which has everything else: codes, scales, sums.
 * Blocks depend on each other by `sum` alone, so that the processor, which renames tiles too, has
 * the next block's product under way while it adds this one's.
 * Invariant: the same bits as two calls of tile(): integers are exact, add_sums is shared. */
#ifndef S3D_PACKED_PAIR_H
#define S3D_PACKED_PAIR_H
#include "kernels/cpu/amx.h"

struct pair_sums {      /* codes . activations: (panel, half, column) */
	_Alignas(64) struct ints v[2][2][PANEL];
};

/* Both halves' codes into their tiles. */
INLINE void load_codes(enum quant_type k, const uint8_t *w)
{
	const __m512i offset = _mm512_set1_epi8((char)code_offset(k));
	_Alignas(64) uint8_t plane[2][4][64];

#pragma GCC unroll 4
	for (int g = 0; g < 4; g++) {
		_mm512_store_si512(plane[0][g], _mm512_sub_epi8(codes(k, w, 0, g), offset));
		_mm512_store_si512(plane[1][g], _mm512_sub_epi8(codes(k, w, 1, g), offset));
	}
	tile_load(TILE_CODES_0, plane[0], 64);
	tile_load(TILE_CODES_1, plane[1], 64);
}

INLINE void pair_product(enum quant_type k, const uint8_t *w, const struct panel p[2], int b,
			 struct pair_sums *sums)
{
	const int8_t *first = p[0].q + b * PANEL * BLOCK, *second = p[1].q + b * PANEL * BLOCK;

	load_codes(k, w);
	tile_zero(TILE_SUM_00);
	tile_zero(TILE_SUM_01);
	tile_zero(TILE_SUM_10);
	tile_zero(TILE_SUM_11);
	tile_load(TILE_ACT_0, first, BLOCK);
	tile_load(TILE_ACT_1, second, BLOCK);
	tile_dot(TILE_SUM_00, TILE_ACT_0, TILE_CODES_0);
	tile_dot(TILE_SUM_10, TILE_ACT_1, TILE_CODES_0);
	tile_load(TILE_ACT_0, first + 16, BLOCK);
	tile_load(TILE_ACT_1, second + 16, BLOCK);
	tile_dot(TILE_SUM_01, TILE_ACT_0, TILE_CODES_1);
	tile_dot(TILE_SUM_11, TILE_ACT_1, TILE_CODES_1);
	tile_store(TILE_SUM_00, sums->v[0][0], sizeof(struct ints));
	tile_store(TILE_SUM_10, sums->v[1][0], sizeof(struct ints));
	tile_store(TILE_SUM_01, sums->v[0][1], sizeof(struct ints));
	tile_store(TILE_SUM_11, sums->v[1][1], sizeof(struct ints));
}

/* A unit times PANEL columns of the panel at p[0] and n of that at p[1]. */
INLINE void pair(enum quant_type k, int n, const uint8_t *w, int nb, const struct panel p[2],
		 float *y, int ldy, int left)
{
	struct scales s = { .super_d = v_set(0) };
	struct vf sum[PANEL], more[PANEL];
	struct pair_sums sums;

#pragma GCC unroll 8
	for (int c = 0; c < PANEL; c++)
		sum[c] = more[c] = v_set(0);
	for (int b = 0; b < nb; b++) {
		w = super_scales(k, w, b, &s);
		prefetch_block(w, block_bytes(k), PANEL);
		pair_product(k, w, p, b, &sums);
		block_scales(k, w + bits_of(k) * 64, &s);
		add_sums(k, PANEL, &p[0], b, &s, sums.v[0][0], sums.v[0][1], sum);
		add_sums(k, n, &p[1], b, &s, sums.v[1][0], sums.v[1][1], more);
		w += block_bytes(k);
	}
#pragma GCC unroll 8
	for (int c = 0; c < PANEL; c++)
		v_store_n(y + (size_t)c * (size_t)ldy, sum[c], left);
	for (int c = 0; c < n; c++)
		v_store_n(y + (size_t)(PANEL + c) * (size_t)ldy, more[c], left);
}

/* Up to PANEL columns by the tile functions of AVX-512, more by `pair`. */
static void walk_pairs(const struct mat *m, int u0, int u1, const struct act *a, int n, float *y,
		       int ldy, tile_fn *const few[PANEL], tile_fn *many)
{
	tile_fn *tile[2 * PANEL];

	for (int i = 0; i < PANEL; i++) {
		tile[i] = few[i];
		tile[PANEL + i] = many;
	}
	if (n > PANEL)
		tile_configure(&tile_shapes);
	walk(m, u0, u1, a, n, y, ldy, tile, 2 * PANEL);
	if (n > PANEL)
		tile_release();
}

#define MULTIPLY_PAIRS(kind) \
	extern tile_fn *const tiles_##kind##_avx512[PANEL]; \
	static void pair_##kind(int n, const uint8_t *w, int nb, struct panel p, float *y, \
				int ldy, int left) \
	{ \
		struct panel both[2] = { p, panel_after(p, nb) }; \
\
		pair(QUANT_##kind, n - PANEL, w, nb, both, y, ldy, left); \
	} \
	static void mul_##kind(const struct mat *m, int u0, int u1, const struct act *a, int n, \
			       float *y, int ldy) \
	{ \
		walk_pairs(m, u0, u1, a, n, y, ldy, tiles_##kind##_avx512, pair_##kind); \
	}
#endif
