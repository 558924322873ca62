/* test_memory.c - the memory plan: sizes against sums by hand, refusals with advice that works. */
#include "engine/engine.h"
#include "kernels/devices/registry.h"
#include "tests/mk.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static struct model *model;
static const struct backend_opt plain;
static char err[ERR_MAX];

static void test_kv(void **state)
{
	(void)state;            /* 3 layers, 2 key heads of 16, keys and values, 2 bytes each */
	assert_int_equal(memory_kv(model, &plain, 1), 3 * 2 * 16 * 2 * 2);
	assert_int_equal(memory_kv(model, &plain, 1000), 1000 * 384);
	struct backend_opt o = { .cache_k = quant_find("q8_0"), .cache_v = quant_find("f16") };
	/* a key is 16 codes and a scale of 2 bytes */
	assert_int_equal(memory_kv(model, &o, 1000), 1000 * 3 * 2 * (16 + 2 + 2 * 16));
	o.cache_v = quant_find("q8_0");
	assert_int_equal(memory_kv(model, &o, 1000), 1000 * 216);
}

/* What the backend takes is what was planned. */
static void test_kv_is_as_planned(void **state)
{
	const struct quant_info *type[] = { NULL, quant_find("q8_0") };
	(void)state;
	for (int i = 0; i < 4; i++) {
		struct backend_opt o = { .n_threads = 1, .cache_k = type[i & 1],
					 .cache_v = type[i / 2] };
		struct dev *d = backend_cpu.open(model, &o, err);
		struct kv *kv = d ? backend_cpu.kv_new(d, 160, err) : NULL;

		assert_non_null(kv);
		assert_int_equal(backend_cpu.kv_bytes(kv), memory_kv(model, &o, 160));
		backend_cpu.kv_free(kv);
		backend_cpu.close(d);
	}
}

static int check(const struct backend_opt *o, int n_ctx, size_t free)
{
	return memory_check(model, o, n_ctx, &(struct machine_memory){ .free = free }, err);
}

static void test_cache_advice(void **state)
{
	struct backend_opt q8 = { .cache_k = quant_find("q8_0"), .cache_v = quant_find("q8_0") };
	size_t fixed = gguf_size(model->file) + ((size_t)64 << 20);
	(void)state;
	assert_int_equal(check(&plain, 1000, fixed + 216000), -1);
	assert_non_null(strstr(err, "-ctk q8_0 -ctv q8_0"));
	assert_int_equal(check(&q8, 1000, fixed + 216000), 0);
	assert_int_equal(check(&q8, 1000, fixed + 215999), -1);
	assert_null(strstr(err, "-ctk"));
	assert_int_equal(check(&plain, 1000, fixed + 215999), -1);
	assert_null(strstr(err, "-ctk"));
}

static void test_check(void **state)
{
	size_t fixed = gguf_size(model->file) + ((size_t)64 << 20), fits;
	char *c;

	(void)state;
	assert_int_equal(check(&plain, 1000, fixed + 384000), 0);
	assert_int_equal(check(&plain, 1000, fixed + 383999), -1);
	c = strstr(err, "-c ");
	assert_non_null(c);
	fits = strtoul(c + 3, NULL, 10);
	assert_true(fits > 0 && fits < 1000);
	assert_int_equal(check(&plain, (int)fits, fixed + 383999), 0);
	/* fewer than 256 fit: -c 0 would be no advice, it means the default */
	assert_int_equal(check(&plain, 1000, fixed + 100 * 384), -1);
	assert_non_null(strstr(err, "-c 100 "));
	assert_int_equal(check(&plain, 1000, fixed + 383), -1);
	assert_null(strstr(err, "-c"));
	assert_int_equal(check(&plain, 1, fixed), -1);
	assert_non_null(strstr(err, "smaller model"));
}

static void on_plan(void *ctx, const struct memory_plan *p)
{
	*(struct memory_plan *)ctx = *p;
}

