/* transcript.c - see transcript.h.
 *
 * Blocks are laid out when they are first needed, from the end backwards, so a long conversation
 * costs what is seen of it.  Scrolled back, the view hangs on its bottom row (struct anchor), which
 * outlives new text, new widths and new views.
 * Rows of a block: a gap (before a prompt), the flow's rows, the border of what is forgotten. */
#include "ui/text/transcript.h"
#include "base/utf8.h"
#include "ui/text/block.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

struct place {
	int block, row;
};

enum { BELOW_TEXT = 0x7FFFFFFF };

struct anchor {
	int block, row;         /* row -1: the gap */
	uint32_t off;           /* of the text; BELOW_TEXT: the border, or there is no text */
};

struct transcript {
	struct block *block;
	int n, cap;
	int open;               /* block that takes what is appended */
	int forgotten;
	struct flow_room room;
	int h, w;               /* of the last draw, 0: none yet */
	struct transcript_view view;
	int scrolled;
	struct anchor anchor;   /* the bottom row, when scrolled back */
};

struct transcript *transcript_open(void)
{
	struct transcript *t = calloc(1, sizeof(*t));

	if (t)
		t->view = (struct transcript_view){ .markdown = true };
	return t;
}

void transcript_cut(struct transcript *t, int block)
{
	if (block < 0)
		block = 0;
	while (t->n > block)
		block_free(&t->block[--t->n]);
	if (t->open >= t->n)
		t->open = t->n - 1;
	if (t->forgotten > t->n)
		t->forgotten = t->n;
	if (t->anchor.block >= t->n)
		t->scrolled = 0;
}

void transcript_clear(struct transcript *t)
{
	transcript_cut(t, 0);
	t->scrolled = 0;
}

void transcript_close(struct transcript *t)
{
	if (!t)
		return;
	transcript_clear(t);
	flow_room_free(&t->room);
	free(t->block);
	free(t);
}

static enum role role_of(enum block_kind kind)
{
	static const enum role roles[] = { [BLOCK_USER] = ROLE_USER, [BLOCK_MODEL] = ROLE_MODEL,
		[BLOCK_NOTICE] = ROLE_NOTICE, [BLOCK_ERROR] = ROLE_ERROR };

	return roles[kind];
}

int transcript_add(struct transcript *t, enum block_kind kind, const char *text, size_t n)
{
	if (t->n == t->cap) {
		int cap = t->cap ? 2 * t->cap : 16;
		struct block *v = realloc(t->block, (size_t)cap * sizeof(*v));

		if (!v)
			return -1;
		t->block = v;
		t->cap = cap;
	}
	t->block[t->n] = (struct block){ .kind = kind };
	if (block_append(&t->block[t->n], role_of(kind), text, n)) {
		block_free(&t->block[t->n]);
		return -1;
	}
	t->open = t->n;
	return t->n++;
}

void transcript_reopen(struct transcript *t, int block)
{
	if (block >= 0 && block < t->n)
		t->open = block;
}

int transcript_append(struct transcript *t, enum role origin, const char *text, size_t n)
{
	return t->n ? block_append(&t->block[t->open], origin, text, n) : -1;
}

void transcript_forget(struct transcript *t, int blocks)
{
	t->forgotten = blocks < 0 ? 0 : blocks > t->n ? t->n : blocks;
}

int transcript_blocks(const struct transcript *t)
{
	return t->n;
}

int transcript_scrolled(const struct transcript *t)
{
	return t->scrolled;
}

static int gap_of(const struct transcript *t, int i)
{
	return i > 0 && t->block[i].kind == BLOCK_USER;
}

/* The bytes of an unfinished character at the end: more of them may come. */
static uint32_t unfinished(const struct block *b)
{
	for (uint32_t k = b->n < 3 ? b->n : 3; k > 0; k--)
		if (utf8_next(b->text + b->n - k, k) == 0)
			return k;
	return 0;
}

