/* test_keys.c - escape sequences to keys, names there and back, bindings.
 *
 * The sequences are those of xterm (ctlseqs), the Linux console (console_codes(4)), tmux and rxvt
 * (rxvt(7)), written out by hand. */
#include "ui/term/keys.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char err[ERR_MAX];

static const struct { const char *bytes, *name; } sequences[] = {
	{ "a", "a" }, { "A", "A" }, { " ", "Space" }, { "\r", "Enter" }, { "\t", "Tab" },
	{ "\n", "Ctrl+J" }, { "\001", "Ctrl+A" }, { "\024", "Ctrl+T" }, { "\032", "Ctrl+Z" },
	{ "\177", "Backspace" }, { "\b", "Ctrl+H" }, { "\034", "Ctrl+\\" }, { "\037", "Ctrl+_" },
	{ "\033\r", "Alt+Enter" }, { "\033,", "Alt+," }, { "\033.", "Alt+." },
	{ "\033;", "Alt+;" }, { "\033'", "Alt+'" }, { "\033o", "Alt+o" }, { "\033\177",
	"Alt+Backspace" }, { "\033\n", "Ctrl+Alt+J" }, { "\033\xc3\xa9", "Alt+\xc3\xa9" },
	{ "\xc3\xa9", "\xc3\xa9" }, { "\xe6\xbc\xa2", "\xe6\xbc\xa2" },
	{ "\xf0\x9f\x91\x8d", "\xf0\x9f\x91\x8d" },
	{ "\033OP", "F1" }, { "\033[11~", "F1" }, { "\033[[A", "F1" },
	{ "\033[1;5P", "Ctrl+F1" },
	{ "\033OS", "F4" }, { "\033[[E", "F5" }, { "\033[15~", "F5" }, { "\033[17~", "F6" },
	{ "\033[20~", "F9" }, { "\033[21~", "F10" }, { "\033[24~", "F12" },
	{ "\033[25~", "F13" }, { "\033[34~", "F20" }, { "\033[15;2~", "Shift+F5" },
	{ "\033[A", "Up" }, { "\033OA", "Up" }, { "\033[1;2A", "Shift+Up" },
	{ "\033[1;3A", "Alt+Up" }, { "\033[1;5D", "Ctrl+Left" }, { "\033[1;8C",
	"Ctrl+Alt+Shift+Right" }, { "\033[a", "Shift+Up" }, { "\033Oa", "Ctrl+Up" },
	{ "\033\033[A", "Alt+Up" }, { "\033\033OB", "Alt+Down" }, { "\033[1;9A", "Alt+Up" },
	{ "\033[H", "Home" }, { "\033OH", "Home" }, { "\033[1~", "Home" }, { "\033[7~", "Home" },
	{ "\033[1;5H", "Ctrl+Home" }, { "\033[7^", "Ctrl+Home" }, { "\033[F", "End" },
	{ "\033[4~", "End" }, { "\033[8~", "End" }, { "\033[8^", "Ctrl+End" },
	{ "\033[1;5F", "Ctrl+End" }, { "\033[5~", "PgUp" }, { "\033[6~", "PgDn" },
	{ "\033[5;5~", "Ctrl+PgUp" }, { "\033[5$", "Shift+PgUp" }, { "\033[5@",
	"Ctrl+Shift+PgUp" }, { "\033[2~", "Insert" }, { "\033[3~", "Delete" },
	{ "\033[3;5~", "Ctrl+Delete" }, { "\033[Z", "Shift+Tab" }, { "\033OM", "Enter" },
	{ "\033Ow", "7" }, { "\033[13;2u", "Shift+Enter" }, { "\033[27;5;13~", "Ctrl+Enter" },
	{ "\033[97;5u", "Ctrl+A" }, { "\033[97;2u", "A" }, { "\033[109;5u", "Enter" },
	{ "\033[27u", "Esc" }, { "\033[127;3u", "Alt+Backspace" },
};
enum { SEQUENCES_N = sizeof(sequences) / sizeof(sequences[0]) };

