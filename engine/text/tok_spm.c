/* tok_spm.c - see tok_spm.h. */
#include "engine/text/tok_spm.h"
#include "base/utf8.h"
#include <math.h>
#include <string.h>

#define SCORES "tokenizer.ggml.scores"
#define MERGES "tokenizer.ggml.merges"
#define KINDS "tokenizer.ggml.token_type"
#define ORDINARY (1u << VOCAB_NORMAL)
#define NEVER UINT32_MAX        /* a rank that no score has */

struct spm {
	const struct vocab *vocab;
	uint32_t *rank;         /* (vocab->n) the least is joined first */
	int byte[256];          /* token of a byte, -1: the vocabulary has none */
	char *text;             /* (room) scratch: the text with its spaces */
	size_t room;
	struct merger merger;
};

/* ---- opening ---- */

/* Floats in descending order: their bits, made to ascend, turned round. */
static uint32_t rank_of(float score)
{
	uint32_t u;
	score += 0.0f;          /* -0 is 0 */
	memcpy(&u, &score, sizeof u);
	return u >> 31 ? u : ~(u | 1u << 31);
}

static int read_scores(struct spm *s, const struct gguf *g, char err[ERR_MAX])
{
	enum gguf_type type;
	int64_t n;
	if (!gguf_array(g, SCORES, &type, &n) || type == GGUF_STRING)
		return fail(err, "%s: " SCORES " must be an array of numbers; a llama vocabulary "
			    "needs it", gguf_path(g));
	if (n != s->vocab->n)
		return fail(err, "%s: " SCORES " has %lld entries for %d tokens", gguf_path(g),
			    (long long)n, s->vocab->n);
	s->rank = mem_new((size_t)n, sizeof *s->rank, err);
	if (!s->rank)
		return -1;
	bool whole = type != GGUF_F32 && type != GGUF_F64;
	for (int64_t i = 0; i < n; i++) {
		double score = whole ? (double)gguf_array_int(g, SCORES, i) :
				       gguf_array_float(g, SCORES, i);
		if (isnan(score))
			return fail(err, "%s: entry %lld of " SCORES " is not a number",
				    gguf_path(g), (long long)i);
		s->rank[i] = rank_of((float)score);
	}
	return 0;
}

/* Converters that found no SentencePiece model gave every token the same score; the order is then
 * in the merges, which such files have as well. */
static bool scores_are_void(const struct spm *s, const struct gguf *g)
{
	enum gguf_type type;
	int64_t n;
	int first = -1;
	for (int i = 0; i < s->vocab->n; i++) {
		if (s->vocab->kind[i] != VOCAB_NORMAL)
			continue;
		first = first < 0 ? i : first;
		if (s->rank[i] != s->rank[first])
			return false;
	}
	return gguf_array(g, MERGES, &type, &n) && type == GGUF_STRING && n > 0 && n < NEVER;
}

/* "▁t he": the token that both make; -1 if the line does not say so or there is none. */
static int merged(const struct spm *s, struct gguf_str line, char *tmp)
{
	const char *space = line.n > 2 ? memchr(line.s + 1, ' ', line.n - 1) : NULL;
	if (!space)
		return -1;
	size_t n = vocab_unescape(line.s, (size_t)(space - line.s), tmp);
	n += vocab_unescape(space + 1, (size_t)(line.s + line.n - space - 1), tmp + n);
	return vocab_find(s->vocab, tmp, n, ORDINARY);
}

static int read_merges(struct spm *s, const struct gguf *g, char err[ERR_MAX])
{
	enum gguf_type type;
	int64_t n;
	size_t longest = 0;
	gguf_array(g, MERGES, &type, &n);
	for (int64_t i = 0; i < n; i++) {
		size_t len = gguf_array_string(g, MERGES, i).n;
		longest = len > longest ? len : longest;
	}
	char *tmp = mem_new(longest + 1, 1, err);
	if (!tmp)
		return -1;
	for (int i = 0; i < s->vocab->n; i++)
		s->rank[i] = NEVER;
	for (int64_t i = 0; i < n; i++) {
		int id = merged(s, gguf_array_string(g, MERGES, i), tmp);
		if (id >= 0 && s->rank[id] == NEVER)
			s->rank[id] = (uint32_t)i;
	}
	mem_free(tmp);
	return 0;
}

