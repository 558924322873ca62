/* test_tok_spm.c - SentencePiece worked out by hand, and what ends a turn.
 *
 * What real ones give is in test_vocabularies.c. */
#include "tests/tok_spec.h"

static const char *const sp[] = { "<unk>", "<s>", "</s>", "\xE2\x96\x81", "a", "b", "c", "ab", "bc",
				  "\xE2\x96\x81" "a", "abb", "<0x62>", "<0xC3>", "<v>", "<b>",
				  "[INST]", "\xE2\x96\x81\xE2\x96\x81", "d", "[x]" };
static const uint32_t sp_kind[] = { 2, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 6, 6, 4, 4, 4, 4, 5, 1 };
static const float sp_score[] = { 0, 0, 0, -9, -9, -9, -9, -2, -1, -1, -4, 0, 0, 0, 0, 0,
				  0, -9, 0 };
enum { SP_UNK, SP_BOS, SP_EOS, SP_SPACE, SP_A, SP_B, SP_C, SP_AB, SP_BC, SP_SPACE_A, SP_ABB,
       SP_BYTE_62, SP_BYTE_C3, SP_V, SP_BOLD, SP_INST, SP_SPACES, SP_D, SP_X, N_SP };
#define SPM .model = "llama", .token = sp, .kind = sp_kind, .score = sp_score, .n_tokens = N_SP, \
	.leave_out = "tokenizer.ggml.merges"

static void test_spm(void **state)
{
	(void)state;
	struct tokenizer *t = taken((struct spec){ SPM, .n_scores = N_SP, .add_space = 1 });
	assert_false(tokenizer_adds_space(t));
	GIVES(t, "ab", false, SP_AB);
	GIVES(t, "abc", false, SP_A, SP_BC);            /* the better score, not the left one */
	GIVES(t, "abb", false, SP_ABB);
	GIVES(t, "bcbc", false, SP_BC, SP_BC);
	GIVES(t, " ab", false, SP_SPACE_A, SP_B);       /* of equal scores the left one */
	NOTHING(t, "d", false);                         /* unused, and no byte for it */
	GIVES(t, "\xC3\xA9" "a\xC3", false, SP_BYTE_C3, SP_A, SP_BYTE_C3);
	GIVES(t, "<v>a<b>", false, SP_A, SP_BOLD);
	GIVES(t, "<v>a<b>", true, SP_V, SP_A, SP_BOLD);
	GIVES(t, "[INST]a", false, SP_A);
	GIVES(t, "</s>a", false, SP_A);
	GIVES(t, "</s>a<s>", true, SP_EOS, SP_A, SP_BOS);
	GIVES(t, "a  a", false, SP_A, SP_SPACES, SP_A); /* user-defined, so before all merging */
	GIVES(t, "\xE2\x96\x81" "a", false, SP_SPACE_A);
	assert_memory_equal(tokenizer_piece(t, SP_SPACES).s, "  ", 2);
	assert_int_equal(tokenizer_piece_first(t, SP_SPACE_A).n, 2);
	tokenizer_close(t);
}

static void test_spm_space(void **state)
{
	(void)state;
	struct tokenizer *t = taken((struct spec){ SPM, .n_scores = N_SP });
	assert_true(tokenizer_adds_space(t) && tokenizer_add_bos(t));
	assert_int_equal(tokenizer_bos(t), SP_BOS);
	assert_int_equal(tokenizer_eos(t), SP_EOS);
	assert_true(tokenizer_is_end(t, SP_EOS));
	GIVES(t, "a", false, SP_SPACE_A);
	GIVES(t, " a", false, SP_SPACE, SP_SPACE_A);
	NOTHING(t, "", false);
	GIVES(t, "a<s>a<s><s>", true, SP_SPACE_A, SP_BOS, SP_SPACE_A, SP_BOS, SP_BOS);
	/* Within content no second one: what a text says is not changed. */
	GIVES(t, "a<b>a", false, SP_SPACE_A, SP_BOLD, SP_A);
	GIVES(t, "<b>a", false, SP_SPACE, SP_BOLD, SP_A);
	struct gguf_str p = tokenizer_piece_first(t, SP_SPACE_A);
	assert_int_equal(p.n, 1);
	assert_int_equal(*p.s, 'a');
	assert_int_equal(tokenizer_piece_first(t, SP_SPACE).n, 0);
	assert_int_equal(tokenizer_piece_first(t, SP_AB).n, 2);
	assert_int_equal(tokenizer_piece_first(t, -1).n, 0);
	tokenizer_close(t);
}

