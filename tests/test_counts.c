/* test_counts.c - what is counted of an answer adds up wherever the answer ends: at a limit, behind
 * a token that ends it, or stopped between two steps.  strategy_kit.h says what must hold. */
#include "tests/strategy_kit.h"
#include <math.h>

static const char *under;       /* the strategy that answers */
static int cut;                 /* answers that ended with a draft */

static const char *chosen(int step)
{
	if (step)
		check_stats((int)engine->strat.stats.emitted);  /* who stops it here sees this */
	return under;
}

/* Whether the answer ended by itself, before its limit. */
static bool answer_ends(int limit)
{
	const struct strategy_stats *st = &engine->strat.stats;
	int out[LEN], n = answer_to(chosen, limit, out);

	check_stats(n);
	cut += st->emitted - st->accepted < st->rounds;
	return n < limit;
}

/* Approximate where it can be: then also what the big model would not have written holds. */
static void everywhere(const char *name, bool exact, bool paper)
{
	int over = 0;

	under = name;
	cut = 0;
	for (int i = 0; i < 4 * 32; i++) {
		float temp = i % 4 < 2 ? 0 : 1.5f;
		int limit = i < 4 * 31 ? 1 + i / 4 : LEN;

		begin(i % PROMPTS, temp, (uint64_t)i, 1);
		engine->strat.cost = NULL;      /* copies are tried whatever they cost here */
		engine->strat.opt.draft_p_min = 0;
		engine->strat.opt.rollback_exact = exact;
		engine->strat.opt.bild_paper = paper;
		engine->strat.opt.fallback = i % 3 ? 0.05f : 0;
		engine->strat.opt.rollback = i % 5 ? 5 : INFINITY;
		over += answer_ends(limit);
	}
	print_message("# %s: %d of 128 answers ended with a draft, %d by themselves\n", name, cut,
		      over);
	assert_true(over > 0 && (cut > 10 || !strcmp(name, "plain")));
}

static void test_every_end(void **state)
{
	(void)state;
	everywhere("plain", true, false);
	everywhere("ngram", true, false);
	everywhere("draft", true, false);
	everywhere("bild", true, false);
	everywhere("bild", false, false);
	everywhere("bild", false, true);
	everywhere("self", true, false);
}

/* A model that drafts for itself is always right at temperature 0, at every limit. */
static void test_always_right(void **state)
{
	const struct strategy_stats *st = &engine->strat.stats;
	int out[LEN];

	(void)state;
	under = "draft";
	for (int limit = 1; limit < 60; limit++) {
		begin(2, 0, 1, 1);
		engine->strat.opt.draft_p_min = 0;
		assert_int_equal(answer_to(chosen, limit, out), limit);
		assert_int_equal(st->tested, st->accepted);
		assert_true(limit < 2 || st->tested > 0);
	}
}

static struct engine *open_pair(int little_layers, char err[ERR_MAX])
{
	struct engine_opt o = { .model = "build/test-counts.gguf",
				.model_draft = "build/test-counts-little.gguf", .n_ctx = 512,
				.be = { .n_threads = 1, .n_batch = 64 } };
	struct engine *e = NULL;

	if (write_tied(o.model, 2, err) == 0 && write_tied(o.model_draft, little_layers, err) == 0)
		e = engine_open(&o, err);
	remove(o.model);
	remove(o.model_draft);
	return e;
}

static int open_like(void **state)
{
	char err[ERR_MAX];

	(void)state;
	engine = open_pair(1, err);     /* the same embeddings, so the two agree now and then */
	return engine && engine->strat.draft ? 0 : -1;
}

static int open_same(void **state)
{
	char err[ERR_MAX];

	(void)state;
	engine = open_pair(2, err);
	return engine && engine->strat.draft ? 0 : -1;
}

static int close_it(void **state)
{
	(void)state;
	engine_close(engine);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_every_end, open_like, close_it),
		cmocka_unit_test_setup_teardown(test_always_right, open_same, close_it),
	};

	return cmocka_run_group_tests_name("counts", tests, NULL, NULL);
}
