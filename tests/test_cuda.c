/* test_cuda.c - the cuda backend, under emulation or on a GPU, against the cpu backend and a naive
 * forward pass in double precision; and the invariants that strategies rely on, to the bit.
 *
 * Linked with the emulated backend it is test_cuda; with the loader of the real one it is
 * test_cuda_device (make check-cuda).  Owns one rig of each backend at a time. */
#include "tests/naive_kit.h"
#include "tests/cuda_device.h"

static const struct backend *cuda;

/* Every type, with matrices mixed as k-quants are; head sizes, RoPE of both kinds, biases; the
 * other architectures, with the widest heads and with many of them to a key. */
static const struct mk_spec models[] = {
	{ .n_layers = 2, .n_embd = 256, .n_heads = 4, .n_kv_heads = 2, .n_ff = 256,
	  .n_vocab = MK_VOCAB_MIN + 5, .n_ctx = 512, .type = "F32", .seed = 11 },
	MK_SMALL(.n_layers = 2, .n_embd = 256, .n_heads = 4, .n_kv_heads = 2, .n_ff = 256,
		 .type = "F16", .tied = true, .seed = 12),
	MK_SMALL(.n_layers = 2, .n_embd = 256, .n_heads = 4, .n_kv_heads = 2, .n_ff = 256,
		 .type = "BF16", .seed = 13),
	MK_SMALL(.n_layers = 2, .n_embd = 288, .n_heads = 9, .n_kv_heads = 3, .n_ff = 352,
		 .type = "Q4_0", .seed = 14),
	{ .n_layers = 2, .n_embd = 192, .n_heads = 3, .n_kv_heads = 1, .n_ff = 256,
	  .n_vocab = MK_VOCAB_MIN + 3, .n_ctx = 512, .type = "Q4_1", .embd_type = "Q8_0",
	  .tied = true, .seed = 15 },
	MK_SMALL(.n_layers = 2, .n_embd = 160, .n_heads = 2, .n_kv_heads = 1, .n_ff = 96,
		 .type = "Q5_0", .seed = 16),
	MK_SMALL(.n_layers = 2, .n_embd = 256, .n_heads = 2, .n_kv_heads = 1, .n_ff = 256,
		 .type = "Q5_1", .seed = 17),
	MK_SMALL(.n_layers = 3, .n_embd = 96, .n_heads = 6, .n_kv_heads = 2, .n_ff = 160,
		 .type = "Q8_0", .tied = true, .seed = 18, .arch = "qwen2"),
	MK_SMALL(.n_layers = 2, .n_embd = 256, .n_heads = 4, .n_kv_heads = 2, .n_ff = 256,
		 .type = "Q2_K", .seed = 19),
	MK_SMALL(.n_layers = 2, .n_embd = 256, .n_heads = 4, .n_kv_heads = 2, .n_ff = 256,
		 .type = "Q3_K", .seed = 20),
	MK_SMALL(.n_layers = 2, .n_embd = 256, .n_heads = 4, .n_kv_heads = 2, .n_ff = 256,
		 .type = "Q4_K", .seed = 21),
	MK_SMALL(.n_layers = 2, .n_embd = 256, .n_heads = 4, .n_kv_heads = 2, .n_ff = 256,
		 .type = "Q5_K", .seed = 22),
	MK_SMALL(.n_layers = 2, .n_embd = 256, .n_heads = 4, .n_kv_heads = 2, .n_ff = 256,
		 .type = "Q6_K", .seed = 23),
	MK_SMALL(.n_layers = 3, .n_embd = 512, .n_heads = 4, .n_kv_heads = 1, .n_ff = 512,
		 .type = "Q4_K_M", .rope_freqs = true, .seed = 24),
	MK_SMALL(.n_layers = 3, .n_embd = 256, .n_heads = 1, .n_kv_heads = 1, .n_ff = 256,
		 .type = "Q5_K_M", .tied = true, .seed = 25, .arch = "qwen2"),
	MK_SMALL(.n_layers = 2, .n_embd = 64, .n_heads = 4, .n_kv_heads = 2, .n_ff = 96,
		 .type = "IQ4_NL", .seed = 24),
	MK_SMALL(.n_layers = 2, .n_embd = 256, .n_heads = 4, .n_kv_heads = 2, .n_ff = 256,
		 .type = "IQ4_XS", .seed = 25),
	MK_OTHERS,
	MK_SMALL(.n_layers = 2, .n_embd = 64, .n_heads = 3, .n_kv_heads = 1, .n_ff = 96,
		 .type = "Q8_0", .tied = true, .seed = 26, .arch = "gemma2", .head_dim = 256,
		 .window = 40),
	MK_SMALL(.n_layers = 2, .n_embd = 64, .n_heads = 16, .n_kv_heads = 1, .n_ff = 96,
		 .type = "Q5_0", .tied = true, .seed = 27, .arch = "gemma3", .head_dim = 48,
		 .window = 32),
};
enum { MODELS = sizeof(models) / sizeof(models[0]) };

