/* cost.c - see cost.h.  What a run costs is followed by a Kalman filter over its parts (plain's
 * run, each row, the cold cache), whose sum is what a run shows: each part moves as far as it is
 * uncertain, and what one sum cannot tell apart stays uncertain until another one can.  The rest
 * are fading means.  What takes far longer than expected was held up by something else. */
#include "engine/strategy/cost.h"
#include <math.h>

static const double FADE = 0.93, FADE_ODDS = 0.97, FADE_TRIAL = 0.95, FADE_RUNNING = 0.99;
/* What a class showed is forgotten so fast while nothing tests it: a class that once failed gets
 * another chance.  Rows likewise, more slowly. */
static const double FORGET = 0.995, FORGET_ROW = 0.999;
/* Before anything is measured: classes are taken at their word, as if seen so often. */
static const double PRIOR = 2;
/* A trial begins as if it had shown what is hoped of it in so many rounds; and the gain of one
 * round is spread so wide. */
static const double HOPE_ROUNDS = 2, SPREAD = 0.6;
static const double DOUBT_ROUNDS = 3;
/* Standard deviations, in parts of what they are of: of one run; of what the first one says; of the
 * machine's speed from run to run, in which all parts change alike, and of each part beside that,
 * in parts of a run. */
static const double NOISE = 0.05, FIRST = 0.1, SPEED = 0.01, DRIFT = 0.003;
/* Parts of a run: what a row costs at least, how much more uncertain than itself one is at first;
 * what comes on top behind the little model until it is measured, how uncertain that is. */
static const double ROW_LEAST = 0.003, ROW_UNSURE = 0.05, COLD = 0.04, COLD_UNSURE = 0.1;
enum { ROWS_NEAR = 4, READ_LEAST = 16, PROVEN = 48 };

static void fade(double *x, double value)
{
	if (*x > 0 && value > 2 * *x)
		value = 2 * *x;
	*x = *x > 0 ? FADE * *x + (1 - FADE) * value : value;
}

/* What draft j should add: many rows cost what one of a prompt does, the first few less, as they
 * wait for memory anyway. */
static double guessed_row(const struct cost *p, int j)
{
	double far = p->read_s > 0 && p->first_s > 0 ? p->read_s / p->first_s : COST_ROW_PART;

	far = far < 0.5 ? far : 0.5;
	far = j + 1 < ROWS_NEAR ? far * (j + 1) / ROWS_NEAR : far;
	return far > ROW_LEAST ? far : ROW_LEAST;
}

/* Where nothing was measured yet a row costs no less than the one before it, which was. */
static double row_seconds(const struct cost *p, int j)
{
	double t = guessed_row(p, j) * p->first_s, before = 0;

	if (p->row_s[j] > 0)
		return p->row_s[j];
	for (int i = j - 1; i >= 0 && before == 0; i--)
		before = p->row_s[i];
	return t > before ? t : before;
}

double cost_run(const struct cost *p, int k)
{
	double t = p->first_s;

	for (int j = 0; j < k; j++)
		t += row_seconds(p, j);
	return t;
}

static double cold_seconds(const struct cost *p)
{
	return p->cold_s > 0 ? p->cold_s : COLD * p->first_s;
}

/* The parts of a run: plain's, the rows, the cold cache. */
enum { PLAIN, ROW, COLD_CACHE = ROW + COST_DRAFTS };
_Static_assert(COST_PARTS == COLD_CACHE + 1, "each part has its variances");

static double *part(struct cost *p, int i)
{
	return i == PLAIN ? &p->first_s : i == COLD_CACHE ? &p->cold_s : &p->row_s[i - ROW];
}

/* Whether a run with k drafts has this part. */
static bool takes(const struct cost *p, int i, int k)
{
	return i == PLAIN || (i == COLD_CACHE ? p->cooled : i - ROW < k);
}

static void put_first(struct cost *p, int i, double is, double deviation)
{
	*part(p, i) = is;
	p->var[i][i] = deviation * deviation;
}

