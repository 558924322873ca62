/* probs.c - see probs.h.  Runs over a whole vocabulary for every drafted token, so the loops are
 * written for the compiler to keep in vector registers. */
#include "engine/decode/probs.h"
#include "kernels/peaks.h"
#include <math.h>
#include <stdint.h>
#include <string.h>

enum { LANES = 16 };

/* exp(x) for x <= 0 within 1e-6 of relative error, 0 far below: 2^n times a polynomial in the rest
 * (Taylor, degree 6, |rest| <= ln2 / 2). */
static inline float exp_neg(float x)
{
	float n, r, p, scale;
	int32_t bits;

	x = x > -87.0f ? x : -87.0f;     /* NaN too */
	n = (float)(int32_t)(x * 1.44269504f - 0.5f);
	r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
	p = 1.0f + r * (1.0f + r * (0.5f + r * (1.0f / 6 + r * (1.0f / 24 +
	    r * (1.0f / 120 + r * (1.0f / 720))))));
	bits = ((int32_t)n + 127) << 23;
	memcpy(&scale, &bits, 4);
	return p * scale;
}

static float largest(const float *x, int n)
{
	float lane[LANES], best = -INFINITY;     /* which no NaN replaces */
	int i = 0;

	for (int j = 0; j < LANES; j++)
		lane[j] = best;
	for (; i + LANES <= n; i += LANES)
		for (int j = 0; j < LANES; j++)
			lane[j] = x[i + j] > lane[j] ? x[i + j] : lane[j];
	for (; i < n; i++)
		best = x[i] > best ? x[i] : best;
	for (int j = 0; j < LANES; j++)
		best = lane[j] > best ? lane[j] : best;
	return best;
}

static double sum_exp(const float *x, int n, float top)
{
	float lane[LANES] = { 0 };
	double sum = 0;
	int i = 0;

	for (; i + LANES <= n; i += LANES)
		for (int j = 0; j < LANES; j++)
			lane[j] += exp_neg(x[i + j] - top);
	for (int j = 0; j < LANES; j++)
		sum += (double)lane[j];
	for (; i < n; i++)
		sum += (double)exp_neg(x[i] - top);
	return sum;
}

double probs_log_sum(const float *logits, int n)
{
	float top = largest(logits, n);

	return (double)top + log(sum_exp(logits, n, top));
}

int probs_argmax(const float *logits, int n)
{
	float best = largest(logits, n);
	int i = 0;

	while (i < n - 1 && logits[i] != best)
		i++;
	return i;
}

int probs_first(const float *row, int n)
{
	int group = probs_argmax(row + n, row_peaks(n)) * PEAK;

	return group + probs_argmax(row + group, n - group < PEAK ? n - group : PEAK);
}

void probs_peaks(float *row, int n)
{
	for (int i = 0; i < n; i += PEAK)
		row[n + i / PEAK] = largest(row + i, n - i < PEAK ? n - i : PEAK);
}

double probs_top(const float *logits, int n, int *top)
{
	*top = probs_first(logits, n);
	return 1.0 / sum_exp(logits, n, logits[*top]);
}
