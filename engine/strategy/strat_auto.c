/* strat_auto.c - whichever exact strategy pays best on this text, plain when none does.
 *
 * Each available strategy is a struct strat of its own over the same sessions; a step is one step
 * of one of them.  What a step of plain or ngram will give is known before (promise); what the
 * others give, from their recent rounds, which strat.cost keeps beyond this strategy's life.  The
 * best runs; one that has waited long is probed while what probes have cost stays under PROBE_SHARE
 * of the time.
 * Invariant: unless opt.auto_approximate says otherwise all candidates are exact, so the text does
 * not depend on what is chosen. */
#include "engine/strategy/guess.h"
#include "engine/strategy/strategies.h"
#include <string.h>

/* A strategy waits as long as the little model has this much to read before it can begin, and more
 * when the answer has become longer: reading a long prompt for a short answer would not pay. */
enum { WAITED = 16, READ = 64, READ_MORE = 3 };
static const double PROBE_SHARE = 0.02;

static const struct strategy *const candidates[] = { STRATEGIES(STRATEGY_ROW) };
enum { N_CANDIDATES = sizeof(candidates) / sizeof(candidates[0]) };

struct choice {
	struct strat c[COST_TRIALS];
	double rate[COST_TRIALS];       /* tokens a second expected now; 0: no idea, -1: not now */
	int n;
	int from;                       /* where the answer begins */
};

static void auto_close(struct strat *s)
{
	struct choice *a = s->priv;

	for (int i = 0; a && i < a->n; i++)
		strategy_close(&a->c[i]);
	mem_free(a);
	s->priv = NULL;
}

static bool available(const struct strat *s, const struct strategy *ops)
{
	return !ops->apart && !strategy_lacks(s, ops);
}

static int auto_open(struct strat *s, char err[ERR_MAX])
{
	struct choice *a = mem_new(1, sizeof(*a), err);

	s->priv = a;
	if (!a)
		return -1;
	for (int i = 0; i < N_CANDIDATES && a->n < COST_TRIALS; i++) {
		struct strat *sub = &a->c[a->n];

		if (!available(s, candidates[i]))
			continue;
		*sub = (struct strat){ .ops = candidates[i], .target = s->target,
				       .draft = s->draft, .bridged = s->bridged, .smp = s->smp,
				       .draft_smp = s->draft_smp,
				       .bridge_smp = s->bridge_smp, .tok = s->tok,
				       .cost = s->cost };
		if (strategy_open(sub, err) != 0) {
			auto_close(s);
			return -1;
		}
		a->n++;
	}
	return 0;
}

static bool may_run(const struct strat *s, const struct choice *a, const struct strat *c)
{
	if (!s->opt.auto_approximate && !strategy_exact(c))
		return false;
	return !strategy_asks_little(s, c->ops) ||
	       strategy_unread(s) <= READ + READ_MORE * (s->target->n - a->from);
}

/* Settings may have changed since the last step, and with them who may take part. */
static void prepare(struct strat *s, struct choice *a)
{
	if (s->begins)
		a->from = s->target->n;
	for (int i = 0; i < a->n; i++) {
		struct strat *c = &a->c[i];
		struct cost_trial *t = &s->cost->trial[i];

		c->law = s->law;
		c->opt = s->opt;
		c->begins = s->begins;
		memset(&c->stats, 0, sizeof(c->stats));
		if (s->begins)
			cost_doubt(t);
		a->rate[i] = !may_run(s, a, c) ? -1 :
			     c->ops->promise ? c->ops->promise(c) : cost_trial_rate(s->cost, t);
	}
}

static int fastest(const struct choice *a)
{
	int best = 0;           /* plain */

	for (int i = 1; i < a->n; i++)
		if (a->rate[i] > a->rate[best])
			best = i;
	return best;
}

/* Seconds that a round of strategy i is likely to waste. */
static double waste(const struct choice *a, const struct cost_trial *t, int i, int best)
{
	return t->rounds > 0 ? t->seconds / t->rounds * (1 - a->rate[i] / a->rate[best]) : 0;
}

/* What to run now: plain until its time is known, then a probe that is paid for, or the best. */
static int pick(const struct choice *a, const struct cost *p, int best)
{
	int oldest = -1;

	if (a->rate[0] == 0)
		return 0;
	for (int i = 0; i < a->n; i++)
		if (i != best && !a->c[i].ops->promise && a->rate[i] > 0 &&
		    p->chosen - p->trial[i].last >= WAITED &&
		    (oldest < 0 || p->trial[i].last < p->trial[oldest].last))
			oldest = i;
	if (oldest >= 0 &&
	    p->lost + waste(a, &p->trial[oldest], oldest, best) < PROBE_SHARE * p->spent)
		return oldest;
	return best;
}

/* Takes a round of strategy i which emitted n tokens in t seconds into the measurements. */
static void learn(const struct choice *a, struct cost *p, int i, int best, int n, double t)
{
	double should = a->rate[best] > 0 ? n / a->rate[best] : t;

	cost_try(p, &p->trial[i], n, t);
	p->chosen++;
	p->spent += t;
	if (i != best && t > should)
		p->lost += t - should;
}

static int auto_step(struct strat *s, struct emit *out, char err[ERR_MAX])
{
	struct choice *a = s->priv;
	double start;
	int i, best, n;

	prepare(s, a);
	best = fastest(a);
	i = pick(a, s->cost, best);
	/* What is read for once says nothing of the rounds to come. */
	while (strategy_asks_little(s, a->c[i].ops) && strategy_unread(s) > STEP_MAX)
		if ((n = strategy_read(s, err)) <= 0)
			break;
	start = clock_now();
	n = a->c[i].ops->step(&a->c[i], out, err);
	if (n < 0)
		return -1;
	learn(a, s->cost, i, best, n, clock_now() - start);
	strategy_add(&s->stats, &a->c[i].stats);
	return n;
}

const struct strategy strategy_auto = {
	.name = "auto", .help = "whichever exact strategy pays best, measured all the time",
	.exact = true, .chooses = true, .needs = MAY_DRAFT_MODEL | MAY_BRIDGE,
	.open = auto_open, .step = auto_step, .close = auto_close,
};
