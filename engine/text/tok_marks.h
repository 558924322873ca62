/* tok_marks.h - the tokens that chat frames are made of, by their text.
 *
 * Fine-tunes often carry them with the wrong type, so their text decides.  No state.  Invariant:
 * every token of a built-in frame (template_rows.c) is in the list. */
#ifndef S3D_TOK_MARKS_H
#define S3D_TOK_MARKS_H
#include "engine/gguf/gguf.h"

enum mark { MARK_NONE, MARK_FRAME, MARK_END };  /* an end ends a turn, and is of the frame too */

/* text: as it stands in the file. */
enum mark mark_of(struct gguf_str text);
/* Whether a text is written as a mark is: <text> or [text]. */
bool mark_shaped(struct gguf_str text);

#endif
