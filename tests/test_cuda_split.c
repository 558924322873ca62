/* test_cuda_split.c - models whose first layers the cpu computes and whose others the emulated GPU:
 * near the cpu backend alone for every cut, and to the bit what strategies rely on.
 *
 * Owns one rig of each backend at a time. */
#include "tests/split_kit.h"
#include "tests/ring_kit.h"
#include "kernels/schedule_leg.h"

/* ---- against the cpu ---- */

/* As test_cuda.c compares the backends: few rows round activations to the same codes on both, and a
 * prompt is nearer to floats. */
static void near(const struct mk_spec *spec, int at, enum cache cache)
{
	struct rig a = open_cpu(spec, cache, "float"), b = open_split(spec, cache, at, "float");
	double few = 0, prompt = distance(&a, &b, 0, 70);

	close_rig(&a);
	close_rig(&b);
	a = open_cpu(spec, cache, "auto");
	b = open_split(spec, cache, at, "auto");
	assert_int_equal(split->memory(b.d).host_layers, at);
	for (int pos = 0; pos < 16; pos += 8)
		distance(&a, &b, pos, 8);
	for (int n = 1; n <= 16; n++)
		few = fmax(few, distance(&a, &b, n, n));
	close_rig(&a);
	close_rig(&b);
	print_message("# %s, %d of %d layers by the cpu: apart by %.2g (1 to 16 rows), %.2g (70)\n",
		      spec->arch ? spec->arch : "llama", at, spec->n_layers, few, prompt);
	assert_true(few < 0.01);
	assert_true(prompt < (cache ? 0.04 : 0.01));
}

static void test_near(void **state)
{
	(void)state;
	for (int i = 0; i < MODELS; i++)
		for (int at = 0; at <= models[i].n_layers; at++)
			near(&models[i], at, at % 2 ? F16 : (enum cache)(i + 1));
}

/* Rows that enter are embeddings here, which both backends make alike: so the GPU makes of them
 * what it makes of the tokens. */
static void test_enter(void **state)
{
	(void)state;
	for (int i = 0; i < MODELS; i++) {
		struct rig a = open_cpu(&models[i], F16, "auto"), b;
		struct backend_opt o = rig_opt(F16, NULL, 1);
		static struct leg leg;
		struct leg_at at = { 0 };
		const uint64_t none[MODEL_MAX_LAYERS / 64] = { 0 };
		struct batch p = { .tok = tokens, .n = 9, .run = &leg.run[SIDE_HOST] };
		const float *got;
		float *want;
		char err[ERR_MAX];

		o.split = true;
		b = open_rig_on(cuda, &models[i], &o);
		want = run(&b, NULL, 0, 9, 9);
		assert_int_equal(schedule_leg(&b.whole, none, &at, &leg, err), 0);
		assert_non_null(p.rows = backend_cpu.forward(a.d, a.kv, &p));
		assert_int_equal(schedule_leg(&b.whole, none, &at, &leg, err), 0);
		p.run = &leg.run[SIDE_OTHER];
		p.n_out = 9;
		for (int again = 0; again < 2; again++) {       /* recorded, and replayed */
			assert_non_null(got = cuda->forward(b.d, b.kv, &p));
			for (int row = 0; row < 9; row++)
				same_rows(want + row * b.m->cfg.n_vocab,
					  row_at(got, b.m->cfg.n_vocab, row), 1, &b);
		}
		free(want);
		close_rig(&a);
		close_rig(&b);
	}
}

/* ---- to the bit ---- */

static void test_bits(void **state)
{
	(void)state;
	for (int i = 0; i < MODELS; i++)
		for (int at = 0; at <= models[i].n_layers; at++) {
			struct rig r = open_split(&models[i], at % 2 ? Q8 : F16, at, "auto");

			check_rows_alike(&r, 32, 16);
			check_pieces(&r);
			check_rollback(&r);
			close_rig(&r);
		}
}

/* Another device, and more threads, make the same. */
static void test_again(void **state)
{
	struct backend_opt o = rig_opt(F16, "auto", 1);
	float *want, *got;
	struct rig r = open_split(&models[0], F16, 2, "auto");

	(void)state;
	want = run(&r, NULL, 0, 40, 3);
	close_rig(&r);
	o.split = true;
	o.host_layers = 2;
	r = open_rig_on(split, &models[0], &o);
	got = run(&r, NULL, 0, 40, 3);
	same_rows(want, got, 3, &r);
	free(want);
	free(got);
	close_rig(&r);
}

