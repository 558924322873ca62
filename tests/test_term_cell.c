/* test_term_cell.c - what a locale without Unicode shows of what the program draws.
 *
 * Which characters those are is read from the sources, so that none is forgotten. */
#define NCURSES_WIDECHAR 1
#include "ui/term/term_cell.h"
#include "ui/cell/width.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
#include <glob.h>
#include <stdio.h>
#include <string.h>
#include <wchar.h>

/* The ASCII that stands for the grapheme; 0: it is none. */
static char stand_in(const char *grapheme)
{
	struct cell c = { .width = 1 };
	cchar_t out[4];
	wchar_t text[CCHARW_MAX + 1];
	attr_t attr;
	short pair;
	bool over;

	snprintf(c.text, sizeof(c.text), "%s", grapheme);
	assert_int_equal(term_cell(out, &c, 1, false, 0, 0, &over), 1);
	assert_false(over);
	assert_int_equal(getcchar(&out[0], text, &attr, &pair, NULL), OK);
	assert_int_equal(text[1], 0);
	return text[0] < 0x80 ? (char)text[0] : 0;
}

/* Graphemes in double quotes on this line that are not ASCII. */
static int check_line(const char *line, const char *path)
{
	bool quoted = false;
	int seen = 0;
	struct glyph g;

	for (const char *p = line; *p && *p != '\n'; p += g.bytes) {
		g.bytes = 1;
		quoted ^= *p == '"';
		if ((unsigned char)*p < 0x80)
			continue;
		width_glyph(p, strlen(p), &g);
		if (!quoted || g.width != 1)
			continue;
		seen++;
		if (!stand_in(g.text) || stand_in(g.text) == '?')
			fail_msg("%s: '%s' has no stand-in", path, g.text);
	}
	return seen;
}

static void test_every_glyph_of_ours(void **state)
{
	char line[1024];
	int seen = 0;
	glob_t all;

	(void)state;
	assert_int_equal(glob("ui/*/*.c", 0, NULL, &all), 0);
	assert_int_equal(glob("app/*/*.c", GLOB_APPEND, NULL, &all), 0);
	for (size_t i = 0; i < all.gl_pathc; i++) {
		FILE *f = fopen(all.gl_pathv[i], "r");

		assert_non_null(f);
		while (fgets(line, sizeof(line), f))
			if (!strstr(line, "#define NOT_"))      /* of texts, not of ours */
				seen += check_line(line, all.gl_pathv[i]);
		fclose(f);
	}
	globfree(&all);
	assert_true(seen > 20);
}

/* Full and empty cells of a bar, and the heights of the graph, can be told apart. */
static void test_bars(void **state)
{
	(void)state;
	assert_int_not_equal(stand_in("█"), stand_in("░"));
	assert_int_not_equal(stand_in("▁"), stand_in("▄"));
	assert_int_not_equal(stand_in("▄"), stand_in("█"));
	assert_int_equal(stand_in("─"), '-');
	assert_int_equal(stand_in("│"), '|');
	assert_int_equal(stand_in("┌"), '+');
	assert_int_equal(stand_in("é"), '?');
	assert_int_equal(stand_in("a"), 'a');
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_glyph_of_ours), cmocka_unit_test(test_bars),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
