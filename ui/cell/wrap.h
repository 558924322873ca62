/* wrap.h - lines cut into rows, by words and by cells.
 *
 * A line is a list of spans: stretches of source bytes that are shown, each in one look; bytes
 * between spans (Markdown's marks) are not shown.  The owner of a struct spans frees it.
 * Invariant: a row begins and ends at a grapheme's border, and every row but an empty line's takes
 * at least one grapheme, so wrapping always ends. */
#ifndef S3D_UI_WRAP_H
#define S3D_UI_WRAP_H
#include "ui/cell/width.h"

#include <stdbool.h>
#include <stdint.h>

struct span {
	uint32_t off, len;      /* of the source text */
	unsigned char role, attr;
};

struct spans {
	struct span *v;
	int n, cap;
};

int spans_add(struct spans *, struct span);     /* an empty one is left out; -1 without memory */
void spans_free(struct spans *);

struct wrap_pos {       /* at span == n: the line's end */
	int span;
	uint32_t off;
};

/* Columns of the glyph at s when it begins in column col of its row; a tab goes to the next 8th. */
int wrap_glyph(const char *s, size_t n, int col, struct glyph *);
struct wrap_pos wrap_begin(const struct spans *line);
/* The row that begins at *at: *end is where what is seen of it ends (blanks at the break are not
 * seen), *at moves on to the next row.  literal: blanks count and any grapheme may begin a row. */
void wrap_row(const char *text, const struct spans *line, int cols, bool literal,
	      struct wrap_pos *at, struct wrap_pos *end);
/* Adds the spans from a to b to out. */
int wrap_slice(const struct spans *line, struct wrap_pos a, struct wrap_pos b, struct spans *out);
#endif
