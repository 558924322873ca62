/* test_bridge.c - passes that leave the middle of a model out: against a naive one in double
 * precision, and that they leave no trace, to the bit. */
#include "tests/forward_kit.h"

static const struct mk_spec specs[] = {
	{ 6, 64, 4, 2, 96, MK_VOCAB_MIN, 512, "F32", NULL, false, false, 1, NULL },
	{ 5, 96, 6, 2, 160, MK_VOCAB_MIN + 5, 512, "F16", NULL, true, true, 2, NULL },
	{ 4, 64, 4, 4, 96, MK_VOCAB_MIN, 512, "Q4_1", "Q8_0", true, false, 3, NULL },
	{ 3, 96, 6, 2, 160, MK_VOCAB_MIN, 512, "Q8_0", NULL, true, false, 6, "qwen2" },
};
enum { N_SPECS = sizeof(specs) / sizeof(specs[0]), AT = 127, ROWS = BRIDGE_ROWS };

/* A bridge of random numbers, small enough that what crosses is like what the layers are used to,
 * and a plan for it. */
struct crossing {
	struct bridge g;
	struct plan p;
	uint16_t *mat;
};

static void make(struct crossing *x, const struct rig *r, int a, int s)
{
	int width = r->m->cfg.n_embd, features = bridge_features(width);
	size_t n = (size_t)ROWS * (size_t)features * (size_t)width;
	int fed[] = { s, r->m->cfg.n_layers - 1 };
	char err[ERR_MAX];

	x->mat = malloc(n * sizeof(*x->mat));
	for (size_t i = 0; i < n; i++)
		x->mat[i] = quant_f32_to_f16((float)(rand() % 2001 - 1000) / 1000.0f /
					     sqrtf((float)features));
	x->g = (struct bridge){ .a = a, .s = s, .k = ROWS, .mat = x->mat };
	x->p = (struct plan){ .bridge = &x->g };
	if (backend_cpu.kv_keep(r->kv, fed, 2, err) != 0)
		fail_msg("%s", err);
}

static struct rig open_rig(const struct mk_spec *spec, enum cache cache, const char *kernels,
			   int threads)
{
	struct backend_opt o = rig_opt(cache, kernels, threads);

	return open_rig_on(&backend_cpu, spec, &o);
}

/* Copies of all logits behind the bridge, for tokens[pos]. */
static float *cross(struct rig *r, const struct crossing *x, int pos)
{
	struct batch b = { .tok = tokens + pos, .n = 1, .pos = pos, .plan = &x->p, .n_out = ROWS };
	const float *l = r->be->forward(r->d, r->kv, &b);
	int n = x->g.group ? x->g.n_groups * PEAK : r->m->cfg.n_out;
	float *copy = malloc((size_t)(ROWS * n) * sizeof(*copy));

	if (!l)
		fail_msg("%s", r->be->error(r->d));
	for (int i = 0; i < ROWS; i++) {
		check_peaks(row_at(l, n, i), n);
		memcpy(copy + (size_t)i * (size_t)n, row_at(l, n, i), (size_t)n * sizeof(*copy));
	}
	return copy;
}

static void naive_cross(struct naive *s, const struct bridge *g, int pos, double *logits)
{
	int d = s->m->cfg.n_embd, layers = s->m->cfg.n_layers, fed[] = { g->s, layers - 1 };
	double f[3 * WIDE + 1] = { 0 }, y[WIDE];

	naive_embed(s, pos, f);
	naive_layers(s, 0, g->a, pos, f, NULL);
	for (int i = 0; pos && i < 2; i++)
		memcpy(f + (i + 1) * d, s->in + ((size_t)fed[i] * CTX + (size_t)pos - 1) *
		       (size_t)d, (size_t)d * sizeof(*f));
	f[3 * d] = 1;
	for (int o = 0; o < g->k; o++) {
		for (int j = 0; j < d; j++) {
			y[j] = 0;
			for (int i = 0; i <= 3 * d; i++)
				y[j] += f[i] * (double)quant_f16_to_f32(
					g->mat[((size_t)o * (size_t)(3 * d + 1) + (size_t)i) *
					       (size_t)d + (size_t)j]);
		}
		naive_layers(s, g->s, layers, pos + o, y, logits + o * s->m->cfg.n_vocab);
	}
}

static struct naive naive_open(const struct model *m)
{
	size_t rows = (size_t)m->cfg.n_layers * CTX;
	size_t kv = rows * (size_t)(m->cfg.n_kv_heads * m->cfg.head_dim);

