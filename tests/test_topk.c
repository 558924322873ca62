/* test_topk.c - which numbers of a row are kept, against qsort by score and place: random rows,
 * rows of few values, zeros of both signs, infinities, what is not a number; with weights too. */
#include "base/util.h"
#include "kernels/topk.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MOST = 3000, ROWS = 400 };

struct place {
	float score;
	int at;
};

/* Numbers by falling score, then what is none; equal ones by place. */
static int before(const void *a, const void *b)
{
	const struct place *x = a, *y = b;
	bool no_x = isnan(x->score), no_y = isnan(y->score);

	if (no_x != no_y)
		return no_x - no_y;
	if (!no_x && x->score != y->score)
		return x->score < y->score ? 1 : -1;
	return x->at - y->at;
}

static uint64_t seed = 1;

static uint64_t draw(uint64_t n)
{
	seed += 0x9e3779b97f4a7c15u;
	return mix64(seed) % n;
}

static float any_bits(void)
{
	uint32_t bits = (uint32_t)draw((uint64_t)1 << 32);
	float f;

	memcpy(&f, &bits, sizeof(f));
	return f;
}

static float number(int kind)
{
	static const float odd[] = { 0, -0.0f, INFINITY, -INFINITY, NAN, -NAN, 1, -1, 1e-40f };

	if (kind == 0)                  /* close to each other, as activations are */
		return ((float)draw(2000001) - 1e6f) / 3e5f;
	if (kind == 1)
		return (float)draw(7) - 3;
	return kind == 2 ? odd[draw(9)] : any_bits();
}

static void check(const float *x, const float *weight, int n, int k)
{
	static struct place order[MOST];
	float want[MOST], got[MOST];

	for (int i = 0; i < n; i++)
		order[i] = (struct place){ fabsf(weight ? x[i] * weight[i] : x[i]), i };
	qsort(order, (size_t)n, sizeof(*order), before);
	memset(want, 0, sizeof(want));
	for (int i = 0; i < k && i < n; i++)
		want[order[i].at] = x[order[i].at];
	memcpy(got, x, sizeof(*x) * (size_t)n);
	topk_keep(got, weight, n, k);
	assert_memory_equal(want, got, sizeof(*x) * (size_t)n);
}

static void test_against_sort(void **state)
{
	static const int parts[] = { 1, 2, 50, 90, 99, 100, 101 };
	float x[MOST], weight[MOST];

	(void)state;
	for (int row = 0; row < ROWS; row++) {
		int n = row < 40 ? row + 1 : 1 + (int)draw(MOST - 1), kind = row % 4;

		for (int i = 0; i < n; i++) {
			x[i] = number(kind);
			weight[i] = fabsf(number(kind ? kind : 1)) + (kind == 0);
		}
		for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
			int k = n * parts[i] / 100;

			check(x, NULL, n, k < 1 ? 1 : k);
			check(x, weight, n, k < 1 ? 1 : k);
		}
		check(x, NULL, n, 1 + (int)draw((uint64_t)n));
	}
}

/* By hand: of equal ones the first; zeros behind all other numbers; what is none behind these. */
static void test_ties(void **state)
{
	float x[] = { 1, -2, 2, 0, -2, NAN }, y[6];
	static const float want[][6] = {
		{ 0, -2, 0, 0, 0, 0 }, { 0, -2, 2, 0, 0, 0 }, { 0, -2, 2, 0, -2, 0 },
		{ 1, -2, 2, 0, -2, 0 }, { 1, -2, 2, 0, -2, 0 },
	};

	(void)state;
	for (int k = 1; k <= 5; k++) {
		memcpy(y, x, sizeof(x));
		topk_keep(y, NULL, 6, k);
		assert_memory_equal(y, want[k - 1], sizeof(y));
	}
	memcpy(y, x, sizeof(x));
	topk_keep(y, NULL, 6, 6);
	assert_memory_equal(y, x, sizeof(y));
	memcpy(y, x, sizeof(x));
	topk_keep(y, (float[]){ 5, 1, 2, 9, 1, 9 }, 6, 2);      /* scores 5, 2, 4, 0, 2 */
	assert_memory_equal(y, ((float[]){ 1, 0, 2, 0, 0, 0 }), sizeof(y));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_against_sort),
		cmocka_unit_test(test_ties),
	};

	return cmocka_run_group_tests_name("topk", tests, NULL, NULL);
}
