/* test_stream.c - the transcript under random text in random pieces: the same cells as when it came
 * at once, none of them harmful, and what long conversations cost. */
#include "tests/screen.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static const char *const piece[] = {
	"\xcc\x81", "\xf0\x9f\x8f\xbd", "\xe2\x80\x8d", "\xf0\x9f\x91\xa9", "\xf0\x9f\x87\xa9",
	"\xf0\x9f\x87\xaa", "\xef\xb8\x8f", "漢字", "、", "한", "\xe1\x84\x92\xe1\x85\xa1",
	"\xe2\x80\xae", "\xe2\x80\x8b", "\xc2\x9b", "word ", "word", " ", "\n", "\n\n", "\r\n",
	"\r", "\t", "**", "*", "_", "`", "``", "\n```\n", "\n```c\n", "~~~", "\n# ", "\n- ",
	"\n  * ", "\n1. ", "\n> ", "\n---\n", "\n<think>", "<think>\n", "</think>",
	"</think>\r\n", "\\*", "1️⃣", "\x1b[2J", "\xe2\x82", "\xf0\x9f", "\xff",
	"supercalifragilistic", "a*b",
};

static size_t make_text(char *out, size_t cap)
{
	size_t n = 0;

	while (n + 32 <= cap) {
		const char *p = piece[(size_t)rand() % (sizeof(piece) / sizeof(piece[0]))];

		if (rand() % 40 == 0)
			out[n++] = (char)rand();
		memcpy(out + n, p, strlen(p));
		n += strlen(p);
	}
	return n;
}

static void check_cells(const struct grid *g)
{
	for (int y = 0; y < g->rows; y++) {
		int cols = 0;

		for (int x = 0; x < g->cols; x++) {
			const struct cell *c = grid_at(g, y, x);

			cols += c->width;
			assert_true(c->width != 2 || (x + 1 < g->cols && c[1].width == 0));
			for (const unsigned char *p = (const unsigned char *)c->text; *p; p++)
				assert_true(*p >= 0x20 && *p != 0x7F &&
					    !(*p == 0xC2 && p[1] < 0xA0));
			assert_null(strstr(c->text, "\xe2\x80\xae"));
		}
		assert_int_equal(cols, g->cols);
	}
}

static bool same_cells(const struct grid *a, const struct grid *b)
{
	for (int i = 0; i < a->rows * a->cols; i++) {
		const struct cell *c = &a->cell[i], *d = &b->cell[i];

		if (strcmp(c->text, d->text) || c->width != d->width || c->role != d->role ||
		    c->attr != d->attr)
			return false;
	}
	return true;
}

/* Which of three origins byte i has, the same for every cut. */
static enum role origin_of(size_t i)
{
	static const enum role roles[] = { ROLE_MODEL, ROLE_ACCEPTED, ROLE_CORRECTED };

	return roles[i / 7 % 3];
}

static void append_bytes(struct transcript *t, const char *s, size_t from, size_t to)
{
	for (size_t i = from; i < to;) {
		size_t k = i + 1;

		while (k < to && origin_of(k) == origin_of(i))
			k++;
		assert_int_equal(transcript_append(t, origin_of(i), s + i, k - i), 0);
		i = k;
	}
}

/* In random pieces with draws between them, or at once: the same cells, at any width and view. */
static void one_cut(const char *s, size_t n, size_t most)
{
	struct transcript *t = transcript_open(), *whole = transcript_open();
	struct grid g = { 0 }, h = { 0 };
	int rows = 1 + rand() % 40, cols = 1 + rand() % (rand() % 3 ? 60 : 8);
	struct transcript_view v = { rand() % 2, rand() % 4 > 0, rand() % 2 };

	add(t, BLOCK_MODEL, "");
	add(whole, BLOCK_MODEL, "");
	for (size_t i = 0; i < n;) {
		size_t k = 1 + (size_t)rand() % most;

		k = k > n - i ? n - i : k;
		append_bytes(t, s, i, i + k);
		i += k;
		if (rand() % 2)
			draw(t, &g, rows, cols, &v);
	}
	append_bytes(whole, s, 0, n);
	for (int end = 0; end < 2; end++) {
		draw(t, &g, rows, cols, &v);
		draw(whole, &h, rows, cols, &v);
		check_cells(&g);
		assert_true(same_cells(&g, &h));
		transcript_scroll(t, 7);
		transcript_scroll(whole, 7);
		assert_int_equal(transcript_scrolled(t), transcript_scrolled(whole));
	}
	grid_free(&g);
	grid_free(&h);
	transcript_close(t);
	transcript_close(whole);
}

