/* test_grid.c - the grid of cells: rows stay whole whatever is drawn where. */
#include "ui/cell/grid.h"
#include "ui/cell/width.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define B(s) s, sizeof(s) - 1

static void row_text(const struct grid *g, int y, char *out)
{
	*out = '\0';
	for (int x = 0; x < g->cols; x++) {
		const struct cell *c = grid_at(g, y, x);

		if (c->width)
			strcat(out, *c->text ? c->text : ".");
	}
}

static void check_row(const struct grid *g, int y, const char *want)
{
	char got[512];

	row_text(g, y, got);
	assert_string_equal(got, want);
}

/* Widths add up, a wide cell is followed by its rest, and nothing is a control character. */
static void check_whole(const struct grid *g)
{
	for (int y = 0; y < g->rows; y++)
		for (int x = 0; x < g->cols; x++) {
			const struct cell *c = grid_at(g, y, x);

			assert_true(x + c->width <= g->cols);
			assert_true(c->width || x > 0);
			for (int i = 1; i < c->width; i++) {
				assert_int_equal(c[i].width, 0);
				assert_int_equal(c[i].text[0], '\0');
			}
			if (c->width && x + c->width < g->cols)
				assert_true(c[c->width].width > 0);
			assert_non_null(memchr(c->text, '\0', CELL_TEXT));
			for (const unsigned char *p = (const unsigned char *)c->text; *p; p++)
				assert_true(*p >= 0x20 && *p != 0x7F &&
					    !(*p == 0xC2 && p[1] < 0xA0));
		}
}

static void test_put(void **state)
{
	struct grid g = { 0 };
	struct rect r = { 1, 2, 1, 6 };

	(void)state;
	assert_int_equal(grid_resize(&g, 3, 10), 0);
	assert_int_equal(g.cursor_y, -1);
	assert_int_equal(grid_put(&g, r, 0, 0, ROLE_USER, GRID_BOLD, B("a\xe6\xbc\xa2z")), 4);
	check_row(&g, 1, "..a\xe6\xbc\xa2z....");
	assert_int_equal(grid_at(&g, 1, 3)->role, ROLE_USER);
	assert_int_equal(grid_at(&g, 1, 3)->attr, GRID_BOLD);
	assert_int_equal(grid_at(&g, 1, 6)->role, ROLE_TEXT);
	/* The whole width is told, the rectangle's edge cuts, a wide grapheme is not halved. */
	assert_int_equal(grid_put(&g, r, 0, 1, ROLE_TEXT, 0, B("1234\xe6\xbc\xa2" "5")), 7);
	check_row(&g, 1, "..a1234...");
	assert_int_equal(grid_put(&g, r, 0, 0, ROLE_TEXT, 0, B("\x1b[m\tx")), 9);
	check_row(&g, 1, "..^[[m....");
	assert_int_equal(grid_put(&g, r, 1, 0, ROLE_TEXT, 0, B("out")), 3);
	assert_int_equal(grid_put(&g, r, -1, 0, ROLE_TEXT, 0, B("out")), 3);
	assert_int_equal(grid_put(&g, r, 0, -1, ROLE_TEXT, 0, B("123")), 3);
	check_row(&g, 0, "..........");
	check_row(&g, 1, "..23[m....");
	check_row(&g, 2, "..........");
	assert_int_equal(grid_printf(&g, r, 0, 0, ROLE_TEXT, 0, "%d%%", 42), 3);
	check_row(&g, 1, "..42%m....");
	assert_null(grid_at(&g, 3, 0));
	assert_null(grid_at(&g, 0, 10));
	assert_null(grid_at(&g, -1, 0));
	grid_free(&g);
}

