/* flow.c - see flow.h.
 *
 * The text is taken line by line (a "piece": a line, a part of a very long one, or thinking up to
 * its closing mark).  Before a piece the state is kept in flow->last; when more text comes, the
 * last piece is done again, as what comes may go on with it. */
#include "ui/text/flow.h"
#include "ui/cell/grid.h"

#include <stdlib.h>
#include <string.h>

enum { LINE_MAX_BYTES = 16384, LEAD_COLS = 2 };
#define THINK "<think>"
#define THINK_END "</think>"

struct piece {
	uint32_t off, len;      /* without the line's end */
	uint32_t next;          /* where the next piece begins */
	bool cut;               /* the line goes on */
	bool closes;            /* ends with </think> */
};

struct maker {
	struct flow *flow;
	struct flow_room *room;
	const char *text;
	uint32_t end;
	struct flow_state st;
};

static bool is_blank(const char *s, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		if (s[i] != ' ' && s[i] != '\t' && s[i] != '\r')
			return false;
	return true;
}

static uint32_t skip_blanks(const char *s, uint32_t n)
{
	uint32_t i = 0;

	while (i < n && (s[i] == ' ' || s[i] == '\t'))
		i++;
	return i;
}

/* A line of LINE_MAX_BYTES without an end: where to cut it, whatever follows. */
static uint32_t cut_at(const char *s)
{
	uint32_t n = LINE_MAX_BYTES - (uint32_t)width_unfinished(s, LINE_MAX_BYTES);
	uint32_t from = n > sizeof(THINK_END) ? n - (uint32_t)sizeof(THINK_END) : 0;
	const char *tag = memchr(s + from, '<', n - from);

	if (tag && tag > s)
		n = (uint32_t)(tag - s);
	if (n > 1 && s[n - 1] == '\r')
		n--;
	return n ? n : LINE_MAX_BYTES;
}

static void find_line(const struct maker *m, uint32_t off, struct piece *p)
{
	const char *s = m->text + off;
	uint32_t n = m->end - off, most = n < LINE_MAX_BYTES ? n : LINE_MAX_BYTES;
	const char *nl = memchr(s, '\n', most);

	*p = (struct piece){ .off = off };
	if (nl) {
		p->len = (uint32_t)(nl - s);
		p->next = off + p->len + 1;
	} else {
		p->cut = most == LINE_MAX_BYTES;
		p->len = p->cut ? cut_at(s) : most;
		p->next = off + p->len;
	}
	if (!p->cut && p->len && s[p->len - 1] == '\r')
		p->len--;
}

/* Thinking ends in this piece: the rest of the line is a line of its own, its end does not count
 * if nothing stands before it. */
static void close_thinking(const struct maker *m, struct piece *p)
{
	const char *s = m->text + p->off;
	const char *tag = memmem(s, p->len, THINK_END, strlen(THINK_END));
	uint32_t i;

	if (!tag)
		return;
	p->closes = true;
	p->cut = false;
	p->len = (uint32_t)(tag - s) + (uint32_t)strlen(THINK_END);
	i = p->off + p->len;
	if (i < m->end && m->text[i] == '\r' && (i + 1 == m->end || m->text[i + 1] == '\n'))
		i++;
	if (i < m->end && m->text[i] == '\n')
		i++;
	p->next = i;
}

static bool begins_thinking(const struct maker *m, const struct piece *p)
{
	const char *s = m->text + p->off;
	uint32_t i = skip_blanks(s, p->len);

	return m->flow->view.think && !m->st.inside && !m->st.fence.length &&
	       p->len - i >= strlen(THINK) && !memcmp(s + i, THINK, strlen(THINK));
}

static struct row *row_add(struct maker *m, struct row one)
{
	struct flow *f = m->flow;

	if (f->n == f->cap) {
		int cap = f->cap ? 2 * f->cap : 16;
		struct row *v = realloc(f->row, (size_t)cap * sizeof(*v));

		if (!v)
			return NULL;
		f->row = v;
		f->cap = cap;
	}
	f->row[f->n] = one;
	return &f->row[f->n++];
}

/* The columns that a line of such an indent has; the indent gives way in narrow windows. */
static int clamp_indent(const struct maker *m, int *indent, int hang)
{
	int most = m->flow->view.cols / 2 - hang;

	if (*indent > most)
		*indent = most > 0 ? most : 0;
	if (hang && m->flow->view.cols < 4 * hang)
		hang = 0;
	return hang;
}

