/* columns.c - a matrix by columns times up to 8 rows of activations, of which it reads the columns
 * that are needed: those for which a row has a code other than zero.  See ../columns.h.
 *
 * Columns of half a block are taken in fours, however they lie; code zero fills up the last four.
 * Interleaved, four columns are a plane of each unit of a slab, so what is multiplied and added is
 * what packed.c multiplies and adds, less products with zero, in the same order.
 * Invariant: the same bits as the packed product. */
#include "kernels/cpu/isa/packed.h"
#include "kernels/cpu/columns.h"

/* Blocks between asking for columns and their use.  They are asked into the second cache: the first
 * has no room for what a group takes of a block. */
enum { BLOCKS_AHEAD = 1, SECOND_CACHE = 2 };
/* Slabs that all panels of many rows are multiplied with before the next ones: these stay there. */
enum { SLABS_OF_MANY = 4 };

struct chosen {         /* what is read of a block: of each half some columns, in fours */
	int count[2];
	const uint8_t *run[2][16];      /* they; those that fill up a four: the last one again */
	int8_t x[2][PANEL][16];         /* the rows' codes for them; 0 for what fills up */
	int32_t start[2][PANEL];        /* what sums begin with */
};

struct sums {           /* codes . activations of a slab: of each half (unit, row of n, lane) */
	_Alignas(64) int32_t v[2][SLAB_UNITS * PANEL * UNIT];
};

/* Half a block, of which an instruction set makes sums of n rows. */
struct half {
	int n, fours;
	const uint8_t *const *run;      /* (fours * 4) */
	size_t low, high;               /* where the slab lies in a run */
	const int8_t *x;                /* (n, 16) */
	const int32_t *start;           /* (n) */
};
typedef void half_fn(const struct half *, int32_t *sums);

#if defined(ISA_avx512) || defined(ISA_avx2)
#include "kernels/cpu/isa/columns_x86.h"
#else
#include "kernels/cpu/isa/columns_generic.h"
#endif
HALVES(Q4_0)
HALVES(Q5_0)
HALVES(Q6_K)
HALVES(Q8_0)
HALVES(IQ4_NL)

/* A bit for each byte that is not zero. */
INLINE unsigned nonzero(uint64_t x)
{
	const uint64_t low = 0x7f7f7f7f7f7f7f7f;

	x = (((x & low) + low) | x) & ~low;
	return (unsigned)((x >> 7) * 0x0102040810204080 >> 56);
}

/* The columns of a half which some of n rows has a code for. */
INLINE unsigned needed(const int8_t *q, int n)
{
	uint64_t all[2] = { 0 };

	for (int c = 0; c < n; c++) {
		uint64_t x[2];

		memcpy(x, q + c * BLOCK, sizeof(x));
		all[0] |= x[0];
		all[1] |= x[1];
	}
	return nonzero(all[0]) | nonzero(all[1]) << 8;
}

/* What a call works on: slabs from..to-1 of a group, nb blocks, n rows of a panel. */
struct range {
	const uint8_t *w;               /* the group */
	struct column_shape shape;
	int slabs, from, to, nb, n;
	struct panel p;
};

/* Where the columns of block b begin. */
INLINE const uint8_t *columns_at(const struct range *r, int b)
{
	return r->w + (size_t)b * r->shape.block + (size_t)(b / 8 + 1) * r->shape.super;
}

/* Of block b, whose codes are `offset` too large. */
INLINE void choose(struct chosen *c, const struct range *r, int b, int n,
		   int offset)
{
	const int8_t *q = r->p.q + b * PANEL * BLOCK;
	const int32_t *h = r->p.h + b * PANEL * 2;

	for (int half = 0; half < 2; half++, q += 16) {
		const uint8_t *w = columns_at(r, b) + (size_t)half * 16 * r->shape.run;
		int count = 0;

		for (unsigned left = needed(q, n); left; left &= left - 1, count++) {
			unsigned column = (unsigned)__builtin_ctz(left);

			c->run[half][count] = w + column * r->shape.run;
			for (int i = 0; i < n; i++)
				c->x[half][i][count] = q[(unsigned)(i * BLOCK) + column];
		}
		c->count[half] = count;
		for (; count % 4; count++) {
			c->run[half][count] = c->run[half][count - 1];
			for (int i = 0; i < n; i++)
				c->x[half][i][count] = 0;
		}
		for (int i = 0; i < n; i++)
			c->start[half][i] = -offset * h[half * PANEL + i];
	}
}

