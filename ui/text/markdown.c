/* markdown.c - see markdown.h.
 *
 * Emphasis: a scan makes a mark for every run of signs that may open or close, and a short stack
 * of open ones; only marks that found their mate are hidden.  A sign beside a letter or digit on
 * its outer side is text (2*3*4, snake_case), and so are double underscores (__init__). */
#include "ui/text/markdown.h"
#include "ui/cell/grid.h"

#include <stdlib.h>
#include <string.h>

enum { OPEN_MAX = 16, TICKS_MAX = 64, TAB_INDENT = 4 };

enum mark_kind { MARK_ITALIC = 1, MARK_BOLD = 2, MARK_CODE, MARK_ESCAPE };

struct md_mark {
	uint32_t off;
	unsigned char len, kind;
	bool opens, live;       /* live: has its mate, so it is hidden */
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_word(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static uint32_t run_of(const char *s, uint32_t n, uint32_t i)
{
	uint32_t k = i;

	while (k < n && s[k] == s[i])
		k++;
	return k - i;
}

/* Bytes of leading blanks; *cols gets their columns. */
static uint32_t indent_of(const char *s, uint32_t n, int *cols)
{
	uint32_t i = 0;

	for (*cols = 0; i < n && is_blank(s[i]); i++)
		if (*cols < 1000)
			*cols += s[i] == '\t' ? TAB_INDENT : 1;
	return i;
}

static bool is_all(const char *s, uint32_t n, uint32_t i, char sign)
{
	for (; i < n; i++)
		if (s[i] != sign && !is_blank(s[i]))
			return false;
	return true;
}

static bool is_rule(const char *s, uint32_t n, uint32_t i)
{
	int signs = 0;

	if (i == n || !s[i] || !strchr("-*_", s[i]) || !is_all(s, n, i, s[i]))
		return false;
	for (uint32_t k = i; k < n && signs < 3; k++)
		signs += s[k] == s[i];
	return signs == 3;
}

static bool is_fence(const char *s, uint32_t n, uint32_t i, uint32_t *length)
{
	if (i == n || (s[i] != '`' && s[i] != '~'))
		return false;
	*length = run_of(s, n, i);
	return *length >= 3 &&
	       (s[i] == '~' || !memchr(s + i + *length, '`', n - i - *length));
}

static void set_body(struct md_line *l, const char *s, uint32_t n, uint32_t i)
{
	while (i < n && is_blank(s[i]))
		i++;
	while (n > i && is_blank(s[n - 1]))
		n--;
	l->body = i;
	l->len = n - i;
}

static void in_fence(const char *s, uint32_t n, struct md_fence *f, struct md_line *l)
{
	int cols;
	uint32_t i = indent_of(s, n, &cols), length;

	l->indent = f->indent;
	if (is_fence(s, n, i, &length) && s[i] == f->sign && length >= (uint32_t)f->length &&
	    is_all(s, n, i + length, ' ')) {
		l->kind = MD_CLOSE;
		f->length = 0;
		return;
	}
	l->kind = MD_CODE;
	for (i = 0; i < n && i < (uint32_t)f->indent && s[i] == ' ';)
		i++;
	l->body = i;
	l->len = n - i;
}

/* Bytes of a list's bullet or number at s[i], with the blank after it; 0: none. */
static uint32_t item_of(const char *s, uint32_t n, uint32_t i, bool *numbered)
{
	uint32_t k = i;

	while (k < n && k - i < 9 && is_digit(s[k]))
		k++;
	*numbered = k > i;
	if (k == n || !strchr(*numbered ? ".)" : "-*+", s[k]) || !s[k])
		return 0;
	k++;
	return k == n || is_blank(s[k]) ? k - i + (k < n) : 0;
}

/* The trailing signs of "## Title ##". */
static uint32_t heading_end(const char *s, uint32_t n, uint32_t i)
{
	uint32_t k;

	while (n > i && is_blank(s[n - 1]))
		n--;
	for (k = n; k > i && s[k - 1] == '#';)
		k--;
	return k == i || (k < n && is_blank(s[k - 1])) ? k : n;
}

static void open_fence(const char *s, uint32_t n, uint32_t i, uint32_t length, struct md_fence *f,
		       struct md_line *l)
{
	*f = (struct md_fence){ s[i], length < 1000 ? (int)length : 1000, l->indent };
	l->kind = MD_OPEN;
	set_body(l, s, n, i + length);
}

void md_classify(const char *s, uint32_t n, struct md_fence *f, struct md_line *l)
{
	uint32_t i, k;

	*l = (struct md_line){ .kind = MD_TEXT };
	if (f->length) {
		in_fence(s, n, f, l);
		return;
	}
	i = indent_of(s, n, &l->indent);
	l->body = i;
	l->len = n - i;
	if (is_fence(s, n, i, &k)) {
		open_fence(s, n, i, k, f, l);
	} else if (i < n && s[i] == '#' && (k = run_of(s, n, i)) <= 6 &&
		   (i + k == n || is_blank(s[i + k]))) {
		l->kind = MD_HEADING;
		l->level = (int)k;
		l->indent = 0;
		set_body(l, s, heading_end(s, n, i + k), i + k);
	} else if (is_rule(s, n, i)) {
		l->kind = MD_RULE;
	} else if ((k = item_of(s, n, i, &l->numbered)) > 0) {
		l->kind = MD_ITEM;
		l->hang = l->numbered ? (int)k : 2;
		if (!l->numbered)
			set_body(l, s, n, i + k);
	} else if (i < n && s[i] == '>') {
		l->kind = MD_QUOTE;
		l->hang = 2;
		set_body(l, s, n, i + 1);
	}
}

void md_marks_free(struct md_marks *m)
{
	free(m->v);
	*m = (struct md_marks){ 0 };
}

static int mark_add(struct md_marks *m, struct md_mark one)
{
	if (m->n == m->cap) {
		int cap = m->cap ? 2 * m->cap : 16;
		struct md_mark *v = realloc(m->v, (size_t)cap * sizeof(*v));

		if (!v)
			return -1;
		m->v = v;
		m->cap = cap;
	}
	m->v[m->n++] = one;
	return 0;
}

/* The scan of one body. */
struct scan {
	const char *s;
	uint32_t n;
	struct md_marks *marks;
	struct { int mark; char sign; } open[OPEN_MAX];
	int n_open;
	uint64_t unclosed;      /* bit k: no run of k backticks lies ahead */
};

/* Where the run of exactly k backticks is that ends the code begun before i; n: nowhere. */
static uint32_t ticks_end(struct scan *x, uint32_t i, uint32_t k)
{
	if (k >= TICKS_MAX || x->unclosed >> k & 1)
		return x->n;
	while (i < x->n) {
		const char *p = memchr(x->s + i, '`', x->n - i);
		uint32_t len;

		if (!p)
			break;
		i = (uint32_t)(p - x->s);
		len = run_of(x->s, x->n, i);
		if (len == k)
			return i;
		i += len;
	}
	x->unclosed |= (uint64_t)1 << k;
	return x->n;
}

/* Returns the bytes taken, or -1. */
static int64_t scan_ticks(struct scan *x, uint32_t i)
{
	uint32_t k = run_of(x->s, x->n, i), end = ticks_end(x, i + k, k);

	if (end == x->n)
		return k;
	if (mark_add(x->marks, (struct md_mark){ i, (unsigned char)k, MARK_CODE, true, true }) ||
	    mark_add(x->marks, (struct md_mark){ end, (unsigned char)k, MARK_CODE, false, true }))
		return -1;
	return end + k - i;
}

/* The innermost open mark of this sign that k signs can close; -1: none. */
static int mate_of(const struct scan *x, char sign, uint32_t k)
{
	for (int t = x->n_open - 1; t >= 0; t--)
		if (x->open[t].sign == sign && x->marks->v[x->open[t].mark].len <= k)
			return t;
	return -1;
}

static int open_mark(struct scan *x, uint32_t i, uint32_t k)
{
	if (x->n_open == OPEN_MAX)
		return 0;
	x->open[x->n_open].mark = x->marks->n;
	x->open[x->n_open++].sign = x->s[i];
	return mark_add(x->marks, (struct md_mark){ i, (unsigned char)k, (unsigned char)k, true,
			false });
}

static int64_t scan_signs(struct scan *x, uint32_t i)
{
	uint32_t len = run_of(x->s, x->n, i), k = len, at = i;
	char before = i ? x->s[i - 1] : ' ', after = i + len < x->n ? x->s[i + len] : ' ';
	bool opens = !is_blank(after) && !is_word(before);
	bool closes = !is_blank(before) && !is_word(after);
	int t;

	if (len > 3 || (x->s[i] == '_' && len > 1))
		return len;
	while (closes && k && (t = mate_of(x, x->s[i], k)) >= 0) {
		struct md_mark *m = &x->marks->v[x->open[t].mark];
		struct md_mark mate = { at, m->len, m->kind, false, true };

		m->live = true;
		x->n_open = t;
		at += mate.len;
		k -= mate.len;
		if (mark_add(x->marks, mate))
			return -1;
	}
	if (opens && k >= 2 && open_mark(x, at, 2))
		return -1;
	if (opens && k % 2 && open_mark(x, at + k - 1, 1))
		return -1;
	return len;
}

static int64_t scan_one(struct scan *x, uint32_t i)
{
	switch (x->s[i]) {
	case '`':
		return scan_ticks(x, i);
	case '*':
	case '_':
		return scan_signs(x, i);
	case '\\':
		if (i + 1 < x->n && x->s[i + 1] && strchr("*_`#", x->s[i + 1]))
			return mark_add(x->marks, (struct md_mark){ i, 1, MARK_ESCAPE, true, true })
				? -1 : 2;
	}
	return 1;
}

static void turn(struct span *look, struct span base, const struct md_mark *m)
{
	int bit = m->kind == MARK_BOLD ? GRID_BOLD : m->kind == MARK_ITALIC ? GRID_ITALIC : 0;

	look->attr = (unsigned char)(m->opens ? look->attr | bit : look->attr & ~bit) | base.attr;
	if (m->kind == MARK_CODE)
		look->role = m->opens ? ROLE_CODE : base.role;
}

int md_inline(const char *text, uint32_t off, uint32_t n, struct span base, struct md_marks *marks,
	      struct spans *out)
{
	struct scan x = { .s = text + off, .n = n, .marks = marks };
	struct span look = base;
	uint32_t at = 0;

	marks->n = 0;
	for (uint32_t i = 0; i < n;) {
		int64_t k = scan_one(&x, i);

		if (k < 0)
			return -1;
		i += (uint32_t)k;
	}
	for (int m = 0; m < marks->n; m++) {
		const struct md_mark *one = &marks->v[m];

		if (!one->live)
			continue;
		look.off = off + at;
		look.len = one->off - at;
		if (spans_add(out, look))
			return -1;
		at = one->off + one->len;
		turn(&look, base, one);
	}
	look.off = off + at;
	look.len = n - at;
	return spans_add(out, look);
}
