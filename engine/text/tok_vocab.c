/* tok_vocab.c - see tok_vocab.h.  The file's arrays are checked here and nowhere else. */
#include "engine/text/tok_vocab.h"
#include "engine/text/tok_marks.h"
#include "base/utf8.h"
#include <limits.h>
#include <string.h>

#define TOKENS "tokenizer.ggml.tokens"
#define KINDS "tokenizer.ggml.token_type"
#define N_MAX (1 << 24)         /* tokens; the largest vocabularies in use have 2^18 */

/* Byte-level spelling gives every byte a printable character: printable Latin-1 stands for
 * itself, the 68 other bytes are numbered from U+0100 upwards in their own order. */
static int byte_of(uint32_t c)
{
	if ((c >= 33 && c <= 126) || (c >= 161 && c <= 255 && c != 173))
		return (int)c;
	if (c < 256 || c >= 256 + 68)
		return -1;
	int k = (int)c - 256;
	return k < 33 ? k : k < 67 ? 127 + k - 33 : 173;
}

size_t vocab_unspell(const char *s, size_t n, char *out)
{
	size_t len = 0;
	for (size_t i = 0; i < n;) {
		int k = utf8_next(s + i, n - i);
		int b = k > 0 ? byte_of(utf8_value(s + i, k)) : -1;
		if (b < 0) {
			memcpy(out, s, n);
			return n;
		}
		out[len++] = (char)b;
		i += (size_t)k;
	}
	return len;
}

static int hex_digit(char c)
{
	const char *digits = "0123456789ABCDEF", *at = c ? strchr(digits, c) : NULL;
	return at ? (int)(at - digits) : -1;
}

/* "<0x0A>" is one byte. */
static size_t byte_token(const char *s, size_t n, char *out)
{
	if (n == 6 && !memcmp(s, "<0x", 3) && s[5] == '>' && hex_digit(s[3]) >= 0 &&
	    hex_digit(s[4]) >= 0) {
		*out = (char)(hex_digit(s[3]) * 16 + hex_digit(s[4]));
		return 1;
	}
	return vocab_unspell(s, n, out);
}

size_t vocab_unescape(const char *s, size_t n, char *out)
{
	size_t len = 0;
	for (size_t i = 0; i < n; len++) {
		bool space = n - i >= 3 && !memcmp(s + i, VOCAB_SPACE, 3);
		out[len] = space ? ' ' : s[i];
		i += space ? 3 : 1;
	}
	return len;
}

static size_t read_piece(struct gguf_str text, int kind, enum vocab_spelling spelling, char *out)
{
	if (spelling == VOCAB_SENTENCEPIECE && (kind == VOCAB_NORMAL || kind == VOCAB_USER))
		return vocab_unescape(text.s, text.n, out);
	if (kind == VOCAB_NORMAL)
		return vocab_unspell(text.s, text.n, out);
	if (kind == VOCAB_BYTE)
		return byte_token(text.s, text.n, out);
	if (text.n)
		memcpy(out, text.s, text.n);
	return text.n;
}

static int check_arrays(const struct gguf *g, int64_t *n, char err[ERR_MAX])
{
	enum gguf_type type;
	if (!gguf_array(g, TOKENS, &type, n))
		return fail(err, "%s: no array " TOKENS "; the file has no usable vocabulary",
			    gguf_path(g));
	if (type != GGUF_STRING)
		return fail(err, "%s: " TOKENS " must hold strings, it holds type %d", gguf_path(g),
			    (int)type);
	if (*n < 1 || *n > N_MAX)
		return fail(err, "%s: " TOKENS " has %lld tokens; 1 to %d are possible",
			    gguf_path(g), (long long)*n, N_MAX);
	int64_t n_kinds;
	if (!gguf_has(g, KINDS))
		return 0;
	if (!gguf_array(g, KINDS, &type, &n_kinds) || type == GGUF_STRING || type == GGUF_F32 ||
	    type == GGUF_F64)
		return fail(err, "%s: " KINDS " must be an array of integers", gguf_path(g));
	if (n_kinds != *n)
		return fail(err, "%s: " KINDS " has %lld entries for %lld tokens", gguf_path(g),
			    (long long)n_kinds, (long long)*n);
	return 0;
}

static int kind_of(const struct gguf *g, int64_t i)
{
	int64_t k = gguf_has(g, KINDS) ? gguf_array_int(g, KINDS, i) : VOCAB_NORMAL;
	return k >= VOCAB_NORMAL && k <= VOCAB_BYTE ? (int)k : VOCAB_NORMAL;
}

static uint64_t hash(const char *s, size_t n)
{
	uint64_t h = 0xCBF29CE484222325u;
	for (size_t i = 0; i < n; i++)
		h = (h ^ (unsigned char)s[i]) * 0x100000001B3u;
	return h ^ h >> 32;
}

/* Tokens that the file calls ordinary make a note of it; those of a user's own making never were
 * text that a user could type. */
static void make_control(struct vocab *v, int id)
{
	int kind = v->kind[id];
	v->kind[id] = VOCAB_CONTROL;
	if (kind != VOCAB_NORMAL && kind != VOCAB_UNUSED && kind != VOCAB_BYTE)
		return;
	if (!v->n_marks++)
		v->mark = id;
}

/* A second token with the same bytes and kind can never be found, so it takes no slot: a file
 * full of equal tokens must not make the table slow. */
