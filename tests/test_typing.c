/* test_typing.c - bytes of a keyboard with their times, to the program itself on a pty, once as
 * full screen and once as line chat: pastes without an end, keys in pieces, other locales.
 *
 * What was typed is looked for where the program keeps it: in the saved chat and the history. */
#include "tests/program_kit.h"

static bool in_history(const char *text)
{
	char path[96], all[4096] = "";
	FILE *f;

	snprintf(path, sizeof(path), "%s/s3dchat/history", home);
	f = fopen(path, "r");
	if (!f)
		return false;
	all[fread(all, 1, sizeof(all) - 1, f)] = '\0';
	fclose(f);
	return strstr(all, text) != NULL;
}

static void test_paste_without_end(void **state)
{
	struct run r;

	(void)state;
	for (int line = 0; line < KINDS; line++) {
		start(&r, line);
		type(&r, PASTE_BEGIN "one\rtwo", 1.5);
		type(&r, "X\r", 0);
		asked(&r, "one\ntwoX");
		leave(&r);
	}
}

static void test_interrupt_ends_paste(void **state)
{
	struct run r;

	(void)state;
	for (int line = 0; line < KINDS; line++) {
		start(&r, line);
		type(&r, PASTE_BEGIN "kept", 0.3);
		type(&r, "\003", 0.1);
		type(&r, "X\r", 0);
		asked(&r, "keptX");
		leave(&r);
	}
}

/* The link stalled: what comes after the silence in bulk is still no Enter. */
static void test_rest_of_paste(void **state)
{
	static const char rest[] = "\r0123456789012345678901234567890123456789"
		"0123456789012345678901234567890123456789\r";
	struct run r;
	char text[128];

	(void)state;
	for (int line = 0; line < KINDS; line++) {
		start(&r, line);
		type(&r, PASTE_BEGIN "one", 1.5);
		type(&r, rest, 0.3);
		assert_null(saved());
		type(&r, PASTE_END, 0.1);
		type(&r, "X\r", 0);
		snprintf(text, sizeof(text), "one\n%.80s\nX", rest + 1);
		asked(&r, text);
		leave(&r);
	}
}

/* The input line holds no zero bytes; what stands behind one is not lost. */
static void test_zero_byte_in_paste(void **state)
{
	static const char paste[] = PASTE_BEGIN "one\0\0two" PASTE_END;
	struct run r;

	(void)state;
	for (int line = 0; line < KINDS; line++) {
		start(&r, line);
		type_n(&r, paste, sizeof(paste) - 1);
		type(&r, "", 0.1);
		type(&r, "X\r", 0);
		asked(&r, "onetwoX");
		leave(&r);
	}
}

/* In the middle of a search: what it found stays, and so does what was pasted. */
static void test_paste_while_searching(void **state)
{
	struct run r;

	(void)state;
	for (int line = 0; line < KINDS; line++) {
		start(&r, line);
		type(&r, "/new\r", 0.2);
		type(&r, "\022", 0.1);
		type(&r, "/ne", 0.1);
		type(&r, PASTE_BEGIN "pasted" PASTE_END, 0.1);
		type(&r, "\001x\r", 0);         /* no command any more */
		asked(&r, "xpasted/new");
		leave(&r);
	}
}

#define UP "\033[A"

/* A line thrown away while it shows the history leaves the history as it was, and the next look
 * into it begins at the newest. */
static void test_interrupt_in_history(void **state)
{
	static const char *const before[] = { UP UP, UP UP "more", "\022" "p 0.1" };
	struct run r;

	(void)state;
	for (int i = 0; i < 3 * KINDS; i++) {
		start(&r, i % KINDS);
		type(&r, "/set temp 0.1\r", 0.2);
		type(&r, "/set temp 0.2\r", 0.2);
		type(&r, "/set temp 0.3\r", 0.2);
		type(&r, before[i / KINDS], 0.2);
		type(&r, "\003", 0.2);
		type(&r, i / KINDS == 2 ? UP : UP UP, 0.2);
		type(&r, "\001a \r", 0);         /* no command any more */
		asked(&r, i / KINDS == 2 ? "a /set temp 0.3" : "a /set temp 0.2");
		leave(&r);
	}
}

