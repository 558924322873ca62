/* test_bridge.c - passes that leave the middle of a model out: against a naive one in double
 * precision, and that they leave no trace, to the bit. */
#include "tests/bridge_kit.h"

static const struct mk_spec specs[] = {
	{ 6, 64, 4, 2, 96, MK_VOCAB_MIN, 512, "F32", NULL, false, false, 1, NULL },
	{ 5, 96, 6, 2, 160, MK_VOCAB_MIN + 5, 512, "F16", NULL, true, true, 2, NULL },
	{ 4, 64, 4, 4, 96, MK_VOCAB_MIN, 512, "Q4_1", "Q8_0", true, false, 3, NULL },
	{ 3, 96, 6, 2, 160, MK_VOCAB_MIN, 512, "Q8_0", NULL, true, false, 6, "qwen2" },
};
enum { N_SPECS = sizeof(specs) / sizeof(specs[0]), AT = 127 };

static struct rig open_rig(const struct mk_spec *spec, enum cache cache, const char *kernels,
			   int threads)
{
	struct backend_opt o = rig_opt(cache, kernels, threads);

	return open_rig_on(&backend_cpu, spec, &o);
}

static void naive_cross(struct naive *s, const struct bridge *g, int pos, double *logits)
{
	int d = s->m->cfg.n_embd, layers = s->m->cfg.n_layers, fed[] = { g->s, layers - 1 };
	double f[3 * WIDE] = { 0 }, y[BRIDGE_ROWS * WIDE];

	naive_embed(s, pos, f);
	naive_layers(s, 0, g->a, pos, f, NULL);
	for (int i = 0; pos && i < 2; i++)
		memcpy(f + (i + 1) * d, s->in + ((size_t)fed[i] * CTX + (size_t)pos - 1) *
		       (size_t)d, (size_t)d * sizeof(*f));
	dense(g->weight, f, y);
	add_bias(g->bias, y);
	s->bridge = g;
	for (int o = 0; o < g->k; o++)
		naive_layers(s, g->s, layers, pos + o, y + o * d,
			     logits + o * s->m->cfg.n_vocab);
	s->bridge = NULL;
}

static struct naive naive_open(const struct model *m)
{
	size_t rows = (size_t)m->cfg.n_layers * CTX;
	size_t kv = rows * (size_t)(m->cfg.n_kv_heads * m->cfg.head_dim);

	return (struct naive){ m, calloc(kv, sizeof(double)), calloc(kv, sizeof(double)), F16,
			       calloc(rows * (size_t)m->cfg.n_embd, sizeof(double)), NULL };
}

