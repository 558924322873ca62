/* strat_auto.c - whichever exact strategy pays best on this text, plain when none does.
 *
 * Each available strategy is a struct strat of its own over the same sessions; a step is one step
 * of one of them.  What a step of plain or ngram will give is known before (promise); what the
 * others give, from their recent rounds, which strat.cost keeps beyond this strategy's life, and
 * before any from what rows and guesses cost on this machine.  The best runs.  One that has waited
 * long is probed if it may be the best after all and what that is likely to waste has been saved
 * up, PROBE_SHARE of the time.
 * Invariant: unless opt.auto_approximate says otherwise all candidates are exact, so the text does
 * not depend on what is chosen. */
#include "engine/strategy/guess.h"
#include "engine/strategy/strategies.h"
#include <string.h>

/* A strategy waits as long as the little model has this much to read before it can begin, and more
 * when the answer has become longer: reading a long prompt for a short answer would not pay. */
enum { WAITED = 16, READ = 64, READ_MORE = 3 };
/* Of the time, what probes may cost, of which so many tokens of plain may be saved up. */
static const double PROBE_SHARE = 0.02, PROBE_MOST = 1;
/* In an answer shorter than this nothing is probed that is not, by all that is known, possibly the
 * best; what has to be read for a strategy it should gain back in so many rounds. */
enum { LONG = 256, READ_ROUNDS = 32 };

static const struct strategy *const candidates[] = { STRATEGIES(STRATEGY_ROW) };
enum { N_CANDIDATES = sizeof(candidates) / sizeof(candidates[0]) };

struct choice {
	struct strat c[COST_TRIALS];
	struct cost_hope hope[COST_TRIALS];     /* of those that only trying tells of */
	double reading[COST_TRIALS];    /* what reading will take first, in tokens of plain */
	double gain[COST_TRIALS];       /* times plain's rate that it should give; -1: not now */
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

/* What strategy i should gain, of which only trying tells. */
static void look(struct choice *a, int i, const struct cost_trial *t)
{
	const struct strat *c = &a->c[i];
	bool little = strategy_asks_little(c, c->ops);
	struct cost_hope h = c->ops->hope(c);
	double rounds = t->rounds + 1;

	a->hope[i] = h;
	a->reading[i] = little ? strategy_reading(c) / c->cost->first_s : 0;
	a->gain[i] = cost_gain(t, &h) / (1 + a->reading[i] / READ_ROUNDS /
					 ((t->plain + h.plain) / rounds));
}

/* Takes up the settings, which may have changed since the last step, and with them who may take
 * part; then tells what each gains. */
static void prepare(struct strat *s, struct choice *a)
{
	struct cost *p = s->cost;

	if (s->begins)
		a->from = s->target->n;
	for (int i = 0; i < a->n; i++) {
		struct strat *c = &a->c[i];
		struct cost_trial *t = &p->trial[i];

		c->law = s->law;
		c->opt = s->opt;
		c->begins = s->begins;
		memset(&c->stats, 0, sizeof(c->stats));
		if (s->begins)
			cost_doubt(t);
		a->gain[i] = -1;
		if (p->first_s == 0 || !may_run(s, a, c))
			continue;
		if (c->ops->promise)
			a->gain[i] = c->ops->promise(c) * p->first_s;
		else
			look(a, i, t);
	}
}

static int fastest(const struct choice *a)
{
	int best = 0;           /* plain */

	for (int i = 1; i < a->n; i++)
		if (a->gain[i] > a->gain[best])
			best = i;
	return best;
}

/* Tokens of plain that a round of strategy i is likely to waste. */
static double waste(const struct choice *a, const struct cost_trial *t, int i, int best)
{
	double plain = (t->plain + a->hope[i].plain) / (t->rounds + 1);

	return a->reading[i] + plain * (1 - a->gain[i] / a->gain[best]);
}

/* Whether i, which is not the best now, could be it for all that is known. */
static bool worth_a_look(const struct strat *s, const struct choice *a, int i, int best)
{
	const struct cost_trial *t = &s->cost->trial[i];

	return i != best && !a->c[i].ops->promise && a->gain[i] > 0 &&
	       s->cost->chosen - t->last >= WAITED &&
	       (a->gain[i] + cost_doubtful(t) > a->gain[best] ||
		s->target->n - a->from > LONG);
}

/* What to run now: plain until its time is known, then a probe that is paid for, or the best. */
static int pick(const struct strat *s, const struct choice *a, int best)
{
	const struct cost *p = s->cost;
	int oldest = -1;

	for (int i = 0; i < a->n; i++)
		if (worth_a_look(s, a, i, best) &&
		    (oldest < 0 || p->trial[i].last < p->trial[oldest].last))
			oldest = i;
	return oldest >= 0 && waste(a, &p->trial[oldest], oldest, best) < p->spare ? oldest : best;
}

/* What probes may cost grows with time, and a probe takes from it: t seconds went by, though the
 * best strategy needs only what plain takes for so many tokens. */
static void account(struct cost *p, bool probe, double should, double t)
{
	double plain = p->first_s > 0 ? t / p->first_s : 0;

	p->chosen++;
	p->spare += PROBE_SHARE * plain;
	p->spare = p->spare < PROBE_MOST ? p->spare : PROBE_MOST;
	if (probe && plain > should)
		p->spare -= plain - should;
}

static int auto_step(struct strat *s, struct emit *out, char err[ERR_MAX])
{
	struct choice *a = s->priv;
	double start = clock_now(), begun;
	int i, best, n;

	prepare(s, a);
	best = fastest(a);
	i = pick(s, a, best);
	/* What is read for once says nothing of the rounds to come. */
	while (strategy_asks_little(s, a->c[i].ops) && strategy_unread(s) > STEP_MAX)
		if ((n = strategy_read(s, err)) <= 0)
			break;
	begun = clock_now();
	n = a->c[i].ops->step(&a->c[i], out, err);
	if (n < 0)
		return -1;
	cost_try(s->cost, &s->cost->trial[i], n, clock_now() - begun);
	account(s->cost, i != best, n / a->gain[best], clock_now() - start);
	strategy_add(&s->stats, &a->c[i].stats);
	return n;
}

const struct strategy strategy_auto = {
	.name = "auto", .help = "whichever exact strategy pays best, measured all the time",
	.exact = true, .chooses = true, .needs = MAY_DRAFT_MODEL | MAY_BRIDGE,
	.open = auto_open, .step = auto_step, .close = auto_close,
};
