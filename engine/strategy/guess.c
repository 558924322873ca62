/* guess.c - guesses of the target's choices: by the little model, one token at a time, or over a
 * bridge, all in one pass; and the step of a strategy that drafts them.
 *
 * Invariant: a guess changes nothing of the target's text, and bridged passes write only cache rows
 * of the target that are not in use. */
#include "engine/strategy/guess.h"
#include "engine/decode/probs.h"
#include "kernels/backend_draft.h"
#include "kernels/peaks.h"

/* The little model's timeline becomes the target's.  1: it cannot, its context is full or a token
 * unknown to it. */
static int follow(struct strat *s, char err[ERR_MAX])
{
	const struct session *t = s->target;

	if (t->n >= s->draft->n_ctx)    /* which may be shorter */
		return 1;
	for (int i = 0; i < t->n; i++)
		if (t->tok[i] >= s->draft->n_vocab)
			return 1;
	return session_set(s->draft, t->tok, t->n, err);
}

int strategy_unread(const struct strat *s)
{
	const struct session *t = s->target, *d = s->draft;
	int n = 0;

	while (n < t->n - 1 && n < d->n_kv && t->tok[n] == d->tok[n])
		n++;
	return t->n - 1 - n;
}

int strategy_read(struct strat *s, char err[ERR_MAX])
{
	int rc = follow(s, err), before = s->draft->n_kv;
	double start = clock_now();

	if (rc)
		return rc < 0 ? -1 : 0;
	rc = session_prefill(s->draft, err);
	if (s->cost && rc >= 0) {
		s->cost->cooled |= s->draft->n_kv > before;
		cost_read(&s->cost->little_read_s, s->draft->n_kv - before, clock_now() - start);
	}
	return rc;
}

/* What a pass that was not measured yet takes, in parts of the big model's: as its weights are. */
static double pass_part(const struct strat *s, const struct schedule *what)
{
	double bytes = (double)schedule_bytes(&s->target->base);

	return bytes > 0 ? (double)schedule_bytes(what) / bytes : 0;
}

double strategy_reading(const struct strat *s)
{
	const struct cost *p = s->cost;
	int n = strategy_unread(s);

	if (n <= STEP_MAX)
		return 0;
	return n * (p->little_read_s > 0 ? p->little_read_s :
		    p->read_s * pass_part(s, &s->draft->base));
}

struct cost_hope strategy_hope(const struct strat *s, bool bridged, int most)
{
	const struct cost *p = s->cost;
	double begin, step;

	most = strategy_room(s, most);
	if (bridged) {
		int k = s->bridged->bridge->k;

		begin = p->bridge_s > 0 ? p->bridge_s : p->first_s * pass_part(s, s->bridged);
		return cost_hope(p, &p->bridge, begin, 0, k < most ? k : most);
	}
	step = p->step_s > 0 ? p->step_s : p->first_s * pass_part(s, &s->draft->base);
	begin = p->begin_s > 0 ? p->begin_s : 2 * step; /* its weights have left the cache */
	return cost_hope(p, &p->little, begin, step, most);
}

bool strategy_worth(const struct strat *s, struct guess *g, int k, double *all)
{
	struct cost_odds *o = g->odds;
	double sure = g->sure[k];

	if (g->stop_below > 0 && sure < (double)g->stop_below)
		return false;
	if (!o) {
		*all *= sure < g->sure_from ? sure : 1;
		return true;
	}
	o->sure[k] = sure < 1 ? (int)(sure * COST_CLASSES) : COST_CLASSES - 1;
	*all *= cost_chance(o, o->sure[k]);
	return g->stop_below >= 0 || k == 0 || cost_pays(s->cost, k, *all);
}

bool strategy_go_on(const struct strat *s, const struct guess *g, int k, double all)
{
	if (!g->odds)
		return all >= g->least;
	return k == 0 || g->stop_below >= 0 || cost_further_pays(s->cost, g->odds, k, all);
}

/* Guesses that a backend made in one go, or one row of logits. */
struct ahead {
	struct guess_batch b;
	int at, n;              /* the next of b's guesses; 0 of 0: there are none */
	const float *logits;    /* NULL: b has them */
};