static void test_sequences(void **state)
{
	(void)state;
	for (int i = 0; i < SEQUENCES_N; i++) {
		const char *s = sequences[i].bytes;
		size_t n = strlen(s);
		unsigned key = 0;
		char name[32];

		/* More bytes behind it change nothing, and a beginning of it is never taken. */
		for (size_t k = 1; k < n; k++)
			if (keys_decode(s, k, false, &key))
				fail_msg("%s: taken after %zu bytes", sequences[i].name, k);
		for (int more = 0; more < 2; more++) {
			char buf[32];

			snprintf(buf, sizeof(buf), "%s%s", s, more ? "x" : "");
			if (keys_decode(buf, n + (size_t)more, false, &key) != n)
				fail_msg("%s: not %zu bytes", sequences[i].name, n);
			keys_name(key, name);
			assert_string_equal(name, sequences[i].name);
		}
	}
}

static void decodes(const char *s, size_t n, bool final, size_t takes, unsigned want)
{
	unsigned key = 0;
	size_t k = keys_decode(s, n, final, &key);

	if (k != takes || (k && key != want))
		fail_msg("%s: %zu bytes, key %x; wanted %zu, %x", s, k, key, takes, want);
}

static void test_ends_and_rubbish(void **state)
{
	char endless[100] = "\033[";

	(void)state;
	memset(endless + 2, '1', sizeof(endless) - 2);
	decodes(endless, sizeof(endless), false, 64, KEYSYM_UNKNOWN);
	decodes("", 0, true, 0, 0);
	decodes("\033", 1, false, 0, 0);
	decodes("\033", 1, true, 1, 0x1b);
	decodes("\033\033", 2, true, 1, 0x1b);
	decodes("\033\033x", 3, false, 1, 0x1b);
	decodes("\033[", 2, true, 2, KEY_ALT | '[');
	decodes("\033O", 2, true, 2, KEY_ALT | 'O');
	decodes("\033O\r", 3, false, 2, KEY_ALT | 'O');
	decodes("\033[1;", 4, false, 0, 0);
	decodes("\033[1;", 4, true, 4, KEYSYM_UNKNOWN);
	decodes("\033[1\033[A", 6, false, 3, KEYSYM_UNKNOWN);
	decodes("\033[200~", 6, false, 6, KEYSYM_PASTE_BEGIN);
	decodes("\033[201~", 6, false, 6, KEYSYM_PASTE_END);
	decodes("\033[201;5~", 8, false, 8, KEYSYM_PASTE_END);
	decodes("\033[<0;10;20M", 11, false, 11, KEYSYM_CLICK);
	decodes("\033[<0;10;20m", 11, false, 11, KEYSYM_UNKNOWN);
	decodes("\033[<64;10;20Mx", 13, false, 12, KEYSYM_WHEEL_UP);
	decodes("\033[<69;1;2M", 10, false, 10, KEYSYM_WHEEL_DOWN);    /* with Shift */
	decodes("\033[<35;1;2M", 10, false, 10, KEYSYM_UNKNOWN);       /* moved */
	decodes("\033[<64;10;2", 10, false, 0, 0);
	decodes("\033[<64;10;2", 10, true, 10, KEYSYM_UNKNOWN);
	decodes("\033[<64\033", 6, false, 5, KEYSYM_UNKNOWN);
	decodes("\033[M\x60!\xff" "x", 7, false, 6, KEYSYM_WHEEL_UP);
	decodes("\033[Ma!", 5, false, 0, 0);
	decodes("\033[M !!", 6, false, 6, KEYSYM_CLICK);
	decodes("\033[?62;c", 7, false, 7, KEYSYM_UNKNOWN);
	decodes("\033[99999999999999999999~", 23, false, 23, KEYSYM_UNKNOWN);
	decodes("\033[55296u", 8, false, 8, KEYSYM_UNKNOWN);
	decodes("\033[1114112u", 10, false, 10, KEYSYM_UNKNOWN);
	decodes("\033[7u", 4, false, 4, KEYSYM_UNKNOWN);
	decodes("\xe6\xbc", 2, false, 0, 0);
	decodes("\xe6\xbc", 2, true, 2, 0xfffd);
	decodes("\xff", 1, false, 1, 0xfffd);
	decodes("\xed\xa0\x80", 3, false, 1, 0xfffd);
	decodes("\033\xe6", 2, false, 0, 0);
	decodes("\0", 1, false, 1, KEY_CTRL | ' ');
}

