/* test_cuda_bridge.c - passes over a bridge on the cuda backend, under emulation or on a GPU:
 * against the cpu backend, and to the bit what strategies rely on.
 *
 * Linked as test_cuda.c is.  Owns one rig of each backend at a time. */
#include "tests/bridge_kit.h"
#include "tests/cuda_device.h"

static const struct backend *cuda;

/* The last is wide enough that two warps share the rows of the bridge's matrix. */
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
	MK_SMALL(.n_layers = 5, .n_embd = 64, .n_heads = 4, .n_kv_heads = 1, .n_ff = 96,
		 .type = "F16", .tied = true, .seed = 8, .arch = "gemma2", .head_dim = 32,
		 .window = 24),
	MK_SMALL(.n_layers = 3, .n_embd = 512, .n_heads = 8, .n_kv_heads = 2, .n_ff = 544,
		 .type = "Q4_K_M", .tied = true, .seed = 7, .arch = "qwen2"),
};
enum { N_SPECS = sizeof(specs) / sizeof(specs[0]), SHORT = 60 };

static struct rig open_cuda(const struct mk_spec *spec, enum cache cache)
{
	struct backend_opt o = rig_opt(cache, NULL, 1);

	return open_rig_on(cuda, spec, &o);
}

/* Root mean square of the difference, against that of the values. */
static double distance(const float *a, const float *b, size_t n)
{
	double diff = 0, sum = 0;

	for (size_t i = 0; i < n; i++) {
		diff += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
		sum += (double)a[i] * (double)a[i];
	}
	return sqrt(diff / (sum + 1e-30));
}

/* What crosses at a position on both backends, and how far it is apart. */
static double cross_both(struct rig *a, struct rig *b, const struct crossing *x, int pos)
{
	float *want = cross(a, x, pos), *got = cross(b, x, pos);
	double e = distance(want, got, (size_t)(x->g.k * a->m->cfg.n_vocab));

	free(want);
	free(got);
	return isnan(e) ? INFINITY : e;
}

/* With k rows, over texts of several lengths. */
static double compare(struct rig *a, struct rig *b, int k, enum quant_type type, bool adapters)
{
	int layers = a->m->cfg.n_layers;
	double worst = 0;
	struct crossing x;

	make_crossing(&x, &a->m->cfg, k % 2, layers - 1 - (k / 2 % 2 && layers > 3), k, type,
		      adapters);
	give_bridge(&x, a);
	give_bridge(&x, b);
	read_text(a, SHORT, 15);
	read_text(b, SHORT, 15);
	for (int pos = SHORT; pos >= 0; pos -= 15)      /* rows before 28 are not kept */
		worst = fmax(worst, cross_both(a, b, &x, pos));
	free_bridge(&x);
	return worst;
}

static void test_cpu(void **state)
{
	static const enum quant_type types[] = { QUANT_F32, QUANT_F16, QUANT_Q8_0 };

	(void)state;
	for (int i = 0; i < N_SPECS; i++) {
		bool exact = *specs[i].type == 'F';
		struct backend_opt o = rig_opt(F16, "auto", 2);
		struct rig a = open_rig_on(&backend_cpu, &specs[i], &o);
		struct rig b = open_cuda(&specs[i], F16);

		for (int k = i < N_SPECS - 1 ? 1 : ROWS; k <= ROWS; k++)
			for (int adapters = 0; adapters < 2; adapters++) {
				enum quant_type type = types[(i + k + adapters) % 3];
				double e = compare(&a, &b, k, type, adapters);

				print_message("# %s, %d rows over %s%s: %.2g\n", specs[i].type, k,
					      quant_info((int)type)->name,
					      adapters ? ", adapters" : "", e);
				assert_true(e < (exact && type != QUANT_Q8_0 ? 2e-3 : 0.04));
			}
		close_rig(&a);
		close_rig(&b);
	}
}

static void test_no_trace(void **state)
{
	(void)state;
	for (int i = 0; i < N_SPECS - 1; i++) {
		struct rig r = open_cuda(&specs[i], i % 2 ? Q8 : F16);

		check_no_trace(&r, 16);
		close_rig(&r);
	}
}

static void on_one(void (*check)(struct rig *), int spec)
{
	struct rig r = open_cuda(&specs[spec], F16);

	check(&r);
	close_rig(&r);
}