INLINE void ask(const uint8_t *p, size_t n)
{
	for (size_t at = 0; at < n; at += 64)
		__builtin_prefetch(p + at, 0, SECOND_CACHE);
}

/* Asks for what is chosen of block b, and its scales: a part of both at each slab, in the order in
 * which they lie. */
INLINE void prefetch(enum quant_type k, const struct chosen *c, const struct range *r, int b, int s)
{
	const size_t low = bits_of(k) == 8 ? 128 : 64, high = (size_t)(bits_of(k) - 4) * UNIT;
	const size_t from = (size_t)r->from, n = (size_t)(r->to - r->from);
	const size_t scales = r->shape.scales / (size_t)r->slabs;
	const int all = c->count[0] + c->count[1], i = s - r->from, slabs = r->to - r->from;

	for (int j = all * i / slabs; j < all * (i + 1) / slabs; j++) {
		const uint8_t *run = j < c->count[0] ? c->run[0][j] : c->run[1][j - c->count[0]];

		ask(run + from * low, n * low);
		if (bits_of(k) == 5 || bits_of(k) == 6)
			ask(run + r->shape.high + from * high, n * high);
	}
	ask(columns_at(r, b) + BLOCK * r->shape.run + (size_t)s * scales, scales);
}

/* Adds block b's products of slab s, given those of the codes. */
INLINE void fold(enum quant_type k, int n, const struct range *r, int b, int s,
		 const struct sums *of, float *sum)
{
	const int scale_bytes = block_bytes(k) - bits_of(k) * 64;
	const uint8_t *columns = columns_at(r, b);
	const uint8_t *scales = columns + BLOCK * r->shape.run + s * SLAB_UNITS * scale_bytes;
	const uint8_t *super = columns - (size_t)(b % 8) * r->shape.block - r->shape.super +
			       s * SLAB_UNITS * super_bytes(k);

#pragma GCC unroll 8
	for (int u = 0; u < SLAB_UNITS; u++) {
		struct scales with = { .super_d = v_set(0) };

		super_scales(k, super + u * super_bytes(k), 0, &with);
		block_scales(k, scales + u * scale_bytes, &with);
		for (int c = 0; c < n; c++) {
			int at = (u * n + c) * UNIT;
			struct vf before = v_load(sum + at), first;

			first = add_first(k, &r->p, b, c, &with, v_load_i32(of->v[0] + at), before);
			v_store(sum + at, add_second(k, &r->p, b, c, &with,
						     v_load_i32(of->v[1] + at), first, before));
		}
	}
}

/* Adds slab s of block b, of which c is read.  Sums of one row go from register to register: then
 * all is known here, and nothing called. */
INLINE void add_slab(enum quant_type k, bool one, int n, half_fn *product, const struct range *r,
		     const struct chosen *c, int b, int s, float *sum)
{
	struct sums sums;

#pragma GCC unroll 2
	for (int half = 0; half < 2; half++) {
		struct half h = { .n = n, .fours = (c->count[half] + 3) / 4,
				  .run = c->run[half], .x = c->x[half][0],
				  .low = (size_t)s * (bits_of(k) == 8 ? 128 : 64),
				  .high = r->shape.high + (size_t)(s * (bits_of(k) - 4) * UNIT),
				  .start = c->start[half] };

		if (one)
			sum_half(k, &h, 1, sums.v[half]);
		else
			product(&h, sums.v[half]);
	}
	fold(k, n, r, b, s, &sums, sum);
}

INLINE void group_product(enum quant_type k, bool one, int n, half_fn *product,
			  const struct range *r, float *sum)
{
	enum { RING = BLOCKS_AHEAD + 1 };
	struct chosen ring[RING];

	for (int b = 0; b < BLOCKS_AHEAD && b < r->nb; b++)
		choose(&ring[b], r, b, n, left_offset(k));
	for (int b = 0; b < r->nb; b++) {
		struct chosen *next = b + BLOCKS_AHEAD < r->nb ? &ring[(b + BLOCKS_AHEAD) % RING] :
				      NULL;

		if (next)
			choose(next, r, b + BLOCKS_AHEAD, n, left_offset(k));
		for (int s = r->from; s < r->to; s++) {
			if (next)
				prefetch(k, next, r, b + BLOCKS_AHEAD, s);
			add_slab(k, one, n, product, r, &ring[b % RING], b, s,
				 sum + (s - r->from) * SLAB * n);
		}
	}
}