/* Root mean square of the difference, relative to that of the logits. */
static double apart(const double *want, const float *got, int n)
{
	double e = 0, all = 0;

	for (int i = 0; i < n; i++) {
		e += (want[i] - (double)got[i]) * (want[i] - (double)got[i]);
		all += want[i] * want[i];
	}
	return sqrt(e / all);
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

/* Full passes give what they give without a bridged one before them; and a bridged one gives what
 * it did, after drafts that were wrong, however the text before came into the cache. */
static void no_trace(const struct mk_spec *spec, enum cache cache, int threads)
{
	struct rig r = open_rig(spec, cache, "auto", threads);
	float *full, *again, *draft, *redraft;
	struct crossing x;

	make_bridge(&x, &r, 1, r.m->cfg.n_layers - 1, QUANT_Q8_0, true);
	free(run(&r, NULL, 0, AT, 0));
	full = run(&r, NULL, AT, ROWS + 1, ROWS + 1);
	draft = cross(&r, &x, AT);
	again = run(&r, NULL, AT, ROWS + 1, ROWS + 1);
	same_rows(full, again, ROWS + 1, &r);
	free(again);
	redraft = cross(&r, &x, AT);    /* all rows behind AT are of no use now */
	same_rows(draft, redraft, ROWS, &r);
	free(redraft);
	for (int i = AT - 20; i < AT; i++) {    /* once more, in other pieces, with a draft each */
		free(cross(&r, &x, i));
		free(run(&r, NULL, i, 1, 0));
	}
	redraft = cross(&r, &x, AT);
	same_rows(draft, redraft, ROWS, &r);
	free(redraft);
	free(full);
	free(draft);
	free_bridge(&x);
	close_rig(&r);
}

static void test_no_trace(void **state)
{
	(void)state;
	for (int i = 0; i < N_SPECS; i++)
		for (int threads = 1; threads <= 3; threads++)
			no_trace(&specs[i], threads == 2 ? Q8 : F16, threads);
}

/* A verify pass writes rows that go: as far back as the cache keeps rows they are still those of
 * the text; further back they count as zeros, as at the start. */
static void test_kept(void **state)
{
	struct rig r = open_rig(&specs[0], F16, "auto", 2);
	struct crossing x;
	float *at[2], *old[2], *fresh;

	(void)state;
	make_bridge(&x, &r, 2, 4, QUANT_F16, true);
	for (int i = 0; i < 2; i++) {
		int pos = AT - i * KEEP_ROWS;

		free(run(&r, NULL, 0, pos, 0));
		at[i] = cross(&r, &x, pos);
	}
	free(run(&r, NULL, 0, AT + KEEP_ROWS - 1, 0));
	for (int i = 0; i < 2; i++)
		old[i] = cross(&r, &x, AT - i * KEEP_ROWS);
	same_rows(at[0], old[0], ROWS, &r);
	assert_true(memcmp(at[1], old[1], sizeof(float) * MK_VOCAB_MIN) != 0);
	free_bridge(&x);
	make_bridge(&x, &r, 2, 4, QUANT_F16, true);     /* keeps nothing yet */
	fresh = cross(&r, &x, AT);
	assert_true(memcmp(at[0], fresh, sizeof(float) * MK_VOCAB_MIN) != 0);
	free_bridge(&x);
	for (int i = 0; i < 2; i++) {
		free(at[i]);
		free(old[i]);
	}
	free(fresh);
	close_rig(&r);
}

/* Texts that advance together keep their rows as one alone does. */
static void test_lanes(void **state)
{
	struct rig r = open_rig(&specs[0], F16, "auto", 2);
	struct lane lane = { r.kv, AT - 1 };
	struct batch b = { .tok = tokens + AT - 1, .n = 1, .lanes = &lane };
	struct crossing x;
	float *one, *two;

	(void)state;
	make_bridge(&x, &r, 1, 4, QUANT_F16, true);
	free(run(&r, NULL, 0, AT, 0));
	one = cross(&r, &x, AT);
	free(run(&r, NULL, 0, AT - 1, 0));
	tokens[AT - 1]++;
	free(run(&r, NULL, AT - 1, 1, 0));
	tokens[AT - 1]--;
	assert_non_null(backend_cpu.forward(r.d, NULL, &b));
	two = cross(&r, &x, AT);
	same_rows(one, two, ROWS, &r);
	free(one);
	free(two);
	free_bridge(&x);
	close_rig(&r);
}

/* The logits of a draft vocabulary are those of the whole one. */
static void test_vocabulary(void **state)
{
	int vocab[2 * PEAK];
	char err[ERR_MAX];

	(void)state;
	for (int i = 0; i < 2 * PEAK; i++)
		vocab[i] = i * 8 + i % 3;
	for (int i = 0; i < 2 * N_SPECS; i++) {
		struct rig r = open_rig(&specs[i / 2], F16, i % 2 ? "float" : "auto", 2);
		int n = r.m->cfg.n_vocab;
		struct crossing x;
		float *all, *some;

		make_bridge(&x, &r, 1, 2, QUANT_Q8_0, false);
		free(run(&r, NULL, 0, AT, 0));
		all = cross(&r, &x, AT);
		x.g.vocab = vocab;
		x.g.n_vocab = 2 * PEAK;
		if (r.be->bridge(r.d, &x.g, err) != 0)
			fail_msg("%s", err);
		some = cross(&r, &x, AT);
		for (int row = 0; row < ROWS; row++)
			for (int j = 0; j < 2 * PEAK; j++)
				assert_true(some[row * 2 * PEAK + j] == all[row * n + vocab[j]]);
		free(all);
		free(some);
		free_bridge(&x);
		close_rig(&r);
	}
}

/* Fewer rows than the bridge has are its first ones, to the bit. */
static void test_fewer(void **state)
{
	struct rig r = open_rig(&specs[2], F16, "auto", 2);
	struct crossing x;
	float *all, *some;

	(void)state;
	make_bridge(&x, &r, 1, 2, QUANT_Q8_0, true);
	free(run(&r, NULL, 0, AT, 0));
	all = cross(&r, &x, AT);
	for (int rows = 1; rows < ROWS; rows++) {
		some = cross_rows(&r, &x, AT, rows);
		same_rows(all, some, rows, &r);
		free(some);
	}
	free(all);
	free_bridge(&x);
	close_rig(&r);
}

static void check_misfit(struct rig *r, const struct bridge *g, const char *says)
{
	char err[ERR_MAX] = "";

	assert_int_equal(r->be->bridge(r->d, g, err), -1);
	if (!strstr(err, says))
		fail_msg("'%s' and not '%s'", err, says);
}

/* Bridges that do not fit the model. */
static void test_misfits(void **state)
{
	int vocab[PEAK];
	static const struct { int a, s, k; } ends[] = {
		{ 4, 4, 2 }, { -1, 4, 2 }, { 1, 6, 2 }, { 1, 4, 0 }, { 1, 4, 5 },
	};
	struct rig r = open_rig(&specs[0], F16, "auto", 1);
	struct gguf_tensor bad;
	struct adapter adapt;
	struct crossing x;
	struct bridge g;

	(void)state;
	make_bridge(&x, &r, 1, 4, QUANT_F16, true);
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		g = x.g;
		g.a = ends[i].a;
		g.s = ends[i].s;
		g.k = ends[i].k;
		check_misfit(&r, &g, "6 layers, and at most 4");
	}
	g = x.g;
	g.k = 2;
	check_misfit(&r, &g, "2 rows of this model");
	g = x.g;
	g.bias = g.weight;
	check_misfit(&r, &g, "shape or type");
	bad = *x.g.weight;
	bad.type = QUANT_Q4_0;
	g = x.g;
	g.weight = &bad;
	check_misfit(&r, &g, "shape or type");
	g = x.g;
	for (int i = 0; i < PEAK; i++)
		vocab[i] = MK_VOCAB_MIN - PEAK + 1 + i;
	g.vocab = vocab;
	g.n_vocab = PEAK;
	check_misfit(&r, &g, "token 272 of a draft vocabulary, in place 15");
	vocab[3] = vocab[2];
	check_misfit(&r, &g, "in place 3");
	g.n_vocab = PEAK - 1;
	check_misfit(&r, &g, "of 15 tokens");
	g = x.g;
	g.rank = 16;
	check_misfit(&r, &g, "rank 16");
	adapt = x.adapt[5][ADAPT_DOWN];
	x.adapt[5][ADAPT_DOWN].up = NULL;
	check_misfit(&r, &x.g, "adapter 3 of layer 5");
	x.adapt[5][ADAPT_DOWN] = adapt;
	free_bridge(&x);
	close_rig(&r);
}

