/* test_slots.c - the cache of DIP-CA without a model: which columns have slots, against a reference
 * that searches naively; what rows choose by them, by hand and against plain DIP; what a token
 * costs, as the authors' own test has it; and that drafts leave no trace.
 *
 * Rows are made of what stands at a position, so that a text can be run in other passes. */
#include "kernels/columns/column_cache.h"
#include "kernels/topk.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { LAYERS = 3, N_IN = 96, N_HIDDEN = 200, K_IN = 40, K_HIDDEN = 50, BYTES = 1000, ROWS = 16 };

static uint64_t seed = 1;

static uint64_t draw(uint64_t n)
{
	seed += 0x9e3779b97f4a7c15u;
	return mix64(seed) % n;
}

/* ---- slots against a reference ---- */

struct naive {
	int n, most;
	bool lru;
	long rows;
	bool there[N_HIDDEN];
	long count[N_HIDDEN], last[N_HIDDEN];
};

static int population(const struct naive *s)
{
	int n = 0;

	for (int i = 0; i < s->n; i++)
		n += s->there[i];
	return n;
}

/* One column leaves that the row does not read: the least, of equal ones the last. */
static bool evict(struct naive *s, const bool *row)
{
	int worst = -1;

	for (int i = 0; i < s->n; i++) {
		const long *by = s->lru ? s->last : s->count;

		if (s->there[i] && !row[i] && (worst < 0 || by[i] <= by[worst]))
			worst = i;
	}
	if (worst >= 0)
		s->there[worst] = false;
	return worst >= 0;
}

static int naive_use(struct naive *s, const bool *row)
{
	int hits = 0;

	s->rows++;
	for (int i = 0; i < s->n; i++) {
		hits += row[i] && s->there[i];
		s->count[i] += row[i];
		s->last[i] = row[i] ? s->rows : s->last[i];
	}
	for (int i = 0; i < s->n; i++)
		if (row[i] && !s->there[i] && (population(s) < s->most || evict(s, row)))
			s->there[i] = true;
	return hits;
}

static void check_table(const struct slots *s, const struct naive *want)
{
	bool in_use[N_HIDDEN] = { false };

	for (int i = 0; i < s->n; i++) {
		assert_int_equal(s->slot[i] >= 0, want->there[i]);
		if (s->slot[i] < 0)
			continue;
		assert_in_range(s->slot[i], 0, s->most - 1);
		assert_false(in_use[s->slot[i]]);
		in_use[s->slot[i]] = true;
	}
}

/* Rows that like some columns more than others, of changing size: some alone more than there are
 * slots. */
static void check_trace(enum slot_policy policy, int n, int most)
{
	struct naive want = { .n = n, .most = most, .lru = policy == SLOTS_LRU };
	uint64_t set[(N_HIDDEN + 63) / 64];
	char err[ERR_MAX];
	struct slots s;

	assert_int_equal(slots_open(&s, n, most, policy, err), 0);
	for (int t = 0; t < 200; t++) {
		bool row[N_HIDDEN] = { false };
		int k = 1 + (int)draw((uint64_t)(t % 10 ? n / 3 : n));

		memset(set, 0, sizeof(set));
		for (int i = 0; i < k; i++) {
			int at = (int)(draw((uint64_t)n) * draw((uint64_t)n) / (uint64_t)n);

			row[at] = true;
			set[at / 64] |= (uint64_t)1 << (at % 64);
		}
		assert_int_equal(slots_use(&s, set), naive_use(&want, row));
		check_table(&s, &want);
		assert_true(population(&want) <= most);
	}
	slots_close(&s);
}

static void test_reference(void **state)
{
	(void)state;
	for (int i = 0; i < 12; i++) {
		int n = 1 + (int)draw(N_HIDDEN), most = (int)draw((uint64_t)n + 1);

		check_trace(SLOTS_LFU, n, most);
		check_trace(SLOTS_LRU, n, most);
	}
}

/* ---- the cache of a model ---- */

static struct gguf_tensor tensor[LAYER_MATS];
static struct model model;

/* Columns of gate and up of BYTES each, together twice that, and of down. */
static void make_model(void)
{
	model.cfg.n_layers = LAYERS;
	for (int i = 0; i < LAYER_MATS; i++) {
		tensor[i].dim[0] = i == MAT_DOWN ? N_HIDDEN : N_IN;
		tensor[i].bytes = BYTES * (size_t)tensor[i].dim[0];
		for (int l = 0; l < LAYERS; l++)
			model.layer[l].mat[i] = &tensor[i];
	}
}

static struct column_cache *open_cache(size_t bytes, enum slot_policy policy)
{
	struct column_cache_opt o = { .bytes = bytes, .policy = policy };
	char err[ERR_MAX];
	struct column_cache *c = column_cache_new(&model, &o, ROWS, err);

	assert_non_null(c);
	return c;
}

static int width(int side)
{
	return side == COLUMNS_IN ? N_IN : N_HIDDEN;
}

