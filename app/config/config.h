/* config.h - the one little language of configuration and theme files.
 *
 *	set KEY VALUE              an option of the table in app/config/options.h
 *	color ROLE FG BG ATTR...   the look of a role
 *	bind KEY ACTION            a key
 *	source FILE                another file: beside this one, then user, then data directory
 *	# comment
 *
 * Unknown lines are warnings with file:line, never fatal.  No global state; where NO_COLOR is set
 * looks keep only their attributes.  Texts that set lines gave to options live in struct config,
 * which must outlive them and stay where it is. */
#ifndef S3D_APP_CONFIG_H
#define S3D_APP_CONFIG_H
#include "app/config/options.h"
#include "ui/term/keys.h"
#include "ui/term/theme.h"

struct config {
	struct options *opt;    /* NULL: set lines are checked but change nothing */
	struct theme theme;
	struct keymap keys;
	/* Takes a warning ("FILE:LINE: what"); ctx is the caller's.  Without it they are kept in
	 * warnings, a line each, as far as there is room. */
	void (*warn)(void *ctx, const char *text);
	void *ctx;
	char warnings[8192];
	char text[4096];        /* values of set lines; text_n bytes are taken */
	size_t text_n;
};

void config_default(struct config *, struct options *);
/* One line; where stands before the error's text. */
int config_line(struct config *, const char *line, const char *where, char err[ERR_MAX]);
int config_file(struct config *, const char *path, char err[ERR_MAX]);
/* $XDG_CONFIG_HOME/s3dchat/config, when there is one; then command line options win. */
int config_user(struct config *, char err[ERR_MAX]);
/* A theme by name: user themes before installed before built-in ones.  It replaces all looks; only
 * color and source count in it.  On failure the theme is as it was. */
int config_theme(struct config *, const char *name, char err[ERR_MAX]);
/* Names of all themes that can be found, sorted, built-in ones included. */
int config_themes(char names[][64], int max);
#endif