struct spm *spm_open(const struct gguf *g, const struct vocab *v, char err[ERR_MAX])
{
	struct spm *s = mem_new(1, sizeof *s, err);
	if (!s)
		return NULL;
	s->vocab = v;
	if (!gguf_has(g, KINDS)) {
		fail(err, "%s: no array " KINDS "; a llama vocabulary needs it", gguf_path(g));
		spm_close(s);
		return NULL;
	}
	for (int i = 0; i < 256; i++)
		s->byte[i] = vocab_find(v, &(char){ (char)i }, 1, 1u << VOCAB_BYTE);
	if (read_scores(s, g, err) < 0 ||
	    (scores_are_void(s, g) && read_merges(s, g, err) < 0)) {
		spm_close(s);
		return NULL;
	}
	return s;
}

void spm_close(struct spm *s)
{
	if (!s)
		return;
	merger_free(&s->merger);
	mem_free(s->rank);
	mem_free(s->text);
	mem_free(s);
}

/* ---- a text ---- */

static int make_room(struct spm *s, size_t n, char err[ERR_MAX])
{
	if (n > s->room) {
		size_t room = n < 256 ? 256 : n + n / 2;
		mem_free(s->text);
		s->room = 0;
		s->text = mem_new(room, 1, err);
		if (!s->text)
			return -1;
		s->room = room;
	}
	return merger_start(&s->merger, n, err);
}

/* One character, or one byte of what is none; returns its bytes in the text. */
static size_t put_symbol(struct spm *s, const char *c, size_t n, size_t at)
{
	int k = utf8_next(c, n);
	size_t len = k > 0 ? (size_t)k : 1;
	if (len == 3 && !memcmp(c, VOCAB_SPACE, 3)) {
		s->text[at] = ' ';
		merger_put(&s->merger, vocab_find(s->vocab, " ", 1, ORDINARY), at, 1);
		return len;
	}
	memcpy(s->text + at, c, len);
	merger_put(&s->merger, vocab_find(s->vocab, c, len, ORDINARY), at, len);
	return len;
}

static bool join(const void *ctx, const struct symbol *l, const struct symbol *r, uint32_t *rank,
		 int *id)
{
	const struct spm *s = ctx;
	size_t n = (size_t)l->n + r->n;
	if (n > s->vocab->piece_max)
		return false;
	*id = vocab_find(s->vocab, s->text + l->at, n, ORDINARY);
	if (*id < 0)
		return false;
	*rank = s->rank[*id];
	return *rank != NEVER;
}

int spm_encode(struct spm *s, const char *text, size_t n, bool before, struct ids *out,
	       char err[ERR_MAX])
{
	struct merger *m = &s->merger;
	if (make_room(s, n + 1, err) < 0)
		return -1;
	if (before)
		put_symbol(s, " ", 1, 0);
	for (size_t i = 0; i < n;) {
		size_t at = m->n ? m->sym[m->n - 1].at + m->sym[m->n - 1].n : 0;
		i += put_symbol(s, text + i, n - i, at);
	}
	merger_run(m, join, s);
	for (int i = m->n ? 0 : -1; i >= 0; i = m->sym[i].next) {
		const struct symbol *y = &m->sym[i];
		if (y->id >= 0)
			ids_put(out, y->id);
		for (size_t k = 0; y->id < 0 && k < y->n; k++)
			if (s->byte[(unsigned char)s->text[y->at + k]] >= 0)
				ids_put(out, s->byte[(unsigned char)s->text[y->at + k]]);
	}
	return 0;
}
