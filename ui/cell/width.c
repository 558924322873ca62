/* width.c - see width.h.
 *
 * A cluster starts with a code point that has a width of its own; any other first code point is
 * spelt out, or gets a dotted circle to sit on. */
#include "ui/cell/width.h"
#include "base/utf8.h"

#include <assert.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <utf8proc.h>

enum {
	ZWJ = 0x200D, VS16 = 0xFE0F, BLACK_FLAG = 0x1F3F4, TAB = 8,
	CLUSTER_MAX = 64,       /* bytes */
	COLUMNS_MOST = 12,      /* of a cluster: room for two people and a heart, with skin tones */
};

#define DOTTED_CIRCLE "\xE2\x97\x8C"

static_assert(sizeof(DOTTED_CIRCLE) + CLUSTER_MAX <= GLYPH_MAX, "a cluster is drawn whole");

static bool is_ascii(char c)
{
	return (unsigned char)c < 0x80;
}

static bool is_pictograph(int32_t c)
{
	return utf8proc_get_property(c)->boundclass == UTF8PROC_BOUNDCLASS_EXTENDED_PICTOGRAPHIC;
}

static bool is_emoji_base(int32_t c)
{
	return is_pictograph(c) || (c >= '0' && c <= '9') || c == '#' || c == '*';
}

static bool is_skin_tone(int32_t c)
{
	return c >= 0x1F3FB && c <= 0x1F3FF;
}

/* Characters that only tags and flags may hold; elsewhere they carry text that nobody sees. */
static bool is_tag(int32_t c)
{
	return c >= 0xE0000 && c <= 0xE007F;
}

/* Sits on what is before it.  Some spacing marks (the vowel aa of Burmese) are clusters of their
 * own by Unicode's rule. */
static bool is_mark(int32_t c)
{
	utf8proc_category_t k = utf8proc_category(c);

	return k == UTF8PROC_CATEGORY_MN || k == UTF8PROC_CATEGORY_ME ||
	       (k == UTF8PROC_CATEGORY_MC &&
		utf8proc_get_property(c)->boundclass != UTF8PROC_BOUNDCLASS_OTHER);
}

/* Columns that c takes on a terminal that puts one character after the other.  utf8proc gives most
 * spacing marks none. */
static int columns(int32_t c)
{
	int width = utf8proc_charwidth(c);

	return !width && utf8proc_category(c) == UTF8PROC_CATEGORY_MC ? 1 : width;
}

/* Not to be sent to a terminal as it is: what is unsafe there, what has no width, and what this
 * Unicode version does not know (so nobody can say how wide it is). */
static bool is_spelt_out(int32_t c)
{
	return utf8_unsafe((uint32_t)c) || utf8proc_category(c) == UTF8PROC_CATEGORY_CN ||
	       columns(c) == 0;
}

static void spell(int32_t c, struct glyph *g)
{
	if (c < 0x20 || c == 0x7F)
		g->width = snprintf(g->text, sizeof(g->text), "^%c", (char)(c ^ 0x40));
	else
		g->width = snprintf(g->text, sizeof(g->text), "<U+%04X>", (unsigned)c);
}

/* True if c goes on the cluster that began with base and whose last code point is prev. */
static bool joins(int32_t base, int32_t prev, int32_t c, int32_t *state)
{
	if (utf8proc_grapheme_break_stateful(prev, c, state))
		return false;
	if (is_tag(c))
		return base == BLACK_FLAG;
	if (is_skin_tone(c))
		return is_pictograph(base);
	if (utf8_unsafe((uint32_t)c))
		return utf8_joins((uint32_t)prev, (uint32_t)c);
	return utf8proc_category(c) != UTF8PROC_CATEGORY_CN;
}

/* Columns that c adds behind prev.  The selector makes a narrow emoji wide; what follows the first
 * letter of a syllable of Hangul goes into its square. */
static int columns_more(int32_t prev, int32_t c)
{
	int class = (int)utf8proc_get_property(c)->boundclass;

	if (c == VS16)
		return is_emoji_base(prev) && columns(prev) == 1;
	if (class == UTF8PROC_BOUNDCLASS_V || class == UTF8PROC_BOUNDCLASS_T)
		return 0;
	return columns(c);
}

/* Takes the cluster whose first code point has k bytes. */
static void take_cluster(const char *s, size_t n, int k, struct glyph *g)
{
	int32_t base = (int32_t)utf8_value(s, k), prev = base, state = 0;
	size_t bytes = (size_t)k, used = strlen(g->text);

	while (bytes < n && (k = utf8_next(s + bytes, n - bytes)) > 0) {
		int32_t c = (int32_t)utf8_value(s + bytes, k);
		int more;

		if (bytes + (size_t)k > CLUSTER_MAX || !joins(base, prev, c, &state))
			break;
		more = columns_more(prev, c);
		if (g->width + more > COLUMNS_MOST)
			break;
		g->width += more;
		g->wide |= more && is_emoji_base(prev);
		bytes += (size_t)k;
		prev = c;
	}
	memcpy(g->text + used, s, bytes);
	g->text[used + bytes] = '\0';
	g->bytes = bytes;
}

