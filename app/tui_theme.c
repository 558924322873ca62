/* tui_theme.c - from one theme to the next.
 *
 * Invariant: a theme that cannot be read leaves the one in use. */
#include "app/tui.h"

#include <stdio.h>
#include <string.h>

enum { THEMES_MAX = 64 };

void tui_next_theme(struct tui *t)
{
	char names[THEMES_MAX][64], err[ERR_MAX], note[96];
	int n = config_themes(names, THEMES_MAX), at = 0;

	if (n < 1)
		return;
	while (at < n && strcmp(names[at], t->theme) != 0)
		at++;
	at = at < n ? (at + 1) % n : 0;
	if (config_theme(&t->cfg, names[at], err)) {
		tui_say(t, BLOCK_ERROR, err);
		return;
	}
	memcpy(t->theme, names[at], sizeof(t->theme));
	snprintf(note, sizeof(note), "theme %.63s", names[at]);
	tui_flash(t, ROLE_NOTICE, note);
	t->want |= TUI_THEME;
}
