/* test_choice.c - the law of choice and the acceptance rule, statistically, each beside a broken
 * twin which the same test must reject; and the sampler's filters against sums by hand. */
#include "engine/decode/probs.h"
#include "engine/decode/verify.h"
#include "kernels/noise.h"
#include "kernels/peaks.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { V = 8, ROW = V + 1, DRAWS = 200000 };    /* a row has one peak */
/* 99.99 % points of chi-square for 7 and 63 degrees of freedom (Abramowitz and Stegun 26.4.17). */
static const double LIMIT_7 = 29.9, LIMIT_63 = 113.5;

static const float logits[ROW] = {
	0.3f, -1.0f, 1.2f, 0.0f, -2.0f, 0.9f, 0.31f, -0.4f, 1.2f
};

static struct sampler *smp;

static double chi_square(const long *count, const double *p, int n, long draws)
{
	double sum = 0;

	for (int i = 0; i < n; i++) {
		double e = p[i] * (double)draws;

		if (e > 0)
			sum += ((double)count[i] - e) * ((double)count[i] - e) / e;
		else
			sum += count[i] ? 1e9 : 0;
	}
	return sum;
}

static void softmax(const float *x, double temp, double *p)
{
	double sum = 0;

	for (int i = 0; i < V; i++)
		sum += p[i] = exp((double)x[i] / temp);
	for (int i = 0; i < V; i++)
		p[i] /= sum;
}

static struct sampler_opt open_law(float temp)
{
	struct sampler_opt o = SAMPLER_DEFAULTS;

	o.temp = temp;
	o.top_k = 0;
	o.top_p = 1;
	o.min_p = 0;
	return o;
}

/* Draws over many (seed, position) pairs; lambda 1 is the law, anything else is a broken one. */
static double law_distance(float temp, float lambda)
{
	struct sampler_opt o = open_law(temp);
	int hist[64] = { 0 };
	long count[V] = { 0 };
	double p[V];

	for (int i = 0; i < DRAWS; i++) {
		o.seed = (uint64_t)(i / 64);
		count[sampler_choose(smp, &o, logits, hist, i % 64, lambda)]++;
	}
	softmax(logits, (double)temp, p);
	return chi_square(count, p, V, DRAWS);
}

static void test_law(void **state)
{
	(void)state;
	assert_true(law_distance(1.0f, 1.0f) < LIMIT_7);
	assert_true(law_distance(0.7f, 1.0f) < LIMIT_7);
	assert_true(law_distance(1.5f, 1.0f) < LIMIT_7);
	assert_true(law_distance(1.0f, 0.9f) > LIMIT_7);        /* the broken twin: damped noise */
	assert_true(law_distance(1.0f, 0.0f) > LIMIT_7);
}

/* Neighbouring positions and seeds must be independent: pairs are uniform over their product. */
static void test_independence(void **state)
{
	struct sampler_opt o = open_law(1);
	int hist[2] = { 0 };
	long across_t[V * V] = { 0 }, across_seed[V * V] = { 0 };
	double p[V], pair[V * V];

	(void)state;
	softmax(logits, 1, p);
	for (int i = 0; i < V * V; i++)
		pair[i] = p[i / V] * p[i % V];
	for (int i = 0; i < DRAWS; i++) {
		int a, b, c;

		o.seed = (uint64_t)i * 2;
		a = sampler_choose(smp, &o, logits, hist, 0, 1);
		b = sampler_choose(smp, &o, logits, hist, 1, 1);
		o.seed++;
		c = sampler_choose(smp, &o, logits, hist, 0, 1);
		across_t[a * V + b]++;
		across_seed[a * V + c]++;
	}
	assert_true(chi_square(across_t, pair, V * V, DRAWS) < LIMIT_63);
	assert_true(chi_square(across_seed, pair, V * V, DRAWS) < LIMIT_63);
}

/* A pure function: same context, settings and seed, same token; the past settings leave nothing. */
static void test_pure(void **state)
{
	struct sampler_opt a = open_law(1), b = SAMPLER_DEFAULTS;
	int hist[3] = { 1, 2, 2 };

	(void)state;
	b.repeat_penalty = 1.7f;
	for (uint64_t seed = 0; seed < 500; seed++) {
		int first;

		a.seed = b.seed = seed;
		first = sampler_choose(smp, &a, logits, hist, 3, 1);
		sampler_choose(smp, &b, logits, hist, 3, 1);
		assert_int_equal(first, sampler_choose(smp, &a, logits, hist, 3, 1));
	}
}