/* Whoever overwrites half of a wide grapheme takes all of it. */
static void test_halves(void **state)
{
	struct grid g = { 0 };
	struct rect all = { 0, 0, 1, 6 };

	(void)state;
	assert_int_equal(grid_resize(&g, 1, 6), 0);
	grid_put(&g, all, 0, 0, ROLE_TEXT, 0, B("\xe6\xbc\xa2\xe5\xad\x97"));
	grid_put(&g, all, 0, 1, ROLE_TEXT, 0, B("\xe5\xad\x97"));
	check_row(&g, 0, ".\xe5\xad\x97...");
	check_whole(&g);
	grid_clear(&g, (struct rect){ 0, 2, 1, 2 }, ROLE_TEXT);
	check_row(&g, 0, "......");
	grid_free(&g);
}

static void test_frame(void **state)
{
	struct grid g = { 0 };

	(void)state;
	assert_int_equal(grid_resize(&g, 3, 12), 0);
	grid_frame(&g, (struct rect){ 0, 0, 3, 12 }, ROLE_BORDER, "a\x1b" "bcdefgh");
	check_row(&g, 0, "┌─ a^[bcd ─┐");
	check_row(&g, 1, "│..........│");
	check_row(&g, 2, "└──────────┘");
	assert_int_equal(grid_at(&g, 0, 0)->role, ROLE_BORDER);
	assert_int_equal(grid_at(&g, 0, 3)->role, ROLE_TITLE);
	grid_frame(&g, (struct rect){ 0, 0, 1, 12 }, ROLE_BORDER, "no");
	check_row(&g, 0, "┌─ a^[bcd ─┐");
	grid_free(&g);
}

static void test_sizes(void **state)
{
	struct grid g = { 0 };

	(void)state;
	assert_int_equal(grid_resize(&g, -1, 5), -1);
	assert_int_equal(grid_resize(&g, 1 << 20, 1 << 20), -1);
	assert_int_equal(grid_resize(&g, 0, 0), 0);
	grid_put(&g, (struct rect){ 0, 0, 5, 5 }, 0, 0, ROLE_TEXT, 0, B("x"));
	grid_clear(&g, (struct rect){ -5, -5, 50, 50 }, ROLE_TEXT);
	assert_null(grid_at(&g, 0, 0));
	assert_int_equal(grid_resize(&g, 2, 2), 0);
	check_row(&g, 1, "..");
	grid_free(&g);
}

/* Random text at random places: rows stay whole, and nothing is drawn outside the rectangle
 * (but for the other half of a wide grapheme that was cut there). */
static void test_random(void **state)
{
	static const char *const piece[] = { "\xe6\xbc\xa2",
		"\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x92\xbb", "\x1b", "\t", "e\xcc\x81", "\xff",
		"\xc2\x9b", "\xe2\x80\xae", "ab", "\n", "\xe2\x9d\xa4\xef\xb8\x8f" };
	struct grid g = { 0 };

	(void)state;
	srand(2);
	assert_int_equal(grid_resize(&g, 4, 20), 0);
	for (int round = 0; round < 50000; round++) {
		struct rect r = { rand() % 6 - 1, rand() % 22 - 1, rand() % 5, rand() % 22 };
		char s[64] = "";
		int y = rand() % 6 - 1, x = rand() % 24 - 2;
		size_t n;

		for (int k = rand() % 6; k > 0; k--)
			strcat(s, piece[(size_t)rand() % (sizeof(piece) / sizeof(piece[0]))]);
		n = strlen(s);
		if (rand() % 8 == 0)
			s[n++] = (char)rand();
		for (int i = 0; i < 80; i++)
			g.cell[i].role = ROLE_TEXT;
		assert_int_equal(grid_put(&g, r, y, x, ROLE_CODE, 0, s, n), width_of(s, n));
		check_whole(&g);
		for (int i = 0; i < 80; i++)
			if (g.cell[i].role == ROLE_CODE) {
				assert_int_equal(i / 20, r.y + y);
				assert_in_range(i % 20, r.x < 0 ? 0 : r.x, r.x + r.w - 1);
			}
	}
	grid_free(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_put),
		cmocka_unit_test(test_halves),
		cmocka_unit_test(test_frame),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
