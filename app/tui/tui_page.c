/* tui_page.c - what is shown over the conversation: help, and what commands have to say.
 *
 * Invariant: the rows of the page point into page_text or into tables. */
#include "app/talk/commands.h"
#include "app/tui/tui.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void add_row(struct tui *t, const char *key, const char *text, bool heading)
{
	if (t->page.n < TUI_HELP_ROWS)
		t->row[t->page.n++] = (struct help_row){ key, text, heading };
}

static void open_page(struct tui *t, const char *title)
{
	tui_page_close(t);
	t->page = (struct help_page){ .title = title, .row = t->row };
	t->page_open = true;
}

void tui_page_close(struct tui *t)
{
	free(t->page_text);
	t->page_text = NULL;
	t->page_open = false;
}

void tui_page(struct tui *t, const char *title, const char *text)
{
	char *at;

	open_page(t, title);
	at = t->page_text = strdup(text);
	while (at && *at) {
		char *end = at + strcspn(at, "\n");
		bool more = *end;

		*end = '\0';
		add_row(t, NULL, at, false);
		at = end + more;
	}
}

/* All keys of an action, as they are bound now; returns where the next text goes. */
static char *key_names(const struct keymap *k, int action, char *out)
{
	char *start = out;

	*out = '\0';
	for (int i = 0; i < k->n; i++) {
		char name[32];

		if (k->row[i].action != action)
			continue;
		keys_name(k->row[i].key, name);
		out += sprintf(out, "%s%s", out > start ? " " : "", name);
	}
	return out + 1;
}

void tui_help(struct tui *t)
{
	size_t room = (size_t)(KEYMAP_MAX + COMMAND_N) * 64 + ACTION_N;
	char *at;

	open_page(t, "help");
	at = t->page_text = malloc(room);
	if (!at)
		return;
	add_row(t, NULL, "Keys (PgUp and PgDn scroll this page, Esc closes it)", true);
	for (int a = 0; a < ACTION_N; a++) {
		char *next = key_names(&t->cfg.keys, a, at);

		if (*at)
			add_row(t, at, action_rows[a].help, false);
		at = next;
	}
	add_row(t, "Tab", "complete a command or a file name", false);
	add_row(t, "Up Down Ctrl+R", "earlier prompts; search in them", false);
	add_row(t, NULL, "", false);
	add_row(t, NULL, "Commands", true);
	for (int c = 0; c < COMMAND_N; c++) {
		const struct command_row *r = &command_rows[c];

		add_row(t, at, r->help, false);
		at += snprintf(at, 64, "/%s %s", r->name, r->arg) + 1;
	}
	add_row(t, "//...", "a text that begins with a slash", false);
}
