/* test_self.c - the model as its own drafter: what it leaves out is what was asked for, its text is
 * plain's, and the search for a better set leaves no trace but the set. */
#define LEN 96
#include "tests/mk.h"
#include "tests/strategy_kit.h"
#include <math.h>

static const char MODEL[] = "build/test-self.gguf";
enum { LAYERS = 8 };

static const char *self(int step)
{
	(void)step;
	return "self";
}

static struct engine *open_with(const char *skip, char err[ERR_MAX])
{
	struct engine_opt o = { .model = MODEL, .self_skip = skip, .n_ctx = 512,
				.be = { .n_threads = 1, .n_batch = 64 } };

	*err = '\0';
	return engine_open(&o, err);
}

/* The engine of the tests below until the next call. */
static void use(const char *skip)
{
	char err[ERR_MAX];

	engine_close(engine);
	engine = open_with(skip, err);
	if (!engine)
		fail_msg("%s", err);
}

static void is(const char *spec, const char *want)
{
	char err[ERR_MAX], text[SKIP_TEXT];
	struct plan p, again;

	if (skip_parse(spec, LAYERS, &p, err))
		fail_msg("%s", err);
	assert_string_equal(skip_text(&p, LAYERS, text), want);
	assert_int_equal(skip_parse(text, LAYERS, &again, err), 0);
	assert_memory_equal(&p, &again, sizeof(p));
}

static void test_sets(void **state)
{
	struct plan p;
	char err[ERR_MAX], text[SKIP_TEXT];

	(void)state;
	is("2:4", "a2,m2,a3,m3");
	is("6:", "a6,m6,a7,m7");
	is(":1", "a0,m0");
	is("7:8", "a7,m7");
	is("3:3", "0:0");
	is("m7,a3,m3,a3", "a3,m3,m7");
	is("auto", "a1,a3,m3,a5,m5");           /* 5 of 12: every second layer, less a MLP */
	is(NULL, "a1,a3,m3,a5,m5");
	/* 25 of 56, as SWIFT's ratio has it, of the default model's shape */
	assert_int_equal(skip_parse("auto", 30, &p, err), 0);
	assert_int_equal(skip_count(&p, 30), 25);
	assert_false(plan_has(p.skip_attn, 0) || plan_has(p.skip_attn, 29));
	assert_int_equal(skip_parse("0:256", MODEL_MAX_LAYERS, &p, err), 0);
	assert_int_equal(skip_count(&p, MODEL_MAX_LAYERS), 2 * MODEL_MAX_LAYERS);
	assert_true(strlen(skip_text(&p, MODEL_MAX_LAYERS, text)) + 1 < SKIP_TEXT);
	assert_non_null(strstr(text, ",m255"));
	for (int n = 1; n < 4; n++) {           /* too few layers to leave much out */
		assert_int_equal(skip_parse("auto", n, &p, err), 0);
		assert_int_equal(skip_count(&p, n), n == 3);
	}
}

static void refused(const char *spec, const char *why)
{
	struct plan p = { .skip_mlp = { 5 } };
	char err[ERR_MAX];

	assert_int_equal(skip_parse(spec, LAYERS, &p, err), -1);
	if (!strstr(err, why) || !strstr(err, "--self-skip"))
		fail_msg("'%s': %s", spec, err);
	assert_int_equal(p.skip_mlp[0], 5);
	assert_null(open_with(spec, err));      /* before anything is loaded */
	assert_non_null(strstr(err, why));
}

