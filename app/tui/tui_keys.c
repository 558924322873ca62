/* tui_keys.c - bytes of the keyboard to keys, keys to what they do.
 *
 * Keys that no action has are readline's.  Invariant: a paste is text, whatever bytes it holds. */
#include "app/config/args.h"
#include "app/talk/commands.h"
#include "app/typing/prompt.h"
#include "app/tui/tui.h"
#include "engine/strategy/strategies.h"
#include "ui/term/mouse.h"

#include <stdlib.h>
#include <string.h>


enum { WHEEL_ROWS = 3 };

static bool is_empty(void)
{
	struct input_view v;

	prompt_view(&v);
	return !v.n;
}

static void send(struct tui *t)
{
	struct input_view v;
	struct command c;
	const char *text;
	char *line, err[ERR_MAX];

	if (t->page_open && is_empty()) {
		tui_page_close(t);
		return;
	}
	prompt_view(&v);
	if (t->talk.busy && v.n && !command_parse(v.text, v.n, &c, &text, err)) {
		tui_flash(t, ROLE_NOTICE, t->talk.ready ?
			  "The model is answering: Esc stops it. Your text is kept." :
			  "The model is still loading. Your text is kept.");
		return;
	}
	line = prompt_take();
	if (line)
		tui_send(t, line);
	free(line);
}

/* Esc and Ctrl+C; only Ctrl+C throws away text and leaves. */
static void stop(struct tui *t, bool leaves)
{
	bool warned = t->warned;

	t->warned = false;
	if (t->page_open) {
		tui_page_close(t);
	} else if (prompt_searching()) {
		prompt_feed(leaves ? "\007" : "\033", 1);
	} else if (tui_answering(t) && !t->stopping) {
		talk_stop(&t->talk);
		t->stopping = true;
	} else if (!leaves) {
		transcript_scroll_to(t->log, false);
	} else if (!is_empty()) {
		prompt_set("", 0);
	} else if (warned || t->stopping || !t->talk.ready) {
		t->want |= t->talk.busy ? TUI_LEAVE | TUI_INTERRUPTED : TUI_LEAVE;
	} else {
		t->warned = true;
		tui_flash(t, ROLE_NOTICE, "Ctrl+C once more, or Ctrl+D, leaves.");
	}
}

static void scroll(struct tui *t, int by)
{
	int page = t->chat_rows > 2 ? t->chat_rows - 1 : 1;

	if (t->page_open)
		t->page.top -= by * page;
	else
		transcript_scroll(t->log, by * page);
}

static void scroll_rows(struct tui *t, int by)
{
	if (t->page_open)
		t->page.top -= by;
	else
		transcript_scroll(t->log, by);
}

static void scroll_to(struct tui *t, bool top)
{
	if (t->page_open)
		t->page.top = top ? 0 : INT16_MAX;
	else
		transcript_scroll_to(t->log, top);
}

static void panes(struct tui *t)
{
	struct layout_want *p = &t->panes;

	if (p->stats) {
		p->stats = false;
	} else if (p->hints) {
		p->hints = false;
	} else {
		p->stats = p->hints = true;
	}
}

static void strategy(struct tui *t, const char *name)
{
	char line[32];

	for (int i = 0; strategies[i]; i++)
		if (!strcmp(strategies[i]->name, name))
			t->strategy_at = i;
	snprintf(line, sizeof(line), "/strategy %s", name);
	tui_run(t, line);
}

/* The one behind the last that was tried; one that cannot be had is passed over. */
static void next_strategy(struct tui *t)
{
	int n = 0, at = t->strategy_at;

	while (strategies[n])
		n++;
	do
		at = (at + 1) % n;
	while (t->talk.info.lacking >> at & 1 && at != t->strategy_at);
	strategy(t, strategies[at]->name);
}

