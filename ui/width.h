/* width.h - the one rule for how wide text is and what of it may be shown.
 *
 * Everything that measures, cuts, wraps or draws text uses these calls, so that no two parts of the
 * program disagree.  Graphemes and widths come from utf8proc.  No state, no ownership.
 * Invariant: what text_glyph gives never holds a control character, a bidi override, or bytes that
 * are not UTF-8. */
#ifndef S3D_UI_WIDTH_H
#define S3D_UI_WIDTH_H
#include <stddef.h>

enum { GLYPH_MAX = 32 };

struct glyph {
	size_t bytes;           /* of the source that it covers, >= 1 */
	int width;              /* columns: 0..2; visible forms like ^[ or <U+202E> take more */
	char text[GLYPH_MAX];   /* what to draw, terminated */
};

/* The first grapheme cluster of s[0..n-1] (n >= 1).  C0, DEL, C1, bidi controls, lone combining
 * marks and bad bytes come in a visible form; "\n" and "\t" are for the caller to see first.
 * Of a cluster that is too long for g->text the beginning is drawn; one of more than 64 bytes is
 * taken in parts, so that a mountain of accents costs no more than other text. */
void text_glyph(const char *s, size_t n, struct glyph *);
int text_width(const char *s, size_t n);        /* columns of a text without newlines; tab: to 8s */
/* Bytes of s that fit into cols columns; *used gets the columns taken (NULL allowed). */
size_t text_fit(const char *s, size_t n, int cols, int *used);
/* How many bytes at the end of s may still change meaning when more text comes (an unfinished
 * UTF-8 sequence or grapheme cluster): a stream holds these back or redraws them. */
size_t text_unfinished(const char *s, size_t n);
#endif
