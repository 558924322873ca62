/* fit.c - see fit.h.  Sums go into four lanes, which every processor of today adds at once. */
#include "engine/quantize/fit.h"

#include <math.h>
#include <string.h>

enum { LANES = 4, SHIFT = 256 };
typedef float lanes __attribute__((vector_size(4 * LANES)));
typedef int32_t marks __attribute__((vector_size(4 * LANES)));   /* all bits of a lane, or none */
#define PROMISING 1.4f          /* times the least error of the guesses: worth going on from */

static inline lanes load(const float *x)
{
	lanes v;

	memcpy(&v, x, sizeof(v));
	return v;
}

static inline lanes choose(marks m, lanes yes, lanes no)
{
	return (lanes)((m & (marks)yes) | (~m & (marks)no));
}

static inline float lanes_sum(lanes s)
{
	return (s[0] + s[1]) + (s[2] + s[3]);
}

static inline lanes within(lanes x, float lo, float hi)
{
	lanes low = (lanes){ 0 } + lo, high = (lanes){ 0 } + hi;

	x = choose(x < low, low, x);
	return choose(x > high, high, x);
}

/* Nearest integers, half up, of what lies within SHIFT of 0. */
static inline lanes nearest(lanes x)
{
	return __builtin_convertvector(__builtin_convertvector(x + (SHIFT + 0.5f), marks), lanes) -
	       SHIFT;
}

struct sums {                   /* over the numbers: weight * x * q, weight * q * q */
	float xq, qq;
};

struct codes {                  /* integers from lo to hi, or the numbers of a table */
	float lo, hi;
	bool table;
	float middle[15], step[15];     /* where the next number is nearer, and how far it is */
};

static inline lanes nearest_codes(lanes v, const struct codes *c)
{
	lanes q = (lanes){ 0 } + c->lo, none = { 0 };

	if (!c->table)
		return nearest(within(v, c->lo, c->hi));
	for (int k = 0; k < 15; k++)
		q += choose(v > none + c->middle[k], none + c->step[k], none);
	return q;
}

static struct sums sums_at(const float *x, const float *weight, int n, float inverse,
			   const struct codes *c)
{
	lanes xq = { 0 }, qq = { 0 };

	for (int i = 0; i < n; i += LANES) {
		lanes v = load(x + i), q = nearest_codes(v * inverse, c);
		lanes wq = load(weight + i) * q;

		xq += wq * v;
		qq += wq * q;
	}
	return (struct sums){ lanes_sum(xq), lanes_sum(qq) };
}

static float largest(const float *x, int n)
{
	float most = 0;

	for (int i = 0; i < n; i++)
		most = fmaxf(most, fabsf(x[i]));
	return most;
}

/* What the best scale for these sums takes off the error. */
static float gain(struct sums s)
{
	return s.qq > 0 ? s.xq * s.xq / s.qq : 0;
}

struct best {
	float gain, d;
};

/* From codes that a guess gives to the best scale for them, and on while that is better. */
static void settle(struct best *best, const float *x, const float *weight, int n, float inverse,
		   const struct codes *c)
{
	float last = 0;

	for (int i = 0; i < 3; i++) {
		struct sums s = sums_at(x, weight, n, inverse, c);
		float g = gain(s);

		if (!(g > last))
			return;
		last = g;
		if (g > best->gain)
			*best = (struct best){ g, s.xq / s.qq };
		inverse = s.qq / s.xq;
	}
}

static float fit_factor(const float *x, const float *weight, int n, const struct codes *c)
{
	enum { STEPS = 28 };
	struct best best = { 0, 0 };
	float most = largest(x, n), inverse[2 * STEPS], gained[2 * STEPS], all = 0, top = 0;

	for (int i = 0; i < n; i++)
		all += weight[i] * x[i] * x[i];
	/* The largest number becomes a code from 0.5 to 1.3 times the last one, at either end. */
	for (int i = 0; i < 2 * STEPS && most > 0; i++) {
		float end = (i % 2 ? c->lo : c->hi) * (0.5f + 0.4f * (float)i / STEPS);

		inverse[i] = end / most;
		gained[i] = gain(sums_at(x, weight, n, inverse[i], c));
		top = fmaxf(top, gained[i]);
	}
	for (int i = 0; i < 2 * STEPS && most > 0; i++)
		if (gained[i] == top || all - gained[i] <= PROMISING * (all - top))
			settle(&best, x, weight, n, inverse[i], c);
	return best.d;
}

float fit_scale(const float *x, const float *weight, int n, int lo, int hi)
{
	return fit_factor(x, weight, n, &(struct codes){ .lo = (float)lo, .hi = (float)hi });
}

