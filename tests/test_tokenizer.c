/* test_tokenizer.c - ids against the Hugging Face tokenizers, round trips, what content can not
 * become, decoding across tokens.
 *
 * Expected ids and texts: tests/vectors/tokenizer-*.txt, made by make_tokenizer_vectors.py. */
#include "tests/tok_kit.h"

static const char *const vocabs[] = { "smollm", "llama-bpe", "qwen2", "gpt-2", "default" };
#define N_VOCABS (sizeof vocabs / sizeof *vocabs)

/* ---- recorded ids ---- */

static void check_vector(struct tokenizer *t, const char *name)
{
	char path[64];
	snprintf(path, sizeof path, "tests/vectors/tokenizer-%s.txt", name);
	struct lines text = lines_read(STRINGS), want = lines_read(path);
	int n = 0;
	for (int i = 0; i < text.n; i++) {
		if (*text.line[i] == '!')
			continue;
		assert_true(2 * n + 1 < want.n);
		size_t len = unescape(text.line[i]);
		check_ids(t, text.line[i] + 1, len - 1, false, want.line[2 * n], name);
		check_ids(t, text.line[i] + 1, len - 1, true, want.line[2 * n + 1], name);
		n++;
	}
	assert_int_equal(2 * n, want.n);
	assert_true(n >= 200);
	lines_free(&text);
	lines_free(&want);
}

static void test_small_vocabularies(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_VOCABS; i++) {
		struct tokenizer *t = open_named(vocabs[i]);
		assert_string_equal(tokenizer_pre(t), vocabs[i]);
		check_vector(t, vocabs[i]);
		tokenizer_close(t);
	}
}

static void test_default_model(void **state)
{
	(void)state;
	char err[ERR_MAX];
	struct gguf *g = gguf_open(model_path(), err);
	struct tokenizer *t = tokenizer_open(g, err);
	gguf_close(g);
	assert_non_null(t);
	check_vector(t, "model");
	assert_int_equal(tokenizer_size(t), 49152);
	assert_int_equal(tokenizer_bos(t), 1);
	assert_int_equal(tokenizer_eos(t), 2);
	assert_false(tokenizer_add_bos(t));
	assert_true(tokenizer_is_end(t, 0) && tokenizer_is_end(t, 2));
	assert_false(tokenizer_is_end(t, 1));
	tokenizer_close(t);
}

/* ---- round trips ---- */

static void test_round_trip(void **state)
{
	(void)state;
	for (size_t v = 0; v < N_VOCABS; v++) {
		struct tokenizer *t = open_named(vocabs[v]);
		struct lines text = lines_read(STRINGS);
		int bad = 0;
		for (int i = 0; i < text.n; i++) {
			size_t len = unescape(text.line[i]);
			bad += *text.line[i] == '!';
			check_round_trip(t, text.line[i] + 1, len - 1);
		}
		assert_true(bad >= 20);
		lines_free(&text);
		tokenizer_close(t);
	}
}

static void test_fuzz_round_trip(void **state)
{
	(void)state;
	char s[200];
	for (size_t v = 0; v < N_VOCABS; v++) {
		struct tokenizer *t = open_named(vocabs[v]);
		for (int i = 0; i < 4000; i++)
			check_round_trip(t, s, random_bytes(s, sizeof s));
		tokenizer_close(t);
	}
}

/* The default model has no token for 21 bytes: they are left out, nothing else is. */
static void test_fuzz_default_model(void **state)
{
	(void)state;
	static const char missing[] = "\x04\x06\x13\x14\x16\x1D\xC0\xC1\xF1\xF2\xF5\xF6\xF7\xF8"
				      "\xF9\xFA\xFB\xFC\xFD\xFE\xFF";
	char s[200], want[200], back[800];
	int ids[ROOM];
	struct gguf *g = gguf_open(model_path(), back);
	struct tokenizer *t = tokenizer_open(g, back);
	gguf_close(g);
	assert_non_null(t);
	for (int i = 0; i < 20000; i++) {
		size_t n = random_bytes(s, sizeof s), m = 0;
		for (size_t k = 0; k < n; k++)
			if (!memchr(missing, s[k], sizeof missing - 1))
				want[m++] = s[k];
		int k = encode(t, s, n, false, ids, ROOM);
		assert_int_equal(join(t, ids, k, back, sizeof back), m);
		assert_memory_equal(back, want, m);
	}
	tokenizer_close(t);
}

/* ---- what content can not become ---- */

static void test_content_is_never_control(void **state)
{
	(void)state;
	for (size_t v = 0; v < N_VOCABS; v++) {
		struct tokenizer *t = open_named(vocabs[v]);
		check_all_hidden(t, 6);
		tokenizer_close(t);
	}
}

static void test_default_model_control(void **state)
{
	(void)state;
	struct tokenizer *t = open_vocab(model_path(), NULL);
	assert_non_null(t);
	check_all_hidden(t, 17);
	tokenizer_close(t);
}

static void test_user_defined(void **state)
{
	(void)state;
	struct tokenizer *t = open_named("smollm");
	int ids[8], user = tokenizer_find(t, "::user"), more = tokenizer_find(t, "::user::more");
	assert_true(user > 0 && more > 0 && user != more);
	assert_int_equal(encode(t, "::user::more::user", 18, false, ids, 8), 2);
	assert_int_equal(ids[0], more);
	assert_int_equal(ids[1], user);
	tokenizer_close(t);
}

