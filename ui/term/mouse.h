/* mouse.h - what a terminal tells of the mouse, as keys.
 *
 * Only the wheel and a click are told apart; no state.
 * Invariant: a report is taken whole, so that no part of it becomes text. */
#ifndef S3D_UI_MOUSE_H
#define S3D_UI_MOUSE_H
#include <stdbool.h>
#include <stddef.h>

#define MOUSE_ON "\033[?1000h\033[?1006h"
#define MOUSE_OFF "\033[?1006l\033[?1000l"

/* Whether a report begins at s (n >= 3 bytes, ESC [ and what follows). */
bool mouse_report(const char *s, size_t n);
/* Its bytes, and the key KEYSYM_WHEEL_UP, _DOWN, _CLICK or _UNKNOWN; 0: more must come. */
size_t mouse_decode(const char *s, size_t n, bool final, unsigned *key);
/* Rows that a turn of the wheel wants, up > 0, where the terminal makes Up and Down of it: these
 * come several at once, those of a hand one by one.  0: s is not that. */
int mouse_as_keys(const char *s, size_t n);
#endif
