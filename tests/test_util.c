/* test_util.c - error texts that are safe to print, allocation, its guard, the clock. */
#include "base/util.h"
#include "tests/unsafe.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#undef fail             /* cmocka's macro of the same name */

static void fail_formats(void **state)
{
	char err[ERR_MAX];

	(void)state;
	memset(err, 'x', sizeof(err));
	assert_int_equal(fail(err, "%s: byte %d", "a.gguf", 12), -1);
	assert_string_equal(err, "a.gguf: byte 12");
	fail(err, "%s", "");
	assert_string_equal(err, "");
	fail(err, "outer: %s", "inner");
	fail(err, "again: %s", err);    /* its own text may be an argument */
	assert_string_equal(err, "again: outer: inner");
}

static void fail_shows_control_bytes(void **state)
{
	static const char *const pair[][2] = {
		{ "\x1b[31mred", "\\x1b[31mred" },
		{ "a\nb\tc\r", "a\\x0ab\\x09c\\x0d" },
		{ "\x01\x7f", "\\x01\\x7f" },
		{ "\x9b" "31m", "\\x9b31m" },                   /* C1 as a raw byte */
		{ "\xc2\x9b" "31m", "\\xc2\\x9b31m" },          /* C1 encoded */
		{ "\xc2\x80 \xc2\x9f \xc2\xa0", "\\xc2\\x80 \\xc2\\x9f \xc2\xa0" },
		{ "\xff\xfe", "\\xff\\xfe" },
		{ "\xc0\xaf", "\\xc0\\xaf" },                   /* overlong */
		{ "\xe0\x80\xaf", "\\xe0\\x80\\xaf" },
		{ "\xed\xa0\x80", "\\xed\\xa0\\x80" },          /* a surrogate */
		{ "\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80" }, /* above U+10FFFF */
		{ "\xe2\x82", "\\xe2\\x82" },                   /* cut short */
		{ "\xe2\x82" "A", "\\xe2\\x82" "A" },
		{ "\xe2\x80\xae" "abc", "\\xe2\\x80\\xae" "abc" },      /* right-to-left override */
		{ "\xe2\x81\xa6", "\\xe2\\x81\\xa6" },
		{ "\xef\xbb\xbf", "\\xef\\xbb\\xbf" },
		{ "na\xc3\xafve \xe2\x82\xac \xe6\xbc\xa2 \xf0\x9f\x99\x82 \\",
		  "na\xc3\xafve \xe2\x82\xac \xe6\xbc\xa2 \xf0\x9f\x99\x82 \\" },
	};
	char err[ERR_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(pair) / sizeof(pair[0]); i++) {
		fail(err, "%s", pair[i][0]);
		assert_string_equal(err, pair[i][1]);
		fail(err, "%s", err);           /* a second time changes nothing */
		assert_string_equal(err, pair[i][1]);
	}
}

static void fail_shows_every_unsafe_character(void **state)
{
	char err[ERR_MAX], text[5], want[32];

	(void)state;
	for (uint32_t c = 1; c < 0x110000; c++) {
		if (!unsafe_has(c))
			continue;
		*want = '\0';
		for (size_t i = 0, n = unsafe_utf8(c, text); i < n; i++)
			sprintf(want + strlen(want), "\\x%02x", (unsigned char)text[i]);
		fail(err, "a%sb", text);
		assert_int_equal(strlen(err), strlen(want) + 2);
		assert_memory_equal(err + 1, want, strlen(want));
	}
}

/* Every length around the limit, of one-byte, of three-byte and of escaped characters. */
static void fail_cuts(void **state)
{
	static const char *const unit[] = { "a", "\xe2\x82\xac", "\x1b" };
	static const size_t wide[] = { 1, 3, 4 };

	(void)state;
	for (int u = 0; u < 3; u++)
		for (int n = 1; n < 4000; n += n > 600 ? 97 : 1) {
			char err[ERR_MAX + 1], text[12001] = "";

			for (int i = 0; i < n; i++)
				memcpy(text + (size_t)i * strlen(unit[u]), unit[u],
				       strlen(unit[u]) + 1);
			err[ERR_MAX] = '!';
			fail(err, "%s", text);
			assert_int_equal(err[ERR_MAX], '!');
			size_t len = strlen(err), full = wide[u] * (size_t)n;
			if (full < ERR_MAX) {
				assert_int_equal(len, full);
				continue;
			}
			assert_true(len > ERR_MAX - 9 && len < ERR_MAX);
			assert_string_equal(err + len - 3, "...");
			if (u == 1)
				assert_int_equal((len - 3) % 3, 0);
		}
}

