/* test_cuda_groups.c - layers that run as a group (CQIL) on the cuda backend, under emulation or on
 * a GPU: against the paper's equations written naively, to the bit what strategies rely on, and how
 * many kernels a pass takes. */
#include "tests/bridge_kit.h"
#include "tests/cuda_device.h"
#include "tests/group_kit.h"

enum { TEXT = 40, FROM = 20 };

static const struct backend *cuda;

static struct rig open_rig(int i, enum cache cache)
{
	struct backend_opt o = rig_opt(cache, NULL, 1);

	return open_rig_on(cuda, &specs[i], &o);
}

/* In few rows weights of floats meet floats: what is left is f16 in the cache. */
static void check_equations(struct rig *r, const struct grouping *g, int rows, double bound)
{
	double error, most;

	group_layers(r, g);
	most = distance_in(r, F16, TEXT, rows, &error);
	print_message("# %s, groups of %d, bypass %d%s, %d rows: at most %.2g, rms %.2g\n",
		      r->m->cfg.arch, g->size, g->bypass, g->released ? " as released" : "", rows,
		      most, error);
	assert_true(error < bound);
}

static void test_equations(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++) {
		struct rig r = open_rig(i, F16);

		for (int size = 2; size <= 4; size++)
			for (int bypass = 0; bypass <= 2; bypass++)
				check_equations(&r, &(struct grouping){ 2, 8, size, bypass, false },
						5, 0.003);
		check_equations(&r, &(struct grouping){ 0, LAYERS, GROUP_MAX, 7, false }, 5, 0.003);
		check_equations(&r, &(struct grouping){ 2, 8, 3, 2, true }, 5, 0.003);
		/* a prompt, through f16 matrices */
		check_equations(&r, &(struct grouping){ 2, 8, 3, 1, false }, TEXT, 0.02);
		close_rig(&r);
	}
}

static void test_alone(void **state)
{
	(void)state;
	for (int i = 0; i < N_SPECS; i += 3) {
		struct rig r = open_rig(i, F16);
		float *want = run(&r, NULL, 0, 9, 9), *got;

		group_layers(&r, &(struct grouping){ 2, 8, 1, 2, false });
		got = run(&r, NULL, 0, 9, 9);
		same_rows(want, got, 9, &r);
		free(want);
		free(got);
		close_rig(&r);
	}
}

/* 1 to 17 rows; rows that are taken back. */
static void test_rows_alike(void **state)
{
	(void)state;
	for (int i = 0; i < N_SPECS; i++) {
		struct rig r = open_rig(i, i == 3 ? Q8 : F16);

		group_layers(&r, &(struct grouping){ 1, 8, 2 + i % 3, i % 2, false });
		check_counts_alike(&r, 124, 62, i % 3 ? few_counts : all_counts);
		check_rollback(&r);
		close_rig(&r);
	}
}

/* Drafts over a bridge, behind which layers run in groups, with adapters: as on the cpu. */
static void test_bridge(void **state)
{
	struct backend_opt o = rig_opt(F16, "float", 2);
	struct mk_spec eight = specs[0];
	struct rig a, b;
	struct crossing x;
	float *want, *got;
	double e;

	(void)state;
	eight.n_layers = 8;
	a = open_rig_on(&backend_cpu, &eight, &o);
	o = rig_opt(F16, NULL, 1);
	b = open_rig_on(cuda, &eight, &o);
	make_crossing(&x, &a.m->cfg, 1, 4, ROWS, QUANT_F32, true);
	x.p.group = (struct grouping){ 4, 8, 3, 1, false };
	give_bridge(&x, &a);
	give_bridge(&x, &b);
	for (int pos = 0; pos < FROM; pos++) {
		free(run(&a, NULL, pos, 1, 0));
		free(run(&b, NULL, pos, 1, 0));
	}
	want = cross(&a, &x, FROM);
	got = cross(&b, &x, FROM);
	e = 0;
	for (int i = 0; i < ROWS * MK_VOCAB_MIN; i++)
		e = fmax(e, fabs((double)want[i] - (double)got[i]));
	print_message("# behind a bridge: at most %.2g\n", e);
	assert_true(e < 0.02);
	free(want);
	free(got);
	free_bridge(&x);
	close_rig(&a);
	close_rig(&b);
}

/* Kernels and copies of a pass for one token that was recorded. */
static long launches(struct rig *r, const struct grouping *g)
{
	struct backend_counts c;

	group_layers(r, g);
	free(run(r, NULL, FROM, 1, 1));
	cuda->counts(r->d);
	free(run(r, NULL, FROM, 1, 1));
	c = cuda->counts(r->d);
	assert_int_equal(c.replays, 1);
	return c.launches;
}

/* Half of the layers in groups. */
static void test_launches(void **state)
{
	struct mk_spec deep = specs[3];
	struct backend_opt o = rig_opt(F16, NULL, 1);
	struct rig r;
	long dense, twos, fours;

	(void)state;
	deep.n_layers = 32;
	r = open_rig_on(cuda, &deep, &o);
	free(run(&r, NULL, 0, FROM, 0));
	dense = launches(&r, &(struct grouping){ .size = 0 });
	twos = launches(&r, &(struct grouping){ 14, 30, 2, 0, false });
	fours = launches(&r, &(struct grouping){ 14, 30, 4, 0, false });
	print_message("# launches of 32 layers: %ld, in twos %ld, in fours %ld\n", dense, twos,
		      fours);
	assert_true(100 * twos <= 76 * dense);
	assert_true(100 * fours <= 64 * dense);
	close_rig(&r);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_equations), cmocka_unit_test(test_alone),
		cmocka_unit_test(test_rows_alike), cmocka_unit_test(test_bridge),
		cmocka_unit_test(test_launches),
	};

	cuda = cuda_begin(argc, argv);
	if (!cuda)
		return 1;
	make_tokens();
	return cmocka_run_group_tests_name("cuda groups", tests, NULL, NULL);
}
