/* pane_stats.c - see pane_stats.h.
 *
 * The rows stand in one table, with what makes their value and how soon each gives way when the
 * pane is low.  Invariant: a row's value is text made by one function, here and in the line. */
#include "ui/pane/pane_stats.h"
#include "ui/cell/width.h"
#include "ui/pane/figures.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *const blocks[] = { " ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█" };

static void number(char *out, bool known, const char *format, double x)
	__attribute__((format(printf, 3, 0)));

static void number(char *out, bool known, const char *format, double x)
{
	figure_put(out, format, known ? x : NAN);
}

static void bytes(char *out, double n)
{
	number(out, n >= 0, "%.0f MiB", n / (1 << 20));
}

static void figure(const struct stats_view *v, enum figure f, char *out)
{
	figure_text(&v->s, f, true, out);
}

static void now(const struct stats_view *v, char *out) { figure(v, FIGURE_RATE_NOW, out); }
static void average(const struct stats_view *v, char *out) { figure(v, FIGURE_RATE, out); }
static void first(const struct stats_view *v, char *out) { figure(v, FIGURE_FIRST, out); }
static void prompt(const struct stats_view *v, char *out) { figure(v, FIGURE_PROMPT_RATE, out); }
static void acceptance(const struct stats_view *v, char *out) { figure(v, FIGURE_ACCEPTANCE, out); }
static void per_round(const struct stats_view *v, char *out) { figure(v, FIGURE_PER_ROUND, out); }

/* The answer's own; what is in force now says nothing about it. */
static const char *helpers(const struct stats_view *v)
{
	return *v->s.strategy ? v->s.strategy : v->strategy;
}

static bool exact(const struct stats_view *v)
{
	return *v->s.strategy ? v->s.exact : v->exact;
}

static void strategy(const struct stats_view *v, char *out)
{
	snprintf(out, FIGURE_TEXT, "%s", *helpers(v) ? helpers(v) : "-");
}

static void exactness(const struct stats_view *v, char *out)
{
	snprintf(out, FIGURE_TEXT, "%s", !*helpers(v) ? "-" : exact(v) ? "exact" : "approximate");
}

/* These stand there only where layers run in groups, or MLPs read a part. */
static void cqil(const struct stats_view *v, char *out)
{
	snprintf(out, FIGURE_TEXT, "%s", v->cqil);
}

static void dip(const struct stats_view *v, char *out)
{
	snprintf(out, FIGURE_TEXT, "%s", v->dip);
}

static void token_weights(const struct stats_view *v, char *out)
{
	number(out, v->token_weights >= 0, "%.1f MB", v->token_weights / 1e6);
}

static void cached(const struct stats_view *v, char *out)
{
	char hits[FIGURE_TEXT], fast[FIGURE_TEXT], slow[FIGURE_TEXT];

	figure(v, FIGURE_HIT_RATE, hits);
	figure(v, FIGURE_FAST_BYTES, fast);
	figure(v, FIGURE_SLOW_BYTES, slow);
	snprintf(out, FIGURE_TEXT, "%.16s, %.16s+%.16s MB", hits, fast, slow);
}

static void positions(const struct stats_view *v, char *out)
{
	double share[STATS_DRAFTS];
	int n = figure_positions(&v->s, 1, share);

	strcpy(out, n ? "" : "-");
	for (int i = 0; i < n; i++)
		strcat(out, isnan(share[i]) ? "-" : blocks[1 + (int)(share[i] * 7 + 0.5)]);
}

static void shares(const struct stats_view *v, char *out)
{
	char draft[FIGURE_TEXT], verify[FIGURE_TEXT], choose[FIGURE_TEXT];

	figure(v, FIGURE_DRAFTING, draft);
	figure(v, FIGURE_VERIFYING, verify);
	figure(v, FIGURE_CHOOSING, choose);
	if (!strcmp(choose, "-"))
		strcpy(out, "-");
	else
		snprintf(out, FIGURE_TEXT, "%.16s/%.16s/%.16s %%", draft, verify, choose);
}

static void speedup(const struct stats_view *v, char *out)
{
	double rate = figure_value(&v->s, FIGURE_RATE);

	figure_put(out, "%.2fx", v->plain_rate > 0 ? rate / v->plain_rate : NAN);
}

