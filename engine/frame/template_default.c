/* template_default.c - the system prompt that a file's own template has when none is given.
 *
 * It is read out of the template's text: a literal system turn (SmolLM2, Qwen2.5), or what is set
 * to a variable that the row names, which may add literals and dates (Granite, Mistral).  What is
 * computed in any other way is none.  Owns nothing.  Invariant: the template is hostile text; no
 * byte outside of it is read. */
#include "engine/frame/template_rows.h"
#include <stdlib.h>
#include <locale.h>
#include <string.h>
#include <time.h>

#define DATE_MAX 64
#define TRIES_MAX 64            /* places in a template that may hold the prompt */

struct cursor {
	const char *s;          /* n bytes of the template are left */
	size_t n;
	char *out;              /* room for the whole template and dates; len bytes are written */
	size_t len, cap;
};

static bool skip(struct cursor *c, const char *text)
{
	size_t k = strlen(text);
	if (k > c->n || memcmp(c->s, text, k) != 0)
		return false;
	c->s += k;
	c->n -= k;
	return true;
}

/* Goes on behind the next text of k bytes; false: there is none. */
static bool seek(struct cursor *c, const char *text, size_t k)
{
	const char *at = c->n && k ? memmem(c->s, c->n, text, k) : NULL;
	if (!at)
		return false;
	c->n -= (size_t)(at - c->s) + k;
	c->s = at + k;
	return true;
}

/* One character of a Jinja literal; false if it can not stand in one quoted so (quote 0: text
 * outside of any tag). */
static bool literal_char(struct cursor *c, char quote)
{
	static const char escapes[] = "n\nt\tr\r\\\\\'\'\"\"";
	size_t k = 1;
	char is = *c->s;
	if (quote ? is == quote : is == '{' || is == '}')
		return false;
	if (quote && is == '\\') {
		const char *e = escapes;
		while (c->n > 1 && *e && *e != c->s[1])
			e += 2;
		if (c->n < 2 || !*e)
			return false;
		is = e[1];
		k = 2;
	}
	if (c->len >= c->cap)
		return false;
	c->out[c->len++] = is;
	c->s += k;
	c->n -= k;
	return true;
}

/* A literal up to close, which is read too; false if it ends or computes before. */
static bool read_literal(struct cursor *c, char quote, const char *close)
{
	while (!skip(c, close))
		if (!c->n || !literal_char(c, quote))
			return false;
	return true;
}

/* ---- a literal system turn ---- */

/* The special token that ends the row's system turn, or NULL. */
static const char *closing(const struct template *t)
{
	for (int i = 0; i < TOKENS_MAX && t->token[i]; i++)
		if (!strncmp(t->tail[SPEAKER_SYSTEM], t->token[i], strlen(t->token[i])))
			return t->token[i];
	return NULL;
}

/* c stands behind the head of a system turn: its line breaks, spelled out or escaped, and then a
 * literal up to close. */
static bool turn_text(struct cursor *c, const char *breaks, char quote, const char *close)
{
	for (; *breaks; breaks++)
		if (!skip(c, "\n") && !(quote && skip(c, "\\n")))
			return false;
	return read_literal(c, quote, close) && c->len;
}

static bool literal_turn(const struct template *t, struct cursor *c)
{
	const char *lead = t->lead[SPEAKER_SYSTEM], *close = closing(t);
	size_t head = strcspn(lead, "\n");
	const char *begin = c->s;
	for (int i = 0; i < TRIES_MAX && close && seek(c, lead, head); i++) {
		char before = c->s - head > begin ? c->s[-(long)head - 1] : '\0';
		struct cursor try = *c;
		if (turn_text(&try, lead + head, before == '\'' || before == '"' ? before : '\0',
			      close)) {
			*c = try;
			return true;
		}
	}
	return false;
}

/* ---- what is set to a variable ---- */