static void blocks_are_aligned_and_zero(void **state)
{
	char err[ERR_MAX];

	(void)state;
	mem_free(NULL);
	for (int pass = 0; pass < 2; pass++)    /* the second meets what the first left behind */
		for (size_t n = 0; n < 30000000; n = n * 3 + 1) {
			unsigned char *p = mem_new(n, 1, err);
			size_t dirty = 0;

			assert_non_null(p);
			assert_int_equal((uintptr_t)p % 64, 0);
			for (size_t i = 0; i < n; i++)
				dirty += p[i] != 0;
			assert_int_equal(dirty, 0);
			memset(p, 0xaa, n);
			mem_free(p);
		}
}

static void too_much_is_refused(void **state)
{
	char err[ERR_MAX] = "";

	(void)state;
	assert_null(mem_new(SIZE_MAX, 2, err));
	assert_non_null(strstr(err, "memory"));
	err[0] = 0;
	assert_null(mem_new((size_t)1 << 33, (size_t)1 << 33, err));
	assert_non_null(strstr(err, "memory"));
	err[0] = 0;
	assert_null(mem_new(SIZE_MAX - 8, 1, err));
	assert_non_null(strstr(err, "memory"));
}

#ifndef __SANITIZE_THREAD__     /* whose calloc writes the zeros itself */
static void large_blocks_are_lazy(void **state)
{
	const size_t n = (size_t)256 << 20, page = (size_t)sysconf(_SC_PAGESIZE);
	static unsigned char there[(256u << 20) / 4096];
	char err[ERR_MAX];
	size_t held = 0;

	(void)state;
	char *p = mem_new(n, 1, err);
	assert_non_null(p);
	char *first = (char *)(((uintptr_t)p + page - 1) & ~(uintptr_t)(page - 1));
	assert_int_equal(mincore(first, n - page, there), 0);
	for (size_t i = 0; i < n / page - 1; i++)
		held += there[i] & 1;
	assert_true(held < n / page / 16);
	mem_free(p);
}
#endif

/* Whether child() dies by SIGABRT. */
static bool aborts(void (*child)(void))
{
	int status = 0;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		signal(SIGABRT, SIG_DFL);
		if (!freopen("/dev/null", "w", stderr))
			_exit(3);
		child();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void new_guarded(void)
{
	char err[ERR_MAX];

	mem_guard(true);
	mem_free(mem_new(1, 1, err));
}

static void new_guarded_once(void)
{
	mem_guard(true);
	mem_guard(true);
	mem_guard(false);
	char err[ERR_MAX];
	mem_free(mem_new(1, 1, err));
}

static void *new_in_thread(void *err)
{
	return mem_new(8, 8, err);
}

static void guard(void **state)
{
	char err[ERR_MAX];
	pthread_t t;
	void *p = NULL;

	(void)state;
	assert_true(aborts(new_guarded));
	assert_true(aborts(new_guarded_once));
	mem_guard(true);
	mem_guard(true);
	assert_int_equal(pthread_create(&t, NULL, new_in_thread, err), 0);
	pthread_join(t, &p);
	assert_non_null(p);     /* the guard is this thread's alone */
	mem_free(p);            /* and freeing is allowed under it */
	mem_guard(false);
	mem_guard(false);
	p = mem_new(1, 1, err);
	assert_non_null(p);
	mem_free(p);
}

static void clock_runs(void **state)
{
	double a = clock_now();

	(void)state;
	usleep(20000);
	double b = clock_now();
	assert_true(b - a >= 0.0199 && b - a < 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fail_formats),
		cmocka_unit_test(fail_shows_control_bytes),
		cmocka_unit_test(fail_shows_every_unsafe_character),
		cmocka_unit_test(fail_cuts),
		cmocka_unit_test(blocks_are_aligned_and_zero),
		cmocka_unit_test(too_much_is_refused),
#ifndef __SANITIZE_THREAD__
		cmocka_unit_test(large_blocks_are_lazy),
#endif
		cmocka_unit_test(guard),
		cmocka_unit_test(clock_runs),
	};

	return cmocka_run_group_tests_name("util", tests, NULL, NULL);
}