/* The numbers of a row of a text, before any is left out; neighbours are alike. */
static void make_row(int text, int pos, int layer, int side, float *x)
{
	uint64_t before = seed;

	for (int i = 0; i < width(side); i++) {
		double sum = 0;

		for (int p = pos - 2; p <= pos; p++) {
			seed = mix64((uint64_t)(((text * 1000 + p + 8) * 8 + layer) * 2 + side) *
				     1000 + (uint64_t)i);
			sum += (double)draw(2001) / 1000 - 1;
		}
		x[i] = (float)sum;
	}
	seed = before;
}

static struct column_choice choice_of(int layer, int side, float gamma)
{
	return (struct column_choice){ .layer = layer, .side = (enum column_side)side,
				       .k = side == COLUMNS_IN ? K_IN : K_HIDDEN, .gamma = gamma };
}

/* A pass; keeps what each row chose. */
static void run(struct column_cache *c, const int *text, int pos, int n, float gamma,
		float (*out)[LAYERS][COLUMN_SIDES][N_HIDDEN])
{
	column_cache_pass(c, pos, n);
	for (int l = 0; l < LAYERS; l++)
		for (int side = 0; side < COLUMN_SIDES; side++)
			for (int i = 0; i < n; i++) {
				struct column_choice h = choice_of(l, side, gamma);
				float *x = out[pos + i][l][side];

				make_row(text[i], pos + i, l, side, x);
				column_cache_choose(c, &h, i, x);
			}
}

/* The authors' test: k columns from the slow memory, then the same ones from the fast one. */
static void test_cost(void **state)
{
	struct column_cache *c = open_cache((size_t)1 << 30, SLOTS_LFU);
	size_t each = LAYERS * (size_t)(2 * K_IN + K_HIDDEN) * BYTES;
	float x[N_HIDDEN];

	(void)state;
	for (int t = 0; t < 2; t++) {
		struct column_counts n;

		column_cache_pass(c, t, 1);
		for (int l = 0; l < LAYERS; l++)
			for (int side = 0; side < COLUMN_SIDES; side++) {
				struct column_choice h = choice_of(l, side, .1f);

				make_row(7, 7, l, side, x);
				column_cache_choose(c, &h, 0, x);
			}
		n = column_cache_counts(c);
		assert_int_equal(n.rows, t + 1);
		assert_int_equal(n.slow, each);
		assert_int_equal(n.fast, t * each);
		assert_int_equal(n.used, (t + 1) * LAYERS * (K_IN + K_HIDDEN));
		assert_int_equal(n.hits, t * LAYERS * (K_IN + K_HIDDEN));
	}
	column_cache_anew(c);
	assert_int_equal(column_cache_counts(c).used, 0);
	column_cache_free(c);
}

/* An even share for every matrix, whole columns, and no more than there are. */
static void test_sizes(void **state)
{
	static const size_t bytes[] = { 1, 9 * BYTES, 9 * 31 * BYTES, 9 * 31 * BYTES + BYTES,
					9 * 120 * BYTES, 9 * 500 * BYTES };
	static const int want[][2] = { { 0, 0 }, { 1, 1 }, { 31, 31 }, { 31, 31 }, { 96, 120 },
				       { 96, 200 } };

	(void)state;
	for (int i = 0; i < 6; i++) {
		struct column_cache_opt o = { .bytes = bytes[i] };

		assert_int_equal(column_slots(&model, &o, 1, COLUMNS_IN), want[i][0]);
		assert_int_equal(column_slots(&model, &o, 2, COLUMNS_HIDDEN), want[i][1]);
	}
}

/* By hand: of six numbers three, two of which have slots by then. */
static void test_equation(void **state)
{
	float x[6] = { 1, 5, 4, 1, 1, 1 }, w[6];
	char err[ERR_MAX];
	struct slots s;

	(void)state;
	assert_int_equal(slots_open(&s, 6, 2, SLOTS_LFU, err), 0);
	assert_int_equal(slots_use(&s, &(uint64_t){ 1 << 0 | 1 << 3 }), 0);
	slots_weigh(&s, NULL, .25f, w);
	assert_memory_equal(w, ((float[]){ 1, .25f, .25f, 1, .25f, .25f }), sizeof(w));
	topk_keep(x, w, 6, 3);  /* scores 1, 1.25, 1, 1, .25, .25: of equal ones the first */
	assert_memory_equal(x, ((float[]){ 1, 5, 4, 0, 0, 0 }), sizeof(x));
	slots_weigh(&s, (float[]){ 2, 3, 4, 5, 6, 7 }, .5f, w);
	assert_memory_equal(w, ((float[]){ 2, 1.5f, 2, 5, 3, 3.5f }), sizeof(w));
	slots_close(&s);
}