/* Any bytes, in any pieces: never stuck, never past the end, the same keys as at once. */
static void test_random_bytes(void **state)
{
	static const char likely[] = "\033\033\033[[O;;0123456789~ABu^$\xe6\xbc\xa2\xff<?a\r";

	(void)state;
	srand(7);
	for (int round = 0; round < 20000; round++) {
		char s[160];
		size_t n = 1 + (size_t)rand() % sizeof(s), at = 0;

		for (size_t i = 0; i < n; i++)
			s[i] = (char)(rand() % 3 ?
				      likely[(size_t)rand() % (sizeof(likely) - 1)] : rand());
		while (at < n) {
			unsigned whole = 0, cut = 0;
			size_t k = keys_decode(s + at, n - at, true, &whole), c = 0;

			if (!k || k > n - at)
				fail_msg("round %d: %zu of %zu bytes", round, k, n - at);
			/* More than 64 bytes must never be asked for. */
			if (n - at > 64 && !keys_decode(s + at, n - at, false, &cut))
				fail_msg("round %d: stuck at %zu", round, at);
			for (size_t have = 1; !c && have <= n - at; have++)
				c = keys_decode(s + at, have, false, &cut);
			if (c && (c != k || cut != whole))
				fail_msg("round %d: in pieces %zu %x, at once %zu %x", round, c,
					 cut, k, whole);
			at += k;
		}
	}
}

static void test_names(void **state)
{
	static const char *const good[] = { "Ctrl+T", "Alt+,", "Alt+'", "Alt+;", "F1", "F24",
		"Shift+Tab", "Ctrl+Alt+Shift+PgUp", "Ctrl++", "Alt++", "+", "#", "Alt+#", "Esc",
		"Space", "Ctrl+Space", "Alt+\xc3\xa9", "Delete", "U+200B", "Ctrl+\\", "-", "C",
		"F" };
	static const char *const other[][2] = { { "ctrl+t", "Ctrl+T" }, { "C-t", "Ctrl+T" },
		{ "M-x", "Alt+x" }, { "Ctrl+M", "Enter" }, { "Ctrl+I", "Tab" }, { "Ctrl+[", "Esc" },
		{ "Ctrl+?", "Backspace" }, { "Ctrl+@", "Ctrl+Space" }, { "PageUp", "PgUp" },
		{ "Return", "Enter" }, { "Alt+Ctrl+x", "Ctrl+Alt+X" }, { "Shift+a", "A" },
		{ "f4", "F4" }, { "Alt+O", "Alt+O" }, { "U+E9", "\xc3\xa9" } };
	static const char *const bad[] = { "", "Ctrl+", "F0", "F25", "F123", "xx", "Ctrl+xx",
		"\033",
		"\xff", "U+D800", "U+110000", "U+7", "Hyper+x", "Enter ", "\001" };
	unsigned key;
	char name[32];

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(keys_parse(good[i], &key), 0);
		keys_name(key, name);
		assert_string_equal(name, good[i]);
	}
	for (size_t i = 0; i < sizeof(other) / sizeof(other[0]) - 1; i++) {
		assert_int_equal(keys_parse(other[i][0], &key), 0);
		keys_name(key, name);
		assert_string_equal(name, other[i][1]);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (keys_parse(bad[i], &key) != -1)
			fail_msg("'%s' should be no key", bad[i]);
}

