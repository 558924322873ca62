/* test_cache_texts.c - texts of a model whose MLPs prefer the columns that a cache holds (DIP-CA):
 * exact strategies write what plain writes with the same settings, whatever drafts were taken back;
 * with gamma 1 that is what plain DIP writes; a text goes on, begins again and changes as others
 * do; and a pass of many rows makes what these make one by one. */
#define LEN 48
#include "engine/approx/pruning.h"
#include "kernels/devices/registry.h"
#include "kernels/prune.h"
#include "tests/strategy_kit.h"

static const char MODEL[] = "build/test-cache.gguf";

static const char *self(int step)
{
	(void)step;
	return "self";
}

static struct dip_opt aware(const char *spec, const char *gamma, size_t bytes)
{
	return (struct dip_opt){ .spec = spec, .aware = gamma, .cache = { .bytes = bytes } };
}

/* The engine of the test until the next call. */
static void use(struct dip_opt dip)
{
	struct engine_opt o = { .model = MODEL, .self_skip = "0:0", .n_ctx = 512, .dip = dip,
				.dip_draft = ".4", .be = { .n_threads = 2 } };
	char err[ERR_MAX];

	engine_close(engine);
	engine = engine_open(&o, err);
	if (!engine)
		fail_msg("%s", err);
}

/* Bytes of all columns. */
static size_t all_columns(void)
{
	size_t bytes = 0;

	for (int l = 0; l < engine->model->cfg.n_layers; l++)
		for (int i = 0; i < LAYER_MATS; i++)
			if (i == MAT_GATE || i == MAT_UP || i == MAT_DOWN)
				bytes += engine->model->layer[l].mat[i]->bytes;
	return bytes;
}

static struct column_counts counts(void)
{
	return engine->be->columns->kv_counts(engine->target.kv);
}

/* As identity of the kit does, for some of its answers. */
static void some_identical(const char *(*switcher)(int), long *accepted)
{
	for (int i = 0; i < 4; i++)
		identical(switcher, 1 + i, i % 2 ? 0.7f : 0, i / 2 ? 1.2f : 1, accepted);
}

static void test_strategies(void **state)
{
	long by_copies = 0, by_self = 0, mixed = 0;
	struct dip_opt all[] = {
		aware(".5", ".2", 0), aware(".6:even", ".3:warm", all_columns() / 4),
		aware(".5", "1", all_columns() / 3),
	};

	(void)state;
	all[1].weighted = all[1].prompts = true;
	all[1].cache.policy = SLOTS_LRU;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		use(all[i]);
		assert_false(engine_exact(engine));
		some_identical(ngram, &by_copies);
		some_identical(self, &by_self);
		some_identical(random_one, &mixed);
		assert_true(counts().rows > 0 && counts().hits > 0);
		assert_true(counts().hits < counts().used);
	}
	print_message("# %ld copies held, %ld of self, %ld of both in turn\n", by_copies, by_self,
		      mixed);
	assert_true(by_copies > 0 && by_self > 0);      /* how many they dare depends on time */
}

/* Gamma 1 is plain DIP at any size; less is another text now and then, unless all is there. */
static void test_gamma(void **state)
{
	static const struct {
		const char *gamma;
		int share;      /* of the columns that fit, in percent; 0: none */
		bool same;
	} all[] = {
		{ "1", 0, true }, { "1", 30, true }, { "1", 100, true }, { "1:warm", 60, true },
		{ ".2", 30, false }, { ".2", 0, true },
	};
	int want[PROMPTS][LEN], got[LEN], n[PROMPTS];
	size_t bytes;

	(void)state;
	use(aware(".5", "off", 0));
	bytes = all_columns();
	for (int p = 0; p < PROMPTS; p++) {
		begin(p, 0.7f, 5, 1);
		n[p] = answer(plain, want[p]);
	}
	assert_int_equal(counts().rows, 0);
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		bool same = true;

		use(aware(".5", all[i].gamma, all[i].share ? bytes * (size_t)all[i].share / 100 :
			  1));
		for (int p = 0; p < PROMPTS; p++) {
			begin(p, 0.7f, 5, 1);
			same &= answer(plain, got) == n[p] &&
				!memcmp(got, want[p], sizeof(*got) * (size_t)n[p]);
		}
		assert_int_equal(same, all[i].same);
		assert_int_equal(counts().hits > 0, all[i].share > 0);
	}
}