static void test_kept(void **state)
{
	struct rig r = open_cuda(&specs[0], F16);

	(void)state;
	check_kept(&r, 16);
	close_rig(&r);
}

/* Of a pass of more rows than are kept the last ones are, as the cpu backend does. */
static void test_kept_prompt(void **state)
{
	enum { END = 70 };
	static const int before[] = { 0, 1, KEEP_ROWS - 2, KEEP_ROWS - 1, KEEP_ROWS };
	struct backend_opt o = rig_opt(F16, "float", 2);
	struct rig a = open_rig_on(&backend_cpu, &specs[0], &o), b = open_cuda(&specs[0], F16);
	struct crossing x;

	(void)state;
	make_bridge(&x, &a, 1, 4, QUANT_F32, true);
	give_bridge(&x, &b);
	for (size_t i = 0; i < sizeof(before) / sizeof(before[0]); i++) {
		read_text(&a, END, END);
		read_text(&b, END, END);
		assert_true(cross_both(&a, &b, &x, END - before[i]) < 0.05);
	}
	free_bridge(&x);
	close_rig(&a);
	close_rig(&b);
}

/* The rows that cross lie on both sides of the border of a piece of the context. */
static void test_pieces(void **state)
{
	struct backend_opt o = rig_opt(F16, "auto", 2);
	struct rig a = open_rig_on(&backend_cpu, &specs[1], &o), b = open_cuda(&specs[1], F16);
	struct crossing x;
	double e;

	(void)state;
	make_bridge(&x, &a, 0, 1, QUANT_F32, false);
	give_bridge(&x, &b);
	read_text(&a, 255, 16);
	read_text(&b, 255, 16);
	e = cross_both(&a, &b, &x, 255);
	print_message("# %.2g\n", e);
	assert_true(e < 5e-3);
	free_bridge(&x);
	close_rig(&a);
	close_rig(&b);
}

static void test_lanes(void **state)
{
	(void)state;
	on_one(check_lanes, 0);
}

/* Steps whose tokens never come to the host keep their rows too. */
static void test_guesses(void **state)
{
	struct rig r = open_cuda(&specs[2], F16);
	struct guess_batch g = { .run = &r.whole, .tok = tokens[AT], .pos = AT, .n = 3 };
	struct crossing x;
	float *one, *two;

	(void)state;
	make_bridge(&x, &r, 1, 2, QUANT_F16, false);
	read_text(&r, AT, 16);
	assert_int_equal(cuda->draft->guess(r.d, r.kv, &g), 0);
	one = cross(&r, &x, AT + 3);
	give_bridge(&x, &r);
	read_text(&r, AT, 16);
	for (int i = 0; i < 3; i++) {
		struct batch b = { .tok = i ? &g.out[i - 1] : &g.tok, .n = 1, .pos = AT + i,
				   .run = &r.whole };

		assert_non_null(cuda->forward(r.d, r.kv, &b));
	}
	two = cross(&r, &x, AT + 3);
	same_rows(one, two, ROWS, &r);
	free(one);
	free(two);
	free_bridge(&x);
	close_rig(&r);
}

static void test_vocabulary(void **state)
{
	(void)state;
	for (int i = 0; i < N_SPECS; i++)
		on_one(check_vocabulary, i);
}

/* Only the largest logits of a draft vocabulary are asked for. */
static void test_best(void **state)
{
	enum { N = VOCAB / PEAK };
	struct rig r = open_cuda(&specs[1], F16);
	struct batch b = { .tok = tokens + AT, .n = 1, .pos = AT, .n_out = ROWS, .n_best = 2 };
	const float *rows;
	struct crossing x;
	int vocab[VOCAB];
	float *all;

	(void)state;
	make_crossing(&x, &r.m->cfg, 1, 3, ROWS, QUANT_F16, false);
	set_vocabulary(&x, vocab);
	give_bridge(&x, &r);
	read_text(&r, AT, 16);
	all = cross(&r, &x, AT);
	b.run = &x.over;
	assert_non_null(rows = cuda->forward(r.d, r.kv, &b));
	for (int i = 0; i < ROWS; i++) {
		const float *some = row_at(rows, VOCAB, i), *peaks = some + VOCAB;
		const float *full = all + i * VOCAB;
		int kept = 0;

		for (int j = 0; j < N; j++)
			if (peaks[j] > -INFINITY) {
				kept++;
				assert_memory_equal(some + j * PEAK, full + j * PEAK,
						    sizeof(float) * PEAK);
			}
		assert_int_equal(kept, 2);
	}
	free(all);
	free_bridge(&x);
	close_rig(&r);
}

