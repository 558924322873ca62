/* test_layout.c - the rectangles of every window from 1 x 1 to 300 x 100, with every wish.
 *
 * No overlap, nothing outside, and areas that add up to the screen: every cell is covered once. */
#include "ui/pane/layout.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

enum { ROWS = 100, COLS = 300 };

static void fail_at(int rows, int cols, const struct layout_want *w, const char *what)
{
	fail_msg("%d x %d, input %d, stats %d, hints %d: %s", rows, cols, w->input_rows, w->stats,
		 w->hints, what);
}

static bool outside(const struct rect *r, int rows, int cols)
{
	return r->y < 0 || r->x < 0 || r->y + r->h > rows || r->x + r->w > cols;
}

static bool overlap(const struct rect *a, const struct rect *b)
{
	return a->y < b->y + b->h && b->y < a->y + a->h && a->x < b->x + b->w && b->x < a->x + a->w;
}

static bool covered_once(const struct layout *l, int rows, int cols)
{
	int cells = 0;

	for (int p = 0; p < PANE_N; p++) {
		cells += l->pane[p].h * l->pane[p].w;
		for (int q = 0; q < p; q++)
			if (overlap(&l->pane[p], &l->pane[q]))
				return false;
	}
	return cells == rows * cols;
}

static void check_sizes(const struct layout *l, int rows, int cols, const struct layout_want *w)
{
	const struct rect *chat = &l->pane[PANE_CHAT], *input = &l->pane[PANE_INPUT];
	int wanted = w->input_rows < 1 ? 1 : w->input_rows > 10 ? 10 : w->input_rows;

	if (chat->h < 3 || chat->h < rows / 4 || chat->w < 20)
		fail_at(rows, cols, w, "the chat is squeezed out");
	if (input->h < 1 || input->h > wanted || (input->h > 1 && input->h > rows / 3))
		fail_at(rows, cols, w, "the input has the wrong height");
	if (rows >= 30 && input->h != wanted)
		fail_at(rows, cols, w, "the input has not the rows it wants");
	if (input->w != chat->w || input->y < chat->y)
		fail_at(rows, cols, w, "the input is not below the chat");
}

static void check_shown(const struct layout *l, int rows, int cols, const struct layout_want *w)
{
	enum stats_form form = !w->stats || rows < 8 ? STATS_NONE :
		rows >= 10 && cols >= 70 ? STATS_SIDE : STATS_LINE;

	if (l->stats != form || (form != STATS_NONE) != (l->pane[PANE_STATS].h > 0))
		fail_at(rows, cols, w, "the numbers have the wrong form");
	if (form == STATS_SIDE && (l->pane[PANE_STATS].w < 26 || l->pane[PANE_STATS].h < rows - 2))
		fail_at(rows, cols, w, "the numbers at the side are too small");
	if (form == STATS_LINE && (l->pane[PANE_STATS].h != 1 || l->pane[PANE_STATS].w != cols))
		fail_at(rows, cols, w, "the line of numbers is no line");
	if (l->pane[PANE_HINTS].h != (w->hints && rows >= 7))
		fail_at(rows, cols, w, "the hints are not where there is room");
	if (l->pane[PANE_TITLE].h != 1)
		fail_at(rows, cols, w, "no title");
}

static void check(int rows, int cols, const struct layout_want *w)
{
	struct layout l;

	memset(&l, 0x55, sizeof(l));
	layout_compute(rows, cols, w, &l);
	if (l.too_small != (rows < 5 || cols < 20))
		fail_at(rows, cols, w, "too_small is wrong");
	for (int p = 0; p < PANE_N; p++) {
		if (outside(&l.pane[p], rows, cols))
			fail_at(rows, cols, w, "a pane is outside");
		if ((l.pane[p].h == 0) != (l.pane[p].w == 0) || (l.too_small && l.pane[p].h))
			fail_at(rows, cols, w, "a pane that is shown is empty");
	}
	if (l.too_small)
		return;
	if (!covered_once(&l, rows, cols))
		fail_at(rows, cols, w, "panes overlap or leave a gap");
	check_sizes(&l, rows, cols, w);
	check_shown(&l, rows, cols, w);
}

static void test_every_size(void **state)
{
	(void)state;
	for (int rows = 1; rows <= ROWS; rows++)
		for (int cols = 1; cols <= COLS; cols++)
			for (int i = 0; i < 12 * 4; i++)
				check(rows, cols, &(struct layout_want){ .input_rows = i / 4,
					.stats = i & 1, .hints = i & 2 });
}

static void is(const struct rect *r, int y, int x, int h, int w)
{
	if (r->y != y || r->x != x || r->h != h || r->w != w)
		fail_msg("%d,%d %dx%d is not at %d,%d %dx%d", r->y, r->x, r->h, r->w, y, x, h, w);
}

/* The window of the tmux test, the smallest one and the usual one, written out by hand. */
static void test_known_windows(void **state)
{
	struct layout_want w = { .input_rows = 3, .stats = true, .hints = true };
	struct layout l;

	(void)state;
	layout_compute(12, 40, &w, &l);
	is(&l.pane[PANE_TITLE], 0, 0, 1, 40);
	is(&l.pane[PANE_CHAT], 1, 0, 6, 40);
	is(&l.pane[PANE_STATS], 7, 0, 1, 40);
	is(&l.pane[PANE_INPUT], 8, 0, 3, 40);
	is(&l.pane[PANE_HINTS], 11, 0, 1, 40);
	layout_compute(5, 20, &w, &l);
	assert_false(l.too_small);
	is(&l.pane[PANE_CHAT], 1, 0, 3, 20);
	layout_compute(24, 80, &w, &l);
	assert_int_equal(l.stats, STATS_SIDE);
	is(&l.pane[PANE_STATS], 1, 52, 22, 28);
	is(&l.pane[PANE_INPUT], 20, 0, 3, 52);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_size),
		cmocka_unit_test(test_known_windows),
	};

	return cmocka_run_group_tests_name("layout", tests, NULL, NULL);
}
