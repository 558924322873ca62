/* test_cuda_text.c - on the emulated GPU every exact strategy writes what plain writes, with tiny
 * random models, at any temperature and also when strategies change between steps; drafts are made
 * without asking the host; what is picked out of a row on the device is what the host would pick.
 *
 * The program's own backend_cuda is replaced by the one linked here. */
#define LEN 24
#include "tests/cuda_device.h"
#include "tests/emu/emu.h"
#include "tests/short_kit.h"
#include <math.h>

static const char BIG[] = "build/test-cuda-text.gguf", LITTLE[] = "build/test-cuda-little.gguf",
		  SELF[] = "build/test-cuda-self.gguf";

const struct backend *backend_cuda(char err[ERR_MAX])
{
	return cuda_device(err);
}

static void test_strategies(void **state)
{
	static const char *(*const by[])(int) = { ngram, draft, bild, automatic, random_one };
	long accepted[5] = { 0 };

	(void)state;
	identities(by, 5, accepted);
	for (int i = 0; i < 3; i++)     /* else the test has shown nothing */
		assert_true(accepted[i] > 20);
}

/* The little model's guesses come in one go: a copy to start with, a pass for each, one wait. */
static void test_guesses(void **state)
{
	struct session *d = &engine->draft;
	struct guess_batch b = { .n = GUESS_MAX, .law = { 0.7f, 0.05f, 0.6f, 5 } };
	struct guess_batch again = b;
	char err[ERR_MAX];
	struct emu_use before, after;

	(void)state;
	begin(2, 0.7f, 5, 1);
	assert_int_equal(session_set(d, engine->target.tok, engine->target.n, err), 0);
	assert_int_equal(session_guess(d, &b, err), GUESS_MAX);
	before = emu_memory();
	assert_int_equal(session_guess(d, &again, err), GUESS_MAX);
	after = emu_memory();
	assert_int_equal(after.graph_launches - before.graph_launches, GUESS_MAX);
	assert_int_equal(after.syncs - before.syncs, 1);
	assert_int_equal(after.mallocs, before.mallocs);
	for (int i = 0; i < GUESS_MAX; i++) {
		assert_int_equal(b.out[i], again.out[i]);
		assert_true(b.sure[i] == again.sure[i]);
	}
}

/* They are what the host makes of the same logits, by the law of choice and its noise. */
static void test_guess_law(void **state)
{
	static const float temps[] = { 0, 0.5f, 1.0f };
	struct session *d = &engine->draft;
	int same = 0, all = 0;
	char err[ERR_MAX];

	(void)state;
	for (int i = 0; i < 30; i++) {
		struct sampler_opt law = SAMPLER_DEFAULTS;
		struct guess_batch b = { .n = 1 };
		const float *logits;
		double want = 0, top = -INFINITY;

		begin(i % PROMPTS, temps[i % 3], (uint64_t)i, 1);
		law.temp = temps[i % 3];
		law.seed = (uint64_t)i;
		law.top_k = 0;
		law.top_p = 1;
		b.law = (struct guess_law){ law.temp, law.min_p, STRATEGY_LAMBDA, law.seed };
		assert_int_equal(session_set(d, engine->target.tok, engine->target.n, err), 0);
		assert_int_equal(session_guess(d, &b, err), 1);
		logits = session_extend(d, NULL, 0, err);
		assert_non_null(logits);
		for (int v = 0; v < d->n_out; v++)
			top = fmax(top, (double)logits[v]);
		for (int v = 0; v < d->n_out; v++)
			want += exp((double)logits[v] - top);
		assert_true(fabs(b.sure[0] * want - 1) < 1e-5);
		same += b.out[0] == sampler_choose(engine->strat.draft_smp, &law, logits, d->tok,
						   d->n, STRATEGY_LAMBDA);
		all++;
	}
	assert_true(same >= all - 1);   /* the noise is added in float there */
}

/* Rows with only the groups of the largest logits give the same choices. */
static void test_best(void **state)
{
	static const int counts[] = { 1, 2, 3, 7, 16, 17, 40 };
	struct session *t = &engine->target;
	int vocab = t->n_out;
	float *whole = malloc(sizeof(float) * (size_t)(vocab + row_peaks(vocab)));
	char err[ERR_MAX];

	(void)state;
	begin(1, 0.7f, 1, 1);
	memcpy(whole, session_extend(t, NULL, 0, err),
	       sizeof(float) * (size_t)(vocab + row_peaks(vocab)));
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		struct batch b = { .tok = t->tok + t->n - 1, .n = 1, .pos = t->n - 1, .n_out = 1,
				   .n_best = counts[i], .run = &t->base };
		const float *row = t->be->forward(t->dev, t->kv, &b);
		int groups = 0;

		assert_non_null(row);
		for (int v = 0; v < vocab; v++) {
			int larger = 0;

			for (int w = 0; w < vocab; w++)
				larger += whole[w] > whole[v];
			if (larger < counts[i])
				assert_true(row[v] == whole[v] && row[vocab + v / PEAK] ==
					    whole[vocab + v / PEAK]);
		}
		for (int g = 0; g < row_peaks(vocab); g++)
			groups += row[vocab + g] > -INFINITY;
		assert_in_range(groups, 1, counts[i]);
	}
	free(whole);
}

