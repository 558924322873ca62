/* test_typed.c - a keyboard's bytes cut into keys and pastes: however they come in pieces, the same
 * comes out, and whatever a paste holds, it ends. */
#include "app/typing/typed.h"
#include "ui/term/keys.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static unsigned seed = 3;

static unsigned dice(unsigned n)
{
	seed = seed * 1664525 + 1013904223;
	return (seed >> 8) % n;
}

/* What came out, as text: <key>, or [paste]. */
static void take(struct typed *t, bool final, char *out)
{
	struct typed_event e;

	while (typed_next(t, final, &e))
		if (e.kind == TYPED_KEY)
			sprintf(out + strlen(out), "<%x>", e.key);
		else
			sprintf(out + strlen(out), "[%s]", e.kind == TYPED_PASTE ? e.bytes : "!");
}

static void put(struct typed *t, const char *s, char *out)
{
	assert_int_equal(typed_put(t, s, strlen(s)), 0);
	take(t, false, out);
}

static void test_any_pieces(void **state)
{
	static const char *const bits[] = { "a", "\r", "\xC3\xA9", "\033[A", "\033OP", "\033x",
		"\033[1;5C", "\033[200~", "one\r\ntwo\rthree\003\033[20", "\033[201~",
		"\033[<64;1;2M", "\003" };

	(void)state;
	for (int round = 0; round < 20000; round++) {
		char in[512] = "", whole[4096] = "", pieces[4096] = "";
		struct typed a = { 0 }, b = { 0 };
		size_t n, cut;

		for (int i = 0; i < 12; i++)
			strcat(in, bits[dice(12)]);
		n = strlen(in);
		put(&a, in, whole);
		for (size_t at = 0; at < n; at += cut) {
			cut = 1 + dice(9);
			cut = cut < n - at ? cut : n - at;
			/* Ctrl+C alone is another matter within a paste. */
			while (at + cut < n && (in[at + cut] == 3 || in[at + cut - 1] == 3))
				cut++;
			assert_int_equal(typed_put(&b, in + at, cut), 0);
			take(&b, false, pieces);
		}
		assert_string_equal(whole, pieces);
		typed_end_paste(&a);
		take(&a, true, whole);
		assert_true(typed_patience(&a, 0.05) < 0);      /* nothing is held back */
		typed_free(&a);
		typed_free(&b);
	}
}

static void test_ends(void **state)
{
	struct typed t = { 0 };
	char out[4096] = "", bulk[128];

	(void)state;
	put(&t, "\033[200~a\r\nb\rc", out);
	assert_string_equal(out, "");
	assert_true(typed_patience(&t, 0.05) >= 0.5);
	put(&t, "\003\003", out);
	assert_string_equal(out, "[a\nb\nc]");
	put(&t, "\003", out);                   /* and now it is the key again */
	assert_string_equal(out, "[a\nb\nc]<20000043>");
	*out = '\0';
	put(&t, "\033[200~x", out);
	typed_end_paste(&t);
	take(&t, true, out);
	assert_string_equal(out, "[x]");
	memset(bulk, 'y', sizeof(bulk));        /* the link had stalled */
	strcpy(bulk + 100, "\r");
	put(&t, bulk, out);
	put(&t, "\033[201~\r", out);
	assert_int_equal(strlen(out), 3 + 1 + 100 + 1 + 1 + 3);
	assert_non_null(strstr(out, "y\n]<d>"));
	typed_free(&t);
}

static void test_patience(void **state)
{
	static const char *const may_be_esc[] = { "\033", "\033[", "\033O", "\033\033" };
	static const char *const cannot[] = { "\033[1", "\033[20", "\033[1;", "\xC3", "\xF0\x9F" };
	char out[64] = "";

	(void)state;
	for (size_t i = 0; i < 5; i++) {
		struct typed t = { 0 };

		if (i < 4) {
			put(&t, may_be_esc[i], out);
			assert_true(typed_patience(&t, 0.05) == 0.05);
			typed_free(&t);
		}
		put(&t, cannot[i], out);
		assert_true(typed_patience(&t, 0.05) >= 0.5);
		typed_free(&t);
	}
	assert_string_equal(out, "");
}

static void test_too_long(void **state)
{
	static char block[4096];
	struct typed t = { 0 };
	char out[64] = "";

	(void)state;
	memset(block, 'z', sizeof(block));
	put(&t, "\033[200~", out);
	for (size_t n = 0; n < 3 * (size_t)TYPED_PASTE_MAX; n += sizeof(block)) {
		assert_int_equal(typed_put(&t, block, sizeof(block)), 0);
		take(&t, false, out);
	}
	assert_true(t.cap < 4 * (size_t)TYPED_PASTE_MAX);
	put(&t, "\033[201~k", out);
	assert_string_equal(out, "[!]<6b>");
	typed_free(&t);
}

static void test_escape_time(void **state)
{
	(void)state;
	unsetenv("SSH_TTY");
	unsetenv("SSH_CONNECTION");
	assert_true(typed_escape_time(-1) == 0.05);
	setenv("SSH_TTY", "", 1);
	assert_true(typed_escape_time(-1) == 0.05);
	setenv("SSH_TTY", "/dev/pts/1", 1);
	assert_true(typed_escape_time(-1) == 0.5);
	assert_true(typed_escape_time(0) == 0);
	assert_true(typed_escape_time(70) == 0.07);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_any_pieces), cmocka_unit_test(test_ends),
		cmocka_unit_test(test_patience), cmocka_unit_test(test_too_long),
		cmocka_unit_test(test_escape_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
