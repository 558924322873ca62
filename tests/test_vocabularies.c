/* test_vocabularies.c - every rule of byte-level vocabularies, SentencePiece, real vocabularies.
 *
 * Expected ids: tests/vectors/tokenizer-*.txt, recorded from the Hugging Face tokenizers,
 * sentencepiece and tiktoken by make_vocabulary_vectors.py. */
#include "tests/gguf_build.h"
#include "tests/tok_kit.h"

#define MORE "tests/vectors/tokenizer-more.txt"

/* One of each: the names that mean the same are in same[]. */
static const char *const rules[] = {
	"dbrx", "qwen35", "gpt-4o", "tekken", "deepseek-v3", "deepseek-llm", "deepseek-coder",
	"falcon", "bloom", "seed-coder", "bailingmoe", "minicpm5",
};
#define N_RULES (sizeof rules / sizeof *rules)
static const char *const spm[] = { "spm", "spm-bare", "mistral-v1", "mistral-v3" };
#define N_SPM (sizeof spm / sizeof *spm)
static const char *const real[] = { "tekken", "o200k", "qwen3", "deepseek" };

/* ---- one vocabulary under every rule ---- */

static void copy_strings(struct buf *b, const struct gguf *g, const char *key)
{
	enum gguf_type type;
	int64_t n;
	assert_true(gguf_array(g, key, &type, &n));
	put_key(b, key, GGUF_ARRAY);
	put_array(b, GGUF_STRING, (uint64_t)n);
	for (int64_t i = 0; i < n; i++) {
		struct gguf_str s = gguf_array_string(g, key, i);
		put_u64(b, s.n);
		put(b, s.s, s.n);
	}
}

/* tok-bpe.gguf with pre as its rule. */
static struct tokenizer *open_rule(const char *pre)
{
	static const char kinds[] = "tokenizer.ggml.token_type";
	char err[ERR_MAX];
	enum gguf_type type;
	int64_t n;
	struct buf b = { 0 };
	struct gguf *g = gguf_open("tests/vectors/tok-bpe.gguf", err), *made;
	assert_non_null(g);
	put_head(&b, 3, 0, 5);
	put_key_str(&b, "tokenizer.ggml.model", "gpt2");
	put_key_str(&b, "tokenizer.ggml.pre", pre);
	copy_strings(&b, g, "tokenizer.ggml.tokens");
	copy_strings(&b, g, "tokenizer.ggml.merges");
	assert_true(gguf_array(g, kinds, &type, &n));
	put_key(&b, kinds, GGUF_ARRAY);
	put_array(&b, GGUF_U32, (uint64_t)n);
	for (int64_t i = 0; i < n; i++)
		put_u32(&b, (uint32_t)gguf_array_int(g, kinds, i));
	made = gguf_parse(b.p, b.n, pre, err);
	struct tokenizer *t = made ? tokenizer_open(made, err) : NULL;
	if (!t)
		fail_msg("%s", err);
	gguf_close(made);
	gguf_close(g);
	buf_free(&b);
	return t;
}

/* ---- recorded ids ---- */

static int check_file(struct tokenizer *t, const char *name, const char *strings,
		      const struct lines *want, int n)
{
	struct lines text = lines_read(strings);
	for (int i = 0; i < text.n; i++) {
		if (*text.line[i] == '!')
			continue;
		assert_true(n < want->n);
		char *other = strchr(want->line[n], '|');
		size_t len = unescape(text.line[i]);
		check_ids(t, text.line[i] + 1, len - 1, false, want->line[n], name);
		check_ids(t, text.line[i] + 1, len - 1, true, other ? other + 1 : want->line[n],
			  name);
		n++;
	}
	lines_free(&text);
	return n;
}

static void check_vector(struct tokenizer *t, const char *prefix, const char *name)
{
	char path[80];
	snprintf(path, sizeof path, "tests/vectors/tokenizer-%s%s.txt", prefix, name);
	struct lines want = lines_read(path);
	int n = check_file(t, name, STRINGS, &want, 0);
	n = check_file(t, name, MORE, &want, n);
	assert_int_equal(n, want.n);
	assert_true(n >= 300);
	lines_free(&want);
}

static void test_rules(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_RULES; i++) {
		struct tokenizer *t = open_rule(rules[i]);
		assert_string_equal(tokenizer_pre(t), rules[i]);
		check_vector(t, "bpe-", rules[i]);
		check_all_hidden(t, 6);
		tokenizer_close(t);
	}
}

static void test_sentencepiece(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_SPM; i++) {
		struct tokenizer *t = open_named(spm[i]);
		assert_string_equal(tokenizer_pre(t), "llama");
		assert_int_equal(tokenizer_adds_space(t), i != 1);
		assert_int_equal(tokenizer_bos(t), 1);
		assert_int_equal(tokenizer_eos(t), 2);
		assert_true(tokenizer_add_bos(t) && tokenizer_is_end(t, 2));
		check_vector(t, "", spm[i]);
		tokenizer_close(t);
	}
}

static void test_real(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof real / sizeof *real; i++) {
		struct tokenizer *t = open_named(real[i]);
		check_vector(t, "", real[i]);
		tokenizer_close(t);
	}
}

/* ---- names ---- */

