/* tui_draw.c - the state of the full screen into a grid.
 *
 * Invariant: drawing changes nothing but what has to be clamped to the size (scrolling). */
#include "app/talk/commands.h"
#include "app/config/model_path.h"
#include "app/typing/prompt.h"
#include "base/text.h"
#include "app/tui/tui.h"
#include "ui/pane/pane_input.h"
#include "ui/cell/width.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void put(struct grid *g, struct rect r, int x, enum role role, const char *s)
{
	grid_put(g, r, 0, x, role, 0, s, strlen(s));
}

static const char *file_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static const char *model_name(const struct tui *t)
{
	if (t->talk.next_file)          /* being loaded */
		return file_name(t->talk.next_file);
	if (t->talk.model)
		return t->talk.model;
	return *t->talk.opt.model ? file_name(t->talk.opt.model) : MODEL_DEFAULT;
}

static void draw_title(const struct tui *t, struct grid *g, const struct layout *l)
{
	struct rect r = l->pane[PANE_TITLE], left = r;
	const char *mode = t->talk.failed ? "no model" : !t->talk.ready ? "loading" :
			   t->stopping ? "stopping" : t->talk.busy ? "answering" : "";
	int x = 2;

	for (int i = 0; i < r.w; i++)
		put(g, r, i, ROLE_BORDER, "─");
	if (l->stats == STATS_SIDE) {
		struct rect side = l->pane[PANE_STATS];

		left.w = side.x;
		put(g, r, side.x, ROLE_BORDER, "┬");
		put(g, r, side.x + 2, ROLE_TITLE, " stats ");
	}
	left.w--;
	x += grid_printf(g, left, 0, x, ROLE_TITLE, 0, " s3dchat ");
	if (*mode)
		x += grid_printf(g, left, 0, x, ROLE_NOTICE, 0, "· %s ", mode);
	if (*t->talk.strategy) {
		x += grid_printf(g, left, 0, x, ROLE_TITLE, 0, "· %s ", t->talk.strategy);
		x += grid_printf(g, left, 0, x, t->talk.exact ? ROLE_TITLE : ROLE_APPROXIMATE, 0,
				 "(%s) ", t->talk.exact ? "exact" : "approximate");
	}
	if (transcript_scrolled(t->log) > 0)
		x += grid_printf(g, left, 0, x, ROLE_NOTICE, 0, "· %d row%s below ",
				 transcript_scrolled(t->log), text_s(transcript_scrolled(t->log)));
	grid_printf(g, left, 0, x, ROLE_TITLE, 0, "· %s ", model_name(t));
}

/* A row that does not show what the conversation has there. */
static void clear_row(struct grid *g, struct rect r, int y)
{
	grid_clear(g, (struct rect){ r.y + y, r.x, 1, r.w }, ROLE_TEXT);
}

/* A line of ASCII from row y on, in as many rows as it takes. */
static void draw_wrapped(struct grid *g, struct rect r, int y, int x, const char *text)
{
	int most = r.w - x - 1, left = (int)strlen(text), n;

	for (; left > 0 && most > 0 && y < r.h; y++, text += n, left -= n) {
		n = left < most ? left : most;
		for (int i = n; i > 0 && n < left; i--)
			if (text[i - 1] == ' ') {
				n = i;
				break;
			}
		clear_row(g, r, y);
		grid_printf(g, r, y, x, ROLE_NOTICE, 0, "%.*s", n, text);
	}
}

static void draw_bar(struct grid *g, struct rect r, int y, int x, int w, double share)
{
	int full = share > 0 ? (int)(share * w + 0.5) : 0;

	for (int i = 0; i < w; i++) {
		const char *b = i < full ? "█" : "░";

		grid_put(g, r, y, x + i, ROLE_GRAPH, 0, b, strlen(b));
	}
}

static void draw_loading(const struct tui *t, struct grid *g, struct rect r)
{
	int w = r.w - 4 < 50 ? r.w - 4 : 50, x = (r.w - w) / 2, y = r.h / 2;
	const char *name = model_name(t);

	if (w < 4 || r.h < 1)
		return;
	for (int i = y ? y - 1 : 0; i < r.h && i < y + 2; i++)
		clear_row(g, r, i);
	if (y)
		grid_put(g, (struct rect){ r.y, r.x + x, r.h, w }, y - 1, 0, ROLE_NOTICE, 0, name,
			 width_fit(name, strlen(name), w, NULL));
	draw_bar(g, r, y, x, w, t->progress);
	if (y + 1 < r.h && t->progress >= 0)
		grid_printf(g, r, y + 1, x, ROLE_NOTICE, 0, "loading, %.0f %%", 100 * t->progress);
	else if (y + 1 < r.h)
		grid_printf(g, r, y + 1, x, ROLE_NOTICE, 0, "loading");
	draw_wrapped(g, r, y + 2, r.w > 110 ? x : 1, t->plan);
}

