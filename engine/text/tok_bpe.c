/* tok_bpe.c - see tok_bpe.h.
 *
 * Which patterns cut the text is in tok_rules.c.
 * Invariant: PCRE2 sees only well-formed UTF-8, checked here once, so its own check is off. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "engine/text/tok_bpe.h"
#include "engine/text/tok_rules.h"
#include "base/utf8.h"
#include <limits.h>
#include <pcre2.h>
#include <string.h>

#define MERGES "tokenizer.ggml.merges"

struct merge {
	int left, right, id;    /* left < 0: the file's line names a token that does not exist */
};

struct bpe {
	const struct vocab *vocab;
	const struct rule *rule;
	const char *pre;        /* the rule's name */
	pcre2_code *code[RULE_PATTERNS_MAX];
	int n_code;
	pcre2_match_data *match;
	pcre2_match_context *limits;
	int byte[256];          /* token of a byte, -1: the vocabulary has none */
	struct merge *merge;    /* (n_merges) by rank */
	int n_merges;
	int *slot;              /* (n_slots) ranks by hash of the pair, -1: free */
	size_t n_slots;
	struct merger merger;   /* scratch of one word */
};

/* ---- opening ---- */

static int compile(struct bpe *b, char err[ERR_MAX])
{
	for (; b->n_code < RULE_PATTERNS_MAX && b->rule->pattern[b->n_code]; b->n_code++) {
		int code;
		PCRE2_SIZE at;
		PCRE2_SPTR pattern = (PCRE2_SPTR)b->rule->pattern[b->n_code];
		bool bytes = b->rule->bytes_from && b->n_code >= b->rule->bytes_from;
		b->code[b->n_code] = pcre2_compile(pattern, PCRE2_ZERO_TERMINATED,
						   bytes ? 0 : PCRE2_UTF | PCRE2_UCP, &code, &at,
						   NULL);
		if (!b->code[b->n_code])
			return fail(err, "PCRE2 does not take rule %s (error %d at %zu); it must "
				    "be built with Unicode", b->pre, code, (size_t)at);
		/* Where machine code is not allowed PCRE2 interprets: slower, same matches. */
		(void)pcre2_jit_compile(b->code[b->n_code], PCRE2_JIT_COMPLETE);
	}
	b->match = pcre2_match_data_create(1, NULL);
	b->limits = pcre2_match_context_create(NULL);
	if (!b->match || !b->limits)
		return fail(err, "out of memory for the tokenizer's patterns");
	/* Our patterns back up in linear time, but over the whole of a long run of spaces. */
	pcre2_set_match_limit(b->limits, UINT32_MAX);
	return 0;
}

static size_t pair_slot(const struct bpe *b, int left, int right)
{
	uint64_t h = ((uint64_t)(uint32_t)left << 32 | (uint32_t)right) * 0x9E3779B97F4A7C15u;
	size_t i = (h ^ h >> 32) & (b->n_slots - 1);
	while (b->slot[i] >= 0) {
		const struct merge *m = &b->merge[b->slot[i]];
		if (m->left == left && m->right == right)
			break;
		i = (i + 1) & (b->n_slots - 1);
	}
	return i;
}

/* "Ġt he": two spelled tokens with one space between them.  A line that does not say so, or
 * whose parts or result are no tokens for plain text, is passed over. */
static void read_merge(struct bpe *b, int rank, struct gguf_str line, char *tmp)
{
	struct merge *m = &b->merge[rank];
	const char *space = line.n > 2 ? memchr(line.s + 1, ' ', line.n - 1) : NULL;
	m->left = -1;
	if (!space)
		return;
	size_t n1 = vocab_unspell(line.s, (size_t)(space - line.s), tmp);
	size_t n2 = vocab_unspell(space + 1, (size_t)(line.s + line.n - space - 1), tmp + n1);
	int left = vocab_find_plain(b->vocab, tmp, n1);
	int right = vocab_find_plain(b->vocab, tmp + n1, n2);
	int id = vocab_find_plain(b->vocab, tmp, n1 + n2);
	if (left < 0 || right < 0 || id < 0)
		return;
	size_t at = pair_slot(b, left, right);
	if (b->slot[at] >= 0)
		return;
	*m = (struct merge){ left, right, id };
	b->slot[at] = rank;
}

static int check_merges(const struct gguf *g, int64_t *n, char err[ERR_MAX])
{
	enum gguf_type type;
	if (!gguf_array(g, MERGES, &type, n))
		return fail(err, "%s: no array " MERGES "; a gpt2 vocabulary needs it",
			    gguf_path(g));
	if (type != GGUF_STRING && *n > 0)
		return fail(err, "%s: " MERGES " must hold strings, it holds type %d", gguf_path(g),
			    (int)type);
	if (*n > 1 << 26)
		return fail(err, "%s: " MERGES " has %lld entries, more than %d", gguf_path(g),
			    (long long)*n, 1 << 26);
	return 0;
}

