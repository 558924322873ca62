/* test_strategies.c - every exact strategy writes what plain writes, on tiny random models, at any
 * temperature, also when strategies change between steps; statistics add up; nothing allocates. */
#include "tests/mk.h"
#include "tests/strategy_kit.h"
#include <math.h>

static void test_ngram_is_plain(void **state)
{
	long accepted = 0;

	(void)state;
	identity(ngram, &accepted);
	print_message("# %ld drafts accepted\n", accepted);
	assert_true(accepted > 100);    /* else the test has shown nothing */
}

static void test_draft_is_plain(void **state)
{
	long accepted = 0;

	(void)state;
	identity(draft, &accepted);
	print_message("# %ld drafts accepted\n", accepted);
	assert_true(accepted > 100);
}

static void test_exact_bild_is_plain(void **state)
{
	long accepted = 0;

	(void)state;
	identity(bild, &accepted);
	assert_true(accepted > 100);
}

static void test_auto_is_plain(void **state)
{
	long accepted = 0;

	(void)state;
	identity(automatic, &accepted);
	assert_true(accepted > 100);
}

/* A model that drafts for itself is always right at temperature 0: k+1 tokens a round. */
static void test_oracle(void **state)
{
	struct engine_opt o = { .model = "build/test-strategies.gguf",
				.model_draft = "build/test-strategies.gguf", .n_ctx = 512,
				.be = { .n_threads = 1, .n_batch = 64 } };
	struct engine *other = engine;
	char err[ERR_MAX];
	int got[LEN];

	(void)state;
	engine = engine_open(&o, err);
	assert_non_null(engine);
	begin(2, 0, 1, 1);
	answer(draft, got);
	all_accepted();
	engine_close(engine);
	engine = other;
}

static void test_pairs(void **state)
{
	struct mk_spec spec = MK_TINY;
	struct engine_opt o = { .model = "build/test-strategies.gguf",
				.model_draft = "build/test-other.gguf", .n_ctx = 64,
				.be = { .n_threads = 1, .n_batch = 64 } };
	struct engine *e;
	char err[ERR_MAX];

	(void)state;
	spec.n_vocab = MK_VOCAB_MIN + 129;
	assert_int_equal(mk_write(o.model_draft, &spec, err), 0);
	e = engine_open(&o, err);
	assert_non_null(e);             /* the chat goes on with what works */
	assert_int_equal(engine_strategy(e, "draft", err), -1);
	assert_non_null(strstr(err, "vocabulary of 401"));
	engine_close(e);
	o.model_draft = "build/none.gguf";
	e = engine_open(&o, err);
	assert_non_null(e);
	assert_int_equal(engine_strategy(e, "bild", err), -1);
	assert_non_null(strstr(err, "none.gguf"));
	engine_close(e);
	o.model_draft = NULL;
	e = engine_open(&o, err);
	assert_int_equal(engine_strategy(e, "draft", err), -1);
	assert_non_null(strstr(err, "-md"));
	engine_close(e);
	remove("build/test-other.gguf");
}

/* Told, and it drafts all the same; behind the end of its context it drafts nothing more. */
static void test_large_and_brief(void **state)
{
	struct mk_spec spec = MK_TINY;
	struct engine_opt o = { .model = "build/test-strategies.gguf", .strategy = "draft",
				.model_draft = "build/test-other.gguf", .n_ctx = 300,
				.be = { .n_threads = 1, .n_batch = 64 } };
	struct engine *other = engine;
	struct emit e[STEP_MAX];
	char err[ERR_MAX];
	int want[LEN], got[LEN], n;
	bool done;
	long drafted;

	(void)state;
	spec.n_layers = 12;
	spec.n_ctx = 64;
	assert_int_equal(mk_write(o.model_draft, &spec, err), 0);
	engine = engine_open(&o, err);
	assert_non_null(engine);
	assert_non_null(strstr(engine->notes[NOTE_DRAFT], "larger than the big model"));
	assert_non_null(strstr(engine->notes[NOTE_DRAFT], "64 tokens, that has 300"));
	assert_string_equal(engine->notes[NOTE_STRATEGY], "");
	assert_string_equal(engine->strat.ops->name, "draft");
	begin(5, 0, 1, 1);
	n = answer(plain, want);
	assert_int_equal(n, LEN);
	begin(5, 0, 1, 1);
	assert_int_equal(answer(draft, got), n);
	assert_memory_equal(want, got, sizeof(int) * (size_t)n);
	drafted = engine->strat.stats.drafted;
	assert_true(drafted > 0 && engine->draft.n_ctx == 64 && engine->target.n > 150);
	assert_int_equal(engine_step(engine, 1, e, &done, err), 1);
	assert_int_equal(engine->strat.stats.drafted, drafted);
	engine_close(engine);
	engine = other;
	assert_string_equal(engine->notes[NOTE_DRAFT], "");
	remove(o.model_draft);
}

