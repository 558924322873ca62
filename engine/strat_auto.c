/* strat_auto.c - whichever exact strategy pays best on this text, plain when none does.
 *
 * Each available exact strategy is a struct strat of its own over the same sessions; a step is one
 * step of one of them.  Rates are tokens over seconds of recent rounds.  The fastest runs; the one
 * that has waited longest is probed while what probes have cost stays under PROBE_SHARE of the
 * time.  Draft lengths follow the acceptance by position and the cost of a row.
 * Invariant: all candidates are exact, so the text does not depend on what is chosen. */
#include "engine/strategy.h"
#include <string.h>

enum { CANDIDATES_MAX = 8, FIRST_ROUNDS = 3 };
static const double PROBE_SHARE = 0.03, FADE = 0.93;

struct candidate {
	struct strat s;
	double tokens, seconds;         /* of recent rounds, fading */
	double row_s, first_s;          /* fading means: a further row, a round without drafts */
	double tested[DRAFT_MAX], held[DRAFT_MAX];      /* fading, by draft position */
	long rounds, last;              /* last: the step when it ran */
};

struct choice {
	struct candidate c[CANDIDATES_MAX];
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
	return ops->exact && strcmp(ops->name, "auto") &&
	       !(ops->needs & NEED_DRAFT_MODEL && !s->draft);
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
				       .draft_smp = s->draft_smp, .tok = s->tok };
		if (strategy_open(sub, err) != 0) {
			auto_close(s);
			return -1;
		}
		a->n++;
	}
	return 0;
}

static double rate(const struct candidate *c)
{
	return c->seconds > 0 ? c->tokens / c->seconds : 0;
}

static int fastest(const struct choice *a)
{
	int best = 0;

	for (int i = 1; i < a->n; i++)
		if (rate(&a->c[i]) > rate(&a->c[best]))
			best = i;
	return best;
}

/* What to run now: something not measured yet, a probe that is paid for, or the fastest. */
static int pick(const struct choice *a)
{
	int best = fastest(a), oldest = -1;
	double round_s;

	for (int i = 0; i < a->n; i++) {
		if (a->c[i].rounds < FIRST_ROUNDS)
			return i;
		if (i != best && (oldest < 0 || a->c[i].last < a->c[oldest].last))
			oldest = i;
	}
	if (oldest < 0)
		return best;
	round_s = a->c[oldest].first_s + a->c[oldest].row_s * 4;
	return a->lost + round_s < PROBE_SHARE * a->total ? oldest : best;
}

/* The draft length with the most expected tokens per second (expected tokens: 1 plus the sum of
 * the chances that all drafts up to each one hold; Leviathan et al. 2023 with measured chances). */
static int best_length(const struct candidate *c, int max)
{
	double expected = 1, all = 1, chance = 0.7, best = 0;
	int length = max < 1 ? 0 : 1;

	for (int k = 1; k <= max && k <= DRAFT_MAX; k++) {
		double t = c->tested[k - 1];

		if (t > 0.5)
			chance = c->held[k - 1] / t;
		all *= chance;
		expected += all;
		if (expected / (c->first_s + k * c->row_s) > best) {
			best = expected / (c->first_s + k * c->row_s);
			length = k;
		}
	}
	return length;
}

static void fade(double *x, double value, bool first)
{
	*x = first ? value : FADE * *x + (1 - FADE) * value;
}

/* Takes a round of k drafts which emitted n tokens in t seconds into the measurements. */
static void learn(struct candidate *c, const struct strategy_stats *st, int n, double t)
{
	long k = st->drafted;

	c->tokens = FADE * c->tokens + n;
	c->seconds = FADE * c->seconds + t;
	for (int i = 0; i < DRAFT_MAX; i++) {
		c->tested[i] = FADE * c->tested[i] + (double)st->pos_tested[i];
		c->held[i] = FADE * c->held[i] + (double)st->pos_accepted[i];
	}
	if (k == 0)
		fade(&c->first_s, t, c->first_s == 0);
	else if (c->first_s > 0)
		fade(&c->row_s, t > c->first_s ? (t - c->first_s) / (double)k : 0, c->row_s == 0);
	c->rounds++;
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
	int i = pick(a), best = fastest(a), n;
	struct candidate *c = &a->c[i];
	double start = clock_now(), t;

	c->s.law = s->law;
	c->s.opt = s->opt;
	c->s.begins = s->begins;
	memset(&c->s.stats, 0, sizeof(c->s.stats));
	if (c->first_s == 0)
		c->first_s = a->c[0].first_s;   /* until it has a round of its own: plain's */
	if (c->row_s > 0)
		c->s.opt.draft_max = best_length(c, s->opt.draft_max);
	n = c->s.ops->step(&c->s, out, err);
	if (n < 0)
		return -1;
	t = clock_now() - start;
	learn(c, &c->s.stats, n, t);
	add(&s->stats, &c->s.stats);
	c->last = a->step++;
	a->total += t;
	if (i != best && rate(&a->c[best]) > 0 && t > n / rate(&a->c[best]))
		a->lost += t - n / rate(&a->c[best]);
	return n;
}

const struct strategy strategy_auto = {
	.name = "auto", .help = "whichever exact strategy pays best, measured all the time",
	.exact = true, .open = auto_open, .step = auto_step, .close = auto_close,
};
