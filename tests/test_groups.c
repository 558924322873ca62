/* test_groups.c - layers that run as a group from one input (CQIL): against the paper's equations
 * written naively in double precision, and to the bit what strategies rely on.
 *
 * Models of nine layers, groups in the middle of them, the last of which may be shorter. */
#include "engine/decode/session.h"
#include "tests/group_kit.h"
#include "tests/naive_kit.h"

enum { TEXT = 70 };

static struct rig open_rig(int i, enum cache cache, const char *kernels, int threads)
{
	struct backend_opt o = rig_opt(cache, kernels, threads);

	return open_rig_on(&backend_cpu, &specs[i], &o);
}

/* Logits have a spread of about 3.  What is left is f16 in the cache that is rounded the other way,
 * as much as without groups: dense, the rms of that. */
static void check_equations(struct rig *r, const struct grouping *g, double dense)
{
	double error, most;

	group_layers(r, g);
	most = distance_in(r, F16, TEXT, 13, &error);
	print_message("# %s, groups of %d, bypass %d%s: at most %.2g, rms %.2g\n", r->m->cfg.arch,
		      g->size, g->bypass, g->released ? " as released" : "", most, error);
	assert_true(error < 2 * dense + 1e-4);
	assert_true(most < 0.02);
}

static void test_equations(void **state)
{
	(void)state;
	for (int i = 0; i < N_SPECS; i++) {
		struct rig r = open_rig(i, F16, "float", 2);
		double dense;

		distance_in(&r, F16, TEXT, 13, &dense);
		print_message("# %s: rms %.2g\n", r.m->cfg.arch, dense);
		for (int size = 2; size <= 4; size++)
			for (int bypass = 0; bypass <= 2; bypass++)
				check_equations(&r, &(struct grouping){ 2, 8, size, bypass, false },
						dense);
		check_equations(&r, &(struct grouping){ 1, LAYERS, GROUP_MAX, 7, false }, dense);
		check_equations(&r, &(struct grouping){ 2, 8, 3, 2, true }, dense);
		close_rig(&r);
	}
}

/* What is not the model gives other logits: the test above could see it. */
static void test_they_differ(void **state)
{
	static const struct grouping all[] = {
		{ 0, 0, 0, 0, false }, { 2, 8, 2, 0, false }, { 2, 8, 3, 0, false },
		{ 2, 8, 3, 1, false }, { 2, 8, 3, 2, false }, { 2, 8, 3, 2, true },
		{ 3, 8, 3, 2, false },
	};
	enum { N = sizeof(all) / sizeof(all[0]) };
	struct rig r = open_rig(0, F16, "auto", 2);
	float *l[N];

	(void)state;
	for (int i = 0; i < N; i++) {
		group_layers(&r, &all[i]);
		l[i] = run(&r, NULL, 0, TEXT, 1);
		for (int j = 0; j < i; j++)
			assert_memory_not_equal(l[i], l[j], sizeof(float) * MK_VOCAB_MIN);
	}
	for (int i = 0; i < N; i++)
		free(l[i]);
	close_rig(&r);
}

/* A group of one layer is a layer, whatever the bypass. */
static void test_alone(void **state)
{
	(void)state;
	for (int i = 0; i < N_SPECS; i++) {
		struct rig r = open_rig(i, F16, "auto", 2);
		float *want = run(&r, NULL, 0, TEXT, TEXT), *got;

		for (int bypass = 0; bypass <= 2; bypass++) {
			group_layers(&r, &(struct grouping){ 2, 8, 1, bypass, false });
			assert_true(r.whole.whole);
			got = run(&r, NULL, 0, TEXT, TEXT);
			same_rows(want, got, TEXT, &r);
			free(got);
		}
		free(want);
		close_rig(&r);
	}
}

static void alike(int i, enum cache cache, const char *kernels, const struct grouping *g)
{
	struct rig r = open_rig(i, cache, kernels, 2);

	group_layers(&r, g);
	check_rows_alike(&r, 124, 62);          /* across the border of an attention block */
	if (g->size < GROUP_MAX)                /* reads 100 rows at once */
		check_rollback(&r);
	close_rig(&r);
}

/* 1 to 17 rows; rows that are taken back. */
static void test_rows_alike(void **state)
{
	(void)state;
	for (int i = 0; i < N_SPECS; i++)
		for (int size = 2; size <= 4; size++) {
			const struct grouping g = { 2, 8, size, size - 2, false };

			alike(i, F16, "float", &g);
			alike(i, F16, "auto", &g);
			alike(i, Q8, "generic", &g);
		}
	alike(0, F16, "auto", &(struct grouping){ 0, LAYERS, GROUP_MAX, 0, false });
}

/* A prompt in one piece and token by token; with 1 and 3 threads. */
static void test_pieces_and_threads(void **state)
{
	(void)state;
	for (int i = 0; i < N_SPECS; i++) {
		struct rig one = open_rig(i, F16, "auto", 1), three = open_rig(i, F16, "auto", 3);
		const struct grouping g = { 2, 8, 4, 1, false };
		float *want, *got;

		group_layers(&one, &g);
		group_layers(&three, &g);
		want = run(&one, NULL, 0, 128, 1);
		for (int pos = 0; pos < 127; pos++)
			free(run(&three, NULL, pos, 1, 0));
		got = run(&three, NULL, 127, 1, 1);
		same_rows(want, got, 1, &one);
		free(want);
		free(got);
		close_rig(&one);
		close_rig(&three);
	}
}

/* The layers of a group share the room for rows. */
static void test_refusals(void **state)
{
	struct rig r = open_rig(0, F16, "auto", 1);
	struct batch b = { .tok = tokens, .n = 65 };

	(void)state;
	group_layers(&r, &(struct grouping){ 0, LAYERS, GROUP_MAX, 0, false });
	check_refused(&r, b, "takes 64 rows");
	close_rig(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_equations),
		cmocka_unit_test(test_they_differ),
		cmocka_unit_test(test_alone),
		cmocka_unit_test(test_rows_alike),
		cmocka_unit_test(test_pieces_and_threads),
		cmocka_unit_test(test_refusals),
	};

	make_tokens();
	return cmocka_run_group_tests_name("groups", tests, NULL, NULL);
}
