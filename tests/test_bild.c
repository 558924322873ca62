/* test_bild.c - bild at the ends of its thresholds, on tiny random models: what it keeps, what it
 * takes back, who begins and who ends; the same for the published control flow. */
#include "tests/mk.h"
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

	(void)state;
	for (int p = 0; p < PROMPTS; p++) {
		begin(p, 0, 1, 1);
		n = answer(plain, want);
		assert_int_equal(lossy(p, false, 1.01f, 3, got), n);    /* the big model alone */
		assert_memory_equal(want, got, sizeof(int) * (size_t)n);
		assert_int_equal(st->drafted, 0);
		assert_int_equal(lossy(p, false, 0.1f, 0, got), n);    /* only first choices */
		assert_memory_equal(want, got, sizeof(int) * (size_t)n);
		assert_true(st->drafted > 0);
		n = lossy(p, false, 0.0f, INFINITY, got);       /* nothing is ever taken back */
		all_accepted();
		assert_int_equal(got[0], want[0]);              /* the big model begins */
		differs += n < LEN || memcmp(want, got, sizeof(want)) != 0;
	}
	assert_true(differs > 0);       /* lossy is lossy */
	assert_false(strategy_exact(&engine->strat));
	engine->strat.opt.rollback_exact = true;
	assert_true(strategy_exact(&engine->strat));
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
		cmocka_unit_test(test_limits), cmocka_unit_test(test_most_in_a_row),
		cmocka_unit_test(test_paper), cmocka_unit_test(test_end),
	};
	struct mk_spec spec = MK_TINY;
	struct engine_opt o = { .model = BIG, .model_draft = LITTLE, .n_ctx = 512,
				.be = { .n_threads = 1, .n_batch = 64 } };
	char err[ERR_MAX] = "";
	int rc;

	spec.type = "Q8_0";
	spec.tied = true;       /* a tied random model likes to repeat itself */
	spec.n_layers = 2;
	if (mk_write(BIG, &spec, err) == 0) {
		spec.n_layers = 1;      /* the same embeddings, so the two agree now and then */
		rc = mk_write(LITTLE, &spec, err);
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