/* With gamma 1 rows choose as plain DIP does, whatever the cache holds. */
static void test_gamma_one(void **state)
{
	static float got[60][LAYERS][COLUMN_SIDES][N_HIDDEN];
	int text[ROWS] = { 0 };

	(void)state;
	for (size_t slots = 0; slots <= 210; slots += 35) {
		struct column_cache *c = open_cache(slots * 9 * BYTES + 1, SLOTS_LFU);

		for (int pos = 0; pos < 60; pos += 4)
			run(c, text, pos, 4, 1, got);
		for (int pos = 0; pos < 60; pos++)
			for (int i = 0; i < LAYERS * COLUMN_SIDES; i++) {
				int l = i / 2, side = i % 2;
				float x[N_HIDDEN];

				make_row(0, pos, l, side, x);
				topk_keep(x, NULL, width(side), side ? K_HIDDEN : K_IN);
				assert_memory_equal(x, got[pos][l][side],
						    sizeof(*x) * (size_t)width(side));
			}
		column_cache_free(c);
	}
}

/* A text in passes of any size, behind some of which drafts of another text did not hold, chooses
 * what it chooses row by row. */
static void test_drafts(void **state)
{
	enum { LEN = 120 };
	static float want[LEN + ROWS][LAYERS][COLUMN_SIDES][N_HIDDEN];
	static float got[LEN + ROWS][LAYERS][COLUMN_SIDES][N_HIDDEN];
	static float last[LEN + ROWS][LAYERS][COLUMN_SIDES][N_HIDDEN];
	long differ = 0;

	(void)state;
	for (int round = 0; round < 6; round++) {
		float gamma = round % 2 ? .2f : .5f;
		enum slot_policy policy = round / 2 % 2 ? SLOTS_LRU : SLOTS_LFU;
		struct column_cache *c = open_cache(9 * 55 * BYTES, policy);
		int text[ROWS] = { 0 };

		for (int pos = 0; pos < LEN; pos++)
			run(c, text, pos, 1, gamma, want);
		column_cache_anew(c);
		for (int pos = 0, kept; pos < LEN; pos += kept) {
			int n = 1 + (int)draw(ROWS);

			kept = 1 + (int)draw((uint64_t)n);
			kept = kept < LEN - pos ? kept : LEN - pos;
			for (int i = 0; i < ROWS; i++)
				text[i] = i < kept ? 0 : 1 + round;
			run(c, text, pos, n, gamma, got);
			memcpy(last + pos, got + pos, sizeof(*last) * (size_t)kept);
			if (draw(4) == 0)       /* drafts that do not choose by the cache */
				for (int i = 0; i < 3; i++)
					column_cache_pass(c, pos + kept + i, 0);
		}
		assert_memory_equal(want, last, sizeof(*want) * LEN);
		/* the cache does matter */
		column_cache_pass(c, 0, 0);
		run(c, (int[ROWS]){ 0 }, 0, ROWS, 1, got);
		for (int i = 0; i < ROWS; i++)
			differ += memcmp(want[i], got[i], sizeof(want[i])) != 0;
		column_cache_free(c);
	}
	assert_true(differ > ROWS);
}

/* What begins before the text that was run is another text. */
static void test_back(void **state)
{
	static float want[80][LAYERS][COLUMN_SIDES][N_HIDDEN];
	static float got[80][LAYERS][COLUMN_SIDES][N_HIDDEN];
	struct column_cache *c = open_cache(9 * 55 * BYTES, SLOTS_LFU);
	int text[ROWS] = { 0 };

	(void)state;
	for (int i = 0; i < 2; i++)
		for (int pos = 0; pos < 64; pos += 8)
			run(c, text, pos, 8, .2f, i ? got : want);
	assert_memory_equal(want, got, sizeof(*want) * 64);
	/* to the same place again: as if it had not been */
	run(c, text, 64, 8, .2f, want);
	run(c, text, 64, 8, .2f, got);
	assert_memory_equal(want + 64, got + 64, sizeof(*want) * 8);
	column_cache_free(c);
}

/* Whether behind t rows that read column 0 alone, the only one with a slot, a number of x there is
 * less than `more` times it elsewhere. */
static bool goes_elsewhere(int t, float more)
{
	struct column_cache *c = open_cache(9 * BYTES, SLOTS_LFU);
	struct column_choice h = choice_of(0, COLUMNS_IN, .2f);
	float x[N_IN] = { 1 };

	h.warm = true;
	h.k = 1;
	for (int pos = 0; pos <= t; pos++) {
		x[1] = pos == t ? more : 0;
		column_cache_pass(c, pos, 1);
		column_cache_choose(c, &h, 0, x);
	}
	column_cache_free(c);
	return x[1] != 0;
}

/* As the authors' code has it, by hand: 1 - .8 * (1 - .2^(t/4)) of row t. */
static void test_warm(void **state)
{
	static const struct {
		int row;
		float gamma;
	} at[] = { { 1, .7350f }, { 2, .5578f }, { 4, .36f }, { 8, .232f }, { 12, .2064f } };

	(void)state;
	for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
		assert_true(goes_elsewhere(at[i].row, 1.002f / at[i].gamma));
		assert_false(goes_elsewhere(at[i].row, .998f / at[i].gamma));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reference),
		cmocka_unit_test(test_equation),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_cost),
		cmocka_unit_test(test_gamma_one),
		cmocka_unit_test(test_drafts),
		cmocka_unit_test(test_back),
		cmocka_unit_test(test_warm),
	};

	make_model();
	return cmocka_run_group_tests_name("slots", tests, NULL, NULL);
}
