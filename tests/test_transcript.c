/* test_transcript.c - the conversation on a grid: pictures written by hand from what
 * ui/text/transcript.h says, and scrolling while text comes in. */
#include "tests/screen.h"

#include <stdio.h>
#include <string.h>

#define CHECK_SCREEN(g, ...) check_screen(g, (const char *const[]){ __VA_ARGS__, NULL })

/* Row y without the blanks at its end. */
static void row_text(const struct grid *g, int y, char *out)
{
	size_t n = 0, ink = 0;

	for (int x = 0; x < g->cols; x++) {
		const struct cell *c = grid_at(g, y, x);
		const char *s = *c->text ? c->text : " ";

		if (!c->width)
			continue;
		memcpy(out + n, s, strlen(s));
		n += strlen(s);
		if (strcmp(s, " ") != 0)
			ink = n;
	}
	out[ink] = '\0';
}

static void check_screen(const struct grid *g, const char *const *want)
{
	for (int y = 0; y < g->rows; y++) {
		char got[8192];

		row_text(g, y, got);
		assert_string_equal(got, *want ? *want : "");
		want += *want != NULL;
	}
	assert_null(*want);
}

static void test_words_and_speakers(void **state)
{
	struct transcript *t = transcript_open();
	struct grid g = { 0 };

	(void)state;
	add(t, BLOCK_NOTICE, "ready");
	add(t, BLOCK_USER, "Why does it **fall**, 漢字漢字漢字、漢?");
	add(t, BLOCK_MODEL, "");
	more(t, ROLE_MODEL, "Gravity, incomprehensibilities-of-it.");
	add(t, BLOCK_ERROR, "no\x1b[31mway");
	draw(t, &g, 9, 30, &pretty);
	CHECK_SCREEN(&g,
		     "      ready",
		     "",
		     "you   Why does it **fall**, 漢",
		     "      字漢字漢字、漢?",
		     "model Gravity,",
		     "      incomprehensibilities-of",
		     "      -it.",
		     "      no^[[31mway");
	assert_int_equal(grid_at(&g, 0, 6)->role, ROLE_NOTICE);
	assert_int_equal(grid_at(&g, 2, 0)->role, ROLE_USER);
	assert_int_equal(grid_at(&g, 4, 6)->role, ROLE_MODEL);
	assert_int_equal(grid_at(&g, 7, 6)->role, ROLE_ERROR);
	assert_int_equal(grid_at(&g, 4, 13)->role, ROLE_MODEL);
	assert_int_equal(grid_at(&g, 4, 14)->role, ROLE_TEXT);  /* the blank at the break */
	draw(t, &g, 5, 14, &pretty);
	CHECK_SCREEN(&g,
		     "  Gravity,",
		     "  incomprehens",
		     "  ibilities-of",
		     "  -it.",
		     "  no^[[31mway");
	grid_free(&g);
	transcript_close(t);
}

static void test_markdown(void **state)
{
	struct transcript *t = transcript_open();
	struct grid g = { 0 };

	(void)state;
	add(t, BLOCK_MODEL, document);
	draw(t, &g, 19, 30, &pretty);
	CHECK_SCREEN(&g,
		     "model Title",
		     "",
		     "      Some bold and it a *b*,",
		     "      2*3*4, a_b_c, __init__,",
		     "      *no*.",
		     "      • item one is long and",
		     "        wraps",
		     "        • nested",
		     "      12. twelve is long and",
		     "          it wraps",
		     "      ┌─ c ───────────────────",
		     "      │         int x;  /* **k",
		     "      │ ept** */",
		     "      │",
		     "      └───────────────────────",
		     "      │ quote",
		     "      ────────────────────────",
		     "      both **open shut");
	assert_int_equal(grid_at(&g, 0, 6)->role, ROLE_HEADING);
	assert_int_equal(grid_at(&g, 2, 11)->attr, GRID_BOLD);
	assert_int_equal(grid_at(&g, 2, 16)->attr, 0);
	assert_int_equal(grid_at(&g, 2, 20)->attr, GRID_ITALIC);
	assert_int_equal(grid_at(&g, 2, 23)->role, ROLE_CODE);
	assert_int_equal(grid_at(&g, 2, 28)->role, ROLE_MODEL);
	assert_int_equal(grid_at(&g, 11, 17)->role, ROLE_CODE);
	assert_int_equal(grid_at(&g, 11, 6)->role, ROLE_BORDER);
	assert_int_equal(grid_at(&g, 17, 6)->attr, GRID_BOLD | GRID_ITALIC);
	assert_int_equal(grid_at(&g, 17, 13)->attr, 0);
	assert_int_equal(grid_at(&g, 17, 18)->attr, GRID_ITALIC);
	draw(t, &g, 4, 30, &raw);
	CHECK_SCREEN(&g, "      > quote", "      ---", "      ***both*** **open *shut*", "");
	grid_free(&g);
	transcript_close(t);
}

