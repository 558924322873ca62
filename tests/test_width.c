/* test_width.c - graphemes, their widths and their visible forms.
 *
 * Widths come from tests/vectors/widths.txt, which tests/tools/make_width_vectors.py made with
 * Python's wcwidth; those of clusters of several characters from the C library.  Visible forms are
 * written out by hand from ui/cell/width.h. */
#include "base/utf8.h"
#include "tests/unsafe.h"
#include "ui/cell/width.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
#include <locale.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>
#include <wchar.h>

#define B(s) s, sizeof(s) - 1

static void test_widths_of_wcwidth(void **state)
{
	FILE *f = fopen("tests/vectors/widths.txt", "r");
	char line[256];
	int cases = 0, wrong = 0;

	(void)state;
	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		char text[128], *p;
		size_t n = 0;
		int want = (int)strtol(line, &p, 10), got;

		for (char *q = p; n + 4 < sizeof(text); p = q) {
			unsigned long c = strtoul(p, &q, 16);

			if (q == p)
				break;
			n += unsafe_utf8((uint32_t)c, text + n);
		}
		got = width_of(text, n);
		if (got != want && ++wrong)
			print_error("%d, not %d: %s", got, want, line);
		cases++;
	}
	fclose(f);
	assert_int_equal(wrong, 0);
	assert_true(cases > 1000);
}

static void check(const char *s, size_t n, const char *text, int width, size_t bytes)
{
	struct glyph g;

	width_glyph(s, n, &g);
	assert_string_equal(g.text, text);
	assert_int_equal(g.width, width);
	assert_int_equal(g.bytes, bytes);
}

static void test_visible_forms(void **state)
{
	(void)state;
	check(B("\x1b[2J"), "^[", 2, 1);
	check(B("\0"), "^@", 2, 1);
	check(B("\x7fx"), "^?", 2, 1);
	check(B("\xc2\x85x"), "<U+0085>", 8, 2);
	check(B("\xe2\x80\xaex"), "<U+202E>", 8, 3);
	check(B("\xe2\x81\xa6x"), "<U+2066>", 8, 3);
	check(B("\xe2\x80\x8bx"), "<U+200B>", 8, 3);
	check(B("\xe2\x80\xa8"), "<U+2028>", 8, 3);
	check(B("\xef\xbb\xbfx"), "<U+FEFF>", 8, 3);
	check(B("\xcc\x81x"), "\xe2\x97\x8c\xcc\x81", 1, 2);
	check(B("\xff\xfe"), "\xef\xbf\xbd", 1, 1);
	check(B("\xe2\x82x"), "\xef\xbf\xbd", 1, 2);
	check(B("\xed\xa0\x80"), "\xef\xbf\xbd", 1, 1);
	check(B("\xf4\x90\x80\x80"), "\xef\xbf\xbd", 1, 1);
	check(B("\xf0\x9f\x98"), "\xef\xbf\xbd", 1, 3);
	check(B("\xf3\xa0\x81\x81x"), "<U+E0041>", 9, 4);
	check(B("a\xf3\xa0\x81\x81"), "a", 1, 1);       /* a tag hides nothing behind a letter */
	check(B("a\xf0\x9f\x8f\xbb"), "a", 1, 1);       /* a skin tone needs an emoji */
	check(B("\xcd\xb8"), "<U+0378>", 8, 2);         /* not assigned */
	check(B("e\xcc\x81x"), "e\xcc\x81", 1, 3);
	check(B("\xe2\x9d\xa4\xef\xb8\x8fx"), "\xe2\x9d\xa4\xef\xb8\x8f", 2, 6);
}

/* Alone, behind a letter and behind an emoji. */
static void test_every_unsafe_character(void **state)
{
	char text[16], form[16];

	(void)state;
	for (uint32_t c = 0; c < 0x110000; c++) {
		static const char *const before[] = { "", "a", "🔥" };

		if (!unsafe_has(c))
			continue;
		unsafe_form(c, form);
		for (int i = 0; i < 3; i++) {
			size_t at = strlen(before[i]), n = at;
			struct glyph g = { .bytes = 0 };

			memcpy(text, before[i], n);
			n += unsafe_utf8(c, text + n);
			text[n++] = 'b';
			if (at) {
				width_glyph(text, n, &g);
				assert_int_equal(g.bytes, at);
				assert_string_equal(g.text, before[i]);
			}
			check(text + at, n - at, form, (int)strlen(form), n - at - 1);
		}
	}
}

