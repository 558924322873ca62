/* prompt.h - the line being typed on the full screen: readline in callback mode, fed by hand.
 *
 * readline edits, remembers and completes; it neither reads the terminal nor writes to it.  A
 * singleton, as readline is.  Invariant: nothing here waits: bytes that readline asks for beyond
 * those fed are answered with Ctrl+G, which ends whatever asked. */
#ifndef S3D_APP_PROMPT_H
#define S3D_APP_PROMPT_H
#include "ui/pane/pane_input.h"

#include <stdbool.h>

int prompt_open(void);                  /* -1 without memory or /dev/null */
void prompt_close(void);
void prompt_feed(const char *bytes, size_t n);          /* of whole keys */
void prompt_insert(const char *text, size_t n);         /* as it is; bytes of 0 are left out */
/* What is there to draw; points into readline, valid until the next call. */
void prompt_view(struct input_view *);
void prompt_move(size_t point);
void prompt_delete(size_t from, size_t to);
void prompt_set(const char *text, size_t n);    /* likewise, instead of what is there */
char *prompt_take(void);                /* sent: into the history; malloc'ed, NULL: no memory */
bool prompt_searching(void);            /* in the history, with Ctrl+R */
/* The completions of the last Tab if there were several, once; else NULL.  Free it. */
char *prompt_matches(void);
#endif
