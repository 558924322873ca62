/* pane_input.h - the text being typed, wrapped into its rectangle.
 *
 * No state: what is drawn depends on the arguments alone, so it follows every resize by itself.
 * Invariant: the row of the cursor is always among those drawn. */
#ifndef S3D_UI_PANE_INPUT_H
#define S3D_UI_PANE_INPUT_H
#include "ui/cell/grid.h"

enum { INPUT_ROWS_MAX = 10 };

struct input_view {
	const char *label;      /* before the text: "> ", or what a history search says */
	const char *text;
	size_t n, point;        /* bytes; where the cursor is */
};

/* Rows that the text takes in cols columns, 1..INPUT_ROWS_MAX. */
int pane_input_rows(const struct input_view *, int cols);
void pane_input_draw(struct grid *, struct rect, const struct input_view *);
/* Where the cursor goes one line of the text up (by < 0) or down; n + 1: there is none. */
size_t pane_input_move(const struct input_view *, int by);
/* Where the cursor goes one grapheme to the left (by < 0) or right; at the ends it stays. */
size_t pane_input_step(const struct input_view *, int by);
#endif
