/* cost.c - see cost.h.  What a run costs is followed by a Kalman filter without covariances: each
 * measurement moves every number that it is made of as far as that one is uncertain.  The rest are
 * fading means.  What takes far longer than expected was held up by something else. */
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
/* Variances: of one measurement, of what is known at first, of what changes from run to run. */
static const double NOISE = 0.05 * 0.05, FIRST = 0.1 * 0.1, FIRST_DRIFT = 0.01 * 0.01,
	ROW_DRIFT = 0.003 * 0.003;
/* Part of a run that a row more costs at least. */
static const double ROW_LEAST = 0.003, ROW_UNSURE = 0.05;
enum { ROWS_NEAR = 4, READ_LEAST = 16, PROVEN = 32 };
/* What a run costs more behind the little model, until it is measured. */
static const struct cost_part COLD = { 0.04, 0.04 * 0.04 };

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
static double row_part(const struct cost *p, int j)
{
	double part = guessed_row(p, j), before = 0;

	if (p->row[j].var > 0)
		return p->row[j].is;
	for (int i = j - 1; i >= 0 && before == 0; i--)
		before = p->row[i].var > 0 ? p->row[i].is : 0;
	return part > before ? part : before;
}

static double row_seconds(const struct cost *p, int k)
{
	return row_part(p, k < COST_DRAFTS ? k : COST_DRAFTS - 1) * p->first_s;
}

double cost_run(const struct cost *p, int k)
{
	double t = p->first_s;

	for (int j = 0; j < k; j++)
		t += row_seconds(p, j);
	return t;
}

static double cold_part(const struct cost *p)
{
	return p->cold.var > 0 ? p->cold.is : COLD.is;
}

/* Between two runs all may have changed a little, and what is not looked at is forgotten. */
static void drift(struct cost *p, int k)
{
	p->first_var += FIRST_DRIFT;
	if (p->cold.var == 0)
		p->cold = COLD;
	p->cold.var += ROW_DRIFT;
	for (int j = 0; j < COST_DRAFTS; j++) {
		struct cost_part *r = &p->row[j];
		double part = row_part(p, j);

		if (r->var == 0 && j < k)
			*r = (struct cost_part){ part, (part + ROW_UNSURE) * (part + ROW_UNSURE) };
		if (r->var == 0)
			continue;
		r->var += ROW_DRIFT;
		if (j >= k)
			r->is = FORGET_ROW * r->is + (1 - FORGET_ROW) * guessed_row(p, j);
	}
}

/* A part moves by its share of what a measurement was off; share: in the variance of it all. */
static void move(struct cost_part *r, double off, double share)
{
	r->is += share * off;
	r->is = r->is > ROW_LEAST ? r->is : ROW_LEAST;
	r->var *= 1 - share;
}

/* What a run with k drafts should take now, in parts of first_s, and the variance of that. */
static struct cost_part expect(const struct cost *p, int k)
{
	struct cost_part e = { 1, 0 };

	for (int j = 0; j < k; j++) {
		e.is += p->row[j].is;
		e.var += p->row[j].var;
	}
	if (p->cooled) {
		e.is += p->cold.is;
		e.var += p->cold.var;
	}
	e.var += e.is * e.is * (p->first_var + NOISE);
	return e;
}

/* Returns how long it would have taken had nothing held it up. */
static double learn_run(struct cost *p, int k, double t)
{
	struct cost_part e = expect(p, k);
	double off = t / p->first_s - e.is, most = 2 * sqrt(e.var);
	/* Held up, or another machine from now on. */
	bool odd = fabs(off) > most;

	if (odd)
		off = off > 0 ? most : -most;
	t = (e.is + off) * p->first_s;
	for (int j = 0; j < k; j++)
		move(&p->row[j], off, p->row[j].var / e.var);
	if (p->cooled)
		move(&p->cold, off, p->cold.var / e.var);
	p->first_s *= 1 + e.is * p->first_var / e.var * off;
	p->first_var *= 1 - e.is * e.is * p->first_var / e.var;
	p->first_var += odd ? NOISE : 0;
	return t;
}

/* The first run of all. */
static void begin_run(struct cost *p, int k, double t)
{
	p->first_s = t;         /* for rows, which are parts of it */
	p->first_s = t * t / (cost_run(p, k) + (p->cooled ? COLD.is * t : 0));
	p->first_var = FIRST;
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

	if (p->first_s == 0)
		begin_run(p, k, run_s);
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

struct cost_hope cost_hope(const struct cost *p, const struct cost_odds *o, double begin,
			   double step, int most)
{
	double chance = (o->all_held + PRIOR * 0.5) / (o->all_tested + PRIOR), all = 1;
	double cold = step > 0 ? cold_part(p) * p->first_s : 0;
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

bool cost_pays(const struct cost *p, int k, double all)
{
	return all >= cost_rate(p) * row_seconds(p, k);
}

bool cost_further_pays(const struct cost *p, const struct cost_odds *o, int k, double all)
{
	double chance = (o->all_held + PRIOR * 0.5) / (o->all_tested + PRIOR);
	double step = o == &p->self ? p->self_s : p->step_s;

	return all * chance >= cost_rate(p) * (row_seconds(p, k) + step);
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