/* Who looks at the stages gets the same rows, and the bytes of what ran. */
static void test_stages(void **state)
{
	int vocab[VOCAB];
	struct backend_stage full[BACKEND_STAGES_MAX], draft[BACKEND_STAGES_MAX];
	struct rig r = open_cuda(&specs[0], F16);
	struct crossing x;
	float *one, *two;
	int n;

	(void)state;
	make_crossing(&x, &r.m->cfg, 1, 3, ROWS, QUANT_F32, true);
	set_vocabulary(&x, vocab);
	give_bridge(&x, &r);
	read_text(&r, AT, 16);
	one = cross(&r, &x, AT);
	cuda->stages(r.d, draft);
	two = cross(&r, &x, AT);
	assert_memory_equal(one, two, sizeof(float) * ROWS * VOCAB);
	n = cuda->stages(r.d, draft);
	free(run(&r, NULL, AT, 1, 1));
	assert_int_equal(cuda->stages(r.d, full), n);
	assert_int_equal(n, 7);
	for (int i = 0; i < n; i++)
		assert_true(draft[i].seconds > 0 && full[i].seconds > 0);
	assert_int_equal(draft[0].bytes, x.g.weight->bytes);    /* embedding, bridge */
	assert_true(draft[1].bytes > full[1].bytes / 6 * 4);    /* QKV of four layers, adapters */
	assert_int_equal(draft[2].bytes, full[2].bytes / 6 * 4);        /* attention */
	assert_int_equal(draft[6].bytes, full[6].bytes / 17 * 3);       /* logits */
	free(one);
	free(two);
	free_bridge(&x);
	close_rig(&r);
}

static void test_fewer(void **state)
{
	(void)state;
	on_one(check_fewer, 2);
}

/* What was recorded over a bridge goes with it: another may lie at the same address. */
static void test_another(void **state)
{
	struct rig r = open_cuda(&specs[3], F16);
	struct crossing x;
	float *one, *two, *three;
	char err[ERR_MAX];

	(void)state;
	make_bridge(&x, &r, 1, 2, QUANT_F16, true);
	read_text(&r, AT, 16);
	one = cross(&r, &x, AT);
	((float *)(uintptr_t)x.g.bias->data)[0] += 1;
	assert_int_equal(cuda->draft->bridge(r.d, &x.g, err), 0);
	two = cross(&r, &x, AT);
	assert_true(memcmp(one, two, sizeof(float) * MK_VOCAB_MIN) != 0);
	x.g.adapt = NULL;
	schedule_make(&x.over, r.m, &x.p);
	assert_int_equal(cuda->draft->bridge(r.d, &x.g, err), 0);
	three = cross(&r, &x, AT);
	assert_true(memcmp(two, three, sizeof(float) * MK_VOCAB_MIN) != 0);
	free(one);
	free(two);
	one = three;
	assert_int_equal(cuda->draft->kv_keep(r.kv, (int[]){ 0 }, 1, err), 0);
	read_text(&r, AT, 16);          /* recorded for a cache that keeps others */
	assert_int_equal(cuda->draft->kv_keep(r.kv, (int[]){ 2 }, 1, err), 0);
	read_text(&r, AT, 16);
	x.g.s = 2;
	two = cross(&r, &x, AT);
	same_rows(one, two, ROWS, &r);
	free(one);
	free(two);
	free_bridge(&x);
	close_rig(&r);
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

/* test_cuda_bridge [PATTERN]: only the tests of such names. */
int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cpu), cmocka_unit_test(test_no_trace),
		cmocka_unit_test(test_kept), cmocka_unit_test(test_kept_prompt),
		cmocka_unit_test(test_pieces),
		cmocka_unit_test(test_lanes), cmocka_unit_test(test_guesses),
		cmocka_unit_test(test_vocabulary), cmocka_unit_test(test_best),
		cmocka_unit_test(test_stages), cmocka_unit_test(test_fewer),
		cmocka_unit_test(test_another),
		cmocka_unit_test(test_misfits), cmocka_unit_test(test_refusals),
	};

	cuda = cuda_begin(argc, argv);
	if (!cuda)
		return 1;
	make_tokens();
	return cmocka_run_group_tests_name("cuda bridge", tests, NULL, NULL);
}
