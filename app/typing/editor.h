/* editor.h - the prompt in the user's own editor.
 *
 * Invariant: the text comes back whole or stays what it was. */
#ifndef S3D_APP_EDITOR_H
#define S3D_APP_EDITOR_H
#include "base/util.h"

/* Runs $VISUAL, else $EDITOR, else vi, on a file with *n bytes of text; the caller has given the
 * terminal back.  What is in it then, malloc'ed, *n bytes and terminated; NULL with err. */
char *tui_editor(const char *text, size_t *n, char err[ERR_MAX]);
#endif
