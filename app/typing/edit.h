/* edit.h - how readline is set up for every kind of chat: its bytes, completion, keys, history.
 *
 * readline is a singleton, so this is one too.  The history file belongs to the user alone (0600,
 * in the XDG state folder).  Invariants: readline never touches a signal, and
 * never waits: it is given whole keys, and Ctrl+G where it asks for more. */
#ifndef S3D_APP_EDIT_H
#define S3D_APP_EDIT_H
#include <stdbool.h>
#include <stddef.h>

void edit_open(void);
void edit_close(void);
/* Hands readline, which has a line in work, the bytes of whole keys. */
void edit_feed(const char *bytes, size_t n);
bool edit_searching(void);              /* in the history, with Ctrl+R */
/* Puts a text into the line as it is; a search is over with that, and what it found stays. */
void edit_insert(const char *text);
/* Throws the line away: another, empty one is in work, behind the history, and a line of the
 * history that was shown is as it was.  Nothing is drawn. */
void edit_discard(void);
/* Ends the line in work; a text that was not sent becomes the last of the history. */
void edit_end(void);
void edit_remember(const char *line);   /* a line that was sent; "" is not kept */
#endif
