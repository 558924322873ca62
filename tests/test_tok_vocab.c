/* test_tok_vocab.c - vocabularies that are wrong, odd or hostile: refused by name or put up with.
 *
 * Those of byte-level BPE; test_tok_spm.c has the others. */
#include "base/utf8.h"
#include "tests/tok_spec.h"

static void test_sound(void **state)
{
	(void)state;
	struct tokenizer *t = taken((struct spec){ 0 });
	GIVES(t, "abcab a", false, ABC, AB, SPACE_A);
	GIVES(t, "a::ub", false, A, UU, B);
	GIVES(t, "<|x|>a<v><|im_end|><unk>", true, X, A, V, IM_END, UNK);
	GIVES(t, "<|x|>a<v><unk>", false, A);   /* no token for the signs */
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
	assert_true(tokenizer_is_control(t, UNK) && !tokenizer_is_control(t, V));
	assert_false(tokenizer_is_end(t, -1) || tokenizer_is_control(t, N_BASE));
	assert_int_equal(tokenizer_find(t, "<|x|>"), X);
	assert_int_equal(tokenizer_find(t, "abc"), ABC);
	assert_int_equal(tokenizer_find(t, "<|"), -1);
	tokenizer_close(t);
}

static void test_model_and_rule(void **state)
{
	(void)state;
	refused((struct spec){ .model = "t5" }, "\"t5\"", "gpt2");
	refused((struct spec){ .model = "bert" }, "\"bert\"", "llama");
	refused((struct spec){ .model = "gpt2x" }, "\"gpt2x\"", "gpt2");
	refused((struct spec){ .leave_out = "tokenizer.ggml.model" }, "tokenizer.ggml.model", "");
	refused((struct spec){ .pre = "tekke" }, "\"tekke\"", "smollm llama-bpe");
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
					     "a q", "b c", "< v>", "<| x|>", "\xFF \xFE", "a b",
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
	/* No text: no choice for an answer. */
	assert_true(tokenizer_means(t, 0) && tokenizer_means(t, 9) && !tokenizer_means(t, 2));
	assert_false(tokenizer_means(t, 3) || tokenizer_means(t, 11) || tokenizer_means(t, -1));
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

/* The marks of frames by their makers' spelling: which end a turn, in no type's hands. */
static void test_marks(void **state)
{
	(void)state;
	static const char *const token[] = {
		"<|im_end|>", "<end_of_turn>", "<|eot_id|>", "</s>", "<|endoftext|>", "<|end|>",
		"<\xEF\xBD\x9C" "end\xE2\x96\x81of\xE2\x96\x81sentence\xEF\xBD\x9C>",
		"<|end_of_text|>", "<|im_start|>", "<start_of_turn>", "<|user|>", "[INST]", "a",
		"<b>", "<think>", "|",
	};
	enum { ENDS = 8, MARKS = 12, ALL = 16 };
	for (uint32_t kind = VOCAB_NORMAL; kind <= VOCAB_BYTE; kind++) {
		uint32_t kinds[ALL];
		char note[ERR_MAX];
		for (int i = 0; i < ALL; i++)
			kinds[i] = i < MARKS ? kind : VOCAB_NORMAL;
		kinds[3] = VOCAB_CONTROL;       /* HTML elsewhere, see test_named_marks */
		struct tokenizer *t = taken((struct spec){
			.token = token, .kind = kinds, .n_tokens = ALL, .n_merges = -1 });
		for (int i = 0; i < ALL; i++) {
			assert_int_equal(tokenizer_is_end(t, i), i < ENDS);
			assert_int_equal(tokenizer_is_control(t, i), i < MARKS);
		}
		for (int i = 0; i < MARKS; i++) {
			GIVES(t, token[i], true, i);
			assert_int_equal(tokenizer_find(t, token[i]), i);
		}
		GIVES(t, "a<|im_end|>a", false, 12, 15, 15, 12);        /* the signs alone */
		GIVES(t, "<start_of_turn>", false, 12);
		bool odd = kind == VOCAB_NORMAL || kind == VOCAB_UNUSED || kind == VOCAB_BYTE;
		assert_int_equal(tokenizer_note(t, note), odd);
		if (odd && (!strstr(note, "11 marks") || !strstr(note, "<|im_end|>")))
			fail_msg("%s", note);
		tokenizer_close(t);
	}
}

/* What the file itself names as the end is a mark if it is written like one. */
static void test_named_marks(void **state)
{
	(void)state;
	static const char *const token[] = { "a", "b", "<|fin|>", "\xC4\x8A", "|" };
	static const uint32_t kind[] = { 1, 1, 1, 1, 1 };
	struct spec s = { .token = token, .kind = kind, .n_tokens = 5, .n_merges = -1,
			  .id_key = "tokenizer.ggml.eot_token_id", .id = 2 };
	struct tokenizer *t = taken(s);
	assert_true(tokenizer_is_end(t, 2) && tokenizer_is_control(t, 2));
	GIVES(t, "a<|fin|>b", false, 0, 4, 4, 1);
	GIVES(t, "a<|fin|>b", true, 0, 2, 1);
	tokenizer_close(t);
	s.id = 3;
	t = taken(s);
	assert_true(tokenizer_is_end(t, 3) && !tokenizer_is_control(t, 3));
	GIVES(t, "a\nb", false, 0, 3, 1);
	tokenizer_close(t);
	static const char *const html[] = { "a", "b", "</s>" };
	for (uint32_t k = VOCAB_NORMAL; k <= VOCAB_USER; k += VOCAB_USER - VOCAB_NORMAL)
		for (int named = 0; named < 2; named++) {
			t = taken((struct spec){ .token = html, .kind = (uint32_t[]){ 1, 1, k },
						 .n_tokens = 3, .n_merges = -1,
						 .id_key = "tokenizer.ggml.eos_token_id",
						 .id = named ? 2 : UINT32_MAX });
			assert_int_equal(tokenizer_is_end(t, 2), named);
			assert_int_equal(tokenizer_is_control(t, 2), named);
			tokenizer_close(t);
		}
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
		cmocka_unit_test(test_marks), cmocka_unit_test(test_named_marks),
		cmocka_unit_test(test_utf8),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