/* What the little model makes of its pending token, at most `most` guesses ahead.  Penalties need
 * every row as it is. */
static int look_ahead(struct strat *s, const struct guess *g, int most, struct ahead *a,
		      char err[ERR_MAX])
{
	struct session *d = s->draft;
	int top;

	*a = (struct ahead){ .n = 1 };
	if (backend_guesses(d->be, d->dev) && !sampler_penalises(&s->law)) {
		a->b = (struct guess_batch){ .n = most, .law = { s->law.temp, s->law.min_p,
								 g->lambda, s->law.seed } };
		a->n = session_guess(d, &a->b, err);
		return a->n < 0 ? -1 : 0;
	}
	a->logits = session_extend(d, NULL, 0, err);
	if (!a->logits)
		return -1;
	a->b.sure[0] = probs_top(a->logits, d->n_out, &top);
	return 0;
}

static int bridge_logits(const struct strat *s)
{
	const struct bridge *b = s->bridged->bridge;

	return b->vocab ? b->n_vocab : s->target->n_out;
}

int strategy_guess_bridged(struct strat *s, struct guess *g, char err[ERR_MAX])
{
	int rows = g->max < s->bridged->bridge->k ? g->max : s->bridged->bridge->k, k = 0, top;
	struct session *t = s->target;
	int n = bridge_logits(s);
	double all = 1, start = clock_now();
	const float *logits;

	if (rows < 1)
		return 0;
	logits = session_bridge(t, s->bridged, rows, err);
	if (!logits)
		return -1;
	if (s->cost)
		cost_bridge(s->cost, clock_now() - start);
	while (k < rows && (g->odds || all >= g->least)) {
		const float *row = row_at(logits, n, k);

		g->sure[k] = probs_top(row, n, &top);
		if (!strategy_worth(s, g, k, &all))
			break;
		/* In the timeline's spare room: penalties see the drafts before. */
		g->tok[k] = t->tok[t->n + k] =
			sampler_choose(s->bridge_smp, &s->law, row, t->tok, t->n + k, g->lambda);
		if (strategy_ends(s, g->tok[k++]))
			break;
	}
	return k;
}

int strategy_guess(struct strat *s, struct guess *g, char err[ERR_MAX])
{
	struct session *d = s->draft;
	double all = 1, start = clock_now(), first = 0;
	int k = 0, steps = 0, left, max, rc;
	struct ahead a = { .n = 0 };

	if (!d)
		return strategy_guess_bridged(s, g, err);
	left = d->n_ctx - s->target->n;
	max = g->max < left ? g->max : left;
	rc = follow(s, err);
	if (rc)
		return rc < 0 ? -1 : 0;
	while (k < max && strategy_go_on(s, g, k, all)) {
		if (a.at == a.n && look_ahead(s, g, max - k, &a, err) != 0)
			return -1;
		if (!steps)
			first = (clock_now() - start) / a.n;
		steps += a.at ? 0 : a.n;
		g->sure[k] = a.b.sure[a.at];
		if (!strategy_worth(s, g, k, &all))
			break;
		g->tok[k] = !a.logits ? a.b.out[a.at] :
			    sampler_choose(s->draft_smp, &s->law, a.logits, d->tok, d->n,
					   g->lambda);
		if (g->tok[k] >= s->target->n_vocab)
			break;          /* a padded vocabulary may know more */
		a.at++;
		session_accept(d, 0, g->tok[k++]);
		if (strategy_ends(s, g->tok[k - 1]))
			break;
	}
	if (s->cost)
		cost_steps(s->cost, steps, first, clock_now() - start);
	return k;
}

int strategy_try(struct strat *s, strategy_guess_fn *guess, struct cost_odds *odds,
		 struct emit *out, char err[ERR_MAX])
{
	double start = clock_now();
	struct guess g = { .max = strategy_room(s, s->opt.draft_max),
			   .stop_below = s->opt.draft_p_min, .lambda = STRATEGY_LAMBDA,
			   .odds = odds };
	int k = guess(s, &g, err);

	if (k < 0)
		return -1;
	if (k < s->opt.draft_min)
		k = 0;
	return strategy_round(s, g.tok, k, clock_now() - start, odds, out, err);
}
