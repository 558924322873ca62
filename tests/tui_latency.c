/* tui_latency.c - how long a key takes to the screen while the real model answers.
 *
 *	tui_latency MODEL KEYS
 *
 * The loop of app/tui/tui_main.c without a terminal; the keys also scroll, switch strategies
 * and stop the answer, and the window changes.  Keys are due at uneven moments, messages are drawn
 * at most 30 times a second, and a key's time runs from the moment it was due until the grid that
 * shows it is drawn.  Prints percentiles in milliseconds. */
#include "app/config/args.h"
#include "app/tui/tui.h"

#include <locale.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEYS_MAX = 10000 };

struct run {
	struct tui tui;
	struct grid grid;
	double drawn, due;
	double ms[KEYS_MAX];
	int n, want, typed_while_busy;
	long draws;
};

static void draw(struct run *r)
{
	tui_draw(&r->tui, &r->grid);
	r->drawn = clock_now();
	r->draws++;
}

static void take_messages(struct run *r)
{
	struct msg m;
	bool any = false;

	r->tui.now = clock_now();
	while (msgq_get(&r->tui.talk.worker->out, &m)) {
		if (m.kind == MSG_ERROR)
			fprintf(stderr, "%s\n", m.text);
		tui_message(&r->tui, &m);
		msg_free(&m);
		any = true;
	}
	if (any && r->tui.now - r->drawn >= 1 / 30.0)
		draw(r);
}

static void type(struct run *r)
{
	static const char text[] = "the quick brown fox jumps over the lazy dog ";
	static const struct {
		int at;
		const char *bytes;
	} other[] = {   /* PgUp, PgDn, F6 ngram, F5 plain, Ctrl+U, Esc: of every hundred keys */
		{ 24, "\033[5~" }, { 49, "\033[6~" }, { 10, "\033[17~" }, { 60, "\033[15~" },
		{ 80, "\025" }, { 95, "\033" },
	};
	const char *bytes = text + r->n % (int)(sizeof(text) - 1);
	size_t n = 1;

	for (size_t i = 0; i < sizeof(other) / sizeof(other[0]); i++)
		if (r->n % 100 == other[i].at) {
			bytes = other[i].bytes;
			n = strlen(bytes);
		}
	r->tui.now = clock_now();
	if (r->n % 40 == 39)
		grid_resize(&r->grid, 50 - r->n % 30, 160 - r->n % 100);
	tui_input(&r->tui, bytes, n, true);
	draw(r);
	r->ms[r->n++] = 1000 * (r->drawn - r->due);
	r->typed_while_busy += tui_answering(&r->tui);
	r->due = r->drawn + 0.005 + 0.001 * (r->n * 7 % 23);
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void wait_for(struct run *r, double until)
{
	struct pollfd fd = { .fd = r->tui.talk.worker->out.wake[0], .events = POLLIN };
	double left = until - clock_now();
	struct timespec t = { .tv_nsec = left > 0 ? (long)(left * 1e9) : 0 };

	if (ppoll(&fd, 1, &t, NULL) > 0)
		take_messages(r);
}

static int measure(struct run *r)
{
	while (!r->tui.talk.ready && !r->tui.talk.failed)
		wait_for(r, clock_now() + 0.5);
	if (r->tui.talk.failed)
		return 1;
	r->due = clock_now() + 0.1;
	while (r->n < r->want) {
		if (!r->tui.talk.busy)
			tui_send(&r->tui, "Write a long story about a cat, a dog and a house.");
		wait_for(r, r->due);
		if (clock_now() >= r->due)
			type(r);
	}
	qsort(r->ms, (size_t)r->n, sizeof(r->ms[0]), by_size);
	printf("keys %d while answering %d draws %ld p50 %.2f p90 %.2f p99 %.2f max %.2f "
	       "ms\n", r->n, r->typed_while_busy, r->draws, r->ms[r->n / 2], r->ms[r->n * 9 / 10],
	       r->ms[r->n * 99 / 100], r->ms[r->n - 1]);
	return r->ms[r->n * 99 / 100] > 16 || r->typed_while_busy < r->n * 9 / 10;
}

int main(int argc, char **argv)
{
	static struct run r;
	struct options o;
	char err[ERR_MAX] = "";
	int rc = 2;

	setlocale(LC_CTYPE, "C.UTF-8");
	args_defaults(&o);
	o.model = argc > 1 ? argv[1] : "";
	o.seed = 1;
	r.want = argc > 2 && atoi(argv[2]) > 0 && atoi(argv[2]) <= KEYS_MAX ? atoi(argv[2]) : 500;
	config_default(&r.tui.cfg, NULL);
	if (!talk_open(&r.tui.talk, &o, err) && !tui_open(&r.tui, err) &&
	    !grid_resize(&r.grid, 50, 160))
		rc = measure(&r);
	if (*err)
		fprintf(stderr, "%s\n", err);
	tui_close(&r.tui);
	grid_free(&r.grid);
	talk_close(&r.tui.talk);
	return rc;
}