static void draw_stats(struct tui *t, struct grid *g, const struct layout *l)
{
	struct rect r = l->pane[PANE_STATS];
	struct stats_view *v = &t->stats;

	v->fallback = t->talk.opt.fallback;
	v->rollback = t->talk.opt.rollback;
	v->temp = t->talk.opt.temp;
	v->seed = t->talk.seed;
	if (l->stats == STATS_SIDE) {
		for (int y = 0; y < r.h; y++)
			grid_put(g, r, y, 0, ROLE_BORDER, 0, "│", strlen("│"));
		r = (struct rect){ r.y, r.x + 2, r.h, r.w - 3 };
	}
	pane_stats_draw(g, r, v, l->stats);
}

/* Of a calibration beside the chat; returns the cells it took. */
static int draw_calibrating(const struct child *c, struct grid *g, struct rect r)
{
	enum { BAR = 10 };
	int x;

	if (!c->pid || r.w < 40)
		return 0;
	x = grid_printf(g, r, 0, 0, ROLE_NOTICE, 0, "calibrating ");
	draw_bar(g, r, 0, x, BAR, c->share);
	x += BAR;
	x += grid_printf(g, r, 0, x, ROLE_NOTICE, 0, " %.0f %%", 100 * c->share);
	if (c->left >= 0)
		x += grid_printf(g, r, 0, x, ROLE_NOTICE, 0, ", %d:%02d left", c->left / 60,
				 c->left % 60);
	return x + 2;
}

/* Keys as they are bound now, the most useful first. */
static void draw_hints(const struct tui *t, struct grid *g, struct rect r)
{
	static const int hinted[] = {
		ACTION_HELP, ACTION_PANES, ACTION_THEME, ACTION_STOP, ACTION_AUTO, ACTION_PLAIN,
		ACTION_NGRAM, ACTION_DRAFT, ACTION_BILD, ACTION_S3D, ACTION_LEAVE,
		ACTION_NEXT_STRATEGY, ACTION_ORIGINS, ACTION_MARKDOWN, ACTION_SCROLL_UP,
	};
	const struct keymap *k = &t->cfg.keys;
	int x = draw_calibrating(&t->talk.child, g, r);

	for (size_t h = 0; h < sizeof(hinted) / sizeof(hinted[0]); h++) {
		const char *name = action_rows[hinted[h]].name;
		char key[32] = "";
		int w;

		for (int i = 0; i < k->n && !*key; i++)
			if (k->row[i].action == hinted[h])
				keys_name(k->row[i].key, key);
		name += strncmp(name, "strategy-", 9) ? 0 : 9;
		w = width_of(key, strlen(key)) + (int)strlen(name) + 1;
		if (!*key || x + w > r.w)
			continue;
		grid_printf(g, r, 0, x, ROLE_HINT_KEY, 0, "%s", key);
		grid_printf(g, r, 0, x + w - (int)strlen(name), ROLE_HINT, 0, "%s", name);
		x += w + 2;
	}
}

/* A remark takes the place of the hints, or of the last row above the input. */
static void draw_flash(struct tui *t, struct grid *g, const struct layout *l)
{
	struct rect r = l->pane[PANE_HINTS];

	if (!*t->flash || t->now >= t->flash_until) {
		*t->flash = '\0';
		return;
	}
	if (!r.h) {
		r = l->pane[PANE_CHAT];
		r.y += r.h - 1;
		r.h = 1;
	}
	grid_clear(g, r, ROLE_TEXT);
	put(g, r, 0, t->flash_role, t->flash);
}

static void draw_panes(struct tui *t, struct grid *g, const struct layout *l,
		       const struct input_view *v)
{
	struct rect chat = l->pane[PANE_CHAT];

	draw_title(t, g, l);
	if (l->stats == STATS_SIDE)
		chat.w--;
	t->chat_rows = chat.h;
	transcript_draw(t->log, g, chat, &t->view);
	if (!t->talk.ready && !t->talk.failed)
		draw_loading(t, g, chat);
	if (t->page_open)
		pane_help_draw(g, chat, &t->page);
	if (l->stats != STATS_NONE)
		draw_stats(t, g, l);
	if (l->pane[PANE_HINTS].h)
		draw_hints(t, g, l->pane[PANE_HINTS]);
	pane_input_draw(g, l->pane[PANE_INPUT], v);
	draw_flash(t, g, l);
}

/* As much of it as fits. */
static void draw_too_small(struct grid *g, struct rect r)
{
	static const char *const notices[] = { "at least 20x5, please", "at least 20x5",
		"min. 20x5", "20x5", "!" };
	size_t i = 0, last = sizeof(notices) / sizeof(notices[0]) - 1;

	while (i < last && (int)strlen(notices[i]) > r.w)
		i++;
	put(g, r, 0, ROLE_ERROR, notices[i]);
}

void tui_draw(struct tui *t, struct grid *g)
{
	struct rect all = { 0, 0, g->rows, g->cols };
	struct layout_want want = t->panes;
	struct input_view v;
	struct layout l;

	g->cursor_y = g->cursor_x = -1;
	grid_clear(g, all, ROLE_TEXT);
	layout_compute(g->rows, g->cols, &want, &l);
	if (l.too_small) {
		draw_too_small(g, all);
		return;
	}
	prompt_view(&v);
	want.input_rows = pane_input_rows(&v, l.pane[PANE_INPUT].w);
	layout_compute(g->rows, g->cols, &want, &l);
	draw_panes(t, g, &l, &v);
}
