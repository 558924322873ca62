/* file_name.c - see file_name.h.
 *
 * Invariant: what file_name_quote writes, file_name_unquote reads back. */
#include "app/config/file_name.h"
#include "app/config/args.h"

#include <readline/tilde.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n';
}

struct walk {
	char quote;             /* the one that is open, or 0 */
	bool mark;              /* the last byte was a quote, no part of the name */
	bool escaped;           /* a backslash stands before what comes next */
};

/* Looks at the next byte of a name; true if it is part of it. */
static bool step(struct walk *w, const char *s)
{
	bool was = w->escaped;

	w->mark = !was && (w->quote ? *s == w->quote : *s == '"' || *s == '\'');
	w->escaped = !was && *s == '\\' && s[1] &&
		(!w->quote || (w->quote == '"' && strchr("\"\\", s[1])));
	if (w->mark)
		w->quote = w->quote ? '\0' : *s;
	return !w->mark && !w->escaped;
}

/* Returns the quote that is still open at the end.  out has room for all of s. */
static char unquote(const char *s, char quote, char *out)
{
	struct walk w = { .quote = quote };
	size_t k = 0, end = 0;

	for (; *s; s++) {
		bool plain = !w.escaped && !w.quote;

		if (step(&w, s))
			out[k++] = *s;
		if (!plain || w.mark || !blank(*s))
			end = k;
	}
	out[end] = '\0';
	return w.quote;
}

char *file_name_unquote(const char *s, char quote)
{
	char *out = malloc(strlen(s) + 1);

	if (out)
		unquote(s, quote, out);
	return out;
}

char *file_name_home(const char *s)
{
	return *s == '~' && access(s, F_OK) ? tilde_expand_word(s) : strdup(s);
}

char *file_name_typed(const char *s)
{
	size_t n = strlen(s);
	char *name, *meant, *home;

	while (n && blank(s[n - 1]))
		n--;
	name = strndup(s, n);
	meant = malloc(strlen(s) + 1);
	if (!name || !meant || !access(name, F_OK) || unquote(s, '\0', meant)) {
		free(meant);
		return name;
	}
	free(name);
	home = *s == '~' ? file_name_home(meant) : strdup(meant);
	free(meant);
	return home;
}

char *file_name_quote(const char *s, char quote)
{
	char *out = malloc(4 * strlen(s) + 2), *p = out;

	if (!out)
		return NULL;
	if (quote)
		*p++ = quote;
	for (; *s; *p++ = *s++)
		if (quote == '\'' && *s == '\'')
			p = stpcpy(p, "'\\'");
		else if (quote != '\'' && strchr(quote ? "\"\\" : " \t\n\"'\\", *s))
			*p++ = '\\';
	*p = '\0';
	return out;
}

bool file_name_is_quoted(const char *line, size_t at)
{
	struct walk w = { 0 };

	for (size_t i = 0; i < at && line[i]; i++)
		step(&w, line + i);
	return w.quote || w.escaped;
}

static int replace(struct file_names *f, const char **name, char err[ERR_MAX])
{
	if (!*name || **name != '~')
		return 0;
	f->v[f->n] = file_name_home(*name);
	if (!f->v[f->n])
		return fail(err, "out of memory");
	*name = f->v[f->n++];
	return 0;
}

int file_names_open(struct file_names *f, struct options *o, char err[ERR_MAX])
{
	int rc = 0;

	for (int i = 0; i < o->n_args && !rc; i++)
		rc = replace(f, &o->arg[i], err);
	for (size_t i = 0; i < option_rows_n && !rc; i++)
		if (option_rows[i].kind == OPT_FILE)
			rc = replace(f, (const char **)((char *)o + option_rows[i].offset), err);
	return rc;
}

void file_names_free(struct file_names *f)
{
	while (f->n)
		free(f->v[--f->n]);
}