/* What is stopped and goes on is what would have come; the same question has the same answer. */
static void test_go_on(void **state)
{
	int want[LEN], got[LEN], ids[64 + LEN], n, k, left;
	char err[ERR_MAX];

	(void)state;
	use(aware(".5", ".2", 0));
	for (int round = 0; round < 3; round++) {
		begin(2, 0.7f, 5, 1);
		k = answer(round == 1 ? self : plain, round ? got : want);
		if (round)
			assert_memory_equal(want, got, sizeof(*want) * (size_t)k);
	}
	assert_int_equal(k, LEN);
	begin(2, 0.7f, 5, 1);
	n = make_prompt(2, ids);
	for (int i = 0; i < LEN; i += 12) {     /* in four pieces */
		assert_int_equal(answer_to(i % 24 ? self : plain, 12, got + i), 12);
		memcpy(ids + n, got, sizeof(*ids) * (size_t)(i + 12));
		assert_int_equal(engine_prompt(engine, ids, n + i + 12, err), 0);
		while ((left = engine_prefill(engine, err)) > 0)
			;
		assert_int_equal(left, 0);
	}
	assert_memory_equal(want, got, sizeof(want));
}

/* Two answers in one chat. */
static int chat(const char *(*switcher)(int), int *out)
{
	char err[ERR_MAX];
	int ids[64 + LEN], n = make_prompt(2, ids), k, left;

	begin(2, 0.7f, 5, 1);
	k = answer(switcher, out);
	memcpy(ids + n, out, sizeof(*ids) * (size_t)k);
	n += k;
	for (int i = 0; i < 5; i++)
		ids[n++] = 20 + i;
	assert_int_equal(engine_prompt(engine, ids, n, err), 0);
	while ((left = engine_prefill(engine, err)) > 0)
		;
	assert_int_equal(left, 0);
	for (int i = 0; i < 100; i++)   /* nothing that self may find out changes a row */
		assert_int_equal(engine_idle(engine, err), 0);
	return k + answer_to(switcher, LEN, out + k);
}

static void test_second_answer(void **state)
{
	int want[2 * LEN], got[2 * LEN], n;

	(void)state;
	use(aware(".5", ".2", 0));
	n = chat(plain, want);
	for (int i = 0; i < 2; i++) {
		use(aware(".5", ".2", 0));
		assert_int_equal(chat(i ? self : ngram, got), n);
		assert_memory_equal(want, got, sizeof(*want) * (size_t)n);
	}
}

/* Behind a prompt and what was written so far, read again, the cache begins anew. */
static void test_change(void **state)
{
	const struct dip_opt steps[] = {
		aware("off", ".2", 0), aware(".5", ".2", 0), aware(".5", "off", 0),
		aware(".5", ".5:warm", all_columns() / 4),
	};
	int wrote[4 * 20], want[20], ids[64 + 80], n, left;
	char err[ERR_MAX];

	(void)state;
	use(steps[0]);
	begin(2, 0.7f, 5, 1);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(engine_prune(engine, &steps[i], err), 0);
		assert_int_equal(engine_exact(engine), i == 0);
		while ((left = engine_prefill(engine, err)) > 0)
			;
		assert_int_equal(answer_to(plain, 20, wrote + i * 20), 20);
	}
	for (int i = 0; i < 4; i++) {
		use(steps[i]);
		begin(2, 0.7f, 5, 1);
		n = make_prompt(2, ids);
		memcpy(ids + n, wrote, sizeof(*ids) * (size_t)(i * 20));
		assert_int_equal(engine_prompt(engine, ids, n + i * 20, err), 0);
		while ((left = engine_prefill(engine, err)) > 0)
			;
		answer_to(plain, 20, want);
		assert_memory_equal(want, wrote + i * 20, sizeof(want));
	}
	assert_int_equal(engine_prune(engine, &(struct dip_opt){ .spec = ".5", .aware = "2" }, err),
			 -1);
	assert_non_null(strstr(err, "--dip-ca"));
	assert_string_equal(engine->dip.aware, ".5:warm");
}

/* Rows 0..15 of a text in passes of n rows, layers in groups too. */
static void run_rows(const struct schedule *run, int n, float *out)
{
	struct column_cache_opt o = { .bytes = all_columns() / 3 };
	size_t row = sizeof(float) * MK_VOCAB_MIN;
	char err[ERR_MAX];
	struct kv *kv = engine->be->kv_new(engine->dev, 512, err);
	int ids[16];

	for (int i = 0; i < 16; i++)
		ids[i] = 3 + i * 37 % 11;
	assert_int_equal(engine->be->columns->kv_columns(kv, &o, err), 0);
	for (int at = 0; at < 16; at += n) {
		int rows = 16 - at < n ? 16 - at : n;
		struct batch b = { .tok = ids + at, .n = rows, .pos = at, .run = run,
				   .n_out = rows };
		const float *logits = engine->be->forward(engine->dev, kv, &b);

		assert_non_null(logits);
		for (int i = 0; i < rows; i++)
			memcpy(out + (at + i) * MK_VOCAB_MIN, row_at(logits, MK_VOCAB_MIN, i), row);
	}
	engine->be->kv_free(kv);
}