/* What decoding gives can be written into a configuration and means the same key. */
static void test_decoded_names_parse(void **state)
{
	(void)state;
	srand(11);
	for (int round = 0; round < 50000; round++) {
		char s[12] = "\033[", name[32];
		size_t n = sizeof(s);
		unsigned key = 0, again = 0;

		for (size_t i = round & 1 ? 0 : 2; i < n; i++)
			s[i] = (char)rand();
		if (!(round & 1))
			snprintf(s + 2, n - 2, "%d;%d%c", rand() % 200, rand() % 20,
				 "~ABCuFH^$@"[rand() % 10]);
		keys_decode(s, n, true, &key);
		keys_name(key, name);
		if (!strcmp(name, "?") || key == KEYSYM_PASTE_BEGIN || key == KEYSYM_PASTE_END)
			continue;
		if (keys_parse(name, &again) || again != key)
			fail_msg("key %x is called '%s', which is %x", key, name, again);
	}
}

static void test_table(void **state)
{
	struct keymap m;
	int keys = 0;

	(void)state;
	keymap_default(&m);
	for (int a = 0; a < ACTION_N; a++) {
		char list[64], *save = list, name[32];

		snprintf(list, sizeof(list), "%s", action_rows[a].keys);
		for (char *w; (w = strtok_r(save, " ", &save)); keys++) {
			unsigned key;

			assert_int_equal(keys_parse(w, &key), 0);
			keys_name(key, name);
			assert_string_equal(name, w);
			if (keymap_find(&m, key) != a)
				fail_msg("%s is not bound to %s", w, action_rows[a].name);
		}
	}
	assert_int_equal(m.n, keys);    /* so no key is bound twice */
}

static void test_bind(void **state)
{
	struct keymap m;
	unsigned key;

	(void)state;
	keymap_default(&m);
	assert_int_equal(keymap_bind(&m, "F4", "help", err), 0);
	keys_parse("F4", &key);
	assert_int_equal(keymap_find(&m, key), ACTION_HELP);
	assert_int_equal(keymap_bind(&m, "F4", "none", err), 0);
	assert_int_equal(keymap_find(&m, key), -1);
	keys_parse("Ctrl+Z", &key);     /* the last row moved into the gap */
	assert_int_equal(keymap_find(&m, key), ACTION_SUSPEND);
	assert_int_equal(keymap_bind(&m, "a", "help", err), -1);
	assert_non_null(strstr(err, "types text"));
	assert_int_equal(keymap_bind(&m, "Space", "help", err), -1);
	assert_int_equal(keymap_bind(&m, "Hyper+\033", "help", err), -1);
	assert_non_null(strstr(err, "Hyper+\\x1b"));
	assert_int_equal(keymap_bind(&m, "F4", "dance", err), -1);
	assert_non_null(strstr(err, "dance"));
}

static void test_full_map(void **state)
{
	struct keymap m = { .n = 0 };
	char name[32];
	int rc = 0, bound = 0;

	(void)state;
	for (int i = 0; i < 200 && !rc; i++) {
		snprintf(name, sizeof(name), "Alt+U+%04X", 0x4e00 + i);
		rc = keymap_bind(&m, name, "help", err);
		bound += !rc;
	}
	assert_int_equal(bound, KEYMAP_MAX);
	assert_int_equal(m.n, KEYMAP_MAX);
	assert_int_equal(keymap_bind(&m, "Alt+U+4E00", "stop", err), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sequences),
		cmocka_unit_test(test_ends_and_rubbish),
		cmocka_unit_test(test_random_bytes),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_decoded_names_parse),
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_bind),
		cmocka_unit_test(test_full_map),
	};

	return cmocka_run_group_tests_name("keys", tests, NULL, NULL);
}
