/* pane_input.c - see pane_input.h.
 *
 * A place (row, column) is found for every grapheme, row by row; later lines are indented like the
 * first, behind the label.  Only what lies between the first row that is drawn and the cursor is
 * looked at, and the line of the first row from its start: a text may have a million bytes.
 * Invariant: layout and drawing walk the same way. */
#include "ui/pane/pane_input.h"
#include "ui/cell/width.h"

#include <string.h>

enum { ROWS_MOST = 512 };       /* no screen has more */

struct walk {
	const struct input_view *v;
	int cols, indent;
	size_t at;              /* byte of the next grapheme */
	int row, col;           /* where it goes */
	struct glyph glyph;     /* it; bytes == 0: a newline or the end */
};

static void walk_begin(struct walk *w, const struct input_view *v, int cols)
{
	int indent = width_of(v->label, strlen(v->label));

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
			width_glyph(s, w->v->n - w->at, &w->glyph);
	}
	/* The cursor needs a column of its own behind the last grapheme. */
	if (w->col + (w->glyph.bytes ? w->glyph.width : 1) > w->cols && w->col > w->indent) {
		w->row++;
		w->col = w->indent;
		if (w->glyph.bytes && *s == '\t')
			w->glyph.width = 8;     /* as where the row begins with it */
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

static size_t line_start(const struct input_view *v, size_t at)
{
	const char *nl = at ? memrchr(v->text, '\n', at) : NULL;

	return nl ? (size_t)(nl - v->text) + 1 : 0;
}

/* Over plain letters that end in this row and before `stop`: of a long text most are. */
static void walk_run(struct walk *w, size_t stop)
{
	const char *s = w->v->text;
	size_t most = w->at + (size_t)(w->col < w->cols ? w->cols - w->col : 0);

	most = most < stop ? most : stop;
	/* What stands behind a letter decides what it is. */
	while (w->at < most && w->at + 1 < w->v->n && s[w->at] >= ' ' && s[w->at] < 0x7f &&
	       (unsigned char)s[w->at + 1] < 0x80) {
		w->at++;
		w->col++;
	}
}

/* The cursor stands on the glyph that was looked at. */
static bool at_cursor(const struct walk *w, bool more)
{
	return !more || w->at + w->glyph.bytes > w->v->point || w->at >= w->v->point;
}

int pane_input_rows(const struct input_view *v, int cols)
{
	struct walk w;

	for (walk_begin(&w, v, cols); w.row + 1 < INPUT_ROWS_MAX; walk_on(&w)) {
		walk_run(&w, v->n);
		if (!walk_look(&w))
			break;
	}
	return w.row + 1 < INPUT_ROWS_MAX ? w.row + 1 : INPUT_ROWS_MAX;
}

struct rows {                   /* where the last rows of a walk begin, at most `most` */
	size_t begin[ROWS_MOST];
	int n, most;
};

/* Rows of the line at `from`, up to the cursor or its end. */
static int line_rows(const struct input_view *v, int cols, size_t from, struct rows *r)
{
	struct walk w;
	bool more;

	walk_begin(&w, v, cols);
	w.at = r->begin[0] = from;
	for (r->n = 1; ; walk_on(&w)) {
		walk_run(&w, v->point);
		more = walk_look(&w);
		if (w.row == r->n)
			r->begin[r->n++ % r->most] = w.at;
		if (at_cursor(&w, more) || !w.glyph.bytes)
			return r->n;
	}
}

/* Where the row that is drawn first begins: the last of h rows is the cursor's, if there are as
 * many before it. */
static size_t find_top(const struct input_view *v, int cols, int h)
{
	struct rows r = { .most = h < ROWS_MOST ? h : ROWS_MOST };
	size_t from = line_start(v, v->point);
	int need = r.most, n;

	for (;;) {
		n = line_rows(v, cols, from, &r);
		if (n >= need)
			return r.begin[(n - need) % r.most];
		need -= n;
		if (!from)
			return 0;
		from = line_start(v, from - 1);
	}
}

static void draw_text(struct grid *g, struct rect r, const struct input_view *v, size_t top)
{
	struct walk w;
	bool more = true, placed = false;

	walk_begin(&w, v, r.w);
	for (w.at = top; more && w.row < r.h; ) {
		more = walk_look(&w);
		if (w.row >= r.h)
			break;
		if (!placed && at_cursor(&w, more)) {
			placed = true;
			g->cursor_y = r.y + w.row;
			g->cursor_x = r.x + (w.col < r.w ? w.col : r.w - 1);
		}
		if (more && w.glyph.bytes)
			grid_put(g, r, w.row, w.col, ROLE_INPUT, 0, w.glyph.text,
				 strlen(w.glyph.text));
		if (more)
			walk_on(&w);
	}
}

void pane_input_draw(struct grid *g, struct rect r, const struct input_view *v)
{
	struct walk w;
	size_t top;

	if (r.h < 1 || r.w < 1)
		return;
	top = find_top(v, r.w, r.h);
	grid_clear(g, r, ROLE_INPUT);
	walk_begin(&w, v, r.w);
	if (!top)       /* of a long label the end: what a search in the history looks for */
		grid_put(g, (struct rect){ r.y, r.x, 1, w.indent }, 0,
			 w.indent - width_of(v->label, strlen(v->label)), ROLE_PROMPT, 0,
			 v->label, strlen(v->label));
	draw_text(g, r, v, top);
}

size_t pane_input_move(const struct input_view *v, int by)
{
	size_t start = line_start(v, v->point), to, end;
	const char *nl;
	int used;

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
	return to + width_fit(v->text + to, end - to,
			     width_of(v->text + start, v->point - start), &used);
}

size_t pane_input_step(const struct input_view *v, int by)
{
	size_t at = width_border(v->text, v->n, v->point && by < 0 ? v->point - 1 : v->point);
	size_t before = at;
	struct glyph g;

	/* There is no walking back in clusters: it begins where one surely does. */
	while (at < v->n && (by < 0 ? at < v->point : at <= v->point)) {
		g.bytes = 1;
		if (v->text[at] != '\n')
			width_glyph(v->text + at, v->n - at, &g);
		before = at;
		at += g.bytes;
	}
	return by < 0 ? before : at;
}
