/* theme.h - what each role looks like, for the colours that a terminal has.
 *
 * struct theme is plain data.  Invariant: every role has a look; on a terminal without colours (or
 * with NO_COLOR set) only attributes are left. */
#ifndef S3D_UI_THEME_H
#define S3D_UI_THEME_H
#include "base/util.h"
#include "ui/cell/grid.h"

struct colour {
	enum { COLOUR_DEFAULT, COLOUR_INDEX, COLOUR_RGB } kind;
	int index;              /* 0..255 */
	unsigned char r, g, b;
};

struct look {
	struct colour fg, bg;
	int attr;               /* GRID_* */
};

struct theme {
	struct look look[ROLE_N];
};

void theme_default(struct theme *);             /* from the ROLES table */
bool theme_same(const struct theme *, const struct theme *);
int theme_role(const char *key);                /* enum role, or -1 */
/* "red", "brightred", "0".."255", "#rrggbb", "default". */
int theme_colour(const char *text, struct colour *, char err[ERR_MAX]);
/* fg, bg and attribute words as in the ROLES table. */
int theme_look(const char *const *word, int n, struct look *, char err[ERR_MAX]);
int theme_rgb(const struct colour *);           /* as 0xrrggbb; not for the default colour */
/* The nearest of n_colours (8, 16, 256, or 1 << 24): an index, or -1 for the default colour. */
int theme_nearest(const struct colour *, int n_colours);
/* Both colours of a look by theme_nearest; where few colours make two different ones the same, the
 * text turns black or white, so that it can be read. */
void theme_pair(const struct look *, int n_colours, int *fg, int *bg);
void theme_strip(struct theme *);               /* only attributes stay (NO_COLOR) */
#endif
