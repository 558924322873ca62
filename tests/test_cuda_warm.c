/* test_cuda_warm.c - all that a GPU loads is loaded before anybody asks how much memory is free,
 * and before a pass is recorded; a product of matrices that cuBLAS fails at is made without it. */
#include "tests/bridge_kit.h"
#include "tests/cuda_device.h"
#include "tests/emu/emu.h"

enum { PROMPT = 70, OUT_OF_MEMORY = 2 };

static const struct backend *cuda;
static struct emu_use begun;    /* when the backend was there */
static const struct mk_spec tiny = MK_SMALL(.n_layers = 2, .n_embd = 64, .n_heads = 2,
	.n_kv_heads = 1, .n_ff = 96, .type = "Q8_0", .seed = 3);
static const struct mk_spec normed = MK_SMALL(.n_layers = 3, .n_embd = 64, .n_heads = 4,
	.n_kv_heads = 1, .n_ff = 96, .type = "Q4_K_M", .tied = true, .seed = 5, .arch = "gemma2",
	.head_dim = 32, .window = 24);

/* Passes of every kind. */
static void use_all(const struct mk_spec *spec, enum cache cache)
{
	static const int rows[] = { PROMPT, 1, 2, 3, 16, 5 };
	struct guess_batch g = { .tok = 5, .pos = 97, .n = 2, .law = { 0.7f, 0.05f, 0.6f, 1 } };
	struct backend_opt o = rig_opt(cache, NULL, 1);
	struct rig r = open_rig_on(cuda, spec, &o);
	struct batch best = { .tok = tokens, .n = 1, .pos = 99, .n_out = 1, .n_best = 2,
			      .run = &r.whole };
	int pos = 0;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		free(run(&r, NULL, pos, rows[i], rows[i]));
		pos += rows[i];
	}
	assert_int_equal(pos, g.pos);
	g.run = &r.whole;
	assert_int_equal(cuda->draft->guess(r.d, r.kv, &g), 0);
	assert_non_null(cuda->forward(r.d, r.kv, &best));
	assert_true(cuda->stream(r.d, 1 << 16) > 0);
	close_rig(&r);
}

static void use_bridge(void)
{
	struct batch full = { .tok = tokens, .n = 3 }, draft = { .tok = tokens, .n = 1, .pos = 3 };
	struct backend_opt o = { .n_batch = 32, .n_out = 20 };
	struct rig r = open_rig_on(cuda, &tiny, &o);
	struct crossing over;
	char err[ERR_MAX];

	make_tiny_crossing(&over);
	schedule_make(&over.over, r.m, &over.p);
	full.run = &r.whole;
	draft.run = &over.over;
	draft.n_out = 2;
	assert_int_equal(cuda->draft->kv_keep(r.kv, (int[]){ 1 }, 1, err), 0);
	assert_int_equal(cuda->draft->bridge(r.d, &over.g, err), 0);
	assert_non_null(cuda->forward(r.d, r.kv, &full));
	assert_non_null(cuda->forward(r.d, r.kv, &draft));
	close_rig(&r);
	free_bridge(&over);
}

static void test_all_loaded(void **state)
{
	(void)state;
	assert_int_equal(begun.products, 1);
	assert_int_equal(begun.device, 0);      /* nothing stays */
	assert_int_equal(begun.streams, 0);
	for (int cache = 0; cache < 2; cache++) {
		use_all(&tiny, cache ? Q8 : F16);
		use_all(&normed, cache ? Q8 : F16);
	}
	use_bridge();
	assert_true(begun.loads > 10);
	assert_int_equal(emu_memory().loads, begun.loads);
}

/* Root mean square of the difference, against that of the values. */
static double distance(const float *a, const float *b)
{
	double diff = 0, sum = 0;

	for (int i = 0; i < PROMPT * MK_VOCAB_MIN; i++) {
		diff += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
		sum += (double)a[i] * (double)a[i];
	}
	return sqrt(diff / sum);
}

struct try {
	float *logits;          /* of a prompt; NULL: the pass failed, and said why */
	bool failed;            /* cuBLAS, and the rest was made without */
	long calls, products;   /* of the pass */
};

