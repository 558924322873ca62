/* test_cuda_bridge_faults.c - the emulated GPU fails while a bridge is taken or crossed: a text,
 * nothing leaks, and all else goes on.  And what such a pass costs. */
#include "tests/bridge_kit.h"
#include "tests/cuda_device.h"
#include "tests/emu/emu.h"

enum { OUT_OF_MEMORY = 2 };     /* of cudaError_t */

static const struct backend *cuda;
static const struct mk_spec tiny = MK_SMALL(.n_layers = 2, .n_embd = 64, .n_heads = 2,
	.n_kv_heads = 1, .n_ff = 96, .type = "Q8_0", .seed = 3);
static struct crossing over;    /* for the tiny model */

static struct rig open_tiny(void)
{
	struct backend_opt o = { .n_batch = 64, .n_out = 20 };

	return open_rig_on(cuda, &tiny, &o);
}

static int take_bridge(struct rig *r, char err[ERR_MAX])
{
	return cuda->draft->bridge(r->d, &over.g, err);
}

static int take_rows(struct rig *r, char err[ERR_MAX])
{
	return cuda->draft->kv_keep(r->kv, (int[]){ 1 }, 1, err);
}

static int take_draft(struct rig *r, char err[ERR_MAX])
{
	struct batch b = { .tok = tokens, .n = 1, .pos = 40, .run = &over.over, .n_out = 2 };

	schedule_make(&over.over, r->m, &over.p);
	if (cuda->forward(r->d, r->kv, &b))
		return 0;
	snprintf(err, ERR_MAX, "%s", cuda->error(r->d));
	return -1;
}

/* Every call that it makes fails in turn: a text, nothing is kept of what it had taken, and the
 * device does all else as before. */
static void fails_alone(struct rig *r, int (*take)(struct rig *, char err[ERR_MAX]),
			const float *prompt, const float *step)
{
	long calls = 1;
	char err[ERR_MAX];

	for (long n = 1; n <= calls; n++) {
		struct emu_use before, after;
		float *again;

		assert_int_equal(cuda->draft->bridge(r->d, NULL, err), 0);
		if (take == take_draft)
			assert_int_equal(take_bridge(r, err), 0);
		before = emu_memory();
		*err = '\0';
		emu_fail_at(n, OUT_OF_MEMORY);
		calls = emu_calls();
		if (take(r, err) != 0) {
			after = emu_memory();
			assert_non_null(strstr(err, "memory"));
			assert_int_equal(after.device, before.device);
			assert_int_equal(after.graphs, before.graphs);
		}
		calls = emu_calls() - calls + 1;        /* one more: it got through at last */
		emu_fail_at(0, 0);
		again = run(r, NULL, 0, 20, 20);
		same_rows(prompt, again, 20, r);
		free(again);
		again = run(r, NULL, 20, 4, 4);
		same_rows(step, again, 4, r);
		free(again);
		assert_int_equal(take_rows(r, err), 0);
		assert_int_equal(take_bridge(r, err), 0);
		assert_int_equal(take_draft(r, err), 0);
	}
}

static void test_fails(void **state)
{
	struct rig r = open_tiny();
	float *prompt = run(&r, NULL, 0, 20, 20), *step = run(&r, NULL, 20, 4, 4);
	char err[ERR_MAX];

	(void)state;
	assert_int_equal(take_rows(&r, err), 0);
	emu_fail_at(1, OUT_OF_MEMORY);  /* what failed before has nothing to do with it */
	assert_null(cuda->kv_new(r.d, 64, err));
	assert_int_equal(take_bridge(&r, err), 0);
	fails_alone(&r, take_bridge, prompt, step);
	fails_alone(&r, take_rows, prompt, step);
	fails_alone(&r, take_draft, prompt, step);
	free(prompt);
	free(step);
	close_rig(&r);
	assert_int_equal(emu_memory().device, 0);
}

/* Once recorded, a pass is replayed, and takes nothing; all goes back with the bridge. */
static void test_launches(void **state)
{
	struct rig r = open_tiny();
	struct emu_use before = emu_memory(), a, b;
	char err[ERR_MAX];

	(void)state;
	free(run(&r, NULL, 0, 20, 1));
	give_bridge(&over, &r);
	free(run(&r, NULL, 20, 1, 1));
	for (int n = 1; n <= ROWS; n++)
		free(cross_rows(&r, &over, 21, n));
	for (int n = 1; n <= ROWS; n++) {
		free(run(&r, NULL, 20 + n, 1, 1));
		a = emu_memory();
		free(cross_rows(&r, &over, 21 + n, n));
		b = emu_memory();
		assert_int_equal(b.instantiations, a.instantiations);
		assert_int_equal(b.graph_launches - a.graph_launches, 1);
		assert_int_equal(b.mallocs, a.mallocs);
		assert_int_equal(b.syncs - a.syncs, 1);
		assert_in_range(b.kernels - a.kernels, 5, 3 + 5 + 2 * ADAPTS + 1);
	}
	assert_int_equal(cuda->draft->bridge(r.d, NULL, err), 0);
	assert_in_range(emu_memory().device, before.device, before.device + 32 * 1024);
	close_rig(&r);
}

/* test_cuda_bridge_faults [PATTERN]: only the tests of such names. */
int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fails), cmocka_unit_test(test_launches),
	};
	int failed;

	cuda = cuda_begin(argc, argv);
	if (!cuda)
		return 1;
	make_tokens();
	make_tiny_crossing(&over);
	failed = cmocka_run_group_tests_name("cuda bridge faults", tests, NULL, NULL);
	free_bridge(&over);
	return failed;
}