static void index_token(struct vocab *v, int id)
{
	struct gguf_str p = vocab_piece(v, id);
	size_t i = hash(p.s, p.n) & (v->n_slots - 1);
	for (; v->slot[i] >= 0; i = (i + 1) & (v->n_slots - 1)) {
		struct gguf_str q = vocab_piece(v, v->slot[i]);
		if (v->kind[v->slot[i]] == v->kind[id] && p.n == q.n && !memcmp(p.s, q.s, p.n))
			return;
	}
	v->slot[i] = id;
}

static int allocate(struct vocab *v, int n, size_t bytes, char err[ERR_MAX])
{
	v->n = n;
	for (v->n_slots = 16; v->n_slots < 2 * (size_t)n; v->n_slots *= 2)
		;
	v->bytes = mem_new(bytes + 1, 1, err);
	v->at = v->bytes ? mem_new((size_t)n + 1, sizeof *v->at, err) : NULL;
	v->kind = v->at ? mem_new((size_t)n, 1, err) : NULL;
	v->slot = v->kind ? mem_new(v->n_slots, sizeof *v->slot, err) : NULL;
	return v->slot ? 0 : -1;
}

/* <name> or </name>, of an element that some vocabulary has as a token of its own. */
static bool is_html(struct gguf_str p)
{
	static const char names[] =
		" a b bbox blockquote body caption code div em footer h1 h2 h3 h4 h5 h6 html i "
		"iframe img li s span strong sub sup table tbody td tfoot th thead tr u ul ";
	size_t from = p.s[1] == '/' ? 2 : 1;
	char name[16] = " ";
	if (p.n <= from + 1 || p.n - from - 1 > sizeof name - 3)
		return false;
	memcpy(name + 1, p.s + from, p.n - from - 1);
	name[p.n - from] = ' ';
	return strcspn(name + 1, " ") == p.n - from - 1 && strstr(names, name);
}

static void read_token(struct vocab *v, const struct gguf *g, enum vocab_spelling spelling, int i)
{
	struct gguf_str text = gguf_array_string(g, TOKENS, i);
	v->kind[i] = (unsigned char)kind_of(g, i);
	/* <s> and </s> are HTML too (Qwen's and Gemma's vocabularies have them as such), so these
	 * are marks where the file says so or names them. */
	if (mark_of(text) && !(is_html(text) && v->kind[i] != VOCAB_UNKNOWN))
		make_control(v, i);
	size_t len = read_piece(text, v->kind[i], spelling, v->bytes + v->at[i]);
	v->at[i + 1] = v->at[i] + len;
	v->piece_max = len > v->piece_max ? len : v->piece_max;
}

int vocab_open(struct vocab *v, const struct gguf *g, enum vocab_spelling spelling,
	       char err[ERR_MAX])
{
	int64_t n;
	size_t bytes = 0;
	*v = (struct vocab){ .n = 0 };
	if (check_arrays(g, &n, err) < 0)
		return -1;
	for (int64_t i = 0; i < n; i++)
		bytes += gguf_array_string(g, TOKENS, i).n;
	if (allocate(v, (int)n, bytes, err) < 0) {
		vocab_close(v);
		return -1;
	}
	memset(v->slot, 0xFF, v->n_slots * sizeof *v->slot);
	for (int i = 0; i < v->n; i++)
		read_token(v, g, spelling, i);
	/* Of two with the same text, the one that the file itself calls a control token is it. */
	for (int own = 1; own >= 0; own--)
		for (int i = 0; i < v->n; i++)
			if ((kind_of(g, i) == VOCAB_CONTROL) == own)
				index_token(v, i);
	return 0;
}

void vocab_adopt(struct vocab *v, int id)
{
	if (!vocab_private(v, id) && mark_shaped(vocab_piece(v, id)))
		make_control(v, id);
}

void vocab_close(struct vocab *v)
{
	mem_free(v->bytes);
	mem_free(v->at);
	mem_free(v->kind);
	mem_free(v->slot);
	*v = (struct vocab){ .n = 0 };
}

struct gguf_str vocab_piece(const struct vocab *v, int id)
{
	return (struct gguf_str){ v->bytes + v->at[id], v->at[id + 1] - v->at[id] };
}

int vocab_find(const struct vocab *v, const char *s, size_t n, unsigned kinds)
{
	int best = -1;
	size_t i = hash(s, n) & (v->n_slots - 1);
	for (; v->slot[i] >= 0; i = (i + 1) & (v->n_slots - 1)) {
		int id = v->slot[i];
		struct gguf_str p = vocab_piece(v, id);
		if (p.n == n && (kinds >> v->kind[id] & 1) && !memcmp(p.s, s, n) &&
		    (best < 0 || id < best))
			best = id;
	}
	return best;
}

int vocab_find_plain(const struct vocab *v, const char *s, size_t n)
{
	int id = n ? vocab_find(v, s, n, 1u << VOCAB_NORMAL) : -1;
	if (id < 0 && n)
		id = vocab_find(v, s, n, 1u << VOCAB_USER | 1u << VOCAB_UNUSED | 1u << VOCAB_BYTE);
	return id >= 0 && !vocab_private(v, id) ? id : -1;
}

bool vocab_private(const struct vocab *v, int id)
{
	struct gguf_str p = vocab_piece(v, id);
	if (v->kind[id] == VOCAB_CONTROL || v->kind[id] == VOCAB_UNKNOWN)
		return true;
	return v->kind[id] == VOCAB_USER && mark_shaped(p) && (*p.s == '[' || !is_html(p));
}
