/* windows_kit.h - engines whose models have layers that see a window of the text, each with a
 * little model, write with any strategy what plain writes.
 *
 * Included by a test program that sets LEN and SCRATCH, how the names of its files begin (no two
 * programs share one: they run side by side); owns `engine` between open_windowed and shut. */
#ifndef S3D_WINDOWS_KIT_H
#define S3D_WINDOWS_KIT_H
#include "tests/mk.h"
#include "tests/strategy_kit.h"

static const char MODEL[] = SCRATCH ".gguf", LITTLE[] = SCRATCH ".little.gguf";

static const struct mk_spec models[] = {
	{ .arch = "gemma2", .n_layers = 4, .window = 48, .head_dim = 32 },
	{ .arch = "gemma3", .n_layers = 7, .window = 32, .head_dim = 32 },
	{ .arch = "phi3", .n_layers = 2, .window = 40 },
};
enum { MODELS = sizeof(models) / sizeof(models[0]), BATCH = 64, CONTEXT = 512 };

/* The little model has the first layers of the big one, so the two agree now and then. */
static inline void open_windowed(const char *backend, int i)
{
	struct engine_opt o = { .model = MODEL, .model_draft = LITTLE, .backend = backend,
				.n_ctx = CONTEXT, .be = { .n_threads = 1, .n_batch = BATCH,
							  .n_back = 1 } };
	struct mk_spec s = models[i];
	char err[ERR_MAX] = "";

	s.n_embd = 64;
	s.n_heads = 4;
	s.n_kv_heads = 2;
	s.n_ff = 96;
	s.n_vocab = MK_VOCAB_MIN;
	s.n_ctx = CONTEXT;
	s.type = "Q8_0";
	s.tied = true;          /* likes to repeat itself */
	s.seed = 2;
	if (mk_write(MODEL, &s, err) != 0)
		fail_msg("%s", err);
	s.n_layers--;
	if (mk_write(LITTLE, &s, err) != 0)
		fail_msg("%s", err);
	engine = engine_open(&o, err);
	if (!engine || !engine->strat.draft)
		fail_msg("%s", err);
	assert_string_equal(engine->be->name, backend);
}

static inline void shut(void)
{
	engine_close(engine);
	remove(MODEL);
	remove(LITTLE);
}

/* Prompts from one on, at temperature 0 and another; all models find so many drafts that hold, and
 * write beyond a length. */
static inline void windowed(const char *backend, const char *(*switcher)(int), int prompt,
			    long drafts, int length)
{
	for (int i = 0; i < MODELS; i++) {
		long accepted = 0;
		int longest = 0;

		open_windowed(backend, i);
		for (int j = 2 * prompt; j < 2 * PROMPTS; j++) {
			identical(switcher, j / 2, j % 2 ? 0.7f : 0, 1.0f, &accepted);
			longest = engine->target.n > longest ? engine->target.n : longest;
		}
		print_message("# %s: %ld drafts accepted, texts of up to %d tokens\n",
			      models[i].arch, accepted, longest);
		assert_true(accepted > drafts && longest > length);
		shut();
	}
}
#endif
