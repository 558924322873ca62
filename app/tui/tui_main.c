/* tui_main.c - see tui_main.h: one loop that waits for keys, the model and signals at once.
 *
 * What the model writes is drawn at most 30 times a second, what is typed at once.
 * Invariant: nothing in the loop waits but poll, and the editor while it has the terminal. */
#include "app/tui/tui_main.h"
#include "app/typing/prompt.h"
#include "base/text.h"
#include "app/tui/tui.h"
#include "app/typing/editor.h"
#include "app/tui/tui_signal.h"
#include "engine/place/memory.h"
#include "ui/term/term.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MESSAGES_AT_ONCE = 512 };
static const double frame = 1 / 30.0;

struct screen {
	struct tui tui;
	struct grid grid;
	double drawn, typed, measured;  /* when: last draw, last bytes, memory */
	bool dirty, at_once, whole;     /* to draw: some time, now, from nothing */
	int end;                        /* the signal that ends us */
};

static void resize(struct screen *s)
{
	int rows, cols;

	if (!term_size(&rows, &cols) && rows > 0 && cols > 0)
		grid_resize(&s->grid, rows, cols);
	s->at_once = true;
}

static void show(struct screen *s)
{
	double now = s->tui.now;

	if (!s->dirty && !s->at_once)
		return;
	if (!s->at_once && now - s->drawn < frame)
		return;
	tui_draw(&s->tui, &s->grid);
	term_show(&s->grid, &s->tui.cfg.theme, s->whole);
	s->drawn = now;
	s->dirty = s->at_once = s->whole = false;
}

static void suspend(struct screen *s)
{
	tui_signal_usual();
	term_suspend();
	kill(0, SIGTSTP);
	term_resume();
	tui_signal_ours();
	resize(s);
	s->whole = true;
}

/* A text through the editor, which has the terminal meanwhile. */
static char *edit_text(void *ctx, const char *text, size_t *n, char err[ERR_MAX])
{
	struct screen *s = ctx;
	char *changed;

	tui_signal_usual();
	term_suspend();
	changed = tui_editor(text, n, err);
	term_resume();
	tui_signal_ours();
	resize(s);
	s->whole = true;
	return changed;
}

static void edit(struct screen *s)
{
	struct input_view v;
	char err[ERR_MAX] = "out of memory", *before, *after;

	prompt_view(&v);
	before = strndup(v.text, v.n);
	after = before ? edit_text(s, before, &v.n, err) : NULL;
	if (after)
		prompt_set(after, v.n);
	else
		tui_say(&s->tui, BLOCK_ERROR, err);
	free(before);
	free(after);
}

static void do_wants(struct screen *s)
{
	unsigned want = s->tui.want;

	s->tui.want &= TUI_LEAVE;
	if (want & TUI_INTERRUPTED)
		s->end = SIGINT;
	if (want & TUI_SUSPEND)
		suspend(s);
	if (want & TUI_EDITOR)
		edit(s);
	if (want & (TUI_REDRAW | TUI_THEME))
		s->whole = s->at_once = true;
}

static void take_signals(struct screen *s)
{
	int sig;

	while ((sig = tui_signal_take()) != 0) {
		if (sig == SIGINT) {
			tui_input(&s->tui, "\003", 1, true);
			s->at_once = true;
		} else if (sig == SIGTSTP) {
			s->tui.want |= TUI_SUSPEND;
		} else if (sig == SIGCONT) {    /* stopped from outside */
			term_suspend();
			term_resume();
			s->whole = true;
			resize(s);
		} else if (sig == SIGWINCH) {
			term_resize();
			resize(s);
		} else {
			s->end = sig;
		}
	}
}

static void take_messages(struct screen *s)
{
	struct msg m;

	for (int i = 0; i < MESSAGES_AT_ONCE && msgq_get(&s->tui.talk.worker->out, &m); i++) {
		tui_message(&s->tui, &m);
		msg_free(&m);
		s->dirty = true;
	}
}

