/* text.c - see text.h.
 *
 * A UTF-8 decoder that narrows what the next byte may be (so overlong forms, surrogates and
 * numbers past U+10FFFF never form) feeds a writer that spells out what a terminal would obey. */
#include "base/text.h"
#include "base/utf8.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

static size_t put_utf8(uint32_t c, char *out)
{
	if (c < 0x80) {
		out[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		out[0] = (char)(0xC0 | c >> 6);
		out[1] = (char)(0x80 | (c & 0x3F));
		return 2;
	}
	if (c < 0x10000) {
		out[0] = (char)(0xE0 | c >> 12);
		out[1] = (char)(0x80 | (c >> 6 & 0x3F));
		out[2] = (char)(0x80 | (c & 0x3F));
		return 3;
	}
	out[0] = (char)(0xF0 | c >> 18);
	out[1] = (char)(0x80 | (c >> 12 & 0x3F));
	out[2] = (char)(0x80 | (c >> 6 & 0x3F));
	out[3] = (char)(0x80 | (c & 0x3F));
	return 4;
}

static bool is_safe(const struct text_filter *f, uint32_t c)
{
	if ((c == '\n' || c == '\t') && !f->one_line)
		return true;
	return f->keep_controls || !utf8_unsafe(c) || utf8_joins(f->before, c);
}

static size_t put_char(struct text_filter *f, uint32_t c, char *out)
{
	char buf[16];
	size_t n;

	if (is_safe(f, c)) {
		f->before = c;
		return put_utf8(c, out);
	}
	f->before = 0;
	if (c < 0x20 || c == 0x7F)
		n = (size_t)snprintf(buf, sizeof(buf), "^%c", (char)(c ^ 0x40));
	else
		n = (size_t)snprintf(buf, sizeof(buf), "<U+%04X>", (unsigned)c);
	memcpy(out, buf, n);
	return n;
}

static size_t put_replacement(struct text_filter *f, char *out)
{
	f->before = 0;
	return put_utf8(0xFFFD, out);
}

/* The first byte of a character; returns the bytes written. */
static size_t put_lead(struct text_filter *f, unsigned char b, char *out)
{
	if (b < 0x80)
		return put_char(f, b, out);
	if (b < 0xC2 || b > 0xF4)
		return put_replacement(f, out);
	f->low = b == 0xE0 ? 0xA0 : b == 0xF0 ? 0x90 : 0x80;
	f->high = b == 0xED ? 0x9F : b == 0xF4 ? 0x8F : 0xBF;
	f->need = b < 0xE0 ? 1 : b < 0xF0 ? 2 : 3;
	f->code = b & (0x3Fu >> f->need);
	return 0;
}

size_t text_filter_put(struct text_filter *f, const char *in, size_t n, char *out)
{
	size_t w = 0;

	for (size_t i = 0; i < n; i++) {
		unsigned char b = (unsigned char)in[i];

		if (f->need && (b < f->low || b > f->high)) {
			f->need = 0;
			w += put_replacement(f, out + w);
		}
		if (!f->need) {
			w += put_lead(f, b, out + w);
			continue;
		}
		f->code = f->code << 6 | (b & 0x3F);
		f->low = 0x80;
		f->high = 0xBF;
		if (--f->need == 0)
			w += put_char(f, f->code, out + w);
	}
	return w;
}

size_t text_filter_end(struct text_filter *f, char *out)
{
	if (!f->need)
		return 0;
	f->need = 0;
	return put_replacement(f, out);
}

static char *whole(struct text_filter f, const char *s, size_t n, size_t *len)
{
	char *out = n < SIZE_MAX / TEXT_GROWTH - 2 ? malloc(TEXT_GROWTH * (n + 1) + 1) : NULL;
	size_t w;

	if (!out)
		return NULL;
	w = text_filter_put(&f, s, n, out);
	w += text_filter_end(&f, out + w);
	out[w] = '\0';
	if (len)
		*len = w;
	return out;
}

char *text_visible(const char *s, size_t n, size_t *len)
{
	return whole((struct text_filter){ 0 }, s, n, len);
}

char *text_utf8(const char *s, size_t n, size_t *len)
{
	return whole((struct text_filter){ .keep_controls = true }, s, n, len);
}

char *text_line(const char *s, size_t n)
{
	return whole((struct text_filter){ .one_line = true }, s, n, NULL);
}

char *text_title(const char *s, size_t n)
{
	enum { LONGEST = 60 };
	size_t skip = 0, end = 0;
	char *line;
	int chars = 0;

	while (skip < n && strchr(" \t\r\n", s[skip]))
		skip++;
	n -= skip;
	line = text_visible(s + skip, n < 4096 ? n : 4096, NULL);
	if (!line)
		return NULL;
	for (; line[end] && line[end] != '\n'; end++) {
		if (line[end] == '\t')
			line[end] = ' ';
		if (((unsigned char)line[end] & 0xC0) != 0x80 && chars++ == LONGEST)
			break;
	}
	line[end] = '\0';
	return line;
}

static void print_owned(FILE *f, char *seen)
{
	if (seen)
		fputs(seen, f);
	free(seen);
}

void text_print(FILE *f, const char *s)
{
	print_owned(f, text_visible(s, strlen(s), NULL));
}

void text_print_n(FILE *f, const char *s, size_t n)
{
	print_owned(f, text_visible(s, n, NULL));
}

void text_print_line(FILE *f, const char *s)
{
	print_owned(f, text_line(s, strlen(s)));
}

void text_tell(const char *who, const char *text)
{
	fprintf(stderr, "%s: ", who);
	text_print(stderr, text);
	fputc('\n', stderr);
}

bool text_blank(const char *s, size_t n)
{
	size_t i = 0;

	while (i < n && s[i] && strchr(" \t\r\n", s[i]))
		i++;
	return i == n;
}

int text_unwritten(int why, char err[ERR_MAX])
{
	*err = '\0';
	if (why == EPIPE)
		return 128 + SIGPIPE;
	return fail(err, "cannot write to standard output: %s", strerror(why));
}

int text_flush(FILE *f, char err[ERR_MAX])
{
	errno = 0;
	return fflush(f) || ferror(f) ? text_unwritten(errno, err) : 0;
}

const char *text_s(long n)
{
	return n == 1 ? "" : "s";
}
