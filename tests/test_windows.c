/* test_windows.c - models whose layers see a window of the text, in caches that are rings: every
 * exact strategy writes what plain writes, over the window's edges and where the rings begin anew.
 */
#define LEN 300
#define SCRATCH "build/test-windows"
#include "engine/window.h"
#include "tests/windows_kit.h"

enum { RING = 256, PAST = RING + 50 };

/* What the texts below go beyond. */
static void test_ring(void **state)
{
	(void)state;
	for (int i = 0; i < MODELS; i++) {
		open_windowed("cpu", i);
		assert_int_equal(window_rows(&engine->model->cfg, 0, CONTEXT, BATCH), RING);
		shut();
	}
}

static void test_ngram(void **state)
{
	(void)state;
	windowed("cpu", ngram, 0, 50, PAST);
}

static void test_draft(void **state)
{
	(void)state;
	windowed("cpu", draft, 0, 50, PAST);
}

static void test_any(void **state)
{
	(void)state;
	srand(7);
	windowed("cpu", random_one, 0, 50, PAST);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ring), cmocka_unit_test(test_ngram),
		cmocka_unit_test(test_draft), cmocka_unit_test(test_any),
	};

	return cmocka_run_group_tests_name("windows", tests, NULL, NULL);
}
