/* tui_say.c - remarks of the program, in the conversation and in the line of the key hints.
 *
 * Invariant: nothing comes between the tokens of an answer: it waits in `later` meanwhile. */
#include "app/tui/tui.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool tui_answering(const struct tui *t)
{
	return t->talk.ready && t->talk.busy;
}

void tui_flash(struct tui *t, enum role role, const char *text)
{
	size_t n = strcspn(text, "\n");

	snprintf(t->flash, sizeof(t->flash), "%.*s", (int)(n < TUI_FLASH ? n : TUI_FLASH), text);
	t->flash_role = role;
	t->flash_until = t->now + 4;
}

void tui_say(struct tui *t, enum block_kind kind, const char *text)
{
	size_t n = strlen(text);
	void *more;

	while (n && text[n - 1] == '\n')
		n--;
	if (!tui_answering(t)) {
		transcript_add(t->log, kind, text, n);
		return;
	}
	tui_flash(t, kind == BLOCK_ERROR ? ROLE_ERROR : ROLE_NOTICE, text);
	more = realloc(t->later, (size_t)(t->n_later + 1) * sizeof(*t->later));
	if (!more)
		return;
	t->later = more;
	t->later[t->n_later].kind = kind;
	t->later[t->n_later].text = strndup(text, n);
	t->n_later += t->later[t->n_later].text != NULL;
}
