/* test_odd_tokens.c - answers of models whose files are odd about tokens: outputs that are none.
 *
 * Makes its own models. */
#include "tests/short_kit.h"

static void test_short_vocabulary(void **state)
{
	(void)state;
	check_short_vocabulary("cpu", 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_short_vocabulary),
	};

	return cmocka_run_group_tests_name("odd tokens", tests, NULL, NULL);
}
