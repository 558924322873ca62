/* test_text.c - untrusted bytes made visible.
 *
 * The repaired UTF-8 is what Python's bytes.decode("utf-8", "replace") gives for the same bytes
 * (printed once with Python 3.11); validity is judged by the C library. */
#include "base/text.h"
#include "tests/unsafe.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#define B(s) s, sizeof(s) - 1

static void check(char *(*f)(const char *, size_t, size_t *), const char *in, size_t n,
		  const char *want, size_t want_n)
{
	size_t got_n;
	char *got = f(in, n, &got_n);

	assert_non_null(got);
	assert_int_equal(got_n, want_n);
	assert_memory_equal(got, want, want_n);
	free(got);
}

static void test_repair(void **state)
{
	static const struct {
		const char *in;
		size_t n;
		const char *out;
	} cases[] = {
		{ B("\x63\x61\x66\xc3\xa9"), "\x63\x61\x66\xc3\xa9" },
		{ B("\xc3"), "\xef\xbf\xbd" },
		{ B("\xe2\x82"), "\xef\xbf\xbd" },
		{ B("\xe2\x82\x41"), "\xef\xbf\xbd\x41" },
		{ B("\xf0\x9f\x98"), "\xef\xbf\xbd" },
		{ B("\xf0\x9f\x98\x80"), "\xf0\x9f\x98\x80" },
		{ B("\xc0\xaf"), "\xef\xbf\xbd\xef\xbf\xbd" },
		{ B("\xe0\x80\xaf"), "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
		{ B("\xed\xa0\x80"), "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
		{ B("\xf4\x90\x80\x80"), "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
		{ B("\xff\xfe"), "\xef\xbf\xbd\xef\xbf\xbd" },
		{ B("\x61\x80\x62"), "\x61\xef\xbf\xbd\x62" },
		{ B("\xf1\x80\x80\xe1\x80\xc2\x62"), "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\x62" },
		{ B("\xf8\x88\x80\x80"), "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
		{ B("\xef\xbf\xbf"), "\xef\xbf\xbf" },
		{ B("\xf4\x8f\xbf\xbf"), "\xf4\x8f\xbf\xbf" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		check(text_utf8, cases[i].in, cases[i].n, cases[i].out, strlen(cases[i].out));
		check(text_visible, cases[i].in, cases[i].n, cases[i].out, strlen(cases[i].out));
	}
	check(text_utf8, B("\x1b[0m\0\x9b"), B("\x1b[0m\0\xef\xbf\xbd"));
}

static void test_visible(void **state)
{
	(void)state;
	check(text_visible, B("a\tb\nc"), B("a\tb\nc"));
	check(text_visible, B("\x1b[2J\a\b\r\0"), B("^[[2J^G^H^M^@"));
	check(text_visible, B("\x7f"), B("^?"));
	check(text_visible, B("\xc2\x9b" "31m"), B("<U+009B>31m"));
	check(text_visible, B("\xc2\x80\xc2\x9f\xc2\xa0"), B("<U+0080><U+009F>\xc2\xa0"));
	check(text_visible, B("\xe2\x80\xae" "gpj"), B("<U+202E>gpj"));
	check(text_visible, B("\xe2\x81\xa6\xe2\x81\xa9"), B("<U+2066><U+2069>"));
	check(text_visible, B("\xe2\x80\xa9\xe2\x80\x8b"), B("<U+2029><U+200B>"));
	check(text_visible, B("\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x92\xbb"),
	      B("\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x92\xbb"));        /* a joiner stays */
	check(text_visible, B(""), B(""));
}

/* Each of the list between letters, through every call that makes text visible, whole and byte for
 * byte.  Newline and tab stay but where a text must be one line. */
static void check_unsafe(uint32_t c)
{
	char in[8] = "a", form[16], want[32], parts[TEXT_GROWTH * 8];
	size_t n = 1 + unsafe_utf8(c, in + 1), w = 0;
	struct text_filter f = { 0 };
	char *line;

	in[n++] = 'b';
	in[n] = '\0';
	unsafe_form(c, form);
	snprintf(want, sizeof(want), "a%sb", form);
	if (c != '\n' && c != '\t') {
		check(text_visible, in, n, want, strlen(want));
		for (size_t i = 0; i < n; i++)
			w += text_filter_put(&f, in + i, 1, parts + w);
		assert_int_equal(w, strlen(want));
		assert_memory_equal(parts, want, w);
		line = text_title(in, n);
		assert_string_equal(line, want);
		free(line);
	}
	line = text_line(in, n);
	assert_string_equal(line, want);
	free(line);
}

static void test_every_unsafe_character(void **state)
{
	(void)state;
	for (uint32_t c = 0; c < 0x110000; c++)
		if (unsafe_has(c))
			check_unsafe(c);
}

/* Joiners belong behind a letter that is not ASCII; elsewhere they hide. */
static void test_joiners(void **state)
{
	(void)state;
	check(text_visible, B("می\u200Cخواهم"), B("می\u200Cخواهم"));
	check(text_visible, B("क्\u200Dष"), B("क्\u200Dष"));
	check(text_visible, B("a\u200Db"), B("a<U+200D>b"));
	check(text_visible, B("\u200C"), B("<U+200C>"));
	check(text_visible, B("🔥\u200D\u200D\u200D"), B("🔥\u200D<U+200D><U+200D>"));
	check(text_visible, B("\u202E\u200D"), B("<U+202E><U+200D>"));
	check(text_visible, B("\xff\u200D"), B("\xef\xbf\xbd<U+200D>"));
}

/* True if the C library finds only printable characters, newlines and tabs in it. */
static bool is_safe(const char *s, size_t n)
{
	mbstate_t st = { 0 };
	wchar_t c;

	while (n) {
		size_t k = mbrtowc(&c, s, n, &st);

		if (k == (size_t)-1 || k == (size_t)-2 || k == 0)
			return false;
		if ((c < 0x20 && c != '\n' && c != '\t') || (c >= 0x7F && c < 0xA0) ||
		    (c >= 0x202A && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069))
			return false;
		s += k;
		n -= k;
	}
	return true;
}

/* Bytes that make trouble likely. */
static unsigned char nasty(void)
{
	static const unsigned char from[] = { 0x1b, '[', 0x9b, 0xc2, 0xe2, 0x80, 0xae, 0x81, 0xa6,
		0xf0, 0x9f, 0xed, 0xa0, 0xff, 0, '\r', '\n', 'a', 0x7f, 0xf4, 0x90, 0x8f, 0xbf };
	int r = rand();

	return r % 3 ? from[(size_t)(r / 3) % sizeof(from)] : (unsigned char)(r >> 8);
}

static void test_random_bytes_in_pieces(void **state)
{
	(void)state;
	if (!setlocale(LC_CTYPE, "C.UTF-8"))
		skip();
	srand(1);
	for (int round = 0; round < 10000; round++) {
		char in[64], whole[TEXT_GROWTH * 65], parts[TEXT_GROWTH * 65];
		size_t n = (size_t)rand() % sizeof(in), w, p = 0;
		struct text_filter f = { 0 }, g = { 0 };

		for (size_t i = 0; i < n; i++)
			in[i] = (char)nasty();
		w = text_filter_put(&f, in, n, whole);
		w += text_filter_end(&f, whole + w);
		for (size_t i = 0, k; i < n; i += k) {
			k = 1 + (size_t)rand() % (n - i);
			p += text_filter_put(&g, in + i, k, parts + p);
		}
		p += text_filter_end(&g, parts + p);
		assert_true(w <= TEXT_GROWTH * n);
		assert_int_equal(w, p);
		assert_memory_equal(whole, parts, w);
		assert_true(is_safe(whole, w));
	}
}

static void test_one_and_many(void **state)
{
	(void)state;
	assert_string_equal(text_s(0), "s");
	assert_string_equal(text_s(1), "");
	assert_string_equal(text_s(2), "s");
	assert_string_equal(text_s(-1), "s");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_repair), cmocka_unit_test(test_visible),
		cmocka_unit_test(test_every_unsafe_character), cmocka_unit_test(test_joiners),
		cmocka_unit_test(test_random_bytes_in_pieces),
		cmocka_unit_test(test_one_and_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