/* Stands there only while it is so: a label. */
static void slower(const struct stats_view *v, char *out)
{
	strcpy(out, v->s.slower ? "slower than plain here" : "");
}

static void plain_rate(const struct stats_view *v, char *out)
{
	number(out, v->plain_rate > 0, "%.1f", v->plain_rate);
}

static void memory(const struct stats_view *v, char *out)
{
	char used[FIGURE_TEXT], budget[FIGURE_TEXT];

	if (!v->gpu) {
		bytes(out, v->rss);
		return;
	}
	number(used, v->used >= 0, "%.0f", v->used / (1 << 20));
	number(budget, v->budget >= 0, "%.0f", v->budget / (1 << 20));
	snprintf(out, FIGURE_TEXT, "%.20s / %.20s MiB", used, budget);
}

static void weights(const struct stats_view *v, char *out) { bytes(out, v->weights); }
static void draft(const struct stats_view *v, char *out) { bytes(out, v->draft); }
static void kv(const struct stats_view *v, char *out) { bytes(out, v->kv); }
static void work(const struct stats_view *v, char *out) { bytes(out, v->work); }

static void context(const struct stats_view *v, char *out)
{
	char used[FIGURE_TEXT], size[FIGURE_TEXT];

	number(used, v->ctx_used >= 0, "%.0f", v->ctx_used);
	number(size, v->ctx_size > 0, "%.0f", v->ctx_size);
	snprintf(out, FIGURE_TEXT, "%.20s / %.20s", used, size);
}

static void fallback(const struct stats_view *v, char *out)
{
	number(out, v->fallback >= 0, "%.2f", v->fallback);
}

static void rollback(const struct stats_view *v, char *out)
{
	if (isinf(v->rollback))
		strcpy(out, "exact");
	else
		number(out, v->rollback >= 0, "%.1f", v->rollback);
}

static void temperature(const struct stats_view *v, char *out)
{
	number(out, v->temp >= 0, "%.2f", v->temp);
}

static void seed(const struct stats_view *v, char *out)
{
	if (v->seed >= 0)
		snprintf(out, FIGURE_TEXT, "%lld", (long long)v->seed);
	else
		strcpy(out, "-");
}

/* As shown from top to bottom; the highest keep numbers give way first. */
static const struct {
	const char *label;
	void (*value)(const struct stats_view *, char *out);    /* NULL: a row of the history */
	int keep;
} rows[] = {
	{ "tokens/s", now, 0 }, { "", NULL, 6 }, { "", NULL, 12 }, { "average", average, 2 },
	{ "first token", first, 8 }, { "prompt/s", prompt, 18 }, { "strategy", strategy, 1 },
	{ "output", exactness, 3 }, { "cqil", cqil, 3 }, { "dip", dip, 3 },
	{ "weights/token", token_weights, 8 },
	{ "cached", cached, 8 },
	{ "accepted", acceptance, 4 },
	{ "tokens/round", per_round, 7 }, { "by position", positions, 9 },
	{ "dr/ver/choose", shares, 10 }, { "plain tokens/s", plain_rate, 17 },
	{ "speed-up", speedup, 5 }, { "", slower, 5 },
	{ "memory", memory, 11 }, { " weights", weights, 19 },
	{ " little model", draft, 22 }, { " KV cache", kv, 20 }, { " buffers", work, 21 },
	{ "context", context, 6 },
	{ "fallback", fallback, 13 }, { "rollback", rollback, 14 },
	{ "temperature", temperature, 15 }, { "seed", seed, 16 },
};
enum { ROWS_N = sizeof(rows) / sizeof(rows[0]) };

void pane_stats_note(struct stats_view *v, double rate)
{
	if (v->n_history == STATS_HISTORY) {
		v->n_history--;
		memmove(v->history, v->history + 1, (STATS_HISTORY - 1) * sizeof(v->history[0]));
	}
	v->history[v->n_history++] = (float)rate;
}

/* Part of the history graph: level 0 is its lowest row of n. */
static void draw_history(struct grid *g, struct rect r, int y, const struct stats_view *v,
			 int level, int n)
{
	int from = v->n_history > r.w ? v->n_history - r.w : 0;
	float most = 1;

	for (int i = from; i < v->n_history; i++)
		most = v->history[i] > most ? v->history[i] : most;
	for (int i = from; i < v->n_history; i++) {
		int eighths = (int)(v->history[i] / most * (float)(8 * n) + 0.5f) - 8 * level;
		const char *b = blocks[eighths < 0 ? 0 : eighths > 8 ? 8 : eighths];

		grid_put(g, r, y, i - from, ROLE_GRAPH, 0, b, strlen(b));
	}
}

