/* pane_input.c - see pane_input.h.
 *
 * Text is laid out once from its start: a place (row, column) for every grapheme.  Later lines are
 * indented like the first, behind the label.  Invariant: layout and drawing walk the same way. */
#include "ui/pane_input.h"
#include "ui/width.h"

#include <string.h>

struct walk {
	const struct input_view *v;
	int cols, indent;
	size_t at;              /* byte of the next grapheme */
	int row, col;           /* where it goes */
	struct glyph glyph;     /* it; bytes == 0: a newline or the end */
};

static void walk_begin(struct walk *w, const struct input_view *v, int cols)
{
	int indent = text_width(v->label, strlen(v->label));

	*w = (struct walk){ .v = v, .cols = cols > 1 ? cols : 2 };
	w->indent = indent < w->cols / 2 ? indent : w->cols / 2;
	w->col = w->indent;
}

/* Looks at the next grapheme and finds its place; false at the end. */
static bool walk_look(struct walk *w)
{
	const char *s = w->v->text + w->at;

	w->glyph.bytes = 0;
	if (w->at < w->v->n && *s != '\n') {
		if (*s == '\t')
			w->glyph = (struct glyph){ .bytes = 1,
				.width = 8 - (w->col - w->indent) % 8 };
		else
			text_glyph(s, w->v->n - w->at, &w->glyph);
	}
	/* The cursor needs a column of its own behind the last grapheme. */
	if (w->col + (w->glyph.bytes ? w->glyph.width : 1) > w->cols && w->col > w->indent) {
		w->row++;
		w->col = w->indent;
	}
	return w->at < w->v->n;
}

static void walk_on(struct walk *w)
{
	if (w->glyph.bytes) {
		w->at += w->glyph.bytes;
		w->col += w->glyph.width;
		return;
	}
	w->at++;
	w->row++;
	w->col = w->indent;
}

/* All rows; *cursor gets the row of the cursor. */
static int count_rows(const struct input_view *v, int cols, int *cursor)
{
	struct walk w;
	bool more = true;

	*cursor = -1;
	for (walk_begin(&w, v, cols); more; ) {
		more = walk_look(&w);
		if (*cursor < 0 && w.at + w.glyph.bytes > v->point)
			*cursor = w.row;
		if (*cursor < 0 && (w.at >= v->point || !more))
			*cursor = w.row;
		if (more)
			walk_on(&w);
	}
	return w.row + 1;
}

int pane_input_rows(const struct input_view *v, int cols)
{
	int cursor, rows = count_rows(v, cols, &cursor);

	return rows < INPUT_ROWS_MAX ? rows : INPUT_ROWS_MAX;
}

static void draw_text(struct grid *g, struct rect r, const struct input_view *v, int top)
{
	struct walk w;
	bool more = true, placed = false;

	for (walk_begin(&w, v, r.w); more && w.row < top + r.h; ) {
		int y;

		more = walk_look(&w);
		y = w.row - top;
		if (y >= r.h)
			break;
		if (!placed && (!more || w.at + w.glyph.bytes > v->point || w.at >= v->point)) {
			placed = true;
			g->cursor_y = r.y + y;
			g->cursor_x = r.x + (w.col < r.w ? w.col : r.w - 1);
		}
		if (more && y >= 0 && w.glyph.bytes)
			grid_put(g, r, y, w.col, ROLE_INPUT, 0, w.glyph.text,
				 strlen(w.glyph.text));
		if (more)
			walk_on(&w);
	}
}

void pane_input_draw(struct grid *g, struct rect r, const struct input_view *v)
{
	int cursor, rows, top;
	struct walk w;

	if (r.h < 1 || r.w < 1)
		return;
	rows = count_rows(v, r.w, &cursor);
	top = cursor < r.h ? 0 : cursor - r.h + 1;
	if (top > rows - r.h)
		top = rows > r.h ? rows - r.h : 0;
	grid_clear(g, r, ROLE_INPUT);
	walk_begin(&w, v, r.w);
	if (!top)
		grid_put(g, (struct rect){ r.y, r.x, 1, w.indent }, 0, 0, ROLE_PROMPT, 0, v->label,
			 strlen(v->label));
	draw_text(g, r, v, top);
}

static size_t line_start(const struct input_view *v, size_t at)
{
	while (at && v->text[at - 1] != '\n')
		at--;
	return at;
}

size_t pane_input_move(const struct input_view *v, int by)
{
	size_t start = line_start(v, v->point), to, end;
	int col = text_width(v->text + start, v->point - start), used;
	const char *nl;

	if (by < 0) {
		if (!start)
			return v->n + 1;
		to = line_start(v, start - 1);
		end = start - 1;
	} else {
		nl = v->n > v->point ? memchr(v->text + v->point, '\n', v->n - v->point) : NULL;
		if (!nl)
			return v->n + 1;
		to = (size_t)(nl - v->text) + 1;
		nl = v->n > to ? memchr(v->text + to, '\n', v->n - to) : NULL;
		end = nl ? (size_t)(nl - v->text) : v->n;
	}
	return to + text_fit(v->text + to, end - to, col, &used);
}

size_t pane_input_step(const struct input_view *v, int by)
{
	size_t at = line_start(v, v->point), before = at ? at - 1 : 0;
	struct glyph g = { .bytes = 1 };

	/* Clusters are found from the start of the line: there is no walking back in them. */
	while (at < v->n && (by < 0 ? at < v->point : at <= v->point)) {
		if (v->text[at] == '\n')
			g.bytes = 1;
		else
			text_glyph(v->text + at, v->n - at, &g);
		before = at;
		at += g.bytes;
	}
	return by < 0 ? (v->point ? before : 0) : at;
}
