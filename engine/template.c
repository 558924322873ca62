/* template.c - see template.h.
 *
 * A frame is a row of data: the tokens around a turn and the words between them.  What stands
 * between two special tokens, role and content together, is encoded as one plain text, because
 * that is how the model was trained: a line break of the frame and one that begins the content
 * may be one token.  Invariant: special tokens come from the frame by id, never from text. */
#include "engine/template.h"
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define NAMES "chatml"
#define KEY "tokenizer.chat_template"
#define MARKS_MAX 4

struct template {
	const char *name;
	const char *has[MARKS_MAX];     /* texts that the file's template must contain */
	const char *lacks[MARKS_MAX];   /* and must not: relatives with another shape */
	const char *open, *close;       /* special tokens around a turn */
	const char *role[3];            /* by enum speaker, with what parts it from the content */
	const char *between;            /* after close */
};

static const struct template templates[] = {
	{
		.name = "chatml",
		.has = { "<|im_start|>", "<|im_end|>" },
		.lacks = { "<|im_sep|>", "<end_of_utterance>" },
		.open = "<|im_start|>",
		.close = "<|im_end|>",
		.role = { "system\n", "user\n", "assistant\n" },
		.between = "\n",
	},
};
#define N_TEMPLATES (sizeof templates / sizeof *templates)

/* ---- choosing ---- */

const struct template *template_find(const char *name)
{
	for (size_t i = 0; i < N_TEMPLATES; i++)
		if (!strcmp(templates[i].name, name))
			return &templates[i];
	return NULL;
}

const char *template_name(const struct template *t)
{
	return t->name;
}

const char *template_names(void)
{
	return NAMES;
}

static const char *find_text(struct gguf_str in, const char *text)
{
	return in.n ? memmem(in.s, in.n, text, strlen(text)) : NULL;
}

static bool fits(const struct template *t, struct gguf_str jinja)
{
	for (int i = 0; i < MARKS_MAX; i++)
		if ((t->has[i] && !find_text(jinja, t->has[i])) ||
		    (t->lacks[i] && find_text(jinja, t->lacks[i])))
			return false;
	return true;
}

static int special_id(const struct template *t, const struct tokenizer *tok, const char *text,
		      char err[ERR_MAX])
{
	int id = tokenizer_find(tok, text);
	if (id < 0)
		return fail(err, "chat template %s needs the token %s, which the model's "
			    "vocabulary lacks; --chat-template takes: " NAMES, t->name, text);
	return id;
}

const struct template *template_guess(const struct gguf *g, const struct tokenizer *tok,
				      char err[ERR_MAX])
{
	struct gguf_str jinja;
	if (!gguf_string(g, KEY, &jinja)) {
		fail(err, "%s has no " KEY "; name one with --chat-template: " NAMES,
		     gguf_path(g));
		return NULL;
	}
	for (size_t i = 0; i < N_TEMPLATES; i++) {
		const struct template *t = &templates[i];
		if (!fits(t, jinja))
			continue;
		if (special_id(t, tok, t->open, err) < 0 || special_id(t, tok, t->close, err) < 0)
			return NULL;
		return t;
	}
	fail(err, "%s: its " KEY " is none that is built in; name one with --chat-template: " NAMES,
	     gguf_path(g));
	return NULL;
}

/* ---- the file's own system prompt ---- */

/* One character of a Jinja literal from s into out; returns the bytes read, 0 if s holds what can
 * not stand in a literal quoted so (quote 0: text outside of any tag). */
static size_t literal_char(const char *s, size_t n, char quote, char *out)
{
	static const char escapes[] = "n\nt\tr\r\\\\'\'\"\"";
	*out = *s;
	if (!quote)
		return *s != '{' && *s != '}';
	if (*s != '\\')
		return *s != quote;
	for (const char *e = escapes; n > 1 && *e; e += 2)
		if (s[1] == *e) {
			*out = e[1];
			return 2;
		}
	return 0;
}

/* s[0..n-1], quoted with quote, read up to close; NULL if the literal ends or computes before. */
static char *read_literal(const char *s, size_t n, char quote, const char *close)
{
	char *out = malloc(n + 1);
	size_t len = 0, end = strlen(close);
	while (out && n >= end && memcmp(s, close, end) != 0) {
		size_t k = literal_char(s, n, quote, &out[len++]);
		if (!k) {
			free(out);
			return NULL;
		}
		s += k;
		n -= k;
	}
	if (out && n >= end) {
		out[len] = '\0';
		return out;
	}
	free(out);
	return NULL;
}

