/* test_kit.h - what the tests of the emulated device share.
 *
 * Each file has one group of tests, which test_emu.cpp runs.  Invariant: a test leaves nothing
 * allocated and the settings as they were (kit_before, kit_after). */
#ifndef EMU_TEST_KIT_H
#define EMU_TEST_KIT_H
#include "tests/emu/cuda_emu.h"
#include <csetjmp>
#include <cstdarg>
#include <vector>
extern "C" {
#include <cmocka.h>
}

int test_collectives(void);
int test_mistakes(void);
int test_values(void);
int test_runtime(void);
int test_graphs(void);
int test_streams(void);
int test_libraries(void);

enum { ORDERS = 8 };            /* as many are tried */

int kit_before(void **state);
int kit_after(void **state);
#define KIT_TEST(f) cmocka_unit_test_setup_teardown(f, kit_before, kit_after)

/* Runs f in a child; whether that dies and says the text. */
bool kit_dies(void (*f)(void), const char *text);

/* Numbers in device memory, which the host may look at here; freed with the variable. */
template <class T> struct device_array {
	T *p;
	size_t n;

	explicit device_array(size_t size) : p(nullptr), n(size)
	{
		assert_int_equal(cudaMalloc(&p, n * sizeof(T)), cudaSuccess);
	}
	~device_array() { cudaFree(p); }
	device_array(const device_array &) = delete;
	T &operator[](size_t i) { return p[i]; }
};
#endif