/* Wraps what is in room->line.  The first row has its own lead and indent. */
static int wrap_line(struct maker *m, struct row first, struct row other, bool literal)
{
	struct spans *line = &m->room->line, *out = &m->flow->spans;
	struct wrap_pos at = wrap_begin(line), end;
	struct row one = first;

	do {
		struct wrap_pos from = at;

		wrap_row(m->text, line, m->flow->view.cols - one.indent, literal, &at, &end);
		one.span = out->n;
		if (wrap_slice(line, from, end, out))
			return -1;
		one.n = out->n - one.span;
		if (from.span < line->n && from.off > one.off)
			one.off = from.off;
		if (!row_add(m, one))
			return -1;
		other.off = one.off;
		one = other;
	} while (at.span < line->n);
	m->st.ink = true;
	return 0;
}

/* Blank lines before the first text and at the end are not shown, others as one. */
static int open_gap(struct maker *m, uint32_t off)
{
	struct row one = { .off = off, .kind = ROW_TEXT, .span = m->flow->spans.n };
	bool wanted = m->st.gap && m->st.ink;

	m->st.gap = false;
	return !wanted || row_add(m, one) ? 0 : -1;
}

static int literal_line(struct maker *m, const struct piece *p, int role)
{
	struct row one = { .off = p->off, .kind = ROW_TEXT };
	struct span s = { p->off, p->len, (unsigned char)role, 0 };

	m->room->line.n = 0;
	if (open_gap(m, p->off) || spans_add(&m->room->line, s))
		return -1;
	return wrap_line(m, one, one, false);
}

static int code_line(struct maker *m, const struct piece *p, const struct md_line *l)
{
	int indent = l->indent, hang = clamp_indent(m, &indent, LEAD_COLS);
	struct row one = { .off = p->off, .kind = ROW_TEXT, .lead = hang ? LEAD_BAR : LEAD_NONE,
		.indent = (short)(indent + hang) };
	struct span s = { p->off + l->body, l->len, ROLE_CODE, 0 };

	m->room->line.n = 0;
	return spans_add(&m->room->line, s) || wrap_line(m, one, one, true) ? -1 : 0;
}

static int frame_line(struct maker *m, const struct piece *p, const struct md_line *l)
{
	struct row one = { .off = p->off, .span = m->flow->spans.n };
	struct span title = { p->off + l->body, l->len, ROLE_TITLE, 0 };
	int indent = l->indent;

	clamp_indent(m, &indent, LEAD_COLS);
	one.indent = (short)indent;
	one.kind = l->kind == MD_OPEN ? ROW_FRAME_TOP :
		   l->kind == MD_CLOSE ? ROW_FRAME_END : ROW_RULE;
	if (l->kind == MD_OPEN && spans_add(&m->flow->spans, title))
		return -1;
	one.n = m->flow->spans.n - one.span;
	m->st.ink = true;
	return row_add(m, one) ? 0 : -1;
}

static int text_line(struct maker *m, const struct piece *p, const struct md_line *l)
{
	int indent = l->indent, hang = clamp_indent(m, &indent, l->hang);
	struct row first = { .off = p->off, .kind = ROW_TEXT }, other = first;
	struct span look = { .role = m->flow->view.role };

	first.indent = (short)(indent + (l->numbered ? 0 : hang));
	other.indent = (short)(indent + hang);
	if (l->kind == MD_ITEM && !l->numbered && hang)
		first.lead = LEAD_BULLET;
	else if (l->kind == MD_QUOTE && hang)
		first.lead = other.lead = LEAD_BAR;
	if (l->kind == MD_HEADING) {
		look.role = ROLE_HEADING;
		look.attr = l->level == 1 ? GRID_BOLD | GRID_UNDERLINE : GRID_BOLD;
	}
	m->room->line.n = 0;
	if (md_inline(m->text, p->off + l->body, l->len, look, &m->room->marks, &m->room->line))
		return -1;
	return wrap_line(m, first, other, false);
}

