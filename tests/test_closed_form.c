/* test_closed_form.c - the bridges that calibration solves for against those of numpy, from rows
 * that come as passes show them.  They are made as tests/tools/make_ridge_vectors.py makes them. */
#include "engine/calibrate/calibrate_parts.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { WIDTH = 32, LAYERS = 6, K = 3, SITES = 5, ROWS_MOST = 256, FEATURES = 3 * WIDTH + 1 };
static const int text_rows[] = { 150, 7, 3, 220, 90 };
static const int site[SITES] = { 1, 2, 3, 4, LAYERS - 1 };
static float made[SITES][ROWS_MOST][WIDTH];

static void make_rows(int text)
{
	for (int i = 0; i < SITES; i++)
		for (int p = 0; p < text_rows[text]; p++)
			for (int j = 0; j < WIDTH; j++) {
				int64_t x = ((int64_t)text * 7919 + (int64_t)i * 104729 +
					     (int64_t)p * 1299709 + (int64_t)j * 15485863 +
					     12345) % 2147483647 * 48271 % 2147483647;
				double before = p ? (double)made[i][p - 1][(j + 1) % WIDTH] : 0;
				double below = i ? (double)made[0][p][j] : 0;

				made[i][p][j] = (float)(before * 0.5 + below * 0.25 +
							(double)(x / 64 % 257 - 128) / 64 +
							(j % 5) * 0.125);
			}
}

/* What a pass shows, the residual rows among other things. */
static void show(struct sums *s, int from, int n)
{
	static float other[ROWS_MOST][WIDTH];

	for (int l = -1; l < LAYERS; l++)
		for (int i = 0; i < SITES; i++) {
			if (l >= 0)
				sums_watch(s, "output", l, other[0], n, WIDTH);
			if (site[i] == l + 1)
				sums_watch(s, l < 0 ? "embedding" : "down", l, made[i][from], n,
					   WIDTH);
			if (l >= 0)
				sums_watch(s, "gate+up", l, other[0], n, 2 * WIDTH);
		}
}

/* In pieces of all sizes, in this lane and one row at a time in another. */
static void read_text(struct sums *s, int text)
{
	int lane[ROWS_MOST], n, own = text % 2 ? 2 : 0;

	make_rows(text);
	sums_begin(s, own);
	for (int i = 0; i < ROWS_MOST; i++)
		lane[i] = own;
	for (int at = 0; at < text_rows[text]; at += n) {
		n = at % 9 + 1;
		n = n < text_rows[text] - at ? n : text_rows[text] - at;
		show(s, at, n);
		lane[0] = at ? own : -1;        /* does not count */
		if (at == 0) {
			sums_pass(s, n, lane);
			lane[0] = own;
		}
		sums_pass(s, n, lane);
	}
}

static void test_numpy(void **state)
{
	struct shape at = { WIDTH, LAYERS, K, { 1, 2 }, 2, { 3, 4 }, 2 };
	char err[ERR_MAX], line[128];
	struct sums *s = sums_open(&at, 3, ROWS_MOST, 2, err);
	static double b[2][2][K][FEATURES][WIDTH];
	FILE *f = fopen("tests/vectors/ridge.txt", "r");
	double off = 0, all = 0;
	int v[5], n = 0;

	(void)state;
	assert_non_null(s);
	assert_non_null(f);
	for (int t = 0; t < 5; t++)
		read_text(s, t);
	for (int i = 0; i < 4; i++) {
		struct built built;

		assert_int_equal(sums_solve(s, i / 2, i % 2, &built, b[i / 2][i % 2][0][0], err),
				 0);
		assert_int_equal(built.g.a, at.a[i / 2]);
		assert_int_equal(built.g.s, at.s[i % 2]);
		for (int j = 0; j < K * WIDTH; j++) {
			double want = b[i / 2][i % 2][j / WIDTH][FEATURES - 1][j % WIDTH];
			float row[3 * WIDTH];

			assert_true(fabs(((const float *)built.bias.data)[j] - want) < 1e-6);
			quant_row(QUANT_Q8_0, (const char *)built.weight.data + j * 3 * 34, row,
				  3 * WIDTH);
			for (int k = 0; k < 3 * WIDTH; k++) {
				want = b[i / 2][i % 2][j / WIDTH][k][j % WIDTH];
				assert_true(fabs((double)row[k] - want) < 0.01);
			}
		}
		built_free(&built);
	}
	while (fgets(line, sizeof(line), f)) {
		double want, have;

		if (sscanf(line, "%d %d %d %d %d %lf", v, v + 1, v + 2, v + 3, v + 4, &want) != 6)
			continue;
		have = b[v[0]][v[1]][v[2]][v[3]][v[4]];
		off += (have - want) * (have - want);
		all += want * want;
		n++;
	}
	print_message("# %d numbers, apart by %.2g\n", n, sqrt(off / all));
	assert_true(n > 1000 && sqrt(off / all) < 1e-6);
	fclose(f);
	sums_close(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_numpy),
	};

	return cmocka_run_group_tests_name("closed form", tests, NULL, NULL);
}