static void test_joiners(void **state)
{
	(void)state;
	check(B("ی\u200Cخ"), "ی\u200C", 1, 5);
	check(B("a\u200Db"), "a", 1, 1);
	check(B("\u200Db"), "<U+200D>", 8, 3);
	check(B("🔥\u200D\u200D"), "🔥\u200D", 2, 7);
}

/* A letter under 1000 accents takes 64 bytes of them at most and stays small. */
static void test_zalgo_is_bounded(void **state)
{
	char text[2001] = "a";
	struct glyph g;

	(void)state;
	for (int i = 0; i < 1000; i++)
		memcpy(text + 1 + 2 * i, "\xcc\x81", 2);
	width_glyph(text, sizeof(text), &g);
	assert_int_equal(g.bytes, 63);
	assert_int_equal(g.width, 1);
	assert_true(strlen(g.text) < GLYPH_MAX);
	assert_int_equal(strlen(g.text) % 2, 1);
}

/* The sum of what the C library gives for each character. */
static int columns(const char *s)
{
	wchar_t text[32];
	size_t n = mbstowcs(text, s, 32);
	int sum = 0;

	assert_true(n < 32);
	for (size_t i = 0; i < n; i++)
		sum += wcwidth(text[i]);
	return sum;
}

/* One cluster, whole, with room for every character on a terminal that joins none (and one column
 * more for each narrow emoji that the selector makes wide). */
static void check_cluster(const char *s, int made_wide)
{
	struct glyph g;

	width_glyph(s, strlen(s), &g);
	assert_int_equal(g.bytes, strlen(s));
	assert_string_equal(g.text, s);
	assert_int_equal(g.width, columns(s) + made_wide);
}

static void test_emoji_sequences(void **state)
{
	static const struct { const char *text; int made_wide; } seq[] = {
		{ "👍🏽", 0 }, { "☝🏿", 0 }, { "👨‍👩‍👧", 0 }, { "👨‍👩‍👧‍👦", 0 }, { "🧑🏻‍💻", 0 },
		{ "👩🏿‍🤝‍👨🏻", 0 }, { "👩🏻‍❤️‍💋‍👨🏿", 1 }, { "❤️", 1 }, { "☀️", 1 }, { "❤️‍🔥", 1 },
		{ "👁️‍🗨️", 2 }, { "🏳️‍🌈", 1 }, { "1️⃣", 1 }, { "#️⃣", 1 }, { "🇩🇪", 0 },
		{ "🏴󠁧󠁢󠁥󠁮󠁧󠁿", 0 }, { "❤", 0 }, { "🔥", 0 },
	};

	(void)state;
	if (!setlocale(LC_CTYPE, "C.UTF-8"))
		skip();
	for (size_t i = 0; i < sizeof(seq) / sizeof(seq[0]); i++)
		check_cluster(seq[i].text, seq[i].made_wide);
}

/* Every spacing mark: with the letter before it, or as a cluster of its own, nothing is left out
 * and it takes the column that the C library gives it. */
static void test_every_spacing_mark(void **state)
{
	int marks = 0;

	(void)state;
	if (!setlocale(LC_CTYPE, "C.UTF-8"))
		skip();
	for (int32_t c = 0; c < 0x110000; c++) {
		char text[16] = "क", shown[2 * GLYPH_MAX] = "";
		size_t n = strlen(text);
		struct glyph g;
		int width = 0;

		if (utf8proc_category(c) != UTF8PROC_CATEGORY_MC || wcwidth((wchar_t)c) < 0)
			continue;
		n += unsafe_utf8((uint32_t)c, text + n);
		for (size_t i = 0; i < n; i += g.bytes) {
			width_glyph(text + i, n - i, &g);
			strcat(shown, g.text);
			width += g.width;
		}
		assert_string_equal(shown, text);
		assert_int_equal(width, 1 + wcwidth((wchar_t)c));
		marks++;
	}
	assert_true(marks > 400);
}