static struct rig open_cuda(const struct mk_spec *spec, enum cache cache)
{
	struct backend_opt o = rig_opt(cache, NULL, 1);

	return open_rig_on(cuda, spec, &o);
}

static struct rig open_cpu(const struct mk_spec *spec, enum cache cache)
{
	struct backend_opt o = rig_opt(cache, "auto", 2);

	return open_rig_on(&backend_cpu, spec, &o);
}

/* ---- every stage against the cpu backend's ---- */

struct seen {           /* what a backend showed, stage after stage */
	int n;
	struct {
		char stage[16];
		int layer, size;
		float *rows;
	} all[64];
};

static void on_stage(void *ctx, const char *stage, int layer, const float *rows, int n, int width)
{
	struct seen *s = ctx;
	size_t bytes = sizeof(float) * (size_t)n * (size_t)width;

	assert_true(s->n < 64);
	snprintf(s->all[s->n].stage, sizeof(s->all[0].stage), "%s", stage);
	s->all[s->n].layer = layer;
	s->all[s->n].size = n * width;
	s->all[s->n].rows = malloc(bytes);
	memcpy(s->all[s->n++].rows, rows, bytes);
}

static void forget(struct seen *s)
{
	while (s->n)
		free(s->all[--s->n].rows);
}

/* Root mean square of the difference, against that of the values. */
static double apart(const float *a, const float *b, int n)
{
	double diff = 0, sum = 0;

	for (int i = 0; i < n; i++) {
		diff += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
		sum += (double)a[i] * (double)a[i];
	}
	return sqrt(diff / (sum + 1e-30));
}

/* Largest distance of a stage of the two passes over n rows at pos; the logits' too. */
static double compare_stages(struct rig *a, struct seen *sa, struct rig *b, struct seen *sb,
			     int pos, int n, bool alike)
{
	float *la, *lb;
	double worst;

	forget(sa);
	forget(sb);
	la = run(a, NULL, pos, n, n);
	lb = run(b, NULL, pos, n, n);
	worst = apart(la, lb, n * a->m->cfg.n_vocab);
	assert_int_equal(sa->n, sb->n);
	assert_int_equal(sa->n, 1 + 5 * a->m->cfg.n_layers);
	for (int i = 0; i < sa->n; i++) {
		double d = apart(sa->all[i].rows, sb->all[i].rows, sa->all[i].size);

		assert_string_equal(sa->all[i].stage, sb->all[i].stage);
		assert_int_equal(sa->all[i].layer, sb->all[i].layer);
		assert_int_equal(sa->all[i].size, sb->all[i].size);
		worst = d > worst || isnan(d) ? d : worst;
		if (alike && i < 2)     /* before the first rounding that could differ */
			assert_true(d < 1e-5);
	}
	free(la);
	free(lb);
	return worst;
}

static struct rig open_watched(const struct backend *be, const struct mk_spec *spec,
			       enum cache cache, const char *kernels, struct seen *seen)
{
	struct backend_opt o = rig_opt(cache, kernels, 2);

	o.watch = on_stage;
	o.watch_ctx = seen;
	return open_rig_on(be, spec, &o);
}

/* For few rows both backends round activations to the same codes, but for those that a rounding
 * error puts on the other side of a half.  A prompt is in f16 on the GPU: nearer to floats. */
