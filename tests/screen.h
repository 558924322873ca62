/* screen.h - what the tests of the transcript share: two views, a document, a grid to draw on. */
#ifndef S3D_TESTS_SCREEN_H
#define S3D_TESTS_SCREEN_H
#include "ui/text/transcript.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

static const struct transcript_view pretty = { .origins = true, .markdown = true,
	.fold_think = true };
static const struct transcript_view raw = { 0 };

static inline void add(struct transcript *t, enum block_kind kind, const char *text)
{
	assert_true(transcript_add(t, kind, text, strlen(text)) >= 0);
}

static inline void more(struct transcript *t, enum role origin, const char *text)
{
	assert_int_equal(transcript_append(t, origin, text, strlen(text)), 0);
}

static inline void draw(struct transcript *t, struct grid *g, int rows, int cols,
		 const struct transcript_view *v)
{
	assert_int_equal(grid_resize(g, rows, cols), 0);
	transcript_draw(t, g, (struct rect){ 0, 0, rows, cols }, v);
}

static const char document[] =
	"\n# Title #\n\n\nSome **bold** and *it* `a *b*`, 2*3*4, a_b_c, __init__, \\*no\\*.\r\n"
	"- item one is long and wraps\n  * nested\n12. twelve is long and it wraps\n"
	"```c\n\tint x;  /* **kept** */\n\n```\n> quote\n---\n***both*** **open *shut*\n\n";
#endif
