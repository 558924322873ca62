/* tokenizer.c - see tokenizer.h: special tokens, what ends a turn, decoding to text.
 *
 * The vocabulary is in tok_vocab.c, plain text to tokens in tok_bpe.c or tok_spm.c.  Two tables of
 * tokens are looked for as whole words of the text: [true] when control tokens count, [false]
 * when the text is content.  Invariant: [false] holds no private token, and plain encoding makes
 * none. */
#include "engine/text/tokenizer.h"
#include "engine/text/tok_bpe.h"
#include "engine/text/tok_marks.h"
#include "engine/text/tok_spm.h"
#include "base/utf8.h"
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define MODELS_LIST "gpt2 (byte-level BPE), llama (SentencePiece BPE)"

struct words {
	int *id;                /* (n) by their bytes, each text once */
	int n;
	int first[257];         /* tokens that begin with byte c: first[c]..first[c+1]-1 */
};

struct tokenizer {
	struct vocab vocab;
	struct bpe *bpe;        /* one of the two, the other is NULL */
	struct spm *spm;
	struct words words[2];
	unsigned char *end;     /* (n) 1: the token ends a turn */
	int bos, eos;
	bool add_bos, add_space;
};

/* ---- whole words ---- */

static int compare_bytes(struct gguf_str a, struct gguf_str b)
{
	int c = memcmp(a.s, b.s, a.n < b.n ? a.n : b.n);
	return c ? c : (a.n > b.n) - (a.n < b.n);
}

static int compare_tokens(const void *a, const void *b, void *vocab)
{
	int x = *(const int *)a, y = *(const int *)b;
	int c = compare_bytes(vocab_piece(vocab, x), vocab_piece(vocab, y));
	return c ? c : (x > y) - (x < y);
}

static bool is_word(const struct vocab *v, int id, bool special)
{
	struct gguf_str p = vocab_piece(v, id);
	if (p.n == 0)
		return false;
	if (v->kind[id] == VOCAB_CONTROL && vocab_find(v, p.s, p.n, 1u << VOCAB_CONTROL) != id)
		return false;   /* another one is the one that is meant */
	return v->kind[id] == VOCAB_USER ? special || !vocab_private(v, id) :
					   special && vocab_private(v, id);
}

static int open_words(struct words *w, struct vocab *v, bool special, char err[ERR_MAX])
{
	int n = 0;
	for (int i = 0; i < v->n; i++)
		n += is_word(v, i, special);
	w->id = mem_new((size_t)n + 1, sizeof *w->id, err);
	if (!w->id)
		return -1;
	for (int i = 0; i < v->n; i++)
		if (is_word(v, i, special))
			w->id[w->n++] = i;
	qsort_r(w->id, (size_t)n, sizeof *w->id, compare_tokens, v);
	w->n = 0;
	for (int i = 0; i < n; i++) {
		struct gguf_str p = vocab_piece(v, w->id[i]);
		if (!w->n || compare_bytes(vocab_piece(v, w->id[w->n - 1]), p))
			w->id[w->n++] = w->id[i];
	}
	for (int i = 0; i < w->n; i++)
		w->first[(unsigned char)*vocab_piece(v, w->id[i]).s + 1] = i + 1;
	for (int c = 1; c <= 256; c++)
		if (w->first[c] < w->first[c - 1])
			w->first[c] = w->first[c - 1];
	return 0;
}

