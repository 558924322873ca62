/* test_ridge.c - sums of products and least squares against their definition, by elimination
 * without LAPACK. */
#include "engine/calibrate/product.h"
#include "engine/calibrate/ridge.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { IN = 301, OUT = 40, ROWS = 700, PADDED = (IN + 7) / 8 * 8, WIDE = PRODUCT_WIDE };
static float f[ROWS][IN], y[ROWS][OUT];
static double a[IN][IN + OUT], g[PADDED][PADDED], r[PADDED][OUT];

static float noise(void)
{
	return (float)(rand() % 2001 - 1000) / 1000.0f;
}

/* [G + keep | R] reduced to [1 | B]. */
static void eliminate(void)
{
	for (int c = 0; c < IN; c++) {
		for (int j = IN + OUT - 1; j >= c; j--)
			a[c][j] /= a[c][c];
		for (int i = 0; i < IN; i++)
			for (int j = IN + OUT - 1; i != c && j >= c; j--)
				a[i][j] -= a[i][c] * a[c][j];
	}
}

static void expected(int rows, double share)
{
	double mean = 0;

	for (int i = 0; i < IN; i++)
		for (int j = 0; j < IN + OUT; j++) {
			a[i][j] = 0;
			for (int n = 0; n < rows; n++)
				a[i][j] += (double)f[n][i] *
					   (double)(j < IN ? f[n][j] : y[n][j - IN]);
		}
	for (int i = 0; i < IN; i++)
		mean += a[i][i] / IN;
	for (int i = 0; i < IN; i++)
		a[i][i] += share * mean;
}

/* G and R of the first rows. */
static void sum(int rows, int threads)
{
	double *pf = calloc((size_t)rows * PADDED, sizeof(double));
	double *py = calloc((size_t)rows * OUT, sizeof(double));
	struct product p = { .a = pf, .b = pf, .a_panels = PADDED / WIDE, .b_panels = PADDED / WIDE,
			     .rows = rows, .upper = true, .c = g[0], .ld = PADDED };

	memset(g, 0, sizeof(g));
	memset(r, 0, sizeof(r));
	for (int n = 0; n < rows; n++) {
		product_put(pf, rows, n, 0, f[n], IN - 5);
		product_put(pf, rows, n, IN - 5, f[n] + IN - 5, 5);
		product_put(py, rows, n, 0, y[n], OUT);
	}
	product_run(&p, threads);
	p = (struct product){ .a = pf, .b = py, .a_panels = PADDED / WIDE, .b_panels = OUT / WIDE,
			      .rows = rows, .c = r[0], .ld = OUT };
	product_run(&p, threads);
	free(pf);
	free(py);
}

static void check_sums(void)
{
	for (int i = 0; i < IN; i++)
		for (int j = 0; j < IN + OUT; j++)
			if (j >= i)
				assert_true(fabs(a[i][j] - (j < IN ? g[i][j] : r[i][j - IN])) <
					    1e-9);
}

static void test_solve(void **state)
{
	static const int counts[] = { 100, 512, ROWS };
	char err[ERR_MAX];

	(void)state;
	for (int i = 0; i < 3; i++) {
		expected(counts[i], 0);
		sum(counts[i], i + 1);
		check_sums();
		expected(counts[i], 1e-3);
		eliminate();
		assert_int_equal(ridge_factor(IN, 1e-3, g[0], PADDED, err), 0);
		assert_int_equal(ridge_solve(IN, OUT, g[0], PADDED, r[0], i + 1, err), 0);
		for (int j = 0; j < IN * OUT; j++)
			assert_true(fabs(a[j / OUT][IN + j % OUT] - r[j / OUT][j % OUT]) < 1e-6);
	}
}

/* To the bit, as many threads as there may be. */
static void test_threads(void **state)
{
	static double once[PADDED][PADDED];

	(void)state;
	sum(ROWS, 1);
	memcpy(once, g, sizeof(g));
	for (int threads = 2; threads < 5; threads++) {
		sum(ROWS, threads);
		assert_memory_equal(once, g, sizeof(g));
	}
}

static void test_too_little(void **state)
{
	char err[ERR_MAX] = "";

	(void)state;
	sum(5, 1);
	assert_int_equal(ridge_factor(IN, 0, g[0], PADDED, err), -1);
	assert_non_null(strstr(err, "does not determine 301 features"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_solve),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_too_little),
	};

	for (int n = 0; n < ROWS; n++) {
		for (int i = 0; i < IN; i++)
			f[n][i] = i == IN - 1 ? 1 : noise();
		for (int o = 0; o < OUT; o++)
			y[n][o] = f[n][o] - 0.5f * f[n][o + 1] + 0.1f * noise();
	}
	return cmocka_run_group_tests_name("ridge", tests, NULL, NULL);
}
