/* test_cuda_faults.c - the emulated GPU fails at every call in turn, runs threads in other orders
 * and work as late as it may: errors are texts, nothing leaks, results are the same to the bit.
 * And what a pass costs: launches, replays, memory as planned. */
#include "tests/bridge_kit.h"
#include "tests/cuda_device.h"
#include "tests/fault_kit.h"
#include "engine/place/memory.h"

static const struct backend *cuda;
static const struct mk_spec tiny = MK_SMALL(.n_layers = 2, .n_embd = 64, .n_heads = 2,
	.n_kv_heads = 1, .n_ff = 96, .type = "Q8_0", .seed = 3);

/* What sub-layers give is normed; the layers at either end see a window, in rings. */
static const struct mk_spec windowed = MK_SMALL(.n_layers = 3, .n_embd = 64, .n_heads = 4,
	.n_kv_heads = 1, .n_ff = 96, .type = "Q8_0", .tied = true, .seed = 5, .arch = "gemma2",
	.head_dim = 32, .window = 24);

static struct rig open_small(const struct mk_spec *spec)
{
	struct backend_opt o = { .n_batch = 64, .n_out = 20 };

	return open_rig_on(cuda, spec, &o);
}

/* ---- order ---- */

/* What passes of many shapes leave. */
static float *all_passes(const struct mk_spec *spec, enum cache cache)
{
	static const int rows[] = { 70, 1, 3, 16, 17, 40, 2 };
	struct backend_opt o = rig_opt(cache, NULL, 1);
	struct rig r = open_rig_on(cuda, spec, &o);
	size_t vocab = (size_t)r.m->cfg.n_vocab, at = 0;
	float *all = malloc(sizeof(float) * vocab * 149);
	int pos = 0;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		float *l = run(&r, NULL, pos, rows[i], rows[i]);

		memcpy(all + at, l, sizeof(float) * vocab * (size_t)rows[i]);
		at += vocab * (size_t)rows[i];
		pos += rows[i];
		free(l);
	}
	close_rig(&r);
	return all;
}

static void orders(const struct mk_spec *spec, enum cache cache)
{
	size_t bytes = sizeof(float) * (size_t)spec->n_vocab * 149;
	float *want = all_passes(spec, cache);

	for (int order = 1; order < 5; order++) {
		float *got;

		emu_set_order(order);
		emu_set_lazy(order % 2 == 0);
		got = all_passes(spec, cache);
		assert_memory_equal(want, got, bytes);
		free(got);
	}
	emu_set_order(0);
	emu_set_lazy(false);
	free(want);
}

static void test_orders(void **state)
{
	static const struct mk_spec mixed = MK_SMALL(.n_layers = 2, .n_embd = 256, .n_heads = 2,
		.n_kv_heads = 1, .n_ff = 256, .type = "Q4_K_M", .tied = true, .seed = 4);

	(void)state;
	orders(&tiny, F16);
	orders(&mixed, Q8);
	orders(&windowed, Q8_VALUES);
}

/* ---- faults ---- */

static struct crossing over;     /* for the tiny model */

/* Takes a bridge, passes over it, and gives it back. */
static bool live_bridged(const struct model *m, const struct schedule *whole, struct dev *d,
			 struct kv *kv, char err[ERR_MAX])
{
	struct batch full = { .tok = tokens, .n = 3, .pos = 23, .run = whole };
	struct batch draft = { .tok = tokens, .n = 1, .pos = 26, .run = &over.over, .n_out = 2 };

	if (cuda->draft->kv_keep(kv, (int[]){ 1 }, 1, err) != 0 ||
	    cuda->draft->bridge(d, &over.g, err) != 0)
		return false;
	schedule_make(&over.over, m, &over.p);
	if (cuda->forward(d, kv, &full) && cuda->forward(d, kv, &draft))
		return cuda->draft->bridge(d, NULL, err) == 0;
	snprintf(err, ERR_MAX, "%s", cuda->error(d));
	return false;
}

/* Opens, reads 20 tokens, advances a little, drafts (the tiny model over its bridge, too); false
 * with a text once something fails. */
static bool life(const void *path, char err[ERR_MAX])
{
	struct backend_opt o = { .n_batch = 32, .n_out = 20 };
	struct model *m = model_open(path, NULL, err);
	struct schedule whole;
	struct guess_batch g = { .run = &whole, .tok = 5, .pos = 23, .n = 2,
				 .law = { 0.7f, 0.05f, 0.6f, 1 } };
	struct backend_memory mem;
	struct dev *d = NULL;
	struct kv *kv = NULL;
	bool fine = false;

	assert_non_null(m);
	schedule_make(&whole, m, &(struct plan){ .target = true });
	if (cuda->plan(m, &o, 64, &mem, err) == 0)
		d = cuda->open(m, &o, err);
	if (d)
		kv = cuda->kv_new(d, 64, err);
	if (kv) {
		fine = true;
		for (int pos = 0; fine && pos < 23; pos += pos < 20 ? 20 : 1) {
			struct batch b = { .tok = tokens, .n = pos < 20 ? 20 : 1, .pos = pos,
					   .n_out = 1, .n_best = pos % 2, .run = &whole };

			fine = cuda->forward(d, kv, &b) != NULL;
		}
		fine = fine && cuda->draft->guess(d, kv, &g) == 0;
		if (!fine)
			snprintf(err, ERR_MAX, "%s", cuda->error(d));
		else
			fine = m->cfg.n_layers != tiny.n_layers || live_bridged(m, &whole, d, kv,
									      err);
	}
	cuda->kv_free(kv);
	cuda->close(d);
	model_close(m);
	return fine;
}