static int read_merges(struct bpe *b, const struct gguf *g, char err[ERR_MAX])
{
	int64_t n;
	size_t longest = 0;
	if (check_merges(g, &n, err) < 0)
		return -1;
	for (int64_t i = 0; i < n; i++) {
		size_t len = gguf_array_string(g, MERGES, i).n;
		longest = len > longest ? len : longest;
	}
	for (b->n_slots = 16; b->n_slots < 2 * (size_t)n; b->n_slots *= 2)
		;
	b->n_merges = (int)n;
	b->merge = mem_new((size_t)n + 1, sizeof *b->merge, err);
	b->slot = b->merge ? mem_new(b->n_slots, sizeof *b->slot, err) : NULL;
	char *tmp = b->slot ? mem_new(longest + 1, 1, err) : NULL;
	if (!tmp)
		return -1;
	memset(b->slot, 0xFF, b->n_slots * sizeof *b->slot);
	for (int i = 0; i < b->n_merges; i++)
		read_merge(b, i, gguf_array_string(g, MERGES, i), tmp);
	mem_free(tmp);
	return 0;
}

struct bpe *bpe_open(const struct gguf *g, const struct vocab *v, char err[ERR_MAX])
{
	const char *pre;
	const struct rule *rule = rule_find(g, &pre, err);
	struct bpe *b = rule ? mem_new(1, sizeof *b, err) : NULL;
	if (!b)
		return NULL;
	b->vocab = v;
	b->rule = rule;
	b->pre = pre;
	for (int i = 0; i < 256; i++)
		b->byte[i] = vocab_find_plain(v, &(char){ (char)i }, 1);
	if (compile(b, err) < 0 || read_merges(b, g, err) < 0) {
		bpe_close(b);
		return NULL;
	}
	return b;
}

void bpe_close(struct bpe *b)
{
	if (!b)
		return;
	for (int i = 0; i < RULE_PATTERNS_MAX; i++)
		pcre2_code_free(b->code[i]);
	pcre2_match_data_free(b->match);
	pcre2_match_context_free(b->limits);
	mem_free(b->merge);
	mem_free(b->slot);
	merger_free(&b->merger);
	mem_free(b);
}

const char *bpe_pre(const struct bpe *b)
{
	return b->pre;
}

bool bpe_wants_bos(const struct bpe *b)
{
	return b->rule->bos;
}

/* ---- one word ---- */

static bool join(const void *ctx, const struct symbol *l, const struct symbol *r, uint32_t *rank,
		 int *id)
{
	const struct bpe *b = ctx;
	int m = b->slot[pair_slot(b, l->id, r->id)];
	if (m < 0)
		return false;
	*rank = (uint32_t)m;
	*id = b->merge[m].id;
	return true;
}

static int encode_word(struct bpe *b, const char *s, size_t n, struct ids *out, char err[ERR_MAX])
{
	if (b->rule->whole_words && n <= b->vocab->piece_max) {
		int id = vocab_find_plain(b->vocab, s, n);
		if (id >= 0) {
			ids_put(out, id);
			return 0;
		}
	}
	struct merger *m = &b->merger;
	if (merger_start(m, n, err) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		int id = b->byte[(unsigned char)s[i]];
		if (id >= 0)
			merger_put(m, id, i, 1);
	}
	merger_run(m, join, b);
	for (int i = m->n ? 0 : -1; i >= 0; i = m->sym[i].next)
		ids_put(out, m->sym[i].id);
	return 0;
}

/* ---- words of a text ---- */

/* The end of a piece is the end of the text for the patterns: look-ahead stops there. */
static int split(struct bpe *b, int level, const char *s, size_t n, struct ids *out,
		 char err[ERR_MAX])
{
	if (level == b->n_code)
		return encode_word(b, s, n, out, err);
	for (size_t at = 0; at < n;) {
		int rc = pcre2_match(b->code[level], (PCRE2_SPTR)s, n, at,
				     PCRE2_NO_UTF_CHECK | PCRE2_NOTEMPTY, b->match, b->limits);
		if (rc < 0 && rc != PCRE2_ERROR_NOMATCH)
			return fail(err, "text can not be split into words (PCRE2 error %d, %zu "
				    "bytes)", rc, n);
		const PCRE2_SIZE *ov = pcre2_get_ovector_pointer(b->match);
		size_t from = rc < 0 ? n : ov[0], to = rc < 0 ? n : ov[1];
		if (from > at && split(b, level + 1, s + at, from - at, out, err) < 0)
			return -1;
		if (to > from && split(b, level + 1, s + from, to - from, out, err) < 0)
			return -1;
		at = to;
	}
	return 0;
}

/* How many bytes from s on are well-formed (good) or not. */
static size_t run_length(const char *s, size_t n, bool good)
{
	size_t i = 0;
	while (i < n) {
		int k = utf8_next(s + i, n - i);
		if ((k > 0) != good)
			break;
		i += k > 0 ? (size_t)k : k < 0 ? (size_t)-k : n - i;
	}
	return i;
}

int bpe_encode(struct bpe *b, const char *s, size_t n, struct ids *out, char err[ERR_MAX])
{
	bool good = true;
	for (size_t at = 0; at < n; good = !good) {
		size_t len = run_length(s + at, n - at, good);
		if (len && good && split(b, 0, s + at, len, out, err) < 0)
			return -1;
		if (len && !good && encode_word(b, s + at, len, out, err) < 0)
			return -1;
		at += len;
	}
	return 0;
}
