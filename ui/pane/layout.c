/* layout.c - see layout.h.
 *
 * From top to bottom: title, chat, one line of numbers (narrow windows), input, hints.  In a wide
 * window the numbers stand to the right of chat and input instead, between title and hints. */
#include "ui/pane/layout.h"

enum {
	ROWS_LEAST = 5, COLS_LEAST = 20,
	INPUT_MOST = 10,
	HINTS_ROWS = 7,         /* from this height on there is room for the hints */
	LINE_ROWS = 8,          /* and for the numbers on one line */
	SIDE_ROWS = 10, SIDE_COLS = 70, SIDE_WIDTH = 26, SIDE_WIDTH_MOST = 36,
};

static enum stats_form stats_form(int rows, int cols, bool wanted)
{
	if (!wanted)
		return STATS_NONE;
	if (rows >= SIDE_ROWS && cols >= SIDE_COLS)
		return STATS_SIDE;
	return rows >= LINE_ROWS ? STATS_LINE : STATS_NONE;
}

static int side_width(int cols)
{
	int w = SIDE_WIDTH + (cols - SIDE_COLS) / 5;

	return w < SIDE_WIDTH_MOST ? w : SIDE_WIDTH_MOST;
}

static int input_height(int rows, int wanted)
{
	int most = rows / 3 < INPUT_MOST ? rows / 3 : INPUT_MOST;

	return wanted < 1 ? 1 : wanted < most ? wanted : most;
}

void layout_compute(int rows, int cols, const struct layout_want *want, struct layout *l)
{
	int top = 1, bottom = rows, left = cols, input = input_height(rows, want->input_rows);

	*l = (struct layout){ .too_small = rows < ROWS_LEAST || cols < COLS_LEAST };
	if (l->too_small)
		return;
	l->pane[PANE_TITLE] = (struct rect){ .h = 1, .w = cols };
	if (want->hints && rows >= HINTS_ROWS) {
		bottom--;
		l->pane[PANE_HINTS] = (struct rect){ .y = bottom, .h = 1, .w = cols };
	}
	l->stats = stats_form(rows, cols, want->stats);
	if (l->stats == STATS_SIDE) {
		left -= side_width(cols);
		l->pane[PANE_STATS] = (struct rect){ top, left, bottom - top, cols - left };
	}
	bottom -= input;
	l->pane[PANE_INPUT] = (struct rect){ bottom, 0, input, left };
	if (l->stats == STATS_LINE) {
		bottom--;
		l->pane[PANE_STATS] = (struct rect){ bottom, 0, 1, cols };
	}
	l->pane[PANE_CHAT] = (struct rect){ top, 0, bottom - top, left };
}
