/* columns_generic.h - half a block's integer products by columns, in plain C: part of columns.c.
 *
 * The specification of the others.  Invariant: sums are exact. */
#ifndef S3D_COLUMNS_GENERIC_H
#define S3D_COLUMNS_GENERIC_H
INLINE int left_offset(enum quant_type k) { return code_offset(k); }

/* The code of row r of unit u in a column. */
INLINE int code(enum quant_type k, const uint8_t *low, const uint8_t *high, int u, int r)
{
	int bits = bits_of(k), at = r / 4 * 16 + r % 4, nibble;

	if (bits == 8)
		return low[u / 4 * 64 + at + u % 4 * 4];
	nibble = low[at + u / 2 * 4] >> 4 * (u % 2) & 15;
	if (bits == 5)
		return nibble | (high[r] >> u & 1) << 4;
	if (bits == 6)
		return nibble | (high[u / 4 * UNIT + r] >> 2 * (u % 4) & 3) << 4;
	return has_table(k) ? quant_iq4[nibble] + 128 : nibble;
}

INLINE void sum_half(enum quant_type k, const struct half *h, int n,
			 int32_t *sums)
{
	for (int u = 0; u < SLAB_UNITS; u++)
		for (int c = 0; c < n; c++)
			for (int r = 0; r < UNIT; r++) {
				int32_t sum = h->start[c];

				for (int i = 0; i < h->fours * 4; i++)
					sum += h->x[c * 16 + i] * code(k, h->run[i] + h->low,
								       h->run[i] + h->high, u, r);
				sums[(u * n + c) * UNIT + r] = sum;
			}
}

#define HALVES(kind) \
	static void half_##kind(const struct half *h, int32_t *sums) \
	{ \
		sum_half(QUANT_##kind, h, h->n, sums); \
	} \
	static half_fn *const halves_##kind[PANEL] = { \
		half_##kind, half_##kind, half_##kind, half_##kind, \
		half_##kind, half_##kind, half_##kind, half_##kind, \
	};
#endif