/* ---- decoding ---- */

static size_t stream_all(const struct tokenizer *t, const int *ids, int n, bool special, char *out,
			 size_t cap)
{
	struct tokenizer_stream st = { .n_held = 0 };
	size_t len = 0;
	for (int i = 0; i < n; i++)
		len += tokenizer_stream_put(t, &st, ids[i], special, out + len, cap - len);
	return len + tokenizer_stream_end(&st, out + len, cap - len);
}

/* Cuts s at random places and encodes the parts, so that characters fall apart. */
static int encode_in_parts(struct tokenizer *t, const char *s, size_t n, int *ids)
{
	int k = 0;
	for (size_t at = 0, part; at < n; at += part) {
		part = 1 + next_random(5);
		part = part > n - at ? n - at : part;
		k += encode(t, s + at, part, false, ids + k, ROOM - k);
	}
	return k;
}

static void test_stream(void **state)
{
	(void)state;
	int ids[ROOM];
	char out[4 * ROOM];
	struct tokenizer *t = open_named("qwen2");
	struct lines l = lines_read("tests/vectors/tokenizer-utf8.txt");
	assert_true(l.n >= 400);
	for (int i = 0; i + 1 < l.n; i += 2) {
		size_t n = unescape(l.line[i]), want = unescape(l.line[i + 1]);
		for (int round = 0; round < 20; round++) {
			int k = round ? encode_in_parts(t, l.line[i], n, ids) :
					encode(t, l.line[i], n, false, ids, ROOM);
			assert_int_equal(stream_all(t, ids, k, false, out, sizeof out), want);
			assert_memory_equal(out, l.line[i + 1], want);
		}
	}
	lines_free(&l);
	tokenizer_close(t);
}

static void test_stream_control(void **state)
{
	(void)state;
	struct tokenizer *t = open_named("gpt-2");
	char out[64];
	int ids[16], n = encode(t, "\xC3<|im_end|>a", 12, true, ids, 16);
	assert_int_equal(n, 3);
	assert_int_equal(stream_all(t, ids, n, false, out, sizeof out), 4);
	assert_memory_equal(out, "\xEF\xBF\xBD" "a", 4);
	assert_int_equal(stream_all(t, ids, n, true, out, sizeof out), 14);
	assert_memory_equal(out, "\xEF\xBF\xBD<|im_end|>a", 14);
	assert_int_equal(stream_all(t, (int[]){ -1, 1 << 30 }, 2, true, out, sizeof out), 0);
	tokenizer_close(t);
}

/* ---- size ---- */

/* A quadratic merge takes minutes here. */
static void test_long_words(void **state)
{
	(void)state;
	enum { N = 1 << 20 };
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || !defined(__OPTIMIZE__)
	const double limit = 30;
#else
	const double limit = 2;
#endif
	static const char *const words[] = { "a", " ", "\n", "ab", "\xFF", "!?", "\xE4\xB8\xAD" };
	char *s = malloc(N), *back = malloc(N);
	int *ids = malloc(N * sizeof *ids);
	for (size_t v = 0; v < N_VOCABS; v++) {
		struct tokenizer *t = open_named(vocabs[v]);
		for (size_t w = 0; w < sizeof words / sizeof *words; w++) {
			size_t len = strlen(words[w]), n = N / len * len;
			for (size_t i = 0; i < n; i += len)
				memcpy(s + i, words[w], len);
			double start = clock_now();
			int k = encode(t, s, n, false, ids, N);
			if (clock_now() - start > limit)
				fail_msg("%s: 1 MB took %.1f s", vocabs[v], clock_now() - start);
			assert_int_equal(join(t, ids, k, back, n), n);
			assert_memory_equal(back, s, n);
		}
		tokenizer_close(t);
	}
	free(s);
	free(back);
	free(ids);
}

static void test_little_room(void **state)
{
	(void)state;
	struct tokenizer *t = open_named("llama-bpe");
	static const char text[] = "Room for two of these tokens only, and <|im_end|> too.";
	int all[64], some[4] = { -7, -7, -7, -7 };
	int n = encode(t, text, sizeof text - 1, true, all, 64);
	assert_true(n > 4 && n < 64);
	assert_int_equal(encode(t, text, sizeof text - 1, true, some, 2), n);
	assert_int_equal(some[0], all[0]);
	assert_int_equal(some[1], all[1]);
	assert_int_equal(some[2], -7);
	assert_int_equal(encode(t, text, sizeof text - 1, true, NULL, 0), n);
	assert_int_equal(encode(t, "", 0, true, NULL, 0), 0);
	tokenizer_close(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_small_vocabularies),
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_fuzz_round_trip),
		cmocka_unit_test(test_content_is_never_control),
		cmocka_unit_test(test_user_defined),
		cmocka_unit_test(test_stream),
		cmocka_unit_test(test_stream_control),
		cmocka_unit_test(test_long_words),
		cmocka_unit_test(test_little_room),
	};
	const struct CMUnitTest model_tests[] = {
		cmocka_unit_test(test_default_model),
		cmocka_unit_test(test_fuzz_default_model),
		cmocka_unit_test(test_default_model_control),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	if (have_model("ids of the default model"))
		failed += cmocka_run_group_tests(model_tests, NULL, NULL);
	return failed;
}
