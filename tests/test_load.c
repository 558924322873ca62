/* test_load.c - a backend in a file of its own: what is not one, refuses, or was built for another
 * program is told why; one that works is handed on. */
#include "kernels/devices/load.h"
#include "kernels/backend_abi.h"
#include "kernels/devices/registry.h"
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>

static char err[ERR_MAX];

static const struct backend *load(const char *name)
{
	const char *b = getenv("B");
	char path[256];

	snprintf(path, sizeof(path), "%s/tests/%s", b ? b : "build/release", name);
	*err = '\0';
	return backend_load(path, err);
}

static void assert_says(const char *text)
{
	if (!strstr(err, text))
		fail_msg("no '%s' in: %s", text, err);
}

static void test_missing(void **state)
{
	(void)state;
	assert_null(load("fake_none.so"));
	assert_says("fake_none.so");
	assert_says("No such file");
}

static void test_no_library(void **state)
{
	(void)state;
	assert_null(load("../libs3d.a"));
	assert_says("libs3d.a");
}

static void test_empty(void **state)
{
	(void)state;
	assert_null(load("fake_empty.so"));
	assert_says("fake_empty.so");
	assert_says(BACKEND_ENTRY);
}

static void test_old(void **state)
{
	(void)state;
	assert_null(load("fake_old.so"));
	assert_says("built for s3dchat 0.0.1/");
	assert_says(S3D_VERSION "/");
}

static void test_refuses(void **state)
{
	(void)state;
	assert_null(load("fake_refuses.so"));
	assert_string_equal(err, "no NVIDIA driver is installed");
}

static void test_works(void **state)
{
	const struct backend *be = load("fake_works.so");

	(void)state;
	if (!be)
		fail_msg("%s", err);
	assert_string_equal(be->name, "cuda");
	assert_ptr_equal(load("fake_works.so"), be);
}

/* Every struct that both sides look into makes a difference. */
static void test_abi(void **state)
{
	char abi[BACKEND_ABI_MAX], other[BACKEND_ABI_MAX];

	(void)state;
	assert_true(strlen(backend_abi(abi)) < BACKEND_ABI_MAX - 1);
	assert_int_equal(backend_abi_check(abi, err), 0);
	for (size_t i = 0; i < strlen(abi); i++) {
		strcpy(other, abi);
		other[i]++;
		assert_int_equal(backend_abi_check(other, err), -1);
	}
}

/* No file beside a test program. */
static void test_find(void **state)
{
	(void)state;
	assert_ptr_equal(backend_find("cpu", err), &backend_cpu);
	assert_string_equal(err, "");
	for (int i = 0; i < 2; i++) {
		assert_ptr_equal(backend_find(i ? "auto" : NULL, err), &backend_cpu);
		assert_says("no cuda backend");
		assert_says("nvcc");
		assert_null(backend_find("cuda", err));
		assert_says("no cuda backend");
		assert_says("--backend cpu");
	}
	assert_null(backend_find("tpu", err));
	assert_says("auto cpu cuda");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_missing), cmocka_unit_test(test_no_library),
		cmocka_unit_test(test_empty), cmocka_unit_test(test_old),
		cmocka_unit_test(test_refuses), cmocka_unit_test(test_works),
		cmocka_unit_test(test_abi), cmocka_unit_test(test_find),
	};

	return cmocka_run_group_tests_name("load", tests, NULL, NULL);
}