/* Moves a threshold by a step.  Below the least number is the word, where the row has one. */
static void threshold(struct tui *t, const char *key, double by)
{
	const struct option_row *r = args_find(key);
	const char *word = r ? strchr(r->value, '|') : NULL;
	char value[32], note[64], err[ERR_MAX];
	bool at_word, at_least;
	double x;

	if (!r)
		return;
	args_show(&t->talk.opt, r, value, sizeof(value));
	at_word = word && !strcmp(value, word + 1);
	x = at_word ? r->low : strtod(value, NULL);
	at_least = x <= r->low;
	x = at_word ? x : x + by;
	x = x < r->low ? r->low : x > r->high ? r->high : x;
	if (word && at_least && by < 0)
		snprintf(value, sizeof(value), "%s", word + 1);
	else
		snprintf(value, sizeof(value), "%.2f", x);
	if (talk_set(&t->talk, key, value, err)) {
		tui_say(t, BLOCK_ERROR, err);
		return;
	}
	snprintf(note, sizeof(note), "%s %s", key, value);
	tui_flash(t, ROLE_NOTICE, note);
}

static void toggle(struct tui *t, bool *what, const char *on, const char *off)
{
	*what = !*what;
	tui_flash(t, ROLE_NOTICE, *what ? on : off);
}

/* Actions that change how things look. */
static bool act_view(struct tui *t, int action)
{
	switch (action) {
	case ACTION_SCROLL_UP: scroll(t, 1); return true;
	case ACTION_SCROLL_DOWN: scroll(t, -1); return true;
	case ACTION_ROWS_UP: scroll_rows(t, WHEEL_ROWS); return true;
	case ACTION_ROWS_DOWN: scroll_rows(t, -WHEEL_ROWS); return true;
	case ACTION_SCROLL_TOP: scroll_to(t, true); return true;
	case ACTION_SCROLL_END: scroll_to(t, false); return true;
	case ACTION_HELP:
		if (t->page_open)
			tui_page_close(t);
		else
			tui_help(t);
		return true;
	case ACTION_PANES: panes(t); return true;
	case ACTION_THEME: tui_theme(t, ""); return true;
	case ACTION_ORIGINS:
		toggle(t, &t->view.origins, "token colours on", "token colours off");
		return true;
	case ACTION_MARKDOWN:
		toggle(t, &t->view.markdown, "Markdown", "raw text");
		return true;
	case ACTION_FOLD:
		toggle(t, &t->view.fold_think, "<think> blocks folded", "<think> blocks shown");
		return true;
	case ACTION_REDRAW: t->want |= TUI_REDRAW; return true;
	case ACTION_EDITOR: t->want |= TUI_EDITOR; return true;
	case ACTION_SUSPEND: t->want |= TUI_SUSPEND; return true;
	default: return false;
	}
}

/* Actions that change how the model works. */
static bool act_model(struct tui *t, int action)
{
	switch (action) {
	case ACTION_AUTO: strategy(t, "auto"); return true;
	case ACTION_PLAIN: strategy(t, "plain"); return true;
	case ACTION_NGRAM: strategy(t, "ngram"); return true;
	case ACTION_DRAFT: strategy(t, "draft"); return true;
	case ACTION_BILD: strategy(t, "bild"); return true;
	case ACTION_S3D: strategy(t, "s3d"); return true;
	case ACTION_NEXT_STRATEGY: next_strategy(t); return true;
	case ACTION_FALLBACK_DOWN: threshold(t, "fallback", -0.05); return true;
	case ACTION_FALLBACK_UP: threshold(t, "fallback", 0.05); return true;
	case ACTION_ROLLBACK_DOWN: threshold(t, "rollback", -0.5); return true;
	case ACTION_ROLLBACK_UP: threshold(t, "rollback", 0.5); return true;
	default: return false;
	}
}

/* Readline knows code points; these keys take whole graphemes. */
static bool edit_cluster(const struct input_view *v, unsigned key)
{
	bool back = key == KEYSYM_LEFT || key == 0x7f;
	size_t to;

	if (prompt_searching() || (!back && key != KEYSYM_RIGHT && key != KEYSYM_DELETE))
		return false;
	to = pane_input_step(v, back ? -1 : 1);
	if (key == KEYSYM_LEFT || key == KEYSYM_RIGHT)
		prompt_move(to);
	else if (to != v->point)
		prompt_delete(back ? to : v->point, back ? v->point : to);
	return true;
}

/* Keys that go on with a search in the history; others end it first. */
static bool is_searched(unsigned key)
{
	return key == 0x7f || key == (KEY_CTRL | 'R') || key == (KEY_CTRL | 'S') ||
	       key == (KEY_CTRL | 'G') || (key >= ' ' && key < KEYSYM_F1);
}

