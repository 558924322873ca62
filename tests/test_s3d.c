/* test_s3d.c - the model drafts for itself over a bridge: what comes out is what plain writes. */
#define SCRATCH "build/test-s3d"
#include "tests/s3d_kit.h"
#include <math.h>

static void test_identity(void **state)
{
	(void)state;
	for (int half = 0; half < 2; half++) {
		long accepted = 0;

		open_with("cpu", half, NULL, 512);
		identity(s3d, &accepted);
		print_message("# %ld drafts accepted\n", accepted);
		assert_true(accepted > 100);
		shut();
	}
}

/* Whether a pass over the bridge leaves columns out. */
static bool drafts_pruned(void)
{
	const struct schedule *s = &engine->bridged;
	bool pruned = false;

	for (int i = 0; i < s->n; i++)
		pruned |= s->op[i].keep_in && s->op[i].keep_hidden;
	return pruned;
}

/* MLPs that read less in its drafts only, and in the model too: the text is plain's. */
static void test_pruned(void **state)
{
	long accepted[3] = { 0 };
	char err[ERR_MAX];

	(void)state;
	for (int i = 0; i < 3; i++) {
		dip_draft = i ? ".4" : NULL;
		open_with("cpu", false, NULL, 512);
		if (i == 2 && engine_prune(engine, &(struct dip_opt){ .spec = ".6" }, err))
			fail_msg("%s", err);
		assert_int_equal(drafts_pruned(), i > 0);
		identity(s3d, &accepted[i]);
		assert_int_equal(engine_exact(engine), i < 2);
		shut();
	}
	dip_draft = NULL;
	print_message("# %ld drafts accepted, %ld pruned, %ld of a pruned model\n", accepted[0],
		      accepted[1], accepted[2]);
	assert_true(accepted[1] > 50 && accepted[2] > 50);
}

/* Over layers of which some see a window only. */
static void test_windows(void **state)
{
	const struct mk_spec whole = spec;
	long accepted = 0;

	(void)state;
	spec.arch = "gemma2";
	spec.head_dim = 32;
	spec.window = 24;
	open_with("cpu", false, NULL, 512);
	for (int p = 0; p < PROMPTS; p++) {
		identical(s3d, p, 0, 1.0f, &accepted);
		identical(s3d, p, 0.7f, 1.0f, &accepted);
	}
	shut();
	spec = whole;
	print_message("# %ld drafts accepted\n", accepted);
	assert_true(accepted > 50);
}

/* With and without a little model beside it; bild drafts over the bridge where there is none. */
static void test_others(void **state)
{
	long accepted = 0, of_bild = 0;

	(void)state;
	open_with("cpu", false, NULL, 512);
	identity(bild, &of_bild);
	identity(automatic, &accepted);
	identity(random_one, &accepted);
	assert_true(of_bild > 100);
	shut();
	open_with("cpu", true, MODEL, 512);
	identity(random_one, &accepted);
	shut();
}

/* Where the context has no room for all rows fewer cross; in the last place none do. */
static void test_context_end(void **state)
{
	struct emit e[STEP_MAX];
	char err[ERR_MAX];
	int want[LEN], got[LEN], n[2] = { 0, 0 };

	(void)state;
	for (int i = 0; i < 2; i++) {
		bool done = false;
		int k;

		open_with("cpu", false, NULL, 64);
		begin(1, 0, 1, 1.0f);
		assert_int_equal(engine_strategy(engine, i ? "s3d" : "plain", err), 0);
		while (!done && (k = engine_step(engine, 1000, e, &done, err)) > 0)
			for (int j = 0; j < k; j++)
				(i ? got : want)[n[i]++] = e[j].tok;
		assert_int_equal(engine->target.n, 64);
		shut();
	}
	assert_int_equal(n[0], n[1]);
	assert_memory_equal(want, got, sizeof(int) * (size_t)n[0]);
}

/* Where it would pay drafts stop: at draft_p_min, which may be above all of them. */
static void test_thresholds(void **state)
{
	int out[LEN], n;

	(void)state;
	open_with("cpu", false, NULL, 512);
	engine->strat.cost = NULL;      /* nothing is copied from the text then */
	begin(2, 0, 1, 1.0f);
	engine->strat.opt.draft_p_min = 1;
	n = answer(s3d, out);
	assert_int_equal(engine->strat.stats.emitted, n);
	assert_int_equal(engine->strat.stats.drafted, 0);
	begin(2, 0, 1, 1.0f);
	engine->strat.opt.draft_p_min = 0;
	engine->strat.opt.draft_max = 2;
	answer(s3d, out);
	assert_true(engine->strat.stats.pos_tested[1] > 0 &&
		    engine->strat.stats.pos_tested[2] == 0);
	shut();
}

/* No sidecar, one for another model, one that appears later, one that goes. */
static void test_sidecars(void **state)
{
	struct engine_opt o = { .model = MODEL, .sidecar = SIDE, .backend = "cpu",
				.be = { .n_threads = 1 } };
	struct mk_spec other = spec;
	struct model *m;
	char err[ERR_MAX];
	int out[LEN];

	(void)state;
	open_with("cpu", false, NULL, 512);
	engine_close(engine);
	other.seed = 10;
	if (mk_write(MODEL, &other, err) != 0)
		fail_msg("%s", err);
	engine = engine_open(&o, err);
	assert_non_null(engine);
	assert_null(engine->strat.bridged);
	assert_non_null(strstr(engine->sidecar_err, "another model"));
	assert_int_equal(engine_strategy(engine, "s3d", err), -1);
	assert_non_null(strstr(err, "another model"));
	assert_int_equal(engine_strategy(engine, "bild", err), -1);
	assert_non_null(strstr(err, "or a sidecar"));
	write_sidecar(SIDE, engine->model, false);
	assert_int_equal(engine_sidecar(engine, SIDE, err), 0);
	begin(1, 0, 1, 1.0f);
	answer(s3d, out);
	assert_true(engine->strat.stats.drafted > 0);
	assert_int_equal(engine_sidecar(engine, "build/none.gguf", err), -1);
	assert_non_null(strstr(err, "build/none.gguf"));
	assert_string_equal(engine->strat.ops->name, "s3d");    /* by the one that it had */
	begin(1, 0, 1, 1.0f);
	answer(s3d, out);
	assert_true(engine->strat.stats.drafted > 0);
	shut();
	o.sidecar = NULL;
	if (mk_write(MODEL, &spec, err) != 0 || !(engine = engine_open(&o, err)))
		fail_msg("%s", err);
	assert_int_equal(engine_strategy(engine, "s3d", err), -1);
	assert_non_null(strstr(err, "calibrate"));
	m = engine->model;
	write_sidecar(SIDE, m, true);
	assert_int_equal(engine_strategy(engine, "auto", err), 0);
	assert_int_equal(engine_sidecar(engine, SIDE, err), 0);
	assert_string_equal(engine->strat.ops->name, "auto");
	shut();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_identity),
		cmocka_unit_test(test_pruned),
		cmocka_unit_test(test_windows),
		cmocka_unit_test(test_others),
		cmocka_unit_test(test_context_end),
		cmocka_unit_test(test_thresholds),
		cmocka_unit_test(test_sidecars),
	};

	return cmocka_run_group_tests_name("s3d", tests, NULL, NULL);
}