/* Rows of block i, laid out for the window as it is now. */
static int rows_of(struct transcript *t, int i)
{
	struct block *b = &t->block[i];
	bool answer = b->kind == BLOCK_MODEL;
	struct flow_view v = { .cols = t->w - gutter_of(t->w),
		.role = (unsigned char)role_of(b->kind), .markdown = answer && t->view.markdown,
		.fold = answer && t->view.fold_think, .think = answer };
	uint32_t n = b->n - (answer && i == t->open ? unfinished(b) : 0);
	int rows;

	flow_update(&b->flow, &t->room, b->text, n, &v);
	rows = b->flow.n > 0 ? b->flow.n : 1;
	return gap_of(t, i) + rows + (i == t->forgotten - 1);
}

/* The place of the row that has `after` rows behind it, and how many rows before it were not
 * there to reach it (0: it is there). */
static int locate(struct transcript *t, int after, struct place *p)
{
	*p = (struct place){ 0, 0 };
	for (int i = t->n - 1; i >= 0; i--) {
		int rows = rows_of(t, i);

		if (after < rows) {
			*p = (struct place){ i, rows - 1 - after };
			return 0;
		}
		after -= rows;
	}
	return after + 1;
}

static void drop_anchor(struct transcript *t)
{
	struct place p;
	const struct flow *f;
	int row;

	if (!t->scrolled || locate(t, t->scrolled, &p))
		return;
	f = &t->block[p.block].flow;
	row = p.row - gap_of(t, p.block);
	t->anchor = (struct anchor){ p.block, row, BELOW_TEXT };
	if (row >= 0 && row < f->n)
		t->anchor.off = f->row[row].off;
}

/* The row of its block where the anchor is now. */
static int anchor_row(struct transcript *t)
{
	int rows = rows_of(t, t->anchor.block), row = t->anchor.row;
	const struct flow *f = &t->block[t->anchor.block].flow;

	if (row < 0)
		return 0;
	if (t->anchor.off == BELOW_TEXT)
		return rows - 1;
	if (row >= f->n || f->row[row].off != t->anchor.off)
		row = flow_row_at(f, t->anchor.off);
	return row + gap_of(t, t->anchor.block);
}

/* Scrolled by so many rows, or as far as there are rows. */
static void scroll_to(struct transcript *t, int64_t target)
{
	struct place p;
	int top = target > INT_MAX / 2 ? INT_MAX / 2 : target < 0 ? 0 : (int)target;
	int missing = top > 0 ? locate(t, top + t->h - 1, &p) : 0;

	t->scrolled = top > missing ? top - missing : 0;
	drop_anchor(t);
}

/* Text may have come, or gone, or the window changed: counts the rows behind the anchor again. */
static void follow_anchor(struct transcript *t)
{
	int64_t after;

	if (!t->scrolled)
		return;
	after = rows_of(t, t->anchor.block) - 1 - anchor_row(t);
	for (int i = t->anchor.block + 1; i < t->n; i++)
		after += rows_of(t, i);
	scroll_to(t, after);
}

void transcript_scroll(struct transcript *t, int by)
{
	if (!t->h)
		return;
	follow_anchor(t);
	scroll_to(t, (int64_t)t->scrolled + by);
}

void transcript_scroll_to(struct transcript *t, bool top)
{
	if (t->h)
		scroll_to(t, top ? INT_MAX : 0);
}

/* Row p of the transcript, at row y of the rectangle. */
static void draw_place(const struct transcript *t, const struct sheet *at, int y, struct place p)
{
	const struct block *b = &t->block[p.block];
	int row = p.row - gap_of(t, p.block), rows = b->flow.n > 0 ? b->flow.n : 1;

	if (row == rows)
		block_draw_border(at, y);
	else if (row >= 0)
		block_draw_row(b, at, y, row);
}

void transcript_draw(struct transcript *t, struct grid *g, struct rect r,
		     const struct transcript_view *view)
{
	struct sheet at = { .grid = g, .rect = r, .origins = view->origins };
	struct place p;
	int missing;

	grid_clear(g, r, ROLE_TEXT);
	if (r.h <= 0 || r.w <= 0)
		return;
	t->h = r.h;
	t->w = r.w;
	t->view = *view;
	follow_anchor(t);
	missing = locate(t, t->scrolled + r.h - 1, &p);
	for (int y = 0; y < r.h - missing; y++) {
		at.forgotten = p.block < t->forgotten;
		draw_place(t, &at, y, p);
		if (++p.row == rows_of(t, p.block))
			p = (struct place){ p.block + 1, 0 };
	}
}
