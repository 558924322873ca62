/* template.c - see template.h; the frames themselves are rows of template_rows.c.
 *
 * What stands between two special tokens, frame and content together, is encoded as one plain
 * text, because that is how the model was trained: a line break of the frame and one that begins
 * the content may be one token.  A struct render owns its ids and its text.  Invariant: special
 * tokens come from the frame by id, never from a message. */
#include "engine/frame/template_rows.h"
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define KEY "tokenizer.chat_template"

/* ---- choosing ---- */

const struct template *template_find(const char *name)
{
	for (int i = 0; i < template_n_rows; i++) {
		const struct template *t = &template_rows[i];
		if (!strcmp(t->name, name) || (t->also && !strcmp(t->also, name)))
			return t;
	}
	return NULL;
}

const char *template_name(const struct template *t)
{
	return t->name;
}

bool template_jinja(const struct gguf *g, struct gguf_str *jinja)
{
	if (!gguf_string(g, KEY, jinja))
		return false;
	jinja->n = jinja->n < JINJA_MAX ? jinja->n : JINJA_MAX;
	return true;
}

/* Whether s begins with text, whose line breaks may be escaped in s. */
static bool begins(const char *s, size_t n, const char *text)
{
	for (; *text; text++) {
		size_t k = n && *s == *text ? 1 :
			   n > 1 && *text == '\n' && s[0] == '\\' && s[1] == 'n' ? 2 : 0;
		if (!k)
			return false;
		s += k;
		n -= k;
	}
	return true;
}

static bool contains(struct gguf_str in, const char *text)
{
	for (size_t i = 0; i < in.n; i++)
		if (begins(in.s + i, in.n - i, text))
			return true;
	return false;
}

static bool fits(const struct fingerprint *p, struct gguf_str jinja)
{
	for (int i = 0; i < MARKS_MAX; i++)
		if ((p->has[i] && !contains(jinja, p->has[i])) ||
		    (p->lacks[i] && contains(jinja, p->lacks[i])))
			return false;
	return true;
}

static int bad_token(const struct template *t, const char *text, char err[ERR_MAX])
{
	return fail(err, "chat template %s needs the token %s, which the model's vocabulary lacks; "
		    "--chat-template takes: " TEMPLATE_NAMES, t->name, text);
}

/* The row's tokens into id; -1 stands for one that is plain text. */
static int find_tokens(const struct template *t, const struct tokenizer *tok, int id[TOKENS_MAX],
		       char err[ERR_MAX])
{
	for (int i = 0; i < TOKENS_MAX && t->token[i]; i++) {
		id[i] = tokenizer_find(tok, t->token[i]);
		if (id[i] < 0 && !t->loose)
			return bad_token(t, t->token[i], err);
	}
	return 0;
}

const struct template *template_guess(const struct gguf *g, const struct tokenizer *tok,
				      char err[ERR_MAX])
{
	struct gguf_str jinja;
	int id[TOKENS_MAX];
	if (!template_jinja(g, &jinja)) {
		fail(err, "%s has no " KEY "; name one with --chat-template: " TEMPLATE_NAMES,
		     gguf_path(g));
		return NULL;
	}
	for (int i = 0; i < template_n_prints; i++) {
		if (!fits(&template_prints[i], jinja))
			continue;
		const struct template *t = template_find(template_prints[i].row);
		return find_tokens(t, tok, id, err) < 0 ? NULL : t;
	}
	fail(err, "%s: its " KEY " is none that is built in; name one with --chat-template: "
	     TEMPLATE_NAMES, gguf_path(g));
	return NULL;
}

const struct template *template_named(const char *name, const struct tokenizer *tok,
				      char err[ERR_MAX])
{
	const struct template *t = template_find(name);
	int id[TOKENS_MAX];

	if (!t)
		fail(err, "no chat template '%s'; there are: " TEMPLATE_NAMES, name);
	return t && !find_tokens(t, tok, id, err) ? t : NULL;
}

/* ---- text and ids ---- */

struct render {
	const struct template *t;
	struct tokenizer *tok;
	int id[TOKENS_MAX];
	int *v;                 /* (cap) malloc'ed */
	int n, cap;
	char *text;             /* (text_cap) malloc'ed: what is yet to be encoded, len bytes */
	size_t len, text_cap;
};

static int reserve(struct render *r, size_t more, char err[ERR_MAX])
{
	if (more > (size_t)(INT_MAX / 2 - r->n))
		return fail(err, "the conversation has too many tokens");
	if (r->n + (int)more <= r->cap)
		return 0;
	int cap = r->n + (int)more + r->cap / 2;
	int *v = realloc(r->v, (size_t)cap * sizeof *v);
	if (!v)
		return fail(err, "out of memory for %d tokens", cap);
	r->v = v;
	r->cap = cap;
	return 0;
}

