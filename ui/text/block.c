/* block.c - see block.h. */
#include "ui/text/block.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_MAX 0x7FFFFFF0u

static int room_for(struct block *b, size_t n)
{
	size_t cap = b->cap ? b->cap : 64;
	char *v;

	if (n > BLOCK_MAX - b->n)
		return -1;
	if (b->n + n <= b->cap)
		return 0;
	while (cap < b->n + n)
		cap *= 2;
	v = realloc(b->text, cap);
	if (!v)
		return -1;
	b->text = v;
	b->cap = (uint32_t)cap;
	return 0;
}

static int note_origin(struct block *b, enum role role, uint32_t end)
{
	if (b->n_origins && b->origin[b->n_origins - 1].role == role) {
		b->origin[b->n_origins - 1].end = end;
		return 0;
	}
	if (b->n_origins == b->cap_origins) {
		int cap = b->cap_origins ? 2 * b->cap_origins : 4;
		struct origin *v = realloc(b->origin, (size_t)cap * sizeof(*v));

		if (!v)
			return -1;
		b->origin = v;
		b->cap_origins = cap;
	}
	b->origin[b->n_origins++] = (struct origin){ end, (unsigned char)role };
	return 0;
}

int block_append(struct block *b, enum role origin, const char *text, size_t n)
{
	if (!n)
		return 0;
	if (room_for(b, n) || note_origin(b, origin, b->n + (uint32_t)n))
		return -1;
	memcpy(b->text + b->n, text, n);
	b->n += (uint32_t)n;
	return 0;
}

void block_free(struct block *b)
{
	free(b->text);
	free(b->origin);
	flow_free(&b->flow);
	*b = (struct block){ 0 };
}

int gutter_of(int cols)
{
	return cols >= 30 ? 6 : cols >= 12 ? 2 : 0;
}

static int put(const struct sheet *at, int y, int x, enum role role, int attr, const char *s)
{
	if (at->forgotten)
		role = ROLE_FORGOTTEN;
	return grid_put(at->grid, at->rect, y, x, role, attr, s, strlen(s));
}

/* The first origin that ends behind off. */
static int origin_at(const struct block *b, uint32_t off)
{
	int lo = 0, hi = b->n_origins - 1;

	while (lo < hi) {
		int mid = lo + (hi - lo) / 2;

		if (b->origin[mid].end > off)
			hi = mid;
		else
			lo = mid + 1;
	}
	return lo;
}

/* Glyph by glyph, as each may have its own origin.  Returns the column behind the last one. */
static int draw_span(const struct block *b, const struct sheet *at, int y, int x, int col,
		     const struct span *s)
{
	int o = origin_at(b, s->off);
	struct glyph g;

	for (uint32_t i = 0; i < s->len && x + col < at->rect.w; i += (uint32_t)g.bytes) {
		const char *p = b->text + s->off + i;
		int w = wrap_glyph(p, s->len - i, col, &g);
		enum role role = s->role;

		while (o < b->n_origins - 1 && b->origin[o].end <= s->off + i)
			o++;
		if (at->forgotten)
			role = ROLE_FORGOTTEN;
		else if (at->origins && b->kind == BLOCK_MODEL && b->origin[o].role != ROLE_MODEL)
			role = b->origin[o].role;
		if (*p != '\t')
			grid_put(at->grid, at->rect, y, x + col, role, s->attr, p, g.bytes);
		col += w;
	}
	return col;
}

static void draw_line(const struct sheet *at, int y, int x)
{
	while (x < at->rect.w)
		x += put(at, y, x, ROLE_BORDER, 0, "─");
}

static void draw_frame(const struct block *b, const struct sheet *at, int y, int x,
		       const struct row *row)
{
	x += put(at, y, x, ROLE_BORDER, 0, row->kind == ROW_FRAME_TOP ? "┌─" : "└─");
	draw_line(at, y, x);
	if (row->n) {
		put(at, y, x, ROLE_TITLE, 0, " ");
		x += 1 + draw_span(b, at, y, x + 1, 0, &b->flow.spans.v[row->span]);
		put(at, y, x, ROLE_TITLE, 0, " ");
	}
}

static void draw_text(const struct block *b, const struct sheet *at, int y, int x,
		      const struct row *row)
{
	int col = 0;

	if (row->lead == LEAD_BULLET)
		put(at, y, x - 2, ROLE_BORDER, 0, "•");
	else if (row->lead == LEAD_BAR)
		put(at, y, x - 2, ROLE_BORDER, 0, "│");
	for (int i = 0; i < row->n; i++)
		col = draw_span(b, at, y, x, col, &b->flow.spans.v[row->span + i]);
}

static void draw_fold(const struct sheet *at, int y, int x, const struct row *row)
{
	char text[48];

	snprintf(text, sizeof(text), "thinking, %d line%s", row->n, row->n == 1 ? "" : "s");
	put(at, y, x, ROLE_THINKING, 0, text);
}

static void draw_speaker(const struct block *b, const struct sheet *at, int y)
{
	int gutter = gutter_of(at->rect.w);

	if (gutter < 2 || b->kind > BLOCK_MODEL)
		return;
	if (b->kind == BLOCK_USER)
		put(at, y, 0, ROLE_USER, 0, gutter > 2 ? "you" : ">");
	else if (gutter > 2)
		put(at, y, 0, ROLE_TITLE, 0, "model");
}

void block_draw_row(const struct block *b, const struct sheet *at, int y, int i)
{
	const struct row *row = i < b->flow.n ? &b->flow.row[i] : NULL;
	int x = gutter_of(at->rect.w) + (row ? row->indent : 0);

	if (i == 0)
		draw_speaker(b, at, y);
	if (!row)
		return;
	switch ((enum row_kind)row->kind) {
	case ROW_TEXT:
		draw_text(b, at, y, x, row);
		break;
	case ROW_FRAME_TOP:
	case ROW_FRAME_END:
		draw_frame(b, at, y, x, row);
		break;
	case ROW_RULE:
		draw_line(at, y, x);
		break;
	case ROW_FOLD:
		draw_fold(at, y, x, row);
	}
}

void block_draw_border(const struct sheet *at, int y)
{
	static const char text[] = " the model no longer sees what is above ";
	struct sheet plain = { .grid = at->grid, .rect = at->rect };
	int x = at->rect.w > (int)sizeof(text) ? (at->rect.w - (int)sizeof(text) + 1) / 2 : 0;

	draw_line(&plain, y, 0);
	put(&plain, y, x, ROLE_NOTICE, 0, text + (x == 0));
}