static void test_gumbel(void **state)
{
	double sum = 0, square = 0;

	(void)state;
	for (int i = 0; i < DRAWS; i++) {
		double g = noise_gumbel(1, (uint64_t)i, 5);

		sum += g;
		square += g * g;
	}
	sum /= DRAWS;           /* Euler's constant; variance pi^2 / 6 */
	assert_true(fabs(sum - 0.5772156649) < 0.015);
	assert_true(fabs(square / DRAWS - sum * sum - 1.6449340668) < 0.04);
}

/* That the same seed goes on giving the same answers.  The finaliser is splitmix64's, whose first
 * number from 0 is published; the noise was computed anew in Python from the law's definition. */
static void test_noise(void **state)
{
	static const struct {
		uint64_t seed, t;
		uint32_t v;
		double g;
	} known[] = {
		{ 0, 0, 0, -3.62247112598261 }, { 1, 2, 3, -0.8477755081201501 },
		{ 42, 4095, 151935, 0.7244586120897408 },
		{ UINT64_MAX, 1 << 20, UINT32_MAX, 0.5828424120337911 },
		{ INT64_MAX, 17, 0, -0.2917031241370022 },
	};

	(void)state;
	assert_true(mix64(0x9e3779b97f4a7c15u) == 0xe220a8397b1dcdafu);
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		assert_true(fabs(noise_gumbel(known[i].seed, known[i].t, known[i].v) -
				 known[i].g) < 1e-13);
}

/* Which tokens can be drawn at all under a filter. */
static unsigned support(const struct sampler_opt *law, const int *hist, int n)
{
	struct sampler_opt o = *law;
	unsigned set = 0;

	for (o.seed = 0; o.seed < 20000; o.seed++)
		set |= 1u << sampler_choose(smp, &o, logits, hist, n, 1);
	return set;
}

/* Probabilities of `logits`, best first: 2 .311, 5 .231, 6 .128, 0 .127, 3 .094, 7 .063, 1 .034,
 * 4 .013 (worked out from exp of each in another language). */
static void test_filters(void **state)
{
	struct sampler_opt o = open_law(1);
	int hist[4] = { 2, 2, 5, 0 };

	(void)state;
	assert_int_equal(support(&o, hist, 0), 0xff);
	o.top_k = 3;
	assert_int_equal(support(&o, hist, 0), 1u << 2 | 1u << 5 | 1u << 6);
	o = open_law(1);
	o.top_p = 0.66f;        /* .311 + .231 = .542, + .128 = .670 */
	assert_int_equal(support(&o, hist, 0), 1u << 2 | 1u << 5 | 1u << 6);
	o.top_p = 0.53f;
	assert_int_equal(support(&o, hist, 0), 1u << 2 | 1u << 5);
	o.top_p = 0;            /* always leaves one */
	assert_int_equal(support(&o, hist, 0), 1u << 2);
	o = open_law(1);
	o.min_p = 0.30f;        /* at least .0933: token 3 just stays */
	assert_int_equal(support(&o, hist, 0), 1u << 2 | 1u << 5 | 1u << 6 | 1u | 1u << 3);
	o = open_law(1);
	o.top_k = 2;
	o.presence_penalty = 100;       /* whatever occurred in the last 2 tokens is out */
	o.repeat_last_n = 2;
	assert_int_equal(support(&o, hist, 4), 1u << 2 | 1u << 6);
	o.repeat_last_n = -1;
	assert_int_equal(support(&o, hist, 4), 1u << 6 | 1u << 3);
	o.repeat_last_n = 0;
	assert_int_equal(support(&o, hist, 4), 1u << 2 | 1u << 5);
}