/* Syllables with several marks, of scripts that have many. */
static void test_syllables(void **state)
{
	static const char *const text[] = { "कि", "की", "कोः", "क्षि", "மொ", "மொ", "কো", "කෝ",
		"కూ", "ಕೂ", "കോ", "កោះ", "ກຳ", "ကြောင်း", "ꦏꦺꦴ", "ᬓᭀ" };

	(void)state;
	if (!setlocale(LC_CTYPE, "C.UTF-8"))
		skip();
	for (size_t i = 0; i < sizeof(text) / sizeof(text[0]); i++)
		assert_int_equal(width_of(text[i], strlen(text[i])), columns(text[i]));
	check(B("िx"), "◌ि", 2, 3);
	check(B("क" "ािीुूाािीाााा"), "क" "ािीुूाािीाााा", 12, 42);
}

static void test_fit_and_tabs(void **state)
{
	int used;

	(void)state;
	assert_int_equal(width_of(B("a\tb")), 9);
	assert_int_equal(width_of(B("12345678\tb")), 17);
	assert_int_equal(width_fit(B("a\tb"), 8, &used), 2);
	assert_int_equal(used, 8);
	assert_int_equal(width_fit(B("\xe6\xbc\xa2\xe5\xad\x97"), 3, &used), 3);
	assert_int_equal(used, 2);
	assert_int_equal(width_fit(B("e\xcc\x81"), 0, &used), 0);
	assert_int_equal(width_fit(B("abc"), 80, NULL), 3);
}

/* Letters beside each other, by what utf8proc says of each pair. */
static void test_neighbours(void **state)
{
	static const uint32_t next[] = { 'a', ' ', 0xE9, 0x301, 0x416, 0x6F22, 0x3042, 0x3099,
		0xAC00, 0x11A8, 0xAC01, 0x1F468, 0x200D, 0x10FFFF };

	(void)state;
	for (uint32_t c = 0xA0; c < 0x20000; c++)
		for (size_t i = 0; i < sizeof(next) / sizeof(next[0]); i++) {
			char text[16];
			utf8proc_category_t kind = utf8proc_category((int32_t)c);
			size_t k, n;
			struct glyph g;

			if ((c >= 0xD800 && c < 0xE000) || utf8_unsafe(c) ||
			    kind == UTF8PROC_CATEGORY_CN || kind == UTF8PROC_CATEGORY_MC ||
			    utf8proc_charwidth((int32_t)c) == 0)
				continue;
			k = (size_t)utf8proc_encode_char((int32_t)c, (uint8_t *)text);
			n = k + (size_t)utf8proc_encode_char((int32_t)next[i], (uint8_t *)text + k);
			width_glyph(text, n, &g);
			if (utf8proc_grapheme_break((int32_t)c, (int32_t)next[i])) {
				assert_int_equal(g.bytes, k);
				assert_int_equal(g.width, utf8proc_charwidth((int32_t)c));
			} else if (next[i] < 0x2000) {
				assert_int_equal(g.bytes, n);
			}
		}
}

/* A border is one of the places that a walk from the start comes by. */
static void test_border(void **state)
{
	static const char *const bits[] = { "a", " ", "\xC3\xA9", "\xE6\xBC\xA2", "e\xCC\x81",
		"\xF0\x9F\x87\xA9", "\xF0\x9F\x91\xA8\xE2\x80\x8D\xF0\x9F\x91\xA9", "\xFF",
		"\xC3", "\xE2\x80\x8D", "\xE0\xA4\x95\xE0\xA5\x8D\xE0\xA4\xB7",
		"\xE1\x84\x80\xE1\x85\xA1", "\xEF\xB8\x8F", "\x1B", "\xE2\x80\xAE" };
	unsigned seed = 7;

	(void)state;
	for (int round = 0; round < 3000; round++) {
		char text[512];
		bool begins[513] = { false };
		size_t n = 0;
		struct glyph g;

		for (int i = 0; i < 24; i++) {
			seed = seed * 1664525 + 1013904223;
			n += (size_t)(stpcpy(text + n, bits[(seed >> 8) % 15]) - (text + n));
		}
		for (size_t i = 0; i < n; i += g.bytes) {
			begins[i] = true;
			width_glyph(text + i, n - i, &g);
		}
		begins[n] = true;
		for (size_t at = 0; at <= n; at++) {
			size_t b = width_border(text, n, at);

			assert_true(b <= at && begins[b]);
		}
	}
	assert_int_equal(width_border("\xE6\xBC\xA2\xE6\xBC\xA2\xE6\xBC\xA2", 9, 7), 6);
}