static const char *label(int i, const struct stats_view *v)
{
	return v->gpu && rows[i].value == memory ? "VRAM" : rows[i].label;
}

static bool is_there(int i, const struct stats_view *v)
{
	if (rows[i].value == cqil)
		return *v->cqil;
	if (rows[i].value == dip || rows[i].value == token_weights)
		return *v->dip;
	if (rows[i].value == cached)
		return v->s.n_tokens > 0 && v->s.columns > 0;
	return rows[i].value != slower || v->s.slower;
}

/* The largest keep number for which the rows fit. */
static int limit(int h, const struct stats_view *v)
{
	int most = -1, n = 0;

	for (int keep = 0; keep < 32; keep++) {
		for (int i = 0; i < ROWS_N; i++)
			n += rows[i].keep == keep && is_there(i, v);
		if (n > h)
			break;
		most = keep;
	}
	return most;
}

/* What a value is drawn as. */
static enum role role_of(void (*value)(const struct stats_view *, char *),
			 const struct stats_view *v)
{
	if (value == slower)
		return ROLE_NOTICE;
	if (value == cqil || value == dip)
		return ROLE_APPROXIMATE;
	if (value == exactness && *helpers(v) && !exact(v))
		return ROLE_APPROXIMATE;
	return value == positions ? ROLE_GRAPH : ROLE_VALUE;
}

static void draw_value(struct grid *g, struct rect r, int y, int i, const struct stats_view *v)
{
	char text[FIGURE_TEXT];
	const char *name = label(i, v);
	int room = r.w - width_of(name, strlen(name)) - 1, w;
	size_t n;

	rows[i].value(v, text);
	n = width_fit(text, strlen(text), room > 0 ? room : 0, &w);
	grid_put(g, r, y, 0, ROLE_LABEL, 0, name, strlen(name));
	grid_put(g, r, y, r.w - w, role_of(rows[i].value, v), 0, text, n);
}

static void draw_side(struct grid *g, struct rect r, const struct stats_view *v)
{
	int most = limit(r.h, v), level = 0, y = 0;

	for (int i = 0; i < ROWS_N; i++)
		level += !rows[i].value && rows[i].keep <= most;
	for (int i = 0, n = level; i < ROWS_N && y < r.h; i++) {
		if (rows[i].keep > most || !is_there(i, v))
			continue;
		if (rows[i].value)
			draw_value(g, r, y, i, v);
		else
			draw_history(g, r, y, v, --level, n);
		y++;
	}
}

/* " 12.3 t/s  plain exact  ...": pieces that do not fit whole are left out. */
static void draw_line(struct grid *g, struct rect r, const struct stats_view *v)
{
	static const struct {
		const char *before;
		void (*value)(const struct stats_view *, char *out);
		const char *after;
	} part[] = {
		{ "t/s ", now, "" }, { "", strategy, "" }, { "", exactness, "" },
		{ "acc ", acceptance, "" }, { "", speedup, "" }, { "", slower, "" },
		{ "ctx ", context, "" },
		{ "", per_round, "/rd" }, { "avg ", average, "" }, { "first ", first, "" },
		{ "mem ", memory, "" },
	};
	int x = 1;

	for (size_t i = 0; i < sizeof(part) / sizeof(part[0]); i++) {
		char value[FIGURE_TEXT], text[FIGURE_TEXT + 16];
		int w;

		part[i].value(v, value);
		snprintf(text, sizeof(text), "%s%s%s", part[i].before, value, part[i].after);
		w = width_of(text, strlen(text));
		if (x + w > r.w)
			break;
		grid_put(g, r, 0, x, role_of(part[i].value, v), 0, text, strlen(text));
		x += w ? w + 2 : 0;
	}
}

void pane_stats_draw(struct grid *g, struct rect r, const struct stats_view *v,
		     enum stats_form form)
{
	if (r.h < 1 || r.w < 1 || form == STATS_NONE)
		return;
	grid_clear(g, r, ROLE_VALUE);
	if (form == STATS_LINE)
		draw_line(g, r, v);
	else
		draw_side(g, r, v);
}