/* Both models' parts are to the byte what was planned before anything was loaded. */
static void test_plan(void **state)
{
	struct mk_spec spec = MK_TINY;
	struct memory_plan p = { .now = 0 };
	struct engine_opt o = { .model = "build/test-memory-big.gguf",
				.model_draft = "build/test-memory-little.gguf", .n_ctx = 333,
				.planned = on_plan, .planned_ctx = &p,
				.be = { .n_threads = 2, .n_batch = 40 } };
	struct backend_memory mem, little;
	struct engine *e;

	(void)state;
	spec.type = "Q8_0";
	assert_int_equal(mk_write(o.model, &spec, err), 0);
	spec.n_layers = 1;
	assert_int_equal(mk_write(o.model_draft, &spec, err), 0);
	e = engine_open(&o, err);
	if (!e || !e->strat.draft)
		fail_msg("%s", e ? e->draft_err : err);
	mem = e->be->memory(e->dev);
	little = e->be->memory(e->draft_dev);
	assert_int_equal(mem.work, p.work);
	assert_true(mem.weights > 0 && mem.weights == p.weights);
	assert_int_equal(e->be->kv_bytes(e->target.kv), p.kv);
	assert_int_equal(little.weights + little.work + e->be->kv_bytes(e->draft.kv), p.little);
	assert_true(p.now > 1 << 20 && p.free > 0);
	engine_close(e);
	remove(o.model);
	remove(o.model_draft);
}

/* Weights that stay in the mapped file count too: 3 layers of F32 matrices and the output. */
static void test_plan_mapped(void **state)
{
	struct backend_opt o = { .n_threads = 1 };
	struct backend_memory mem;

	(void)state;
	assert_int_equal(backend_cpu.plan(model, &o, 64, &mem, err), 0);
	assert_int_equal(mem.weights, 3 * 4 * (2 * 64 * 64 + 2 * 32 * 64 + 3 * 64 * 96) +
			 model->output->bytes);
}

static size_t said(const char *before)
{
	char *at = strstr(err, before);

	if (!at)
		fail_msg("no '%s' in: %s", before, err);
	return strtoul(at + strlen(before), NULL, 10);
}

/* The parts of a refusal add up, and the reserve is none of the weights. */
static void test_refusal(void **state)
{
	struct machine_memory h = { .free = 30 << 20, .swap = (size_t)900 << 20, .group = true };
	size_t mib = 1 << 20;

	(void)state;
	assert_int_equal(memory_check(model, &plain, 200000, &h, err), -1);
	assert_int_equal(said("weights "), gguf_size(model->file) / mib);
	assert_int_equal(said("200000 "), 200000 * 384 / mib);
	assert_int_equal(said("reserve "), 64);
	assert_int_equal(said("needs "), (gguf_size(model->file) + 200000 * 384 + 65 * mib - 1) /
			 mib);
	assert_non_null(strstr(err, "; 30 MiB are free in the control group (900 MiB of swap"));
	assert_non_null(strstr(err, "--force"));
}

/* What does not fit is loaded when that is asked for, with a note that says what may come of it. */
static void test_force(void **state)
{
	struct engine_opt o = { .model = "build/test-memory.gguf", .n_ctx = 100, .free = 1000,
				.model_draft = "build/test-memory.gguf",
				.be = { .n_threads = 1 } };
	struct engine *e;

	(void)state;
	assert_null(engine_open(&o, err));
	assert_non_null(strstr(err, "0 MiB are free"));
	for (int i = 0; i < 2; i++) {
		o.force = true;
		o.free = i ? 0 : 1000;
		e = engine_open(&o, err);
		if (!e || !e->strat.draft)
			fail_msg("%s", e ? e->draft_err : err);
		assert_true(i ? !*e->notes[NOTE_MEMORY] :
			    strstr(e->notes[NOTE_MEMORY], "may swap") != NULL);
		engine_close(e);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kv),
		cmocka_unit_test(test_kv_is_as_planned),
		cmocka_unit_test(test_check),
		cmocka_unit_test(test_cache_advice),
		cmocka_unit_test(test_refusal),
		cmocka_unit_test(test_force),
		cmocka_unit_test(test_plan),
		cmocka_unit_test(test_plan_mapped),
	};
	struct mk_spec spec = MK_TINY;
	int rc;

	if (mk_write("build/test-memory.gguf", &spec, err) != 0 ||
	    !(model = model_open("build/test-memory.gguf", NULL, err))) {
		printf("not ok - setup: %s\n", err);
		return 1;
	}
	rc = cmocka_run_group_tests_name("memory", tests, NULL, NULL);
	model_close(model);
	remove("build/test-memory.gguf");
	return rc;
}