static void test_spm_arrays(void **state)
{
	(void)state;
	static const char scores[] = "tokenizer.ggml.scores";
	static const float odd[N_SP] = { INFINITY, -INFINITY, 0.0f, -0.0f, 3e38f, 1e-45f, -1e-45f };
	static const float wrong[N_SP] = { [4] = NAN };
	refused((struct spec){ SPM }, scores, "needs it");
	refused((struct spec){ SPM, .n_scores = N_SP - 1 }, scores, "18 entries for 19 tokens");
	refused((struct spec){ SPM, .n_scores = 1, .strings = scores }, scores, "numbers");
	struct spec s = { SPM, .n_scores = N_SP };
	s.score = wrong;
	refused(s, scores, "entry 4");
	s.score = odd;
	struct tokenizer *t = taken(s);
	tokenizer_close(t);
	static const float zeros[N_SP] = { [SP_AB] = -0.0f };
	s.score = zeros;
	s.add_space = 1;
	t = taken(s);
	GIVES(t, "abc", false, SP_AB, SP_C);            /* 0 and -0 are alike */
	tokenizer_close(t);
	s.add_space = 0;
	s.score = sp_score;
	s.integers = scores;
	t = taken(s);
	GIVES(t, "abc", false, SP_SPACE_A, SP_BC);
	tokenizer_close(t);
	s.integers = NULL;
	s.leave_out = "tokenizer.ggml.token_type";
	s.n_merges = -1;
	refused(s, "tokenizer.ggml.token_type", "needs it");
}

/* All scores alike: what the merges say goes, and what none of them makes is not made. */
static void test_spm_merges(void **state)
{
	(void)state;
	static const char *const merge[] = { "b c", "no", "", "b \xE2\x96\x81", "a b", "q a",
					     "\xE2\x96\x81 a", "a b" };
	struct spec s = { SPM, .n_scores = N_SP, .merge = merge, .n_merges = 8, .add_space = 1 };
	s.leave_out = NULL;
	float level[N_SP];
	for (int i = 0; i < N_SP; i++)
		level[i] = -1000;
	s.score = level;
	struct tokenizer *t = taken(s);
	GIVES(t, "abc", false, SP_A, SP_BC);
	GIVES(t, "abb", false, SP_AB, SP_B);
	GIVES(t, " ab", false, SP_SPACE, SP_AB);
	GIVES(t, " ac", false, SP_SPACE_A, SP_C);
	tokenizer_close(t);
	level[SP_C] = -999;             /* a score that says something: merges do not count */
	t = taken(s);
	GIVES(t, "abc", false, SP_AB, SP_C);
	GIVES(t, "abb", false, SP_ABB);
	tokenizer_close(t);
}

/* Which user-defined tokens a text may become: those of Gemma 3 and Phi, by their look. */
static void test_user_defined(void **state)
{
	(void)state;
	static const struct { const char *text; bool plain; } cases[] = {
		{ "\n", true }, { "\n\n\n", true }, { "\t\t", true }, { "   ", true },
		{ "<table>", true }, { "</tfoot>", true }, { "<h6>", true },
		{ "<blockquote>", true },
		{ "</s>", true }, { "<s>", true }, { "<iframe>", true }, { "<bbox>", true },
		{ "::", true }, { "<", true }, { "<a", true }, { "a>", true }, { "[", true },
		{ "<start_of_image>", false }, { "[multimodal]", false }, { "[INST]", false },
		{ "<|user|>", false }, { "<|end|>", false }, { "<think>", false }, { "<>", false },
		{ "</>", false }, { "<b b>", false }, { "< b>", false }, { "<h7>", false },
		{ "<turn|>", false }, { "<unused99>", false }, { "<blockquotes>", false },
		{ "<tab>", false }, { "[/INST]", false },
	};
	enum { N = sizeof cases / sizeof *cases };
	const char *token[N];
	uint32_t kind[N];
	float score[N] = { 0 };
	for (int i = 0; i < N; i++) {
		token[i] = cases[i].text;
		kind[i] = VOCAB_USER;
	}
	struct tokenizer *t = taken((struct spec){
		.model = "llama", .token = token, .kind = kind, .n_tokens = N, .n_merges = -1,
		.score = score, .n_scores = N, .add_space = 1 });
	for (int i = 0; i < N; i++) {
		char err[ERR_MAX];
		int id = -1, len = (int)strlen(token[i]);
		int n = tokenizer_encode(t, token[i], (size_t)len, false, &id, 1, err);
		if ((n == 1 && id == i) != cases[i].plain)
			fail_msg("\"%s\" as content: %d ids, the first %d", token[i], n, id);
		GIVES(t, token[i], true, i);
	}
	tokenizer_close(t);
}

