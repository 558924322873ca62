/* test_windows.c - models whose layers see a window of the text, in caches that are rings: every
 * exact strategy writes what plain writes, over the window's edges and where the rings begin anew.
 */
#define LEN 300
#include "engine/window.h"
#include "tests/mk.h"
#include "tests/strategy_kit.h"

#define MODEL "build/test-windows.gguf"
#define LITTLE "build/test-windows-little.gguf"

static const struct mk_spec models[] = {
	{ .arch = "gemma2", .n_layers = 4, .window = 48, .head_dim = 32 },
	{ .arch = "gemma3", .n_layers = 7, .window = 32, .head_dim = 32 },
	{ .arch = "phi3", .n_layers = 2, .window = 40 },
};
enum { MODELS = sizeof(models) / sizeof(models[0]), RING = 256 };

/* The little model has the first layers of the big one, so the two agree now and then. */
static void open_windowed(int i, struct engine_opt *o)
{
	struct mk_spec s = models[i];
	char err[ERR_MAX] = "";

	s.n_embd = 64;
	s.n_heads = 4;
	s.n_kv_heads = 2;
	s.n_ff = 96;
	s.n_vocab = MK_VOCAB_MIN;
	s.n_ctx = 512;
	s.type = "Q8_0";
	s.tied = true;          /* likes to repeat itself */
	s.seed = 2;
	if (mk_write(MODEL, &s, err) != 0)
		fail_msg("%s", err);
	s.n_layers--;
	if (mk_write(LITTLE, &s, err) != 0)
		fail_msg("%s", err);
	engine = engine_open(o, err);
	if (!engine || !engine->strat.draft)
		fail_msg("%s", err);
}

static void shut(void)
{
	engine_close(engine);
	remove(MODEL);
	remove(LITTLE);
}

static void windowed(const char *(*switcher)(int))
{
	struct engine_opt o = { .model = MODEL, .model_draft = LITTLE, .n_ctx = 512,
				.be = { .n_threads = 1, .n_batch = 64 } };

	for (int i = 0; i < MODELS; i++) {
		long accepted = 0;
		int longest = 0;

		open_windowed(i, &o);
		assert_int_equal(window_rows(&engine->model->cfg, 0, 512, 64), RING);
		for (int j = 0; j < 2 * PROMPTS; j++) {
			identical(switcher, j / 2, j % 2 ? 0.7f : 0, 1.0f, &accepted);
			longest = engine->target.n > longest ? engine->target.n : longest;
		}
		print_message("# %s: %ld drafts accepted, texts of up to %d tokens\n",
			      models[i].arch, accepted, longest);
		assert_true(accepted > 50 && longest > RING + 50);
		shut();
	}
}

static void test_ngram(void **state)
{
	(void)state;
	windowed(ngram);
}

static void test_draft(void **state)
{
	(void)state;
	windowed(draft);
}

static void test_any(void **state)
{
	(void)state;
	srand(7);
	windowed(random_one);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ngram), cmocka_unit_test(test_draft),
		cmocka_unit_test(test_any),
	};

	return cmocka_run_group_tests_name("windows", tests, NULL, NULL);
}