static int switches;

/* Another strategy and other settings before every step. */
static const char *anything(int step)
{
	static const char *last;
	struct strategy_opt *o = &engine->strat.opt;
	const char *name = random_one(step);

	switches += last && strcmp(last, name);
	last = name;
	o->draft_max = rand() % (DRAFT_MAX + 1);
	o->draft_min = rand() % 3;
	o->draft_p_min = rand() % 2 ? (float)(rand() % 10) / 20 : -1;
	o->fallback = (float)(rand() % 12) / 10;
	o->rollback = (float)(rand() % 10);
	o->bild_max = rand() % (DRAFT_MAX + 1);
	o->bild_paper = rand() % 2;
	return name;
}

static void test_switching_is_plain(void **state)
{
	long accepted = 0;

	(void)state;
	srand(11);
	while (switches < 10000)
		identity(anything, &accepted);
	print_message("# %d switches, %ld drafts accepted\n", switches, accepted);
	assert_true(accepted > 1000);
}

/* Tokens of a round from the acceptance by position: 1 + a_1 + a_1 a_2 + ...  Drafts of one length,
 * so that nothing but a failed draft ends a round. */
static void test_acceptance_model(void **state)
{
	struct strategy_stats sum = { .rounds = 0 };
	double expected = 1, all = 1;
	int out[LEN];

	(void)state;
	for (int i = 0; i < 30; i++) {
		const struct strategy_stats *st = &engine->strat.stats;

		begin(i % PROMPTS, i < PROMPTS ? 0 : 1.0f, (uint64_t)i, 1);
		engine->strat.opt.draft_p_min = 0;
		engine->strat.opt.draft_max = 4;
		answer(draft, out);
		sum.rounds += st->rounds;
		sum.emitted += st->emitted;
		for (int j = 0; j < 4; j++) {
			sum.pos_tested[j] += st->pos_tested[j];
			sum.pos_accepted[j] += st->pos_accepted[j];
		}
	}
	for (int j = 0; j < 4; j++) {
		all *= (double)sum.pos_accepted[j] / (double)sum.pos_tested[j];
		expected += all;
	}
	print_message("# %.3f tokens a round expected, %.3f measured\n", expected,
		      (double)sum.emitted / (double)sum.rounds);
	assert_true(sum.emitted > 1.1 * (double)sum.rounds);
	assert_true(fabs(expected * (double)sum.rounds / (double)sum.emitted - 1) < 0.02);
}

/* A little model that is never right: auto finds out and writes on as plain would, in later answers
 * from the start. */
static void test_auto_settles(void **state)
{
	struct mk_spec spec = MK_TINY;
	struct engine_opt o = { .model = "build/test-strategies.gguf", .strategy = "auto",
				.model_draft = "build/test-other.gguf", .n_ctx = 512,
				.be = { .n_threads = 1, .n_batch = 64 } };
	struct engine *other = engine;
	long drafted = 0, rounds = 0;
	char err[ERR_MAX];
	int out[LEN];

	(void)state;
	spec.n_layers = 4;
	spec.seed = 99;
	assert_int_equal(mk_write(o.model_draft, &spec, err), 0);
	engine = engine_open(&o, err);
	assert_non_null(engine);
	for (int i = 0; i < 12; i++) {
		begin(i % PROMPTS, 1.5f, (uint64_t)i, 1);       /* nothing for ngram to copy */
		engine->strat.law.top_k = 0;
		engine->strat.law.min_p = 0;
		engine->strat.opt.draft_p_min = -1;
		answer(automatic, out);
		drafted += i < 2 ? 0 : engine->strat.stats.drafted;
		rounds += i < 2 ? 0 : engine->strat.stats.rounds;
	}
	print_message("# %ld drafts in %ld rounds\n", drafted, rounds);
	assert_true(rounds > 300 && drafted < rounds / 4);
	engine_close(engine);
	engine = other;
	remove(o.model_draft);
}

