/* tui_theme.c - from one theme to another.
 *
 * Invariant: a theme that cannot be read leaves the one in use. */
#include "app/tui/tui.h"

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

static int take_theme(struct tui *t, const char *name)
{
	char err[ERR_MAX];

	if (!config_theme(&t->cfg, name, err))
		return 0;
	tui_say(t, BLOCK_ERROR, err);
	return -1;
}

/* The next one that looks otherwise than the screen does now. */
static void other_theme(struct tui *t)
{
	struct theme before = t->cfg.theme;
	char names[THEMES_MAX][64];
	const char *to;

	for (int tries = 0; tries < THEMES_MAX && (to = next_theme(t, names)); tries++) {
		take_theme(t, to);
		snprintf(t->theme, sizeof(t->theme), "%.63s", to);
		if (!theme_same(&before, &t->cfg.theme))
			return;
	}
}

void tui_theme(struct tui *t, const char *name)
{
	char note[96];

	if (!*name)
		other_theme(t);
	else if (take_theme(t, name))
		return;
	else
		snprintf(t->theme, sizeof(t->theme), "%.63s", name);
	snprintf(note, sizeof(note), "theme %.63s", t->theme);
	tui_flash(t, ROLE_NOTICE, note);
	t->want |= TUI_THEME;
}
