/* test_gpu_plan.c - what goes where when the backend has memory of its own: budgets, layers that
 * stay in host memory, the little model, and refusals whose advice is tried here.
 *
 * Sizes are those of fake_gpu.h: 10 MiB a layer (the big model has 4, the little one 1), 5 MiB for
 * the rest of a model, and caches of (4 or 1) * 128 bytes a position. */
#include "engine/info.h"
#include "tests/fake_gpu.h"
#include "tests/mk.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define MIB ((size_t)1 << 20)
#define BIG "build/test-gpu-big.gguf"
#define LITTLE "build/test-gpu-little.gguf"

static char err[ERR_MAX];
static struct memory_plan seen;

static void on_plan(void *ctx, const struct memory_plan *p)
{
	(void)ctx;
	seen = *p;
}

/* A card of so many free MiB, and what is asked of it. */
static struct engine_opt on_card(size_t mib)
{
	fake = (struct fake_gpu){ .there = true, .free = mib * MIB, .layer = 10 * MIB,
				  .fixed = 5 * MIB };
	memset(&seen, 0, sizeof(seen));
	return (struct engine_opt){ .model = BIG, .backend = "cuda", .n_ctx = 512,
				    .planned = on_plan, .be = { .n_threads = 1 } };
}

static struct engine *open_it(const struct engine_opt *o)
{
	struct engine *e = engine_open(o, err);

	if (!e)
		fail_msg("%s", err);
	return e;
}

/* Opens, looks at the plan, closes; the layers in host memory. */
static int host_layers(const struct engine_opt *o)
{
	engine_close(open_it(o));
	assert_int_equal(fake.devs + fake.kvs, 0);
	assert_int_equal(fake.told[0].host_layers, seen.host_layers);
	assert_true(seen.device && seen.n_layers == 4);
	assert_int_equal(seen.weights, (size_t)(4 - seen.host_layers) * 10 * MIB);
	assert_int_equal(seen.host_weights, (size_t)seen.host_layers * 10 * MIB);
	assert_int_equal(seen.host, seen.host_weights + FAKE_PINNED);
	assert_int_equal(seen.kv, 512 * 512);
	assert_int_equal(memory_total(&seen), seen.weights + seen.kv + seen.work + seen.little);
	assert_true(memory_total(&seen) <= seen.budget);
	return seen.host_layers;
}

static void test_budget(void **state)
{
	(void)state;
	assert_int_equal(memory_budget(1000 * MIB, 0), 936 * MIB);
	assert_int_equal(memory_budget(8000 * MIB, 0), 7840 * MIB);
	assert_int_equal(memory_budget(64 * MIB, 0), 0);
	assert_int_equal(memory_budget(0, 0), 0);
	assert_int_equal(memory_budget(1000 * MIB, 999 * MIB), 999 * MIB);
	assert_int_equal(memory_budget(1000 * MIB, 2000 * MIB), 1000 * MIB);
	assert_int_equal(memory_budget(SIZE_MAX, 0), SIZE_MAX);
	assert_int_equal(memory_budget(SIZE_MAX, 7 * MIB), 7 * MIB);
}

static void test_all_fit(void **state)
{
	struct engine_opt o = on_card(1000);

	(void)state;
	assert_int_equal(host_layers(&o), 0);
	assert_int_equal(seen.free, 1000 * MIB);
	assert_int_equal(seen.budget, 936 * MIB);
	fake.free = SIZE_MAX;
	assert_int_equal(host_layers(&o), 0);
}

static void test_gpu_layers(void **state)
{
	struct engine_opt o = on_card(1000);

	(void)state;
	o.limit_layers = true;
	for (o.gpu_layers = 0; o.gpu_layers < 7; o.gpu_layers++)
		assert_int_equal(host_layers(&o), o.gpu_layers < 4 ? 4 - o.gpu_layers : 0);
}