static int markdown_line(struct maker *m, const struct piece *p)
{
	struct md_line l = { .kind = m->st.fence.length ? MD_CODE : MD_TEXT, .len = p->len,
		.indent = m->st.fence.indent };

	if (!m->st.fence.length && is_blank(m->text + p->off, p->len)) {
		m->st.gap = true;
		return 0;
	}
	if (!m->st.inside)
		md_classify(m->text + p->off, p->len, &m->st.fence, &l);
	if (open_gap(m, p->off))
		return -1;
	switch (l.kind) {
	case MD_CODE:
		return code_line(m, p, &l);
	case MD_OPEN:
	case MD_CLOSE:
	case MD_RULE:
		return frame_line(m, p, &l);
	default:
		return text_line(m, p, &l);
	}
}

/* Is this line of thinking worth counting?  Not the marks, nor the beginning of one. */
static bool has_thought(const struct maker *m, const struct piece *p)
{
	const char *s = m->text + p->off;
	uint32_t i = skip_blanks(s, p->len), n = p->len;

	if (n - i >= strlen(THINK) && !memcmp(s + i, THINK, strlen(THINK)))
		i += (uint32_t)strlen(THINK);
	if (p->closes)
		n -= (uint32_t)strlen(THINK_END);
	i += skip_blanks(s + i, n - i);
	if (p->next == m->end && n - i < strlen(THINK_END) && !memcmp(s + i, THINK_END, n - i))
		return false;
	return !is_blank(s + i, n - i);
}

static int folded_line(struct maker *m, const struct piece *p)
{
	struct row one = { .off = p->off, .kind = ROW_FOLD };

	if (!has_thought(m, p))
		return 0;
	if (m->st.fold_row < 0) {
		if (open_gap(m, p->off))
			return -1;
		m->st.fold_row = m->flow->n;
		m->st.ink = true;
		if (!row_add(m, one))
			return -1;
	}
	if (!m->st.inside)
		m->st.fold_n++;
	return 0;
}

static void count_folded(struct maker *m)
{
	if (m->st.fold_row >= 0)
		m->flow->row[m->st.fold_row].n = m->st.fold_n;
}

static int take_piece(struct maker *m, uint32_t *off)
{
	struct piece p;
	int rc;

	find_line(m, *off, &p);
	if (!m->st.thinking && begins_thinking(m, &p)) {
		m->st.thinking = true;
		m->st.fold_row = -1;
		m->st.fold_n = 0;
	}
	if (m->st.thinking)
		close_thinking(m, &p);
	if (m->st.inside && !p.len)
		rc = 0;
	else if (m->st.thinking)
		rc = m->flow->view.fold ? folded_line(m, &p) : literal_line(m, &p, ROLE_THINKING);
	else if (m->flow->view.markdown)
		rc = markdown_line(m, &p);
	else
		rc = literal_line(m, &p, m->flow->view.role);
	if (p.closes) {
		count_folded(m);
		m->st.thinking = false;
		m->st.fold_row = -1;
	}
	m->st.inside = p.cut;
	*off = p.next;
	return rc;
}

static bool same_view(const struct flow_view *a, const struct flow_view *b)
{
	return a->cols == b->cols && a->role == b->role && a->markdown == b->markdown &&
	       a->fold == b->fold && a->think == b->think;
}

int flow_update(struct flow *f, struct flow_room *room, const char *text, uint32_t n,
		const struct flow_view *view)
{
	struct maker m = { .flow = f, .room = room, .text = text, .end = n };
	uint32_t off;

	if (f->valid && same_view(&f->view, view) && f->end == n)
		return 0;
	if (!f->valid || !same_view(&f->view, view) || n < f->last.off)
		f->last = (struct flow_mark){ .state.fold_row = -1 };
	f->view = *view;
	f->valid = true;
	f->end = n;
	m.st = f->last.state;
	f->n = f->last.rows;
	f->spans.n = f->last.spans;
	for (off = f->last.off; off < n;) {
		f->last = (struct flow_mark){ off, f->n, f->spans.n, m.st };
		if (take_piece(&m, &off)) {
			f->valid = false;
			return -1;
		}
	}
	count_folded(&m);
	return 0;
}

int flow_row_at(const struct flow *f, uint32_t off)
{
	int lo = 0, hi = f->n;

	while (hi - lo > 1) {
		int mid = lo + (hi - lo) / 2;

		if (f->row[mid].off <= off)
			lo = mid;
		else
			hi = mid;
	}
	return lo;
}

void flow_free(struct flow *f)
{
	free(f->row);
	spans_free(&f->spans);
	*f = (struct flow){ 0 };
}

void flow_room_free(struct flow_room *r)
{
	spans_free(&r->line);
	md_marks_free(&r->marks);
}
