/* test_ridge.c - least squares against their definition, by elimination without LAPACK. */
#include "engine/ridge.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { IN = 13, OUT = 5, ROWS = 333 };
static float f[ROWS][IN], y[ROWS][OUT];

static float noise(void)
{
	return (float)(rand() % 2001 - 1000) / 1000.0f;
}

/* [G + keep | R] reduced to [1 | B] with the largest pivot of each column. */
static void eliminate(double a[IN][IN + OUT])
{
	for (int c = 0; c < IN; c++) {
		int best = c;

		for (int i = c; i < IN; i++)
			best = fabs(a[i][c]) > fabs(a[best][c]) ? i : best;
		for (int j = 0; j < IN + OUT; j++) {
			double swap = a[c][j];

			a[c][j] = a[best][j];
			a[best][j] = swap;
		}
		for (int j = IN + OUT - 1; j >= c; j--)
			a[c][j] /= a[c][c];
		for (int i = 0; i < IN; i++)
			for (int j = IN + OUT - 1; i != c && j >= c; j--)
				a[i][j] -= a[i][c] * a[c][j];
	}
}

static void expected(int rows, double share, double a[IN][IN + OUT])
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
	eliminate(a);
}

/* More rows come after a solution; blocks that are full, and that are not. */
static void test_solve(void **state)
{
	static const int counts[] = { 1, 100, 256, ROWS };
	char err[ERR_MAX];
	struct ridge *r = ridge_open(IN, OUT, err);
	double want[IN][IN + OUT];
	float b[IN][OUT];
	int at = 0;

	(void)state;
	assert_non_null(r);
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		ridge_add(r, counts[i] - at, f[at], y[at]);
		at = counts[i];
		assert_int_equal(ridge_rows(r), at);
		assert_int_equal(ridge_solve(r, 1e-3, b[0], err), 0);
		expected(at, 1e-3, want);
		for (int j = 0; j < IN * OUT; j++)
			assert_true(fabs(want[j / OUT][IN + j % OUT] -
					 (double)b[j / OUT][j % OUT]) < 1e-6);
	}
	ridge_close(r);
}

static void test_too_little(void **state)
{
	char err[ERR_MAX] = "";
	struct ridge *r = ridge_open(IN, OUT, err);
	float b[IN][OUT];

	(void)state;
	assert_int_equal(ridge_solve(r, 0, b[0], err), -1);
	assert_non_null(strstr(err, "0 rows do not determine"));
	ridge_close(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_solve),
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
