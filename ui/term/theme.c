/* theme.c - see theme.h.
 *
 * Distances between colours are taken in Oklab (Bjorn Ottosson, 2020), where equal steps look
 * alike.  The sixteen basic colours are whatever the user made of them, so nothing is matched to
 * them when a palette has fixed colours to offer. */
#include "ui/term/theme.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *const names[] = {
	"black", "red", "green", "yellow", "blue", "magenta", "cyan", "white",
	"brightblack", "brightred", "brightgreen", "brightyellow", "brightblue",
	"brightmagenta", "brightcyan", "brightwhite",
};

static const struct { const char *name; int bit; } attributes[] = {
	{ "bold", GRID_BOLD }, { "italic", GRID_ITALIC }, { "underline", GRID_UNDERLINE },
	{ "dim", GRID_DIM }, { "reverse", GRID_REVERSE }, { "normal", 0 },
};

/* What xterm shows for the first sixteen, as 0xrrggbb. */
static const int basic[16] = {
	0x000000, 0xcd0000, 0x00cd00, 0xcdcd00, 0x0000ee, 0xcd00cd, 0x00cdcd, 0xe5e5e5,
	0x7f7f7f, 0xff0000, 0x00ff00, 0xffff00, 0x5c5cff, 0xff00ff, 0x00ffff, 0xffffff,
};

static const struct { const char *key, *look; } roles[ROLE_N] = {
#define ROLE_ROW(id, key_, look_, help) [ROLE_##id] = { key_, look_ },
	ROLES(ROLE_ROW)
#undef ROLE_ROW
};

int theme_role(const char *key)
{
	for (int i = 0; i < ROLE_N; i++)
		if (!strcmp(roles[i].key, key))
			return i;
	return -1;
}

static bool hex_colour(const char *text, struct colour *c)
{
	unsigned long v;

	if (strlen(text) != 7 || strspn(text + 1, "0123456789abcdefABCDEF") != 6)
		return false;
	v = strtoul(text + 1, NULL, 16);
	*c = (struct colour){ .kind = COLOUR_RGB, .r = (unsigned char)(v >> 16),
			      .g = (unsigned char)(v >> 8), .b = (unsigned char)v };
	return true;
}

int theme_colour(const char *text, struct colour *c, char err[ERR_MAX])
{
	size_t n = strlen(text);

	if (*text == '#')
		return hex_colour(text, c) ? 0 :
			fail(err, "colour '%s': after # come six hexadecimal digits", text);
	if (n && n <= 3 && strspn(text, "0123456789") == n) {
		*c = (struct colour){ .kind = COLOUR_INDEX, .index = atoi(text) };
		return c->index <= 255 ? 0 : fail(err, "colour %s: the last one is 255", text);
	}
	if (!strcasecmp(text, "default")) {
		*c = (struct colour){ .kind = COLOUR_DEFAULT };
		return 0;
	}
	for (int i = 0; i < 16; i++)
		if (!strcasecmp(text, names[i])) {
			*c = (struct colour){ .kind = COLOUR_INDEX, .index = i };
			return 0;
		}
	return fail(err, "'%s' is no colour: default, black, red, green, yellow, blue, magenta, "
		    "cyan, white, bright before one of these, 0 to 255, or #rrggbb", text);
}

static int attribute(const char *word)
{
	for (size_t i = 0; i < sizeof(attributes) / sizeof(attributes[0]); i++)
		if (!strcasecmp(word, attributes[i].name))
			return attributes[i].bit;
	return -1;
}

int theme_look(const char *const *word, int n, struct look *look, char err[ERR_MAX])
{
	struct look l = { .attr = 0 };

	if (n < 2)
		return fail(err, "a foreground and a background colour are needed");
	if (theme_colour(word[0], &l.fg, err) || theme_colour(word[1], &l.bg, err))
		return -1;
	for (int i = 2; i < n; i++) {
		int bit = attribute(word[i]);

		if (bit < 0)
			return fail(err, "'%s' is no attribute: bold, italic, underline, dim, "
				    "reverse or normal", word[i]);
		l.attr |= bit;
	}
	*look = l;
	return 0;
}

void theme_default(struct theme *t)
{
	char err[ERR_MAX], text[64];

	*t = (struct theme){ .look = { { .attr = 0 } } };
	for (int i = 0; i < ROLE_N; i++) {
		const char *word[8];
		char *save = text;
		int n = 0;

		strncpy(text, roles[i].look, sizeof(text) - 1);
		text[sizeof(text) - 1] = '\0';
		for (char *w; n < 8 && (w = strtok_r(save, " ", &save)); n++)
			word[n] = w;
		theme_look(word, n, &t->look[i], err);
	}
}