static void test_same_rules(void **state)
{
	(void)state;
	/* A name, and one of the same meaning whose ids are recorded. */
	static const char *const same[][2] = {
		{ "smaug-bpe", "dbrx" }, { "glm4", "dbrx" }, { "chatglm-bpe", "dbrx" },
		{ "llama4", "gpt-4o" }, { "kanana2", "gpt-4o" }, { "talkie", "gpt-4o" },
		{ "minimax-m2", "gpt-4o" }, { "hunyuan-dense", "deepseek-v3" },
		{ "joyai-llm", "deepseek-v3" }, { "hy_v4", "deepseek-v3" },
		{ "poro-chat", "bloom" }, { "gpt3-finnish", "bloom" },
		{ "bailingmoe2", "bailingmoe" }, { "llada-moe", "bailingmoe" },
	};
	for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
		struct tokenizer *t = open_rule(same[i][0]);
		assert_string_equal(tokenizer_pre(t), same[i][0]);
		check_vector(t, "bpe-", same[i][1]);
		tokenizer_close(t);
	}
	/* The same for rules whose ids test_tokenizer.c has, here against each other. */
	static const char *const alike[][2] = {
		{ "starcoder", "smollm" }, { "refact", "smollm" }, { "command-r", "smollm" },
		{ "codeshell", "smollm" }, { "exaone", "smollm" }, { "minerva-7b", "smollm" },
		{ "mellum2", "smollm" }, { "deepseek-r1-qwen", "qwen2" }, { "stablelm2", "qwen2" },
		{ "megrez", "qwen2" }, { "hunyuan", "qwen2" }, { "solar-open", "qwen2" },
		{ "kormo", "qwen2" }, { "grok-2", "qwen2" }, { "phi-2", "gpt-2" },
		{ "mpt", "gpt-2" }, { "olmo", "gpt-2" }, { "jais", "gpt-2" },
		{ "gigachat", "gpt-2" }, { "a.x-4.0", "gpt-2" }, { "mellum", "gpt-2" },
		{ "exaone4", "gpt-2" }, { "trillion", "gpt-2" }, { "granite-docling", "gpt-2" },
		{ "llama3", "llama-bpe" }, { "llama-v3", "llama-bpe" }, { "falcon3", "llama-bpe" },
		{ "falcon-h1", "llama-bpe" }, { "pixtral", "llama-bpe" },
		{ "midm-2.0", "llama-bpe" }, { "lfm2", "llama-bpe" },
	};
	struct lines text = lines_read(STRINGS);
	for (int k = 0; k < text.n; k++)
		unescape(text.line[k]);
	for (size_t i = 0; i < sizeof alike / sizeof *alike; i++) {
		struct tokenizer *a = open_rule(alike[i][0]), *b = open_rule(alike[i][1]);
		for (int k = 0; k < text.n; k++) {
			int x[ROOM], y[ROOM];
			const char *s = text.line[k] + 1;
			int n = encode(a, s, strlen(s), false, x, ROOM);
			assert_int_equal(encode(b, s, strlen(s), false, y, ROOM), n);
			assert_memory_equal(x, y, (size_t)n * sizeof *x);
		}
		tokenizer_close(a);
		tokenizer_close(b);
	}
	lines_free(&text);
}

/* ---- what holds for all ---- */

static void check_bytes(struct tokenizer *t)
{
	char s[200];
	struct lines text = lines_read(STRINGS);
	for (int i = 0; i < text.n; i++) {
		size_t len = unescape(text.line[i]);
		check_round_trip(t, text.line[i] + 1, len - 1);
	}
	lines_free(&text);
	for (int i = 0; i < 2000; i++)
		check_round_trip(t, s, random_bytes(s, sizeof s));
}

static void test_round_trip(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_SPM + N_RULES; i++) {
		struct tokenizer *t = i < N_SPM ? open_named(spm[i]) : open_rule(rules[i - N_SPM]);
		check_bytes(t);
		tokenizer_close(t);
	}
}

static void test_content_is_never_control(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_SPM; i++) {
		struct tokenizer *t = open_named(spm[i]);
		check_all_hidden(t, i < 2 ? 9 : 3);
		tokenizer_close(t);
	}
}

/* Quadratic merging, or a pattern that backs up from every byte, takes minutes here. */
static void check_long(struct tokenizer *t, const char *name, size_t size, char *s, char *back,
		       int *ids)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || !defined(__OPTIMIZE__)
	const double limit = 30;
#else
	const double limit = 5;
#endif
	static const char *const words[] = { "a", "A", " ", "\n", "ab", "aB", "\xFF", "!?", "1",
					     "'", "\xE4\xB8\xAD", "\xCC\x81", " \n" };
	for (size_t w = 0; w < sizeof words / sizeof *words; w++) {
		size_t len = strlen(words[w]), n = (size - 2) / len * len;
		for (size_t i = 0; i < n; i += len)
			memcpy(s + i, words[w], len);
		s[n++] = '1';
		double start = clock_now();
		int k = encode(t, s, n, false, ids, (int)size);
		if (clock_now() - start > limit)
			fail_msg("%s: %zu bytes of \"%s\" took %.1f s", name, n, words[w],
				 clock_now() - start);
		assert_int_equal(join(t, ids, k, back, n), n);
		assert_memory_equal(back, s, n);
	}
}

static void test_long_texts(void **state)
{
	(void)state;
	enum { N = 1 << 20 };
	char *s = malloc(N), *back = malloc(N);
	int *ids = malloc(N * sizeof *ids);
	for (size_t i = 0; i < N_SPM + N_RULES; i++) {
		const char *name = i < N_SPM ? spm[i] : rules[i - N_SPM];
		struct tokenizer *t = i < N_SPM ? open_named(name) : open_rule(name);
		check_long(t, name, i < 2 ? N : N / 4, s, back, ids);
		tokenizer_close(t);
	}
	free(s);
	free(back);
	free(ids);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rules),
		cmocka_unit_test(test_same_rules),
		cmocka_unit_test(test_sentencepiece),
		cmocka_unit_test(test_real),
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_content_is_never_control),
		cmocka_unit_test(test_long_texts),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
