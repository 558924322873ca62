/* attention.c - scores, softmax and weighted sum over one block of the cache.
 *
 * K is held in tiles of 16 positions with positions innermost, so that 16 scores are made at once
 * without a sum across lanes; V is held row by row.  Blocks are folded in order of position.
 * In q8_0, K's scales go into the score after each 32 dimensions, V's into the weights.
 * Invariant: a query's result does not depend on which other queries ran with it, and no cache row
 * behind the last query's position is used. */
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/isa/simd.h"
#include <assert.h>

/* Queries worked on together: their sums stay in registers. */
#if defined(ISA_avx2) || defined(ISA_neon)
enum { QUERIES = 4 };
#else
enum { QUERIES = 8 };
#endif

struct query {
	const float *q;
	int skip, count;        /* positions of this block that it sees: skip..count-1 */
	struct partial *state;
	float *p;               /* (ATTEND_BLOCK) scores, then weights */
};

INLINE struct vf load(const struct plane *p, size_t at, bool q8)
{
	return q8 ? v_load_i8((const int8_t *)p->x + at) : v_load_f16((const uint16_t *)p->x + at);
}

/* Scales of 16 positions from t on, for the 32 dimensions from d on. */
INLINE struct vf scales(const struct attend *a, const struct plane *p, int t, int d)
{
	return v_load_f16(p->scale + (t / 16 * plane_blocks(a->pad_dim) + d / BLOCK) * 16);
}

/* Scores of the 16 positions from t on for n queries, into their p from at on. */
INLINE void score_tile(const struct attend *a, int n, const struct query *query, int t, int at,
		       bool q8)
{
	size_t tile = (size_t)t * (size_t)a->pad_dim;
	struct vf total[QUERIES], scale = v_set(a->scale);

	for (int i = 0; i < n; i++)
		total[i] = v_set(0);
	for (int d = 0, end; d < a->head_dim; d = end) {
		struct vf s[QUERIES];

		end = q8 && d + BLOCK < a->head_dim ? d + BLOCK : a->head_dim;
		if (q8)
			scale = v_mul(scales(a, &a->k, t, d), v_set(a->scale));
		for (int i = 0; i < n; i++)
			s[i] = v_set(0);
		for (int e = d; e < end; e++) {
			struct vf x = load(&a->k, tile + (size_t)e * 16, q8);

#pragma GCC unroll 8
			for (int i = 0; i < n; i++)
				s[i] = v_fma(v_set(query[i].q[e]), x, s[i]);
		}
		for (int i = 0; i < n; i++)
			total[i] = v_fma(s[i], scale, total[i]);
	}
	for (int i = 0; i < n; i++)
		v_store(query[i].p + at, a->cap > 0 ? v_cap(total[i], a->cap) : total[i]);
}

/* Scores to weights exp(s - max); positions that the query does not see weigh nothing. */
static void soften(struct query *x, float *max, float *sum)
{
	struct vf m, total = v_set(0);
	int padded = (x->count + 15) & ~15;

	for (int i = 0; i < x->skip; i++)
		x->p[i] = -INFINITY;
	for (int i = x->count; i < padded; i++)
		x->p[i] = -INFINITY;
	m = v_load(x->p);
	for (int i = 16; i < padded; i += 16)
		m = v_max(m, v_load(x->p + i));
	*max = v_largest(m);
	for (int i = 0; i < padded; i += 16) {
		struct vf e = v_exp(v_sub(v_load(x->p + i), v_set(*max)));

		if (i + 16 > x->count)
			e = v_first(e, x->count - i);
		if (i < x->skip)
			e = v_sub(e, v_first(e, x->skip - i));
		v_store(x->p + i, e);
		total = v_add(total, e);
	}
	*sum = v_sum(total);
	for (int i = padded; i < ATTEND_BLOCK; i++)
		x->p[i] = 0;
}

/* out (16 dimensions at d) of n queries = weighted sum of the V rows from t0 on. */
INLINE void mix(const struct attend *a, int n, const struct query *query, int t0, int d, int rows,
		bool q8, float out[QUERIES][ATTEND_MAX_DIM])
{
	size_t at = (size_t)t0 * (size_t)a->pad_dim + (size_t)d;
	struct vf acc[QUERIES];

	for (int i = 0; i < n; i++)
		acc[i] = v_set(0);
	for (int t = 0; t < rows; t++) {
		struct vf x = load(&a->v, at + (size_t)t * (size_t)a->pad_dim, q8);

#pragma GCC unroll 8
		for (int i = 0; i < n; i++)
			acc[i] = v_fma(v_set(query[i].p[t]), x, acc[i]);
	}
	for (int i = 0; i < n; i++)
		v_store(out[i] + d, acc[i]);
}

/* The weights of n queries times V's scales for the 32 dimensions from d on. */
INLINE void weigh(const struct attend *a, int n, const struct query *query, int t0, int d,
		  int rows, struct query *scaled)
{
	for (int at = 0; at < rows; at += 16) {
		struct vf scale = scales(a, &a->v, t0 + at, d);

		for (int i = 0; i < n; i++)
			v_store(scaled[i].p + at, v_mul(v_load(query[i].p + at), scale));
	}
}

INLINE void mix_q8(const struct attend *a, int n, const struct query *query, int t0, int rows,
		   float out[QUERIES][ATTEND_MAX_DIM])
{
	float p[QUERIES][ATTEND_BLOCK];
	struct query scaled[QUERIES];

	for (int i = 0; i < n; i++)
		scaled[i].p = p[i];
	for (int d = 0; d < a->pad_dim; d += 16) {
		if (d % BLOCK == 0)
			weigh(a, n, query, t0, d, rows, scaled);
		mix(a, n, scaled, t0, d, rows, true, out);
	}
}

