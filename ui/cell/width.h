/* width.h - the one rule for how wide text is and what of it may be shown.
 *
 * Everything that measures, cuts, wraps or draws text uses these calls, so that no two parts of the
 * program disagree.  Graphemes and widths come from utf8proc.  No state, no ownership.
 *
 * A cluster is as wide as its code points one after the other: a letter and a vowel sign that has a
 * place of its own (U+093F) take 2 columns, a thumb and its skin tone 4, an emoji with the selector
 * (VS16) 2.  Terminals disagree on which of these they join; so there is room on those that join
 * nothing, and a gap behind it on the others.
 * Invariant: what width_glyph gives never holds a control character, a bidi override, or bytes that
 * are not UTF-8. */
#ifndef S3D_UI_WIDTH_H
#define S3D_UI_WIDTH_H
#include <stdbool.h>
#include <stddef.h>

enum { GLYPH_MAX = 72 };        /* more than a cluster on a dotted circle */

struct glyph {
	size_t bytes;           /* of the source that it covers, >= 1 */
	int width;              /* columns, 1..12 */
	bool wide;              /* its first character is: a line may break around it (Chinese) */
	char text[GLYPH_MAX];   /* what to draw, terminated */
};

/* The first grapheme cluster of s[0..n-1] (n >= 1).  C0, DEL, C1, bidi controls, lone combining
 * marks and bad bytes come in a visible form; "\n" and "\t" are for the caller to see first.
 * A cluster of more than 64 bytes or 12 columns is taken in parts, so that a mountain of accents
 * costs no more than other text. */
void width_glyph(const char *s, size_t n, struct glyph *);
int width_of(const char *s, size_t n);        /* columns of a text without newlines; tab: to 8s */
/* Bytes of s that fit into cols columns; *used gets the columns taken (NULL allowed). */
size_t width_fit(const char *s, size_t n, int cols, int *used);
/* The last place in s, at <= n, where a glyph certainly begins, whatever stands before it. */
size_t width_border(const char *s, size_t n, size_t at);
/* How many bytes at the end of s may still change meaning when more text comes (an unfinished
 * UTF-8 sequence or grapheme cluster): a stream holds these back or redraws them. */
size_t width_unfinished(const char *s, size_t n);
#endif
