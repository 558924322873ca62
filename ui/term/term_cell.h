/* term_cell.h - private to ui/term: one grapheme of the grid in a terminal, for term.c.
 *
 * curses holds one character and what has no width of its own in a cell.  A grapheme of more
 * (a vowel sign with a place of its own, a skin tone, a family) is left blank there and written
 * over the blanks when curses has done its work, with the cursor sent to it and away again:
 * whatever a terminal makes of it, nothing else moves.
 * Owns nothing but a buffer of bytes for the terminal.  curses.h comes before this file. */
#ifndef S3D_UI_TERM_CELL_H
#define S3D_UI_TERM_CELL_H
#include "ui/cell/grid.h"

#include <curses.h>

/* The cells of curses for c, width of them at most, into out; returns how many.  unicode: the
 * locale can say more than ASCII.  *over: they are blanks that term_cell_over must fill. */
int term_cell(cchar_t *out, const struct cell *c, int width, bool unicode, attr_t, short pair,
	      bool *over);
/* Writes a grapheme over what curses has drawn. */
void term_cell_over(int y, int x, const struct cell *c, attr_t, short pair);
/* After the last of them: the cursor goes back to y, x, where curses believes it to be. */
void term_cell_over_end(int y, int x);
#endif