static void test_greedy_and_penalties(void **state)
{
	struct sampler_opt o = SAMPLER_DEFAULTS;
	int hist[4] = { 2, 2, 5, 1 };
	float equal[ROW] = { 0 };

	(void)state;
	o.temp = 0;
	assert_int_equal(sampler_choose(smp, &o, logits, hist, 4, 1), 2);
	assert_int_equal(sampler_choose(smp, &o, equal, hist, 4, 1), 0);        /* ties: first */
	o.repeat_penalty = 2;           /* 1.2 / 2 = .6, .9 / 2 = .45, so .6 still wins */
	assert_int_equal(sampler_choose(smp, &o, logits, hist, 4, 1), 2);
	o.repeat_penalty = 5;           /* .24, .18: now token 6 with .31 */
	assert_int_equal(sampler_choose(smp, &o, logits, hist, 4, 1), 6);
	o.repeat_penalty = 1;
	o.frequency_penalty = 0.2f;     /* 1.2 - .4 = .8, .9 - .2 = .7 */
	assert_int_equal(sampler_choose(smp, &o, logits, hist, 4, 1), 2);
	o.frequency_penalty = 0.4f;     /* .4, .5 */
	assert_int_equal(sampler_choose(smp, &o, logits, hist, 4, 1), 5);
}

/* What ends a turn is worth as much behind many turns as behind none. */
static void test_ends_are_spared(void **state)
{
	unsigned char ends[4] = { 0, 0, 1, 0 };         /* token 2, of a vocabulary of 4 */
	struct sampler_opt o = SAMPLER_DEFAULTS;
	int hist[6] = { 2, 5, 2, 2, 5, 2 };

	(void)state;
	o.temp = 0;
	for (int kind = 0; kind < 3; kind++) {
		o.repeat_penalty = kind == 0 ? 5 : 1;
		o.frequency_penalty = kind == 1 ? 1 : 0;
		o.presence_penalty = kind == 2 ? 1 : 0;
		assert_int_equal(sampler_choose(smp, &o, logits, hist, 6, 1), 6);
		sampler_spare(smp, ends, 4);
		assert_int_equal(sampler_choose(smp, &o, logits, hist, 6, 1), 2);
		ends[2] = 0;    /* token 5, behind what ends says, is penalised as before */
		assert_int_equal(sampler_choose(smp, &o, logits, hist, 6, 1), 6);
		ends[2] = 1;
		sampler_spare(smp, NULL, 0);
	}
}

/* A damaged model's NaN is never chosen while there is a number. */
static void test_nan(void **state)
{
	struct sampler_opt o = open_law(0);
	float x[ROW], none[ROW];
	int hist[1] = { 0 };

	(void)state;
	for (int i = 0; i < V; i++) {
		x[i] = i == 5 ? 1.0f : NAN;
		none[i] = NAN;
	}
	probs_peaks(x, V);
	probs_peaks(none, V);
	assert_int_equal(sampler_choose(smp, &o, x, hist, 1, 1), 5);
	assert_in_range(sampler_choose(smp, &o, none, hist, 1, 1), 0, V - 1);
	o.temp = 0.8f;
	for (o.top_k = 0; o.top_k < 3; o.top_k++) {
		assert_int_equal(sampler_choose(smp, &o, x, hist, 1, 1), 5);
		assert_in_range(sampler_choose(smp, &o, none, hist, 1, 1), 0, V - 1);
	}
}

/* The choice among the k best of many logits, found by ranking every one of them. */
static int slow_choice(const float *x, int n, int k, const struct sampler_opt *o)
{
	int best = -1;
	double top = -INFINITY;

	for (int i = 0; i < n; i++) {
		int rank = 0;
		double score = (double)(x[i] / o->temp) +
			       noise_gumbel(o->seed, 0, (uint32_t)i);

		for (int j = 0; j < n; j++)
			rank += x[j] > x[i] || (x[j] == x[i] && j < i);
		if (rank < k && score > top) {
			top = score;
			best = i;
		}
	}
	return best;
}

/* Large rows, of which only the groups with a large peak are read; many equal logits. */
static void test_top_k(void **state)
{
	enum { N = 1003 };
	static float row[N + N / PEAK + 1];
	struct sampler_opt o = open_law(0.8f);
	struct sampler *many;
	int hist[1] = { 0 };
	char err[ERR_MAX];

	(void)state;
	many = sampler_open(N, NULL, err);
	assert_non_null(many);
	for (o.seed = 0; o.seed < 60; o.seed++) {
		for (int i = 0; i < N; i++)
			row[i] = (float)((i * 7919 + (int)o.seed * 31) % 97) / 16.0f;
		probs_peaks(row, N);
		for (o.top_k = 1; o.top_k < N; o.top_k = o.top_k * 3 + 1)
			assert_int_equal(sampler_choose(many, &o, row, hist, 0, 1),
					 slow_choice(row, N, o.top_k, &o));
	}
	sampler_close(many);
}

/* ---- the acceptance rule ---- */