static void test_ended_while_pasting(void **state)
{
	struct run r;

	(void)state;
	for (int line = 0; line < KINDS; line++) {
		start(&r, line);
		type(&r, "typed ", 0.1);
		type(&r, PASTE_BEGIN "and pasted", 0.2);
		leave(&r);
		assert_true(in_history("typed and pasted"));
	}
}

/* Nobody has said what the terminal takes, so it is UTF-8, in both directions. */
static void test_locales(void **state)
{
	static const struct { const char *name, *value; } locales[] = {
		{ "LC_ALL", "C" }, { "LC_ALL", "POSIX" }, { "LANG", "C" }, { "LANG", "" },
		{ "LC_ALL", "xx_YY.UTF-8" }, { "LC_CTYPE", "xx_YY" },
	};
	static const char *const names[] = { "LC_ALL", "LC_CTYPE", "LANG" };
	struct run r;

	(void)state;
	for (size_t i = 0; i < KINDS * sizeof(locales) / sizeof(locales[0]); i++) {
		for (int k = 0; k < 3; k++)
			unsetenv(names[k]);
		setenv(locales[i / KINDS].name, locales[i / KINDS].value, 1);
		start(&r, i % KINDS);
		type(&r, "é ü 漢x\177字 done", 0.1);
		wait_for(&r, "done");
		assert_non_null(strstr(r.out, "漢"));
		type(&r, "\r", 0);
		asked(&r, "é ü 漢字 done");
		leave(&r);
	}
	setenv("LC_ALL", "C.UTF-8", 1);
}

/* ESC, and the rest of the key Left later. */
static void slow_key(struct run *r, const char *text)
{
	type(r, "ab", 0.1);
	type(r, "\033", 0.2);
	type(r, "[DX\r", 0);
	asked(r, text);
	leave(r);
}

static void test_slow_keys(void **state)
{
	struct run r;

	(void)state;
	for (int line = 0; line < KINDS; line++) {
		start(&r, line);
		slow_key(&r, line ? "aXb" : "ab[DX");   /* readline waits for what it began */
		setenv("SSH_CONNECTION", "192.0.2.1 2 192.0.2.3 4", 1);
		start(&r, line);
		slow_key(&r, "aXb");
		configure("set escape-time 50\n");
		start(&r, line);
		slow_key(&r, line ? "aXb" : "ab[DX");
		unsetenv("SSH_CONNECTION");
		configure("set escape-time 1000\n");
		start(&r, line);
		slow_key(&r, "aXb");
		configure("");
	}
}

/* What cannot be the key Esc waits longer: a half of a paste's mark must not become text. */
static void test_slow_marks(void **state)
{
	struct run r;

	(void)state;
	for (int line = 0; line < KINDS; line++) {
		start(&r, line);
		type(&r, "\033[20", 0.3);
		type(&r, "0~one\rtwo\xc3", 0.3);
		type(&r, "\xa9\033[2", 0.3);
		type(&r, "01~\xc3", 0.3);
		type(&r, "\xa4\r", 0);
		asked(&r, "one\ntwoéä");
		leave(&r);
	}
}

static void test_file_names(void **state)
{
	static const char *const typed[] = { "~/no\t", "~/note\\ o\t",
		"'no\t", "\"note o\t", "note one.txt ", "note\\ one.txt" };
	char path[96], here[PATH_MAX];
	struct run r;

	(void)state;
	snprintf(path, sizeof(path), "%s/note one.txt", home);
	fclose(fopen(path, "w"));
	assert_non_null(getcwd(here, sizeof(here)));
	assert_int_equal(chdir(home), 0);
	for (int line = 0; line < KINDS; line++) {
		start(&r, line);
		for (size_t i = 0; i < sizeof(typed) / sizeof(typed[0]); i++) {
			type(&r, "/read ", 0);
			type(&r, typed[i], 0.1);
			type(&r, "\r", 0);
			wait_for(&r, "go before");
			type(&r, "/new\r", 0.1);
		}
		leave(&r);
	}
	assert_int_equal(chdir(here), 0);
}

