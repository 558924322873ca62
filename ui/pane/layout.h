/* layout.h - where the panes are: pure arithmetic, no drawing.
 *
 * Invariant: rectangles do not overlap, lie inside rows x cols, and a shown pane is not empty. */
#ifndef S3D_UI_LAYOUT_H
#define S3D_UI_LAYOUT_H
#include "ui/cell/grid.h"

enum pane_id { PANE_TITLE, PANE_CHAT, PANE_STATS, PANE_INPUT, PANE_HINTS, PANE_N };

enum stats_form { STATS_NONE, STATS_LINE, STATS_SIDE };

struct layout_want {
	int input_rows;         /* 1..10 that the text being typed takes */
	bool stats, hints;      /* shown if there is room */
};

struct layout {
	bool too_small;         /* below 20 x 5: nothing but a notice fits */
	enum stats_form stats;
	struct rect pane[PANE_N];       /* h == 0: not shown */
};

void layout_compute(int rows, int cols, const struct layout_want *, struct layout *);
#endif