/* What a run with k drafts is made of is known, more or less. */
static void begin_parts(struct cost *p, int k, double t)
{
	if (p->first_s == 0) {
		double rest;            /* in parts of plain's */

		p->first_s = t;
		rest = cost_run(p, k) / t - 1 + (p->cooled ? COLD : 0);
		p->first_s = t / (1 + rest);
		put_first(p, PLAIN, p->first_s, p->first_s * (FIRST + rest + k * ROW_UNSURE));
	}
	for (int j = 0; j < k; j++)
		if (p->row_s[j] == 0)
			put_first(p, ROW + j, row_seconds(p, j),
				  row_seconds(p, j) + ROW_UNSURE * p->first_s);
	if (p->cooled && p->cold_s == 0)
		put_first(p, COLD_CACHE, cold_seconds(p), COLD_UNSURE * p->first_s);
}

/* The machine's speed may have changed by so much, and all parts with it. */
static void unsettle(struct cost *p, double by)
{
	for (int i = 0; i < COST_PARTS; i++)
		for (int j = 0; j < COST_PARTS; j++)
			p->var[i][j] += by * by * *part(p, i) * *part(p, j);
}

/* Between two runs all may have changed a little, and rows that the next does not show are slowly
 * forgotten. */
static void drift(struct cost *p, int k)
{
	double each = DRIFT * p->first_s;

	unsettle(p, SPEED);
	for (int i = 0; i < COST_PARTS; i++)
		if (*part(p, i) > 0)
			p->var[i][i] += each * each;
	for (int j = k; j < COST_DRAFTS; j++)
		if (p->row_s[j] > 0)
			p->row_s[j] = FORGET_ROW * p->row_s[j] +
				      (1 - FORGET_ROW) * guessed_row(p, j) * p->first_s;
}

/* A run with k drafts took t; returns how long it would have taken had nothing held it up. */
static double learn_run(struct cost *p, int k, double t)
{
	double is = 0, all, var[COST_PARTS] = { 0 }, off, most;

	for (int i = 0; i < COST_PARTS; i++)
		is += takes(p, i, k) ? *part(p, i) : 0;
	all = NOISE * NOISE * is * is;
	for (int i = 0; i < COST_PARTS; i++) {
		for (int j = 0; j < COST_PARTS; j++)
			var[i] += takes(p, j, k) ? p->var[i][j] : 0;
		all += takes(p, i, k) ? var[i] : 0;
	}
	most = 2 * sqrt(all);
	off = t - is > most ? most : t - is;    /* nothing makes a run faster than it is */
	for (int i = 0; i < COST_PARTS; i++) {
		double least = ROW_LEAST * is, moved = *part(p, i) + var[i] / all * off;

		if (*part(p, i) > 0)
			*part(p, i) = moved > least ? moved : least;
		for (int j = 0; j < COST_PARTS; j++)
			p->var[i][j] -= var[i] * var[j] / all;
	}
	if (fabs(t - is) > most)        /* held up, or another machine from now on */
		unsettle(p, NOISE);
	return is + off;
}

void cost_read(double *each, int n, double seconds)
{
	if (n >= READ_LEAST)
		fade(each, seconds / n);
}

static void forget(struct cost_odds *o)
{
	for (int i = 0; i < COST_CLASSES; i++) {
		o->tested[i] *= FORGET;
		o->held[i] *= FORGET;
	}
}

static void add(const struct cost *p, struct cost_trial *t, double keep, int n, double seconds)
{
	double plain = p->first_s > 0 ? seconds / p->first_s : n;
	double most = t->plain > 0 ? 3 * t->plain / t->rounds : 5;

	t->rounds = keep * t->rounds + 1;
	t->tokens = keep * t->tokens + n;
	t->plain = keep * t->plain + (plain < most ? plain : most);
}

/* Slower is what is likely to be, by many rounds; no more so is what has caught up. */
static void judge(struct cost *p, int n, double seconds)
{
	struct cost_trial *t = &p->running;
	double gain;

	add(p, t, FADE_RUNNING, n, seconds);
	gain = t->tokens / t->plain;
	if (gain >= 1)
		p->slower = false;
	else if (t->rounds > PROVEN && gain + SPREAD / 2 / sqrt(t->rounds) < 1)
		p->slower = true;
}

void cost_round(struct cost *p, int k, double run_s, int n, double all_s)
{
	double most, draft_s = all_s - run_s;

	begin_parts(p, k, run_s);
	drift(p, k);
	run_s = learn_run(p, k, run_s);
	p->cooled = false;
	most = 4 * (cost_run(p, k) + p->begin_s + p->bridge_s + k * (p->step_s + p->self_s));
	p->tokens = FADE * p->tokens + n;
	p->seconds = FADE * p->seconds + (all_s < most ? all_s : most);
	forget(&p->little);
	forget(&p->ngram);
	forget(&p->self);
	forget(&p->bridge);
	judge(p, n, draft_s + run_s);
}