/* Puts today's date in place of the format that was written from byte from on. */
static bool put_date(struct cursor *c, size_t from)
{
	char format[DATE_MAX] = "", date[DATE_MAX];
	struct tm tm;
	time_t now = time(NULL);
	if (c->len - from >= DATE_MAX)
		return false;
	memcpy(format, c->out + from, c->len - from);
	for (const char *p = format; (p = strchr(p, '%')); p += 2)
		if (!p[1] || !strchr("aAbBdmyY", p[1]))
			return false;
	locale_t english = newlocale(LC_TIME_MASK, "C", (locale_t)0);
	size_t k = english && localtime_r(&now, &tm) ?
		   strftime_l(date, sizeof date, format, &tm, english) : 0;
	if (english)
		freelocale(english);
	if (!k || k > c->cap - from)
		return false;
	memcpy(c->out + from, date, k);
	c->len = from + k;
	return true;
}

static bool expression(struct cursor *c, struct gguf_str jinja, int depth);

/* What the variable that c stands at was set to; it may not name another. */
static bool variable(struct cursor *c, struct gguf_str jinja, int depth)
{
	char set[DATE_MAX] = "set ";
	size_t k = 4;
	for (; c->n && k < sizeof set - 4 && (*c->s == '_' || (*c->s | 32) - 'a' + 0u < 26); c->n--)
		set[k++] = *c->s++;
	memcpy(set + k, " = ", 4);
	struct cursor at = { jinja.s, jinja.n, c->out, c->len, c->cap };
	if (k == 4 || depth > 0 || !seek(&at, set, k + 3) || !expression(&at, jinja, depth + 1))
		return false;
	c->len = at.len;
	return true;
}

static bool term(struct cursor *c, struct gguf_str jinja, int depth)
{
	size_t from = c->len;
	if (skip(c, "'"))
		return read_literal(c, '\'', "'");
	if (skip(c, "\""))
		return read_literal(c, '"', "\"");
	if (skip(c, "strftime_now('"))
		return read_literal(c, '\'', "')") && put_date(c, from);
	if (skip(c, "strftime_now(\""))
		return read_literal(c, '"', "\")") && put_date(c, from);
	return variable(c, jinja, depth);
}

static bool expression(struct cursor *c, struct gguf_str jinja, int depth)
{
	do {
		while (skip(c, " "))
			;
		if (!term(c, jinja, depth))
			return false;
		while (skip(c, " "))
			;
	} while (skip(c, "+"));
	return true;
}

/* Whether the template adds the row's further words, as a literal of their own. */
static bool adds_more(const struct template *t, struct gguf_str jinja)
{
	struct cursor c = { .s = jinja.s, .n = jinja.n };
	while (t->default_more && seek(&c, t->default_more, strlen(t->default_more)))
		if (skip(&c, "\" %}") || skip(&c, "' %}"))
			return true;
	return false;
}

static bool set_text(const struct template *t, struct gguf_str jinja, struct cursor *c)
{
	const char *at = t->default_at;
	size_t more = adds_more(t, jinja) ? strlen(t->default_more) : 0;
	for (int i = 0; i < TRIES_MAX && at && seek(c, at, strlen(at)); i++) {
		struct cursor try = *c;
		if (!expression(&try, jinja, 0) || !try.len || more > try.cap - try.len)
			continue;
		memcpy(try.out + try.len, t->default_more ? t->default_more : "", more);
		c->len = try.len + more;
		return true;
	}
	return false;
}

char *template_default_system(const struct template *t, const struct gguf *g)
{
	struct gguf_str jinja = { "", 0 };
	template_jinja(g, &jinja);
	size_t cap = 2 * jinja.n + DATE_MAX;
	char *out = malloc(cap + 1);
	struct cursor turn = { jinja.s, jinja.n, out, 0, cap }, set = turn;
	if (!out)
		return NULL;
	if (literal_turn(t, &turn))
		out[turn.len] = '\0';
	else if (set_text(t, jinja, &set))
		out[set.len] = '\0';
	else {
		free(out);
		return strdup(t->system ? t->system : "");
	}
	return out;
}
