/* headless.h - a grid as text, for tests and for pictures of the screen.
 *
 * Two forms: what is seen, one line a row, blanks at the end cut, the cursor named below; and with
 * roles a second map of one letter a cell.  Invariant: equal grids give equal text. */
#ifndef S3D_UI_HEADLESS_H
#define S3D_UI_HEADLESS_H
#include "ui/cell/grid.h"

#include <stdio.h>

void headless_print(FILE *, const struct grid *, bool roles);
#endif
