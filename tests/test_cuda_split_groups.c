/* test_cuda_split_groups.c - groups of layers (CQIL) of a model that cpu and emulated GPU share:
 * each pairs layers of both, at once; near the cpu alone, to the bit what strategies rely on, and
 * the GPU failing at every call.
 *
 * Owns one rig of each backend at a time. */
#include "tests/split_kit.h"
#include "tests/fault_kit.h"
#include "tests/group_kit.h"

/* Of each group the host has about as many layers as the GPU. */
static struct rig open_spread(const struct mk_spec *spec, const struct grouping *g, int n,
			      const char *kernels)
{
	struct backend_opt o = rig_opt(F16, kernels, 2);
	struct rig r;

	o.split = true;
	o.host_layers = n;
	o.spread = (struct host_spread){ g->from, g->to, g->size, 0.5 };
	r = open_rig_on(split, spec, &o);
	assert_int_equal(split->memory(r.d).host_layers, n);
	group_layers(&r, g);
	return r;
}

/* ---- one group across a cut ---- */

/* A prompt of many rows, for which the GPU keeps activations in f16: the cpu has to keep floats as
 * well, for its codes of 8 bits alone are further from these (here .05, and .07 without groups). */
static void check_group_prompt(const struct grouping *g, int at)
{
	struct rig r = open_split(&six, F16, at, "float"), alone = open_cpu(&six, F16, "float");
	double apart;

	group_layers(&r, g);
	group_layers(&alone, g);
	apart = distance(&alone, &r, 0, 70);
	print_message("# groups, bypass %d, %d of 6 layers by the cpu: apart by %.2g (70 rows)\n",
		      g->bypass, at, apart);
	assert_true(apart < 0.01);
	close_rig(&r);
	close_rig(&alone);
}

/* Before, behind and across a cut: where those with a bypass end, and others go on together. */
static void test_groups(void **state)
{
	(void)state;
	for (int i = 0; i < 10; i++) {
		int at = 1 + i / 2, bypass = i % 2;
		struct rig r = open_split(&six, F16, at, "auto");
		struct rig alone = open_cpu(&six, F16, "auto");

		group_layers(&r, &(struct grouping){ 1, 6, 2, bypass, false });
		check_rows_alike(&r, 32, 16);
		if (at % 2 || !bypass) {        /* where groups end anyway, or go on */
			group_layers(&alone, &r.group);
			assert_true(distance(&alone, &r, 0, 9) < 0.01);
			if (at == 3)
				check_group_prompt(&r.group, at);
		}
		if (!bypass && at == 2) {
			check_pieces(&r);
			check_rollback(&r);
			check_text_lanes(&r);
		}
		close_rig(&r);
		close_rig(&alone);
	}
}

/* ---- all groups ---- */

static void near(const struct mk_spec *spec, const struct grouping *g, int n)
{
	struct rig r = open_spread(spec, g, n, "float"), alone = open_cpu(spec, F16, "float");
	double prompt, few;

	group_layers(&alone, g);
	prompt = distance(&alone, &r, 0, n == 4 ? 70 : 20);
	close_rig(&r);
	close_rig(&alone);
	r = open_spread(spec, g, n, "auto");
	alone = open_cpu(spec, F16, "auto");
	group_layers(&alone, g);
	few = distance(&alone, &r, 0, 9);
	for (int pos = 9; pos < 14; pos++)
		few = fmax(few, distance(&alone, &r, pos, 1));
	close_rig(&r);
	close_rig(&alone);
	print_message("# %s, groups of %d, %d of %d layers by the cpu: apart by %.2g (1 and 9 "
		      "rows), %.2g (20, or 70)\n", spec->arch ? spec->arch : "llama", g->size, n,
		      LAYERS, few, prompt);
	/* an 8-bit activation on the other side of a half: the GPU alone is as far, 0.012 */
	assert_true(few < (spec == &specs[3] ? 0.02 : 0.001));
	assert_true(prompt < 0.01);
}

static void test_near(void **state)
{
	(void)state;
	for (int i = 0; i < N_SPECS; i++)
		for (int n = 1; n <= LAYERS; n += 3)
			near(&specs[i], &(struct grouping){ i % 2, LAYERS - i % 2, 2 + i % 3, 0,
							    false }, n);
	near(&specs[3], &(struct grouping){ .size = 0 }, 4);
}

/* Every number of layers: rows do not depend on their number, nor on what was written before. */
static void test_bits(void **state)
{
	(void)state;
	for (int n = 0; n <= LAYERS; n++) {
		struct grouping g = { 1, LAYERS, 2 + n % 3, 0, false };
		struct rig r = open_spread(&specs[3], &g, n, "auto");

		check_rows_alike(&r, 32, 16);
		if (n % 3 == 1) {
			check_pieces(&r);
			check_rollback(&r);
		}
		if (n == 4)
			check_text_lanes(&r);
		close_rig(&r);
	}
}

/* With a bypass groups end where both meet; without groups layers go to and fro. */
static void test_others(void **state)
{
	const struct grouping g = { 1, LAYERS, 4, 0, false };
	struct rig r = open_spread(&specs[3], &g, 4, "auto");

	(void)state;
	group_layers(&r, &(struct grouping){ 1, LAYERS, 4, 1, false });
	check_rows_alike(&r, 32, 16);
	group_layers(&r, &(struct grouping){ .size = 0 });
	check_rows_alike(&r, 32, 16);
	check_rollback(&r);
	close_rig(&r);
}