static bool same_colour(const struct colour *a, const struct colour *b)
{
	return a->kind == b->kind &&
	       (a->kind == COLOUR_DEFAULT || theme_rgb(a) == theme_rgb(b));
}

bool theme_same(const struct theme *a, const struct theme *b)
{
	for (int i = 0; i < ROLE_N; i++)
		if (a->look[i].attr != b->look[i].attr ||
		    !same_colour(&a->look[i].fg, &b->look[i].fg) ||
		    !same_colour(&a->look[i].bg, &b->look[i].bg))
			return false;
	return true;
}

void theme_strip(struct theme *t)
{
	for (int i = 0; i < ROLE_N; i++)
		t->look[i] = (struct look){ .attr = t->look[i].attr };
}

static int pack(int r, int g, int b)
{
	return r << 16 | g << 8 | b;
}

/* Entry i of the palette of 256, as 0xrrggbb. */
static int palette(int i)
{
	static const int step[6] = { 0, 95, 135, 175, 215, 255 };

	if (i < 16)
		return basic[i];
	if (i >= 232)
		return pack(8 + 10 * (i - 232), 8 + 10 * (i - 232), 8 + 10 * (i - 232));
	i -= 16;
	return pack(step[i / 36], step[i / 6 % 6], step[i % 6]);
}

struct lab { double l, a, b; };

static double linear(int v)
{
	double x = v / 255.0;

	return x <= 0.04045 ? x / 12.92 : pow((x + 0.055) / 1.055, 2.4);
}

static struct lab oklab(int rgb)
{
	double r = linear(rgb >> 16 & 255), g = linear(rgb >> 8 & 255), b = linear(rgb & 255);
	double l = cbrt(0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b);
	double m = cbrt(0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b);
	double s = cbrt(0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b);

	return (struct lab){
		0.2104542553 * l + 0.7936177850 * m - 0.0040720468 * s,
		1.9779984951 * l - 2.4285922050 * m + 0.4505937099 * s,
		0.0259040371 * l + 0.7827717662 * m - 0.8086757660 * s,
	};
}

static int nearest(int rgb, int from, int to)
{
	struct lab want = oklab(rgb);
	/* Where colours are few, a wrong hue (a grey that turns cyan) is worse than a wrong
	 * brightness. */
	double least = INFINITY, hue = to > 16 ? 1 : 6;
	int best = from;

	for (int i = from; i < to; i++) {
		struct lab c = oklab(palette(i));
		double d = (c.l - want.l) * (c.l - want.l) +
			   hue * ((c.a - want.a) * (c.a - want.a) +
				  (c.b - want.b) * (c.b - want.b));

		if (d < least) {
			least = d;
			best = i;
		}
	}
	return best;
}

int theme_rgb(const struct colour *c)
{
	return c->kind == COLOUR_RGB ? pack(c->r, c->g, c->b) : palette(c->index & 255);
}

int theme_nearest(const struct colour *c, int n_colours)
{
	int rgb = theme_rgb(c);

	if (c->kind == COLOUR_DEFAULT || n_colours < 8)
		return -1;
	if (n_colours >= 1 << 24) {
		/* A terminal with direct colours takes 0 to 7 for the basic ones. */
		if (c->kind == COLOUR_INDEX && c->index < 8)
			return c->index;
		return rgb < 8 && rgb ? 8 : rgb;
	}
	if (c->kind == COLOUR_INDEX && c->index < n_colours)
		return c->index;
	return n_colours >= 256 ? nearest(rgb, 16, 256) : nearest(rgb, 0, n_colours < 16 ? 8 : 16);
}

static bool same(const struct colour *a, const struct colour *b)
{
	if (a->kind != b->kind)
		return false;
	return a->kind == COLOUR_INDEX ? a->index == b->index :
	       a->kind == COLOUR_DEFAULT || (a->r == b->r && a->g == b->g && a->b == b->b);
}

void theme_pair(const struct look *look, int n_colours, int *fg, int *bg)
{
	*fg = theme_nearest(&look->fg, n_colours);
	*bg = theme_nearest(&look->bg, n_colours);
	if (*fg == *bg && *bg >= 0 && *bg < 256 && !same(&look->fg, &look->bg))
		*fg = oklab(palette(*bg)).l > 0.5 ? 0 : 7;
}
