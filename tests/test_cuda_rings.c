/* test_cuda_rings.c - caches that are rings, for layers that see a window, on the cuda backend:
 * texts longer than both, against a naive forward pass; and to the bit what strategies rely on.
 *
 * Linked as test_cuda.c is.  Owns one rig with rings, and one without, at a time. */
#include "tests/naive_kit.h"
#include "tests/ring_kit.h"
#include "tests/cuda_device.h"

static const struct backend *cuda;

/* All layers local, or some; wide heads; many of them to a key; a window over three pieces of a
 * context. */
static const struct mk_spec models[] = {
	MK_SMALL(.n_layers = 4, .n_embd = 64, .n_heads = 4, .n_kv_heads = 2, .n_ff = 96,
		 .type = "F32", .tied = true, .seed = 9, .arch = "gemma2", .head_dim = 32,
		 .window = 48),
	MK_SMALL(.n_layers = 7, .n_embd = 64, .n_heads = 4, .n_kv_heads = 1, .n_ff = 96,
		 .type = "Q8_0", .tied = true, .seed = 10, .arch = "gemma3", .head_dim = 32,
		 .window = 24),
	MK_SMALL(.n_layers = 3, .n_embd = 64, .n_heads = 2, .n_kv_heads = 1, .n_ff = 96,
		 .type = "F16", .seed = 11, .arch = "phi3", .window = 100),
	MK_SMALL(.n_layers = 2, .n_embd = 64, .n_heads = 3, .n_kv_heads = 1, .n_ff = 96,
		 .type = "Q8_0", .tied = true, .seed = 26, .arch = "gemma2", .head_dim = 256,
		 .window = 40),
	MK_SMALL(.n_layers = 2, .n_embd = 64, .n_heads = 16, .n_kv_heads = 1, .n_ff = 96,
		 .type = "Q5_0", .tied = true, .seed = 27, .arch = "gemma3", .head_dim = 48,
		 .window = 32),
	MK_SMALL(.n_layers = 2, .n_embd = 64, .n_heads = 2, .n_kv_heads = 1, .n_ff = 96,
		 .type = "F32", .tied = true, .seed = 28, .arch = "gemma3", .head_dim = 32,
		 .window = 130),
};
enum { MODELS = sizeof(models) / sizeof(models[0]) };

static struct rig open_ring(const struct mk_spec *spec, enum cache cache)
{
	struct backend_opt o = rig_opt(cache, NULL, 1);

	o.n_batch = STEP;
	return open_rig_on(cuda, spec, &o);
}

static void test_naive(void **state)
{
	(void)state;
	for (int i = 0; i < MODELS; i++) {
		struct distance prompt_few[] = { { .end = CTX, .rows = STEP },
						 { .end = 2 * RING + 40, .rows = 13 } };
		double prompt, few;
		struct rig r = open_ring(&models[i], F16);

		distances_in(&r, F16, prompt_few, 2);
		prompt = prompt_few[0].rms;
		few = prompt_few[1].rms;
		print_message("# %s: from double, rms %.2g in prompts, %.2g in few rows\n",
			      models[i].arch, prompt, few);
		assert_true(prompt < 0.02);
		assert_true(few < (*models[i].type == 'F' ? 0.02 : 0.15));
		close_rig(&r);
	}
}

/* In prompts and in few rows by turns; a drafter's steps are not begun at what was forgotten. */
static void rollback(const struct mk_spec *spec, enum cache cache)
{
	struct backend_opt whole = rig_opt(cache, NULL, 1);
	struct rig ring = open_ring(spec, cache), all = open_rig_on(cuda, spec, &whole);
	struct guess_batch g = { .run = &ring.whole, .tok = 1, .pos = RING, .n = 3 };

	check_ring(&ring, &all, (int[]){ 45, 15 }, (int[]){ STEP, 17 }, RING);
	assert_int_equal(cuda->draft->guess(ring.d, ring.kv, &g), -1);
	assert_non_null(strstr(cuda->error(ring.d), "forgotten"));
	g.pos = 0;
	assert_int_equal(cuda->draft->guess(ring.d, ring.kv, &g), 0);
	assert_int_equal(cuda->kv_back(ring.kv), 0);
	close_rig(&ring);
	close_rig(&all);
}

static void test_rollback(void **state)
{
	(void)state;
	for (int i = 0; i < MODELS; i++)
		rollback(&models[i], i % 2 ? Q8 : F16);
}

static void test_rows_alike(void **state)
{
	(void)state;
	for (int i = 0; i < MODELS; i++) {
		struct rig r = open_ring(&models[i], i % 2 ? F16 : Q8);

		check_counts_alike(&r, 2 * RING - 9, STEP, i % 3 ? few_counts : all_counts);
		close_rig(&r);
	}
}

/* What attention is said to have read: keys and values of the window, or of all positions. */
static void test_bytes(void **state)
{
	struct backend_stage out[BACKEND_STAGES_MAX];
	struct rig r = open_ring(&models[0], F16);
	size_t position = 2 * 2 * 32 * sizeof(uint16_t);

	(void)state;
	for (int pos = 0; pos < 384; pos += STEP)
		free(run(&r, NULL, pos, STEP, 1));
	cuda->stages(r.d, out);
	free(run(&r, NULL, 384, 2, 2));
	cuda->stages(r.d, out);
	assert_string_equal(out[2].name, "attention");
	assert_int_equal(out[2].bytes, position * (2 * 48 + 2 * 386));
	close_rig(&r);
}

/* test_cuda_rings [PATTERN]: only the tests of such names. */
int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_naive), cmocka_unit_test(test_rollback),
		cmocka_unit_test(test_rows_alike), cmocka_unit_test(test_bytes),
	};

	cuda = cuda_begin(argc, argv);
	if (!cuda)
		return 1;
	make_tokens();
	return cmocka_run_group_tests_name("cuda rings", tests, NULL, NULL);
}
