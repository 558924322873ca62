/* test_tok_vocab.c - vocabularies that are wrong, odd or hostile: refused by name or put up with.
 *
 * Every file is made here, key by key; a struct spec says what differs from a sound one.  The
 * sound one has the tokens of base[]; expected ids are places in that list. */
#include "engine/tokenizer.h"
#include "engine/utf8.h"
#include "tests/gguf_build.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static const char *const base[] = { "a", "b", "c", "ab", "abc", "\xC4\xA0", "<|im_end|>", "<|x|>",
				    "<u>", "::u", "\xC4\xA0" "a", "<unk>", "<0x7A>", "[PAD]" };
static const uint32_t base_kind[] = { 1, 1, 1, 1, 1, 1, 3, 3, 4, 4, 1, 2, 6, 5 };
static const char *const base_merge[] = { "a b", "ab c", "\xC4\xA0 a" };
enum { A, B, C, AB, ABC, SPACE, IM_END, X, U, UU, SPACE_A, UNK, Z, PAD, N_BASE };

struct spec {           /* what is NULL or 0 is as in the sound file */
	const char *model, *pre;
	const char *leave_out;          /* a key that the file does not have */
	const char *integers;           /* an array that holds integers instead of strings */
	const char *strings;            /* a key that is a string instead */
	const char *const *token;
	const uint32_t *kind;
	const char *const *merge;
	int n_tokens, n_kinds, n_merges;        /* -1: none */
	const char *id_key;             /* and one more key: this id */
	uint32_t id;
	int add_bos;                    /* 1: false, 2: true */
};

static bool has(const struct spec *s, const char *key)
{
	return !s->leave_out || strcmp(s->leave_out, key) != 0;
}

static bool is(const char *name, const char *key)
{
	return name && !strcmp(name, key);
}

static void put_strings(struct buf *b, const struct spec *s, const char *key,
			const char *const *v, int n)
{
	if (!has(s, key))
		return;
	if (is(s->strings, key)) {
		put_key_str(b, key, "no array");
		return;
	}
	put_key(b, key, GGUF_ARRAY);
	put_array(b, is(s->integers, key) ? GGUF_U32 : GGUF_STRING, (uint64_t)n);
	for (int i = 0; i < n; i++) {
		if (is(s->integers, key))
			put_u32(b, 7);
		else
			put_str(b, v[i]);
	}
}

static void put_kinds(struct buf *b, const struct spec *s, int n)
{
	static const char key[] = "tokenizer.ggml.token_type";
	if (is(s->strings, key)) {
		put_strings(b, &(struct spec){ .n_kinds = n }, key, base, n);
		return;
	}
	if (!has(s, key))
		return;
	put_key(b, key, GGUF_ARRAY);
	put_array(b, GGUF_I32, (uint64_t)n);
	for (int i = 0; i < n; i++)
		put_u32(b, s->kind ? s->kind[i] : base_kind[i]);
}

static int count(int n, int sound)
{
	return n < 0 ? 0 : n ? n : sound;
}

static struct tokenizer *open_spec(const struct spec *s, char err[ERR_MAX])
{
	struct buf body = { 0 }, b = { 0 };
	int n_tokens = count(s->n_tokens, N_BASE), keys = 5 + !!s->id_key + !!s->add_bos;
	*err = '\0';
	if (has(s, "tokenizer.ggml.model"))
		put_key_str(&body, "tokenizer.ggml.model", s->model ? s->model : "gpt2");
	if (has(s, "tokenizer.ggml.pre"))
		put_key_str(&body, "tokenizer.ggml.pre", s->pre ? s->pre : "gpt-2");
	put_strings(&body, s, "tokenizer.ggml.tokens", s->token ? s->token : base, n_tokens);
	put_kinds(&body, s, count(s->n_kinds, n_tokens));
	put_strings(&body, s, "tokenizer.ggml.merges", s->merge ? s->merge : base_merge,
		    count(s->n_merges, 3));
	if (s->id_key)
		put_key_u32(&body, s->id_key, s->id);
	if (s->add_bos) {
		put_key(&body, "tokenizer.ggml.add_bos_token", GGUF_BOOL);
		put_u8(&body, s->add_bos == 2);
	}
	put_head(&b, 3, 0, (uint64_t)(keys - !!s->leave_out));
	put(&b, body.p, body.n);
	struct gguf *g = gguf_parse(b.p, b.n, "made.gguf", err);
	if (!g)
		fail_msg("%s", err);
	struct tokenizer *t = tokenizer_open(g, err);
	gguf_close(g);
	buf_free(&b);
	buf_free(&body);
	return t;
}

