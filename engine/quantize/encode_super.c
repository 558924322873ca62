/* encode_super.c - blocks of 256 whose groups have small integers for scales: Q4_K, Q5_K, Q6_K.
 *
 * Groups are fitted alone, then their scales and minima become integers below d and dmin, and then
 * in turn: each group tries the integers beside its own, and d and dmin are chosen anew for the
 * codes that there are.  No state.  Invariant: a round never makes the error larger. */
#include "engine/gguf/types.h"
#include "engine/quantize/encode_parts.h"
#include "engine/quantize/fit.h"

#include <math.h>
#include <string.h>

enum { ALL = TYPE_SUPER, GROUPS_MOST = 16, ROUNDS = 3 };

struct super {                  /* a value is d * scale * (code) - dmin * min */
	const float *x, *weight;
	int n_groups, group;    /* elements of a group */
	int lo, hi;             /* of codes */
	int scale_lo, scale_hi, min_hi;
	int scale[GROUPS_MOST], min[GROUPS_MOST], code[ALL];
	float d, dmin;          /* as f16 has them */
};

/* The error of a group with these integers; its codes, if code is given. */
static float group_error(const struct super *s, int g, int scale, int min, int *code)
{
	const float *x = s->x + g * s->group, *w = s->weight + g * s->group;
	float d = s->d * (float)scale, m = s->dmin * (float)min, sum[8] = { 0 };
	float inverse = d != 0 ? 1 / d : 0, lo = (float)s->lo, hi = (float)s->hi;

	for (int i = 0; i < s->group; i += 8)
		for (int j = 0; j < 8; j++) {
			float v = (x[i + j] + m) * inverse;
			v = v < lo ? lo : v;
			v = v > hi ? hi : v;
			int q = (int)(v + 256.5f) - 256;
			float e = x[i + j] + m - d * (float)q;

			sum[j] += w[i + j] * e * e;
			if (code)
				code[i + j] = q;
		}
	return ((sum[0] + sum[1]) + (sum[2] + sum[3])) + ((sum[4] + sum[5]) + (sum[6] + sum[7]));
}

static int clamp(int v, int lo, int hi)
{
	return v < lo ? lo : v > hi ? hi : v;
}

/* The best of the integers at most one beside those of group g; returns its error. */
static float improve_group(struct super *s, int g)
{
	int scale = s->scale[g], min = s->min[g];
	float best = group_error(s, g, scale, min, NULL);

	for (int i = scale - 1; i <= scale + 1; i++)
		for (int k = min - 1; k <= min + 1; k++) {
			float e;

			if (i < s->scale_lo || i > s->scale_hi || k < 0 || k > s->min_hi)
				continue;
			e = group_error(s, g, i, k, NULL);
			if (e < best) {
				best = e;
				s->scale[g] = i;
				s->min[g] = k;
			}
		}
	return best;
}

static float improve_groups(struct super *s)
{
	float sum = 0;

	for (int g = 0; g < s->n_groups; g++)
		sum += improve_group(s, g);
	return sum;
}

static void set_factors(struct super *s, float d, float dmin)
{
	uint8_t half[2];

	s->d = encode_half(half, d);
	s->dmin = encode_half(half, dmin);
}

/* d and dmin that are best for the integers and codes of now. */
static void refit(struct super *s)
{
	double aa = 0, ab = 0, bb = 0, ax = 0, bx = 0, det;

	for (int i = 0; i < ALL; i++) {
		int g = i / s->group;
		double a = s->scale[g] * s->code[i], b = -s->min[g], w = s->weight[i];

		aa += w * a * a;
		ab += w * a * b;
		bb += w * b * b;
		ax += w * a * s->x[i];
		bx += w * b * s->x[i];
	}
	det = aa * bb - ab * ab;
	if (det > 1e-9 * aa * bb && aa > 0)
		set_factors(s, (float)((bb * ax - ab * bx) / det),
			    (float)((aa * bx - ab * ax) / det));
	else if (aa > 0)
		set_factors(s, (float)(ax / aa), s->dmin);
}

static void take_codes(struct super *s)
{
	for (int g = 0; g < s->n_groups; g++)
		group_error(s, g, s->scale[g], s->min[g], s->code + g * s->group);
}

