/* test_prune_texts.c - texts of a model whose MLPs read a part of their columns: exact strategies
 * write what plain writes with the same part, it may change in mid-answer, a prompt is read densely
 * or likewise, and drafts that read less leave the model's own text alone. */
#define LEN 96
#include "engine/approx/pruning.h"
#include "engine/info.h"
#include "kernels/backend_time.h"
#include "kernels/prune.h"
#include <math.h>
#include "tests/strategy_kit.h"

static const char MODEL[] = "build/test-prune.gguf", WIDE_MODEL[] = "build/test-prune-wide.gguf";

static const char *self(int step)
{
	(void)step;
	return "self";
}

/* The engine of the test until the next call. */
static void use(struct dip_opt dip, const char *in_drafts)
{
	struct engine_opt o = { .model = MODEL, .self_skip = "0:0", .n_ctx = 512, .dip = dip,
				.dip_draft = in_drafts, .be = { .n_threads = 1 } };
	char err[ERR_MAX];

	engine_close(engine);
	engine = engine_open(&o, err);
	if (!engine)
		fail_msg("%s", err);
}

static void read_prompt(void)
{
	char err[ERR_MAX];
	int left;

	while ((left = engine_prefill(engine, err)) > 0)
		;
	assert_int_equal(left, 0);
}

static void test_strategies(void **state)
{
	static const struct dip_opt all[] = {
		{ .spec = ".5" }, { .spec = ".6", .weighted = true, .prompts = true },
		{ .spec = ".7:even", .weighted = true },
	};
	static const char *(*const by[])(int) = { ngram, self, random_one };

	(void)state;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		long accepted[3] = { 0 };

		use(all[i], ".4");
		assert_false(engine_exact(engine));
		identities(by, 3, accepted);
		assert_true(accepted[0] > 0 && accepted[1] > 0);
	}
}

/* Two answers in one chat: what of the first is in the cache when the second begins does not depend
 * on who wrote it. */
static int chat(const char *(*switcher)(int), int *out)
{
	char err[ERR_MAX];
	int ids[64 + LEN], n = make_prompt(2, ids), k;

	begin(2, 0.7f, 5, 1);
	k = answer(switcher, out);
	memcpy(ids + n, out, sizeof(*ids) * (size_t)k);
	n += k;
	for (int i = 0; i < 5; i++)
		ids[n++] = 20 + i;
	assert_int_equal(engine_prompt(engine, ids, n, err), 0);
	read_prompt();
	return k + answer_to(switcher, LEN, out + k);
}

static void test_second_answer(void **state)
{
	int want[2 * LEN], got[2 * LEN], n;

	(void)state;
	use((struct dip_opt){ .spec = ".5" }, NULL);
	n = chat(plain, want);
	for (int i = 0; i < 2; i++) {
		use((struct dip_opt){ .spec = ".5" }, NULL);
		assert_int_equal(chat(i ? self : ngram, got), n);
		assert_memory_equal(want, got, sizeof(*want) * (size_t)n);
	}
}

/* Less in drafts only: the text is the model's own, and most of the drafts hold. */
static void test_drafts(void **state)
{
	int want[LEN], got[LEN], n;
	long accepted = 0, drafted = 0;

	(void)state;
	for (int p = 0; p < PROMPTS; p++) {
		use((struct dip_opt){ .spec = "off" }, NULL);
		begin(p, 0.7f, 5, 1);
		n = answer(plain, want);
		use((struct dip_opt){ .spec = "off", .weighted = true }, ".7");
		assert_true(engine_exact(engine));
		begin(p, 0.7f, 5, 1);
		assert_int_equal(answer(self, got), n);
		assert_memory_equal(want, got, sizeof(*want) * (size_t)n);
		accepted += engine->strat.stats.accepted;
		drafted += engine->strat.stats.drafted;
	}
	assert_true(accepted > 0 && accepted < drafted);
	/* a draft that is the model itself always holds */
	use((struct dip_opt){ .spec = ".5" }, NULL);
	begin(2, 0, 5, 1);
	answer(self, got);
	all_accepted();
}

