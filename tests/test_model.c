/* test_model.c - what a model file must have: tiny models with one thing changed, and each error
 * names that thing.  Changes are made in a copy of the bytes and keep every length. */
#include "kernels/devices/registry.h"
#include "tests/mk.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static const char path[] = "build/test-model.gguf";

struct bytes {
	char *p;
	size_t n;
};

static struct bytes make(const struct mk_spec *spec)
{
	char err[ERR_MAX];
	struct bytes b = { 0 };
	FILE *f;

	if (mk_write(path, spec, err) != 0)
		fail_msg("%s", err);
	f = fopen(path, "rb");
	assert_non_null(f);
	fseek(f, 0, SEEK_END);
	b.n = (size_t)ftell(f);
	rewind(f);
	b.p = malloc(b.n);
	assert_non_null(b.p);
	assert_int_equal(fread(b.p, 1, b.n, f), b.n);
	fclose(f);
	remove(path);
	return b;
}

/* Where the string s with its length word begins; it must be there. */
static char *find(struct bytes b, const char *s)
{
	char whole[128];
	uint64_t n = strlen(s);
	char *at;

	memcpy(whole, &n, 8);
	memcpy(whole + 8, s, n);
	at = memmem(b.p, b.n, whole, n + 8);
	if (!at)
		fail_msg("the tiny model has no %s", s);
	return at;
}

static void rename_to(struct bytes b, const char *from, const char *to)
{
	assert_int_equal(strlen(from), strlen(to));
	memcpy(find(b, from) + 8, to, strlen(to));
}

/* The four bytes of a number behind its key and type. */
static void set(struct bytes b, const char *key, const void *v)
{
	memcpy(find(b, key) + 8 + strlen(key) + 4, v, 4);
}

static void set_type(struct bytes b, const char *key, uint32_t type)
{
	memcpy(find(b, key) + 8 + strlen(key), &type, 4);
}

static struct model *open_bytes(struct bytes b, char err[ERR_MAX])
{
	struct gguf *g = gguf_parse(b.p, b.n, "FILE", err);

	if (!g)
		fail_msg("%s", err);
	return model_bind(g, NULL, err);
}

/* Every one of the texts (NULL at the end) is in the error. */
static void refused(struct bytes b, const char *const says[])
{
	char err[ERR_MAX] = "";
	struct model *m = open_bytes(b, err);

	free(b.p);
	if (m)
		fail_msg("accepted, but it should have been refused because of %s", says[0]);
	assert_non_null(strstr(err, "FILE"));
	for (; *says; says++)
		if (!strstr(err, *says))
			fail_msg("no '%s' in: %s", *says, err);
}
#define REFUSED(b, ...) refused(b, (const char *const[]){ __VA_ARGS__, NULL })

static const struct mk_spec tiny = MK_TINY;

static void test_accepted(void **state)
{
	struct bytes b = make(&tiny);
	char err[ERR_MAX];
	struct model *m = open_bytes(b, err);

	(void)state;
	assert_non_null(m);
	assert_string_equal(m->cfg.arch, "llama");
	assert_int_equal(m->cfg.n_layers, 3);
	assert_int_equal(m->cfg.n_kv_heads, 2);
	assert_int_equal(m->cfg.head_dim, 16);
	assert_int_equal(m->cfg.n_rot, 16);
	assert_int_equal(m->cfg.n_vocab, MK_VOCAB_MIN);
	assert_true(m->cfg.rope_scale == 1.0f && m->output != m->embd && !m->rope_freqs[0]);
	model_close(m);
	free(b.p);
}

/* Each tensor in turn gets another name: then it is missing. */
static void test_missing_tensors(void **state)
{
	static const char *const names[] = {
		"token_embd.weight", "output_norm.weight", "blk.0.attn_norm.weight",
		"blk.1.attn_q.weight", "blk.2.attn_k.weight", "blk.0.attn_v.weight",
		"blk.1.attn_output.weight", "blk.2.ffn_norm.weight", "blk.0.ffn_gate.weight",
		"blk.1.ffn_up.weight", "blk.2.ffn_down.weight",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct bytes b = make(&tiny);
		char other[64];

		snprintf(other, sizeof(other), "%s", names[i]);
		other[0] = 'X';
		rename_to(b, names[i], other);
		REFUSED(b, names[i], "missing");
	}
}

