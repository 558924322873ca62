/* test_shapes.c - the forward pass on models of random shapes, against the naive one in double
 * precision: heads, widths and ranks that are no multiple of what a kernel takes at once.
 *
 * Sums of every instruction set that this machine has, and the same bits with 1 and 3 threads.
 * Invariant: the shapes are the same in every run; how many there are is all that time decides. */
#include "kernels/cpu/cpu.h"
#include "tests/bridge_kit.h"

enum { SHAPES = 32, TEXT = 40, LAYERS = 3, CROSS_AT = 21 };

static const char *const kernels[] = { "generic", "avx2", "avx512", "float" };
enum { N_KERNELS = sizeof(kernels) / sizeof(kernels[0]) };

static uint32_t seed = 11;
/* lo..hi */
static int pick(int lo, int hi)
{
	seed = seed * 1664525u + 1013904223u;
	return lo + (int)((seed >> 8) % (unsigned)(hi - lo + 1));
}

/* Heads of 8, 16, 24 ... dimensions; those of all queries together are a multiple of 32. */
static void random_heads(struct mk_spec *s)
{
	do {
		s->head_dim = 8 * pick(1, pick(0, 3) ? 12 : ATTEND_MAX_DIM / 8);
		s->n_kv_heads = pick(1, 4);
		s->n_heads = s->n_kv_heads * pick(1, 7);
	} while (s->n_heads * s->head_dim % 32 || s->n_heads * s->head_dim > WIDE);
}

static struct mk_spec random_spec(void)
{
	static const char *const types[] = { "F32", "F16", "Q8_0", "Q4_1", "Q5_0", "IQ4_NL" };
	static const char *const archs[] = { "qwen2", NULL, "qwen3", "qwen2", "gemma3" };
	struct mk_spec s = {
		.n_layers = LAYERS, .n_embd = 32 * pick(1, 5), .n_ff = 32 * pick(1, 5),
		.n_vocab = MK_VOCAB_MIN + pick(0, 20), .n_ctx = 512, .type = types[pick(0, 5)],
		.embd_type = "F16", .tied = pick(0, 1), .seed = (uint64_t)pick(1, 1000),
		.arch = archs[pick(0, 4)],
	};

	random_heads(&s);
	s.window = s.arch && !strcmp(s.arch, "gemma3") ? pick(5, 30) : 0;
	return s;
}

static void say(const struct mk_spec *s, const char *with, double most, double error)
{
	print_message("# %s %s, %d wide, %d/%d heads of %d, %d, %s: most %.2g, rms %.2g\n",
		      s->arch ? s->arch : "llama", s->type, s->n_embd, s->n_heads, s->n_kv_heads,
		      s->head_dim, s->n_ff, with, most, error);
}

/* Logits have a spread of about 3.  Matrices of floats are exact with all kernels; int8 activations
 * are off by some percent of it in models as narrow as these, a bias in the wrong place by half. */
static void check_shape(const struct mk_spec *s, enum cache cache, const char *with)
{
	bool exact = *s->type == 'F' || !strcmp(with, "float");
	struct backend_opt o = rig_opt(cache, with, 3);
	struct rig r = open_rig_on(&backend_cpu, s, &o);
	double error, most = distance_in(&r, cache, TEXT, 17, &error);

	say(s, with, most, error);
	assert_true(error < (!exact ? 0.3 : cache == F16 ? 0.005 : 0.02));
	assert_true(!exact || most < (cache == F16 ? 0.05 : 0.3));
	close_rig(&r);
}

static void check_threads(const struct mk_spec *s, enum cache cache)
{
	struct backend_opt one = rig_opt(cache, "auto", 1), three = rig_opt(cache, "auto", 3);
	struct rig a = open_rig_on(&backend_cpu, s, &one);
	struct rig b = open_rig_on(&backend_cpu, s, &three);
	float *want = run(&a, NULL, 0, TEXT, TEXT), *got = run(&b, NULL, 0, TEXT, TEXT);

	same_rows(want, got, TEXT, &a);
	free(want);
	free(got);
	close_rig(&a);
	close_rig(&b);
}

static void test_random(void **state)
{
	char err[ERR_MAX];

	(void)state;
	for (int i = 0; i < SHAPES; i++) {
		struct mk_spec s = random_spec();
		enum cache cache = i % 4 ? F16 : Q8_KEYS + (unsigned)pick(0, 2);

		for (int k = 0; k < N_KERNELS; k++)
			if (!strcmp(kernels[k], "float") || cpu_kernels_find(kernels[k], err))
				check_shape(&s, cache, kernels[k]);
		check_threads(&s, cache);
	}
}

/* Adapters of every rank, beside keys that are whole units of 16 rows: others are refused. */
static void check_rank(const struct mk_spec *s, int rank)
{
	struct backend_opt o = rig_opt(F16, pick(0, 1) ? "float" : "auto", 3);
	struct rig r = open_rig_on(&backend_cpu, s, &o);
	struct naive n = naive_open(r.m);
	int vocab = r.m->cfg.n_vocab, keys = s->n_kv_heads * s->head_dim;
	double *want = malloc(sizeof(double) * (size_t)(ROWS * vocab)), e;
	struct crossing x;
	float *got;

	make_crossing(&x, &r.m->cfg, 1, 2, ROWS, QUANT_F16, false);
	make_adapters(&x, &r.m->cfg, QUANT_F32, rank);
	if (keys % 16) {
		check_misfit(&r, &x.g, "beside keys");
	} else {
		give_bridge(&x, &r);
		for (int i = 0; i < CROSS_AT; i++)
			naive_step(&n, i, want);
		naive_cross(&n, &x.g, CROSS_AT, want);
		free(run(&r, NULL, 0, CROSS_AT, 0));
		got = cross(&r, &x, CROSS_AT);
		e = apart(want, got, ROWS * vocab);
		say(s, "a bridge", rank, e);
		assert_true(e < 1e-3);
		free(got);
	}
	free(want);
	free(n.k);
	free(n.v);
	free(n.in);
	free_bridge(&x);
	close_rig(&r);
}

static void test_ranks(void **state)
{
	(void)state;
	for (int i = 0; i < SHAPES / 2; i++) {
		struct mk_spec s = random_spec();

		s.type = i % 2 ? "F16" : "F32";
		check_rank(&s, 32 * pick(1, BRIDGE_RANK / 32 < 6 ? BRIDGE_RANK / 32 : 6));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_ranks),
	};

	make_tokens();
	return cmocka_run_group_tests_name("shapes", tests, NULL, NULL);
}