/* Refused, and the text names the culprit and says what goes. */
static void refused(struct spec s, const char *culprit, const char *also)
{
	char err[ERR_MAX];
	assert_null(open_spec(&s, err));
	if (!strstr(err, culprit) || !strstr(err, also) || !strstr(err, "made.gguf"))
		fail_msg("\"%s\" does not name %s and %s", err, culprit, also);
}

static struct tokenizer *taken(struct spec s)
{
	char err[ERR_MAX];
	struct tokenizer *t = open_spec(&s, err);
	if (!t)
		fail_msg("%s", err);
	return t;
}

/* want ends with -1. */
static void gives(struct tokenizer *t, const char *text, bool special, const int *want)
{
	char err[ERR_MAX];
	int ids[64], n = tokenizer_encode(t, text, strlen(text), special, ids, 64, err);
	for (int i = 0; i <= n; i++) {
		int id = i < n ? ids[i] : -1;
		if (want[i] != id)
			fail_msg("\"%s\": id %d is %d, not %d", text, i, id, want[i]);
	}
}
#define GIVES(t, text, special, ...) gives(t, text, special, (const int[]){ __VA_ARGS__, -1 })
#define NOTHING(t, text, special) gives(t, text, special, (const int[]){ -1 })

static void test_sound(void **state)
{
	(void)state;
	struct tokenizer *t = taken((struct spec){ 0 });
	GIVES(t, "abcab a", false, ABC, AB, SPACE_A);
	GIVES(t, "a::ub", false, A, UU, B);
	GIVES(t, "<|x|>a<u><|im_end|><unk>", true, X, A, U, IM_END, UNK);
	GIVES(t, "<|x|>a<u><unk>", false, A);   /* no token for the signs */
	GIVES(t, "z", false, Z);                /* a byte token serves */
	NOTHING(t, "[PAD]", true);
	NOTHING(t, "\xFF", false);
	assert_int_equal(tokenizer_size(t), N_BASE);
	assert_int_equal(tokenizer_bos(t), -1);
	assert_int_equal(tokenizer_eos(t), -1);
	assert_int_equal(tokenizer_piece_max(t), 10);
	assert_int_equal(tokenizer_piece(t, SPACE_A).n, 2);
	assert_memory_equal(tokenizer_piece(t, SPACE_A).s, " a", 2);
	assert_int_equal(tokenizer_piece(t, N_BASE).n, 0);
	assert_true(tokenizer_is_end(t, IM_END) && !tokenizer_is_end(t, X));
	assert_true(tokenizer_is_control(t, UNK) && !tokenizer_is_control(t, U));
	assert_false(tokenizer_is_end(t, -1) || tokenizer_is_control(t, N_BASE));
	assert_int_equal(tokenizer_find(t, "<|x|>"), X);
	assert_int_equal(tokenizer_find(t, "abc"), ABC);
	assert_int_equal(tokenizer_find(t, "<|"), -1);
	tokenizer_close(t);
}

static void test_model_and_rule(void **state)
{
	(void)state;
	refused((struct spec){ .model = "llama" }, "\"llama\"", "gpt2");
	refused((struct spec){ .model = "gpt2x" }, "\"gpt2x\"", "gpt2");
	refused((struct spec){ .leave_out = "tokenizer.ggml.model" }, "tokenizer.ggml.model", "");
	refused((struct spec){ .pre = "tekken" }, "\"tekken\"", "smollm llama-bpe");
	refused((struct spec){ .pre = "" }, "\"\"", "default");
	static const char *const names[] = { "smollm", "llama-bpe", "llama3", "llama-v3", "qwen2",
					     "gpt-2", "default" };
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		struct tokenizer *t = taken((struct spec){ .pre = names[i] });
		assert_string_equal(tokenizer_pre(t), names[i]);
		tokenizer_close(t);
	}
	struct tokenizer *t = taken((struct spec){ .leave_out = "tokenizer.ggml.pre" });
	assert_string_equal(tokenizer_pre(t), "default");
	tokenizer_close(t);
}

