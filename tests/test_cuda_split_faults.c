/* test_cuda_split_faults.c - models that cpu and emulated GPU share: memory as planned, the GPU
 * failing at every call in turn, and both at work at once.
 *
 * Owns one device at a time. */
#include "tests/split_kit.h"
#include "kernels/backend_bus.h"
#include "tests/fault_kit.h"

/* Where layers are computed is where their weights and rows are. */
static void test_memory(void **state)
{
	static const char path[] = "build/test-cuda-split.gguf";
	struct backend_memory plan[4], real;
	size_t device[4];
	struct model *m;
	char err[ERR_MAX];

	(void)state;
	assert_int_equal(mk_write(path, &models[0], err), 0);
	assert_non_null(m = model_open(path, NULL, err));
	for (int at = 0; at <= 3; at++) {
		struct backend_opt o = { .n_batch = 64, .n_out = 20, .n_threads = 2, .split = true,
					 .host_layers = at };
		struct dev *d;
		struct kv *kv;

		assert_int_equal(split->plan(m, &o, 512, &plan[at], err), 0);
		assert_non_null(d = split->open(m, &o, err));
		assert_non_null(kv = split->kv_new(d, 512, err));
		real = split->memory(d);
		device[at] = emu_memory().device;
		assert_int_equal(real.host_layers, at);
		assert_int_equal(plan[at].host_layers, at);
		assert_int_equal(plan[at].weights, real.weights);
		assert_int_equal(plan[at].work, real.work);
		assert_in_range(plan[at].host, real.host, real.host + real.host / 8 + 65536);
		assert_in_range(device[at], plan[at].weights + plan[at].work + split->kv_bytes(kv),
				plan[at].weights + plan[at].work + split->kv_bytes(kv) + 4096);
		assert_true(!at || (device[at] < device[at - 1] &&
				    plan[at].host > plan[at - 1].host));
		split->kv_free(kv);
		split->close(d);
		o.budget = device[at] + 4096;   /* and as few as there is no room for */
		o.host_layers = 0;
		assert_int_equal(split->plan(m, &o, 512, &real, err), 0);
		assert_int_equal(real.host_layers, at);
	}
	model_close(m);
	remove(path);
}

/* A short life; false with a text once something fails. */
static bool life(const void *of, char err[ERR_MAX])
{
	const struct model *m = of;
	struct backend_opt o = { .n_batch = 80, .n_out = 20, .n_threads = 1, .split = true,
				 .host_layers = 1 };
	struct schedule whole;
	struct batch b = { .tok = tokens, .n = 70, .n_out = 1, .run = &whole };
	struct backend_memory mem;
	struct dev *d = NULL;
	struct kv *kv = NULL;
	bool fine;

	schedule_make(&whole, m, &(struct plan){ .target = true });
	if (split->plan(m, &o, 96, &mem, err) == 0)
		d = split->open(m, &o, err);
	if (d)
		kv = split->kv_new(d, 96, err);
	fine = kv && split_passes(d, kv, b, 4, err);    /* the first in pieces */
	split->kv_free(kv);
	split->close(d);
	return fine;
}

static void test_faults(void **state)
{
	static const char path[] = "build/test-cuda-split.gguf";
	struct model *m;
	char err[ERR_MAX];

	(void)state;
	assert_int_equal(mk_write(path, &models[0], err), 0);
	assert_non_null(m = model_open(path, NULL, err));
	nothing_left();
	fail_each_call(life, m, LAUNCH_FAILURE);
	fail_each_call(life, m, ILLEGAL_ADDRESS);
	model_close(m);
	remove(path);
}

/* What is measured before anything is opened. */
static bool look_at_bus(const void *of, char err[ERR_MAX])
{
	char name[BUS_NAME] = "";
	bool fine = cuda->bus->name(name, err) == 0 && *name;

	for (int way = BUS_HOST; fine && way <= BUS_CALL; way++)
		fine = cuda->bus->read((enum bus_way)way, *(const size_t *)of, err) > 0;
	return fine;
}

static void test_bus(void **state)
{
	static const size_t bytes = 65536;

	(void)state;
	assert_ptr_equal(split->bus, cuda->bus);
	fail_each_call(look_at_bus, &bytes, OUT_OF_MEMORY);
	fail_each_call(look_at_bus, &bytes, ILLEGAL_ADDRESS);
}

/* ---- both at once ---- */

/* What the GPU had done, and what it had been given, when the cpu was at a later piece. */
struct overlap {
	bool seen, halts;
};

static bool look(void *ctx)
{
	struct overlap *o = ctx;
	struct emu_use u = emu_memory();

	o->seen |= u.kernels < u.launches;
	return o->seen && o->halts;
}

/* Nothing runs before somebody waits for it: so the cpu does not wait where it need not. */
static void test_overlap(void **state)
{
	struct backend_opt o = rig_opt(F16, "auto", 1);
	struct rig r;
	struct overlap seen = { .halts = false };
	struct halt h = { .asked = look, .ctx = &seen };
	struct batch b = { .tok = tokens, .n = 128, .halt = &h };
	float *want, *got;

	(void)state;
	o.split = true;
	o.host_layers = 2;
	r = open_rig_on(split, &models[0], &o);
	b.run = &r.whole;
	want = run(&r, NULL, 0, 200, 1);
	emu_reset();
	emu_set_lazy(true);
	assert_non_null(split->forward(r.d, r.kv, &b));
	assert_true(seen.seen && !h.seen);
	assert_int_equal(emu_memory().kernels, emu_memory().launches);
	/* a pass that ends while a piece is in work leaves none behind */
	seen = (struct overlap){ .halts = true };
	assert_non_null(split->forward(r.d, r.kv, &b));
	assert_true(seen.seen && h.seen);
	assert_int_equal(emu_memory().kernels, emu_memory().launches);
	emu_set_lazy(false);
	got = run(&r, NULL, 0, 200, 1);
	same_rows(want, got, 1, &r);
	free(want);
	free(got);
	close_rig(&r);
}

/* test_cuda_split_faults [PATTERN]: only the tests of such names. */
int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_memory),
		cmocka_unit_test(test_faults),
		cmocka_unit_test(test_bus),
		cmocka_unit_test(test_overlap),
	};

	if (!split_begin(argc, argv))
		return 1;
	return cmocka_run_group_tests_name("cuda split faults", tests, NULL, NULL);
}
