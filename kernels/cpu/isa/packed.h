/* packed.h - what the packed kernels of all instruction sets share: the walk over units and
 * panels.  Each packed_*.c defines tile_NAME(kind, n, ...) for n = 1..PANEL columns and then
 * instantiates one mat_mul_fn for each type.  Invariant: a column's arithmetic is the same
 * whatever n is: integers are exact, and floats are added block by block in order. */
#ifndef S3D_PACKED_H
#define S3D_PACKED_H
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/pack.h"
#include "kernels/cpu/isa/simd.h"
#include <assert.h>

/* Facts of a type; every use folds away once the kernels are inlined. */
INLINE int bits_of(enum quant_type k) { return type_facts(k).bits; }
INLINE bool has_min(enum quant_type k) { return type_facts(k).flags & TYPE_MIN; }
INLINE bool has_super(enum quant_type k) { return type_facts(k).block == TYPE_SUPER; }
/* Codes that stand for numbers of a table, which take their place when they are loaded. */
INLINE bool has_table(enum quant_type k) { return type_facts(k).flags & TYPE_TABLE; }
INLINE bool is_wide(enum quant_type k) { return bits_of(k) == 8 || has_table(k); }
INLINE int code_offset(enum quant_type k)       /* what a code has too much */
{
	return is_wide(k) ? 128 : type_facts(k).zero;
}
/* Each half of a block has a scale: in Q2_K with a minimum of its own, else with a sign. */
INLINE bool has_halves(enum quant_type k)
{
	return has_super(k) && type_facts(k).flags != TYPE_MIN;
}
INLINE int super_bytes(enum quant_type k) { return pack_shape(type_facts(k)).super_bytes; }
INLINE int block_bytes(enum quant_type k) { return pack_shape(type_facts(k)).bytes; }

/* Bytes that are asked for ahead of their use.  For one or two columns a core waits for memory, and
 * its own prefetcher does most: asked for far ahead, lines are looked up in pages of which the
 * processor knows nothing yet, which took 13 % of a decode step (Zen 4).  For more it computes, and
 * far ahead costs nothing; what a core reads while memory answers (25 GB/s, 150 ns). */
enum { AHEAD_FEW = 256, AHEAD_MORE = 4096 };

/* Where a panel's activations are; block b's are at + b * PANEL * (32, 2, 1, 2). */
struct panel {
	const int8_t *q;
	const float *d, *s;
	const int32_t *h;
};
INLINE struct panel panel_at(const struct act *a, int p)
{
	size_t nb = (size_t)(a->k / BLOCK) * (size_t)p;

	return (struct panel){ a->q + nb * PANEL * BLOCK, a->d + nb * PANEL * 2, a->s + nb * PANEL,
			       a->h + nb * PANEL * 2 };
}

/* The panel behind p, of nb blocks. */
INLINE struct panel panel_after(struct panel p, int nb)
{
	size_t columns = (size_t)nb * PANEL;

	return (struct panel){ p.q + columns * BLOCK, p.d + columns * 2, p.s + columns,
			       p.h + columns * 2 };
}

/* What multiplies a block's sums: d those of the codes, m those of the activations; of each half,
 * or the first of both halves. */
struct scales {
	struct vf super_d, super_m;     /* factors of 256 columns */
	struct vf d[2], m[2];
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
		s->d[0] = v_load_f16((const void *)p);
		if (has_min(k))
			s->m[0] = v_load_f16((const void *)(p + 32));
	} else if (!has_halves(k)) {
		s->d[0] = v_mul(s->super_d, v_load_u8(p));
		s->m[0] = v_mul(s->super_m, v_load_u8(p + 16));
	} else if (has_min(k)) {
		for (int i = 0; i < 2; i++) {
			s->d[i] = v_mul(s->super_d, v_load_u4(p + 16 * i, 0));
			s->m[i] = v_mul(s->super_m, v_load_u4(p + 16 * i, 4));
		}
	} else {
		for (int i = 0; i < 2; i++)
			s->d[i] = v_mul(s->super_d, v_load_i8((const int8_t *)p + 16 * i));
	}
}

/* sum + the product of one half of block b with column c, given that of the codes. */
INLINE struct vf add_half(enum quant_type k, const struct panel *p, int b, int half, int c,
			  const struct scales *s, struct vf product, struct vf sum)
{
	int at = (b * 2 + half) * PANEL + c;

	sum = v_fma(s->d[half], v_mul(v_set(p->d[at]), product), sum);
	return has_min(k) ? v_fma(s->m[half], v_set(p->d[at] * (float)p->h[at]), sum) : sum;
}

/* Block b's product with column c, given that of the first half's codes: what add_second needs. */
INLINE struct vf add_first(enum quant_type k, const struct panel *p, int b, int c,
			   const struct scales *s, struct vf lo, struct vf sum)
{
	if (has_halves(k))
		return add_half(k, p, b, 0, c, s, lo, sum);
	return v_mul(v_set(p->d[b * PANEL * 2 + c]), lo);
}

/* Likewise of the second half's: sum + the product. */
INLINE struct vf add_second(enum quant_type k, const struct panel *p, int b, int c,
			    const struct scales *s, struct vf hi, struct vf first, struct vf sum)
{
	if (has_halves(k))
		return add_half(k, p, b, 1, c, s, hi, first);
	first = v_fma(v_set(p->d[(b * 2 + 1) * PANEL + c]), hi, first);
	sum = v_fma(s->d[0], first, sum);
	return has_min(k) ? v_fma(s->m[0], v_set(p->s[b * PANEL + c]), sum) : sum;
}

INLINE void prefetch_block(const uint8_t *w, int bytes, int columns)
{
	for (int i = 0; i < bytes; i += 64)
		__builtin_prefetch(w + (columns <= 2 ? AHEAD_FEW : AHEAD_MORE) + i);
}

/* left: rows that the matrix has from this unit on; the last one may have fewer than 16. */
typedef void tile_fn(int n, const uint8_t *w, int nb, struct panel, float *y, int ldy, int left);

/* tile[i] is for i+1 columns, up to width. */
INLINE void walk(const struct mat *m, int u0, int u1, const struct act *a, int n, float *y, int ldy,
		 tile_fn *const tile[], int width)
{
	assert(m->cols == a->k && a->k % BLOCK == 0);
	for (int u = u0; u < u1; u++)
		for (int c = 0; c < n; c += width) {
			struct panel p = panel_at(a, c / PANEL);
			int left = n - c < width ? n - c : width;

			p.q += c % PANEL * BLOCK;
			p.d += c % PANEL;
			p.s += c % PANEL;
			p.h += c % PANEL;
			tile[left - 1](left, m->data + (size_t)u * m->unit_bytes, a->k / BLOCK, p,
				       y + (size_t)c * (size_t)ldy + u * UNIT, ldy,
				       m->rows - u * UNIT);
		}
}

#define INSTANCE(kind, n) \
	static void tile_##kind##_##n(int columns, const uint8_t *w, int nb, struct panel p, \
				      float *y, int ldy, int left) \
	{ \
		(void)columns; \
		tile(QUANT_##kind, n, w, nb, p, y, ldy, left); \
	}
#endif