	return (struct naive){ m, calloc(kv, sizeof(double)), calloc(kv, sizeof(double)), F16,
			       calloc(rows * (size_t)m->cfg.n_embd, sizeof(double)) };
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

static void check_naive(const struct mk_spec *spec, const char *kernels, int a, int s, int pos)
{
	struct rig r = open_rig(spec, F16, kernels, 2);
	struct naive n = naive_open(r.m);
	int vocab = r.m->cfg.n_vocab;
	double *want = malloc(sizeof(double) * (size_t)(ROWS * vocab)), e;
	struct crossing x;
	float *got;

	make(&x, &r, a, s);
	for (int i = 0; i < pos; i++)
		naive_step(&n, i, want);
	naive_cross(&n, &x.g, pos, want);
	if (pos)
		free(run(&r, NULL, 0, pos, 0));
	got = cross(&r, &x, pos);
	e = apart(want, got, ROWS * vocab);
	print_message("# %d layers, %d to %d, at %d: %.2g\n", r.m->cfg.n_layers, a, s, pos, e);
	assert_true(e < 1e-3);
	free(got);
	free(want);
	free(n.k);
	free(n.v);
	free(n.in);
	free(x.mat);
	close_rig(&r);
}

static void test_naive(void **state)
{
	(void)state;
	for (int i = 0; i < N_SPECS; i++) {
		int last = specs[i].n_layers - 1;

		check_naive(&specs[i], "float", 1, last - 1 > 1 ? last - 1 : last, 50);
		check_naive(&specs[i], "float", 0, last, 17);
		check_naive(&specs[i], "float", 1, last, 0);    /* no position before it */
	}
	/* matrices of F32 and F16 are exact with any kernels */
	check_naive(&specs[0], "generic", 2, 4, 20);
	check_naive(&specs[1], "auto", 2, 4, 20);
}

/* Full passes give what they give without a bridged one before them; and a bridged one gives what
 * it did, after drafts that were wrong, however the text before came into the cache. */
static void no_trace(const struct mk_spec *spec, enum cache cache, int threads)
{
	struct rig r = open_rig(spec, cache, "auto", threads);
	float *full, *again, *draft, *redraft;
	struct crossing x;

	make(&x, &r, 1, r.m->cfg.n_layers - 1);
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
	free(x.mat);
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
	make(&x, &r, 2, 4);
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
	free(x.mat);
	make(&x, &r, 2, 4);             /* keeps nothing yet */
	fresh = cross(&r, &x, AT);
	assert_true(memcmp(at[0], fresh, sizeof(float) * MK_VOCAB_MIN) != 0);
	free(x.mat);
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
	make(&x, &r, 1, 4);
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
	free(x.mat);
	close_rig(&r);
}

/* The logits of a draft vocabulary are those of the whole one. */
static void test_vocabulary(void **state)
{
	static const int group[] = { 3, 0, 1, 16, 9 };
	enum { N = sizeof(group) / sizeof(group[0]) };

	(void)state;
	for (int i = 0; i < N_SPECS; i++) {
		struct rig r = open_rig(&specs[i], F16, "auto", 2);
		int vocab = r.m->cfg.n_vocab;
		struct crossing x;
		float *all, *some;

		make(&x, &r, 1, 2);
		free(run(&r, NULL, 0, AT, 0));
		all = cross(&r, &x, AT);
		x.g.group = group;
		x.g.n_groups = N;
		some = cross(&r, &x, AT);
		for (int row = 0; row < ROWS; row++)
			for (int j = 0; j < N; j++)
				assert_memory_equal(some + (row * N + j) * PEAK,
						    all + row * vocab + group[j] * PEAK,
						    sizeof(float) * PEAK);
		free(all);
		free(some);
		free(x.mat);
		close_rig(&r);
	}
}

static void test_refusals(void **state)
{
	static const int high = MK_VOCAB_MIN / PEAK;
	static const struct { struct bridge g; int n, pos, n_out; const char *says; } all[] = {
		{ { .a = 1, .s = 4, .k = 2 }, 2, 0, 0, "one row" },
		{ { .a = 4, .s = 4, .k = 2 }, 1, 0, 0, "6 layers" },
		{ { .a = -1, .s = 4, .k = 2 }, 1, 0, 0, "6 layers" },
		{ { .a = 1, .s = 6, .k = 2 }, 1, 0, 0, "6 layers" },
		{ { .a = 1, .s = 4, .k = 0 }, 1, 0, 0, "at most 4" },
		{ { .a = 1, .s = 4, .k = 5 }, 1, 0, 0, "at most 4" },
		{ { .a = 1, .s = 4, .k = 2 }, 1, CTX - 1, 0, "takes 640 positions" },
		{ { .a = 1, .s = 4, .k = 2 }, 1, 0, 3, "3 outputs" },
		{ { .a = 1, .s = 3, .k = 2 }, 1, 0, 0, "layers 3 and 5" },
		{ { .a = 1, .s = 4, .k = 2, .group = &high, .n_groups = 1 }, 1, 0, 0, "group 17" },
		{ { .a = 1, .s = 4, .k = 2, .group = &high }, 1, 0, 0, "0 groups" },
	};
	struct rig r = open_rig(&specs[0], F16, "auto", 1);
	struct lane lane = { r.kv, 0 };
	struct crossing x;
	struct batch b = { .tok = tokens, .n = 1, .plan = &x.p, .lanes = &lane };
	size_t bytes = backend_cpu.kv_bytes(r.kv);
	char err[ERR_MAX];

	(void)state;
	make(&x, &r, 1, 4);
	assert_int_equal(backend_cpu.kv_bytes(r.kv) - bytes, KEEP_ROWS * 2 * 64 * sizeof(float));
	assert_null(backend_cpu.forward(r.d, NULL, &b));
	assert_non_null(strstr(backend_cpu.error(r.d), "several texts"));
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		x.g = all[i].g;
		x.g.mat = x.mat;
		b = (struct batch){ .tok = tokens, .n = all[i].n, .pos = all[i].pos, .plan = &x.p,
				    .n_out = all[i].n_out };
		assert_null(backend_cpu.forward(r.d, r.kv, &b));
		assert_non_null(strstr(backend_cpu.error(r.d), all[i].says));
	}
	assert_int_equal(backend_cpu.kv_keep(r.kv, (int[]){ 1, 6 }, 2, err), -1);
	assert_non_null(strstr(err, "layer 6"));
	assert_int_equal(backend_cpu.kv_keep(r.kv, (int[]){ 1, 2, 3 }, 3, err), -1);
	assert_non_null(strstr(err, "1 to 2"));
	free(x.mat);
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
		cmocka_unit_test(test_refusals),
	};

	srand(3);
	for (int i = 0; i < CTX; i++)
		tokens[i] = rand() % MK_VOCAB_MIN;
	return cmocka_run_group_tests_name("bridge", tests, NULL, NULL);
}