float fit_table(const float *x, const float *weight, int n, const int8_t table[16])
{
	struct codes c = { .lo = table[0], .hi = table[15], .table = true };

	for (int k = 0; k < 15; k++) {
		c.middle[k] = 0.5f * (float)(table[k] + table[k + 1]);
		c.step[k] = (float)(table[k + 1] - table[k]);
	}
	return fit_factor(x, weight, n, &c);
}

struct line {                   /* x ~ d * q - m, and the error */
	float d, m, error;
};

/* The best line for the codes that another one gives. */
static struct line line_of(const float *x, const float *weight, int n, int most, bool below,
			   struct line from)
{
	lanes w = { 0 }, wx = { 0 }, wq = { 0 }, xq = { 0 }, qq = { 0 }, xx = { 0 };
	float inverse = 1 / from.d;
	struct line l;

	for (int i = 0; i < n; i += LANES) {
		lanes v = load(x + i), u = load(weight + i), uv = u * v;
		lanes q = nearest(within((v + from.m) * inverse, 0, (float)most)), uq = u * q;

		w += u;
		wx += uv;
		wq += uq;
		xq += uv * q;
		qq += uq * q;
		xx += uv * v;
	}
	float sw = lanes_sum(w), swx = lanes_sum(wx), swq = lanes_sum(wq), sxq = lanes_sum(xq);
	float sqq = lanes_sum(qq), det = sw * sqq - swq * swq;

	l.d = det > 0 ? (sw * sxq - swq * swx) / det : 0;
	l.m = det > 0 ? (swq * sxq - sqq * swx) / det : 0;
	if (!(det > 0) || (below && l.m < 0)) {
		l.m = 0;
		l.d = sqq > 0 ? sxq / sqq : 0;
	}
	/* sum of weight * (x - d q + m) squared */
	l.error = lanes_sum(xx) + l.d * l.d * sqq + l.m * l.m * sw - 2 * l.d * sxq + 2 * l.m * swx -
		  2 * l.d * l.m * swq;
	return l;
}

/* Goes on from a line while that is better. */
static void straighten(struct line *best, const float *x, const float *weight, int n, int most,
		       bool below, struct line l)
{
	for (int k = 0; k < 4 && l.d > 0; k++) {
		struct line next = line_of(x, weight, n, most, below, l);

		if (!(next.error < l.error))
			break;
		l = next;
	}
	if (l.d > 0 && l.error < best->error)
		*best = l;
}

/* Guess i of LINES for numbers from low to high: both ends of the codes from a little outside of
 * the numbers to some way inside; then fewer codes than there are, as a coarser format has. */
enum { ENDS = 6, LINES = ENDS * ENDS + 8 };
static struct line guess(float low, float high, int most, int i)
{
	float cut = (high - low) / (float)most, from = low, to = high;
	int codes = most - (i - ENDS * ENDS + 1) * most / 16;

	if (i < ENDS * ENDS) {
		from = low + cut * (float)(i % ENDS - 1);
		to = high - cut * (float)(i / ENDS - 1);
		codes = most;
	}
	return (struct line){ (to - from) / (float)codes, -from, 0 };
}

void fit_affine(const float *x, const float *weight, int n, int most, bool below, float *d,
		float *m)
{
	float low = below ? 0 : x[0], high = x[0];
	struct line best = { 0, 0, INFINITY }, tried[LINES];

	for (int i = 0; i < n; i++) {
		low = fminf(low, x[i]);
		high = fmaxf(high, x[i]);
	}
	for (int i = 0; i < LINES && high > low; i++) {
		tried[i] = line_of(x, weight, n, most, below, guess(low, high, most, i));
		if (tried[i].d > 0 && tried[i].error < best.error)
			best = tried[i];
	}
	for (int i = 0; i < LINES && high > low; i++)
		if (tried[i].error <= PROMISING * best.error)
			straighten(&best, x, weight, n, most, below, tried[i]);
	*d = best.d;
	*m = best.d > 0 ? best.m : -low;        /* all the same: the minimum alone says it */
}

int fit_entry(float x, float d, const int8_t table[16])
{
	float v = d != 0 ? x / d : 0;
	int q = 0;

	for (int k = 0; k < 15; k++)
		q += v > 0.5f * (float)(table[k] + table[k + 1]);
	return q;
}

int fit_code(float x, float d, int lo, int hi)
{
	float v = d != 0 ? x / d : 0;

	v = v < (float)lo ? (float)lo : v > (float)hi ? (float)hi : v;
	return (int)(v + (SHIFT + 0.5f)) - SHIFT;
}