/* What only bild could draft stays plain until approximate strategies are allowed. */
static void test_auto_approximate(void **state)
{
	int a[LEN], b[LEN], n, m;

	(void)state;
	engine->cost = (struct cost){ .first_s = 0 };
	engine->cost.trial[place("bild")] = (struct cost_trial){ .tokens = 12, .plain = 3 };
	for (int allowed = 0; allowed < 2; allowed++) {
		begin(2, 0, 1, 1);
		n = answer(plain, a);
		begin(2, 0, 1, 1);
		engine->strat.opt.rollback_exact = false;
		engine->strat.opt.rollback = INFINITY;  /* whatever the little model says */
		engine->strat.opt.fallback = 0;
		engine->strat.opt.draft_max = 0;        /* so the exact ones have nothing */
		engine->strat.opt.auto_approximate = allowed;
		m = answer(automatic, b);
		assert_int_equal(engine->strat.stats.drafted > 0, allowed);
		assert_int_equal(engine->strat.stats.accepted > 0, allowed);
		assert_int_equal(m != n || memcmp(a, b, sizeof(int) * (size_t)n), allowed);
	}
}

/* What auto learnt of the little model it still knows when another strategy was in between, as a
 * few rounds of doubt in the next answer. */
static void test_auto_remembers(void **state)
{
	struct cost *p = &engine->cost;
	int out[LEN], draft_at = place("draft");
	long rounds;

	(void)state;
	begin(4, 0, 1, 1);
	answer(automatic, out);
	p->trial[draft_at] = (struct cost_trial){ .rounds = 20, .tokens = 20, .plain = 100 };
	p->spare = -1000;       /* no probes now */
	begin(2, 0, 1, 1);
	answer(plain, out);
	rounds = p->chosen;
	begin(4, 0, 1, 1);
	engine->strat.opt.draft_p_min = -1;
	answer(automatic, out);
	assert_true(p->chosen > rounds + 20);
	assert_true(p->trial[draft_at].last < rounds && p->trial[draft_at].rounds < 7);
	*p = (struct cost){ .first_s = 0 };
}

/* Reads a prompt of 300 tokens, the first of which is told, under a strategy. */
static void read_long(const char *strategy, int first)
{
	char err[ERR_MAX];
	int ids[300], left;

	for (int i = 0; i < 300; i++)
		ids[i] = 3 + (first + i * i) % 250;
	assert_int_equal(engine_strategy(engine, strategy, err), 0);
	assert_int_equal(engine_prompt(engine, ids, 300, err), 0);
	while ((left = engine_prefill(engine, err)) > 0)
		;
	assert_int_equal(left, 0);
}

/* The little model reads the prompt for a strategy that may use it, not for one that does not; then
 * auto lets it wait until the answer is long enough. */
static void test_reading(void **state)
{
	struct emit e[STEP_MAX];
	char err[ERR_MAX];
	bool done = false;

	(void)state;
	begin(0, 1.0f, 1, 1);
	read_long("draft", 1);
	assert_int_equal(engine->draft.n_kv, 299);
	read_long("auto", 2);
	assert_int_equal(engine->draft.n_kv, 299);
	assert_int_equal(engine->draft.tok[0], engine->target.tok[0]);
	read_long("plain", 3);
	assert_int_not_equal(engine->draft.tok[0], engine->target.tok[0]);
	engine->cost = (struct cost){ .first_s = 1 };
	engine->cost.trial[place("draft")].tokens = 1e6;        /* it promises to pay */
	assert_int_equal(engine_strategy(engine, "auto", err), 0);
	while (!done && engine->target.n < 300 + 60) {
		assert_true(engine_step(engine, 1, e, &done, err) > 0);
		assert_int_not_equal(engine->draft.tok[0], engine->target.tok[0]);
	}
	while (!done && engine->target.n < 300 + 140)
		assert_true(engine_step(engine, 1, e, &done, err) > 0);
	assert_true(done || engine->draft.tok[0] == engine->target.tok[0]);
	assert_true(engine->target.n > 300 + 60);
	engine->cost = (struct cost){ .first_s = 0 };
}

/* The seed matters, and at temperature 0 it does not. */
static void test_seed(void **state)
{
	int a[LEN], b[LEN], n, m;

	(void)state;
	begin(1, 1.0f, 1, 1);
	n = answer(plain, a);
	begin(1, 1.0f, 2, 1);
	m = answer(plain, b);
	assert_true(n != m || memcmp(a, b, sizeof(int) * (size_t)n) != 0);
	begin(1, 0, 1, 1);
	n = answer(plain, a);
	begin(1, 0, 2, 1);
	assert_int_equal(answer(plain, b), n);
	assert_memory_equal(a, b, sizeof(int) * (size_t)n);
}

