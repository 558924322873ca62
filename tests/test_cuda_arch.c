/* test_cuda_arch.c - each architecture on the cuda backend gives transformers' logits, also far
 * beyond its window; and around the window's edges nothing depends on how it is run.
 *
 * Linked with the emulated backend, or (test_cuda_arch_device) with the loader of the real one. */
#define SCRATCH "build/test-cuda-arch"
#include "tests/arch_kit.h"
#include "tests/cuda_device.h"

enum { BATCH = 512, STEP = 64, FEW = 16 };
static const struct backend *cuda;

static const int whole[] = { BATCH, 0 }, one[] = { 1, 0 }, uneven[] = { 13, 1, 16, 5, 2, 0 };

static double distance_in_rows(const struct mk_arch *a, const struct pass *p, const int *rows,
			       int n_batch)
{
	struct rig r = open_arch(cuda, &a->spec, NULL, n_batch, p->n);
	float *all = read_text(&r, p->n, rows);
	double worst = distance_from(&r, p, all);

	free(all);
	close_rig(&r);
	return worst;
}

/* Matrices of floats are multiplied in f16 for a prompt, in float for few rows. */
static void test_logits(void **state)
{
	(void)state;
	for (const struct mk_arch *a = mk_archs; a < mk_archs + MK_ARCHS; a++) {
		struct vector v = read_vector(a->name);

		for (int i = 0; i < v.n_passes; i++) {
			const struct pass *p = &v.pass[i];
			double prompt = distance_in_rows(a, p, whole, BATCH);
			double few = distance_in_rows(a, p, uneven, FEW);

			print_message("# %s, %d tokens: at most %.2g, as a prompt %.2g\n", a->name,
				      p->n, few, prompt);
			assert_true(few < 1e-3);
			assert_true(prompt < 0.02);
		}
		free_vector(&v);
	}
}

static void test_pieces(void **state)
{
	(void)state;
	for (const struct mk_arch *a = mk_archs; a < mk_archs + MK_ARCHS; a++) {
		struct rig r = open_arch(cuda, &a->spec, NULL, FEW, TEXT);

		check_pieces(&r, 140, one, uneven);
		close_rig(&r);
	}
}

static void test_rollback(void **state)
{
	(void)state;
	for (const struct mk_arch *a = mk_archs; a < mk_archs + MK_ARCHS; a++) {
		struct rig r = open_arch(cuda, &a->spec, NULL, STEP, TEXT + STEP);

		check_edges(&r, 4, STEP);
		check_failed(&r, 256, STEP - 1);        /* more of them than a window */
		close_rig(&r);
	}
}

/* test_cuda_arch [PATTERN]: only the tests of such names. */
int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_logits), cmocka_unit_test(test_pieces),
		cmocka_unit_test(test_rollback),
	};

	cuda = cuda_begin(argc, argv);
	if (!cuda)
		return 1;
	return cmocka_run_group_tests_name("cuda arch", tests, NULL, NULL);
}
