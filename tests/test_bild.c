/* test_bild.c - bild at the ends of its thresholds, on tiny random models: what it keeps, what it
 * takes back, who begins and who ends; the same for the published control flow. */
#include "engine/decode/probs.h"
#include "tests/strategy_kit.h"
#include <math.h>

static const char BIG[] = "build/test-bild.gguf", LITTLE[] = "build/test-bild-little.gguf";

/* Writes an answer with bild's lossy rule; returns its length. */
static int lossy(int which, bool paper, float fallback, float rollback, int *out)
{
	begin(which, 0, 1, 1);
	engine->strat.opt.rollback_exact = false;
	engine->strat.opt.bild_paper = paper;
	engine->strat.opt.fallback = fallback;
	engine->strat.opt.rollback = rollback;
	return answer(bild, out);
}

static void test_limits(void **state)
{
	const struct strategy_stats *st = &engine->strat.stats;
	int want[LEN], got[LEN], n, differs = 0;
	long right = 0;

	(void)state;
	for (int p = 0; p < PROMPTS; p++) {
		begin(p, 0, 1, 1);
		n = answer(plain, want);
		assert_int_equal(lossy(p, false, 1.01f, 3, got), n);    /* the big model alone */
		assert_memory_equal(want, got, sizeof(int) * (size_t)n);
		right += st->accepted;  /* guesses of its choice */
		assert_int_equal(lossy(p, false, 0.1f, 0, got), n);    /* only first choices */
		assert_memory_equal(want, got, sizeof(int) * (size_t)n);
		assert_true(st->drafted > 0);
		n = lossy(p, false, 0.0f, INFINITY, got);       /* nothing is ever taken back */
		all_accepted();
		assert_int_equal(got[0], want[0]);              /* the big model begins */
		differs += n < LEN || memcmp(want, got, sizeof(want)) != 0;
	}
	assert_true(differs > 0);       /* lossy is lossy */
	assert_true(right > LEN);
	assert_false(strategy_exact(&engine->strat));
	engine->strat.opt.rollback_exact = true;
	assert_true(strategy_exact(&engine->strat));
}

/* The row of logits of a session for what follows tok[0..n-1]. */
static const float *opinion(struct session *s, const int *tok, int n)
{
	char err[ERR_MAX];
	const float *row;
	int left;

	assert_int_equal(session_set(s, tok, n, err), 0);
	while ((left = session_prefill(s, err)) > 0)
		;
	assert_int_equal(left, 0);
	row = session_extend(s, NULL, 0, err);
	assert_non_null(row);
	session_truncate(s, n);
	return row;
}

/* Every token is the big model's own choice, or one that the little model was sure of and the big
 * one could live with, as both models say when they are asked token by token. */
static void test_policy(void **state)
{
	static const float fallback = 0.4f, rollback = 3.5f;
	int got[LEN], ids[64 + LEN], top, lenient = 0, unsure = 0;

	(void)state;
	for (int p = 0; p < PROMPTS; p++) {
		int n = make_prompt(p, ids), len = lossy(p, false, fallback, rollback, got);

		for (int i = 0; i < len; i++) {
			const float *row = opinion(&engine->target, ids, n + i);
			int n_out = engine->target.n_out, first = probs_argmax(row, n_out);
			double log_p = (double)row[got[i]] - probs_log_sum(row, n_out);
			double sure = probs_top(opinion(&engine->draft, ids, n + i),
						engine->draft.n_out, &top);

			ids[n + i] = got[i];
			unsure += got[i] == first && top == first && sure < (double)fallback;
			if (got[i] == first)
				continue;
			assert_int_equal(got[i], top);
			assert_true(sure > (double)fallback - 1e-3);
			assert_true(-log_p < (double)rollback + 1e-3);
			lenient++;
		}
	}
	print_message("# %d tokens not the big model's choice, %d guesses where the little one was "
		      "unsure right\n", lenient, unsure);
	assert_true(lenient > 10 && unsure > 10);
}

/* What runs cost decides how long an exact strategy drafts, never what bild writes. */
static void test_no_clock(void **state)
{
	int want[LEN], got[LEN], n;

	(void)state;
	for (int i = 0; i < 2 * PROMPTS; i++) {
		n = lossy(i / 2, false, 0.2f, 3, i % 2 ? got : want);
		engine->cost = (struct cost){ .first_s = i % 2 ? 0 : 0.1,
					      .row_s = { 0.001 }, .step_s = 1e-6,
					      .tokens = 1, .seconds = 0.1 };
		if (i % 2)
			assert_memory_equal(want, got, sizeof(int) * (size_t)n);
	}
}