/* Every tag that Gemma 3's vocabulary has (ids 168 to 237 of its GGUF files). */
static void test_html(void **state)
{
	(void)state;
	static const char *const names[] = {
		"table", "caption", "thead", "tbody", "tfoot", "tr", "th", "td", "h1", "h2", "h3",
		"h4", "h5", "h6", "blockquote", "strong", "em", "b", "i", "u", "s", "sub", "sup",
		"code", "a", "html", "body", "img", "span", "bbox", "ul", "li", "div", "iframe",
		"footer",
	};
	enum { N = 2 * sizeof names / sizeof *names };
	char text[N][16];
	const char *token[N];
	uint32_t kind[N];
	float score[N] = { 0 };
	for (int i = 0; i < N; i++) {
		snprintf(text[i], sizeof text[i], i % 2 ? "</%s>" : "<%s>", names[i / 2]);
		token[i] = text[i];
		kind[i] = VOCAB_USER;
	}
	struct tokenizer *t = taken((struct spec){
		.model = "llama", .token = token, .kind = kind, .n_tokens = N, .n_merges = -1,
		.score = score, .n_scores = N, .add_space = 1 });
	for (int i = 0; i < N; i++)
		GIVES(t, token[i], false, i);
	tokenizer_close(t);
}

/* ---- what ends a turn ---- */

static void test_ends(void **state)
{
	(void)state;
	/* Control tokens of vocabularies people have, by what their models' generation settings
	 * say; behind NULL those that end nothing. */
	static const char *const families[][8] = {
		{ "</s>", NULL, "<s>", "[INST]", "[/INST]" },                    /* Mistral */
		{ "<|eot_id|>", "<|eom_id|>", "<|end_of_text|>", NULL, "<|begin_of_text|>",
		  "<|start_header_id|>", "<|python_tag|>" },                     /* Llama 3 */
		{ "<|im_end|>", "<|endoftext|>", NULL, "<|im_start|>", "<think>", "<|im_sep|>" },
		{ "<end_of_turn>", "<eos>", NULL, "<start_of_turn>", "<bos>", "<b>" },
		{ "<|end|>", "<|endoftext|>", NULL, "<|user|>", "<|assistant|>", "<|system|>" },
		{ "<\xEF\xBD\x9C" "end\xE2\x96\x81of\xE2\x96\x81sentence\xEF\xBD\x9C>", NULL,
		  "<\xEF\xBD\x9C" "User\xEF\xBD\x9C>", "<think>" },           /* DeepSeek */
		{ "<|end_of_text|>", NULL, "<|start_of_role|>", "<|end_of_role|>" }, /* Granite */
	};
	for (size_t i = 0; i < sizeof families / sizeof *families; i++)
		for (uint32_t kind = VOCAB_CONTROL; kind <= VOCAB_USER; kind++) {
			const char *token[8];
			uint32_t kinds[8];
			int n = 0, ends = 0;
			for (int k = 0; k < 8; k++)
				if (families[i][k]) {
					kinds[n] = kind;
					token[n++] = families[i][k];
				} else if (!ends) {
					ends = n;
				}
			struct tokenizer *t = taken((struct spec){ .token = token, .kind = kinds,
								   .n_tokens = n });
			for (int k = 0; k < n; k++)
				if (kind == VOCAB_CONTROL || strcmp(token[k], "</s>") != 0)
					assert_int_equal(tokenizer_is_end(t, k), k < ends);
				else            /* HTML's, in Gemma's vocabulary */
					assert_false(tokenizer_is_end(t, k));
			tokenizer_close(t);
		}
}

/* There may be more ids than bytes, and an array of so many is not enough: a space stands before
 * the text and behind every token that the text spells. */
static void test_more_than_bytes(void **state)
{
	uint32_t kind[N_SP];
	char text[801], err[ERR_MAX];
	static const int each[] = { SP_D, SP_SPACE, SP_B };
	int *ids, n = 0, least[800];
	(void)state;
	memcpy(kind, sp_kind, sizeof kind);
	kind[SP_D] = VOCAB_CONTROL;
	struct tokenizer *t = taken((struct spec){ .model = "llama", .token = sp, .kind = kind,
						   .score = sp_score, .n_tokens = N_SP,
						   .leave_out = "tokenizer.ggml.merges",
						   .n_scores = N_SP });
	assert_int_equal(tokenizer_encode_new(t, "b", 1, false, 0, &ids, err), 2);
	assert_true(ids[0] == SP_SPACE && ids[1] == SP_B);
	mem_free(ids);
	for (; n < 800; n += 2)
		memcpy(text + n, "db", 3);
	memset(least, 0x55, sizeof least);
	assert_int_equal(tokenizer_encode(t, text, 800, true, least, 5, err), 1200);
	assert_int_equal(least[5], 0x55555555);
	assert_int_equal(tokenizer_encode_new(t, text, 800, true, 2, &ids, err), 1200);
	for (int i = 0; i < 1200; i++)
		assert_int_equal(ids[2 + i], each[i % 3]);
	mem_free(ids);
	assert_int_equal(tokenizer_encode_new(t, "", 0, true, 0, &ids, err), 0);
	mem_free(ids);
	tokenizer_close(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_spm), cmocka_unit_test(test_spm_space),
		cmocka_unit_test(test_spm_arrays), cmocka_unit_test(test_spm_merges),
		cmocka_unit_test(test_user_defined), cmocka_unit_test(test_html),
		cmocka_unit_test(test_ends), cmocka_unit_test(test_more_than_bytes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