static void test_faults(void **state)
{
	static const char path[] = "build/test-cuda-faults.gguf";
	char err[ERR_MAX];

	(void)state;
	assert_int_equal(mk_write(path, &tiny, err), 0);
	fail_each_call(life, path, OUT_OF_MEMORY);
	fail_each_call(life, path, LAUNCH_FAILURE);
	fail_each_call(life, path, ILLEGAL_ADDRESS);
	assert_int_equal(mk_write(path, &windowed, err), 0);
	fail_each_call(life, path, LAUNCH_FAILURE);
	remove(path);
}

static void test_out_of_memory_text(void **state)
{
	static const char path[] = "build/test-cuda-faults.gguf";
	struct backend_opt o = { .n_batch = 32, .budget = 100000 };
	struct backend_memory mem;
	struct model *m;
	char err[ERR_MAX];

	(void)state;
	assert_int_equal(mk_write(path, &tiny, err), 0);
	m = model_open(path, NULL, err);
	assert_int_equal(cuda->plan(m, &o, 64, &mem, err), -1);
	assert_non_null(strstr(err, "--backend cpu"));
	assert_non_null(strstr(err, "-c"));
	model_close(m);
	remove(path);
}

/* ---- cost ---- */

/* So many kernels a layer, and one at either end; one launch, one wait, no memory. */
static void launches(const struct mk_spec *spec, int kernels)
{
	struct rig r = open_small(spec);
	struct emu_use a, b;

	free(run(&r, NULL, 0, 20, 1));
	for (int n = 1; n <= 17; n++)           /* recorded once each */
		free(run(&r, NULL, 20, n, n));
	for (int n = 1; n <= 17; n++) {
		a = emu_memory();
		free(run(&r, NULL, 20 + n, n, n));
		b = emu_memory();
		assert_int_equal(b.instantiations, a.instantiations);
		assert_int_equal(b.graph_launches - a.graph_launches, 1);
		assert_int_equal(b.mallocs, a.mallocs);
		assert_int_equal(b.syncs - a.syncs, 1);
		assert_int_equal(b.kernels - a.kernels, kernels * spec->n_layers + 2);
	}
	close_rig(&r);
}

static void test_launches(void **state)
{
	(void)state;
	launches(&tiny, 5);
	launches(&windowed, 7);
}

/* All lengths of a context are served by few graphs. */
static void bins(const struct mk_spec *spec)
{
	struct rig r = open_small(spec);
	struct emu_use a = emu_memory(), b;

	for (int pos = 0; pos < CTX; pos++)
		free(run(&r, NULL, pos, 1, 0));
	b = emu_memory();
	assert_in_range(b.instantiations - a.instantiations, 2, 4);
	close_rig(&r);
}

static void test_bins(void **state)
{
	(void)state;
	bins(&tiny);
	bins(&windowed);
}

/* What was recorded for a cache goes with it: another one may lie at the same address. */
static void test_cache_goes(void **state)
{
	struct rig r = open_small(&tiny);
	struct batch b = { .tok = tokens, .n = 1, .n_out = 1, .run = &r.whole };
	long execs = emu_memory().execs;
	char err[ERR_MAX];

	(void)state;
	for (int i = 0; i < 3; i++) {
		struct kv *other = cuda->kv_new(r.d, 64, err);

		assert_non_null(other);
		assert_non_null(cuda->forward(r.d, other, &b));
		assert_int_equal(emu_memory().execs, execs + 1);
		cuda->kv_free(other);
		assert_int_equal(emu_memory().execs, execs);
	}
	close_rig(&r);
}

/* What plan says is what is asked for. */
static void planned(int n_ctx, enum cache cache, int host_layers)
{
	static const char path[] = "build/test-cuda-faults.gguf";
	struct backend_opt o = rig_opt(cache, NULL, 1);
	struct emu_use before = emu_memory(), after;
	struct backend_memory mem;
	size_t plan, real;
	struct model *m;
	struct dev *d;
	struct kv *kv;
	char err[ERR_MAX];

	o.n_batch = 64;
	o.host_layers = host_layers;
	m = model_open(path, NULL, err);
	assert_int_equal(cuda->plan(m, &o, n_ctx, &mem, err), 0);
	plan = mem.weights + mem.work + memory_kv(m, &o, memory_rows(n_ctx));
	assert_non_null(d = cuda->open(m, &o, err));
	assert_non_null(kv = cuda->kv_new(d, n_ctx, err));
	after = emu_memory();
	real = after.device - before.device;
	print_message("# -c %d: planned %zu, asked for %zu\n", n_ctx, plan, real);
	assert_true(plan <= real + real / 33 && real <= plan + plan / 33);
	assert_true(mem.host <= after.pinned && after.pinned <= mem.host + 4096);
	cuda->kv_free(kv);
	cuda->close(d);
	model_close(m);
}