/* The text of the model that a prompt and n tokens of an answer stand before. */
static void go_on(struct dip_opt dip, const int *before, int n, int *out)
{
	char err[ERR_MAX];
	int ids[64 + LEN], k = make_prompt(2, ids);

	use(dip, NULL);
	begin(2, 0.7f, 5, 1);
	memcpy(ids + k, before, sizeof(*ids) * (size_t)n);
	assert_int_equal(engine_prompt(engine, ids, k + n, err), 0);
	read_prompt();
	answer_to(plain, 30, out);
}

/* Bytes of weights that a token reads: of its stages, less what attention reads of the cache. */
static double bytes_read(void)
{
	struct backend_stage s[BACKEND_STAGES_MAX];
	struct emit out[STEP_MAX];
	char err[ERR_MAX];
	bool done;
	double bytes = 0;
	int n = engine->be->stages(engine->dev, s);

	assert_int_equal(engine_strategy(engine, "plain", err), 0);
	assert_int_equal(engine_step(engine, 1, out, &done, err), 1);
	n = engine->be->stages(engine->dev, s);
	for (int i = 0; i < n; i++)
		bytes += strcmp(s[i].name, "attention") ? (double)s[i].bytes : 0;
	return bytes;
}

/* A target's MLPs lie by columns while they are pruned, from the start or from then on: it reads
 * what its plan says.  In drafts alone they are read whole, for the text's sake. */
static void test_columns(void **state)
{
	static const char *const parts[] = { ".7", "off", ".35", "off" };
	struct mk_spec spec = MK_SMALL(.n_layers = 3, .n_embd = 256, .n_heads = 4,
				       .n_kv_heads = 2, .n_ff = 768, .type = "Q4_0", .seed = 41);
	struct engine_opt o = { .model = WIDE_MODEL, .n_ctx = 256, .be = { .n_threads = 2 } };
	char err[ERR_MAX];

	(void)state;
	if (mk_write(WIDE_MODEL, &spec, err) != 0)
		fail_msg("%s", err);
	for (int first = 0; first < 4; first++) {
		engine_close(engine);
		o.dip = (struct dip_opt){ .spec = parts[first] };
		o.dip_draft = first == 3 ? ".5" : NULL;
		if (!(engine = engine_open(&o, err)))
			fail_msg("%s", err);
		for (int i = first; i < 4; i++) {
			double want;

			if (engine_prune(engine, &(struct dip_opt){ .spec = parts[i] }, err))
				fail_msg("%s", err);
			begin(2, 0, 5, 1);
			want = (double)engine_token_bytes(engine);
			assert_true(fabs(bytes_read() / want - 1) < .05);
			assert_string_equal(engine->notes[NOTE_COLUMNS], "");
		}
	}
	remove(WIDE_MODEL);
	/* without whole slabs of rows: from the start, or there is a word about it */
	use((struct dip_opt){ .spec = ".5" }, NULL);
	assert_string_equal(engine->notes[NOTE_COLUMNS], "");
	use((struct dip_opt){ .spec = "off" }, NULL);
	assert_int_equal(engine_prune(engine, &(struct dip_opt){ .spec = ".5" }, err), 0);
	assert_non_null(strstr(engine->notes[NOTE_COLUMNS], "12 of the 12"));
	assert_int_equal(engine_prune(engine, &(struct dip_opt){ .spec = "off" }, err), 0);
	assert_string_equal(engine->notes[NOTE_COLUMNS], "");
}

static void test_change(void **state)
{
	static const struct dip_opt steps[] = {
		{ .spec = "off" }, { .spec = ".5" }, { .spec = ".5", .weighted = true },
		{ .spec = ".5", .weighted = true, .prompts = true },
		{ .spec = "1", .weighted = true, .prompts = true },
	};
	enum { N = sizeof(steps) / sizeof(steps[0]) };
	int wrote[N * 30], want[30];
	char err[ERR_MAX];

	(void)state;
	use(steps[0], NULL);
	begin(2, 0.7f, 5, 1);
	for (int i = 0; i < N; i++) {
		if (engine_prune(engine, &steps[i], err) != 0)
			fail_msg("%s", err);
		assert_int_equal(engine_exact(engine), i == 0 || i == N - 1);
		read_prompt();
		assert_int_equal(answer_to(plain, 30, wrote + i * 30), 30);
	}
	for (int i = 0; i < N && i * 30 + 30 <= LEN; i++) {
		go_on(steps[i], wrote, i * 30, want);
		assert_memory_equal(want, wrote + i * 30, sizeof(want));
	}
	/* what cannot be leaves all as it was */
	assert_int_equal(engine_prune(engine, &(struct dip_opt){ .spec = "2" }, err), -1);
	assert_non_null(strstr(err, "--dip"));
	assert_true(!engine_exact(engine) && !strcmp(engine->dip.spec, ".5"));
}