static void replace(size_t bytes, struct glyph *g)
{
	*g = (struct glyph){ .bytes = bytes, .width = 1, .text = UTF8_REPLACEMENT };
}

/* The width of a letter that no neighbour of its kind, nor ASCII, can join: of Latin, Cyrillic,
 * kana, ideographs and Hangul syllables most.  0: this is not for here to say. */
static int plain_width(uint32_t c)
{
	if ((c >= 0xC0 && c <= 0x24F) || (c >= 0x400 && c <= 0x481))
		return 1;
	return (c >= 0x3041 && c <= 0x3096) || (c >= 0x30A1 && c <= 0x30FA) ||
	       (c >= 0x4E00 && c <= 0x9FA5) || (c >= 0xAC00 && c <= 0xD7A3) ? 2 : 0;
}

/* Two such letters, or one before ASCII: the glyph of the first, without a look into tables. */
static bool take_plain(const char *s, size_t n, int k, struct glyph *g)
{
	int width = plain_width(utf8_value(s, k)), m;

	if (!width || n == (size_t)k)
		return false;
	if (!is_ascii(s[k])) {
		m = utf8_next(s + k, n - (size_t)k);
		if (m <= 0 || !plain_width(utf8_value(s + k, m)))
			return false;
	}
	g->bytes = (size_t)k;
	g->width = width;
	g->wide = width == 2;
	memcpy(g->text, s, (size_t)k);
	g->text[k] = '\0';
	return true;
}

/* Returns true if bytes that come after it can change it. */
static bool take(const char *s, size_t n, struct glyph *g)
{
	int k;
	int32_t c;

	if (*s >= 0x20 && *s < 0x7F && n > 1 && is_ascii(s[1])) {
		*g = (struct glyph){ .bytes = 1, .width = 1, .text = { *s } };
		return false;
	}
	k = utf8_next(s, n);
	if (k <= 0) {
		replace(k ? (size_t)-k : n, g);
		return k == 0;
	}
	if (take_plain(s, n, k, g))
		return false;
	*g = (struct glyph){ .bytes = (size_t)k };
	c = (int32_t)utf8_value(s, k);
	if (is_mark(c)) {
		strcpy(g->text, DOTTED_CIRCLE);
		g->width = 1 + columns(c);
	} else if (is_spelt_out(c)) {
		spell(c, g);
		return false;
	} else {
		g->width = columns(c);
		g->wide = g->width == 2 || (c >= 0x1F1E6 && c <= 0x1F1FF);      /* half a flag */
	}
	take_cluster(s, n, k, g);
	return g->bytes == n || utf8_next(s + g->bytes, n - g->bytes) == 0;
}

void width_glyph(const char *s, size_t n, struct glyph *g)
{
	take(s, n, g);
}

/* Columns that the glyph at s takes when it begins in column col. */
static int step(const char *s, size_t n, int col, struct glyph *g)
{
	if (*s != '\t') {
		width_glyph(s, n, g);
		return g->width;
	}
	g->bytes = 1;
	return TAB - col % TAB;
}

int width_of(const char *s, size_t n)
{
	int col = 0;
	struct glyph g;

	for (size_t i = 0; i < n && col < INT_MAX / 2; i += g.bytes)
		col += step(s + i, n - i, col, &g);
	return col;
}

size_t width_fit(const char *s, size_t n, int cols, int *used)
{
	size_t i = 0;
	int col = 0;
	struct glyph g;

	while (i < n) {
		int w = step(s + i, n - i, col, &g);

		if (w > cols - col)
			break;
		col += w;
		i += g.bytes;
	}
	if (used)
		*used = col;
	return i;
}

/* Whether a cluster begins at i > 0 whatever else there is: between two ASCII bytes, or between two
 * characters of which the first can join nothing. */
static bool is_border(const char *s, size_t n, size_t i)
{
	size_t k = 1;
	int32_t a;
	int m;

	if (is_ascii(s[i]) && is_ascii(s[i - 1]))
		return true;
	while (k < 4 && k < i && (s[i - k] & 0xC0) == 0x80)
		k++;
	m = utf8_next(s + i, n - i);
	if (m <= 0 || utf8_next(s + i - k, k) != (int)k)
		return false;
	a = (int32_t)utf8_value(s + i - k, (int)k);
	return a != ZWJ && !is_mark(a) &&
	       utf8proc_grapheme_break(a, (int32_t)utf8_value(s + i, m));
}

size_t width_border(const char *s, size_t n, size_t at)
{
	while (at > 0 && at < n && !is_border(s, n, at))
		at--;
	return at;
}

size_t width_unfinished(const char *s, size_t n)
{
	size_t start = n;

	if (!n)
		return 0;
	for (size_t i = width_border(s, n, n - 1); i < n;) {
		struct glyph g;
		bool open = take(s + i, n - i, &g);

		if (!open)
			start = n;
		else if (start == n)
			start = i;
		i += g.bytes;
	}
	return n - start;
}
