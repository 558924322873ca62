/* fault_kit.h - the emulated GPU fails at every call of a life in turn.
 *
 * Included once by a test program.  A life opens what it needs and closes it, on the emulated GPU;
 * false, with a text, once something fails.  No state. */
#ifndef S3D_FAULT_KIT_H
#define S3D_FAULT_KIT_H
#include "tests/emu/emu.h"
#include "base/util.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

/* Numbers of cudaError_t. */
enum { OUT_OF_MEMORY = 2, ILLEGAL_ADDRESS = 700, LAUNCH_FAILURE = 719 };

typedef bool life_fn(const void *of, char err[ERR_MAX]);

static inline void nothing_left(void)
{
	struct emu_use u = emu_memory();

	assert_int_equal(u.device, 0);
	assert_int_equal(u.pinned, 0);
	assert_int_equal(u.streams, 0);
	assert_int_equal(u.execs, 0);
	assert_int_equal(u.graphs, 0);
	assert_int_equal(u.events, 0);
}

static inline void fail_each_call(life_fn *life, const void *of, int error)
{
	long calls = emu_calls(), survived = 0;
	char err[ERR_MAX] = "";

	assert_true(life(of, err));
	calls = emu_calls() - calls;
	assert_true(calls > 50);
	nothing_left();
	for (long n = 1; n <= calls; n++) {
		*err = '\0';
		emu_fail_at(n, error);
		if (life(of, err))
			survived++;     /* where an answer is not needed, or only at the end */
		else
			assert_true(strlen(err) > 10);
		emu_fail_at(0, 0);
		if (error != ILLEGAL_ADDRESS)
			nothing_left();
		emu_reset();
	}
	print_message("# error %d at each of %ld calls: %ld were not needed\n", error, calls,
		      survived);
	assert_true(survived < calls / 2);
	assert_true(life(of, err));     /* and then all is well again */
}
#endif