static void test_any_cut(void **state)
{
	char s[400];

	(void)state;
	srand(3);
	for (int round = 0; round < 3000; round++) {
		size_t n = make_text(s, 40 + (size_t)rand() % 360);

		one_cut(s, n, round % 2 ? 3 : 40);
	}
	one_cut(document, sizeof(document) - 1, 1);
}

/* Lines longer than the longest that is wrapped at once. */
static void test_long_lines(void **state)
{
	enum { N = 60000 };
	char *s = malloc(N);

	(void)state;
	assert_non_null(s);
	for (int round = 0; round < 12; round++) {
		size_t n = 0;

		while (n < N - 40) {
			const char *p = piece[(size_t)rand() % (sizeof(piece) / sizeof(piece[0]))];

			if (strchr(p, '\n') && rand() % 5000)
				continue;
			if (round % 3 == 0)
				p = "\xcc\x81";
			memcpy(s + n, p, strlen(p));
			n += strlen(p);
		}
		one_cut(s, n, 9000);
	}
	free(s);
}

/* Nothing is drawn outside the rectangle. */
static void test_inside(void **state)
{
	struct transcript *t = transcript_open();
	struct grid g = { 0 };

	(void)state;
	add(t, BLOCK_MODEL, document);
	assert_int_equal(grid_resize(&g, 12, 40), 0);
	for (int w = 0; w < 30; w++) {
		struct rect r = { 2, 5, 8, w };

		grid_clear(&g, (struct rect){ 0, 0, 12, 40 }, ROLE_INPUT);
		transcript_draw(t, &g, r, &pretty);
		for (int y = 0; y < 12; y++)
			for (int x = 0; x < 40; x++)
				assert_true((y >= 2 && y < 10 && x >= 5 && x < 5 + w) ==
					    (grid_at(&g, y, x)->role != ROLE_INPUT));
	}
	grid_free(&g);
	transcript_close(t);
}

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* 100,000 lines are there; 20,000 tokens come at 200 a second, drawn 30 times a second.  A frame
 * with its tokens should cost under 2 ms of processor time and a resize, which wraps only what is
 * seen, under 16 ms; both may cost six times that here, for sanitizers and poor machines. */
static void test_costs(void **state)
{
	struct transcript *t = transcript_open();
	struct grid g = { 0 };
	double start, frames, resize, top;
	int n_frames = 0;

	(void)state;
	for (int i = 0; i < 5000; i++) {
		char text[2048] = "";

		for (int k = 0; k < 20; k++)
			sprintf(text + strlen(text), "Line %d of answer %d: **bold** and `code`.\n",
				k, i);
		add(t, i % 2 ? BLOCK_MODEL : BLOCK_USER, text);
	}
	draw(t, &g, 50, 100, &pretty);
	transcript_scroll_to(t, true);
	transcript_scroll_to(t, false);
	add(t, BLOCK_MODEL, "");
	start = seconds();
	for (int i = 0; i < 20000; i++) {
		more(t, i % 3 ? ROLE_ACCEPTED : ROLE_MODEL, i % 200 == 199 ? "\n" : " token");
		if (i * 3 / 20 > n_frames) {
			transcript_draw(t, &g, (struct rect){ 0, 0, 50, 100 }, &pretty);
			n_frames++;
		}
	}
	frames = (seconds() - start) / n_frames;
	start = seconds();
	draw(t, &g, 50, 90, &pretty);
	resize = seconds() - start;
	start = seconds();
	transcript_scroll_to(t, true);
	top = seconds() - start;
	print_message("frame %.3f ms, resize %.3f ms, all 100,000 lines wrapped in %.0f ms\n",
		      frames * 1e3, resize * 1e3, top * 1e3);
#ifdef __SANITIZE_THREAD__
	print_message("not judged: the thread sanitizer makes all of it ten times slower\n");
#else
	assert_true(frames < 6 * 2e-3);
	assert_true(resize < 6 * 16e-3);
#endif
	grid_free(&g);
	transcript_close(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_any_cut),
		cmocka_unit_test(test_long_lines),
		cmocka_unit_test(test_inside),
		cmocka_unit_test(test_costs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