/* Passes over a bridge that cannot be run. */
static void test_refusals(void **state)
{
	static const struct { int s, n, pos, n_out; const char *says; } all[] = {
		{ 4, 2, 0, 2, "one row" }, { 4, 1, 0, 0, "to make 0" }, { 4, 1, 0, 5, "to make 5" },
		{ 4, 1, CTX - 1, 2, "takes 640 positions" }, { 3, 1, 0, 2, "layers 3 and 5" },
	};
	struct rig r = open_rig(&specs[0], F16, "auto", 1);
	struct lane lane = { r.kv, 0 };
	struct crossing x;
	struct batch b = { .tok = tokens, .n = 1, .plan = &x.p, .lanes = &lane, .n_out = 2 };
	size_t bytes = backend_cpu.kv_bytes(r.kv), weights = backend_cpu.memory(r.d).weights;
	char err[ERR_MAX];

	(void)state;
	make_bridge(&x, &r, 1, 4, QUANT_Q8_0, false);
	assert_int_equal(backend_cpu.kv_bytes(r.kv) - bytes, KEEP_ROWS * 2 * 64 * sizeof(float));
	assert_in_range(backend_cpu.memory(r.d).weights - weights, x.g.weight->bytes,
			2 * x.g.weight->bytes);
	assert_null(backend_cpu.forward(r.d, NULL, &b));
	assert_non_null(strstr(backend_cpu.error(r.d), "several texts"));
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		x.g.s = all[i].s;
		if (backend_cpu.bridge(r.d, &x.g, err) != 0)
			fail_msg("%s", err);
		b = (struct batch){ .tok = tokens, .n = all[i].n, .pos = all[i].pos, .plan = &x.p,
				    .n_out = all[i].n_out };
		assert_null(backend_cpu.forward(r.d, r.kv, &b));
		if (!strstr(backend_cpu.error(r.d), all[i].says))
			fail_msg("%s", backend_cpu.error(r.d));
	}
	assert_int_equal(backend_cpu.bridge(r.d, NULL, err), 0);
	assert_int_equal(backend_cpu.memory(r.d).weights, weights);
	assert_null(backend_cpu.forward(r.d, r.kv, &b));
	assert_non_null(strstr(backend_cpu.error(r.d), "was not given"));
	assert_int_equal(backend_cpu.kv_keep(r.kv, (int[]){ 1, 6 }, 2, err), -1);
	assert_non_null(strstr(err, "layer 6"));
	assert_int_equal(backend_cpu.kv_keep(r.kv, (int[]){ 1, 2, 3 }, 3, err), -1);
	assert_non_null(strstr(err, "1 to 2"));
	free_bridge(&x);
	close_rig(&r);
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

	srand(3);
	for (int i = 0; i < CTX; i++)
		tokens[i] = rand() % MK_VOCAB_MIN;
	return cmocka_run_group_tests_name("bridge", tests, NULL, NULL);
}