static void test_rows_alike(void **state)
{
	static float want[16 * MK_VOCAB_MIN], got[16 * MK_VOCAB_MIN], off[16 * MK_VOCAB_MIN];

	(void)state;
	use(aware("off", "off", 0));
	for (int grouped = 0; grouped < 2; grouped++) {
		struct plan p = { .target = true, .prune = prune_split(.5) };
		struct schedule run;

		if (grouped)
			p.group = (struct grouping){ .from = 0, .to = 4, .size = 2, .bypass = 1 };
		schedule_make(&run, engine->model, &p);
		run_rows(&run, 1, off);
		p.prune.gamma = .2f;
		schedule_make(&run, engine->model, &p);
		run_rows(&run, 1, want);
		assert_true(memcmp(want, off, sizeof(want)) != 0);
		for (int n = 2; n <= 16; n++) {
			run_rows(&run, n, got);
			assert_memory_equal(want, got, sizeof(want));
		}
	}
}

/* A pass that could not be taken back is refused. */
static void test_too_many(void **state)
{
	int ids[64] = { 0 }, most = engine->target.n_batch;
	char err[ERR_MAX];
	struct batch b = { .tok = ids, .n = 40, .pos = 0, .run = &engine->target.base, .n_out = 1 };

	(void)state;
	use(aware(".5", ".2", 0));
	assert_true(most > 40);
	assert_null(engine->be->forward(engine->dev, engine->target.kv, &b));
	snprintf(err, sizeof(err), "%s", engine->be->error(engine->dev));
	assert_non_null(strstr(err, "cache of columns"));
}

/* A backend without such a cache says so, and what was in use stays. */
static void test_without(void **state)
{
	struct backend without = backend_cpu;
	const struct dip_opt cached = aware(".6", ".2", 0), off = aware(".6", "off", 0);
	char err[ERR_MAX];

	(void)state;
	use(aware(".5", "off", 0));
	without.columns = NULL;
	engine->be = &without;
	assert_int_equal(engine_prune(engine, &cached, err), -1);
	assert_non_null(strstr(err, "no cache of columns"));
	assert_non_null(strstr(err, "--dip-ca off"));
	assert_string_equal(engine->dip.spec, ".5");
	assert_int_equal(engine_prune(engine, &off, err), 0);
	engine->be = &backend_cpu;
}

static void test_specs(void **state)
{
	static const char *const bad[] = { "x", "0", "1.1", "-.5", ".5:", ".5:cold", "nan", " .5",
					   ":warm", ".5:warm " };
	struct pruning p;
	char err[ERR_MAX], text[PRUNING_TEXT];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(pruning_aware(bad[i], &p, err), -1);
		assert_non_null(strstr(err, "--dip-ca"));
	}
	assert_int_equal(pruning_aware(".25:warm", &p, err), 0);
	assert_true(p.gamma > .2499f && p.gamma < .2501f && p.warm);
	assert_int_equal(pruning_aware("off", &p, err), 0);
	assert_true(p.gamma < 1e-9f && !p.warm);
	use(aware(".5", ".25:warm", 0));
	assert_string_equal(pruning_text(&engine->dip, text), ".5 ca .25:warm");
	use(aware("off", ".25:warm", 0));
	assert_string_equal(pruning_text(&engine->dip, text), "off");
	assert_true(engine_exact(engine));
}

static int write_model(void **state)
{
	char err[ERR_MAX];

	(void)state;
	if (write_tied(MODEL, 4, err) != 0)
		fail_msg("%s", err);
	use(aware("off", "off", 0));
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
		cmocka_unit_test(test_too_many),
		cmocka_unit_test(test_without),
		cmocka_unit_test(test_rows_alike),
		cmocka_unit_test(test_gamma),
		cmocka_unit_test(test_go_on),
		cmocka_unit_test(test_second_answer),
		cmocka_unit_test(test_change),
		cmocka_unit_test(test_strategies),
	};

	return cmocka_run_group_tests_name("cache_texts", tests, write_model, remove_model);
}