static void test_plan(void **state)
{
	static const char path[] = "build/test-cuda-faults.gguf";
	char err[ERR_MAX];

	(void)state;
	assert_int_equal(mk_write(path, &tiny, err), 0);
	planned(64, F16, 0);
	planned(4096, F16, 1);
	planned(1000, Q8, 2);
	planned(100000, Q8_KEYS, 0);
	assert_int_equal(mk_write(path, &windowed, err), 0);
	planned(64, F16, 0);
	planned(4096, Q8, 1);
	planned(100000, F16, 0);
	remove(path);
}

/* As few layers as the budget asks for stay in host memory. */
static void test_fit(void **state)
{
	static const char path[] = "build/test-cuda-faults.gguf";
	struct backend_opt o = { .n_batch = 32 };
	struct backend_memory all, some;
	size_t kv;
	struct model *m;
	char err[ERR_MAX];

	(void)state;
	assert_int_equal(mk_write(path, &tiny, err), 0);
	m = model_open(path, NULL, err);
	kv = memory_kv(m, &o, memory_rows(64));
	assert_int_equal(cuda->plan(m, &o, 64, &all, err), 0);
	assert_int_equal(all.host_layers, 0);
	o.budget = all.weights + all.work + kv;
	assert_int_equal(cuda->plan(m, &o, 64, &some, err), 0);
	assert_int_equal(some.host_layers, 0);
	o.budget--;
	assert_int_equal(cuda->plan(m, &o, 64, &some, err), 0);
	assert_int_equal(some.host_layers, 1);
	assert_true(some.weights < all.weights && some.host > all.host);
	model_close(m);
	remove(path);
}

/* A machine without what it takes: texts that say so. */
static void test_no_device(void **state)
{
	struct emu_settings *s = emu_device(), before = *s;
	char err[ERR_MAX], abi[BACKEND_ABI_MAX];

	(void)state;
	s->devices = 0;
	assert_null(s3dcuda_open(backend_abi(abi), err));
	assert_non_null(strstr(err, "no NVIDIA GPU"));
	*s = before;
	s->driver = 0;
	assert_null(s3dcuda_open(backend_abi(abi), err));
	assert_non_null(strstr(err, "driver"));
	*s = before;
	s->driver = 11040;
	assert_null(s3dcuda_open(backend_abi(abi), err));
	assert_non_null(strstr(err, "too old"));
	*s = before;
	s->image = false;
	assert_null(s3dcuda_open(backend_abi(abi), err));
	assert_non_null(strstr(err, "CUDA_ARCHS"));
	*s = before;
	assert_null(s3dcuda_open("other", err));
	assert_non_null(strstr(err, "built for"));
}

/* Without cuBLAS the other kernels read prompts; without NVML a share is unknown. */
static void test_no_libraries(void **state)
{
	struct rig r;
	float *with, *without;
	double error = 0;

	(void)state;
	r = open_small(&tiny);
	with = run(&r, NULL, 0, 40, 20);
	assert_true(cuda->used() > 0);
	close_rig(&r);
	emu_libraries(false);
	r = open_small(&tiny);
	without = run(&r, NULL, 0, 40, 20);
	assert_true(cuda->used() == 0);
	assert_non_null(strstr(cuda->describe(r.d), "no cuBLAS"));
	close_rig(&r);
	emu_libraries(true);
	for (int i = 0; i < 20 * tiny.n_vocab; i++)
		error += fabs((double)with[i] - (double)without[i]) / 20 / tiny.n_vocab;
	print_message("# prompts with and without cuBLAS: apart by %.2g in the mean\n", error);
	assert_true(error > 0 && error < 0.15);
	free(with);
	free(without);
}

/* test_cuda_faults [PATTERN]: only the tests of such names. */
int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_orders), cmocka_unit_test(test_faults),
		cmocka_unit_test(test_out_of_memory_text), cmocka_unit_test(test_launches),
		cmocka_unit_test(test_bins), cmocka_unit_test(test_cache_goes),
		cmocka_unit_test(test_plan),
		cmocka_unit_test(test_fit), cmocka_unit_test(test_no_device),
		cmocka_unit_test(test_no_libraries),
	};
	int failed;

	cuda = cuda_begin(argc, argv);
	if (!cuda)
		return 1;
	make_tokens();
	make_tiny_crossing(&over);
	failed = cmocka_run_group_tests_name("cuda faults", tests, NULL, NULL);
	free_bridge(&over);
	return failed;
}