static const char *self(int step)
{
	(void)step;
	return "self";
}

/* What self leaves out, in an engine of its own; search: pieces of that behind an answer. */
static void by_itself(const char *skip, int search, long *accepted, float *row)
{
	struct engine_opt o = { .model = SELF, .backend = "cuda", .self_skip = skip, .n_ctx = 256,
				.be = { .n_batch = 64 } };
	struct engine *other = engine;
	const float *logits;
	char err[ERR_MAX];
	int out[LEN];

	engine = engine_open(&o, err);
	if (!engine)
		fail_msg("%s", err);
	if (accepted)
		identity(self, accepted);
	begin(3, 0.7f, 5, 1);
	answer(self, out);
	while (search-- > 0)
		assert_int_equal(engine_idle(engine, err), 1);
	assert_int_equal(engine->target.n_kv, engine->target.n - 1);
	logits = session_extend(&engine->target, NULL, 0, err);
	assert_non_null(logits);
	memcpy(row, logits, sizeof(float) * (size_t)engine->target.n_out);
	engine_close(engine);
	engine = other;
}

/* Drafts of the model without some sub-layers; the search for others leaves the cache as it was. */
static void test_self(void **state)
{
	struct mk_spec spec = { .n_layers = 4, .n_embd = 32, .n_heads = 2, .n_kv_heads = 1,
		.n_ff = 32, .n_vocab = MK_VOCAB_MIN + 8, .n_ctx = 512, .type = "Q8_0", .tied = true,
		.seed = 1 };
	static const char *const sets[] = { "a1,m2", "m0,a3" };
	static float want[MK_VOCAB_MIN + 8], got[MK_VOCAB_MIN + 8];
	char err[ERR_MAX];
	long accepted = 0;

	(void)state;
	assert_int_equal(mk_write(SELF, &spec, err), 0);
	for (int i = 0; i < 2; i++) {
		by_itself(sets[i], 0, &accepted, want);
		print_message("# %s: %ld drafts accepted\n", sets[i], accepted);
		assert_true(accepted > 20 * (i + 1));
	}
	for (int search = 1; search < 8; search++) {
		by_itself(NULL, search, NULL, got);
		assert_memory_equal(want, got, sizeof(want));
	}
	remove(SELF);
}

/* Outputs that are no tokens: neither in rows that the host gets, whole or the best groups of them,
 * nor in guesses. */
static void test_short_vocabulary(void **state)
{
	(void)state;
	check_short_vocabulary("cuda", 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_strategies), cmocka_unit_test(test_self),
		cmocka_unit_test(test_guesses), cmocka_unit_test(test_short_vocabulary),
		cmocka_unit_test(test_guess_law), cmocka_unit_test(test_best),
	};
	struct mk_spec big = { .n_layers = 2, .n_embd = 32, .n_heads = 2, .n_kv_heads = 1,
		.n_ff = 32, .n_vocab = MK_VOCAB_MIN + 8, .n_ctx = 512, .type = "Q8_0", .tied = true,
		.seed = 1 };
	struct mk_spec little = { .n_layers = 1, .n_embd = 32, .n_heads = 2, .n_kv_heads = 1,
		.n_ff = 32, .n_vocab = MK_VOCAB_MIN + 8, .n_ctx = 512, .type = "Q8_0", .tied = true,
		.seed = 1 };
	struct engine_opt o = { .model = BIG, .model_draft = LITTLE, .backend = "cuda",
				.n_ctx = 256, .be = { .n_batch = 64 } };
	char err[ERR_MAX] = "";
	int rc;

	srand(7);
	if (mk_write(BIG, &big, err) != 0 || mk_write(LITTLE, &little, err) != 0 ||
	    !(engine = engine_open(&o, err)) || !engine->strat.draft) {
		printf("%s %s\n", err, engine ? engine->draft_err : "");
		return 1;
	}
	rc = cmocka_run_group_tests_name("cuda text", tests, NULL, NULL);
	engine_close(engine);
	remove(BIG);
	remove(LITTLE);
	return rc;
}
