/* tok_bpe.c - see tok_bpe.h.
 *
 * The rules restate the pre-tokenizers of the published tokenizer.json files; a rule of several
 * patterns cuts the pieces of one by the next, and text between matches is a piece as well.
 * Invariant: PCRE2 sees only well-formed UTF-8, checked here once, so its own check is off. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "engine/tok_bpe.h"
#include "engine/utf8.h"
#include <limits.h>
#include <pcre2.h>
#include <string.h>

#define PATTERNS_MAX 4
#define MERGES "tokenizer.ggml.merges"
#define PRE "tokenizer.ggml.pre"

/* Inside a class: Unicode's White_Space.  PCRE2's own \s also has U+180E, which is none. */
#define SPACE "\\t-\\r\\x85\\p{Z}"
/* A space stays with the word behind it; of several spaces the last one does. */
#define SPACES "[" SPACE "]+(?![^" SPACE "])|[" SPACE "]+"
#define GPT2 "'(?:[sdmt]|ll|ve|re)| ?\\p{L}+| ?\\p{N}+| ?[^" SPACE "\\p{L}\\p{N}]+|" SPACES
/* Since Llama 3 any sign but a line break may lead a word, and numbers are cut to N digits. */
#define LLAMA3(N) "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}" N \
	"| ?[^" SPACE "\\p{L}\\p{N}]+[\\r\\n]*|[" SPACE "]*[\\r\\n]+|" SPACES

struct rule {
	const char *name;
	const char *pattern[PATTERNS_MAX];
	bool whole_words;       /* a word that is a token is taken before merging */
	bool bos;
};

static const struct rule rules[] = {
	{ .name = "smollm", .pattern = { "\\p{N}", GPT2 } },
	{ .name = "llama-bpe", .pattern = { LLAMA3("{1,3}") }, .whole_words = true, .bos = true },
	{ .name = "llama3", .pattern = { LLAMA3("{1,3}") }, .whole_words = true, .bos = true },
	{ .name = "llama-v3", .pattern = { LLAMA3("{1,3}") }, .whole_words = true, .bos = true },
	{ .name = "qwen2", .pattern = { LLAMA3("") } },
	{ .name = "gpt-2", .pattern = { GPT2 } },
	{ .name = "default",
	  .pattern = { "[\\p{P}$+<=>^~|]+", GPT2, "\\p{N}+", "[0-9][0-9][0-9]" } },
};
#define RULES_LIST "smollm llama-bpe llama3 llama-v3 qwen2 gpt-2 default"

struct merge {
	int left, right, id;    /* left < 0: the file's line names a token that does not exist */
};

struct symbol {
	int id, prev, next;     /* id < 0: merged away; next < 0: the last */
};

struct bpe {
	const struct vocab *vocab;
	const struct rule *rule;
	pcre2_code *code[PATTERNS_MAX];
	int n_code;
	pcre2_match_data *match;
	pcre2_match_context *limits;
	int byte[256];          /* token of a byte, -1: the vocabulary has none */
	struct merge *merge;    /* (n_merges) by rank */
	int n_merges;
	int *slot;              /* (n_slots) ranks by hash of the pair, -1: free */
	size_t n_slots;
	struct symbol *sym;     /* (room) scratch of one word */
	uint64_t *heap;         /* (2 * room) rank << 32 | symbol, least on top */
	size_t room, n_heap;
};

void ids_put(struct ids *out, int id)
{
	if (out->n < out->cap)
		out->v[out->n] = id;
	out->n++;
}

/* ---- opening ---- */

static const struct rule *find_rule(const struct gguf *g, char err[ERR_MAX])
{
	struct gguf_str pre = { "default", 7 };
	if (gguf_has(g, PRE) && !gguf_string(g, PRE, &pre)) {
		fail(err, "%s: " PRE " is not a string", gguf_path(g));
		return NULL;
	}
	for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
		if (strlen(rules[i].name) == pre.n && !memcmp(rules[i].name, pre.s, pre.n))
			return &rules[i];
	fail(err, "%s: " PRE " \"%.*s\" is not supported; supported are: " RULES_LIST, gguf_path(g),
	     pre.n > 64 ? 64 : (int)pre.n, pre.s);
	return NULL;
}

