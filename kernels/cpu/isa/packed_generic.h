/* packed_generic.h - a block's integer products in plain C, for every processor: part of packed.c.
 *
 * The specification of the others.  Invariant: sums are exact. */
#ifndef S3D_PACKED_GENERIC_H
#define S3D_PACKED_GENERIC_H
struct ints { int32_t v[UNIT]; };

INLINE struct vf ints_float(struct ints a) { struct vf r; V_EACH((float)a.v[i]); }

/* The code of row r, column j of a block. */
INLINE int code(int bits, bool table, const uint8_t *w, int r, int j)
{
	int upper = j / 16, g = j % 16 / 4, at = 4 * r + j % 4, low;

	if (bits == 8)
		return w[(upper * 4 + g) * 64 + at];
	if (bits < 4) {
		low = w[upper * 64 + at] >> 2 * g & 3;
		return bits == 2 ? low : low | (w[128 + at] >> (4 * upper + g) & 1) << 2;
	}
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
#endif
