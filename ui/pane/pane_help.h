/* pane_help.h - a page of rows over the conversation: help, lists, long answers of commands.
 *
 * The caller keeps the rows' texts.  Invariant: top is clamped when it is drawn, so a resize
 * never leaves an empty page. */
#ifndef S3D_UI_PANE_HELP_H
#define S3D_UI_PANE_HELP_H
#include "ui/cell/grid.h"

struct help_row {
	const char *key;        /* left column, or NULL: text takes the whole row */
	const char *text;
	bool heading;
};

struct help_page {
	const char *title;
	const struct help_row *row;
	int n;
	int top;                /* first row shown, of those that wrapping makes */
};

void pane_help_draw(struct grid *, struct rect, struct help_page *);
#endif
