/* svg.c - see svg.h.
 *
 * Stretches of cells of one look become one text element, held to its columns by textLength
 * whatever font is found.  Frames and bars are drawn as shapes, so that they meet between rows.
 * Invariant: every number written is whole; text is escaped. */
#include "ui/term/svg.h"
#include "base/utf8.h"

#include <string.h>

enum { CELL_W = 9, CELL_H = 20, BASE = 15, FONT = 15, EDGE = 14, ROUND = 8 };
enum { FOREGROUND = 0xc9ccd6, BACKGROUND = 0x14161b };  /* for the colour "default" */
enum { UP = 1, DOWN = 2, LEFT = 4, RIGHT = 8 };

static int code_point(const struct cell *c)
{
	size_t n = strlen(c->text);

	return n ? (int)utf8_value(c->text, utf8_next(c->text, n)) : ' ';
}

/* Which ways a line of a frame goes; 0: it is none. */
static int arms(int code)
{
	static const struct { int code, arms; } lines[] = {
		{ 0x2500, LEFT | RIGHT }, { 0x2502, UP | DOWN }, { 0x250c, DOWN | RIGHT },
		{ 0x2510, DOWN | LEFT }, { 0x2514, UP | RIGHT }, { 0x2518, UP | LEFT },
		{ 0x251c, UP | DOWN | RIGHT }, { 0x2524, UP | DOWN | LEFT },
		{ 0x252c, DOWN | LEFT | RIGHT }, { 0x2534, UP | LEFT | RIGHT },
		{ 0x253c, UP | DOWN | LEFT | RIGHT },
	};

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		if (lines[i].code == code)
			return lines[i].arms;
	return 0;
}

static bool is_bar(int code)
{
	return code >= 0x2581 && code <= 0x2588;
}

static bool is_text(const struct cell *c)
{
	int code = code_point(c);

	return c->width && !arms(code) && !is_bar(code);
}

static int rgb(const struct colour *c, int usual)
{
	return c->kind == COLOUR_DEFAULT ? usual : theme_rgb(c);
}

static void colours(const struct theme *t, const struct cell *c, int *fg, int *bg)
{
	const struct look *l = &t->look[c->role < ROLE_N ? c->role : 0];

	*fg = rgb(&l->fg, FOREGROUND);
	*bg = rgb(&l->bg, BACKGROUND);
	if ((l->attr | c->attr) & GRID_REVERSE) {
		int was = *fg;

		*fg = *bg;
		*bg = was;
	}
}

static bool same_look(const struct cell *a, const struct cell *b)
{
	return a->role == b->role && a->attr == b->attr;
}

static void rect(FILE *f, int x, int y, int w, int h, int colour)
{
	fprintf(f, "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" fill=\"#%06x\"/>\n", x, y, w,
		h, (unsigned)colour);
}

/* Grounds that are not the picture's own. */
static void print_grounds(FILE *f, const struct grid *g, const struct theme *t, int y)
{
	for (int x = 0, end; x < g->cols; x = end) {
		int fg, bg, next, usual = rgb(&t->look[ROLE_TEXT].bg, BACKGROUND);

		colours(t, grid_at(g, y, x), &fg, &bg);
		for (end = x + 1; end < g->cols; end++) {
			colours(t, grid_at(g, y, end), &fg, &next);
			if (next != bg)
				break;
		}
		if (bg != usual)
			rect(f, x * CELL_W, y * CELL_H, (end - x) * CELL_W, CELL_H, bg);
	}
}

/* Lines and bars: from x as far as the same one is repeated; returns where that ends. */
static int print_shape(FILE *f, const struct grid *g, const struct theme *t, int y, int x)
{
	const struct cell *c = grid_at(g, y, x);
	int code = code_point(c), way = arms(code), end = x + 1, fg, bg;
	int left = x * CELL_W, top = y * CELL_H, mid = left + CELL_W / 2, half = CELL_H / 2;

	colours(t, c, &fg, &bg);
	if (is_bar(code)) {
		int h = (code - 0x2580) * CELL_H / 8;

		rect(f, left, top + CELL_H - h, CELL_W, h, fg);
		return end;
	}
	while (code == 0x2500 && end < g->cols && code_point(grid_at(g, y, end)) == code &&
	       same_look(grid_at(g, y, end), c))
		end++;
	if (way & UP)
		rect(f, mid, top, 1, half + 1, fg);
	if (way & DOWN)
		rect(f, mid, top + half, 1, CELL_H - half, fg);
	if (way & LEFT)
		rect(f, left, top + half, CELL_W / 2 + 1, 1, fg);
	if (way & RIGHT)
		rect(f, mid, top + half, (end - x) * CELL_W - CELL_W / 2, 1, fg);
	return end;
}