/* The same layers as without the CPU's help, as little of the cache, and nothing over the bus. */
static void test_layers_on_cpu(void **state)
{
	struct engine_opt o = on_card(1000);
	struct engine *e;

	(void)state;
	o.host = HOST_CPU;
	o.limit_layers = true;
	for (o.gpu_layers = 0; o.gpu_layers <= 4; o.gpu_layers++) {
		size_t host = (size_t)(4 - o.gpu_layers);

		e = open_it(&o);
		assert_true(seen.by_cpu);
		assert_true(!seen.host_weights == !host);
		assert_int_equal(seen.host_layers, host);
		assert_int_equal(fake.told[0].host_layers, host);
		assert_int_equal(seen.weights, (4 - host) * 10 * MIB);
		assert_int_equal(seen.kv, 512 * 128 * (4 - host));
		/* the CPU's weights and buffers are not the fake's */
		assert_true(seen.host >= host * 10 * MIB + FAKE_PINNED + 512 * 128 * host);
		assert_true(host == 0 || strstr(engine_device(e), "layers: cpu, "));
		engine_close(e);
		assert_int_equal(fake.devs + fake.kvs, 0);
	}
	o.limit_layers = false;
	o.be.budget = 35 * MIB + 384 * 512;     /* three layers and their cache */
	engine_close(open_it(&o));
	assert_int_equal(seen.host_layers, 1);
	o.be.budget--;
	engine_close(open_it(&o));
	assert_int_equal(seen.host_layers, 2);
	o.be.budget = 0;
	o.backend = "cpu";              /* where it means nothing */
	engine_close(open_it(&o));
	assert_false(seen.by_cpu);
	assert_int_equal(seen.host_layers, 0);
}

static void test_vram(void **state)
{
	struct engine_opt o = on_card(1000);

	(void)state;
	o.be.budget = 46 * MIB;
	assert_int_equal(host_layers(&o), 0);
	o.be.budget = 45 * MIB;         /* the cache is 0.25 MiB */
	assert_int_equal(host_layers(&o), 1);
	o.be.budget = 2000 * MIB;       /* more than there is */
	fake.free = 20 * MIB;
	assert_int_equal(host_layers(&o), 3);
	assert_int_equal(seen.budget, 20 * MIB);
	o.limit_layers = true;          /* no more than fit, whatever is asked */
	o.gpu_layers = 3;
	assert_int_equal(host_layers(&o), 3);
}

/* The little model has its place before the big one's layers. */
static void test_little(void **state)
{
	struct engine_opt o = on_card(1000);
	size_t little = 15 * MIB + 512 * 128;

	(void)state;
	o.model_draft = LITTLE;
	assert_int_equal(host_layers(&o), 0);
	assert_int_equal(seen.little, little);
	o.be.budget = 46 * MIB;
	assert_int_equal(host_layers(&o), 2);
	assert_int_equal(seen.little, little);
	assert_int_equal(fake.told[1].budget, little);
	assert_int_equal(fake.told[0].budget, 46 * MIB - little);
	assert_int_equal(fake.told[1].host_layers, 0);
	o.limit_layers = true;
	o.gpu_layers = 0;
	assert_int_equal(host_layers(&o), 4);
	assert_int_equal(seen.little, little);
}

static void without_little(const struct engine_opt *o, const char *says)
{
	struct engine *e = open_it(o);

	assert_null(e->strat.draft);
	assert_null(e->draft_model);
	assert_int_equal(seen.little, 0);
	if (!strstr(e->draft_err, says))
		fail_msg("no '%s' in: %s", says, e->draft_err);
	assert_string_equal(e->strat.ops->name, "auto");
	engine_close(e);
	assert_int_equal(fake.devs + fake.kvs, 0);
}

static void test_little_gives_way(void **state)
{
	struct engine_opt o = on_card(1000);

	(void)state;
	o.model_draft = LITTLE;
	o.be.budget = 19 * MIB;         /* enough for either */
	without_little(&o, "is left out");
	assert_int_equal(seen.host_layers, 3);
	o.be.budget = 10 * MIB;         /* the little one only with its layer in host memory */
	without_little(&o, "does not fit whole");
	o.model_draft = "build/none.gguf";
	without_little(&o, "none.gguf");
}

static void test_spare(void **state)
{
	struct engine_opt o = on_card(1000);

	(void)state;
	o.be.budget = 46 * MIB;
	o.spare_ctx = 8192;             /* 4 MiB */
	assert_int_equal(host_layers(&o), 1);
	assert_int_equal(fake.told[0].budget, 42 * MIB);
}

static unsigned long number_after(const char *what)
{
	const char *at = strstr(err, what);

	if (!at)
		fail_msg("no '%s' in: %s", what, err);
	return strtoul(at + strlen(what), NULL, 10);
}

static bool opens(const struct engine_opt *o)
{
	struct engine *e = engine_open(o, err);

	engine_close(e);
	assert_int_equal(fake.devs + fake.kvs, 0);
	return e != NULL;
}

