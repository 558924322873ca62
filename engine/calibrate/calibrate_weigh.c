/* calibrate_weigh.c - how often the drafts of each bridge hold, what they cost here, and which one
 * pays best.
 *
 * A text that was held out is gone through backwards: a bridged pass destroys only cache rows from
 * its position on, and the cache keeps residual rows of the last KEEP_ROWS positions, so a full
 * pass over so many serves as many bridged ones.  A draft holds where it is the model's own first
 * choice behind the text as it is.
 * Invariant: every bridge is held against the same positions of the same texts. */
#include "engine/calibrate/calibrate_parts.h"
#include "engine/decode/probs.h"
#include "kernels/peaks.h"
#include <stdlib.h>
#include <string.h>

#define LEAST_SHARE 0.08
enum { POSITIONS = 400, POSITIONS_MORE = 1600, BEST = 3, OUT_ROWS = 32, TIMES_MOST = 30,
	REPEATS = 5, TOKENS_LEAST = 4096, TOKENS_MOST = 8192,
	EACH_TEXT = 100,        /* positions of a text, where there are more than are needed */
	TEXTS_LEAST = 4,
	ROWS_EACH = 4 };        /* rows of full passes that a position takes, about */

struct weigh {
	struct calibrate *c;
	const struct backend *be;
	struct dev *dev;
	struct kv *kv;
	const struct schedule *base;    /* of the model */
	struct schedule over;   /* over the bridge in use */
	int *choice[HELD_MOST]; /* of each held text: the model's first choice at each position */
	double done, all;       /* work, in positions */
	double end;             /* when it should be done */
	double row_s;           /* of a row in a long full pass */
};

double weigh_seconds(const struct shape *at, double pass_1, double pass_32)
{
	int n = at->n_a * at->n_s, best = n < BEST ? n : BEST;
	double each = 0.7 * pass_1 + ROWS_EACH * pass_32 / 32;

	return each * (n * POSITIONS + best * POSITIONS_MORE) +
	       n * TIMES_MOST / 2 * (BRIDGE_ROWS * 2 + 1) * 1.2 * pass_1;
}

/* Full passes over n positions, or from the start where the cache has forgotten what is before. */
static int rows(struct weigh *w, const int *ids, int pos, int n, char err[ERR_MAX])
{
	if (pos < w->be->kv_back(w->kv)) {
		n += pos;
		pos = 0;
	}
	for (int at = 0; at < n; at += CALIBRATE_BATCH) {
		struct batch b = { .tok = ids + pos + at, .pos = pos + at, .run = w->base,
				   .n = n - at < CALIBRATE_BATCH ? n - at : CALIBRATE_BATCH };

		if (!w->be->forward(w->dev, w->kv, &b))
			return fail(err, "%s", w->be->error(w->dev));
	}
	return 0;
}

static int find_choices(struct weigh *w, int which, char err[ERR_MAX])
{
	const struct sample *t = &w->c->held[which];
	int n_out = w->c->e->target.n_out;

	w->choice[which] = mem_new((size_t)t->n, sizeof(int), err);
	if (!w->choice[which])
		return -1;
	for (int at = 0; at < t->n; at += OUT_ROWS) {
		int n = t->n - at < OUT_ROWS ? t->n - at : OUT_ROWS;
		struct batch b = { .tok = t->ids + at, .pos = at, .n = n, .n_out = n,
				   .run = w->base };
		const float *l = w->be->forward(w->dev, w->kv, &b);

		if (!l)
			return fail(err, "%s", w->be->error(w->dev));
		for (int i = 0; i < n; i++)
			w->choice[which][at + i] = probs_first(row_at(l, n_out, i), n_out);
	}
	return 0;
}

/* ---- the draft vocabulary ---- */

struct token {
	long count;
	int id;
};

static int by_count(const void *a, const void *b)
{
	const struct token *x = a, *y = b;

	return x->count != y->count ? (x->count < y->count) - (x->count > y->count) :
	       (x->id > y->id) - (x->id < y->id);
}