static void print_escaped(FILE *f, const char *s)
{
	for (; *s; s++) {
		if (*s == '<' || *s == '&')
			fputs(*s == '<' ? "&lt;" : "&amp;", f);
		else
			fputc(*s, f);
	}
}

static void print_text(FILE *f, const struct grid *g, const struct theme *t, int y, int x, int end)
{
	const struct cell *c = grid_at(g, y, x);
	int attr = c->attr | t->look[c->role < ROLE_N ? c->role : 0].attr, fg, bg;

	colours(t, c, &fg, &bg);
	fprintf(f, "<text x=\"%d\" y=\"%d\" textLength=\"%d\" fill=\"#%06x\"%s%s%s%s>", x * CELL_W,
		y * CELL_H + BASE, (end - x) * CELL_W, (unsigned)fg,
		attr & GRID_BOLD ? " font-weight=\"bold\"" : "",
		attr & GRID_ITALIC ? " font-style=\"italic\"" : "",
		attr & GRID_UNDERLINE ? " text-decoration=\"underline\"" : "",
		attr & GRID_DIM ? " opacity=\"0.6\"" : "");
	for (; x < end; x++) {
		c = grid_at(g, y, x);
		if (c->width)
			print_escaped(f, *c->text ? c->text : " ");
	}
	fputs("</text>\n", f);
}

static void print_row(FILE *f, const struct grid *g, const struct theme *t, int y)
{
	print_grounds(f, g, t, y);
	for (int x = 0, end, last; x < g->cols; x = end) {
		const struct cell *c = grid_at(g, y, x);

		end = last = x + 1;
		if (!is_text(c)) {
			end = c->width ? print_shape(f, g, t, y, x) : end;
			continue;
		}
		if (code_point(c) == ' ')
			continue;
		/* Up to another look; blanks at the end are not needed. */
		while (end < g->cols && same_look(grid_at(g, y, end), c) &&
		       (!grid_at(g, y, end)->width || is_text(grid_at(g, y, end)))) {
			end++;
			if (code_point(grid_at(g, y, end - 1)) != ' ')
				last = end;
		}
		for (end = last; end < g->cols && !grid_at(g, y, end)->width; )
			end++;
		print_text(f, g, t, y, x, end);
	}
}

void svg_print(FILE *f, const struct grid *g, const struct theme *t)
{
	int w = g->cols * CELL_W, h = g->rows * CELL_H;

	fprintf(f, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"%d %d %d %d\" width=\"%d\" "
		"font-family=\"ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', "
		"'Liberation Mono', monospace\" font-size=\"%d\" xml:space=\"preserve\">\n"
		"<title>The screen of s3dchat</title>\n"
		"<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" rx=\"%d\" fill=\"#%06x\"/>\n"
		"<g shape-rendering=\"crispEdges\">\n",
		-EDGE, -EDGE, w + 2 * EDGE, h + 2 * EDGE, w + 2 * EDGE, FONT, -EDGE, -EDGE,
		w + 2 * EDGE, h + 2 * EDGE, ROUND,
		(unsigned)rgb(&t->look[ROLE_TEXT].bg, BACKGROUND));
	for (int y = 0; y < g->rows; y++)
		print_row(f, g, t, y);
	if (g->cursor_y >= 0)
		rect(f, g->cursor_x * CELL_W, g->cursor_y * CELL_H + 1, 2, CELL_H - 2,
		     rgb(&t->look[ROLE_INPUT].fg, FOREGROUND));
	fputs("</g>\n</svg>\n", f);
}
