/* pty_scan.h - reads what a full screen program wrote to a terminal: every byte must be text that a
 * terminal shows, or one of the sequences that curses and s3dchat write themselves for a terminal
 * of type xterm-256color.
 *
 * The list is of what may come, never of what may not.  What stands in it could still come from a
 * model, but whoever lets one sequence through lets through all, and the noise holds hundreds that
 * are not in the list.  Modes are counted, so that the caller can say how often each may change. */
#ifndef S3D_PTY_SCAN_H
#define S3D_PTY_SCAN_H
#include "tests/unsafe.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { SCAN_PARAMS = 8 };

struct scan {
	const unsigned char *start, *at, *end;
	int rows, cols;                 /* where the cursor may be sent: the largest size used */
	long sequences, text;           /* seen: sequences, characters */
	long alternate, paste, copies;  /* switches of the screen and of pasting; OSC 52 */
	char bad[256];                  /* what was wrong; "": nothing */
};

static bool scan_wrong(struct scan *s, const unsigned char *from, const char *why)
{
	int n = snprintf(s->bad, sizeof(s->bad), "%s at byte %ld:", why, (long)(from - s->start));

	for (int i = -8; i < 16 && from + i < s->end; i++)
		if (from + i >= s->start)
			n += snprintf(s->bad + n, sizeof(s->bad) - (size_t)n, " %02x", from[i]);
	return false;
}

static bool scan_among(int x, const int *list, int n)
{
	while (n && list[n - 1] != x)
		n--;
	return n > 0;
}

/* Colours and attributes: those of themes, and those that switch them off. */
static bool scan_sgr(const int *p, int n)
{
	static const int plain[] = { 0, 1, 2, 3, 4, 7, 22, 23, 24, 27, 39, 49 };

	for (int i = 0; i < n; i++) {
		if ((p[i] == 38 || p[i] == 48) && i + 2 < n && p[i + 1] == 5 && p[i + 2] < 256)
			i += 2;
		else if (!scan_among(p[i], plain, sizeof(plain) / sizeof(plain[0])) &&
			 !(p[i] >= 30 && p[i] <= 47) && !(p[i] >= 90 && p[i] <= 107))
			return false;
	}
	return true;
}

static bool scan_mode(struct scan *s, const int *p, int n, char final)
{
	static const int known[] = { 7, 12, 25, 1000, 1006, 1049, 2004 };

	if (n == 1 && p[0] == 1)        /* cursor keys as usual */
		return final == 'l';
	for (int i = 0; i < n; i++) {
		if (!scan_among(p[i], known, sizeof(known) / sizeof(known[0])))
			return false;
		s->alternate += p[i] == 1049;
		s->paste += p[i] == 2004;
	}
	return n && (final == 'h' || final == 'l');
}

static bool scan_plain(struct scan *s, const int *p, int n, char final)
{
	int most = s->rows > s->cols ? s->rows : s->cols;

	switch (final) {
	case 'm':
		return scan_sgr(p, n);
	case 'H':
		return !n || (n == 2 && p[0] <= s->rows && p[1] <= s->cols);
	case 'r':
		return !n || (n == 2 && p[0] <= s->rows && p[1] <= s->rows);
	case 'd':
		return n == 1 && p[0] <= s->rows;
	case 'G':
		return n == 1 && p[0] <= s->cols;
	case 'K':
		return !n || (n == 1 && p[0] <= 1);
	case 'J':
		return !n || (n == 1 && p[0] <= 2);
	case 'A': case 'B': case 'C': case 'D': case 'L': case 'M': case 'P': case 'S': case 'T':
	case 'X': case '@': case 'b':
		return !n || (n == 1 && p[0] <= most);
	case 't':
		return n == 3 && (p[0] == 22 || p[0] == 23) && !p[1] && !p[2];
	case 'l':
		return n == 1 && p[0] == 4;
	default:
		return false;
	}
}

