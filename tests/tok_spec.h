/* tok_spec.h - files with vocabularies, made key by key, that are wrong, odd or hostile.
 *
 * A struct spec says what differs from a sound file, which has the tokens of base[]; expected ids
 * are places in that list. */
#ifndef S3D_TESTS_TOK_SPEC_H
#define S3D_TESTS_TOK_SPEC_H
#include "engine/text/tok_vocab.h"
#include "engine/text/tokenizer.h"
#include "tests/gguf_build.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static const char *const base[] = { "a", "b", "c", "ab", "abc", "\xC4\xA0", "<|im_end|>", "<|x|>",
				    "<v>", "::u", "\xC4\xA0" "a", "<unk>", "<0x7A>", "[PAD]" };
static const uint32_t base_kind[] = { 1, 1, 1, 1, 1, 1, 3, 3, 4, 4, 1, 2, 6, 5 };
static const char *const base_merge[] = { "a b", "ab c", "\xC4\xA0 a" };
enum { A, B, C, AB, ABC, SPACE, IM_END, X, V, UU, SPACE_A, UNK, Z, PAD, N_BASE };

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
	int add_space;                  /* the same */
	const float *score;             /* (n_scores, -1: none) */
	int n_scores;
};

static inline bool has(const struct spec *s, const char *key)
{
	return !s->leave_out || strcmp(s->leave_out, key) != 0;
}

static inline bool is(const char *name, const char *key)
{
	return name && !strcmp(name, key);
}

static inline void put_strings(struct buf *b, const struct spec *s, const char *key,
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

static inline void put_kinds(struct buf *b, const struct spec *s, int n)
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

/* Only a vocabulary that goes by scores has any. */
static inline void put_scores(struct buf *b, const struct spec *s, int n)
{
	static const char key[] = "tokenizer.ggml.scores";
	if (is(s->strings, key)) {
		put_key_str(b, key, "no array");
		return;
	}
	put_key(b, key, GGUF_ARRAY);
	put_array(b, is(s->integers, key) ? GGUF_I32 : GGUF_F32, (uint64_t)n);
	for (int i = 0; i < n; i++) {
		if (is(s->integers, key))
			put_u32(b, (uint32_t)(int)s->score[i]);
		else
			put_f32(b, s->score[i]);
	}
}

static inline void put_flag(struct buf *b, const char *key, int v)
{
	if (!v)
		return;
	put_key(b, key, GGUF_BOOL);
	put_u8(b, v == 2);
}

static inline int count(int n, int sound)
{
	return n < 0 ? 0 : n ? n : sound;
}

static inline struct tokenizer *open_spec(const struct spec *s, char err[ERR_MAX])
{
	struct buf body = { 0 }, b = { 0 };
	int n_tokens = count(s->n_tokens, N_BASE), keys = 5 + !!s->id_key + !!s->add_bos;
	keys += !!s->add_space + (s->n_scores != 0);
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
	put_flag(&body, "tokenizer.ggml.add_bos_token", s->add_bos);
	put_flag(&body, "tokenizer.ggml.add_space_prefix", s->add_space);
	if (s->n_scores)
		put_scores(&body, s, s->n_scores);
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
static inline void refused(struct spec s, const char *culprit, const char *also)
{
	char err[ERR_MAX];
	assert_null(open_spec(&s, err));
	if (!strstr(err, culprit) || !strstr(err, also) || !strstr(err, "made.gguf"))
		fail_msg("\"%s\" does not name %s and %s", err, culprit, also);
}

static inline struct tokenizer *taken(struct spec s)
{
	char err[ERR_MAX];
	struct tokenizer *t = open_spec(&s, err);
	if (!t)
		fail_msg("%s", err);
	return t;
}

/* want ends with -1. */
static inline void gives(struct tokenizer *t, const char *text, bool special, const int *want)
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
#endif