static int compile(struct bpe *b, char err[ERR_MAX])
{
	for (; b->n_code < PATTERNS_MAX && b->rule->pattern[b->n_code]; b->n_code++) {
		int code;
		PCRE2_SIZE at;
		PCRE2_SPTR pattern = (PCRE2_SPTR)b->rule->pattern[b->n_code];
		b->code[b->n_code] = pcre2_compile(pattern, PCRE2_ZERO_TERMINATED,
						   PCRE2_UTF | PCRE2_UCP, &code, &at, NULL);
		if (!b->code[b->n_code])
			return fail(err, "PCRE2 does not take rule %s (error %d at %zu); it must "
				    "be built with Unicode", b->rule->name, code, (size_t)at);
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
	const struct rule *rule = find_rule(g, err);
	struct bpe *b = rule ? mem_new(1, sizeof *b, err) : NULL;
	if (!b)
		return NULL;
	b->vocab = v;
	b->rule = rule;
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
	for (int i = 0; i < PATTERNS_MAX; i++)
		pcre2_code_free(b->code[i]);
	pcre2_match_data_free(b->match);
	pcre2_match_context_free(b->limits);
	mem_free(b->merge);
	mem_free(b->slot);
	mem_free(b->sym);
	mem_free(b->heap);
	mem_free(b);
}

const char *bpe_pre(const struct bpe *b)
{
	return b->rule->name;
}

bool bpe_wants_bos(const struct bpe *b)
{
	return b->rule->bos;
}

/* ---- one word ---- */

static void heap_push(struct bpe *b, uint64_t key)
{
	size_t i = b->n_heap++;
	for (; i && b->heap[(i - 1) / 2] > key; i = (i - 1) / 2)
		b->heap[i] = b->heap[(i - 1) / 2];
	b->heap[i] = key;
}

static uint64_t heap_pop(struct bpe *b)
{
	uint64_t top = b->heap[0], key = b->heap[--b->n_heap];
	size_t i = 0;
	for (size_t c; (c = 2 * i + 1) < b->n_heap; i = c) {
		c += c + 1 < b->n_heap && b->heap[c + 1] < b->heap[c];
		if (b->heap[c] >= key)
			break;
		b->heap[i] = b->heap[c];
	}
	b->heap[i] = key;
	return top;
}

/* Notes that symbol i could be merged with the one behind it. */
static void propose(struct bpe *b, int i)
{
	if (i < 0 || b->sym[i].next < 0)
		return;
	int rank = b->slot[pair_slot(b, b->sym[i].id, b->sym[b->sym[i].next].id)];
	if (rank >= 0)
		heap_push(b, (uint64_t)rank << 32 | (uint32_t)i);
}

/* Lowest rank first, leftmost first among equals.  A proposal whose symbols have changed since is
 * stale.  Every merge takes one proposal out and puts two in at most, so 2 * room is enough. */
static void merge_symbols(struct bpe *b)
{
	while (b->n_heap) {
		uint64_t top = heap_pop(b);
		const struct merge *m = &b->merge[top >> 32];
		int i = (int)(uint32_t)top, k = b->sym[i].next;
		if (b->sym[i].id != m->left || k < 0 || b->sym[k].id != m->right)
			continue;
		b->sym[i].id = m->id;
		b->sym[i].next = b->sym[k].next;
		b->sym[k].id = -1;
		if (b->sym[i].next >= 0)
			b->sym[b->sym[i].next].prev = i;
		propose(b, b->sym[i].prev);
		propose(b, i);
	}
}

static int make_room(struct bpe *b, size_t n, char err[ERR_MAX])
{
	if (n <= b->room)
		return 0;
	size_t room = n < 256 ? 256 : n + n / 2;
	mem_free(b->sym);
	mem_free(b->heap);
	b->room = 0;
	b->heap = NULL;
	b->sym = mem_new(room, sizeof *b->sym, err);
	b->heap = b->sym ? mem_new(2 * room, sizeof *b->heap, err) : NULL;
	if (!b->heap)
		return -1;
	b->room = room;
	return 0;
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
	if (make_room(b, n, err) < 0)
		return -1;
	int m = 0;
	for (size_t i = 0; i < n; i++) {
		int id = b->byte[(unsigned char)s[i]];
		if (id >= 0) {
			b->sym[m] = (struct symbol){ id, m - 1, m + 1 };
			m++;
		}
	}
	if (!m)
		return 0;
	b->sym[m - 1].next = -1;
	b->n_heap = 0;
	for (int i = 0; i < m; i++)
		propose(b, i);
	merge_symbols(b);
	for (int i = 0; i >= 0; i = b->sym[i].next)
		ids_put(out, b->sym[i].id);
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
