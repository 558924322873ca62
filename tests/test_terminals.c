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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_line_chat_by_itself),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