/* A key of readline's; in a text of several lines Up and Down first move within it. */
static void edit(struct tui *t, unsigned key, const char *bytes, size_t n)
{
	struct input_view v;
	char *matches;
	size_t to;

	prompt_view(&v);
	if ((key == KEYSYM_UP || key == KEYSYM_DOWN) && !prompt_searching()) {
		to = pane_input_move(&v, key == KEYSYM_UP ? -1 : 1);
		if (to <= v.n) {
			prompt_move(to);
			return;
		}
	}
	if (edit_cluster(&v, key))
		return;
	if (prompt_searching() && !is_searched(key))
		prompt_feed("\033", 1);
	if (key == 0xFFFD)      /* bytes that are no UTF-8 */
		prompt_insert("\xEF\xBF\xBD", 3);
	else
		prompt_feed(bytes, n);
	matches = prompt_matches();
	if (matches)
		tui_flash(t, ROLE_NOTICE, matches);
	free(matches);
}

static bool page_key(struct tui *t, unsigned key)
{
	if (!t->page_open)
		return false;
	if (key != KEYSYM_UP && key != KEYSYM_DOWN)
		return false;
	t->page.top += key == KEYSYM_UP ? -1 : 1;
	return true;
}

/* A click is meant to select or to paste, which is the terminal's to do. */
static void click(struct tui *t)
{
	t->mouse = false;
	tui_flash(t, ROLE_NOTICE, "The mouse is the terminal's until the next key: select again. "
		  "(Shift selects at any time.)");
}

static bool is_wheel(unsigned key)
{
	return key == KEYSYM_WHEEL_UP || key == KEYSYM_WHEEL_DOWN;
}

void tui_key(struct tui *t, unsigned key, const char *bytes, size_t n)
{
	int action = keymap_find(&t->cfg.keys, key);

	if (key == KEYSYM_CLICK) {
		click(t);
		return;
	}
	if (page_key(t, key) || key == KEYSYM_UNKNOWN)
		return;
	t->mouse = !strcmp(t->talk.opt.mouse, "on");
	if (action != ACTION_STOP)
		t->warned = false;
	if (action == ACTION_SEND)
		send(t);
	else if (action == ACTION_NEWLINE)
		prompt_insert("\n", 1);
	else if (action == ACTION_STOP)
		stop(t, n == 1 && *bytes == ('C' & 0x1f));
	else if (action == ACTION_LEAVE && is_empty())
		t->want |= TUI_LEAVE;
	else if (!act_view(t, action) && !act_model(t, action) && !is_wheel(key))
		edit(t, key, bytes, n);
}

/* Two slashes at the start of a line are sent as one: those of a paste are kept. */
static void paste(const char *s, size_t n)
{
	struct input_view v;

	prompt_view(&v);
	if (!v.point && n > 1 && s[0] == '/' && s[1] == '/')
		prompt_insert("/", 1);
	prompt_insert(s, n);
}

static void take(struct tui *t, const struct typed_event *e)
{
	if (e->kind == TYPED_KEY)
		tui_key(t, e->key, e->bytes, e->n);
	else if (e->kind == TYPED_PASTE)
		paste(e->bytes, e->n);
	else
		tui_flash(t, ROLE_ERROR, "The pasted text was over 1 MiB; /read takes a file.");
}

/* Where the mouse is not ours though it should be, its wheel may come as Up and Down. */
static bool wheel_as_keys(struct tui *t, const char *s, size_t n)
{
	bool wanted = !strcmp(t->talk.opt.mouse, "on") && (!t->mouse || t->multiplexed);
	int rows = wanted && !t->typed.n ? mouse_as_keys(s, n) : 0;

	if (rows)
		scroll_rows(t, rows);
	return rows != 0;
}

void tui_input(struct tui *t, const char *s, size_t n, bool final)
{
	struct typed_event e;

	if (wheel_as_keys(t, s, n))
		return;
	if (typed_put(&t->typed, s, n)) {
		tui_flash(t, ROLE_ERROR, "Out of memory: what was typed last is lost.");
		return;
	}
	while (typed_next(&t->typed, final, &e))
		take(t, &e);
}

double tui_patience(const struct tui *t)
{
	return typed_patience(&t->typed, typed_escape_time(t->talk.opt.escape_time));
}

void tui_silence(struct tui *t)
{
	typed_end_paste(&t->typed);
	tui_input(t, "", 0, true);
}