/* 100,000 positions are 48.9 MiB, and 5 MiB are needed besides. */
static void test_refused(void **state)
{
	struct engine_opt o = on_card(1000), tried;
	int ctx;

	(void)state;
	o.n_ctx = 100000;
	o.be.budget = 40 * MIB + 100000;
	assert_false(opens(&o));
	assert_int_equal(number_after("at least "), 54);
	assert_int_equal(number_after("there are "), 40);
	assert_int_equal(number_after("for it, "), 14);
	assert_int_equal(number_after("--vram "), 54);
	number_after("-ctk q8_0 -ctv q8_0");
	number_after("--backend cpu");
	ctx = (int)number_after("-c ");
	assert_int_equal(ctx % 256, 0);

	tried = o;
	tried.be.budget = 54 * MIB;
	assert_true(opens(&tried));
	tried.be.budget = 53 * MIB;
	assert_false(opens(&tried));
	tried = o;
	tried.n_ctx = ctx;
	assert_true(opens(&tried));
	tried.n_ctx = ctx + 256;
	assert_false(opens(&tried));
	tried = o;
	tried.be.cache_k = tried.be.cache_v = quant_find("q8_0");
	assert_true(opens(&tried));
}

/* Advice that would not help is not given. */
static void test_advice(void **state)
{
	struct engine_opt o = on_card(40 + 64);

	(void)state;
	o.n_ctx = 100000;
	assert_false(opens(&o));
	assert_null(strstr(err, "--vram"));     /* it is all there is */
	o.be.budget = 20 * MIB;
	assert_false(opens(&o));
	assert_null(strstr(err, "--vram"));     /* 54 are needed, 40 could be had */
	assert_null(strstr(err, "-ctk"));       /* which halves 49 only */
	o.be.budget = 4 * MIB;
	assert_false(opens(&o));
	assert_null(strstr(err, "-c "));
	number_after("harder quantised");
	o.be.budget = 0;
	fake.free = 0;
	assert_false(opens(&o));
	assert_int_equal(number_after("there are "), 0);
	assert_null(strstr(err, "-c "));
}

/* The little model's share and the caller's cache are in what --vram should be. */
static void test_advice_with_others(void **state)
{
	struct engine_opt o = on_card(1000);

	(void)state;
	o.n_ctx = 100000;
	o.spare_ctx = 8192;
	o.be.budget = 40 * MIB;
	assert_false(opens(&o));
	o.be.budget = number_after("--vram ") * MIB;
	assert_true(opens(&o));
}

/* auto goes on with the cpu, and tells why; cuda does not. */
static void test_auto(void **state)
{
	struct engine_opt o = on_card(66);
	struct engine *e;

	(void)state;
	o.backend = NULL;
	o.n_ctx = 5000;
	for (int i = 0; i < 3; i++) {
		o.model_draft = i ? LITTLE : NULL;
		fake.free = (i ? 1000 : 66) * MIB;
		fake.fail_open = i == 1;
		fake.fail_kv = i == 2;
		e = open_it(&o);
		assert_ptr_equal(e->be, &backend_cpu);
		assert_true(*e->be_err && strstr(e->notes[NOTE_BACKEND], "going on with the cpu"));
		assert_false(e->plan.device || seen.device);
		assert_true(!e->strat.draft == !i);
		assert_int_equal(fake.devs + fake.kvs, 0);
		engine_close(e);
		if (i) {
			fake.fail_open = i == 1;
			fake.fail_kv = i == 2;
		}
		o.backend = "cuda";
		assert_false(opens(&o));
		number_after("--backend cpu");
		o.backend = "auto";
	}
	fake.there = false;
	e = open_it(&o);
	assert_string_equal(e->be_err, "fake: no device");
	assert_string_equal(e->notes[NOTE_BACKEND], "");
	engine_close(e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_budget), cmocka_unit_test(test_all_fit),
		cmocka_unit_test(test_gpu_layers), cmocka_unit_test(test_layers_on_cpu),
		cmocka_unit_test(test_vram),
		cmocka_unit_test(test_little), cmocka_unit_test(test_little_gives_way),
		cmocka_unit_test(test_spare), cmocka_unit_test(test_refused),
		cmocka_unit_test(test_advice), cmocka_unit_test(test_advice_with_others),
		cmocka_unit_test(test_auto),
	};
	struct mk_spec spec = MK_TINY;
	int rc;

	spec.n_layers = 4;
	if (mk_write(BIG, &spec, err) != 0 ||
	    (spec.n_layers = 1, mk_write(LITTLE, &spec, err) != 0)) {
		printf("not ok - setup: %s\n", err);
		return 1;
	}
	rc = cmocka_run_group_tests_name("gpu_plan", tests, NULL, NULL);
	remove(BIG);
	remove(LITTLE);
	return rc;
}
