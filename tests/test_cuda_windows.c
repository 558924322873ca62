/* test_cuda_windows.c - on the emulated GPU every exact strategy writes what plain writes over the
 * edges of windows.
 *
 * The program's own backend_cuda is replaced by the one linked here. */
#define LEN 40
#define SCRATCH "build/test-cuda-windows"
#include "tests/cuda_device.h"
#include "tests/windows_kit.h"

const struct backend *backend_cuda(char err[ERR_MAX])
{
	return cuda_device(err);
}

static void test_any(void **state)
{
	(void)state;
	srand(5);
	windowed("cuda", random_one, PROMPTS - 2, 5, 60);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_any) };

	return cmocka_run_group_tests_name("cuda windows", tests, NULL, NULL);
}
