/* grid.h - the screen as a grid of cells, which panes draw into.
 *
 * A struct grid owns its cells.  Nothing here knows of curses: ui/term/term.c shows a grid in a
 * terminal, ui/term/headless.c prints one.  Invariant: a cell holds one grapheme (or the rest of
 * a wide one, width 0), never a control character; the widths of a row add up to its columns; text
 * is cut at its rectangle's edge, never wrapped. */
#ifndef S3D_UI_GRID_H
#define S3D_UI_GRID_H
#include "ui/cell/role.h"

#include <stdbool.h>
#include <stddef.h>

struct rect { int y, x, h, w; };

enum { CELL_TEXT = 72 };        /* bytes of a grapheme at most (GLYPH_MAX of ui/cell/width.h) */

struct cell {
	char text[CELL_TEXT];   /* terminated; "" is a blank */
	unsigned char width;    /* columns; 0: a grapheme that began further left goes on here */
	unsigned char role;     /* enum role */
	unsigned char attr;     /* GRID_* */
};

enum { GRID_BOLD = 1, GRID_ITALIC = 2, GRID_UNDERLINE = 4, GRID_DIM = 8, GRID_REVERSE = 16 };

struct grid {
	int rows, cols;
	struct cell *cell;      /* (rows, cols) */
	int cursor_y, cursor_x; /* -1: hidden */
};

int grid_resize(struct grid *, int rows, int cols);     /* -1 without memory; contents are lost */
void grid_free(struct grid *);
void grid_clear(struct grid *, struct rect, enum role);
/* Draws n bytes (made visible: see width.h) at row y, column x of the rectangle; returns the
 * columns that the text takes, drawn or not. */
int grid_put(struct grid *, struct rect, int y, int x, enum role, int attr, const char *s,
	     size_t n);
int grid_printf(struct grid *, struct rect, int y, int x, enum role, int attr, const char *fmt, ...)
	__attribute__((format(printf, 7, 8)));
void grid_frame(struct grid *, struct rect, enum role, const char *title);
struct cell *grid_at(const struct grid *, int y, int x);        /* NULL outside */
#endif
