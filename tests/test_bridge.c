/* test_bridge.c - passes that leave the middle of a model out: against a naive one in double
 * precision, and that they leave no trace, to the bit. */
#include "tests/bridge_kit.h"

static const struct mk_spec specs[] = {
	MK_SMALL(.n_layers = 6, .n_embd = 64, .n_heads = 4, .n_kv_heads = 2, .n_ff = 96,
		 .type = "F32", .seed = 1),
	{ .n_layers = 5, .n_embd = 96, .n_heads = 6, .n_kv_heads = 2, .n_ff = 160,
	  .n_vocab = MK_VOCAB_MIN + 5, .n_ctx = 512, .type = "F16", .tied = true,
	  .rope_freqs = true, .seed = 2 },
	MK_SMALL(.n_layers = 4, .n_embd = 64, .n_heads = 4, .n_kv_heads = 4, .n_ff = 96,
		 .type = "Q4_1", .embd_type = "Q8_0", .tied = true, .seed = 3),
	MK_SMALL(.n_layers = 3, .n_embd = 96, .n_heads = 6, .n_kv_heads = 2, .n_ff = 160,
		 .type = "Q8_0", .tied = true, .seed = 6, .arch = "qwen2"),
};
enum { N_SPECS = sizeof(specs) / sizeof(specs[0]) };

static struct rig open_rig(const struct mk_spec *spec, enum cache cache, const char *kernels,
			   int threads)
{
	struct backend_opt o = rig_opt(cache, kernels, threads);

	return open_rig_on(&backend_cpu, spec, &o);
}

static void check_naive(const struct mk_spec *spec, const char *kernels, int a, int s, int pos,
			enum quant_type type, bool adapters)
{
	struct rig r = open_rig(spec, F16, kernels, 2);
	struct naive n = naive_open(r.m);
	int vocab = r.m->cfg.n_vocab;
	double *want = malloc(sizeof(double) * (size_t)(ROWS * vocab)), e;
	struct crossing x;
	float *got;

	make_bridge(&x, &r, a, s, type, adapters);
	for (int i = 0; i < pos; i++)
		naive_step(&n, i, want);
	naive_cross(&n, &x.g, pos, want);
	if (pos)
		free(run(&r, NULL, 0, pos, 0));
	got = cross(&r, &x, pos);
	e = apart(want, got, ROWS * vocab);
	print_message("# %d layers, %d to %d, at %d, %s%s: %.2g\n", r.m->cfg.n_layers, a, s, pos,
		      quant_info((int)type)->name, adapters ? ", adapters" : "", e);
	assert_true(e < 1e-3);
	free(got);
	free(want);
	free(n.k);
	free(n.v);
	free(n.in);
	free_bridge(&x);
	close_rig(&r);
}

static void test_naive(void **state)
{
	(void)state;
	for (int i = 0; i < N_SPECS; i++) {
		int last = specs[i].n_layers - 1;

		int near = last - 1 > 1 ? last - 1 : last;

		check_naive(&specs[i], "float", 1, near, 50, QUANT_F16, false);
		check_naive(&specs[i], "float", 1, near, 50, QUANT_Q8_0, true);
		check_naive(&specs[i], "float", 0, last, 17, QUANT_F32, true);
		check_naive(&specs[i], "float", 1, last, 0, QUANT_F16, true);  /* none before it */
	}
	/* matrices of F32 and F16 are exact with any kernels */
	check_naive(&specs[0], "generic", 2, 4, 20, QUANT_F32, true);
	check_naive(&specs[1], "auto", 2, 4, 20, QUANT_F16, true);
}

static void test_no_trace(void **state)
{
	(void)state;
	for (int i = 0; i < N_SPECS; i++)
		for (int threads = 1; threads <= 3; threads++) {
			struct rig r = open_rig(&specs[i], threads == 2 ? Q8 : F16, "auto",
						threads);

			check_no_trace(&r, AT);
			close_rig(&r);
		}
}

static void on_one(void (*check)(struct rig *), int spec)
{
	struct rig r = open_rig(&specs[spec], F16, "auto", 2);

	check(&r);
	close_rig(&r);
}

static void test_kept(void **state)
{
	struct rig r = open_rig(&specs[0], F16, "auto", 2);

	(void)state;
	check_kept(&r, AT + KEEP_ROWS);
	close_rig(&r);
}

static void test_lanes(void **state)
{
	(void)state;
	on_one(check_lanes, 0);
}

static void test_vocabulary(void **state)
{
	(void)state;
	for (int i = 0; i < 2 * N_SPECS; i++) {
		struct rig r = open_rig(&specs[i / 2], F16, i % 2 ? "float" : "auto", 2);

		check_vocabulary(&r);
		close_rig(&r);
	}
}

static void test_fewer(void **state)
{
	(void)state;
	on_one(check_fewer, 2);
}

static void test_misfits(void **state)
{
	(void)state;
	on_one(check_misfits, 0);
}

static void test_refusals(void **state)
{
	(void)state;
	on_one(check_bridge_refusals, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_naive),
		cmocka_unit_test(test_no_trace),
		cmocka_unit_test(test_kept),
		cmocka_unit_test(test_lanes),
		cmocka_unit_test(test_vocabulary),
		cmocka_unit_test(test_fewer),
		cmocka_unit_test(test_misfits),
		cmocka_unit_test(test_refusals),
	};

	make_tokens();
	return cmocka_run_group_tests_name("bridge", tests, NULL, NULL);
}