/* What the largest score of later positions makes of the weights before (keep) and of their own
 * (take), for up to 16 queries. */
struct rescale {
	float top[16], keep[16], take[16];
};
INLINE void rescale_find(struct rescale *r, const float before[16], const float after[16])
{
	struct vf b = v_load(before), a = v_load(after), top = v_max(b, a);

	v_store(r->top, top);
	v_store(r->keep, v_exp(v_sub(b, top)));
	v_store(r->take, v_exp(v_sub(a, top)));
}

/* state = state and a partial softmax of later positions, whose weighted sum is acc: query i. */
INLINE void fold_in(struct partial *state, int pad_dim, const struct rescale *r, int i, float sum,
		    const float *acc)
{
	struct vf keep = v_set(r->keep[i]), take = v_set(r->take[i]);

	state->max = r->top[i];
	state->sum = state->sum * r->keep[i] + sum * r->take[i];
	for (int d = 0; d < pad_dim; d += 16)
		v_store(state->acc + d, v_fma(v_load(acc + d), take,
					      v_mul(v_load(state->acc + d), keep)));
}

/* V is asked for while K is read. */
INLINE void fetch(const struct attend *a, int t, bool q8)
{
	size_t each = (size_t)a->pad_dim * (q8 ? 1 : 2);
	const uint8_t *p = (const uint8_t *)a->v.x + (size_t)t * each;

	for (size_t i = 0; i < 16 * each; i += 64)
		__builtin_prefetch(p + i);
}

INLINE void score(const struct attend *a, int n, const struct query *query, int t0, int rows)
{
	bool q8_v = a->v.scale != NULL;

	for (int at = 0; at < rows; at += 16) {
		fetch(a, t0 + at, q8_v);
		if (a->k.scale)
			score_tile(a, n, query, t0 + at, at, true);
		else
			score_tile(a, n, query, t0 + at, at, false);
	}
}

INLINE void block(const struct attend *a, int n, struct query *query, int t0, int rows)
{
	float max[16] = { 0 }, before[16] = { 0 }, sum[QUERIES], acc[QUERIES][ATTEND_MAX_DIM];
	struct rescale r;

	score(a, n, query, t0, rows);
	for (int i = 0; i < n; i++) {
		soften(&query[i], &max[i], &sum[i]);
		before[i] = query[i].state->max;
	}
	if (a->v.scale)
		mix_q8(a, n, query, t0, rows, acc);
	else
		for (int d = 0; d < a->pad_dim; d += 16)
			mix(a, n, query, t0, d, rows, false, acc);
	rescale_find(&r, before, max);
	for (int i = 0; i < n; i++)
		fold_in(query[i].state, a->pad_dim, &r, i, sum[i], acc[i]);
}

static void block_n(const struct attend *a, int n, struct query *query, int t0, int rows)
{
	switch (n) {
	case 1: block(a, 1, query, t0, rows); break;
	case 2: block(a, 2, query, t0, rows); break;
	case 3: block(a, 3, query, t0, rows); break;
	case 4: block(a, 4, query, t0, rows); break;
#if !defined(ISA_avx2) && !defined(ISA_neon)
	case 5: block(a, 5, query, t0, rows); break;
	case 6: block(a, 6, query, t0, rows); break;
	case 7: block(a, 7, query, t0, rows); break;
	case 8: block(a, 8, query, t0, rows); break;
#endif
	}
}

void K(attend)(const struct attend *a, int row0, int rows, int t0, int t1,
	       struct partial *part);
void K(attend)(const struct attend *a, int row0, int rows, int t0, int t1,
	       struct partial *part)
{
	float p[QUERIES][ATTEND_BLOCK];
	struct query query[QUERIES];
	int n = 0, seen = 0, total = rows * a->group;

	assert(a->pad_dim % 16 == 0 && a->head_dim <= a->pad_dim);
	assert(a->pad_dim <= ATTEND_MAX_DIM && t0 % ATTEND_BLOCK == 0 && t1 - t0 <= ATTEND_BLOCK);
	for (int i = 0; i < total; i++) {
		int row = row0 + i / a->group, last = a->pos + row + 1;

		query[n] = (struct query){
			.q = a->q + (size_t)row * (size_t)a->ldq + (i % a->group) * a->head_dim,
			.skip = a->window && last - a->window > t0 ? last - a->window - t0 : 0,
			.count = (last < t1 ? last : t1) - t0,
			.state = &part[i],
			.p = p[n],
		};
		if (query[n].count <= query[n].skip)
			continue;
		if (query[n].count > seen)
			seen = query[n].count;
		if (++n == QUERIES) {
			block_n(a, n, query, t0 + a->shift, seen);
			n = seen = 0;
		}
	}
	if (n)
		block_n(a, n, query, t0 + a->shift, seen);
}

void K(fold)(struct partial *part, int n, int pad_dim, float *out, int head_dim);
void K(fold)(struct partial *part, int n, int pad_dim, float *out, int head_dim)
{
	assert(pad_dim % 16 == 0 && head_dim <= pad_dim);
	for (int i = 1; i < n; i++) {
		float before[16] = { part[0].max }, after[16] = { part[i].max };
		struct rescale r;

		if (!(part[i].sum > 0))
			continue;
		rescale_find(&r, before, after);
		fold_in(&part[0], pad_dim, &r, 0, part[i].sum, part[i].acc);
	}
	for (int d = 0; d < head_dim; d++)
		out[d] = part[0].acc[d] / part[0].sum;
}
