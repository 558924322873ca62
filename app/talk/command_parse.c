/* command_parse.c - what was typed after a slash: which command of commands.h, and its argument.
 *
 * Invariant: it looks at the text alone, and changes nothing. */
#include "app/talk/commands.h"
#include "app/config/file_name.h"

#include <stdlib.h>
#include <string.h>

#define ROW(id, name_, also_, arg_, help_) \
	[COMMAND_##id] = { .name = (name_), .also = (also_), .arg = (arg_), .help = (help_) },
const struct command_row command_rows[COMMAND_N] = { COMMANDS(ROW) };
#undef ROW

static bool is_named(const struct command_row *r, const char *name, size_t n)
{
	if (strlen(r->name) == n && !strncmp(r->name, name, n))
		return true;
	for (const char *p = r->also; *p; p += strcspn(p, " "), p += *p == ' ')
		if (strcspn(p, " ") == n && !strncmp(p, name, n))
			return true;
	return false;
}

bool command_hides(const char *text)
{
	return *text == '/' &&
	       (text[1] == '/' || !memchr(text + 1, '/', strcspn(text + 1, " \t\n")));
}

int command_parse(const char *line, size_t len, struct command *c, const char **text,
		  char err[ERR_MAX])
{
	size_t n;

	*text = line;
	if (*line != '/')
		return 0;
	if (line[1] == '/') {
		*text = line + 1;
		return 0;
	}
	n = strcspn(line + 1, " \t\n");
	if (memchr(line + 1, '/', n))
		return 0;               /* a path */
	for (c->id = 0; c->id < COMMAND_N; c->id++)
		if (n && is_named(&command_rows[c->id], line + 1, n))
			break;
	if (c->id == COMMAND_N)
		return fail(err, "no command '/%.*s'; /help lists them (a text that begins with a "
			    "slash: write two)", (int)(n < 40 ? n : 40), line + 1);
	c->arg = line + 1 + n + strspn(line + 1 + n, " \t\n");
	c->len = len - (size_t)(c->arg - line);
	if (strlen(c->arg) < c->len && c->id != COMMAND_SYSTEM && c->id != COMMAND_EDIT)
		return fail(err, "/%s cannot take a zero byte", command_rows[c->id].name);
	if (*c->arg && !*command_rows[c->id].arg)
		return fail(err, "/%s takes nothing behind it", command_rows[c->id].name);
	if (!*c->arg && *command_rows[c->id].arg && *command_rows[c->id].arg != '[')
		return fail(err, "/%s needs a %s", command_rows[c->id].name,
			    command_rows[c->id].arg);
	return 1;
}

bool command_takes_file(const char *line)
{
	size_t n = *line == '/' ? strcspn(line + 1, " \t\n") : 0;

	for (int i = 0; i < COMMAND_N && n; i++)
		if (is_named(&command_rows[i], line + 1, n))
			return strstr(command_rows[i].arg, "FILE") != NULL;
	return false;
}

char *command_argument(const struct command *c, size_t *n)
{
	const char *kind = command_rows[c->id].arg;
	char *arg;

	*n = c->len;
	if (strstr(kind, "FILE")) {
		arg = file_name_typed(c->arg);
		*n = arg ? strlen(arg) : 0;
		return arg;
	}
	while (!strstr(kind, "TEXT") && *n && strchr(" \t\n", c->arg[*n - 1]))
		--*n;
	arg = malloc(*n + 1);
	if (arg) {
		memcpy(arg, c->arg, *n);
		arg[*n] = '\0';
	}
	return arg;
}
