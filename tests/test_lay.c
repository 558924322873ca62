/* test_lay.c - MLPs whose matrices lie by columns, from the start or from some moment on: the same
 * logits to the bit, pruned or not, over the same cache, and fewer bytes where they are pruned. */
#include "kernels/backend_time.h"
#include "kernels/prune.h"
#include "tests/forward_kit.h"

enum { TEXT = 60, MOST = 12 };

static const struct mk_spec laid[] = {
	MK_SMALL(.n_layers = 3, .n_embd = 128, .n_heads = 4, .n_kv_heads = 2, .n_ff = 384,
		 .type = "Q4_0", .seed = 31),
	MK_SMALL(.n_layers = 4, .n_embd = 256, .n_heads = 4, .n_kv_heads = 2, .n_ff = 512,
		 .type = "Q4_K_M", .seed = 32),
	/* rows that are no whole slabs: nothing can lie otherwise later but from the start */
	MK_SMALL(.n_layers = 3, .n_embd = 160, .n_heads = 5, .n_kv_heads = 1, .n_ff = 288,
		 .type = "Q8_0", .tied = true, .seed = 33),
	MK_SMALL(.n_layers = 3, .n_embd = 64, .n_heads = 4, .n_kv_heads = 2, .n_ff = 96,
		 .type = "F32", .seed = 34),
};
enum { N_LAID = sizeof(laid) / sizeof(laid[0]) };

/* Of so many matrices so many cannot lie by columns: from the start, and later. */
static const int others[][2] = { { 0, 0 }, { 0, 0 }, { 0, 9 }, { 9, 9 } };

static struct rig open_laid(int i, const char *kernels, bool columns)
{
	struct backend_opt o = rig_opt(F16, kernels, 2);
	struct rig r;

	o.columns = columns;
	r = open_rig_on(&backend_cpu, &laid[i], &o);
	prune_mlps(&r, prune_split(.5));
	free(run(&r, NULL, 0, TEXT, 1));
	return r;
}

/* Some rows behind the text, which stays in the cache; of the pruned model and of the dense one. */
static float *rows_of(struct rig *r)
{
	size_t size = (size_t)r->m->cfg.n_vocab * sizeof(float), n = 0;
	float *all = malloc(2 * MOST * MOST * size);

	for (int dense = 0; dense < 2; dense++)
		for (int i = 1; i < MOST; n += (size_t)i++) {
			const struct plan whole = { .target = true };
			float *some = run(r, dense ? &whole : NULL, TEXT, i, i);

			memcpy(all + n * size / sizeof(float), some, (size_t)i * size);
			free(some);
		}
	return all;
}

static void same_all(const float *want, struct rig *r)
{
	float *got = rows_of(r);

	same_rows(want, got, MOST * (MOST - 1), r);
	free(got);
}

static void check_laid(int i, const char *kernels)
{
	struct rig r = open_laid(i, kernels, false), by_columns = open_laid(i, kernels, true);
	float *want = rows_of(&r);

	same_all(want, &by_columns);
	for (int j = 0; j < 3; j++) {
		bool floats = !strcmp(kernels, "float");
		int left = r.be->lay(r.d, j != 1), right = by_columns.be->lay(by_columns.d, j == 1);

		assert_int_equal(left, j == 1 ? 0 : floats ? 9 : others[i][1]);
		assert_int_equal(right, j != 1 ? 0 : floats ? 9 : others[i][0]);
		same_all(want, &r);
		same_all(want, &by_columns);
	}
	free(want);
	close_rig(&r);
	close_rig(&by_columns);
}

static void test_same_logits(void **state)
{
	(void)state;
	for (int i = 0; i < N_LAID; i++) {
		check_laid(i, "auto");
		check_laid(i, "generic");
	}
	check_laid(0, "float");
}

/* Bytes that a row's pass reads in a stage. */
static double read_in(struct rig *r, const char *stage)
{
	struct backend_stage s[BACKEND_STAGES_MAX];
	int n = r->be->stages(r->d, s);

	free(run(r, NULL, TEXT, 1, 1));
	n = r->be->stages(r->d, s);
	for (int i = 0; i < n; i++)
		if (!strcmp(s[i].name, stage))
			return (double)s[i].bytes;
	fail_msg("no stage %s", stage);
	return 0;
}

/* Of 18 bytes of 32 columns 16 are codes: 57.4 % and 35.1 % of these are read (test_prune.c). */
static void test_bytes(void **state)
{
	struct rig r = open_laid(0, "auto", true);
	double in = read_in(&r, "gate+up"), down = read_in(&r, "down");

	(void)state;
	r.be->lay(r.d, false);
	assert_true(fabs(in / read_in(&r, "gate+up") - (16 * .574 + 2) / 18) < .02);
	assert_true(fabs(down / read_in(&r, "down") - (16 * .351 + 2) / 18) < .02);
	close_rig(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_same_logits),
		cmocka_unit_test(test_bytes),
	};

	make_tokens();
	return cmocka_run_group_tests_name("lay", tests, NULL, NULL);
}