static int put_text(struct render *r, const char *s, size_t len, char err[ERR_MAX])
{
	if (len > INT_MAX / 4 || r->len > INT_MAX / 4)
		return fail(err, "a message of %zu bytes is too long", len);
	if (r->len + len > r->text_cap) {
		size_t cap = r->len + len + r->text_cap / 2 + 64;
		char *text = realloc(r->text, cap);
		if (!text)
			return fail(err, "out of memory for a message of %zu bytes", len);
		r->text = text;
		r->text_cap = cap;
	}
	if (len)
		memcpy(r->text + r->len, s, len);
	r->len += len;
	return 0;
}

/* What Python's str.strip and so Jinja's trim take away. */
static const char *const spaces[] = {
	"\t", "\n", "\v", "\f", "\r", "\x1c", "\x1d", "\x1e", "\x1f", " ", "\xc2\x85", "\u00a0",
	"\u1680", "\u2000", "\u2001", "\u2002", "\u2003", "\u2004", "\u2005", "\u2006", "\u2007",
	"\u2008", "\u2009", "\u200a", "\u2028", "\u2029", "\u202f", "\u205f", "\u3000",
};

/* Bytes of the white-space character that begins s (or ends it), or 0. */
static size_t space_at(const char *s, size_t n, bool at_end)
{
	for (size_t i = 0; i < sizeof spaces / sizeof *spaces; i++) {
		size_t k = strlen(spaces[i]);
		if (k <= n && !memcmp(at_end ? s + n - k : s, spaces[i], k))
			return k;
	}
	return 0;
}

/* Trims what the text has from byte from on. */
static void trim_text(struct render *r, size_t from, enum trim how)
{
	size_t k, cut = from;
	if (from == r->len)
		return;
	while (how & TRIM_LEFT && (k = space_at(r->text + cut, r->len - cut, false)))
		cut += k;
	if (cut > from)
		memmove(r->text + from, r->text + cut, r->len - cut);
	r->len -= cut - from;
	while (how & TRIM_RIGHT && (k = space_at(r->text + from, r->len - from, true)))
		r->len -= k;
}

/* Encodes the text so far, as it is. */
static int encode(struct render *r, char err[ERR_MAX])
{
	size_t room = r->len;
	int k = 0;
	do {
		if (reserve(r, room, err) < 0)
			return -1;
		if (r->len)
			k = tokenizer_encode(r->tok, r->text, r->len, false, r->v + r->n,
					     r->cap - r->n, err);
		if (k < 0)
			return -1;
		room = (size_t)k;
	} while (k > r->cap - r->n);
	r->n += k;
	r->len = 0;
	return 0;
}

static int flush(struct render *r, char err[ERR_MAX])
{
	if (r->t->eats && r->n > 0)     /* then the text follows a token */
		trim_text(r, 0, TRIM_LEFT);
	return encode(r, err);
}

static int put_id(struct render *r, int id, char err[ERR_MAX])
{
	if (flush(r, err) < 0 || reserve(r, 1, err) < 0)
		return -1;
	r->v[r->n++] = id;
	return 0;
}

static int put_bos(struct render *r, char err[ERR_MAX])
{
	int bos = tokenizer_bos(r->tok);
	return bos < 0 ? 0 : put_id(r, bos, err);
}

static int put_eos(struct render *r, char err[ERR_MAX])
{
	int eos = tokenizer_eos(r->tok);
	return eos < 0 ? bad_token(r->t, "that ends a text (EOS)", err) : put_id(r, eos, err);
}

/* The row's token that s begins with, or -1. */
static int token_at(const struct render *r, const char *s)
{
	for (int i = 0; i < TOKENS_MAX && r->t->token[i]; i++)
		if (r->id[i] >= 0 && !strncmp(s, r->t->token[i], strlen(r->t->token[i])))
			return i;
	return -1;
}

/* The row's words s (NULL: none). */
static int put_words(struct render *r, const char *s, char err[ERR_MAX])
{
	for (int token; s && *s; s += token < 0 ? 1 : strlen(r->t->token[token])) {
		token = token_at(r, s);
		int rc = token >= 0 ? put_id(r, r->id[token], err) :
			 *s == *BOS ? put_bos(r, err) :
			 *s == *EOS ? put_eos(r, err) : put_text(r, s, 1, err);
		if (rc < 0)
			return -1;
	}
	return 0;
}

/* ---- turns ---- */

/* An earlier answer without its thoughts: what follows the last </think>. */
static struct turn without_thoughts(enum think think, struct turn u)
{
	static const char end[] = "</think>";
	bool breaks = think == THINK_DROPPED_BREAKS_ALWAYS;
	for (const char *at; think != THINK_KEPT && u.len &&
	     (at = memmem(u.text, u.len, end, sizeof end - 1));) {
		at += sizeof end - 1;
		u.len -= (size_t)(at - u.text);
		u.text = at;
		breaks |= think == THINK_DROPPED_BREAKS;
	}
	for (; breaks && u.len && *u.text == '\n'; u.len--)
		u.text++;
	return u;
}