static void test_refused(void **state)
{
	static const char *const bad[] = {
		"", ",", "a", "3", "a3,", ",a3", "a3,,m2", "b3", "a3m4", "a-1", "A3", "3:x", "x:3",
		"-1:3", "3:4:5", "3:4,a1", "a1,2:3", " 2:4", "2: 4", "auto ", "autos", "a 3",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		refused(bad[i], "neither LO:HI");
	refused("2:9", "no layer 8, of 8");
	refused("0:99999999999999999999", "no layer");
	refused("a3,m8", "no layer 8, of 8");
	refused("a2147483648", "no layer");
	refused("5:3", "ends before it begins");
}

/* Neither one that leaves out next to nothing, one that leaves out all, nor those between change
 * the text. */
static void test_self_is_plain(void **state)
{
	static const char *const sets[] = { "auto", "a3,m6", "1:7", ":", "0:0" };
	char err[ERR_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++) {
		long accepted = 0;

		use(sets[i]);
		identity(self, &accepted);
		print_message("# %s: %ld drafts accepted\n", sets[i], accepted);
		if (i)
			assert_true(accepted > 100);    /* else it has shown nothing */
		assert_int_equal(engine_idle(engine, err), 0 == i);
	}
}

/* A draft that leaves nothing out is always right at temperature 0, penalties or not, and never cut
 * short: k+1 tokens a round. */
static void test_whole(void **state)
{
	int out[LEN];

	(void)state;
	use("3:3");
	for (int penalty = 0; penalty < 2; penalty++) {
		begin(2, 0, 1, penalty ? 1.3f : 1.0f);
		engine->strat.opt.draft_p_min = 0;
		answer(self, out);
		all_accepted();
	}
}

/* A second cache with the target's text up to position n, by the whole model. */
static struct kv *beside(int n)
{
	struct session *t = &engine->target;
	char err[ERR_MAX];
	struct kv *kv = t->be->kv_new(t->dev, t->n_ctx, err);

	assert_non_null(kv);
	for (int i = 0; i < n; i++)
		assert_non_null(t->be->forward(t->dev, kv, &(struct batch){ .tok = t->tok + i,
									    .n = 1, .pos = i,
									    .run = &t->base }));
	return kv;
}

/* The likeliest token behind one that is run at pos. */
static int choice(struct kv *kv, const struct schedule *run, int tok, int pos)
{
	struct session *t = &engine->target;
	struct batch b = { .tok = &tok, .n = 1, .pos = pos, .run = run, .n_out = 1 };
	const float *row = t->be->forward(t->dev, kv, &b);
	int best = 0;

	assert_non_null(row);
	for (int v = 1; v < t->n_out; v++)
		best = row[v] > row[best] ? v : best;
	return best;
}

/* Drafts are the choices of passes under the plan behind a text that the whole model read: so many
 * hold as such a chain, made here in another cache, has in common with what comes out. */
static void test_drafts(void **state)
{
	enum { K = 4 };
	long held[2] = { 0, 0 };

	(void)state;
	use("a2,m2,m5");
	begin(2, 0, 1, 1);
	engine->strat.opt.draft_p_min = 0;
	engine->strat.opt.draft_max = K;
	for (int i = 0; i < 40; i++) {
		struct session *t = &engine->target;
		int n = t->n, tok = t->tok[n - 1], chain[K], same = 0;
		struct emit e[STEP_MAX];
		char err[ERR_MAX];
		struct kv *kv = beside(n - 1);
		bool done;

		for (int j = 0; j < K; j++)
			tok = chain[j] = choice(kv, &engine->skip.now.run, tok, n - 1 + j);
		t->be->kv_free(kv);
		assert_int_equal(engine_strategy(engine, "self", err), 0);
		engine->strat.stats = (struct strategy_stats){ .rounds = 1 };   /* no plain step */
		assert_in_range(engine_step(engine, STEP_MAX, e, &done, err), 1, K + 1);
		while (same < K && e[same].tok == chain[same])
			same++;
		assert_int_equal(engine->strat.stats.accepted, same);
		held[0] += same < K;
		held[1] += same > 0;
	}
	assert_true(held[0] > 0 && held[1] > 0);        /* else it has shown nothing */
}

static const char *any(int step)
{
	struct strategy_opt *o = &engine->strat.opt;

	o->draft_max = rand() % (DRAFT_MAX + 1);
	o->draft_min = rand() % 3;
	o->draft_p_min = rand() % 2 ? (float)(rand() % 10) / 20 : -1;
	return step % 3 ? "self" : rand() % 2 ? "ngram" : "plain";
}

static void test_switching(void **state)
{
	long accepted = 0;

	(void)state;
	use("a2,m5");
	srand(3);
	for (int i = 0; i < 4; i++)
		identity(any, &accepted);
	assert_true(accepted > 100);
}

/* Up to the last position of the context, whatever is drafted there. */
static void test_context_end(void **state)
{
	int ids[512], want[16], total[2] = { 0, 0 };

	(void)state;
	use("a3");
	for (int i = 0; i < 500; i++)
		ids[i] = 3 + i % 7;
	for (int with = 0; with < 2; with++) {
		struct emit e[STEP_MAX];
		char err[ERR_MAX];
		bool done = false;
		int got;

		begin(0, 0, 1, 1);
		engine->strat.opt.draft_p_min = 0;
		assert_int_equal(engine_strategy(engine, with ? "self" : "plain", err), 0);
		assert_int_equal(engine_prompt(engine, ids, 500, err), 0);
		while (engine_prefill(engine, err) > 0)
			;
		while ((got = engine_step(engine, 1000, e, &done, err)) > 0)
			for (int i = 0; i < got; i++) {
				int *at = &want[total[with]++];

				if (with)
					assert_int_equal(*at, e[i].tok);
				else
					*at = e[i].tok;
			}
		assert_int_equal(got, 0);
		assert_int_equal(total[with], 12);
	}
	assert_true(engine->strat.stats.drafted >= 10);
}

/* auto is what it was: self is only there for who asks for it. */
static void test_apart(void **state)
{
	int out[LEN];

	(void)state;
	use("0:0");             /* would always be right */
	for (int i = 0; i < 4; i++) {
		begin(4, 1.5f, (uint64_t)i, 1);
		engine->strat.law.top_k = 0;
		engine->strat.law.min_p = 0;
		engine->strat.opt.draft_p_min = -1;
		answer(automatic, out);
		assert_true(engine->cost.self_s == 0);
	}
}

/* All pieces of the search after an answer; returns how many. */
static int search(void)
{
	char err[ERR_MAX];
	int n = 0, rc;

	while ((rc = engine_idle(engine, err)) > 0)
		n++;
	assert_int_equal(rc, 0);
	return n;
}

/* The next logits and the rows behind them are to the bit what they are without a search, wherever
 * it is broken off; timeline and statistics too. */
static void test_search_leaves_no_trace(void **state)
{
	static const int pieces[] = { 0, 1, 2, 3, 4, 5, 6, 7, 40, 1 << 20 };
	float *want = NULL;
	size_t bytes = 0;
	int tok[512], n_tok = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
		struct session *t;
		struct strategy_stats st;
		char err[ERR_MAX];
		const float *rows;
		int out[LEN];

		use("auto");
		t = &engine->target;
		begin(3, 0.7f, 5, 1);
		answer(self, out);
		st = engine->strat.stats;
		for (int j = 0; j < pieces[i] && engine_idle(engine, err) > 0; j++)
			assert_int_equal(t->n_kv, t->n - 1);
		assert_int_equal(t->n_kv, t->n - 1);
		assert_memory_equal(&st, &engine->strat.stats, sizeof(st));
		rows = session_extend(t, (int[]){ 9, 8, 7 }, 3, err);
		assert_non_null(rows);
		if (!i) {
			bytes = sizeof(float) * (size_t)(row_at(rows, t->n_out, 4) - rows);
			want = malloc(bytes);
			memcpy(want, rows, bytes);
			memcpy(tok, t->tok, sizeof(int) * (size_t)t->n);
			n_tok = t->n;
		}
		assert_int_equal(t->n, n_tok);
		assert_memory_equal(tok, t->tok, sizeof(int) * (size_t)n_tok);
		assert_memory_equal(want, rows, bytes);
	}
	free(want);
}