/* A larger or smaller number in the metadata, and the first tensor that then has a wrong shape. */
static void test_shapes(void **state)
{
	static const struct { const char *key; uint32_t v; const char *tensor, *shape; } all[] = {
		{ "llama.embedding_length", 128, "token_embd.weight", "128 x 272" },
		{ "llama.feed_forward_length", 128, "blk.0.ffn_gate.weight", "64 x 128" },
		{ "llama.attention.head_count_kv", 4, "blk.0.attn_k.weight", "64 x 64" },
		{ "llama.block_count", 4, "blk.3.attn_norm.weight", "missing" },
		{ "llama.block_count", 2, "blk.2.attn_norm.weight", "2 layers" },
	};
	struct mk_spec with = tiny;
	struct bytes b;
	uint64_t cols = 4;

	(void)state;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		b = make(&tiny);
		set(b, all[i].key, &all[i].v);
		REFUSED(b, all[i].tensor, all[i].shape);
	}
	with.rope_freqs = true;
	b = make(&with);
	memcpy(find(b, "rope_freqs.weight") + 8 + strlen("rope_freqs.weight") + 4, &cols, 8);
	REFUSED(b, "rope_freqs.weight", "expected 8 x 1");
}

static void test_ranges(void **state)
{
	static const struct { const char *key; uint32_t v; } all[] = {
		{ "llama.block_count", 0 }, { "llama.block_count", MODEL_MAX_LAYERS + 1 },
		{ "llama.embedding_length", 0 }, { "llama.embedding_length", UINT32_MAX },
		{ "llama.feed_forward_length", 0 }, { "llama.feed_forward_length", 1u << 31 },
		{ "llama.context_length", 0 }, { "llama.context_length", UINT32_MAX },
		{ "llama.attention.head_count", 0 }, { "llama.attention.head_count", 1u << 20 },
		{ "llama.attention.head_count_kv", 0 }, { "llama.attention.head_count_kv", 1025 },
	};
	uint32_t three = 3, many = 128;
	struct bytes b;

	(void)state;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		b = make(&tiny);
		set(b, all[i].key, &all[i].v);
		REFUSED(b, all[i].key, "out of range");
	}
	b = make(&tiny);
	set(b, "llama.attention.head_count_kv", &three);
	REFUSED(b, "4 heads", "3 key heads");
	b = make(&tiny);
	set(b, "llama.attention.head_count", &many);    /* heads of half a dimension */
	REFUSED(b, "llama.attention.key_length", "out of range");
}

static void test_floats(void **state)
{
	static const char eps[] = "llama.attention.layer_norm_rms_epsilon";
	static const char base[] = "llama.rope.freq_base";
	const float bad[] = { NAN, INFINITY, -1.0f };
	struct bytes b;

	(void)state;
	for (int i = 0; i < 6; i++) {
		b = make(&tiny);
		set(b, i % 2 ? eps : base, &bad[i / 2]);
		REFUSED(b, i % 2 ? eps : base, "out of range");
	}
	b = make(&tiny);        /* a whole number there must not mean the default */
	set_type(b, base, GGUF_U32);
	REFUSED(b, base, "not a floating-point number");
	b = make(&tiny);
	rename_to(b, eps, "llama.attention.layer_norm_xxx_epsilon");
	REFUSED(b, eps, "missing");
	b = make(&tiny);
	set_type(b, "llama.block_count", GGUF_F32);
	REFUSED(b, "llama.block_count", "not a whole number");
}

static char *put(char *p, const char *key, uint32_t type)
{
	uint64_t n = strlen(key);

	return mempcpy(mempcpy(mempcpy(p, &n, 8), key, n), &type, 4);
}

/* A tiny model with keys in the place of two that no one needs.  Its data moves, which changes the
 * weights and nothing else. */
static struct bytes with_keys(const struct mk_spec *spec, const char *add, size_t n)
{
	struct bytes from = make(spec), b;
	char *name = find(from, "general.name");
	size_t before = (size_t)(name - from.p), gone = 8 + 12 + 4 + 8 + strlen("random");

	assert_ptr_equal(name + gone, find(from, "general.alignment"));
	gone += 8 + strlen("general.alignment") + 4 + 4;
	b.n = from.n - gone + n + 32;
	b.p = calloc(1, b.n);
	assert_non_null(b.p);
	memcpy(mempcpy(mempcpy(b.p, from.p, before), add, n), name + gone, from.n - before - gone);
	free(from.p);
	return b;
}

static struct bytes scaled(const char *type, float factor)
{
	uint64_t n = strlen(type);
	char add[256], *p = put(add, "llama.rope.scaling.type", GGUF_STRING);

	p = mempcpy(mempcpy(p, &n, 8), type, n);
	p = mempcpy(put(p, "llama.rope.scaling.factor", GGUF_F32), &factor, 4);
	return with_keys(&tiny, add, (size_t)(p - add));
}