/* Units u0..u1-1 of those whose sums begin with unit `first`. */
INLINE void store(const struct mat *m, const float *sum, int first, int u0, int u1, int n,
		  float *y, int ldy)
{
	for (int u = u0; u < u1; u++)
		for (int c = 0; c < n; c++)
			v_store_n(y + (size_t)c * (size_t)ldy + u * UNIT,
				  v_load(sum + ((u - first) * n + c) * UNIT), m->rows - u * UNIT);
}

/* Whole slabs are multiplied, what is not asked for is not stored. */
INLINE void walk_columns(enum quant_type k, half_fn *const few[PANEL], const struct mat *m, int u0,
			 int u1, const struct act *a, int n, float *y, int ldy)
{
	int all = column_slabs(m->rows), last = (u1 + SLAB_UNITS - 1) / SLAB_UNITS, to;

	assert(m->cols == a->k && a->k % BLOCK == 0);
	for (int s = u0 / SLAB_UNITS; s < last; s = to) {
		int g = s - s % m->slabs, group = column_group(m->slabs, g, all);
		struct range r = { m->data + (size_t)g * SLAB_UNITS * m->unit_bytes,
				   column_shape(type_facts(k), group), group, s - g, 0,
				   a->k / BLOCK, 0, panel_at(a, 0) };
		int begin = s * SLAB_UNITS, end;

		to = g + group < last ? g + group : last;
		if (n > PANEL && to - s > SLABS_OF_MANY)
			to = s + SLABS_OF_MANY;
		end = to * SLAB_UNITS;
		r.to = to - g;
		for (int c = 0; c < n; c += PANEL) {
			_Alignas(64) float sum[COLUMN_SLABS * SLAB * PANEL];

			r.n = n - c < PANEL ? n - c : PANEL;
			memset(sum, 0, sizeof(*sum) * (size_t)((end - begin) * UNIT * r.n));
			if (r.n == 1)
				group_product(k, true, 1, NULL, &r, sum);
			else
				group_product(k, false, r.n, few[r.n - 1], &r, sum);
			store(m, sum, begin, u0 > begin ? u0 : begin,
			      u1 < end ? u1 : end, r.n, y + (size_t)c * (size_t)ldy, ldy);
			r.p = panel_after(r.p, r.nb);
		}
	}
}

#define MULTIPLY(kind, codes) \
	static void mul_##kind(const struct mat *m, int u0, int u1, const struct act *a, int n, \
			       float *y, int ldy) \
	{ \
		walk_columns(QUANT_##kind, halves_##codes, m, u0, u1, a, n, y, ldy); \
	}
MULTIPLY(Q4_0, Q4_0)
MULTIPLY(Q4_1, Q4_0)
MULTIPLY(Q5_0, Q5_0)
MULTIPLY(Q5_1, Q5_0)
MULTIPLY(Q8_0, Q8_0)
MULTIPLY(Q4_K, Q4_0)
MULTIPLY(Q5_K, Q5_0)
MULTIPLY(Q6_K, Q6_K)
MULTIPLY(IQ4_NL, IQ4_NL)
MULTIPLY(IQ4_XS, IQ4_NL)

mat_mul_fn *K(columns_mul)(enum quant_type type);
mat_mul_fn *K(columns_mul)(enum quant_type type)
{
	switch (type) {
	case QUANT_Q4_0: return mul_Q4_0;
	case QUANT_Q4_1: return mul_Q4_1;
	case QUANT_Q5_0: return mul_Q5_0;
	case QUANT_Q5_1: return mul_Q5_1;
	case QUANT_Q8_0: return mul_Q8_0;
	case QUANT_Q4_K: return mul_Q4_K;
	case QUANT_Q5_K: return mul_Q5_K;
	case QUANT_Q6_K: return mul_Q6_K;
	case QUANT_IQ4_NL: return mul_IQ4_NL;
	case QUANT_IQ4_XS: return mul_IQ4_XS;
	default: return NULL;
	}
}