/* Another device, and more threads, make the same. */
static void test_again(void **state)
{
	const struct grouping g = { 0, LAYERS, 3, 0, false };
	float *want = NULL;

	(void)state;
	for (int threads = 1; threads <= 3; threads++) {
		struct backend_opt o = rig_opt(F16, "auto", threads);
		struct rig r;
		float *got;

		o.split = true;
		o.host_layers = 3;
		o.spread = (struct host_spread){ g.from, g.to, g.size, 0.25 };
		r = open_rig_on(split, &specs[3], &o);
		group_layers(&r, &g);
		got = run(&r, NULL, 0, 40, 3);
		if (want)
			same_rows(want, got, 3, &r);
		free(want);
		want = got;
		close_rig(&r);
	}
	free(want);
}

/* Rows go over once for each group, there and back, and to what the GPU has alone. */
static void test_crossings(void **state)
{
	static const struct {
		int n;
		long crossings;         /* behind the tokens: layer 0, four groups, the output */
	} all[] = { { 4, 2 + 4 * 2 + 1 }, { 5, 4 * 2 + 1 }, { 1, 2 + 2 + 1 }, { 9, 1 } };
	const struct grouping g = { 1, LAYERS, 2, 0, false };

	(void)state;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		struct rig r = open_spread(&specs[3], &g, all[i].n, "auto");
		struct backend_counts c;

		for (int rows = 1; rows <= 70; rows += 69) {
			split->counts(r.d);
			free(run(&r, NULL, 0, rows, 1));
			c = split->counts(r.d);
			assert_int_equal(c.handed, 1);
			assert_int_equal(c.crossings, all[i].crossings);
			assert_int_equal(c.handed_bytes, (size_t)c.crossings * (size_t)rows *
					 (size_t)r.m->cfg.n_embd * sizeof(float));
			assert_true(c.first_s > 0 && c.rest_s > 0);
		}
		close_rig(&r);
	}
}

/* ---- both at once ---- */

/* How often the cpu looked while it was at a layer, and when the GPU had something to do. */
struct looks {
	long all, busy;
};

static bool look(void *ctx)
{
	struct looks *n = ctx;
	struct emu_use u = emu_memory();

	__atomic_add_fetch(&n->all, 1, __ATOMIC_RELAXED);
	__atomic_add_fetch(&n->busy, u.kernels < u.launches, __ATOMIC_RELAXED);
	return false;
}

/* Nothing runs before somebody waits for it: so the cpu does not wait where it need not. */
static void test_at_once(void **state)
{
	const struct grouping g = { 1, LAYERS, 2, 0, false };
	struct rig r = open_spread(&specs[3], &g, 4, "auto");
	struct looks seen = { 0, 0 };
	struct halt h = { .asked = look, .ctx = &seen };
	struct batch b = { .tok = tokens, .n = 24, .halt = &h, .run = &r.whole };
	float *want = run(&r, NULL, 0, 20, 1), *got;

	(void)state;
	emu_reset();
	emu_set_lazy(true);
	assert_non_null(split->forward(r.d, r.kv, &b));
	assert_int_equal(emu_memory().kernels, emu_memory().launches);
	emu_set_lazy(false);
	assert_true(seen.all > 4 && seen.busy == seen.all);     /* all its layers are in groups */
	got = run(&r, NULL, 0, 20, 1);
	same_rows(want, got, 1, &r);
	free(want);
	free(got);
	close_rig(&r);
}

/* ---- faults ---- */

/* A short life; false with a text once something fails. */
static bool life(const void *of, char err[ERR_MAX])
{
	const struct model *m = of;
	struct backend_opt o = { .n_batch = 40, .n_out = 20, .n_threads = 1, .split = true,
				 .host_layers = 4, .spread = { 1, LAYERS, 2, 0.5 } };
	static struct schedule run;
	struct batch b = { .tok = tokens, .n = 17, .n_out = 1, .run = &run };
	struct dev *d = split->open(m, &o, err);
	struct kv *kv = d ? split->kv_new(d, 96, err) : NULL;
	bool fine;

	schedule_make(&run, m, &(struct plan){ .target = true,
					       .group = { 1, LAYERS, 2, 0, false } });
	fine = kv && split_passes(d, kv, b, 3, err);    /* as a prompt, recorded, replayed */
	split->kv_free(kv);
	split->close(d);
	return fine;
}

static void test_faults(void **state)
{
	static const char path[] = "build/test-cuda-split-groups.gguf";
	struct model *m;
	char err[ERR_MAX];

	(void)state;
	assert_int_equal(mk_write(path, &specs[3], err), 0);
	assert_non_null(m = model_open(path, NULL, err));
	nothing_left();
	fail_each_call(life, m, LAUNCH_FAILURE);
	model_close(m);
	remove(path);
}

/* test_cuda_split_groups [PATTERN]: only the tests of such names. */
int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_groups), cmocka_unit_test(test_near),
		cmocka_unit_test(test_bits), cmocka_unit_test(test_others),
		cmocka_unit_test(test_again), cmocka_unit_test(test_crossings),
		cmocka_unit_test(test_at_once), cmocka_unit_test(test_faults),
	};

	if (!split_begin(argc, argv))
		return 1;
	return cmocka_run_group_tests_name("cuda split groups", tests, NULL, NULL);
}
