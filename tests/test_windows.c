/* test_windows.c - models whose layers see a window of the text, in caches that are rings: every
 * exact strategy writes what plain writes, over the window's edges and where the rings begin anew.
 */
#define LEN 300
#define SCRATCH "build/test-windows"
#include "engine/model/window.h"
#include "tests/windows_kit.h"

enum { RING = 256, PAST = RING + 50 };

/* What the texts below go beyond. */
static void test_ring(void **state)
{
	(void)state;
	for (int i = 0; i < MODELS; i++) {
		open_windowed("cpu", i);
		assert_int_equal(window_rows(&engine->model->cfg, 0, CONTEXT, BATCH, 1),
				 RING);
		shut();
	}
}

static void test_ngram(void **state)
{
	(void)state;
	windowed("cpu", ngram, 0, 50, PAST);
}

static void test_draft(void **state)
{
	(void)state;
	windowed("cpu", draft, 0, 50, PAST);
}

static void test_any(void **state)
{
	(void)state;
	srand(7);
	windowed("cpu", random_one, 0, 50, PAST);
}

/* Gemma 3's sizes of 1B, 4B and 27B: two bytes for each of head_dim keys and values of every key
 * head in every layer that sees a window. */
static void test_turn_rows(void **state)
{
	static const struct { int layers, kv, dim, local, rows; } all[] = {
		{ 26, 1, 256, 22, 2048 }, { 34, 4, 256, 29, 134217728 / (29 * 4 * 256 * 4) },
		{ 62, 16, 128, 52, 134217728 / (52 * 16 * 128 * 4) },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		struct model_config c = { .n_layers = all[i].layers, .n_kv_heads = all[i].kv,
					  .head_dim = all[i].dim, .window = 512, .global_each = 6 };

		assert_int_equal(window_turn(&c), all[i].rows);
		assert_int_equal(window_rows(&c, 0, 1 << 20, BATCH, window_turn(&c)),
				 (512 + BATCH + all[i].rows + 127) / 128 * 128);
	}
}

/* A chat of which a long answer is asked for again, and then a whole turn taken back: only what is
 * behind the border is read again. */
static void test_turn(void **state)
{
	enum { LONG = 8192, FIRST = 5000, ANSWER = 1500, QUESTION = 300 };
	static const struct mk_spec spec = { .n_layers = 3, .n_embd = 64, .n_heads = 4,
		.n_kv_heads = 1, .n_ff = 96, .n_vocab = MK_VOCAB_MIN, .n_ctx = LONG, .type = "Q8_0",
		.tied = true, .seed = 3, .arch = "gemma3", .head_dim = 32, .window = 64 };
	struct engine_opt o = { .model = MODEL, .backend = "cpu", .n_ctx = LONG };
	char err[ERR_MAX] = "";
	static int ids[LONG];
	struct session *t;

	(void)state;
	for (int i = 0; i < LONG; i++)
		ids[i] = 1 + i * 7 % 250;
	if (mk_write(MODEL, &spec, err) != 0 || !(engine = engine_open(&o, err)))
		fail_msg("%s", err);
	t = &engine->target;
	assert_true(window_rows(&engine->model->cfg, 0, LONG, 0, 2048) < LONG);
	/* question and answer are both there ... */
	assert_int_equal(engine_prompt(engine, ids, FIRST + QUESTION + ANSWER, err), 0);
	while (engine_prefill(engine, err) > 0)
		;
	/* ... the answer is asked for again */
	assert_int_equal(engine_prompt(engine, ids, FIRST + QUESTION, err), 0);
	assert_int_equal(t->n - t->n_kv, 1);
	while (engine_prefill(engine, err) > 0)
		;
	/* ... and another question instead */
	ids[FIRST]++;
	assert_int_equal(engine_prompt(engine, ids, FIRST + QUESTION, err), 0);
	assert_int_equal(t->n - t->n_kv, QUESTION);
	shut();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_turn_rows), cmocka_unit_test(test_turn),
		cmocka_unit_test(test_ring), cmocka_unit_test(test_ngram),
		cmocka_unit_test(test_draft), cmocka_unit_test(test_any),
	};

	return cmocka_run_group_tests_name("windows", tests, NULL, NULL);
}