/* The first of the words lo..hi-1, alike before byte d, whose byte d is c or more. */
static int bound(const struct words *w, const struct vocab *v, int lo, int hi, size_t d, int c)
{
	while (lo < hi) {
		int mid = lo + (hi - lo) / 2;
		if ((unsigned char)vocab_piece(v, w->id[mid]).s[d] < c)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* The longest word that s[0..n-1] begins with, or -1. */
static int match_word(const struct words *w, const struct vocab *v, const char *s, size_t n)
{
	int best = -1, lo = w->first[(unsigned char)s[0]], hi = w->first[(unsigned char)s[0] + 1];
	for (size_t d = 1; lo < hi; d++) {
		if (vocab_piece(v, w->id[lo]).n == d)
			best = w->id[lo++];
		if (d == n)
			break;
		int c = (unsigned char)s[d];
		lo = bound(w, v, lo, hi, d, c);
		hi = bound(w, v, lo, hi, d, c + 1);
	}
	return best;
}

/* ---- opening ---- */

static int read_model(const struct gguf *g, bool *is_spm, char err[ERR_MAX])
{
	struct gguf_str model;
	if (!gguf_string(g, "tokenizer.ggml.model", &model))
		return fail(err, "%s: no tokenizer.ggml.model; the file does not say how it "
			    "splits text", gguf_path(g));
	*is_spm = model.n == 5 && !memcmp(model.s, "llama", 5);
	if (*is_spm || (model.n == 4 && !memcmp(model.s, "gpt2", 4)))
		return 0;
	return fail(err, "%s: tokenizer.ggml.model \"%.*s\" is not supported; supported are: "
		    MODELS_LIST, gguf_path(g), model.n > 64 ? 64 : (int)model.n, model.s);
}

/* A missing key leaves *id alone; -1 as files write it gives -1. */
static int read_id(const struct tokenizer *t, const struct gguf *g, const char *key, int *id,
		   char err[ERR_MAX])
{
	int64_t v = -1;
	if (!gguf_has(g, key))
		return 0;
	*id = -1;
	if (!gguf_int(g, key, &v))
		return fail(err, "%s: %s is not an integer", gguf_path(g), key);
	if (v == -1 || v == UINT32_MAX)
		return 0;
	if (v < 0 || v >= t->vocab.n)
		return fail(err, "%s: %s is %lld, but the vocabulary has %d tokens", gguf_path(g),
			    key, (long long)v, t->vocab.n);
	*id = (int)v;
	return 0;
}

static int read_ids(struct tokenizer *t, const struct gguf *g, bool is_spm, char err[ERR_MAX])
{
	static const char *const keys[] = {
		"tokenizer.ggml.bos_token_id", "tokenizer.ggml.eos_token_id",
		"tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id",
	};
	/* SentencePiece's own numbers, which the oldest files leave unsaid. */
	bool unsaid = is_spm && t->vocab.n > 2;
	int id[] = { unsaid ? 1 : -1, unsaid ? 2 : -1, -1, -1 };
	for (int i = 0; i < 4; i++) {
		if (read_id(t, g, keys[i], &id[i], err) < 0)
			return -1;
		if (id[i] < 0)
			continue;
		if (gguf_has(g, keys[i]) || mark_of(vocab_piece(&t->vocab, id[i])))
			vocab_adopt(&t->vocab, id[i]);
		t->end[id[i]] |= i > 0;
	}
	t->bos = id[0];
	t->eos = id[1];
	return 0;
}

static void read_flags(struct tokenizer *t, const struct gguf *g)
{
	t->add_bos = t->spm || bpe_wants_bos(t->bpe);
	gguf_bool(g, "tokenizer.ggml.add_bos_token", &t->add_bos);
	t->add_bos = t->add_bos && t->bos >= 0;
	t->add_space = t->spm;
	if (t->spm)
		gguf_bool(g, "tokenizer.ggml.add_space_prefix", &t->add_space);
}

/* Files often name one end in their metadata where the model knows several. */
static void mark_known_ends(struct tokenizer *t)
{
	for (int i = 0; i < t->vocab.n; i++)
		if (t->vocab.kind[i] == VOCAB_CONTROL &&
		    mark_of(vocab_piece(&t->vocab, i)) == MARK_END)
			t->end[i] = 1;
}

static int open_all(struct tokenizer *t, const struct gguf *g, bool is_spm, char err[ERR_MAX])
{
	if (vocab_open(&t->vocab, g, is_spm ? VOCAB_SENTENCEPIECE : VOCAB_BYTE_LEVEL, err) < 0 ||
	    !(t->end = mem_new((size_t)t->vocab.n, 1, err)) || read_ids(t, g, is_spm, err) < 0)
		return -1;
	if (is_spm)
		t->spm = spm_open(g, &t->vocab, err);
	else
		t->bpe = bpe_open(g, &t->vocab, err);
	if ((!t->spm && !t->bpe) ||
	    open_words(&t->words[false], &t->vocab, false, err) < 0 ||
	    open_words(&t->words[true], &t->vocab, true, err) < 0)
		return -1;
	read_flags(t, g);
	mark_known_ends(t);
	return 0;
}

struct tokenizer *tokenizer_open(const struct gguf *g, char err[ERR_MAX])
{
	bool is_spm;
	if (read_model(g, &is_spm, err) < 0)
		return NULL;
	struct tokenizer *t = mem_new(1, sizeof *t, err);
	if (t && open_all(t, g, is_spm, err) < 0) {
		tokenizer_close(t);
		return NULL;
	}
	return t;
}

void tokenizer_close(struct tokenizer *t)
{
	if (!t)
		return;
	mem_free(t->words[false].id);
	mem_free(t->words[true].id);
	mem_free(t->end);
	bpe_close(t->bpe);
	spm_close(t->spm);
	vocab_close(&t->vocab);
	mem_free(t);
}

/* ---- what it knows ---- */

bool tokenizer_note(const struct tokenizer *t, char note[ERR_MAX])
{
	struct gguf_str p = tokenizer_piece(t, t->vocab.mark);
	*note = '\0';
	if (t->vocab.n_marks)
		fail(note, "the model file has %d mark%s of chat frames (%.*s%s) among its "
		     "ordinary text; taken for what %s", t->vocab.n_marks,
		     t->vocab.n_marks > 1 ? "s" : "", p.n > 40 ? 40 : (int)p.n, p.s,
		     t->vocab.n_marks > 1 ? ", ..." : "", t->vocab.n_marks > 1 ? "they are" :
		     "it is");
	return *note;
}

static bool in_range(const struct tokenizer *t, int id)
{
	return id >= 0 && id < t->vocab.n;
}

int tokenizer_size(const struct tokenizer *t)
{
	return t->vocab.n;
}

const char *tokenizer_pre(const struct tokenizer *t)
{
	return t->bpe ? bpe_pre(t->bpe) : "llama";
}

int tokenizer_bos(const struct tokenizer *t)
{
	return t->bos;
}

int tokenizer_eos(const struct tokenizer *t)
{
	return t->eos;
}

bool tokenizer_add_bos(const struct tokenizer *t)
{
	return t->add_bos;
}

bool tokenizer_is_end(const struct tokenizer *t, int id)
{
	return in_range(t, id) && t->end[id];
}

bool tokenizer_is_control(const struct tokenizer *t, int id)
{
	return in_range(t, id) &&
	       (t->vocab.kind[id] == VOCAB_CONTROL || t->vocab.kind[id] == VOCAB_UNKNOWN);
}

bool tokenizer_means(const struct tokenizer *t, int id)
{
	return in_range(t, id) && (t->end[id] || vocab_piece(&t->vocab, id).n);
}

const unsigned char *tokenizer_ends(const struct tokenizer *t)
{
	return t->end;
}

int tokenizer_find(const struct tokenizer *t, const char *text)
{
	size_t n = strlen(text);
	int id = vocab_find(&t->vocab, text, n, 1u << VOCAB_CONTROL);
	return id >= 0 ? id : vocab_find(&t->vocab, text, n, VOCAB_ANY);
}

size_t tokenizer_piece_max(const struct tokenizer *t)
{
	return t->vocab.piece_max;
}

struct gguf_str tokenizer_piece(const struct tokenizer *t, int id)
{
	return in_range(t, id) ? vocab_piece(&t->vocab, id) : (struct gguf_str){ "", 0 };
}

bool tokenizer_adds_space(const struct tokenizer *t)
{
	return t->add_space;
}

struct gguf_str tokenizer_piece_first(const struct tokenizer *t, int id)
{
	struct gguf_str p = tokenizer_piece(t, id);
	bool own = t->add_space && p.n && *p.s == ' ';
	return (struct gguf_str){ p.s + own, p.n - own };
}

/* ---- text to ids ---- */

/* What stands between two whole words; start: nothing before it is content. */
static int encode_between(struct tokenizer *t, const char *s, size_t n, bool start,
			  struct ids *ids, char err[ERR_MAX])
{
	if (t->spm)
		return spm_encode(t->spm, s, n, start && t->add_space, ids, err);
	return bpe_encode(t->bpe, s, n, ids, err);
}

int tokenizer_encode(struct tokenizer *t, const char *text, size_t len, bool special, int *out,
		     int cap, char err[ERR_MAX])
{
	const struct words *w = &t->words[special];
	struct ids ids = { .v = out, .cap = cap };
	size_t from = 0;
	bool start = true;
	if (len > INT_MAX / 2)
		return fail(err, "a text of %zu bytes is too long; the limit is %d", len,
			    INT_MAX / 2);
	for (size_t at = 0; w->n && at < len;) {
		int id = match_word(w, &t->vocab, text + at, len - at);
		if (id < 0) {
			at++;
			continue;
		}
		/* A word of the content has the space before it, a special token has none. */
		bool plain = !vocab_private(&t->vocab, id);
		if ((at > from || plain) &&
		    encode_between(t, text + from, at - from, start, &ids, err) < 0)
			return -1;
		ids_put(&ids, id);
		start = !plain;
		from = at += vocab_piece(&t->vocab, id).n;
	}
	if (len > from && encode_between(t, text + from, len - from, start, &ids, err) < 0)
		return -1;
	return ids.n;
}

int tokenizer_encode_new(struct tokenizer *t, const char *text, size_t len, bool special, int spare,
			 int **ids, char err[ERR_MAX])
{
	int n, cap = len < INT_MAX / 2 ? (int)(len / 3) + 16 : 0;
	for (;; cap = n) {
		*ids = mem_new((size_t)cap + (size_t)spare, sizeof **ids, err);
		n = *ids ? tokenizer_encode(t, text, len, special, *ids + spare, cap, err) : -1;
		if (n >= 0 && n <= cap)
			return n;
		mem_free(*ids);
		*ids = NULL;
		if (n < 0)
			return -1;
	}
}

/* ---- ids to text ---- */

struct text {           /* takes whole characters only; what does not fit is left out */
	char *s;
	size_t n, cap;
};

static void text_put(struct text *t, const void *s, size_t n)
{
	if (n <= t->cap - t->n) {
		memcpy(t->s + t->n, s, n);
		t->n += n;
	}
}

static void put_byte(struct tokenizer_stream *st, unsigned char byte, struct text *to)
{
	st->held[st->n_held++] = byte;
	int k = utf8_next((char *)st->held, (size_t)st->n_held);
	if (k > 0)
		text_put(to, st->held, (size_t)st->n_held);
	else if (k < 0)
		text_put(to, UTF8_REPLACEMENT, 3);
	if (k == 0)
		return;
	/* What was held before was the beginning of a character, so of a failure at most this
	 * byte is left over, and it begins something new. */
	bool again = k < 0 && -k < st->n_held;
	st->n_held = 0;
	if (again)
		put_byte(st, byte, to);
}

size_t tokenizer_stream_put(const struct tokenizer *t, struct tokenizer_stream *st, int id,
			    bool special, char *out, size_t cap)
{
	struct text to = { .s = out, .cap = cap };
	if (!special && tokenizer_is_control(t, id))
		return 0;
	struct gguf_str p = tokenizer_piece(t, id);
	for (size_t i = 0; i < p.n; i++)
		put_byte(st, (unsigned char)p.s[i], &to);
	return to.n;
}

size_t tokenizer_stream_end(struct tokenizer_stream *st, char *out, size_t cap)
{
	struct text to = { .s = out, .cap = cap };
	if (st->n_held)
		text_put(&to, UTF8_REPLACEMENT, 3);
	st->n_held = 0;
	return to.n;
}