/* Three rows of logits of a toy model in which the next distribution depends on the last token. */
static void toy_row(int last, float *row)
{
	for (int v = 0; v < V; v++)
		row[v] = logits[(v * 3 + last) % V];
	probs_peaks(row, V);
}

typedef int rule(struct sampler *, const struct sampler_opt *, const float *, int, const int *, int,
		 int, int *);

/* A rule that keeps a draft whenever it is likely enough, instead of when it is the choice. */
static int lenient(struct sampler *s, const struct sampler_opt *law, const float *rows, int n_vocab,
		   const int *hist, int n, int k, int *out)
{
	for (int i = 0; i < k; i++) {
		out[i] = sampler_choose(s, law, row_at(rows, n_vocab, i), hist, n + i, 1);
		if (out[i] != hist[n + i] && row_at(rows, n_vocab, i)[hist[n + i]] < 0.5f)
			return i + 1;
		out[i] = hist[n + i];
	}
	out[k] = sampler_choose(s, law, row_at(rows, n_vocab, k), hist, n + k, 1);
	return k + 1;
}

/* Two tokens written with drafts (d1, d2) that know nothing of the choice: law of the pair. */
static double rule_distance(rule *r)
{
	struct sampler_opt o = open_law(1);
	long count[V * V] = { 0 };
	double want[V * V], p[V];
	float row[ROW];

	for (int a = 0; a < V; a++) {
		double q[V];

		toy_row(0, row);
		softmax(row, 1, p);
		toy_row(a, row);
		softmax(row, 1, q);
		for (int b = 0; b < V; b++)
			want[a * V + b] = p[a] * q[b];
	}
	for (int i = 0; i < DRAWS; i++) {
		int hist[4] = { 0, i % V, i / V % V, 0 }, out[4], n;
		float rows[3 * ROW];

		o.seed = (uint64_t)i;
		for (int j = 0; j < 3; j++)
			toy_row(hist[j], rows + j * ROW);
		n = r(smp, &o, rows, V, hist, 1, 2, out);
		if (n == 1) {           /* the second token comes from the next pass */
			hist[1] = out[0];
			toy_row(out[0], rows);
			out[1] = sampler_choose(smp, &o, rows, hist, 2, 1);
		}
		count[out[0] * V + out[1]]++;
	}
	return chi_square(count, want, V * V, DRAWS);
}

static void test_rule(void **state)
{
	(void)state;
	assert_true(rule_distance(verify) < LIMIT_63);
	assert_true(rule_distance(lenient) > LIMIT_63);
}

/* Whatever the drafts are, what comes out is what plain choosing would have written. */
static void test_rule_exact(void **state)
{
	(void)state;
	for (int i = 0; i < 20000; i++) {
		struct sampler_opt o = SAMPLER_DEFAULTS;
		int hist[8] = { 3, i % V, i / 8 % V, i / 64 % V }, out[4], n, plain[8] = { 3 };
		float rows[4 * ROW];

		o.temp = (float)(i % 3) * 0.7f;
		o.seed = (uint64_t)i;
		o.repeat_penalty = i % 5 ? 1.0f : 1.3f;
		for (int j = 0; j < 4; j++)
			toy_row(hist[j], rows + j * ROW);
		n = verify(smp, &o, rows, V, hist, 1, 3, out);
		assert_in_range(n, 1, 4);
		for (int j = 0; j < n; j++) {
			float row[ROW];

			toy_row(plain[j], row);
			plain[j + 1] = sampler_choose(smp, &o, row, plain, j + 1, 1);
			assert_int_equal(out[j], plain[j + 1]);
			assert_true(j == n - 1 ? n == 4 || out[j] != hist[j + 1]
					       : out[j] == hist[j + 1]);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_law),
		cmocka_unit_test(test_independence),
		cmocka_unit_test(test_pure),
		cmocka_unit_test(test_gumbel),
		cmocka_unit_test(test_noise),
		cmocka_unit_test(test_filters),
		cmocka_unit_test(test_greedy_and_penalties),
		cmocka_unit_test(test_ends_are_spared),
		cmocka_unit_test(test_nan),
		cmocka_unit_test(test_top_k),
		cmocka_unit_test(test_rule),
		cmocka_unit_test(test_rule_exact),
	};
	char err[ERR_MAX];

	smp = sampler_open(V, NULL, err);
	return cmocka_run_group_tests_name("choice", tests, NULL, NULL);
}
