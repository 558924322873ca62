/* tui_theme.c - from one theme to another.
 *
 * Invariant: a theme that cannot be read leaves the one in use. */
#include "app/tui.h"

#include <stdio.h>
#include <string.h>

enum { THEMES_MAX = 64 };

static const char *next_theme(const struct tui *t, char names[][64])
{
	int n = config_themes(names, THEMES_MAX), at = 0;

	while (at < n && strcmp(names[at], t->theme) != 0)
		at++;
	return n < 1 ? NULL : names[at < n ? (at + 1) % n : 0];
}

void tui_theme(struct tui *t, const char *name)
{
	char names[THEMES_MAX][64], err[ERR_MAX], note[96];
	const char *to = *name ? name : next_theme(t, names);

	if (!to)
		return;
	if (config_theme(&t->cfg, to, err)) {
		tui_say(t, BLOCK_ERROR, err);
		return;
	}
	snprintf(t->theme, sizeof(t->theme), "%.63s", to);
	snprintf(note, sizeof(note), "theme %.63s", to);
	tui_flash(t, ROLE_NOTICE, note);
	t->want |= TUI_THEME;
}
