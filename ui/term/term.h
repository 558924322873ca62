/* term.h - the real terminal: a grid shown through curses, raw bytes read.
 *
 * One terminal, so one state, inside term.c.  Standard input and output are the terminal; main has
 * called setlocale.  Between term_open and term_close only these calls may touch it.
 * Invariant: after term_close, term_suspend or term_restore_now the terminal's modes are those
 * found by term_open, and nothing is written to a terminal that has vanished. */
#ifndef S3D_UI_TERM_H
#define S3D_UI_TERM_H
#include "base/util.h"
#include "ui/cell/grid.h"
#include "ui/term/theme.h"

/* Whether the terminal (what TERM says, or NULL) can do a full screen; -1: it cannot, and why. */
int term_able(const char *name, char why[ERR_MAX]);
int term_open(char err[ERR_MAX]);
void term_close(void);
/* The last resort: async-signal-safe, for crash handlers; does nothing when not open. */
void term_restore_now(void);

int term_size(int *rows, int *cols);    /* as the kernel says now; -1: unknown */
void term_resize(void);                 /* after SIGWINCH: curses takes on the new size */
int term_colours(void);                 /* 0: none */
/* Sends what differs from the last time; redraw_all: everything. */
void term_show(const struct grid *, const struct theme *, bool redraw_all);
void term_bell(void);

/* What was typed, never blocking; 0: nothing, or term_gone(). */
size_t term_read(char *buf, size_t n);
bool term_gone(void);                   /* hung up */

void term_mouse(bool on);                /* whether its wheel and clicks are read, if it has any */
void term_suspend(void);                /* give the terminal back (before a stop, or $EDITOR) */
void term_resume(void);                 /* take it again; the next term_show redraws all */
/* Raw bytes from the program itself (OSC 52); the caller vouches for them. */
void term_write(const char *s, size_t n);
#endif