static void test_arrays(void **state)
{
	(void)state;
	static const char tokens[] = "tokenizer.ggml.tokens", kinds[] = "tokenizer.ggml.token_type",
			  merges[] = "tokenizer.ggml.merges";
	refused((struct spec){ .leave_out = tokens }, tokens, "vocabulary");
	refused((struct spec){ .integers = tokens }, tokens, "strings");
	refused((struct spec){ .strings = tokens }, tokens, "");
	refused((struct spec){ .n_tokens = -1, .n_kinds = -1 }, tokens, "0 tokens");
	refused((struct spec){ .n_kinds = 3 }, kinds, "3 entries for 14");
	refused((struct spec){ .strings = kinds }, kinds, "integers");
	refused((struct spec){ .leave_out = merges }, merges, "");
	refused((struct spec){ .integers = merges }, merges, "strings");
	refused((struct spec){ .strings = merges }, merges, "");
	struct tokenizer *t = taken((struct spec){ .n_merges = -1 });
	GIVES(t, "abc", false, A, B, C);
	tokenizer_close(t);
	t = taken((struct spec){ .leave_out = kinds });
	GIVES(t, "abc", false, ABC);
	assert_false(tokenizer_is_control(t, X));
	tokenizer_close(t);
}

static void test_ids(void **state)
{
	(void)state;
	static const char *const keys[] = {
		"tokenizer.ggml.bos_token_id", "tokenizer.ggml.eos_token_id",
		"tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id",
	};
	for (size_t i = 0; i < 4; i++) {
		refused((struct spec){ .id_key = keys[i], .id = N_BASE }, keys[i], "14 tokens");
		refused((struct spec){ .id_key = keys[i], .id = 1u << 31 }, keys[i], "2147483648");
		struct tokenizer *t = taken((struct spec){ .id_key = keys[i], .id = UINT32_MAX });
		assert_int_equal(tokenizer_bos(t), -1);
		tokenizer_close(t);
		t = taken((struct spec){ .id_key = keys[i], .id = X });
		assert_int_equal(tokenizer_bos(t), i == 0 ? X : -1);
		assert_int_equal(tokenizer_eos(t), i == 1 ? X : -1);
		assert_int_equal(tokenizer_is_end(t, X), i > 0);
		tokenizer_close(t);
	}
}

static bool adds_bos(const char *pre, bool bos, int add_bos)
{
	struct tokenizer *t = taken((struct spec){
		.pre = pre, .id_key = bos ? "tokenizer.ggml.bos_token_id" : NULL, .id = X,
		.add_bos = add_bos });
	bool add = tokenizer_add_bos(t);
	tokenizer_close(t);
	return add;
}

static void test_add_bos(void **state)
{
	(void)state;
	assert_true(adds_bos("llama-bpe", true, 0));
	assert_false(adds_bos("llama-bpe", false, 0));
	assert_false(adds_bos("llama-bpe", true, 1));
	assert_false(adds_bos("qwen2", true, 0));
	assert_true(adds_bos("qwen2", true, 2));
	assert_false(adds_bos("qwen2", false, 2));
}

static void test_odd_merges(void **state)
{
	(void)state;
	/* No space, nothing before or behind it, unknown parts, unknown results, the same again,
	 * and merges that would make control, chat-like and unknown tokens: all passed over. */
	static const char *const merge[] = { "", " ", "a", "ab", "a ", " a", "  ", "a b c", "q a",
					     "a q", "b c", "< u>", "<| x|>", "\xFF \xFE", "a b",
					     "a b", "ab c", "b a" };
	struct tokenizer *t = taken((struct spec){ .merge = merge, .n_merges = 18 });
	GIVES(t, "abcabba", false, ABC, AB, B, A);
	tokenizer_close(t);
	/* Of equal merges the first counts, so it comes before b c. */
	static const char *const token[] = { "a", "b", "c", "ab", "bc" };
	static const char *const again[] = { "a b", "b c", "a b" };
	t = taken((struct spec){ .token = token, .kind = (const uint32_t[]){ 1, 1, 1, 1, 1 },
				 .n_tokens = 5, .merge = again, .n_merges = 3 });
	GIVES(t, "abc", false, 3, 2);
	tokenizer_close(t);
}

/* Merges that lead to tokens which content must not become. */
static void test_luring_merges(void **state)
{
	(void)state;
	static const char *const token[] = { "<", "-", ">", "<-", "<->", "<=>", "=", "<=" };
	static const uint32_t kind[] = { 1, 1, 1, 1, 4, 3, 1, 1 };
	static const char *const merge[] = { "< -", "<- >", "< =", "<= >" };
	static const char *const rules[] = { "gpt-2", "llama-bpe" };
	for (int i = 0; i < 2; i++) {
		struct tokenizer *t = taken((struct spec){
			.pre = rules[i], .token = token, .kind = kind, .n_tokens = 8,
			.merge = merge, .n_merges = 4 });
		GIVES(t, "<-", false, 3);
		GIVES(t, "<-><=>", true, 4, 5);
		GIVES(t, "<->", false, 3, 2);
		GIVES(t, "<=>", false, 7, 2);
		GIVES(t, "<=><->", false, 7, 2, 3, 2);
		tokenizer_close(t);
	}
}