static bool scan_csi(struct scan *s, const unsigned char *from)
{
	int p[SCAN_PARAMS] = { 0 }, n = 0;
	bool private = s->at < s->end && *s->at == '?';

	s->at += private;
	while (s->at < s->end && ((*s->at >= '0' && *s->at <= '9') || *s->at == ';')) {
		n += !n;
		if (*s->at == ';')
			n++;
		else if (p[n - 1] < 10000)
			p[n - 1] = p[n - 1] * 10 + *s->at - '0';
		if (n > SCAN_PARAMS)
			return scan_wrong(s, from, "a long CSI");
		s->at++;
	}
	if (s->at >= s->end)
		return scan_wrong(s, from, "half a CSI");
	if (private ? scan_mode(s, p, n, (char)*s->at) : scan_plain(s, p, n, (char)*s->at)) {
		s->at++;
		return true;
	}
	return scan_wrong(s, from, "a CSI that is not ours");
}

/* Only what /copy sends: ESC ] 52 ; c ; base64 BEL. */
static bool scan_osc(struct scan *s, const unsigned char *from)
{
	static const char head[] = "52;c;";

	if (s->end - s->at < 5 || memcmp(s->at, head, 5))
		return scan_wrong(s, from, "an OSC that is not ours");
	for (s->at += 5; s->at < s->end && *s->at != '\a'; s->at++)
		if (!strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=",
			    *s->at) || !*s->at)
			return scan_wrong(s, from, "OSC 52 with something else than base64");
	if (s->at >= s->end)
		return scan_wrong(s, from, "an OSC without end");
	s->at++;
	s->copies++;
	return true;
}

static bool scan_escape(struct scan *s)
{
	const unsigned char *from = s->at++;

	s->sequences++;
	if (s->at >= s->end)
		return scan_wrong(s, from, "half a sequence");
	switch (*s->at++) {
	case '[':
		return scan_csi(s, from);
	case ']':
		return scan_osc(s, from);
	case 'M': case '7': case '8': case '>':
		return true;
	case '(':
		return (s->at < s->end && *s->at++ == 'B') || scan_wrong(s, from, "a charset");
	default:
		return scan_wrong(s, from, "an escape that is not ours");
	}
}

/* One character of UTF-8, decoded in another way than base/utf8.c does it. */
static bool scan_character(struct scan *s)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	const unsigned char *from = s->at;
	int n = *from < 0x80 ? 1 : *from < 0xc0 ? 0 : *from < 0xe0 ? 2 : *from < 0xf0 ? 3 :
		*from < 0xf8 ? 4 : 0;
	uint32_t c = n ? *from & (n == 1 ? 0x7fu : 0x7fu >> n) : 0;

	if (!n || s->end - from < n)
		return scan_wrong(s, from, "a byte that begins no character");
	for (int i = 1; i < n; i++) {
		if ((from[i] & 0xc0) != 0x80)
			return scan_wrong(s, from, "a broken character");
		c = c << 6 | (from[i] & 0x3fu);
	}
	s->at += n;
	s->text++;
	if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
		return scan_wrong(s, from, "no character");
	if (c < 0x20 || (c >= 0x7f && c < 0xa0))
		return scan_wrong(s, from, "a control character");
	if (unsafe_has(c) && c < 0xe0000)       /* tags belong to some flags */
		return scan_wrong(s, from, "a character that turns text around or hides");
	return true;
}

/* False: something came that must not, and s->bad says what. */
static bool scan_all(struct scan *s, const char *bytes, size_t n, int rows, int cols)
{
	*s = (struct scan){ .start = (const void *)bytes, .rows = rows, .cols = cols };
	s->at = s->start;
	s->end = s->start + n;
	while (s->at < s->end) {
		if (*s->at == 033) {
			if (!scan_escape(s))
				return false;
		} else if (*s->at == '\r' || *s->at == '\n' || *s->at == '\b') {
			s->at++;
		} else if (!scan_character(s)) {
			return false;
		}
	}
	return true;
}
#endif