static void take_keys(struct screen *s, bool readable)
{
	char buf[4096];
	size_t n = 0;
	double gap;

	while (readable && (n = term_read(buf, sizeof(buf))) > 0) {
		tui_input(&s->tui, buf, n, false);
		s->typed = s->tui.now;
		s->at_once = true;
		if (n < sizeof(buf))
			break;
	}
	gap = tui_patience(&s->tui);
	if (gap >= 0 && s->tui.now - s->typed >= gap) {
		tui_silence(&s->tui);
		s->at_once = true;
	}
	if (term_gone())
		s->end = SIGHUP;
}

/* Milliseconds until something has to be done though nothing comes. */
static int patience(const struct screen *s)
{
	double wait = 1, until = tui_until(&s->tui), gap = tui_patience(&s->tui), now = clock_now();

	if (s->dirty && s->drawn + frame - now < wait)
		wait = s->drawn + frame - now;
	if (gap >= 0 && s->typed + gap - now < wait)
		wait = s->typed + gap - now;
	if (until >= 0 && until < wait)
		wait = until;
	return wait <= 0 ? 0 : (int)(wait * 1000) + 1;
}

static void tick(struct screen *s)
{
	struct tui *t = &s->tui;
	size_t now;

	if (*t->flash && t->now >= t->flash_until)
		s->dirty = true;
	if (t->now - s->measured < 1)
		return;
	s->measured = t->now;
	now = machine_taken();
	t->stats.rss = now ? (double)now : -1;
	s->dirty = true;
}

static void loop(struct screen *s)
{
	struct pollfd fds[4] = {
		{ .fd = STDIN_FILENO, .events = POLLIN },
		{ .fd = s->tui.talk.worker->out.wake[0], .events = POLLIN },
		{ .fd = tui_signal_fd(), .events = POLLIN },
	};

	while (!s->end && !(s->tui.want & TUI_LEAVE)) {
		s->tui.now = clock_now();
		term_mouse(s->tui.mouse);
		show(s);
		fds[3] = (struct pollfd){ .fd = s->tui.talk.child.fd, .events = POLLIN };
		if (poll(fds, 4, patience(s)) < 0)
			fds[0].revents = fds[3].revents = 0;
		s->tui.now = clock_now();
		take_signals(s);
		take_keys(s, fds[0].revents != 0);
		if (fds[3].revents)
			talk_child(&s->tui.talk);
		take_messages(s);
		do_wants(s);
		tick(s);
	}
}

/* Ended from outside, or left in the middle of an answer: what there is of it is kept. */
static void keep(struct screen *s)
{
	struct talk *t = &s->tui.talk;
	char err[ERR_MAX];
	bool failed;

	if (!t->keep || !t->chat->n)
		return;
	failed = talk_keep(t, err) != 0;
	if (term_gone() || (!failed && !s->end))
		return;
	fputs(failed ? "s3dchat: the conversation is not saved: " :
		       "s3dchat: the conversation is saved as ", stderr);
	text_print_line(stderr, failed ? err : t->place);
	fputc('\n', stderr);
}

static bool is_multiplexed(const char *term)
{
	return term && (!strncmp(term, "tmux", 4) || !strncmp(term, "screen", 6));
}

static int run(struct screen *s, char err[ERR_MAX])
{
	int rc;

	if (tui_open(&s->tui, err) || tui_signal_open(err))
		return -1;
	s->tui.multiplexed = is_multiplexed(getenv("TERM"));
	rc = term_open(err);            /* from here on a signal must not leave it as it is */
	if (!rc) {
		resize(s);
		loop(s);
		tui_silence(&s->tui);
	}
	term_close();
	if (s->end || tui_answering(&s->tui))
		keep(s);
	tui_signal_close();
	return rc ? rc : s->end ? 128 + s->end : s->tui.talk.failed;
}

int tui_main(const struct options *o, const struct config *cfg, char err[ERR_MAX])
{
	struct screen *s = calloc(1, sizeof(*s));
	int rc = -1;

	if (!s)
		return fail(err, "out of memory");
	s->tui.cfg = *cfg;
	if (!talk_open(&s->tui.talk, o, err)) {
		s->tui.talk.edit = edit_text;
		s->tui.talk.edit_ctx = s;
		rc = run(s, err);
	}
	tui_close(&s->tui);
	grid_free(&s->grid);
	talk_close(&s->tui.talk);
	free(s);
	return rc;
}
