/* svg.h - a grid as a picture: text that stays text, coloured by role.
 *
 * No state.  Invariant: equal grids and themes give equal bytes, on any machine. */
#ifndef S3D_UI_SVG_H
#define S3D_UI_SVG_H
#include "ui/term/theme.h"

#include <stdio.h>

void svg_print(FILE *, const struct grid *, const struct theme *);
#endif
