/* input.h - lines from the user: readline on a terminal, plain lines from a pipe.
 *
 * readline is a singleton, so this is one too; the caller polls standard input.
 * Invariant: between input_end and input_begin the terminal is in the state the shell left it. */
#ifndef S3D_APP_INPUT_H
#define S3D_APP_INPUT_H
#include <stdbool.h>
#include <stddef.h>

/* editing: with readline, history and completion; escape: see typed_patience. */
void input_open(bool editing, double escape);
void input_close(void);
void input_begin(void);                 /* shows the prompt */
void input_end(void);
void input_put_back(const char *text);  /* to be edited when the prompt is shown next */
/* readable: poll says that there is something.  true: *line is a malloc'ed line of *n bytes, any,
 * or NULL at the end of the input. */
bool input_take(bool readable, char **line, size_t *n);
double input_patience(void);            /* seconds until input_take has to look again; < 0: none */
bool input_discard(void);               /* Ctrl+C: true if there was a text to throw away */
void input_suspend(void);               /* Ctrl+Z; returns when the program goes on */
void input_resize(void);
#endif