/* ids[from..to-1] at their places by a schedule, into a cache of the caller's. */
static const float *pass(struct kv *kv, const struct schedule *what, const int *ids, int from,
			 int to, int n_out)
{
	struct batch b = { .tok = ids + from, .n = to - from, .pos = from, .run = what,
			   .n_out = n_out };
	const float *logits = engine->be->forward(engine->dev, kv, &b);

	assert_non_null(logits);
	return logits;
}

/* A prompt is read by the whole model, but its last token, or as the text is written: by itself and
 * where a step finds it unread. */
static void test_prompts(void **state)
{
	enum { DRAFTS = 3 };
	char err[ERR_MAX];
	int ids[64], n;
	size_t size = sizeof(float) * MK_VOCAB_MIN;

	(void)state;
	for (int i = 0; i < 4; i++) {
		bool prompts = i % 2;
		struct schedule dense, less;
		struct kv *kv;
		float *want;

		use((struct dip_opt){ .spec = ".5", .prompts = prompts }, NULL);
		schedule_make(&dense, engine->model, &(struct plan){ .target = true });
		schedule_make(&less, engine->model, &(struct plan){ .target = true,
							.prune = prune_split(.5) });
		n = make_prompt(0, ids);
		for (int k = 0; k < DRAFTS; k++)
			ids[n + k] = 20 + k;
		assert_int_equal(engine_prompt(engine, ids, n, err), 0);
		if (i / 2)
			read_prompt();
		want = malloc(size);
		kv = engine->be->kv_new(engine->dev, 512, err);
		pass(kv, prompts ? &less : &dense, ids, 0, n - 1, 0);
		memcpy(want, row_at(pass(kv, &less, ids, n - 1, n + DRAFTS, 1), MK_VOCAB_MIN, 0),
		       size);
		engine->be->kv_free(kv);
		assert_memory_equal(want, row_at(session_extend(&engine->target, ids + n, DRAFTS,
								err), MK_VOCAB_MIN, DRAFTS), size);
		free(want);
	}
}

static void test_specs(void **state)
{
	static const char *const bad[] = { "x", "0", "1.1", "-.5", ".5:", ".5:odd", ".6:hidden",
					   "nan", ".5.5", "inf", " .5", ":even" };
	struct dip d = { .weighted = true };
	char err[ERR_MAX], text[PRUNING_TEXT];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(pruning_parse(bad[i], &d.keep, err), -1);
		assert_non_null(strstr(err, "--dip"));
	}
	assert_int_equal(pruning_parse(NULL, &d.keep, err), 0);
	assert_string_equal(pruning_text(&d, text), "off");
	assert_int_equal(pruning_parse("1", &d.keep, err), 0);
	assert_string_equal(pruning_text(&d, text), "off");
	assert_int_equal(pruning_parse(".7:hidden", &d.keep, err), 0);
	assert_true(d.keep.in == 1 && d.keep.hidden > .0999 && d.keep.hidden < .1001);
	assert_int_equal(pruning_parse(".5:even", &d.keep, err), 0);
	assert_true(d.keep.in == .5 && d.keep.hidden == .5);
	strcpy(d.spec, ".5:even");
	assert_string_equal(pruning_text(&d, text), ".5:even weighted");
}

static int write_model(void **state)
{
	char err[ERR_MAX];

	(void)state;
	if (write_tied(MODEL, 4, err) != 0)
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
		cmocka_unit_test(test_specs),
		cmocka_unit_test(test_prompts),
		cmocka_unit_test(test_second_answer),
		cmocka_unit_test(test_drafts),
		cmocka_unit_test(test_change),
		cmocka_unit_test(test_columns),
		cmocka_unit_test(test_strategies),
	};

	return cmocka_run_group_tests_name("prune_texts", tests, write_model, remove_model);
}
