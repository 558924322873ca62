/* cost.c - see cost.h.  Fading means; what takes far longer than expected was held up by something
 * else and counts as twice what was expected. */
#include "engine/strategy/cost.h"

static const double FADE = 0.93, FADE_ODDS = 0.97, FADE_TRIAL = 0.95;
/* What a class showed is forgotten so fast while nothing tests it: a class that once failed gets
 * another chance. */
static const double FORGET = 0.995;
/* Before anything is measured: classes are taken at their word, as if seen so often. */
static const double PRIOR = 2;
/* A trial begins as if it had given so many times plain's rate in so many rounds. */
static const double HOPE = 1.1, HOPE_ROUNDS = 2;
static const double DOUBT_ROUNDS = 6;

static void fade(double *x, double value)
{
	if (*x > 0 && value > 2 * *x)
		value = 2 * *x;
	*x = *x > 0 ? FADE * *x + (1 - FADE) * value : value;
}

static double row_seconds(const struct cost *p, int k)
{
	double known = k < COST_NEAR ? p->row_s : p->far_s;

	return known > 0 ? known : COST_ROW_PART * p->first_s;
}

double cost_run(const struct cost *p, int k)
{
	int far = k > COST_NEAR ? k - COST_NEAR : 0;

	return p->first_s + (k - far) * row_seconds(p, 0) + far * row_seconds(p, COST_NEAR);
}

/* A run with drafts took t: the machine is faster or slower now, or a row costs something else.
 * Both in part, as plain runs are rare while drafts pay. */
static void learn_rows(struct cost *p, int k, double t)
{
	double expected = cost_run(p, k), row = row_seconds(p, k - 1);
	double speed = FADE + (1 - FADE) * t / expected;
	double off = (t - expected) / (k > COST_NEAR ? k - COST_NEAR : k);

	row = speed * row + (1 - FADE) * (off < row ? off : row);
	p->row_s = speed * row_seconds(p, 0);
	p->far_s *= speed;
	p->first_s *= speed;
	if (row < 0.01 * p->first_s)
		row = 0.01 * p->first_s;
	*(k > COST_NEAR ? &p->far_s : &p->row_s) = row;
}

static void learn_run(struct cost *p, int k, double t)
{
	double most;

	if (k == 0) {
		fade(&p->first_s, t);
		return;
	}
	if (p->first_s == 0)
		p->first_s = t / (1 + COST_ROW_PART * k);
	most = 2 * cost_run(p, k);
	learn_rows(p, k, t < most ? t : most);
}

static void forget(struct cost_odds *o)
{
	for (int i = 0; i < COST_CLASSES; i++) {
		o->tested[i] *= FORGET;
		o->held[i] *= FORGET;
	}
}

void cost_round(struct cost *p, int k, double run_s, int n, double all_s)
{
	double most;

	learn_run(p, k, run_s);
	most = 4 * (cost_run(p, k) + p->begin_s + k * (p->step_s + p->self_s));
	p->tokens = FADE * p->tokens + n;
	p->seconds = FADE * p->seconds + (all_s < most ? all_s : most);
	forget(&p->little);
	forget(&p->ngram);
	forget(&p->self);
	forget(&p->bridge);
}

void cost_try(struct cost *p, struct cost_trial *t, int n, double seconds)
{
	double most = t->rounds > 0 ? 2 * t->seconds / t->rounds : 2 * p->first_s;

	t->rounds = FADE_TRIAL * t->rounds + 1;
	t->tokens = FADE_TRIAL * t->tokens + n;
	t->seconds = FADE_TRIAL * t->seconds + (seconds < most ? seconds : most);
	t->last = p->chosen;
}

void cost_doubt(struct cost_trial *t)
{
	double keep = t->rounds > DOUBT_ROUNDS ? DOUBT_ROUNDS / t->rounds : 1;

	t->rounds *= keep;
	t->tokens *= keep;
	t->seconds *= keep;
}

double cost_trial_rate(const struct cost *p, const struct cost_trial *t)
{
	if (p->first_s == 0)
		return 0;
	return (t->tokens + HOPE_ROUNDS * HOPE) / (t->seconds + HOPE_ROUNDS * p->first_s);
}

void cost_steps(struct cost *p, int n, double first, double seconds)
{
	if (n > 0)
		fade(&p->begin_s, first);
	if (n > 1)
		fade(&p->step_s, (seconds - first) / (n - 1));
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