/* From factors of each group, d and min; then round by round. */
static void settle(struct super *s, const float *d, const float *min)
{
	float most = 0, most_min = 0, end, error;
	struct super best;

	for (int g = 0; g < s->n_groups; g++) {
		if (fabsf(d[g]) > fabsf(most))
			most = d[g];
		most_min = fmaxf(most_min, min[g]);
	}
	/* Where scales have a sign the largest one becomes the end that reaches further. */
	end = (float)(s->scale_lo < 0 ? s->scale_lo : s->scale_hi);
	set_factors(s, most / end, s->min_hi ? most_min / (float)s->min_hi : 0);
	for (int g = 0; g < s->n_groups; g++) {
		s->scale[g] = s->d != 0 ? clamp((int)lrintf(d[g] / s->d), s->scale_lo,
						s->scale_hi) : 0;
		s->min[g] = s->dmin != 0 ? clamp((int)lrintf(min[g] / s->dmin), 0, s->min_hi) : 0;
	}
	error = improve_groups(s);
	take_codes(s);
	best = *s;
	for (int i = 0; i < ROUNDS; i++) {
		float now;

		refit(s);
		now = improve_groups(s);
		if (!(now < error))
			break;
		take_codes(s);
		error = now;
		best = *s;
	}
	*s = best;
}

/* Six bits each of scales and minima of eight groups in twelve bytes, as scale_min in quant.c takes
 * them apart. */
static void put_scales(uint8_t *b, const int *scale, const int *min)
{
	for (int g = 0; g < 4; g++) {
		b[g] = (uint8_t)(scale[g] | scale[g + 4] >> 4 << 6);
		b[g + 4] = (uint8_t)(min[g] | min[g + 4] >> 4 << 6);
		b[g + 8] = (uint8_t)((scale[g + 4] & 15) | (min[g + 4] & 15) << 4);
	}
}

/* high: the fifth bits; NULL for Q4_K. */
static void k_nibbles(const float *x, const float *weight, int bits, uint8_t *p, uint8_t *high,
		      uint8_t *low)
{
	struct super s = { .x = x, .weight = weight, .n_groups = 8, .group = 32,
			   .hi = (1 << bits) - 1, .scale_hi = 63, .min_hi = 63 };
	float d[8], m[8];

	for (int g = 0; g < 8; g++)
		fit_affine(x + 32 * g, weight + 32 * g, 32, s.hi, true, &d[g], &m[g]);
	settle(&s, d, m);
	encode_half(p, s.d);
	encode_half(p + 2, s.dmin);
	put_scales(p + 4, s.scale, s.min);
	memset(low, 0, ALL / 2);
	for (int e = 0; e < ALL; e++) {
		int g = e / 32;

		low[g / 2 * 32 + e % 32] |= (uint8_t)((s.code[e] & 15) << g % 2 * 4);
		if (high)
			high[e % 32] |= (uint8_t)(s.code[e] >> 4 << g);
	}
}

void encode_Q4_K(const float *x, const float *weight, uint8_t *p)
{
	k_nibbles(x, weight, 4, p, NULL, p + 16);
}

void encode_Q5_K(const float *x, const float *weight, uint8_t *p)
{
	memset(p + 16, 0, 32);
	k_nibbles(x, weight, 5, p, p + 16, p + 48);
}

void encode_Q6_K(const float *x, const float *weight, uint8_t *p)
{
	struct super s = { .x = x, .weight = weight, .n_groups = 16, .group = 16, .lo = -32,
			   .hi = 31, .scale_lo = -128, .scale_hi = 127 };
	float d[16], none[16] = { 0 };

	for (int g = 0; g < 16; g++)
		d[g] = fit_scale(x + 16 * g, weight + 16 * g, 16, s.lo, s.hi);
	settle(&s, d, none);
	memset(p, 0, 192);
	for (int e = 0; e < ALL; e++) {
		int half = e / 128, r = e / 32 % 4, l = e % 32, code = s.code[e] + 32;

		p[half * 64 + r % 2 * 32 + l] |= (uint8_t)((code & 15) << r / 2 * 4);
		p[128 + half * 32 + l] |= (uint8_t)(code >> 4 << 2 * r);
	}
	for (int g = 0; g < 16; g++)
		p[192 + g] = (uint8_t)(int8_t)s.scale[g];
	encode_half(p + 208, s.d);
}