static void test_most_in_a_row(void **state)
{
	const struct strategy_stats *st = &engine->strat.stats;
	int got[LEN];

	(void)state;
	lossy(1, false, 0, INFINITY, got);
	assert_true(st->pos_tested[9] > 3);
	assert_int_equal(st->pos_tested[10], 0);        /* 10 unless told otherwise */
	lossy(1, true, 0, INFINITY, got);
	assert_true(st->pos_tested[DRAFT_MAX - 1] > 3); /* the paper knows no limit */
}

/* What the little model writes alone. */
static void little_alone(int which, int *out)
{
	struct engine_opt o = { .model = LITTLE, .n_ctx = 512,
				.be = { .n_threads = 1, .n_batch = 64 } };
	struct engine *both = engine;
	char err[ERR_MAX];

	engine = engine_open(&o, err);
	assert_non_null(engine);
	begin(which, 0, 1, 1);
	answer(plain, out);
	engine_close(engine);
	engine = both;
}

/* The published rule looks at -log p alone: with rollback 0 the big model's own first choice goes
 * too, and comes back as its word.  The little model begins. */
static void test_paper(void **state)
{
	const struct strategy_stats *st = &engine->strat.stats;
	int want[LEN], got[LEN], alone[LEN], n, other = 0;

	(void)state;
	for (int p = 0; p < PROMPTS; p++) {
		begin(p, 0, 1, 1);
		n = answer(plain, want);
		assert_int_equal(lossy(p, true, 1.01f, 3, got), n);
		assert_memory_equal(want, got, sizeof(int) * (size_t)n);
		assert_int_equal(st->drafted, 0);
		assert_int_equal(lossy(p, true, 0, 0, got), n);
		assert_memory_equal(want, got, sizeof(int) * (size_t)n);
		assert_int_equal(st->accepted, 0);
		assert_true(st->tested > LEN / 2);
		lossy(p, true, 0, INFINITY, got);
		all_accepted();
		little_alone(p, alone);
		assert_memory_equal(got, alone, sizeof(int) * DRAFT_MAX);
		other += got[0] != want[0];
	}
	assert_true(other > 0);
}

/* Steps until the answer ends; true if the little model ended it unseen. */
static bool ends_unseen(bool paper, uint64_t seed)
{
	struct emit e[STEP_MAX];
	char err[ERR_MAX];
	bool done = false;

	begin(3, 1.5f, seed, 1);
	engine->strat.law.top_k = 0;
	engine->strat.law.min_p = 0;
	engine->strat.opt = (struct strategy_opt)STRATEGY_DEFAULTS;
	engine->strat.opt.bild_paper = paper;
	engine->strat.opt.fallback = 0;
	engine->strat.opt.rollback = INFINITY;
	assert_int_equal(engine_strategy(engine, "bild", err), 0);
	for (int n = 0; n < LEN && !done;) {
		int got = engine_step(engine, LEN - n, e, &done, err);

		assert_in_range(got, 1, LEN - n);
		n += got;
	}
	return done && engine->target.n_kv < engine->target.n - 1;
}

/* An end of the little model's counts at once in the paper; else the big one has seen it. */
static void test_end(void **state)
{
	int want[LEN], got[LEN], unseen = 0, n;

	(void)state;
	begin(2, 0, 1, 1);
	n = answer(plain, want);
	for (uint64_t seed = 0; seed < 60; seed++) {
		unseen += ends_unseen(true, seed);
		assert_false(ends_unseen(false, seed));
	}
	assert_true(unseen > 3);
	while (!ends_unseen(true, (uint64_t)rand()))    /* and the next answer is none the worse */
		;
	begin(2, 0, 1, 1);
	assert_int_equal(answer(plain, got), n);
	assert_memory_equal(want, got, sizeof(int) * (size_t)n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_limits), cmocka_unit_test(test_policy),
		cmocka_unit_test(test_no_clock), cmocka_unit_test(test_most_in_a_row),
		cmocka_unit_test(test_paper), cmocka_unit_test(test_end),
	};
	struct engine_opt o = { .model = BIG, .model_draft = LITTLE, .n_ctx = 512,
				.be = { .n_threads = 1, .n_batch = 64 } };
	char err[ERR_MAX] = "";
	int rc;

	if (write_tied(BIG, 2, err) == 0) {
		rc = write_tied(LITTLE, 1, err);
		engine = rc ? NULL : engine_open(&o, err);
	}
	if (!engine || !engine->strat.draft) {
		printf("not ok - setup: %s\n", err);
		return 1;
	}
	rc = cmocka_run_group_tests_name("bild", tests, NULL, NULL);
	engine_close(engine);
	remove(BIG);
	remove(LITTLE);
	return rc;
}