void cost_anew(struct cost *p)
{
	p->running = (struct cost_trial){ .rounds = 0 };
	p->slower = false;
}

void cost_try(struct cost *p, struct cost_trial *t, int n, double seconds)
{
	add(p, t, FADE_TRIAL, n, seconds);
	t->last = p->chosen;
}

void cost_doubt(struct cost_trial *t)
{
	double keep = t->rounds > DOUBT_ROUNDS ? DOUBT_ROUNDS / t->rounds : 1;

	t->rounds *= keep;
	t->tokens *= keep;
	t->plain *= keep;
}

/* Chance that a draft of any class holds if those before it do. */
static double mean_chance(const struct cost_odds *o)
{
	return (o->all_held + PRIOR * 0.5) / (o->all_tested + PRIOR);
}

struct cost_hope cost_hope(const struct cost *p, const struct cost_odds *o, double begin,
			   double step, int most)
{
	double chance = mean_chance(o), all = 1;
	double cold = step > 0 ? cold_seconds(p) : 0;
	struct cost_hope best = { 1, 1 }, h = { .tokens = 1 };

	for (int k = 1; k <= most && k <= COST_DRAFTS; k++) {
		all *= chance;
		h.tokens += all;
		h.plain = (begin + (k - 1) * step + cold + cost_run(p, k)) / p->first_s;
		if (k == 1 || h.tokens * best.plain > best.tokens * h.plain)
			best = h;
	}
	return best;
}

double cost_gain(const struct cost_trial *t, const struct cost_hope *h)
{
	return (t->tokens + HOPE_ROUNDS * h->tokens) / (t->plain + HOPE_ROUNDS * h->plain);
}

double cost_doubtful(const struct cost_trial *t)
{
	return SPREAD / sqrt(t->rounds + HOPE_ROUNDS);
}

void cost_steps(struct cost *p, int n, double first, double seconds)
{
	p->cooled |= n > 0;
	if (n > 0)
		fade(&p->begin_s, first);
	if (n > 1)
		fade(&p->step_s, (seconds - first) / (n - 1));
}

void cost_bridge(struct cost *p, double seconds)
{
	fade(&p->bridge_s, seconds);
}

void cost_self(struct cost *p, double seconds)
{
	fade(&p->self_s, seconds);
}

void cost_tested(struct cost_odds *o, int k, int held)
{
	for (int i = 0; i < k && i <= held; i++) {
		int c = o->sure[i];

		o->tested[c] = FADE_ODDS * o->tested[c] + 1;
		o->held[c] = FADE_ODDS * o->held[c] + (i < held);
		o->all_tested = FADE_ODDS * o->all_tested + 1;
		o->all_held = FADE_ODDS * o->all_held + (i < held);
	}
}

double cost_chance(const struct cost_odds *o, int sure)
{
	double word = (sure + 0.5) / COST_CLASSES;

	return (o->held[sure] + PRIOR * word) / (o->tested[sure] + PRIOR);
}

double cost_rate(const struct cost *p)
{
	double plain = p->first_s > 0 ? 1 / p->first_s : 0;
	double late = p->seconds > 0 ? p->tokens / p->seconds : 0;

	return late > plain ? late : plain;
}

/* Rows are tried one more at a time: what many cost together would be a dear surprise. */
static bool near_what_is_known(const struct cost *p, int k)
{
	return k == 0 || p->row_s[k - 1] > 0;
}

bool cost_pays(const struct cost *p, int k, double all)
{
	return near_what_is_known(p, k) && all >= cost_rate(p) * row_seconds(p, k);
}

bool cost_further_pays(const struct cost *p, const struct cost_odds *o, int k, double all)
{
	double step = o == &p->self ? p->self_s : p->step_s;

	return near_what_is_known(p, k) &&
	       all * mean_chance(o) >= cost_rate(p) * (row_seconds(p, k) + step);
}

int cost_cut(const struct cost *p, const struct cost_odds *o, int k, double *expected)
{
	double all = 1;
	int i;

	*expected = 1;
	for (i = 0; i < k; i++) {
		all *= cost_chance(o, o->sure[i]);
		if (!cost_pays(p, i, all))
			break;
		*expected += all;
	}
	return i;
}