static void test_unfinished(void **state)
{
	(void)state;
	assert_int_equal(width_unfinished(B("")), 0);
	assert_int_equal(width_unfinished(B("ab")), 1);
	assert_int_equal(width_unfinished(B("ab\xcc")), 2);
	assert_int_equal(width_unfinished(B("a\n")), 0);
	assert_int_equal(width_unfinished(B("a\xff")), 0);
	assert_int_equal(width_unfinished(B("\xe6\xbc\xa2\xf0\x9f\x87\xa9\xf0\x9f\x87\xaa")), 8);
	assert_int_equal(width_unfinished(B("\xf0\x9f\x91\xa8\xe2\x80\x8d\xf0\x9f")), 9);
}

/* Bytes and pieces that make trouble likely. */
static size_t nasty(char *out, size_t cap)
{
	static const char *const piece[] = { "\xcc\x81", "\xf0\x9f\x8f\xbd", "\xe2\x80\x8d",
		"\xf0\x9f\x91\xa9", "\xf0\x9f\x87\xa9", "\xef\xb8\x8f", "\xe6\xbc\xa2",
		"\xe1\x84\x92",
		"\xe1\x85\xa1", "\xe2\x80\xae", "\xc2\x9b", "a", " ", "\x1b", "\t", "1",
		"\xf3\xa0\x81\xa7", "\xf0\x9f\x8f\xb4", "\xe0\xb5\x8e", "\xd8\x80" };
	size_t n = 0;

	while (n + 4 <= cap) {
		const char *p = piece[(size_t)rand() % (sizeof(piece) / sizeof(piece[0]))];

		if (rand() % 4) {
			memcpy(out + n, p, strlen(p));
			n += strlen(p);
		} else {
			out[n++] = (char)rand();
		}
	}
	return n;
}

static void check_clean(const char *s)
{
	for (const unsigned char *p = (const unsigned char *)s; *p; p++) {
		assert_true(*p >= 0x20 && *p != 0x7F);
		assert_false(*p == 0xC2 && p[1] < 0xA0);
		assert_false(*p == 0xE2 && p[1] == 0x80 && p[2] >= 0xAA && p[2] <= 0xAE);
	}
}

/* Clean glyphs that end; and what width_unfinished calls finished does not change any more. */
static void test_random_bytes(void **state)
{
	(void)state;
	srand(1);
	for (int round = 0; round < 3000; round++) {
		char s[48];
		size_t n = nasty(s, sizeof(s)), cut = (size_t)rand() % (n + 1);
		size_t safe = cut - width_unfinished(s, cut), at = 0;
		struct glyph g, h;

		for (size_t i = 0; i < n; i += g.bytes) {
			width_glyph(s + i, n - i, &g);
			assert_true(g.bytes >= 1 && g.bytes <= n - i);
			assert_true(g.width >= 1 && strlen(g.text) < GLYPH_MAX);
			check_clean(g.text);
			if (i >= safe)
				continue;
			assert_int_equal(i, at);
			width_glyph(s + i, cut - i, &h);
			assert_int_equal(g.bytes, h.bytes);
			assert_int_equal(g.width, h.width);
			assert_string_equal(g.text, h.text);
			at += h.bytes;
		}
		assert_int_equal(at, safe);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_widths_of_wcwidth),
		cmocka_unit_test(test_visible_forms),
		cmocka_unit_test(test_every_unsafe_character),
		cmocka_unit_test(test_joiners),
		cmocka_unit_test(test_zalgo_is_bounded),
		cmocka_unit_test(test_emoji_sequences),
		cmocka_unit_test(test_every_spacing_mark),
		cmocka_unit_test(test_syllables),
		cmocka_unit_test(test_fit_and_tabs),
		cmocka_unit_test(test_neighbours), cmocka_unit_test(test_border),
		cmocka_unit_test(test_unfinished),
		cmocka_unit_test(test_random_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