static void test_odd_tokens(void **state)
{
	(void)state;
	/* Equal texts, empty texts, broken UTF-8, a kind out of range. */
	static const char *const token[] = { "a", "a", "", "", "\xFF\xC4", "b", "ab", "ab",
					     "<|im_end|>", "<|im_end|>", "" };
	static const uint32_t kind[] = { 1, 1, 1, 3, 1, 99, 1, 4, 1, 3, 4 };
	static const char *const merge[] = { "a b" };
	struct spec s = { .token = token, .kind = kind, .n_tokens = 11, .merge = merge,
			  .n_merges = 1 };
	struct tokenizer *t = taken(s);
	GIVES(t, "ba", false, 5, 0);
	GIVES(t, "<|im_end|>", true, 9);
	NOTHING(t, "<|im_end|>", false);
	assert_int_equal(tokenizer_find(t, "<|im_end|>"), 9);
	assert_int_equal(tokenizer_piece(t, 4).n, 2);
	GIVES(t, "ab", false, 7);       /* user-defined: whole before any merge */
	tokenizer_close(t);
	static const char *const user[] = { "a", "z1", "a", "z2", "a", "z3", "ab", "z4" };
	static const uint32_t all_user[] = { 4, 4, 4, 4, 4, 4, 4, 4 };
	t = taken((struct spec){ .token = user, .kind = all_user, .n_tokens = 8 });
	GIVES(t, "abaz3az", false, 6, 0, 5, 0);
	tokenizer_close(t);
	/* Many equal tokens must not make opening or encoding slow. */
	enum { MANY = 200000 };
	const char **same = calloc(MANY, sizeof *same);
	uint32_t *kinds = calloc(MANY, sizeof *kinds);
	for (int i = 0; i < MANY; i++) {
		same[i] = "a";
		kinds[i] = i % 2 ? 4 : 1;
	}
	double start = clock_now();
	t = taken((struct spec){ .token = same, .kind = kinds, .n_tokens = MANY });
	GIVES(t, "aaaa", false, 1, 1, 1, 1);
	assert_true(clock_now() - start < 5);
	tokenizer_close(t);
	free(same);
	free(kinds);
}

/* Unicode's table 3-7, its edges and what stands just outside of them. */
static void test_utf8(void **state)
{
	(void)state;
	static const struct { const char *s; int n, want; } cases[] = {
		{ "a", 1, 1 }, { "\0", 1, 1 }, { "\x7F", 1, 1 }, { "\x80", 1, -1 },
		{ "\xBF", 1, -1 },
		{ "\xC1\x80", 2, -1 }, { "\xC2\x80", 2, 2 }, { "\xC2", 1, 0 }, { "\xC2z", 2, -1 },
		{ "\xE0\x9F\x80", 3, -1 }, { "\xE0\xA0\x80", 3, 3 }, { "\xE0\xA0", 2, 0 },
		{ "\xE1\x80z", 3, -2 }, { "\xED\x9F\xBF", 3, 3 }, { "\xED\xA0\x80", 3, -1 },
		{ "\xEF\xBF\xBF", 3, 3 }, { "\xF0\x8F\x80\x80", 4, -1 },
		{ "\xF0\x90\x80\x80", 4, 4 }, { "\xF1\x80\x80z", 4, -3 },
		{ "\xF4\x8F\xBF\xBF", 4, 4 }, { "\xF4\x90\x80\x80", 4, -1 },
		{ "\xF3\x80\x80", 3, 0 }, { "\xF5\x80\x80\x80", 4, -1 }, { "\xFF", 1, -1 },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		assert_int_equal(utf8_next(cases[i].s, (size_t)cases[i].n), cases[i].want);
	assert_int_equal(utf8_value("\xF4\x8F\xBF\xBF", 4), 0x10FFFF);
	assert_int_equal(utf8_value("\xE2\x82\xAC", 3), 0x20AC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sound), cmocka_unit_test(test_model_and_rule),
		cmocka_unit_test(test_arrays), cmocka_unit_test(test_ids),
		cmocka_unit_test(test_add_bos), cmocka_unit_test(test_odd_merges),
		cmocka_unit_test(test_luring_merges), cmocka_unit_test(test_odd_tokens),
		cmocka_unit_test(test_utf8),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
