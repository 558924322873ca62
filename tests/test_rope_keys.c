/* test_rope_keys.c - keys as older and other converters write them: old names, what is unsaid, one
 * value for each layer; and a context that the model was not trained for.
 *
 * What they mean is what llama.cpp's loader makes of them. */
#include "engine/engine.h"
#include "tests/gguf_edit.h"
#include "tests/mk.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const char from[] = "build/test-rope-keys.gguf", odd[] = "build/test-rope-odd.gguf";
static char err[ERR_MAX];

/* A tiny model with keys added to it, and one left out; NULL with err. */
static struct model *open_with(const struct buf *more, int n, const char *drop)
{
	struct model *m;

	gguf_edit_file(odd, from, &(struct edit){ .drop = drop, .more = more, .n_more = n });
	m = model_open(odd, NULL, err);
	remove(odd);
	return m;
}

static struct model *taken(const struct buf *more, int n, const char *drop)
{
	struct model *m = open_with(more, n, drop);

	if (!m)
		fail_msg("%s", err);
	return m;
}

/* The oldest name of the factor, which the newer one overrules. */
static void test_old_factor(void **state)
{
	struct buf more = { 0 };
	struct model *m;

	(void)state;
	put_key(&more, "llama.rope.scale_linear", GGUF_F32);
	put_f32(&more, 4);
	m = taken(&more, 1, NULL);
	assert_true(m->cfg.rope_scale == 0.25f);
	model_close(m);
	put_key(&more, "llama.rope.scaling.factor", GGUF_F32);
	put_f32(&more, 2);
	m = taken(&more, 2, NULL);
	assert_true(m->cfg.rope_scale == 0.5f);
	model_close(m);
	buf_free(&more);
}

/* What is left out: heads turn whole, by base 10000. */
static void test_unsaid(void **state)
{
	static const char *const keys[] = { "llama.rope.dimension_count", "llama.rope.freq_base" };

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct model *m = taken(NULL, 0, keys[i]);

		assert_int_equal(m->cfg.n_rot, m->cfg.head_dim);
		assert_true(i == 0 || m->cfg.rope_base == 10000);
		model_close(m);
	}
}

static void test_arrays_of_numbers(void **state)
{
	static const char heads[] = "llama.attention.head_count_kv";

	(void)state;
	for (int same = 0; same < 2; same++) {
		struct buf more = { 0 };
		struct model *m;

		put_key(&more, heads, GGUF_ARRAY);
		put_array(&more, GGUF_U32, 3);
		for (uint32_t i = 0; i < 3; i++)
			put_u32(&more, same || i < 2 ? 2 : 4);
		m = open_with(&more, 1, heads);
		buf_free(&more);
		assert_int_equal(m != NULL, same);
		if (same)
			assert_int_equal(m->cfg.n_kv_heads, 2);
		else if (!strstr(err, heads) || !strstr(err, "same for all layers"))
			fail_msg("%s", err);
		model_close(m);
	}
}

static void test_arrays_of_floats(void **state)
{
	static const char base[] = "llama.rope.freq_base";

	(void)state;
	for (int same = 0; same < 2; same++) {
		struct buf more = { 0 };
		struct model *m;

		put_key(&more, base, GGUF_ARRAY);
		put_array(&more, GGUF_F32, 3);
		for (int i = 0; i < 3; i++)
			put_f32(&more, same || i < 2 ? 5e5f : 1e4f);
		m = open_with(&more, 1, base);
		buf_free(&more);
		assert_int_equal(m != NULL, same);
		assert_true(same ? m->cfg.rope_base == 5e5f : strstr(err, base) != NULL);
		model_close(m);
	}
}

static void test_long_context(void **state)
{
	struct engine_opt o = { .model = from, .backend = "cpu", .be = { .n_threads = 1 } };

	(void)state;
	for (o.n_ctx = 511; o.n_ctx <= 513; o.n_ctx++) {        /* 512 in training */
		struct engine *e = engine_open(&o, err);
		const char *note = e ? e->notes[NOTE_CONTEXT] : err;

		assert_non_null(e);
		if (o.n_ctx < 513)
			assert_string_equal(note, "");
		else if (!strstr(note, "513") || !strstr(note, "512"))
			fail_msg("%s", note);
		engine_close(e);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_old_factor), cmocka_unit_test(test_unsaid),
		cmocka_unit_test(test_arrays_of_numbers), cmocka_unit_test(test_arrays_of_floats),
		cmocka_unit_test(test_long_context),
	};
	struct mk_spec spec = MK_TINY;
	int rc;

	if (mk_write(from, &spec, err) != 0) {
		printf("not ok - setup: %s\n", err);
		return 1;
	}
	rc = cmocka_run_group_tests_name("keys of RoPE", tests, NULL, NULL);
	remove(from);
	return rc;
}