/* A pass whose call `fails` fails; 0: none. */
static struct try prompt(struct rig *r, long fails)
{
	struct batch b = { .tok = tokens, .n = PROMPT, .n_out = PROMPT,
			   .run = &r->whole };
	struct try t = { .calls = emu_calls(), .products = emu_memory().products };
	const float *rows;

	emu_fail_at(fails, OUT_OF_MEMORY);
	rows = cuda->forward(r->d, r->kv, &b);
	emu_fail_at(0, 0);
	t.calls = emu_calls() - t.calls;
	t.products = emu_memory().products - t.products;
	t.failed = strstr(cuda->describe(r->d), "cuBLAS has failed") != NULL;
	if (!rows) {
		assert_true(strlen(cuda->error(r->d)) > 10);
		return t;
	}
	t.logits = malloc(sizeof(float) * PROMPT * MK_VOCAB_MIN);
	for (int i = 0; i < PROMPT; i++)
		memcpy(t.logits + i * MK_VOCAB_MIN, row_at(rows, MK_VOCAB_MIN, i),
		       sizeof(float) * MK_VOCAB_MIN);
	return t;
}

static struct try prompt_anew(const struct mk_spec *spec, long fails)
{
	struct backend_opt o = rig_opt(F16, NULL, 1);
	struct rig r = open_rig_on(cuda, spec, &o);
	struct try t = prompt(&r, fails), after;

	if (t.failed) {         /* and is not asked again */
		after = prompt(&r, 0);
		assert_non_null(after.logits);
		assert_int_equal(after.products, 0);
		free(after.logits);
	}
	close_rig(&r);
	return t;
}

/* Each product of a pass fails in turn: the rest of the pass is made by our own kernels, from where
 * it stopped; from the first on it is as if there were no cuBLAS, to the bit. */
static void products_fail(const struct mk_spec *spec)
{
	struct try want = prompt_anew(spec, 0), own;
	long fell = 0;

	emu_libraries(false);
	own = prompt_anew(spec, 0);
	emu_libraries(true);
	assert_true(want.products > 10 && own.products == 0 && !want.failed && !own.failed);
	for (long n = 1; n <= want.calls; n++) {
		struct try got = prompt_anew(spec, n);

		if (!got.failed) {      /* another call, without which there is no pass */
			free(got.logits);
			continue;
		}
		assert_non_null(got.logits);
		assert_int_equal(got.products, fell);
		if (!fell++)
			assert_memory_equal(got.logits, own.logits,
					    sizeof(float) * PROMPT * MK_VOCAB_MIN);
		assert_true(distance(want.logits, got.logits) < 0.05);
		free(got.logits);
	}
	assert_int_equal(fell, want.products);
	print_message("# %ld products; own kernels %.4f apart\n", fell,
		      distance(want.logits, own.logits));
	free(want.logits);
	free(own.logits);
}

static void test_products_fail(void **state)
{
	(void)state;
	products_fail(&tiny);
	products_fail(&normed);
}

/* What cuBLAS could not load when a device is opened it is not asked for later. */
static void test_first_product_fails(void **state)
{
	struct backend_opt o = rig_opt(F16, NULL, 1);
	long calls = emu_calls(), without = 0;
	struct rig r = open_rig_on(cuda, &tiny, &o);

	(void)state;
	calls = emu_calls() - calls;
	for (long n = 1; n <= calls; n++) {
		char err[ERR_MAX] = "";
		struct dev *d;

		emu_fail_at(n, OUT_OF_MEMORY);
		d = cuda->open(r.m, &o, err);
		emu_fail_at(0, 0);
		assert_true(d || strlen(err) > 10);
		if (d && strstr(cuda->describe(d), "no cuBLAS")) {
			struct rig other = { cuda, r.m, d, cuda->kv_new(d, CTX, err), r.whole,
					     r.group, r.prune };
			struct try t = prompt(&other, 0);

			assert_true(t.logits && t.products == 0 && !t.failed);
			free(t.logits);
			cuda->kv_free(other.kv);
			without++;
		}
		cuda->close(d);
	}
	assert_true(without > 5);
	close_rig(&r);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_loaded), cmocka_unit_test(test_products_fail),
		cmocka_unit_test(test_first_product_fails),
	};

	cuda = cuda_begin(argc, argv);
	begun = emu_memory();
	if (!cuda)
		return 1;
	make_tokens();
	return cmocka_run_group_tests_name("cuda warm", tests, NULL, NULL);
}