static void test_lanes(void **state)
{
	(void)state;
	for (int at = 0; at <= 3; at++) {
		struct rig r = open_split(&models[0], F16, at, "auto");

		check_text_lanes(&r);
		close_rig(&r);
	}
}

static bool at_once(void *ctx)
{
	(void)ctx;
	return true;
}

/* A pass that ends early in the cpu's half leaves the GPU's alone; one with logits does not end. */
static void test_halt(void **state)
{
	struct rig r = open_split(&models[0], F16, 2, "auto");
	struct halt h = { .asked = at_once };
	struct batch b = { .tok = tokens, .n = 40, .run = &r.whole, .halt = &h };
	struct backend_counts c;
	float *want = run(&r, NULL, 0, 40, 1);
	const float *got;

	(void)state;
	split->counts(r.d);
	assert_non_null(split->forward(r.d, r.kv, &b));
	assert_true(h.seen);
	c = split->counts(r.d);
	assert_true(!c.passes && !c.handed);
	b.n_out = 1;                    /* the sign of before means nothing */
	assert_non_null(got = split->forward(r.d, r.kv, &b));
	same_rows(want, got, 1, &r);
	c = split->counts(r.d);
	assert_true(c.passes == 1 && c.handed == 1 && c.first_s > 0 && c.rest_s > 0);
	assert_int_equal(c.handed_bytes, 40 * 96 * sizeof(float));
	free(want);
	close_rig(&r);
}

/* ---- prompts in pieces ---- */

/* A prompt of so many rows is the same as its pieces, called for one by one. */
static void check_same_pieces(struct rig *r, int n, int pieces)
{
	struct backend_counts c;
	float *want, *got = run(r, NULL, 0, n, 7), *behind = run(r, NULL, n, 2, 2);

	for (int i = 0; i < pieces - 1; i++)
		free(run(r, NULL, n * i / pieces, n * (i + 1) / pieces - n * i / pieces, 0));
	want = run(r, NULL, n * (pieces - 1) / pieces, n - n * (pieces - 1) / pieces, 7);
	same_rows(want, got, 7, r);
	free(want);
	want = run(r, NULL, n, 2, 2);
	same_rows(want, behind, 2, r);
	split->counts(r->d);
	free(run(r, NULL, 0, n, 0));
	c = split->counts(r->d);
	assert_int_equal(c.handed, pieces);
	free(want);
	free(got);
	free(behind);
}

static void test_pieces(void **state)
{
	(void)state;
	for (int i = 0; i < MODELS; i++) {
		struct rig r = open_split(&models[i], i ? F16 : Q8, 1 + i % 2, "auto");

		check_same_pieces(&r, 63, 1);
		check_same_pieces(&r, 64, 2);
		check_same_pieces(&r, 127, 3);
		check_same_pieces(&r, 300, 4);
		close_rig(&r);
	}
}

/* Windows in both parts, or in one. */
static void test_rings(void **state)
{
	(void)state;
	for (int at = 1; at <= 6; at += 5) {
		struct backend_opt o = rig_opt(F16, "auto", 2);
		struct rig ring, all = open_split(&models[2], F16, at, "auto");

		o.split = true;
		o.host_layers = at;
		o.n_batch = STEP;
		ring = open_rig_on(split, &models[2], &o);
		if (at == 1)
			check_ring(&ring, &all, (int[]){ 45, 15 }, (int[]){ STEP, 17 }, RING);
		check_rows_alike(&ring, 300, 50);
		assert_in_range(split->kv_back(ring.kv), 1, 317);
		close_rig(&ring);
		close_rig(&all);
	}
}

/* ---- refusals ---- */

static void test_refusals(void **state)
{
	(void)state;
	for (int at = 0; at <= 3; at += 3) {
		struct rig r = open_split(&models[0], F16, at, "auto");

		check_refusals(&r);
		close_rig(&r);
	}
}

/* test_cuda_split [PATTERN]: only the tests of such names. */
int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_near),
		cmocka_unit_test(test_enter),
		cmocka_unit_test(test_bits),
		cmocka_unit_test(test_again),
		cmocka_unit_test(test_lanes),
		cmocka_unit_test(test_halt),
		cmocka_unit_test(test_pieces),
		cmocka_unit_test(test_rings),
		cmocka_unit_test(test_refusals),
	};

	if (!split_begin(argc, argv))
		return 1;
	return cmocka_run_group_tests_name("cuda split", tests, NULL, NULL);
}
