/* test_cuda_prune.c - MLPs that read only a part of their columns (DIP) on the cuda backend, under
 * emulation: against mask and multiply written naively, and to the bit what strategies rely on. */
#include "kernels/prune.h"
#include "tests/cuda_device.h"
#include "tests/group_kit.h"
#include "tests/naive_kit.h"

enum { ROWS = 34 };

static const struct backend *cuda;

static struct rig open_rig(int i)
{
	struct backend_opt o = rig_opt(F16, NULL, 1);

	return open_rig_on(cuda, &specs[i], &o);
}

/* MLPs alone, so that no cache's rounding is in the way, as many rows a pass as a step has. */
static void check_mlps(struct rig *r, struct pruning p)
{
	struct plan plan = { .prune = p };
	const struct model_config *c = &r->m->cfg;
	int close = 0;
	double x[WIDE], want[MK_VOCAB_MIN], worst = 0;

	for (int l = 0; l < c->n_layers; l++)
		plan.skip_attn[0] |= (uint64_t)1 << l;
	for (int from = 0; from < ROWS; from += 17) {
		float *got = run(r, &plan, from, 17, 17);

		for (int i = 0; i < 17; i++) {
			struct naive s = { .m = r->m, .prune = p, .closest = 1 };

			naive_embed(&s, from + i, x);
			for (int l = 0; l < c->n_layers; l++)
				naive_mlp(&s, l, x);
			naive_layers(&s, c->n_layers, c->n_layers, from + i, x, want);
			close += s.closest < 1e-5;
			for (int v = 0; v < c->n_vocab && s.closest >= 1e-5; v++)
				worst = fmax(worst, fabs(want[v] -
							 (double)got[i * c->n_vocab + v]));
		}
		free(got);
	}
	print_message("# %s, %.2g of x and %.2g of h: at most %.2g, %d rows too close\n", c->arch,
		      p.in, p.hidden, worst, close);
	assert_true(worst < 1e-4 && close < ROWS / 6);
}

static void test_mask_and_multiply(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++) {           /* those of floats */
		struct rig r = open_rig(i);

		for (int j = 1; j <= 9; j += 4)
			check_mlps(&r, prune_split(j / 10.0));
		check_mlps(&r, (struct pruning){ .hidden = .4 });
		check_mlps(&r, (struct pruning){ .in = .4 });
		close_rig(&r);
	}
}

static void test_rows_alike(void **state)
{
	(void)state;
	for (int i = 0; i < N_SPECS; i++) {
		struct rig r = open_rig(i);

		r.group = (struct grouping){ .from = 2, .to = 8, .size = i % 2 ? 3 : 0 };
		prune_mlps(&r, prune_split(.5));
		check_rows_alike(&r, 40, 17);
		check_rollback(&r);
		close_rig(&r);
	}
}

/* All columns are the model itself; less is another, also in a prompt of many rows. */
static void test_all(void **state)
{
	struct rig r = open_rig(3);
	float *want, *got;

	(void)state;
	for (int n = 9; n <= 40; n += 31) {
		prune_mlps(&r, prune_split(1));
		want = run(&r, NULL, 0, n, 1);
		prune_mlps(&r, (struct pruning){ .in = .99999, .hidden = .7 });
		got = run(&r, NULL, 0, n, 1);
		assert_memory_not_equal(want, got, sizeof(*got) * MK_VOCAB_MIN);
		free(got);
		prune_mlps(&r, prune_split(1));
		got = run(&r, NULL, 0, n, 1);
		same_rows(want, got, 1, &r);
		free(want);
		free(got);
	}
	close_rig(&r);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mask_and_multiply),
		cmocka_unit_test(test_rows_alike),
		cmocka_unit_test(test_all),
	};

	cuda = cuda_begin(argc, argv);
	if (!cuda)
		return 1;
	make_tokens();
	return cmocka_run_group_tests_name("cuda_prune", tests, NULL, NULL);
}
