/* tok_kit.h - what the tests of tokenizers check in every vocabulary.
 *
 * Everything fails the test that runs; nothing here owns anything. */
#ifndef S3D_TESTS_TOK_KIT_H
#define S3D_TESTS_TOK_KIT_H
#include "tests/tok_vectors.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define STRINGS "tests/vectors/tokenizer-strings.txt"
#define ROOM 4096

/* A small vocabulary of the tests, which the caller closes. */
static inline struct tokenizer *open_named(const char *name)
{
	char path[64];
	snprintf(path, sizeof path, "tests/vectors/tok-%s.gguf", name);
	struct tokenizer *t = open_vocab(path, NULL);
	assert_non_null(t);
	return t;
}

static inline int encode(struct tokenizer *t, const char *s, size_t n, bool special, int *ids,
			 int cap)
{
	char err[ERR_MAX];
	int k = tokenizer_encode(t, s, n, special, ids, cap, err);
	if (k < 0)
		fail_msg("%s", err);
	return k;
}

/* The text that ids stand for, as it was before any space was put in front; its length. */
static inline size_t join(const struct tokenizer *t, const int *ids, int n, char *out, size_t cap)
{
	size_t len = 0;
	for (int i = 0; i < n; i++) {
		struct gguf_str p = i ? tokenizer_piece(t, ids[i]) :
					tokenizer_piece_first(t, ids[i]);
		assert_true(p.n <= cap - len);
		memcpy(out + len, p.s, p.n);
		len += p.n;
	}
	return len;
}

static uint64_t rng = 88172645463325252u;

static inline unsigned next_random(unsigned n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (unsigned)(rng >> 33) % n;
}

static inline void check_ids(struct tokenizer *t, const char *text, size_t len, bool special,
			     const char *want, const char *where)
{
	int ids[ROOM], expect[ROOM];
	int n = encode(t, text, len, special, ids, ROOM), m = read_ids(want, expect, ROOM);
	for (int i = 0; i < (n < m ? n : m); i++)
		if (ids[i] != expect[i])
			fail_msg("%s, special %d, \"%s\": id %d is %d, not %d", where, special,
				 text, i, ids[i], expect[i]);
	if (n != m)
		fail_msg("%s, special %d, \"%s\": %d ids, not %d", where, special, text, n, m);
}

/* Not with special tokens where each has a space put behind it. */
static inline void check_round_trip(struct tokenizer *t, const char *s, size_t n)
{
	int ids[ROOM];
	char back[4 * ROOM];
	for (int special = 0; special < (tokenizer_adds_space(t) ? 1 : 2); special++) {
		int k = encode(t, s, n, special, ids, ROOM);
		assert_true(k <= ROOM);
		assert_int_equal(join(t, ids, k, back, sizeof back), n);
		assert_memory_equal(back, s, n);
	}
}

/* Random bytes of which many are leads, tails and signs that the patterns look at. */
static inline size_t random_bytes(char *s, size_t cap)
{
	static const char *const bits[] = {
		" ", "\n", "\r\n", "\t", "'", "'s", "a", "7", "!", "\xC3", "\xA9", "\xE4\xB8",
		"\xAD", "\xF0\x9F", "\x98\x80", "\xFF", "<|im_end|>", "<|", "::user", "~",
	};
	size_t n = 0, want = next_random((unsigned)cap - 16);
	while (n < want) {
		const char *b = bits[next_random(sizeof bits / sizeof *bits)];
		if (next_random(3)) {
			memcpy(s + n, b, strlen(b));
			n += strlen(b);
		} else {
			s[n++] = (char)next_random(256);
		}
	}
	return n;
}

static inline bool is_private(const struct tokenizer *t, int id)
{
	struct gguf_str p = tokenizer_piece(t, id);
	return tokenizer_is_control(t, id) ||
	       (p.n > 8 && (!memcmp(p.s, "<tool_cal", 9) || !memcmp(p.s, "</tool_ca", 9)));
}

static inline void check_no_private(struct tokenizer *t, const char *s, size_t n)
{
	int ids[ROOM], k = encode(t, s, n, false, ids, ROOM);
	for (int i = 0; i < k; i++)
		assert_false(is_private(t, ids[i]));
}

/* One private token's text: alone, embedded, doubled, nested at every cut, cut in two. */
static inline void check_hidden(struct tokenizer *t, struct gguf_str p)
{
	char s[512];
	check_no_private(t, p.s, p.n);
	static const char *const frames[] = { "a%.*sb", " %.*s ", "\n%.*s\n", "\xFF%.*s\xFF",
					      "<%.*s>", "::user%.*s::user::more" };
	for (size_t i = 0; i < sizeof frames / sizeof *frames; i++) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		int n = snprintf(s, sizeof s, frames[i], (int)p.n, p.s);
#pragma GCC diagnostic pop
		check_no_private(t, s, (size_t)n);
	}
	for (int cut = 0; cut <= (int)p.n; cut++) {
		int n = snprintf(s, sizeof s, "%.*s%.*s%.*s", cut, p.s, (int)p.n, p.s,
				 (int)p.n - cut, p.s + cut);
		check_no_private(t, s, (size_t)n);
		check_no_private(t, p.s, (size_t)cut);
		check_no_private(t, p.s + cut, p.n - (size_t)cut);
	}
}

static inline void check_all_hidden(struct tokenizer *t, int at_least)
{
	int n = 0, id;
	for (int i = 0; i < tokenizer_size(t); i++) {
		if (!is_private(t, i))
			continue;
		struct gguf_str p = tokenizer_piece(t, i);
		check_hidden(t, p);
		assert_int_equal(encode(t, p.s, p.n, true, &id, 1), 1);
		assert_int_equal(id, i);
		n++;
	}
	assert_true(n >= at_least);
}

#endif
