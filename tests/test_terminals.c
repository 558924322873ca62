/* test_terminals.c - terminals that can do less, and the wheel of the mouse: the program on a pty.
 */
#include "tests/program_kit.h"

/* What cannot do the full screen gets the line chat, and is told why. */
static void test_line_chat_by_itself(void **state)
{
	static const char *const poor[][2] = {
		{ "dumb", "cannot move its cursor, so this is the line chat" },
		{ "nonesuch", "is not known here, so this is the line chat" },
		{ "", "TERM is not set, so this is the line chat" },
	};
	struct run r;

	(void)state;
	for (size_t i = 0; i < sizeof(poor) / sizeof(poor[0]); i++) {
		setenv("TERM", poor[i][0], 1);
		start(&r, false);
		assert_non_null(strstr(r.out, poor[i][1]));
		type(&r, "asked\r", 0);
		asked(&r, "asked");
		leave(&r);
	}
	unsetenv("TERM");
	start(&r, false);
	leave(&r);
	setenv("TERM", "xterm-256color", 1);
	start(&r, false);
	assert_null(strstr(r.out, "line chat"));
	leave(&r);
}

#define WHEEL_UP "\033[<64;9;9M"
#define WHEEL_DOWN "\033[<65;9;9M"
#define CLICK "\033[<0;9;9M\033[<0;9;9m"

/* Whether the terminal was last told to report the mouse. */
static bool reported(const struct run *r)
{
	const char *last = NULL;

	for (const char *p = r->out; (p = strstr(p, "\033[?1000")) != NULL; p++)
		last = p;
	return last && last[7] == 'h';
}

static void fill(struct run *r)
{
	for (int i = 0; i < 3; i++)
		type(r, "/show\r", 0.1);
	type(r, "kept", 0.1);
}

/* The wheel scrolls and the typed text stays, also where the wheel comes as several Up at once. */
static void test_wheel(void **state)
{
	static const char *const turns[][2] = { { "xterm-256color", WHEEL_UP },
		{ "tmux-256color", WHEEL_UP }, { "screen-256color", "\033[A\033[A\033[A" },
		{ "tmux-256color", "\033OA\033OA\033OA" } };
	struct run r;

	(void)state;
	for (size_t i = 0; i < sizeof(turns) / sizeof(turns[0]); i++) {
		setenv("TERM", turns[i][0], 1);
		start(&r, false);
		assert_true(reported(&r));
		fill(&r);
		type(&r, turns[i][1], 0);
		wait_for(&r, "3 rows below");
		type(&r, WHEEL_DOWN "\r", 0);
		asked(&r, "kept");
		leave(&r);
	}
	setenv("TERM", "xterm-256color", 1);
}

/* A click gives the mouse to the terminal until the next key. */
static void test_click(void **state)
{
	struct run r;

	(void)state;
	start(&r, false);
	fill(&r);
	type(&r, CLICK, 0.2);
	assert_false(reported(&r));
	type(&r, "\033[A\033[A\033[A", 0);      /* its wheel */
	wait_for(&r, "3 rows below");
	assert_false(reported(&r));
	type(&r, "!", 0.2);
	assert_true(reported(&r));
	type(&r, "\r", 0);
	asked(&r, "kept!");
	leave(&r);
}

/* However it ends, the mouse is the terminal's again. */
static void test_mouse_given_back(void **state)
{
	static const int ends[] = { SIGTERM, SIGHUP, SIGSEGV, SIGABRT };
	struct run r;

	(void)state;
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		start(&r, false);
		assert_true(reported(&r));
		kill(r.pid, ends[i]);
		while (take(&r, 0.1))
			;
		assert_false(reported(&r));
		finish(&r);
	}
	start(&r, true);
	assert_null(strstr(r.out, "\033[?1000"));
	leave(&r);
	configure("set mouse off\n");
	start(&r, false);
	assert_null(strstr(r.out, "\033[?1000"));
	leave(&r);
	configure("");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_line_chat_by_itself), cmocka_unit_test(test_wheel),
		cmocka_unit_test(test_click), cmocka_unit_test(test_mouse_given_back),
	};

	return cmocka_run_group_tests(tests, set_up, home_close);
}