/* Two keys, for two are taken out. */
static void test_granite_turns(void **state)
{
	static const struct mk_spec others[] = { MK_OTHERS };
	char add[256], *p = put(add, "granite.rope.scaling.finetuned", GGUF_BOOL);
	const struct mk_spec *granite = &others[sizeof(others) / sizeof(others[0]) - 1];

	(void)state;
	*p++ = 0;
	p = mempcpy(put(p, "granite.rope.scaling.factor", GGUF_F32), &(float){ 1 }, 4);
	REFUSED(with_keys(granite, add, (size_t)(p - add)), "finetuned", "without RoPE");
}

static void test_scaling(void **state)
{
	static const struct { const char *type; float factor, scale; } good[] = {
		{ "linear", 4, 0.25f }, { "none", 4, 1 }, { "", 2, 0.5f },
		/* not scaled, as converters wrote it */
		{ "linear", 0, 1 }, { "", 0, 1 }, { "default", 8, 1 }, { "longrope", 32, 1 },
		{ "su", 32, 1 }, { "yarn", 1, 1 }, { "yarn", 0, 1 },
	};
	char err[ERR_MAX] = "";

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct bytes b = scaled(good[i].type, good[i].factor);
		struct model *m = open_bytes(b, err);

		if (!m)
			fail_msg("%s: %s", good[i].type, err);
		assert_true(m->cfg.rope_scale == good[i].scale);
		model_close(m);
		free(b.p);
	}
	REFUSED(scaled("yarn", 4), "yarn", "linear");
	REFUSED(scaled("linear", NAN), "llama.rope.scaling.factor", "out of range");
	REFUSED(scaled("linear", -1), "llama.rope.scaling.factor", "out of range");
	REFUSED(scaled("linear", 1e-3f), "llama.rope.scaling.factor", "out of range");
}

static void test_other_kinds(void **state)
{
	struct bytes b = make(&tiny);

	(void)state;
	memcpy(find(b, "llama") + 8, "mamba", 5);
	REFUSED(b, "'mamba' (a recurrent model)", "llama (");
	b = make(&tiny);
	rename_to(b, "general.architecture", "general.architecturx");
	REFUSED(b, "general.architecture", "language model");
	b = make(&tiny);        /* as in a mixture of experts, where ffn_gate itself is missing */
	rename_to(b, "blk.0.ffn_gate.weight", "blk.0.ffn_up_exps.wei");
	REFUSED(b, "blk.0.ffn_up_exps.wei", "mixtures of experts");
	b = make(&tiny);
	rename_to(b, "output.weight", "blk.0.kq.bias");
	REFUSED(b, "blk.0.kq.bias", "biases");
	b = make(&tiny);        /* a norm of its own for each head, say: not to be left out */
	rename_to(b, "output.weight", "blk.0.qk_norm");
	REFUSED(b, "blk.0.qk_norm", "no use");
}

/* What the processor's kernels cannot take is refused by the backend, by name. */
static void test_backend_shapes(void **state)
{
	static const struct { int n_embd, n_heads, n_kv_heads, n_ff; const char *says; } all[] = {
		{ 48, 2, 1, 96, "widths 48" }, { 64, 4, 2, 80, "80" },
		{ 512, 1, 1, 64, "heads of 512" }, { 64, 16, 2, 64, "heads of 4" },
		{ 1024, 128, 1, 32, "128 to a key head" },
	};
	struct backend_opt o = { .n_threads = 1 };

	(void)state;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		struct mk_spec spec = tiny;
		char err[ERR_MAX] = "";
		struct bytes b;
		struct model *m;

		spec.n_layers = 1;
		spec.n_embd = all[i].n_embd;
		spec.n_heads = all[i].n_heads;
		spec.n_kv_heads = all[i].n_kv_heads;
		spec.n_ff = all[i].n_ff;
		b = make(&spec);
		m = open_bytes(b, err);
		if (!m)
			fail_msg("%s", err);
		assert_null(backend_cpu.open(m, &o, err));
		if (!strstr(err, all[i].says))
			fail_msg("no '%s' in: %s", all[i].says, err);
		model_close(m);
		free(b.p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_accepted),
		cmocka_unit_test(test_missing_tensors),
		cmocka_unit_test(test_shapes),
		cmocka_unit_test(test_ranges),
		cmocka_unit_test(test_floats),
		cmocka_unit_test(test_scaling),
		cmocka_unit_test(test_granite_turns),
		cmocka_unit_test(test_other_kinds),
		cmocka_unit_test(test_backend_shapes),
	};

	return cmocka_run_group_tests_name("model", tests, NULL, NULL);
}
