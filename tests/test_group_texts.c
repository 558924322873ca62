/* test_group_texts.c - texts of a model whose layers run in groups: exact strategies write what
 * plain writes with the same groups, groups may change in mid-answer, and drafts in groups leave
 * the model's own text alone. */
#define LEN 96
#include "tests/strategy_kit.h"

static const char MODEL[] = "build/test-groups.gguf", GROUPS[] = "1:8:3:1";

static const char *self(int step)
{
	(void)step;
	return "self";
}

/* The engine of the test until the next call. */
static void use(const char *groups, const char *in_drafts, const char *skip)
{
	struct engine_opt o = { .model = MODEL, .self_skip = skip, .n_ctx = 512, .cqil = groups,
				.cqil_draft = in_drafts, .be = { .n_threads = 1 } };
	char err[ERR_MAX];

	engine_close(engine);
	engine = engine_open(&o, err);
	if (!engine)
		fail_msg("%s", err);
}

static void test_strategies(void **state)
{
	static const char *(*const by[])(int) = { ngram, self, random_one };
	long accepted[3] = { 0 };

	(void)state;
	use(GROUPS, NULL, "2:4");
	assert_false(engine_exact(engine));
	identities(by, 3, accepted);
	assert_true(accepted[0] > 0 && accepted[1] > 0);
}

/* Groups in drafts only: the text is the model's own, and most of the drafts hold. */
static void test_drafts(void **state)
{
	static const char *const texts[] = { "off", "1:8:3:1" };
	int want[LEN], got[LEN], n;
	long accepted = 0;

	(void)state;
	for (int p = 0; p < PROMPTS; p++) {
		use(texts[0], NULL, "0:0");
		begin(p, 0.7f, 5, 1);
		n = answer(plain, want);
		use(texts[0], texts[1], "0:0");
		assert_true(engine_exact(engine));
		begin(p, 0.7f, 5, 1);
		assert_int_equal(answer(self, got), n);
		assert_memory_equal(want, got, sizeof(*want) * (size_t)n);
		accepted += engine->strat.stats.accepted;
		assert_true(engine->strat.stats.accepted < engine->strat.stats.drafted);
	}
	assert_true(accepted > 0);
	/* a draft that is the model itself always holds */
	use(texts[1], NULL, "0:0");
	begin(2, 0, 5, 1);
	answer(self, got);
	all_accepted();
}

static void read_prompt(void)
{
	char err[ERR_MAX];
	int left;

	while ((left = engine_prefill(engine, err)) > 0)
		;
	assert_int_equal(left, 0);
}

/* The text of the model that a prompt and n tokens of an answer stand before. */
static void go_on(const char *groups, const int *before, int n, int *out)
{
	char err[ERR_MAX];
	int ids[64 + LEN], k = make_prompt(2, ids);

	use(groups, NULL, "auto");
	begin(2, 0.7f, 5, 1);
	memcpy(ids + k, before, sizeof(*ids) * (size_t)n);
	assert_int_equal(engine_prompt(engine, ids, k + n, err), 0);
	read_prompt();
	answer_to(plain, 40, out);
}

static void test_change(void **state)
{
	static const char *const steps[] = { "off", "1:8:3:1", "0:8:2", "off" };
	enum { N = sizeof(steps) / sizeof(steps[0]) };
	int wrote[N * 40], want[40];
	char err[ERR_MAX];

	(void)state;
	use(steps[0], NULL, "auto");
	begin(2, 0.7f, 5, 1);
	for (int i = 0; i < N; i++) {
		if (engine_group(engine, steps[i], false, err) != 0)
			fail_msg("%s", err);
		assert_int_equal(engine_exact(engine), i == 0 || i == N - 1);
		read_prompt();
		assert_int_equal(answer_to(plain, 40, wrote + i * 40), 40);
	}
	for (int i = 0; i < N && i * 40 + 40 <= LEN; i++) {
		go_on(steps[i], wrote, i * 40, want);
		assert_memory_equal(want, wrote + i * 40, sizeof(want));
	}
	/* what cannot be leaves all as it was */
	assert_int_equal(engine_group(engine, "1:9:2", false, err), -1);
	assert_non_null(strstr(err, "no layers 1 to 8"));
	assert_int_equal(engine_group(engine, "1:x:2", false, err), -1);
	assert_non_null(strstr(err, "--cqil"));
}

static int write_model(void **state)
{
	char err[ERR_MAX];

	(void)state;
	if (write_tied(MODEL, 8, err) != 0)
		fail_msg("%s", err);
	return 0;
}

static int remove_model(void **state)
{
	(void)state;
	engine_close(engine);
	return remove(MODEL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_strategies),
		cmocka_unit_test(test_drafts),
		cmocka_unit_test(test_change),
	};

	return cmocka_run_group_tests_name("group_texts", tests, write_model, remove_model);
}
