/* test_theme.c - colours by name and number, looks, the nearest colour of every palette.
 *
 * Expected indices were worked out by hand: 16 + 36 r + 6 g + b and the 24 greys of xterm. */
#include "ui/term/theme.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

static char err[ERR_MAX];

static struct colour colour(const char *text)
{
	struct colour c = { .index = -1 };

	if (theme_colour(text, &c, err))
		fail_msg("'%s': %s", text, err);
	return c;
}

static void test_colour_names(void **state)
{
	static const char *const bad[] = { "", "rde", "256", "999", "-1", "#12345", "#1234567",
		"#12345g", "#", "0x10", "1 ", "default2", "+3", "\033[31m" };

	(void)state;
	assert_int_equal(colour("default").kind, COLOUR_DEFAULT);
	assert_int_equal(colour("black").index, 0);
	assert_int_equal(colour("Cyan").index, 6);
	assert_int_equal(colour("brightblack").index, 8);
	assert_int_equal(colour("brightwhite").index, 15);
	assert_int_equal(colour("0").index, 0);
	assert_int_equal(colour("255").index, 255);
	assert_int_equal(colour("255").kind, COLOUR_INDEX);
	assert_int_equal(colour("#0a80Ff").kind, COLOUR_RGB);
	assert_int_equal(colour("#0a80Ff").r, 0x0a);
	assert_int_equal(colour("#0a80Ff").g, 0x80);
	assert_int_equal(colour("#0a80Ff").b, 0xff);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct colour c;

		err[0] = '\0';
		if (theme_colour(bad[i], &c, err) != -1 || !*err || strpbrk(err, "\033"))
			fail_msg("'%s' should be refused", bad[i]);
	}
}

static int nearest(const char *text, int n)
{
	struct colour c = colour(text);

	return theme_nearest(&c, n);
}

static void test_nearest(void **state)
{
	static const struct { const char *text; int n, want; } row[] = {
		{ "default", 256, -1 }, { "red", 0, -1 }, { "#ff0000", 1, -1 },
		{ "red", 8, 1 }, { "brightred", 8, 1 }, { "brightred", 16, 9 },
		{ "brightgreen", 8, 2 }, { "brightyellow", 8, 3 }, { "brightblack", 8, 7 },
		{ "brightwhite", 8, 7 }, { "196", 256, 196 }, { "196", 16, 9 }, { "21", 8, 4 },
		{ "232", 8, 0 }, { "255", 8, 7 }, { "#ff0000", 256, 196 },
		{ "#000000", 256, 16 }, { "#ffffff", 256, 231 }, { "#00ff00", 256, 46 },
		{ "#5f87af", 256, 67 }, { "#808080", 256, 244 }, { "#080808", 256, 232 },
		{ "#eeeeee", 256, 255 }, { "#ffffff", 16, 15 }, { "#000000", 16, 0 },
		{ "#00ffff", 8, 6 }, { "#123456", 1 << 24, 0x123456 }, { "2", 1 << 24, 2 },
		{ "#ffffff", 1 << 24, 0xffffff }, { "#000000", 1 << 24, 0 },
		{ "#000003", 1 << 24, 8 }, { "196", 1 << 24, 0xff0000 }, { "red", 88, 1 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++)
		if (nearest(row[i].text, row[i].n) != row[i].want)
			fail_msg("%s of %d colours: %d, not %d", row[i].text, row[i].n,
				 nearest(row[i].text, row[i].n), row[i].want);
}

/* Whatever the colour, the answer is one that the terminal has. */
static void test_nearest_exists(void **state)
{
	static const int palettes[] = { 8, 16, 88, 256, 1 << 24 };

	(void)state;
	for (int p = 0; p < 5; p++)
		for (int i = 0; i < 4096; i++) {
			char text[8];
			int got;

			snprintf(text, sizeof(text), "#%02x%02x%02x", i >> 8 << 4,
				 (i >> 4 & 15) << 4, (i & 15) << 4);
			got = nearest(text, palettes[p]);
			assert_in_range(got, palettes[p] == 256 ? 16 : 0, palettes[p] - 1);
		}
}

static struct look look(const char *fg, const char *bg)
{
	return (struct look){ .fg = colour(fg), .bg = colour(bg) };
}

static void test_text_stays_legible(void **state)
{
	struct look l = look("#93a1a1", "#eee8d5");
	int fg, bg;

	(void)state;
	theme_pair(&l, 8, &fg, &bg);            /* both are white there */
	assert_int_equal(bg, 7);
	assert_int_equal(fg, 0);
	l = look("#14161b", "#1d2028");
	theme_pair(&l, 8, &fg, &bg);
	assert_int_equal(bg, 0);
	assert_int_equal(fg, 7);
	l = look("red", "red");                 /* wanted so: hidden text */
	theme_pair(&l, 8, &fg, &bg);
	assert_int_equal(fg, bg);
	l = look("default", "default");
	theme_pair(&l, 256, &fg, &bg);
	assert_int_equal(fg, -1);
	assert_int_equal(bg, -1);
}

static void test_looks(void **state)
{
	static const char *const good[] = { "red", "default", "Bold", "underline", "normal" };
	static const char *const bad[] = { "red", "default", "blink" };
	struct look l = { .attr = 77 };

	(void)state;
	assert_int_equal(theme_look(bad, 3, &l, err), -1);
	assert_non_null(strstr(err, "blink"));
	assert_int_equal(theme_look(bad, 1, &l, err), -1);
	assert_int_equal(theme_look(bad, 0, &l, err), -1);
	assert_int_equal(l.attr, 77);
	assert_int_equal(theme_look(good, 5, &l, err), 0);
	assert_int_equal(l.attr, GRID_BOLD | GRID_UNDERLINE);
	assert_int_equal(l.fg.index, 1);
	assert_int_equal(l.bg.kind, COLOUR_DEFAULT);
}

static void test_default_theme(void **state)
{
	struct theme t;

	(void)state;
	theme_default(&t);
	assert_int_equal(t.look[ROLE_USER].fg.index, 6);
	assert_int_equal(t.look[ROLE_USER].attr, GRID_BOLD);
	assert_int_equal(t.look[ROLE_HINT_KEY].attr, GRID_REVERSE);
	assert_int_equal(t.look[ROLE_SELECTION].fg.kind, COLOUR_DEFAULT);
	assert_int_equal(theme_role("hint-key"), ROLE_HINT_KEY);
	assert_int_equal(theme_role("text"), 0);
	assert_int_equal(theme_role("Text"), -1);
	assert_int_equal(theme_role(""), -1);
	theme_strip(&t);
	assert_int_equal(t.look[ROLE_USER].fg.kind, COLOUR_DEFAULT);
	assert_int_equal(t.look[ROLE_USER].attr, GRID_BOLD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_colour_names),
		cmocka_unit_test(test_nearest),
		cmocka_unit_test(test_nearest_exists),
		cmocka_unit_test(test_text_stays_legible),
		cmocka_unit_test(test_looks),
		cmocka_unit_test(test_default_theme),
	};

	return cmocka_run_group_tests_name("theme", tests, NULL, NULL);
}
