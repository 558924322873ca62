/* test_cuda_s3d.c - on the emulated GPU a model that drafts for itself over a bridge writes what
 * plain writes, at any temperature and also when strategies change between steps.
 *
 * The program's own backend_cuda is replaced by the one linked here. */
#define LEN 8
#define SCRATCH "build/test-cuda-s3d"
#include "tests/cuda_device.h"
#include "tests/emu/emu.h"
#include "tests/s3d_kit.h"

const struct backend *backend_cuda(char err[ERR_MAX])
{
	return cuda_device(err);
}

static void test_identity(void **state)
{
	long accepted = 0;

	(void)state;
	open_with("cuda", true, NULL, 256);
	assert_string_equal(engine->be->name, "cuda");
	identity(s3d, &accepted);
	print_message("# %ld drafts accepted\n", accepted);
	assert_true(accepted > 30);
	shut();
}

static void test_others(void **state)
{
	long accepted = 0;

	(void)state;
	open_with("cuda", false, MODEL, 256);
	identity(random_one, &accepted);
	shut();
	assert_int_equal(emu_memory().device, 0);
}

/* A sidecar that the device has no room for: a text, and plain goes on. */
static void test_no_room(void **state)
{
	struct emu_settings *s = emu_device();
	int want[LEN], got[LEN], n;
	char err[ERR_MAX];

	(void)state;
	open_with("cuda", false, NULL, 256);
	begin(1, 0, 1, 1.0f);
	n = answer(plain, want);
	s->others = s->memory;
	assert_int_equal(engine_sidecar(engine, SIDE, err), -1);
	s->others = 0;
	assert_non_null(strstr(err, "out of memory"));
	begin(1, 0, 1, 1.0f);
	assert_int_equal(answer(plain, got), n);
	assert_memory_equal(want, got, sizeof(int) * (size_t)n);
	assert_int_equal(engine_sidecar(engine, SIDE, err), 0);
	shut();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_identity), cmocka_unit_test(test_others),
		cmocka_unit_test(test_no_room),
	};

	return cmocka_run_group_tests_name("cuda s3d", tests, NULL, NULL);
}
