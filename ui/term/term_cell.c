/* term_cell.c - see term_cell.h. */
#define NCURSES_WIDECHAR 1
#include "ui/term/term_cell.h"
#include "base/utf8.h"
#include "ui/term/term.h"

#include <string.h>
#include <term.h>
#include <wchar.h>
#include <wctype.h>

enum { ZWJ = 0x200d };

/* What a locale without Unicode shows: frames and bars stay recognisable, and what the program
 * draws itself is never a question mark. */
static wchar_t in_ascii(wchar_t c)
{
	static const wchar_t like[][2] = {
		{ 0x00a0, ' ' }, { 0x00b7, '|' }, { 0x00d7, 'x' }, { 0x2010, '-' }, { 0x2011, '-' },
		{ 0x2012, '-' }, { 0x2013, '-' }, { 0x2014, '-' }, { 0x2018, '\'' },
		{ 0x2019, '\'' }, { 0x201c, '"' }, { 0x201d, '"' }, { 0x2022, '*' },
		{ 0x2026, '.' }, { 0x2190, '<' }, { 0x2192, '>' }, { 0x2500, '-' }, { 0x2501, '-' },
		{ 0x2502, '|' }, { 0x2503, '|' }, { 0x2581, '_' }, { 0x2582, '.' }, { 0x2583, ':' },
		{ 0x2584, '-' }, { 0x2585, '=' }, { 0x2586, '+' }, { 0x2587, '*' }, { 0x2591, '.' },
		{ 0x25cc, 'o' },
	};

	for (size_t i = 0; i < sizeof(like) / sizeof(like[0]); i++)
		if (like[i][0] == c)
			return like[i][1];
	if (c < 0x80)
		return c;
	return c < 0x2500 || c >= 0x25a0 ? '?' : c < 0x2580 ? '+' : '#';
}

/* Code points of a grapheme; returns how many. */
static int decode(const char *s, wchar_t out[CELL_TEXT])
{
	size_t n = strlen(s);
	int count = 0;

	while (n) {
		int k = utf8_next(s, n);

		if (k <= 0)
			break;
		out[count++] = (wchar_t)utf8_value(s, k);
		s += k;
		n -= (size_t)k;
	}
	return count;
}

static void put(cchar_t *out, const wchar_t *text, attr_t attr, short pair)
{
	if (setcchar(out, text, attr, pair, NULL) == ERR)
		setcchar(out, L"?", attr, pair, NULL);
}

/* curses can hold it and no two terminals disagree on it: one character as wide as the grid says,
 * and marks upon it. */
static bool is_plain(const wchar_t *text, int n, int own, int width)
{
	if (own != width || n > CCHARW_MAX)
		return false;
	for (int i = 1; i < n; i++)
		if (wcwidth(text[i]) != 0 || text[i] == ZWJ)
			return false;
	return true;
}

int term_cell(cchar_t *out, const struct cell *c, int width, bool unicode, attr_t attr, short pair,
	      bool *over)
{
	wchar_t text[CELL_TEXT + 1] = { L' ' };
	int n = *c->text ? decode(c->text, text) : 1, own, used = 1;

	for (int i = 0; i < n && !unicode; i++)
		text[i] = in_ascii(text[i]);
	own = n && iswprint((wint_t)text[0]) ? wcwidth(text[0]) : -1;
	*over = false;
	if (own < 1 || own > width) {
		text[0] = unicode ? 0xfffd : '?';
		own = n = 1;
	} else if (!unicode) {
		n = 1;
	} else if (!is_plain(text, n, own, width)) {
		*over = true;
		text[0] = ' ';
		own = n = 1;
	}
	text[n] = 0;
	put(out, text, attr, pair);
	for (; own < width; own++)
		put(out + used++, L" ", attr, pair);
	return used;
}

static struct {
	char bytes[4096];
	size_t n;
} out;

static int add(int c)
{
	if (out.n == sizeof(out.bytes)) {
		term_write(out.bytes, out.n);
		out.n = 0;
	}
	out.bytes[out.n++] = (char)c;
	return c;
}

void term_cell_over(int y, int x, const struct cell *c, attr_t attr, short pair)
{
	tputs(tparm(cursor_address, y, x), 1, add);
	vid_puts(attr, pair, NULL, add);
	for (const char *s = c->text; *s; s++)
		add(*s);
}

void term_cell_over_end(int y, int x)
{
	tputs(tparm(cursor_address, y, x), 1, add);
	term_write(out.bytes, out.n);
	out.n = 0;
}