static void test_home_in_configuration(void **state)
{
	char command[PATH_MAX + 128];

	(void)state;
	configure("set model ~/model.gguf\nset model-draft \"none\"\n");
	snprintf(command, sizeof(command), "%s -p hi -n 1 -t 1 >%s/out 2>&1", program, home);
	assert_int_equal(system(command), 0);
	configure("");
}

/* Seconds of a processor that the program has used. */
static double used(const struct run *r)
{
	char path[64], line[1024] = "", *p;
	long user = 0, kernel = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)r->pid);
	f = fopen(path, "r");
	assert_non_null(f);
	p = fgets(line, sizeof(line), f) ? strrchr(line, ')') : NULL;
	fclose(f);
	assert_non_null(p);
	assert_int_equal(sscanf(p + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %ld %ld", &user,
				&kernel), 2);
	return (double)(user + kernel) / (double)sysconf(_SC_CLK_TCK);
}

/* So many keys, each of which shows before the next: what one takes, without the other programs of
 * this machine. */
static double key_cost(struct run *r, const char *key)
{
	enum { KEYS = 10 };
	double before = used(r);

	for (int i = 0; i < KEYS; i++) {
		size_t was = r->n;

		type(r, key, 0.001);
		for (int k = 0; k < 200 && r->n == was; k++)
			take(r, 0.005);
	}
	take(r, 0.1);
	return (used(r) - before) / KEYS;
}

/* A million bytes, as one line and as many: each key costs little, wherever the cursor is, and
 * Ctrl+C leads out. */
static void test_long_pastes(void **state)
{
	static const char *const pieces[] = { "the quick brown fox jumps over the lazy dog ",
		"the quick brown fox jumps over the lazy dog\n", "漢字" };
	const char *b = getenv("B");
	bool timed = !b || strstr(b, "release");
	char *text = malloc(1 << 20);
	struct run r;

	(void)state;
	assert_non_null(text);
	for (int i = 0; i < 3 * KINDS; i++) {
		static const char *const keys[] = { "x", "\177", "\033[D", "\001y" };
		size_t n = 0;

		while (n < 1000000)
			n += (size_t)(stpcpy(text + n, pieces[i / KINDS]) - (text + n));
		start(&r, i % KINDS);
		type(&r, PASTE_BEGIN, 0);
		type_n(&r, text, n);
		type(&r, PASTE_END, 0.5);
		for (size_t k = 0; k < sizeof(keys) / sizeof(keys[0]); k++) {
			double cost = key_cost(&r, keys[k]);

			if (timed && cost > 0.05)
				fail_msg("%s: %.0f ms for a key (%zu) behind '%s'", r.line ?
					 "line chat" : "full screen", 1000 * cost, k,
					 pieces[i / KINDS]);
		}
		type(&r, "\003", 0.3);
		type(&r, "\003", 0.3);
		type(&r, "\003", 0);
		assert_int_equal(finish(&r), 0);
	}
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_paste_without_end),
		cmocka_unit_test(test_interrupt_ends_paste), cmocka_unit_test(test_rest_of_paste),
		cmocka_unit_test(test_zero_byte_in_paste),
		cmocka_unit_test(test_paste_while_searching),
		cmocka_unit_test(test_ended_while_pasting),
		cmocka_unit_test(test_interrupt_in_history), cmocka_unit_test(test_locales),
		cmocka_unit_test(test_file_names),
		cmocka_unit_test(test_home_in_configuration),
		cmocka_unit_test(test_long_pastes), cmocka_unit_test(test_slow_keys),
		cmocka_unit_test(test_slow_marks),
	};

	return cmocka_run_group_tests(tests, set_up, home_close);
}