static void stages(const struct mk_spec *spec, enum cache cache)
{
	struct seen seen_cpu = { 0 }, seen_cuda = { 0 };
	struct rig b = open_watched(cuda, spec, cache, NULL, &seen_cuda);
	struct rig a = open_watched(&backend_cpu, spec, cache, "float", &seen_cpu);
	double few = 0, prompt = compare_stages(&a, &seen_cpu, &b, &seen_cuda, 0, 70, false);

	close_rig(&a);
	a = open_watched(&backend_cpu, spec, cache, "auto", &seen_cpu);
	for (int pos = 0; pos < 16; pos += 8)
		compare_stages(&a, &seen_cpu, &b, &seen_cuda, pos, 8, true);
	for (const int *n = few_counts; *n && *n <= 16; n++) {
		double d = compare_stages(&a, &seen_cpu, &b, &seen_cuda, *n, *n, true);

		few = d > few || isnan(d) ? d : few;
	}
	print_message("# %s, cache %d: stages apart by %.2g (1 to 16 rows), %.2g (70 rows)\n",
		      spec->type, (int)cache, few, prompt);
	forget(&seen_cpu);
	forget(&seen_cuda);
	close_rig(&a);
	close_rig(&b);
	assert_true(few < 0.01);
	assert_true(prompt < (cache ? 0.04 : 0.01));
}

static void test_stages(void **state)
{
	(void)state;
	for (int i = 0; i < MODELS; i++)
		stages(&models[i], F16);
}

static void test_stages_q8(void **state)
{
	(void)state;
	for (int i = 0; i < MODELS; i += 2)
		stages(&models[i], Q8_KEYS + (unsigned)i / 2 % 3);
}

/* ---- independent of the cpu backend ---- */

static void test_naive(void **state)
{
	(void)state;
	for (int i = 0; i < MODELS; i++) {
		bool exact = *models[i].type == 'F' || *models[i].type == 'B';
		struct rig r = open_cuda(&models[i], F16);
		struct distance prompt_few[] = { { .end = 140, .rows = 140 },
						 { .end = 140, .rows = 13 } };
		double prompt, few;

		distances_in(&r, F16, prompt_few, 2);
		prompt = prompt_few[0].rms;
		few = prompt_few[1].rms;
		close_rig(&r);
		print_message("# %s: from double, rms %.2g in one pass, %.2g in few rows\n",
			      models[i].type, prompt, few);
		assert_true(prompt < 0.02);
		assert_true(few < (exact ? 0.02 : 0.15));
	}
}

/* ---- to the bit ---- */

static void rows_alike(const struct mk_spec *spec, enum cache cache, const int *counts)
{
	struct rig r = open_cuda(spec, cache);

	/* across the border of a span of attention */
	check_counts_alike(&r, 118, 118, counts);
	close_rig(&r);
}

static void test_rows_alike(void **state)
{
	(void)state;
	for (int i = 0; i < MODELS; i++)
		rows_alike(&models[i], i % 4 ? F16 : Q8, i % 6 ? few_counts : all_counts);
}

/* Rows written ahead, by drafts that failed or by a pass that skipped layers, leave no trace. */
static void test_rollback(void **state)
{
	struct rig r = open_cuda(&models[3], F16);

	(void)state;
	check_rollback(&r);
	close_rig(&r);
}

/* Sub-layers that are skipped: as the cpu backend does. */
static void test_plans(void **state)
{
	static const struct plan plans[] = {
		{ .skip_attn = { 1 } }, { .skip_mlp = { 2 } },
		{ .skip_attn = { 6 }, .skip_mlp = { 5 } },
		{ .skip_attn = { ~0ull }, .skip_mlp = { ~0ull } },
		{ .skip_attn = { ~0ull } }, { .skip_mlp = { ~0ull } },
	};
	struct rig a = open_cpu(&models[13], F16), b = open_cuda(&models[13], F16);

	(void)state;
	for (size_t i = 0; i < sizeof(plans) / sizeof(plans[0]); i++) {
		float *x = run(&a, &plans[i], 0, 5, 5), *y = run(&b, &plans[i], 0, 5, 5);

		assert_true(apart(x, y, 5 * a.m->cfg.n_vocab) < 0.01);
		free(x);
		free(y);
	}
	close_rig(&a);
	close_rig(&b);
}

