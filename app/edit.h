/* edit.h - how readline is set up for every kind of chat: completion, keys, history.
 *
 * readline is a singleton, so this is one too.  The history file belongs to the user alone (0600,
 * in the XDG state folder).  Invariant: readline never touches a signal. */
#ifndef S3D_APP_EDIT_H
#define S3D_APP_EDIT_H

void edit_open(void);
void edit_close(void);
void edit_remember(const char *line);   /* a line that was sent; "" is not kept */
#endif
