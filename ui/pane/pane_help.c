/* pane_help.c - see pane_help.h.
 *
 * Invariant: counting rows and drawing them is the same walk, with or without a grid. */
#include "ui/pane/pane_help.h"
#include "ui/cell/width.h"

#include <string.h>

struct page_walk {
	struct grid *g;         /* NULL: only count */
	struct rect r;          /* inside of the frame */
	int top, row;           /* first row shown; row that is next */
};

static void put_row(struct page_walk *w, int x, enum role role, const char *s, size_t n)
{
	int y = w->row - w->top;

	if (w->g && y >= 0 && y < w->r.h)
		grid_put(w->g, w->r, y, x, role, 0, s, n);
}

/* Bytes of s for one line: up to the last blank that fits. */
static size_t line_fit(const char *s, size_t n, int cols)
{
	size_t fit = width_fit(s, n, cols, NULL), cut;

	if (fit == n || !fit)
		return n && !fit ? 1 : fit;
	for (cut = fit; cut && s[cut] != ' '; cut--)
		;
	return cut ? cut : fit;
}

/* Text from column x on, wrapped at blanks. */
static void put_text(struct page_walk *w, int x, enum role role, const char *s)
{
	size_t n = strlen(s);

	do {
		size_t k = line_fit(s, n, w->r.w - x);

		put_row(w, x, role, s, k);
		w->row++;
		s += k;
		n -= k;
		while (n && *s == ' ') {
			s++;
			n--;
		}
	} while (n);
}

static int key_column(const struct help_page *p, int cols)
{
	int widest = 0;

	for (int i = 0; i < p->n; i++) {
		int w = p->row[i].key ? width_of(p->row[i].key, strlen(p->row[i].key)) : 0;

		widest = w > widest ? w : widest;
	}
	return widest + 2 < cols / 2 ? widest + 2 : cols / 2;
}

static int walk(struct page_walk *w, const struct help_page *p)
{
	int column = key_column(p, w->r.w);

	w->row = 0;
	for (int i = 0; i < p->n; i++) {
		const struct help_row *h = &p->row[i];

		if (!h->key) {
			put_text(w, 0, h->heading ? ROLE_HEADING : ROLE_TEXT, h->text);
			continue;
		}
		put_row(w, 0, ROLE_PROMPT, h->key, width_fit(h->key, strlen(h->key), column - 1,
							     NULL));
		put_text(w, column, ROLE_TEXT, h->text);
	}
	return w->row;
}

void pane_help_draw(struct grid *g, struct rect r, struct help_page *p)
{
	struct page_walk w = { .r = { r.y + 1, r.x + 2, r.h - 2, r.w - 4 } };
	int rows;

	if (r.h < 3 || r.w < 12) {
		w.r = r;
	} else {
		grid_clear(g, r, ROLE_TEXT);
		grid_frame(g, r, ROLE_BORDER, p->title);
	}
	grid_clear(g, w.r, ROLE_TEXT);
	rows = walk(&w, p);
	if (p->top > rows - w.r.h)
		p->top = rows - w.r.h;
	if (p->top < 0)
		p->top = 0;
	w.g = g;
	w.top = p->top;
	walk(&w, p);
	if (rows > w.r.h && r.h >= 3 && r.w >= 24)
		grid_printf(g, r, r.h - 1, 2, ROLE_BORDER, 0, " %d-%d of %d ", p->top + 1,
			    p->top + w.r.h, rows);
}
