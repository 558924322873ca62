/* strat_auto.c - whichever exact strategy pays best on this text, plain when none does.
 *
 * Each available strategy is a struct strat of its own over the same sessions; a step is one step
 * of one of them.  What a step of plain or ngram will give is known before (promise); what the
 * others give, from their recent rounds.  The best runs; one that has waited long is probed while
 * what probes have cost stays under PROBE_SHARE of the time.  All of it outlives an answer.
 * Invariant: unless opt.auto_approximate says otherwise all candidates are exact, so the text does
 * not depend on what is chosen. */
#include "engine/strategy.h"
#include <string.h>

enum { CANDIDATES_MAX = 8, FIRST_ROUNDS = 3, WAITED = 16 };
static const double PROBE_SHARE = 0.02, FADE = 0.95, OLD = 0.5;

struct candidate {
	struct strat s;
	double tokens, seconds;         /* of recent rounds, fading */
	double round_s;                 /* the last one */
	long rounds, last;              /* last: the step when it ran */
};

struct choice {
	struct candidate c[CANDIDATES_MAX];
	double rate[CANDIDATES_MAX];    /* expected now; 0: no idea */
	int n;
	long step;
	double total, lost;             /* seconds; lost: what probes took beyond the best's time */
};

static void auto_close(struct strat *s)
{
	struct choice *a = s->priv;

	for (int i = 0; a && i < a->n; i++)
		strategy_close(&a->c[i].s);
	mem_free(a);
	s->priv = NULL;
}

static bool available(const struct strat *s, const struct strategy *ops)
{
	return ops != &strategy_auto && !(ops->needs & NEED_DRAFT_MODEL && !s->draft);
}

static int auto_open(struct strat *s, char err[ERR_MAX])
{
	struct choice *a = mem_new(1, sizeof(*a), err);

	s->priv = a;
	if (!a)
		return -1;
	for (int i = 0; strategies[i] && a->n < CANDIDATES_MAX; i++) {
		struct strat *sub = &a->c[a->n].s;

		if (!available(s, strategies[i]))
			continue;
		*sub = (struct strat){ .ops = strategies[i], .target = s->target,
				       .draft = s->draft, .smp = s->smp,
				       .draft_smp = s->draft_smp, .tok = s->tok,
				       .pace = s->pace };
		if (strategy_open(sub, err) != 0) {
			auto_close(s);
			return -1;
		}
		a->n++;
	}
	return 0;
}

static double rate(struct candidate *c)
{
	if (c->s.ops->promise)
		return c->s.ops->promise(&c->s);
	return c->rounds >= FIRST_ROUNDS && c->seconds > 0 ? c->tokens / c->seconds : 0;
}

/* Settings may have changed since the last step, and with them who may take part. */
static void prepare(struct strat *s, struct choice *a)
{
	for (int i = 0; i < a->n; i++) {
		struct candidate *c = &a->c[i];

		c->s.law = s->law;
		c->s.opt = s->opt;
		c->s.begins = s->begins;
		memset(&c->s.stats, 0, sizeof(c->s.stats));
		a->rate[i] = s->opt.auto_approximate || strategy_exact(&c->s) ? rate(c) : -1;
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

/* Seconds that a round of c is likely to waste. */
static double waste(const struct choice *a, int i, int best)
{
	return a->c[i].round_s * (1 - a->rate[i] / a->rate[best]);
}

/* What to run now: plain until its time is known, then what is not measured yet, a probe that is
 * paid for, or the best. */
static int pick(const struct choice *a, int best)
{
	int oldest = -1;

	for (int i = 0; i < a->n; i++) {
		if (a->rate[i] == 0 && (i == 0 || a->rate[0] > 0))
			return i;
		if (i != best && a->rate[i] > 0 && a->step - a->c[i].last >= WAITED &&
		    (oldest < 0 || a->c[i].last < a->c[oldest].last))
			oldest = i;
	}
	if (oldest >= 0 && a->lost + waste(a, oldest, best) < PROBE_SHARE * a->total)
		return oldest;
	return best;
}

/* Takes a round which emitted n tokens in t seconds into the measurements. */
static void learn(struct choice *a, int i, int best, int n, double t)
{
	struct candidate *c = &a->c[i];
	double keep = c->rounds && a->step - c->last >= WAITED ? OLD : FADE;

	c->tokens = keep * c->tokens + n;
	c->seconds = keep * c->seconds + t;
	c->round_s = t;
	c->rounds++;
	c->last = a->step++;
	a->total += t;
	if (i != best && a->rate[best] > 0 && t > n / a->rate[best])
		a->lost += t - n / a->rate[best];
}

static void add(struct strategy_stats *to, const struct strategy_stats *from)
{
	to->rounds += from->rounds;
	to->emitted += from->emitted;
	to->drafted += from->drafted;
	to->tested += from->tested;
	to->accepted += from->accepted;
	for (int i = 0; i < DRAFT_MAX; i++) {
		to->pos_tested[i] += from->pos_tested[i];
		to->pos_accepted[i] += from->pos_accepted[i];
	}
	to->draft_s += from->draft_s;
	to->verify_s += from->verify_s;
	to->choose_s += from->choose_s;
}

static int auto_step(struct strat *s, struct emit *out, char err[ERR_MAX])
{
	struct choice *a = s->priv;
	double start = clock_now();
	struct candidate *c;
	int i, best, n;

	prepare(s, a);
	best = fastest(a);
	i = pick(a, best);
	c = &a->c[i];
	n = c->s.ops->step(&c->s, out, err);
	if (n < 0)
		return -1;
	learn(a, i, best, n, clock_now() - start);
	add(&s->stats, &c->s.stats);
	return n;
}

const struct strategy strategy_auto = {
	.name = "auto", .help = "whichever exact strategy pays best, measured all the time",
	.exact = true, .needs = MAY_DRAFT_MODEL,
	.open = auto_open, .step = auto_step, .close = auto_close,
};