/* Texts of different lengths that advance together: each row as if its text were alone. */
static void test_lanes(void **state)
{
	enum { LANES = 4 };
	static const int past[LANES] = { 40, 0, 130, 7 };
	struct rig r = open_cuda(&models[3], F16);
	int next[LANES], vocab = r.m->cfg.n_vocab;
	struct lane lane[LANES];
	float *want[LANES];
	const float *l;
	char err[ERR_MAX];

	(void)state;
	for (int i = 0; i < LANES; i++) {
		struct batch text = { .tok = tokens, .n = past[i], .run = &r.whole };

		lane[i] = (struct lane){ cuda->kv_new(r.d, CTX, err), past[i] };
		assert_non_null(lane[i].kv);
		next[i] = tokens[past[i]];
		if (past[i]) {
			assert_non_null(cuda->forward(r.d, lane[i].kv, &text));
			assert_non_null(cuda->forward(r.d, r.kv, &text));
		}
		want[i] = run(&r, NULL, past[i], 1, 1);
	}
	struct batch b = { .tok = next, .n = LANES, .n_out = LANES - 1, .lanes = lane,
			   .run = &r.whole };
	l = cuda->forward(r.d, NULL, &b);
	assert_non_null(l);
	for (int i = 1; i < LANES; i++)
		same_rows(want[i], row_at(l, vocab, i - 1), 1, &r);
	for (int i = 0; i < LANES; i++) {
		free(want[i]);
		cuda->kv_free(lane[i].kv);
	}
	close_rig(&r);
}

/* Layers in host memory are read over the bus by the same kernels: the same numbers. */
static void test_host_layers(void **state)
{
	struct backend_opt o = rig_opt(F16, NULL, 1);
	float *want = NULL, *got;

	(void)state;
	for (int layers = 0; layers <= 3; layers += 1) {
		struct rig r;

		o.host_layers = layers;
		r = open_rig_on(cuda, &models[13], &o);
		assert_int_equal(cuda->memory(r.d).host_layers, layers);
		got = run(&r, NULL, 0, 3, 3);
		if (want)
			same_rows(want, got, 3, &r);
		else
			want = got;
		if (got != want)
			free(got);
		close_rig(&r);
	}
	free(want);
}

/* The file at path again, with a tensor of floats times a factor. */
static void scale_tensor(const char *path, const struct gguf_tensor *t, float factor)
{
	size_t n;
	char *all, *at;
	FILE *f = fopen(path, "r+b");

	assert_non_null(f);
	fseek(f, 0, SEEK_END);
	n = (size_t)ftell(f);
	all = malloc(n);
	rewind(f);
	assert_int_equal(fread(all, 1, n, f), n);
	at = memmem(all, n, t->data, t->bytes);
	assert_non_null(at);
	for (size_t i = 0; i < t->bytes / sizeof(float); i++) {
		float x;

		memcpy(&x, at + i * sizeof(x), sizeof(x));
		x *= factor;
		memcpy(at + i * sizeof(x), &x, sizeof(x));
	}
	rewind(f);
	assert_int_equal(fwrite(all, 1, n, f), n);
	fclose(f);
	free(all);
}

/* Some models have activations that f16 does not hold; a prompt must not become infinite there. */
static void test_large_activations(void **state)
{
	static const char path[] = "build/test-cuda-large.gguf";
	const struct backend *be[] = { &backend_cpu, cuda };
	struct backend_opt o = rig_opt(F16, "float", 2);
	struct model *m;
	float *rows[2];
	char err[ERR_MAX];

	(void)state;
	assert_int_equal(mk_write(path, &models[0], err), 0);
	assert_non_null(m = model_open(path, NULL, err));
	scale_tensor(path, m->layer[0].mat[MAT_UP], 3e4f);
	scale_tensor(path, m->layer[0].mat[MAT_DOWN], 0.003f);   /* weights that f16 does hold */
	model_close(m);
	for (int i = 0; i < 2; i++) {
		struct rig r = open_rig_file(be[i], path, &o, CTX);

		rows[i] = run(&r, NULL, 0, 40, 40);
		close_rig(&r);
	}
	assert_true(apart(rows[0], rows[1], 40 * models[0].n_vocab) < 0.01);
	free(rows[0]);
	free(rows[1]);
	remove(path);
}

static void test_refusals(void **state)
{
	struct rig r = open_cuda(&models[3], F16);

	(void)state;
	check_refusals(&r);
	close_rig(&r);
}

/* test_cuda [PATTERN]: only the tests of such names. */
int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stages), cmocka_unit_test(test_stages_q8),
		cmocka_unit_test(test_naive), cmocka_unit_test(test_rows_alike),
		cmocka_unit_test(test_rollback), cmocka_unit_test(test_plans),
		cmocka_unit_test(test_lanes), cmocka_unit_test(test_host_layers),
		cmocka_unit_test(test_large_activations), cmocka_unit_test(test_refusals),
	};

	cuda = cuda_begin(argc, argv);
	if (!cuda)
		return 1;
	make_tokens();
	return cmocka_run_group_tests_name("cuda", tests, NULL, NULL);
}
