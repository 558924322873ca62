/* clip.h - text to the clipboard, through the terminal (OSC 52) or else into a file.
 *
 * Invariant: what goes out was made visible first, whatever it holds. */
#ifndef S3D_APP_CLIP_H
#define S3D_APP_CLIP_H
#include "base/util.h"

enum { CLIP_MAX = 74994 };      /* bytes that xterm takes */

/* note says where it went.  Standard output must not be in the middle of a sequence. */
int clip_copy(const char *text, size_t len, char note[ERR_MAX], char err[ERR_MAX]);
/* The sequence itself: malloc'ed and terminated; *n is its length. */
char *clip_sequence(const char *text, size_t len, size_t *n);
#endif