/* An answer runs into the end of the context without an error, and then gives nothing more. */
static void test_context_end(void **state)
{
	struct emit e[STEP_MAX];
	char err[ERR_MAX];
	int ids[512], got, total = 0;
	bool done = false;

	(void)state;
	begin(0, 0, 1, 1);
	for (int i = 0; i < 505; i++)
		ids[i] = 3 + i % 7;
	assert_int_equal(engine_strategy(engine, "ngram", err), 0);
	assert_int_equal(engine_prompt(engine, ids, 505, err), 0);
	while (engine_prefill(engine, err) > 0)
		;
	while ((got = engine_step(engine, 1000, e, &done, err)) > 0 && !done)
		total += got;
	assert_int_equal(got, 0);
	assert_int_equal(total, 512 - 505);
	assert_int_equal(engine_prompt(engine, ids, 512, err), -1);
	assert_non_null(strstr(err, "-c"));
}

/* Turning back to an earlier prompt keeps the common prefix and gives the same answer again. */
static void test_prefix_reuse(void **state)
{
	int a[LEN], b[LEN], c[LEN], n;

	(void)state;
	begin(4, 0, 1, 1);
	n = answer(plain, a);
	begin(5, 0, 1, 1);
	answer(plain, c);
	begin(4, 0, 1, 1);
	assert_int_equal(answer(plain, b), n);
	assert_memory_equal(a, b, sizeof(int) * (size_t)n);
}

/* No drafts means none, also where auto has learnt that they pay. */
static void test_no_drafts(void **state)
{
	int out[LEN];

	(void)state;
	for (int i = 0; i < 4; i++) {
		begin(i, 0, 1, 1);
		answer(automatic, out);
	}
	begin(0, 0, 1, 1);
	engine->strat.opt.draft_max = engine->strat.opt.bild_max = 0;
	answer(automatic, out);
	assert_int_equal(engine->strat.stats.drafted, 0);
}

/* A batch smaller than a round of drafts is made large enough for one. */
static void test_small_batch(void **state)
{
	struct engine_opt o = { .model = "build/test-strategies.gguf", .n_ctx = 128,
				.strategy = "ngram", .be = { .n_threads = 1, .n_batch = 2 } };
	char err[ERR_MAX] = "";
	int out[LEN], ids[64], n = make_prompt(2, ids);
	struct engine *big = engine;

	(void)state;
	engine = engine_open(&o, err);
	if (!engine)
		fail_msg("%s", err);
	engine->strat.law.temp = 0;
	engine->strat.opt.draft_max = DRAFT_MAX;
	assert_int_equal(engine_prompt(engine, ids, n, err), 0);
	for (int i = 0; i < 20; i++) {
		struct emit e[STEP_MAX];
		bool done;

		if (engine_step(engine, 1, e, &done, err) < 0)
			fail_msg("%s", err);
		out[i] = e[0].tok;
	}
	assert_true(out[19] >= 0 && engine->strat.stats.drafted > 0);
	engine_close(engine);
	engine = big;
}

static void test_unknown(void **state)
{
	char err[ERR_MAX];

	(void)state;
	assert_int_equal(engine_strategy(engine, "nonesuch", err), -1);
	assert_non_null(strstr(err, "nonesuch"));
	assert_non_null(strstr(err, "ngram"));
	assert_non_null(engine->strat.ops);     /* the old one is still open */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ngram_is_plain),
		cmocka_unit_test(test_draft_is_plain),
		cmocka_unit_test(test_exact_bild_is_plain),
		cmocka_unit_test(test_auto_is_plain),
		cmocka_unit_test(test_oracle),
		cmocka_unit_test(test_pairs),
		cmocka_unit_test(test_large_and_brief),
		cmocka_unit_test(test_switching_is_plain),
		cmocka_unit_test(test_acceptance_model),
		cmocka_unit_test(test_auto_settles),
		cmocka_unit_test(test_auto_approximate),
		cmocka_unit_test(test_auto_remembers),
		cmocka_unit_test(test_reading),
		cmocka_unit_test(test_seed),
		cmocka_unit_test(test_context_end),
		cmocka_unit_test(test_prefix_reuse),
		cmocka_unit_test(test_no_drafts),
		cmocka_unit_test(test_small_batch),
		cmocka_unit_test(test_unknown),
	};
	struct engine_opt o = { .model = "build/test-strategies.gguf",
				.model_draft = "build/test-little.gguf", .n_ctx = 512,
				.be = { .n_threads = 1, .n_batch = 64 } };
	char err[ERR_MAX];
	int rc;

	if (write_tied(o.model, 2, err) == 0) {
		rc = write_tied(o.model_draft, 1, err);
		engine = rc ? NULL : engine_open(&o, err);
	}
	if (!engine || !engine->strat.draft) {
		printf("not ok - setup: %s\n", err);
		return 1;
	}
	rc = cmocka_run_group_tests_name("strategies", tests, NULL, NULL);
	engine_close(engine);
	remove(o.model);
	remove(o.model_draft);
	return rc;
}
