/* grid.c - see grid.h.
 *
 * Every write goes through put_cell, which keeps rows whole: a wide grapheme that loses one of its
 * cells loses the others too, so that the widths of a row always add up to its columns. */
#include "ui/cell/grid.h"
#include "ui/cell/width.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static_assert((int)CELL_TEXT >= (int)GLYPH_MAX, "a glyph fits into a cell");

static const struct cell blank = { .width = 1, .role = ROLE_TEXT };

int grid_resize(struct grid *g, int rows, int cols)
{
	struct cell *cell;

	if (rows < 0 || cols < 0 || rows > 10000 || cols > 10000)
		return -1;
	cell = malloc(((size_t)rows * (size_t)cols + 1) * sizeof(*cell));
	if (!cell)
		return -1;
	for (int i = 0; i < rows * cols; i++)
		cell[i] = blank;
	free(g->cell);
	*g = (struct grid){ .rows = rows, .cols = cols, .cell = cell,
		.cursor_y = -1, .cursor_x = -1 };
	return 0;
}

void grid_free(struct grid *g)
{
	free(g->cell);
	*g = (struct grid){ .cursor_y = -1, .cursor_x = -1 };
}

struct cell *grid_at(const struct grid *g, int y, int x)
{
	if (y < 0 || x < 0 || y >= g->rows || x >= g->cols)
		return NULL;
	return &g->cell[(size_t)y * (size_t)g->cols + (size_t)x];
}

static void make_blank(struct cell *c)
{
	c->text[0] = '\0';
	c->width = 1;
}

/* The cell at x is about to change: a wide grapheme that it is a part of goes. */
static void split(struct grid *g, int y, int x)
{
	struct cell *c = grid_at(g, y, x);
	int n;

	while (!c->width)
		c--;
	n = c->width;
	for (int i = 0; i < n && n > 1; i++)
		make_blank(c + i);
}

/* width columns from x on are inside the grid. */
static void put_cell(struct grid *g, int y, int x, enum role role, int attr, const char *text,
		     size_t n, int width)
{
	struct cell *c = grid_at(g, y, x);

	for (int i = 0; i < width; i++) {
		split(g, y, x + i);
		c[i] = (struct cell){ .role = (unsigned char)role, .attr = (unsigned char)attr,
			.width = 1 };
	}
	for (int i = 1; i < width; i++)
		c[i].width = 0;
	c->width = (unsigned char)width;
	memcpy(c->text, text, n);
}

/* The part of r that is inside the grid. */
static struct rect clip(const struct grid *g, struct rect r)
{
	int y1 = r.y + r.h < g->rows ? r.y + r.h : g->rows;
	int x1 = r.x + r.w < g->cols ? r.x + r.w : g->cols;

	if (r.y < 0)
		r.y = 0;
	if (r.x < 0)
		r.x = 0;
	r.h = y1 > r.y ? y1 - r.y : 0;
	r.w = x1 > r.x ? x1 - r.x : 0;
	return r;
}

void grid_clear(struct grid *g, struct rect r, enum role role)
{
	r = clip(g, r);
	for (int y = r.y; y < r.y + r.h; y++)
		for (int x = r.x; x < r.x + r.w; x++)
			put_cell(g, y, x, role, 0, "", 0, 1);
}

/* Where text goes: one row of a clipped rectangle. */
struct pen {
	struct grid *g;
	int y, left, right;     /* columns left..right-1 may be written */
	enum role role;
	int attr;
};

static void pen_blanks(const struct pen *p, int x, int n)
{
	for (int end = x + n; x < end; x++)
		if (x >= p->left && x < p->right)
			put_cell(p->g, p->y, x, p->role, p->attr, "", 0, 1);
}

/* A visible form such as ^[ or <U+202E> takes a cell for each letter; a wide grapheme that would
 * stick out of the row is left out and leaves blanks. */
static void pen_glyph(const struct pen *p, int x, const struct glyph *g)
{
	size_t n = strlen(g->text);

	if ((unsigned char)g->text[0] < 0x80 && (size_t)g->width == n) {
		for (int i = 0; i < g->width; i++)
			if (x + i >= p->left && x + i < p->right)
				put_cell(p->g, p->y, x + i, p->role, p->attr, g->text + i, 1, 1);
	} else if (x >= p->left && x + g->width <= p->right) {
		put_cell(p->g, p->y, x, p->role, p->attr, g->text, n, g->width);
	} else {
		pen_blanks(p, x, g->width);
		if (g->width > 2 && x >= p->left && x < p->right)
			put_cell(p->g, p->y, x, p->role, p->attr, "…", strlen("…"), 1);
	}
}

int grid_put(struct grid *g, struct rect r, int y, int x, enum role role, int attr, const char *s,
	     size_t n)
{
	struct rect in = clip(g, r);
	struct pen p = { g, r.y + y, in.x, in.x + in.w, role, attr };
	int col = 0, at = r.x + x;
	size_t i = 0;

	if (p.y < in.y || p.y >= in.y + in.h || y < 0)
		p.right = p.left;
	while (i < n && at + col < p.right) {
		struct glyph one;

		if (s[i] == '\t') {
			int w = 8 - col % 8;

			pen_blanks(&p, at + col, w);
			col += w;
			i++;
			continue;
		}
		width_glyph(s + i, n - i, &one);
		pen_glyph(&p, at + col, &one);
		col += one.width;
		i += one.bytes;
	}
	return i < n ? width_of(s, n) : col;
}

int grid_printf(struct grid *g, struct rect r, int y, int x, enum role role, int attr,
		const char *fmt, ...)
{
	char buf[1024];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(buf, sizeof(buf), fmt, ap);
	va_end(ap);
	if (n < 0)
		return 0;
	if ((size_t)n >= sizeof(buf)) {
		n = (int)sizeof(buf) - 1;
		n -= (int)width_unfinished(buf, (size_t)n);
	}
	return grid_put(g, r, y, x, role, attr, buf, (size_t)n);
}

static void frame_row(struct grid *g, struct rect r, int y, enum role role, const char *left,
		      const char *right)
{
	grid_put(g, r, y, 0, role, 0, left, strlen(left));
	for (int x = 1; x < r.w - 1; x++)
		grid_put(g, r, y, x, role, 0, "─", strlen("─"));
	grid_put(g, r, y, r.w - 1, role, 0, right, strlen(right));
}

void grid_frame(struct grid *g, struct rect r, enum role role, const char *title)
{
	if (r.h < 2 || r.w < 2)
		return;
	frame_row(g, r, 0, role, "┌", "┐");
	for (int y = 1; y < r.h - 1; y++) {
		grid_put(g, r, y, 0, role, 0, "│", strlen("│"));
		grid_put(g, r, y, r.w - 1, role, 0, "│", strlen("│"));
	}
	frame_row(g, r, r.h - 1, role, "└", "┘");
	if (title && *title && r.w > 6) {
		struct rect top = { r.y, r.x + 2, 1, r.w - 4 };
		size_t n = width_fit(title, strlen(title), top.w - 2, NULL);
		int w = grid_put(g, top, 0, 1, ROLE_TITLE, 0, title, n);

		grid_put(g, top, 0, 0, role, 0, " ", 1);
		grid_put(g, top, 0, w + 1, role, 0, " ", 1);
	}
}