/* The share of agreement never falls, the size of the set stays, first and last layer are kept; in
 * the end it stops, and the same text does not start it again. */
static void test_search_improves(void **state)
{
	struct skip *k;
	struct plan first;
	char err[ERR_MAX];
	double gain = -1, share = -1;
	int out[LEN], better = 0;

	(void)state;
	use("auto");
	k = &engine->skip;
	first = k->now.plan;
	assert_int_equal(engine_strategy(engine, "self", err), 0);
	assert_int_equal(engine_idle(engine, err), 0);          /* no text yet */
	begin(3, 0, 5, 1);
	assert_int_equal(engine_idle(engine, err), 0);          /* no answer yet */
	answer(self, out);
	while (engine_idle(engine, err) > 0) {
		k->seconds = 0;         /* to the end, however slow the machine is */
		if (k->share < 0)
			continue;
		better += gain >= 0 && skip_gain(k, &k->now.plan, k->share) > gain;
		share = share < 0 ? k->share : share;
		assert_true(skip_gain(k, &k->now.plan, k->share) >= gain);
		gain = skip_gain(k, &k->now.plan, k->share);
		assert_int_equal(skip_count(&k->now.plan, LAYERS), skip_count(&first, LAYERS));
		assert_int_equal(skip_count(&k->trial.plan, LAYERS), skip_count(&first, LAYERS));
		assert_false(plan_has(k->trial.plan.skip_attn, 0) ||
			     plan_has(k->trial.plan.skip_mlp, 0));
		assert_false(plan_has(k->trial.plan.skip_attn, LAYERS - 1) ||
			     plan_has(k->trial.plan.skip_mlp, LAYERS - 1));
	}
	print_message("# agreement %.2f, after %ld tries %.2f, %d times better\n", share, k->tries,
		      k->share, better);
	assert_true(better > 0 && k->over);
	assert_true(k->share > 0.95 || k->dry == 300 || k->tries == 1000);
	assert_int_equal(search(), 0);
	/* The new set drafts, and the text is plain's. */
	for (int t = 0; t < 2; t++) {
		int want[LEN], n;

		begin(1, (float)t, 1, 1);
		n = answer(plain, want);
		begin(1, (float)t, 1, 1);
		assert_int_equal(answer(self, out), n);
		assert_memory_equal(want, out, sizeof(int) * (size_t)n);
	}
}