/* The role's line break, which the template may spell out or escape: its length, or 0. */
static size_t break_length(const char *s, size_t n, char quote)
{
	if (n > 0 && *s == '\n')
		return 1;
	return quote && n > 1 && s[0] == '\\' && s[1] == 'n' ? 2 : 0;
}

char *template_default_system(const struct template *t, const struct gguf *g)
{
	struct gguf_str jinja = { "", 0 };
	gguf_string(g, KEY, &jinja);
	size_t head = strlen(t->open) + strlen(t->role[SPEAKER_SYSTEM]) - 1;
	for (const char *at; (at = find_text(jinja, t->open));) {
		size_t left = jinja.n - (size_t)(at - jinja.s);
		char before = at > jinja.s ? at[-1] : '\0';
		char quote = before == '\'' || before == '"' ? before : '\0';
		if (left > head && !memcmp(at + strlen(t->open), t->role[SPEAKER_SYSTEM],
					   strlen(t->role[SPEAKER_SYSTEM]) - 1)) {
			size_t br = break_length(at + head, left - head, quote);
			char *text = br ? read_literal(at + head + br, left - head - br, quote,
						       t->close) : NULL;
			if (text && *text)
				return text;
			free(text);
		}
		jinja = (struct gguf_str){ at + 1, left - 1 };
	}
	return calloc(1, 1);
}

/* ---- rendering ---- */

struct render {
	struct tokenizer *tok;
	int *v;                 /* (cap) malloc'ed */
	int n, cap;
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

static int put_id(struct render *r, int id, char err[ERR_MAX])
{
	if (reserve(r, 1, err) < 0)
		return -1;
	r->v[r->n++] = id;
	return 0;
}

/* A token stands for one byte at least, so len tokens are room enough. */
static int put_text(struct render *r, const char *s, size_t len, char err[ERR_MAX])
{
	if (reserve(r, len, err) < 0)
		return -1;
	int k = tokenizer_encode(r->tok, s, len, false, r->v + r->n, r->cap - r->n, err);
	if (k < 0)
		return -1;
	r->n += k;
	return 0;
}

static int put_turn(struct render *r, int open, const char *role, const char *text, size_t len,
		    char err[ERR_MAX])
{
	size_t n_role = strlen(role);
	if (len > INT_MAX / 4)
		return fail(err, "a message of %zu bytes is too long", len);
	char *whole = malloc(n_role + len + 1);
	if (!whole)
		return fail(err, "out of memory for a message of %zu bytes", len);
	memcpy(whole, role, n_role);
	if (len)
		memcpy(whole + n_role, text, len);
	int rc = put_id(r, open, err);
	if (rc == 0)
		rc = put_text(r, whole, n_role + len, err);
	free(whole);
	return rc;
}

static int put_all(struct render *r, const struct template *t, const struct turn *turns, int n,
		   bool open_answer, char err[ERR_MAX])
{
	int open = special_id(t, r->tok, t->open, err);
	int close = open < 0 ? -1 : special_id(t, r->tok, t->close, err);
	if (close < 0)
		return -1;
	if (tokenizer_add_bos(r->tok) && put_id(r, tokenizer_bos(r->tok), err) < 0)
		return -1;
	for (int i = 0; i < n; i++) {
		const struct turn *u = &turns[i];
		if (put_turn(r, open, t->role[u->who], u->text, u->len, err) < 0)
			return -1;
		if (i == n - 1 && u->who == SPEAKER_ASSISTANT && !open_answer)
			return 0;
		if (put_id(r, close, err) < 0 ||
		    put_text(r, t->between, strlen(t->between), err) < 0)
			return -1;
	}
	return open_answer ? put_turn(r, open, t->role[SPEAKER_ASSISTANT], "", 0, err) : 0;
}

int template_render(const struct template *t, struct tokenizer *tok, const struct turn *turns,
		    int n, bool open_answer, int **ids, int *n_ids, char err[ERR_MAX])
{
	struct render r = { .tok = tok };
	if (put_all(&r, t, turns, n, open_answer, err) < 0) {
		free(r.v);
		return -1;
	}
	*ids = r.v;
	*n_ids = r.n;
	return 0;
}
