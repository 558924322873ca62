/* wrap.c - see wrap.h.
 *
 * A row may break after blanks, and before and after a wide grapheme (Chinese and Japanese have no
 * blanks), except where a bracket or a stop would stand alone.  A word longer than a row is cut at
 * a cell. */
#include "ui/cell/wrap.h"

#include <stdlib.h>
#include <string.h>

#define NOT_FIRST "、。，．：；？！）］｝」』】〉》〕ー"
#define NOT_LAST "（［｛「『【〈《〔"

int spans_add(struct spans *s, struct span one)
{
	if (!one.len)
		return 0;
	if (s->n == s->cap) {
		int cap = s->cap ? 2 * s->cap : 16;
		struct span *v = realloc(s->v, (size_t)cap * sizeof(*v));

		if (!v)
			return -1;
		s->v = v;
		s->cap = cap;
	}
	s->v[s->n++] = one;
	return 0;
}

void spans_free(struct spans *s)
{
	free(s->v);
	*s = (struct spans){ 0 };
}

int wrap_glyph(const char *s, size_t n, int col, struct glyph *g)
{
	width_glyph(s, n, g);
	return *s == '\t' ? 8 - col % 8 : g->width;
}

/* At the end of a span: the beginning of the next. */
static struct wrap_pos settle(const struct spans *line, struct wrap_pos p)
{
	while (p.span < line->n && p.off >= line->v[p.span].off + line->v[p.span].len)
		if (++p.span < line->n)
			p.off = line->v[p.span].off;
	return p;
}

struct wrap_pos wrap_begin(const struct spans *line)
{
	return (struct wrap_pos){ 0, line->n ? line->v[0].off : 0 };
}

/* What of the glyph before matters for a break. */
struct before {
	bool any, blank, wide, holds;
};

static bool may_break(const struct before *b, const struct glyph *g, bool literal)
{
	if (literal)
		return true;
	return b->blank || ((g->wide || b->wide) && !b->holds && !strstr(NOT_FIRST, g->text));
}

static struct before seen(const struct glyph *g, bool blank)
{
	return (struct before){ true, blank, g->wide, g->wide && strstr(NOT_LAST, g->text) };
}

void wrap_row(const char *text, const struct spans *line, int cols, bool literal,
	      struct wrap_pos *at, struct wrap_pos *end)
{
	struct wrap_pos p = settle(line, *at), next = p, ink = p, ink_there = p;
	struct before b = { 0 };
	bool have = false;
	int col = 0;

	while (p.span < line->n) {
		const struct span *s = &line->v[p.span];
		struct glyph g;
		int w = wrap_glyph(text + p.off, s->off + s->len - p.off, col, &g);
		bool blank = !literal && (text[p.off] == ' ' || text[p.off] == '\t');

		if (b.any && !blank && may_break(&b, &g, literal)) {
			next = p;
			ink_there = ink;
			have = true;
		}
		if (b.any && !blank && w > cols - col) {
			*at = have ? next : p;
			*end = have ? ink_there : ink;
			return;
		}
		col += col < cols || !blank ? w : 0;
		p.off += (uint32_t)g.bytes;
		if (!blank)
			ink = p;
		p = settle(line, p);
		b = seen(&g, blank);
	}
	*at = p;
	*end = ink;
}

int wrap_slice(const struct spans *line, struct wrap_pos a, struct wrap_pos b, struct spans *out)
{
	for (; a.span < line->n && a.span <= b.span; a.span++) {
		struct span s = line->v[a.span];
		uint32_t last = a.span == b.span ? b.off : s.off + s.len;

		if (a.off < s.off)
			a.off = s.off;
		s.len = last > a.off ? last - a.off : 0;
		s.off = a.off;
		if (spans_add(out, s))
			return -1;
		a.off = 0;
	}
	return 0;
}
