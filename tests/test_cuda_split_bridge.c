/* test_cuda_split_bridge.c - drafts over a bridge, and guesses, of models that cpu and emulated GPU
 * share: what crosses does so on the GPU, or is refused.
 *
 * Owns one rig of each backend at a time. */
#include "tests/split_kit.h"

static void test_bridge(void **state)
{
	(void)state;
	for (int at = 0; at <= 4; at++) {       /* the layers that are left out may be anywhere */
		struct rig r = open_split(&six, F16, at, "auto");

		check_no_trace(&r, 16);
		check_kept(&r, 16);
		check_lanes(&r);
		if (at <= 2)            /* where its bridge ends */
			check_vocabulary(&r);
		close_rig(&r);
	}
}

static void test_bridge_near(void **state)
{
	struct rig a = open_cpu(&six, F16, "auto"), b;
	struct crossing x;
	float *want, *got;

	(void)state;
	make_bridge(&x, &a, 1, 4, QUANT_F32, true);
	read_text(&a, 40, 16);
	want = cross(&a, &x, 40);
	for (int at = 1; at <= 4; at++) {
		double diff = 0, sum = 0;

		b = open_split(&six, F16, at, "auto");
		give_bridge(&x, &b);
		read_text(&b, 40, 16);
		got = cross(&b, &x, 40);
		for (int i = 0; i < ROWS * MK_VOCAB_MIN; i++) {
			diff += ((double)want[i] - (double)got[i]) *
				((double)want[i] - (double)got[i]);
			sum += (double)want[i] * (double)want[i];
		}
		print_message("# a bridge 1:4 over a cut at %d: apart by %.2g\n", at,
			      sqrt(diff / sum));
		assert_true(sqrt(diff / sum) < 0.02);
		free(got);
		close_rig(&b);
	}
	free(want);
	free_bridge(&x);
	close_rig(&a);
}

static void test_bridge_refused(void **state)
{
	struct rig r = open_split(&six, F16, 5, "auto");
	struct crossing x;
	struct batch b = { .tok = tokens, .n = 1, .run = &x.over, .n_out = 2 };
	char err[ERR_MAX];

	(void)state;
	make_crossing(&x, &r.m->cfg, 1, 4, ROWS, QUANT_Q8_0, false);
	check_misfit(&r, &x.g, "may have 4 (-ngl 2");
	assert_int_equal(split->draft->kv_keep(r.kv, (int[]){ 4, 5 }, 2, err), -1);
	assert_non_null(strstr(err, "the cpu has 5 of the 6 layers"));
	assert_int_equal(split->draft->kv_keep(r.kv, (int[]){ 5, 6 }, 2, err), -1);
	assert_non_null(strstr(err, "layer 6"));
	schedule_make(&x.over, r.m, &x.p);
	check_refused(&r, b, "on one device");
	assert_false(backend_guesses(split, r.d));
	close_rig(&r);
	free_bridge(&x);
	r = open_split(&six, F16, 2, "auto");
	check_bridge_refusals(&r);
	check_misfits(&r);
	close_rig(&r);
}

/* A device that has all layers guesses as the GPU does. */
static void test_guess(void **state)
{
	struct backend_opt o = rig_opt(F16, NULL, 1);
	struct rig a = open_rig_on(cuda, &six, &o), b = open_split(&six, F16, 0, "auto");
	struct guess_batch g[2];

	(void)state;
	assert_true(backend_guesses(split, b.d) && backend_guesses(cuda, a.d));
	for (int i = 0; i < 2; i++) {
		struct rig *r = i ? &b : &a;

		read_text(r, 20, 16);
		g[i] = (struct guess_batch){ .run = &r->whole, .tok = tokens[20], .pos = 20,
					     .n = 3 };
		assert_int_equal(r->be->draft->guess(r->d, r->kv, &g[i]), 0);
	}
	assert_memory_equal(g[0].out, g[1].out, 3 * sizeof(int));
	close_rig(&a);
	close_rig(&b);
}

/* test_cuda_split_bridge [PATTERN]: only the tests of such names. */
int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bridge),
		cmocka_unit_test(test_bridge_near),
		cmocka_unit_test(test_bridge_refused),
		cmocka_unit_test(test_guess),
	};

	if (!split_begin(argc, argv))
		return 1;
	return cmocka_run_group_tests_name("cuda split bridge", tests, NULL, NULL);
}