/* No stop begins a row, no opening bracket ends one; a fence ends with one as long as its own. */
static void test_brackets_and_fences(void **state)
{
	struct transcript *t = transcript_open();
	struct grid g = { 0 };

	(void)state;
	add(t, BLOCK_MODEL, "漢漢漢漢、漢漢「漢」\n````\n``` **\n```\n````\nend");
	draw(t, &g, 8, 8, &pretty);
	CHECK_SCREEN(&g, "漢漢漢", "漢、漢漢", "「漢」", "┌───────", "│ ``` **", "│ ```", "└───────", "end");
	grid_free(&g);
	transcript_close(t);
}

/* Letters with spacing marks are as wide as a Chinese character, but a word of them stays whole; an
 * emoji may go to the next row, and nothing of it is left out. */
static void test_words_with_spacing_marks(void **state)
{
	struct transcript *t = transcript_open();
	struct grid g = { 0 };

	(void)state;
	add(t, BLOCK_MODEL, "हिन्दी की कविता 👨‍👩‍👧👍🏽 ကြောင်း");
	draw(t, &g, 8, 13, &pretty);
	CHECK_SCREEN(&g, "  हिन्दी की", "  कविता", "  👨‍👩‍👧👍🏽", "  ကြောင်း");
	grid_free(&g);
	transcript_close(t);
}

/* Lines of 16 KiB and more are wrapped in parts, which nobody sees. */
static void test_part_of_a_line(void **state)
{
	enum { N = 16383 };
	static char s[N + 1];
	struct transcript *t = transcript_open();
	struct grid g = { 0 };

	(void)state;
	memset(s, 'a', N);
	add(t, BLOCK_MODEL, s);
	more(t, ROLE_MODEL, "\r\nb");
	draw(t, &g, 2, 11, &pretty);
	CHECK_SCREEN(&g, "aaaa", "b");
	transcript_clear(t);
	add(t, BLOCK_MODEL, s);
	more(t, ROLE_MODEL, "# b");
	draw(t, &g, 1, 11, &pretty);
	CHECK_SCREEN(&g, "# b");
	transcript_clear(t);
	add(t, BLOCK_MODEL, s);
	more(t, ROLE_MODEL, "漢");
	draw(t, &g, 2, 11, &pretty);
	CHECK_SCREEN(&g, "aaa", "a漢"); /* the last grapheme is not in the first part */
	grid_free(&g);
	transcript_close(t);
}

static void test_thinking(void **state)
{
	struct transcript *t = transcript_open();
	struct transcript_view open = pretty;
	struct grid g = { 0 };

	(void)state;
	open.fold_think = false;
	add(t, BLOCK_MODEL, "<think>\nfirst\n\nsec");
	draw(t, &g, 2, 30, &pretty);
	CHECK_SCREEN(&g, "model thinking, 2 lines", "");
	assert_int_equal(grid_at(&g, 0, 6)->role, ROLE_THINKING);
	more(t, ROLE_MODEL, "ond *x*\n</thi");
	draw(t, &g, 2, 30, &pretty);
	CHECK_SCREEN(&g, "model thinking, 2 lines", "");
	more(t, ROLE_MODEL, "nk>\n\nSo <think> is *text*.");
	draw(t, &g, 3, 30, &pretty);
	CHECK_SCREEN(&g, "model thinking, 2 lines", "", "      So <think> is text.");
	draw(t, &g, 8, 30, &open);
	CHECK_SCREEN(&g, "model <think>", "      first", "", "      second *x*",
		     "      </think>", "",
		     "      So <think> is text.", "");
	assert_int_equal(grid_at(&g, 3, 6)->role, ROLE_THINKING);
	transcript_clear(t);
	add(t, BLOCK_MODEL, "<think>\n\n</think>\n\nHi");
	draw(t, &g, 1, 30, &pretty);
	CHECK_SCREEN(&g, "model Hi");
	transcript_clear(t);
	add(t, BLOCK_USER, "<think>\n*x*");
	draw(t, &g, 2, 30, &pretty);
	CHECK_SCREEN(&g, "you   <think>", "      *x*");
	grid_free(&g);
	transcript_close(t);
}

