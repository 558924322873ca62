/* test_pane_input.c - the line being typed: a window on a long text shows the rows that a pane with
 * room for all of it shows, with the cursor in the same place. */
#include "ui/pane/pane_input.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { TALL = 400 };
static unsigned seed = 5;

static unsigned dice(unsigned n)
{
	seed = seed * 1664525 + 1013904223;
	return (seed >> 8) % n;
}

static size_t some_text(char *out, size_t most)
{
	static const char *const bits[] = { "a", "b ", "word", "\n", "\n", "\t", "\xC3\xA9",
		"\xE6\xBC\xA2", "e\xCC\x81", "\xF0\x9F\x87\xA9\xF0\x9F\x87\xAA", "\x1B", "\xFF",
		"\xE2\x80\xAE", "long words of ASCII that go on for more than a row" };
	size_t n = 0, want = dice((unsigned)most);

	while (n < want)
		n += (size_t)(stpcpy(out + n, bits[dice(14)]) - (out + n));
	return n;
}

static void same_row(const struct grid *a, int y, const struct grid *b, int by)
{
	for (int x = 0; x < a->cols; x++)
		assert_string_equal(grid_at(a, y, x)->text, grid_at(b, by, x)->text);
}

static void test_window(void **state)
{
	struct grid tall = { 0 }, low = { 0 };
	char text[512];

	(void)state;
	for (int round = 0; round < 3000; round++) {
		struct input_view v = { .label = "> ", .text = text };
		int h = 1 + (int)dice(12), w = 4 + (int)dice(30), top;

		v.n = some_text(text, 400);
		v.point = dice((unsigned)v.n + 1);
		assert_int_equal(grid_resize(&tall, TALL, w), 0);
		assert_int_equal(grid_resize(&low, h, w), 0);
		tall.cursor_y = low.cursor_y = -1;
		pane_input_draw(&tall, (struct rect){ 0, 0, TALL, w }, &v);
		pane_input_draw(&low, (struct rect){ 0, 0, h, w }, &v);
		assert_true(tall.cursor_y >= 0 && tall.cursor_y < TALL);
		top = tall.cursor_y < h ? 0 : tall.cursor_y - h + 1;
		assert_int_equal(low.cursor_y, tall.cursor_y - top);
		assert_int_equal(low.cursor_x, tall.cursor_x);
		for (int y = 0; y < h; y++)
			same_row(&low, y, &tall, y + top);
	}
	grid_free(&tall);
	grid_free(&low);
}

/* Of a label that has no room its end is shown: what a search in the history looks for. */
static void test_long_label(void **state)
{
	struct input_view v = { .label = "(failed reverse-i-search)`abc': ", .text = "x", .n = 1 };
	struct grid g = { 0 };

	(void)state;
	assert_int_equal(grid_resize(&g, 1, 20), 0);
	pane_input_draw(&g, (struct rect){ 0, 0, 1, 20 }, &v);
	for (int x = 0; x < 10; x++)
		assert_int_equal(*grid_at(&g, 0, x)->text, "ch)`abc': x"[x]);
	assert_string_equal(grid_at(&g, 0, 10)->text, "x");
	grid_free(&g);
}

/* Right from the start and Left from the end come by the same places. */
static void test_steps(void **state)
{
	char text[512];

	(void)state;
	for (int round = 0; round < 3000; round++) {
		size_t n = some_text(text, 200);
		struct input_view v = { .label = "> ", .text = text, .n = n };
		bool right[512] = { false };

		for (; v.point < n; v.point = pane_input_step(&v, 1))
			right[v.point] = true;
		assert_int_equal(pane_input_step(&v, 1), n);
		while (v.point) {
			v.point = pane_input_step(&v, -1);
			assert_true(right[v.point]);
			right[v.point] = false;
		}
		assert_null(memchr(right, true, sizeof(right)));
		assert_int_equal(pane_input_step(&v, -1), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_window), cmocka_unit_test(test_steps),
		cmocka_unit_test(test_long_label),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