static int put_content(struct render *r, size_t from, struct turn u, char err[ERR_MAX])
{
	if (put_text(r, u.text, u.len, err) < 0)
		return -1;
	trim_text(r, from, r->t->trim[u.who]);
	return 0;
}

/* A system prompt (NULL: the preamble alone) with the row's words around it. */
static int put_system(struct render *r, const struct turn *system, char err[ERR_MAX])
{
	const struct template *t = r->t;
	if (put_words(r, t->lead[SPEAKER_SYSTEM], err) < 0 ||
	    put_words(r, t->preamble, err) < 0 ||
	    (system && put_content(r, r->len, *system, err) < 0))
		return -1;
	return put_words(r, t->tail[SPEAKER_SYSTEM], err);
}

/* within: a system prompt that belongs into this question, or NULL. */
static int put_question(struct render *r, const struct turn *u, const struct turn *within,
			char err[ERR_MAX])
{
	const struct template *t = r->t;
	if (put_words(r, t->lead[SPEAKER_USER], err) < 0)
		return -1;
	size_t from = r->len;
	if (within && put_system(r, within, err) < 0)
		return -1;
	if (put_content(r, t->trim_whole ? from : r->len, *u, err) < 0)
		return -1;
	return put_words(r, t->tail[SPEAKER_USER], err);
}

static int put_answer(struct render *r, const struct turn *u, char err[ERR_MAX])
{
	const struct template *t = r->t;
	if (put_words(r, t->lead[SPEAKER_ASSISTANT], err) < 0 ||
	    put_words(r, t->gap, err) < 0 ||
	    put_content(r, r->len, without_thoughts(t->think, *u), err) < 0)
		return -1;
	return put_words(r, t->tail[SPEAKER_ASSISTANT], err);
}

/* What makes the model answer. */
static int put_opening(struct render *r, char err[ERR_MAX])
{
	if (put_words(r, r->t->lead[SPEAKER_ASSISTANT], err) < 0)
		return -1;
	return put_words(r, r->t->opening, err);
}

/* The same, and what the model has written already: all its white space is its own, none is trimmed
 * or eaten; the gap is for a text that begins without. */
static int put_begun(struct render *r, const struct turn *u, char err[ERR_MAX])
{
	bool spaced = space_at(u->text, u->len, false) > 0;
	if (put_opening(r, err) < 0 || (r->t->eats && flush(r, err) < 0) ||
	    put_words(r, spaced ? NULL : r->t->gap, err) < 0)
		return -1;
	return put_text(r, u->text, u->len, err) < 0 ? -1 : encode(r, err);
}

/* The question which takes the system prompt, or -1. */
static int system_place(const struct template *t, const struct turn *turns, int n)
{
	int found = -1;
	for (int i = 0; i < n && t->place != PLACE_TURN; i++)
		if (turns[i].who == SPEAKER_USER && (found < 0 || t->place == PLACE_LAST))
			found = i;
	return found;
}

static int put_turns(struct render *r, const struct turn *turns, int n, char err[ERR_MAX])
{
	const struct turn *system = n && turns->who == SPEAKER_SYSTEM ? turns : NULL;
	int rc = 0, place = system ? system_place(r->t, turns, n) : -1;
	if (r->t->place == PLACE_TURN && (system || r->t->preamble))
		rc = put_system(r, system, err);
	for (int i = system ? 1 : 0; i < n && rc == 0; i++) {
		const struct turn *u = &turns[i];
		if (u->who == SPEAKER_SYSTEM)
			rc = put_system(r, u, err);
		else if (u->who == SPEAKER_USER)
			rc = put_question(r, u, i == place ? system : NULL, err);
		else
			rc = put_answer(r, u, err);
	}
	return rc;
}

static int put_all(struct render *r, const struct turn *turns, int n, bool open_answer,
		   char err[ERR_MAX])
{
	const struct turn *last = n ? &turns[n - 1] : NULL;
	bool goes_on = !open_answer && last && last->who == SPEAKER_ASSISTANT;
	if (find_tokens(r->t, r->tok, r->id, err) < 0)
		return -1;
	if (!r->t->own_bos && tokenizer_add_bos(r->tok) && put_bos(r, err) < 0)
		return -1;
	if (put_words(r, r->t->start, err) < 0 || put_turns(r, turns, n - goes_on, err) < 0)
		return -1;
	if (goes_on)
		return put_begun(r, last, err);
	return open_answer && put_opening(r, err) < 0 ? -1 : flush(r, err);
}

int template_render(const struct template *t, struct tokenizer *tok, const struct turn *turns,
		    int n, bool open_answer, int **ids, int *n_ids, char err[ERR_MAX])
{
	struct render r = { .t = t, .tok = tok };
	int rc = put_all(&r, turns, n, open_answer, err);
	free(r.text);
	if (rc < 0) {
		free(r.v);
		return -1;
	}
	*ids = r.v;
	*n_ids = r.n;
	return 0;
}