static void test_origins(void **state)
{
	struct transcript *t = transcript_open();
	struct transcript_view plain = pretty;
	struct grid g = { 0 };
	static const enum role want[] = { ROLE_MODEL, ROLE_ACCEPTED, ROLE_ACCEPTED, ROLE_CODE,
		ROLE_CORRECTED, ROLE_CORRECTED };

	(void)state;
	plain.origins = false;
	add(t, BLOCK_MODEL, "");
	more(t, ROLE_MODEL, "a");
	more(t, ROLE_ACCEPTED, "b**c**");
	more(t, ROLE_MODEL, "`d");
	more(t, ROLE_CORRECTED, "e`\xe6\xbc");
	more(t, ROLE_MODEL, "\xa2");
	draw(t, &g, 1, 30, &pretty);
	CHECK_SCREEN(&g, "model ab**c**de漢");
	assert_int_equal(grid_at(&g, 0, 6)->role, want[0]);
	assert_int_equal(grid_at(&g, 0, 7)->role, want[1]);
	assert_int_equal(grid_at(&g, 0, 10)->role, want[2]);
	assert_int_equal(grid_at(&g, 0, 13)->role, want[3]);
	assert_int_equal(grid_at(&g, 0, 14)->role, want[4]);
	assert_int_equal(grid_at(&g, 0, 15)->role, want[5]);
	draw(t, &g, 1, 30, &plain);
	assert_int_equal(grid_at(&g, 0, 7)->role, ROLE_MODEL);
	assert_int_equal(grid_at(&g, 0, 14)->role, ROLE_CODE);
	grid_free(&g);
	transcript_close(t);
}

static void test_forgotten(void **state)
{
	struct transcript *t = transcript_open();
	struct grid g = { 0 };

	(void)state;
	add(t, BLOCK_USER, "one");
	add(t, BLOCK_MODEL, "1");
	add(t, BLOCK_USER, "two");
	transcript_forget(t, 2);
	draw(t, &g, 5, 50, &pretty);
	CHECK_SCREEN(&g, "you   one", "model 1",
		     "───── the model no longer sees what is above ─────", "", "you   two");
	assert_int_equal(grid_at(&g, 0, 6)->role, ROLE_FORGOTTEN);
	assert_int_equal(grid_at(&g, 1, 6)->role, ROLE_FORGOTTEN);
	assert_int_equal(grid_at(&g, 4, 6)->role, ROLE_USER);
	transcript_forget(t, 0);
	draw(t, &g, 4, 50, &pretty);
	CHECK_SCREEN(&g, "you   one", "model 1", "", "you   two");
	transcript_forget(t, 99);
	transcript_cut(t, 1);
	assert_int_equal(transcript_blocks(t), 1);
	draw(t, &g, 2, 50, &pretty);
	CHECK_SCREEN(&g, "you   one", "───── the model no longer sees what is above ─────");
	grid_free(&g);
	transcript_close(t);
}

/* An unfinished character is not shown while it may still be finished. */
static void test_unfinished_character(void **state)
{
	struct transcript *t = transcript_open();
	struct grid g = { 0 };

	(void)state;
	add(t, BLOCK_MODEL, "a\xf0\x9f\x98");
	draw(t, &g, 1, 30, &pretty);
	CHECK_SCREEN(&g, "model a");
	more(t, ROLE_MODEL, "\x80");
	draw(t, &g, 1, 30, &pretty);
	CHECK_SCREEN(&g, "model a\xf0\x9f\x98\x80");
	more(t, ROLE_MODEL, "\xe2\x82");
	draw(t, &g, 1, 30, &pretty);
	CHECK_SCREEN(&g, "model a\xf0\x9f\x98\x80");
	add(t, BLOCK_NOTICE, "n");
	draw(t, &g, 2, 30, &pretty);
	CHECK_SCREEN(&g, "model a\xf0\x9f\x98\x80\xef\xbf\xbd", "      n");
	grid_free(&g);
	transcript_close(t);
}

static void add_numbers(struct transcript *t, int from, int to)
{
	for (int i = from; i < to; i++) {
		char text[32];

		snprintf(text, sizeof(text), "%s%d", i ? "\n" : "", i);
		more(t, ROLE_MODEL, text);
	}
}