/* The score is how many choices of a pass of the plan over the last tokens are the whole model's:
 * counted here token by token in another cache, in which pieces of 16 stand behind a text that the
 * whole model read. */
static void test_score(void **state)
{
	struct session *t;
	struct skip *k;
	struct kv *kv;
	char err[ERR_MAX];
	int out[LEN], same = 0;

	(void)state;
	use("auto");
	t = &engine->target;
	k = &engine->skip;
	begin(3, 0, 5, 1);
	answer(self, out);
	while (k->share < 0)
		assert_int_equal(engine_idle(engine, err), 1);
	assert_int_equal(k->n, SKIP_WINDOW);
	assert_int_equal(k->at + k->n, t->n - 1);
	kv = beside(k->at);
	for (int i = 0; i < k->n; i++) {
		/* a greedy answer is the whole model's choices */
		assert_int_equal(k->want[i], t->tok[k->at + i + 1]);
		same += choice(kv, &k->now.run, t->tok[k->at + i], k->at + i) == k->want[i];
		if (i % 16 == 15)
			for (int j = i - 15; j <= i; j++)
				choice(kv, &t->base, t->tok[k->at + j], k->at + j);
	}
	t->be->kv_free(kv);
	print_message("# %d of %d\n", same, k->n);
	assert_true(same > 0 && same < k->n && fabs(k->share * k->n - same) < 1e-9);
	/* a set that leaves nothing out agrees on all, and that is enough */
	skip_use(k, &k->trial, &(struct plan){ .bridge = NULL });
	assert_int_equal(engine_idle(engine, err), 1);
	assert_int_equal(engine_idle(engine, err), 0);
	assert_true(k->share == 1 && k->over && k->tries == 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sets), cmocka_unit_test(test_refused),
		cmocka_unit_test(test_self_is_plain), cmocka_unit_test(test_whole),
		cmocka_unit_test(test_drafts),
		cmocka_unit_test(test_switching), cmocka_unit_test(test_context_end),
		cmocka_unit_test(test_apart), cmocka_unit_test(test_search_leaves_no_trace),
		cmocka_unit_test(test_search_improves), cmocka_unit_test(test_score),
	};
	char err[ERR_MAX];
	int rc;

	if (write_tied(MODEL, LAYERS, err) != 0) {
		printf("not ok - setup: %s\n", err);
		return 1;
	}
	rc = cmocka_run_group_tests_name("self", tests, NULL, NULL);
	engine_close(engine);
	remove(MODEL);
	return rc;
}