static int by_place(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

/* As many of the frequent tokens as make up 99.5 % of the text, within limits.  Of those that did
 * not occur the first ids come first, which most vocabularies give to the frequent ones. */
static int choose_vocabulary(struct calibrate *c, char err[ERR_MAX])
{
	int n_out = c->e->target.n_out, n = 0;
	struct token *t = mem_new((size_t)n_out, sizeof(*t), err);
	long sum = 0, covered = 0;

	if (!t)
		return -1;
	for (int i = 0; i < n_out; i++) {
		t[i] = (struct token){ c->count[i], i };
		sum += t[i].count;
	}
	qsort(t, (size_t)n_out, sizeof(*t), by_count);
	while (n < n_out && n < TOKENS_MOST &&
	       (n < TOKENS_LEAST || n % PEAK || (double)covered < 0.995 * (double)sum))
		covered += t[n++].count;
	c->vocab = n < n_out ? mem_new((size_t)n, sizeof(int), err) : NULL;
	c->n_vocab = c->vocab ? n : 0;
	for (int i = 0; i < c->n_vocab; i++)
		c->vocab[i] = t[i].id;
	if (c->vocab)
		qsort(c->vocab, (size_t)n, sizeof(int), by_place);
	mem_free(t);
	return n < n_out && !c->vocab ? -1 : 0;
}

/* ---- one bridge ---- */

static int cross(struct weigh *w, const struct built *b, int tok, int pos, int n_out, int *draft,
		 char err[ERR_MAX])
{
	struct batch one = { .tok = &tok, .n = 1, .pos = pos, .run = &w->over, .n_out = n_out };
	const float *l = w->be->forward(w->dev, w->kv, &one);
	int n = b->g.vocab ? b->g.n_vocab : w->c->e->target.n_out;

	if (!l)
		return fail(err, "%s", w->be->error(w->dev));
	for (int o = 0; draft && o < n_out; o++) {
		int at = probs_first(row_at(l, n, o), n);

		draft[o] = b->g.vocab ? b->g.vocab[at] : at;
	}
	return 0;
}

static void count_hits(struct calibrate_row *r, const int *draft, const int *choice, int k)
{
	bool run = true;

	for (int o = 0; o < k; o++) {
		bool hit = draft[o] == choice[o];

		run = run && hit;
		r->hit[o] += hit;
		r->run[o] += run;
	}
	r->positions++;
}

/* Up to `most` positions of one text, the first or the last ones of its answer by turns. */
static int hold_text(struct weigh *w, int which, const struct built *b, struct calibrate_row *r,
		     int most, char err[ERR_MAX])
{
	const struct sample *t = &w->c->held[which];
	int k = b->g.k, first = t->n_prompt, last = t->n - k, low, draft[BRIDGE_ROWS];

	if (last - first + 1 > most)
		*(which % 2 ? &first : &last) = which % 2 ? last - most + 1 : first + most - 1;
	if (last < first)
		return 0;
	if (rows(w, t->ids, 0, last, err) != 0)
		return -1;
	low = last > KEEP_ROWS ? last - KEEP_ROWS : 0;
	for (int n = last; n >= first; n--) {
		if (n - 1 < low) {
			low = n > KEEP_ROWS ? n - KEEP_ROWS : 0;
			if (rows(w, t->ids, low, n - low, err) != 0)
				return -1;
		}
		if (cross(w, b, t->ids[n], n, k, draft, err) != 0)
			return -1;
		count_hits(r, draft, w->choice[which] + n, k);
		if (calibrate_stop(w->c))
			return 1;
	}
	w->done += last - first + 1;
	return 0;
}

static int use(struct weigh *w, struct built *b, char err[ERR_MAX])
{
	int fed[KEEP_LAYERS];

	bridge_fed(&b->g, &w->c->e->model->cfg, fed);
	schedule_make(&w->over, w->c->e->model, &(struct plan){ .bridge = &b->g });
	return w->be->draft->kv_keep(w->kv, fed, KEEP_LAYERS, err) != 0 ||
	       w->be->draft->bridge(w->dev, &b->g, err) != 0 ? -1 : 0;
}

/* About so many positions, of some of the texts or a little of all. */
static int hold(struct weigh *w, int which, int positions, char err[ERR_MAX])
{
	struct calibrate_row *r = &w->c->r->row[which];
	int n = (positions + EACH_TEXT - 1) / EACH_TEXT, rc = 0;

	n = n > TEXTS_LEAST ? n : TEXTS_LEAST;
	n = n < w->c->n_held ? n : w->c->n_held;
	memset(r->hit, 0, sizeof(r->hit));
	memset(r->run, 0, sizeof(r->run));
	r->positions = 0;
	if (use(w, &w->c->built[which], err) != 0)
		return -1;
	for (int i = 0; i < n && rc == 0; i++) {
		calibrate_tell(w->c, w->done / w->all, "weighing");
		rc = hold_text(w, i, &w->c->built[which], r, (positions + n - 1) / n, err);
	}
	for (int o = 0; o < BRIDGE_ROWS && r->positions; o++) {
		r->hit[o] /= (double)r->positions;
		r->run[o] /= (double)r->positions;
	}
	return rc;
}

/* ---- time ---- */

struct times {
	double draft[CALIBRATE_MOST][BRIDGE_ROWS][TIMES_MOST];
	double full[BRIDGE_ROWS + 1][TIMES_MOST];
	int n;
};

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Of many passes a quick one: what other programs take from the machine is not the pass's cost, and
 * they hit some passes more than others. */
static double quick(double *t, int n)
{
	qsort(t, (size_t)n, sizeof(*t), by_size);
	return t[n / 5];
}

/* The longest held text: its cache is that of a chat some way on. */
static const struct sample *longest(const struct calibrate *c)
{
	const struct sample *t = &c->held[0];

	for (int i = 1; i < c->n_held; i++)
		t = c->held[i].n > t->n ? &c->held[i] : t;
	return t;
}

/* Each REPEATS times, behind one that does not count. */
static int time_full(struct weigh *w, const struct sample *t, struct times *all, char err[ERR_MAX])
{
	int at = t->n - BRIDGE_ROWS - 1;

	for (int i = -1; i < REPEATS; i++)
		for (int n = 1; n <= BRIDGE_ROWS + 1; n++) {
			struct batch b = { .tok = t->ids + at, .n = n, .pos = at, .n_out = n,
					   .run = w->base };
			double start = clock_now();

			if (!w->be->forward(w->dev, w->kv, &b))
				return fail(err, "%s", w->be->error(w->dev));
			if (i >= 0)
				all->full[n - 1][all->n + i] = clock_now() - start;
		}
	return calibrate_stop(w->c);
}

static int time_drafts(struct weigh *w, const struct sample *t, int which, struct times *all,
		       char err[ERR_MAX])
{
	int at = t->n - BRIDGE_ROWS - 1;

	for (int i = -1; i < REPEATS; i++)
		for (int k = 1; k <= w->c->shape.k; k++) {
			double start = clock_now();

			if (cross(w, &w->c->built[which], t->ids[at], at, k, NULL, err) != 0)
				return -1;
			if (i >= 0)
				all->draft[which][k - 1][all->n + i] = clock_now() - start;
		}
	return calibrate_stop(w->c);
}

/* Draft passes of each bridge and full ones in turn, so that whatever else the machine does hits
 * all of them. */
static int time_all(struct weigh *w, struct times *all, char err[ERR_MAX])
{
	const struct sample *t = longest(w->c);
	double end = clock_now() + (w->end - clock_now()) / 4, start = clock_now();
	int n = w->c->r->n, rc = 0;

	if (rows(w, t->ids, 0, t->n, err) != 0)
		return -1;
	w->row_s = (clock_now() - start) / t->n;
	for (all->n = 0; all->n < TIMES_MOST && rc == 0; all->n += REPEATS) {
		if (all->n && clock_now() > end)
			break;
		for (int c = 0; c < n && rc == 0; c++) {
			if (use(w, &w->c->built[c], err) != 0)
				return -1;
			rc = time_drafts(w, t, c, all, err);
			if (rc == 0 && c == all->n / REPEATS % n)
				rc = time_full(w, t, all, err);
		}
	}
	return rc;
}

/* Tokens of a round, over what it costs in steps. */
static void set_gain(struct calibrate_row *r, const double *verify, int k)
{
	double tokens = 1;

	r->best = 1;
	for (int o = 0; o < k; o++) {
		tokens += r->run[o];
		r->gain[o] = tokens / (verify[o + 2] + r->cost[o]);
		if (r->gain[o] > r->gain[r->best - 1])
			r->best = o + 1;
	}
}

static void set_costs(struct weigh *w, struct times *all)
{
	struct calibrate_result *r = w->c->r;

	r->step_s = quick(all->full[0], all->n);
	for (int n = 1; n <= BRIDGE_ROWS + 1; n++)
		r->verify[n] = n == 1 ? 1 : quick(all->full[n - 1], all->n) / r->step_s;
	for (int c = 0; c < r->n; c++)
		for (int k = 0; k < w->c->shape.k; k++)
			r->row[c].cost[k] = quick(all->draft[c][k], all->n) / r->step_s;
}

/* ---- all of it ---- */

static double gain_of(const struct calibrate_row *r)
{
	return r->gain[r->best - 1];
}

/* The best ones once more, against more text: where a few percent decide, chance must not.  The
 * choice is among these, whose positions are the same. */
static int hold_best(struct weigh *w, int positions, char err[ERR_MAX])
{
	struct calibrate_result *r = w->c->r;
	int order[CALIBRATE_MOST] = { 0 }, n = r->n < BEST ? r->n : BEST, rc = 0;

	for (int i = 0; i < r->n; i++) {
		int at = i;

		for (; at > 0 && gain_of(&r->row[order[at - 1]]) < gain_of(&r->row[i]); at--)
			order[at] = order[at - 1];
		order[at] = i;
	}
	r->chosen = order[0];
	for (int i = 0; i < n && rc == 0; i++) {
		rc = hold(w, order[i], positions, err);
		set_gain(&r->row[order[i]], r->verify, w->c->shape.k);
		if (gain_of(&r->row[order[i]]) > gain_of(&r->row[r->chosen]))
			r->chosen = order[i];
	}
	return rc;
}

/* Positions of `want` for which the time that is left suffices, if each takes so many seconds. */
static int affordable(const struct weigh *w, double want, double each, int bridges)
{
	double share = (w->end - clock_now()) / (each * want * bridges);

	return (int)(want * (share > 1 ? 1 : share < LEAST_SHARE ? LEAST_SHARE : share));
}

static int hold_all(struct weigh *w, char err[ERR_MAX])
{
	struct calibrate_result *r = w->c->r;
	int best = r->n < BEST ? r->n : BEST, rc = 0, k = w->c->shape.k;
	double each = r->step_s * r->row[0].cost[k - 1] + ROWS_EACH * w->row_s, start = clock_now();
	double both = 1 + (double)best * POSITIONS_MORE / (r->n * POSITIONS);
	int few = affordable(w, POSITIONS, each * both, r->n);

	w->all = r->n * few * both;
	calibrate_found(w->c, each * w->all);
	for (int i = 0; i < r->n && rc == 0; i++) {
		rc = hold(w, i, few, err);
		set_gain(&r->row[i], r->verify, k);
	}
	if (rc == 0 && w->done > 0)
		each = (clock_now() - start) / w->done;
	few = affordable(w, POSITIONS_MORE, each, best);
	w->all = w->done + best * few;
	calibrate_found(w->c, each * best * few);
	return rc ? rc : hold_best(w, few, err);
}

/* Time that is left decides how many positions each is held against. */
static int weigh(struct weigh *w, char err[ERR_MAX])
{
	struct times *all = mem_new(1, sizeof(*all), err);
	int rc = all ? time_all(w, all, err) : -1;

	if (rc == 0) {
		set_costs(w, all);
		rc = hold_all(w, err);
	}
	mem_free(all);
	return rc;
}

int weigh_run(struct calibrate *c, char err[ERR_MAX])
{
	struct weigh w = { .c = c, .be = c->e->be, .dev = c->e->dev, .kv = c->e->target.kv,
			   .base = &c->e->target.base, .all = 1, .end = c->start + c->all_s };
	int rc = choose_vocabulary(c, err);
	char why[ERR_MAX];

	for (int i = 0; i < c->n_held && rc == 0; i++)
		rc = calibrate_stop(c) ? 1 : find_choices(&w, i, err);
	for (int i = 0; i < c->r->n; i++) {
		c->built[i].g.vocab = c->vocab;
		c->built[i].g.n_vocab = c->n_vocab;
		c->r->row[i].a = c->built[i].g.a;
		c->r->row[i].s = c->built[i].g.s;
	}
	if (rc == 0)
		rc = weigh(&w, err);
	w.be->draft->bridge(w.dev, NULL, why);
	for (int i = 0; i < c->n_held; i++)
		mem_free(w.choice[i]);
	return rc;
}