static void test_scrolling(void **state)
{
	struct transcript *t = transcript_open();
	struct grid g = { 0 };

	(void)state;
	transcript_scroll(t, 5);        /* before the first draw there is nothing to scroll */
	assert_int_equal(transcript_scrolled(t), 0);
	add(t, BLOCK_MODEL, "");
	draw(t, &g, 3, 10, &pretty);
	transcript_scroll(t, 5);
	assert_int_equal(transcript_scrolled(t), 0);
	add_numbers(t, 0, 10);
	draw(t, &g, 3, 10, &pretty);
	CHECK_SCREEN(&g, "7", "8", "9");
	transcript_scroll(t, 4);
	draw(t, &g, 3, 10, &pretty);
	CHECK_SCREEN(&g, "3", "4", "5");
	/* Text comes in, blocks come in: the view stays. */
	add_numbers(t, 10, 30);
	add(t, BLOCK_NOTICE, "x\ny");
	draw(t, &g, 3, 10, &pretty);
	CHECK_SCREEN(&g, "3", "4", "5");
	assert_int_equal(transcript_scrolled(t), 26);
	transcript_scroll(t, 1);
	transcript_scroll(t, -2);
	draw(t, &g, 3, 10, &pretty);
	CHECK_SCREEN(&g, "4", "5", "6");
	transcript_scroll(t, 1000000000);
	transcript_scroll(t, 2000000000);
	draw(t, &g, 3, 10, &pretty);
	CHECK_SCREEN(&g, "0", "1", "2");
	assert_int_equal(transcript_scrolled(t), 29);
	transcript_scroll(t, -2000000000);
	draw(t, &g, 3, 10, &pretty);
	CHECK_SCREEN(&g, "29", "x", "y");
	transcript_scroll_to(t, true);
	draw(t, &g, 5, 10, &pretty);
	CHECK_SCREEN(&g, "0", "1", "2", "3", "4");
	transcript_scroll_to(t, false);
	assert_int_equal(transcript_scrolled(t), 0);
	transcript_scroll(t, 20);
	transcript_cut(t, 0);
	draw(t, &g, 1, 10, &pretty);
	CHECK_SCREEN(&g, "");
	grid_free(&g);
	transcript_close(t);
}

/* Scrolled back, the bottom row stays the bottom row when the width or the view changes. */
static void test_scrolled_resize(void **state)
{
	struct transcript *t = transcript_open();
	struct grid g = { 0 };

	(void)state;
	for (int i = 0; i < 40; i++) {
		char text[64];

		snprintf(text, sizeof(text), "row%d is **rather** long and wraps", i);
		add(t, BLOCK_MODEL, text);
	}
	draw(t, &g, 2, 80, &pretty);
	transcript_scroll(t, 20);
	draw(t, &g, 2, 80, &pretty);
	CHECK_SCREEN(&g, "model row18 is rather long and wraps",
		     "model row19 is rather long and wraps");
	draw(t, &g, 3, 11, &pretty);
	CHECK_SCREEN(&g, "rather long", "and wraps", "row19 is");
	draw(t, &g, 1, 80, &raw);
	CHECK_SCREEN(&g, "model row19 is **rather** long and wraps");
	draw(t, &g, 1, 80, &pretty);
	assert_int_equal(transcript_scrolled(t), 20);
	transcript_forget(t, 20);
	transcript_scroll(t, 0);
	assert_int_equal(transcript_scrolled(t), 21);
	draw(t, &g, 1, 80, &pretty);
	transcript_scroll(t, -1);
	for (int i = 0; i < 3; i++)     /* on the border, too, it stays where it is */
		draw(t, &g, 1, 80, &pretty);
	assert_int_equal(transcript_scrolled(t), 20);
	grid_free(&g);
	transcript_close(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words_and_speakers),
		cmocka_unit_test(test_markdown),
		cmocka_unit_test(test_brackets_and_fences),
		cmocka_unit_test(test_words_with_spacing_marks),
		cmocka_unit_test(test_part_of_a_line),
		cmocka_unit_test(test_thinking),
		cmocka_unit_test(test_origins),
		cmocka_unit_test(test_forgotten),
		cmocka_unit_test(test_unfinished_character),
		cmocka_unit_test(test_scrolling),
		cmocka_unit_test(test_scrolled_resize),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
