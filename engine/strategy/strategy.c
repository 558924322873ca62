/* strategy.c - the table of strategies, and the round that all exact ones share.
 *
 * Invariant: statistics count a draft as tested only when all before it held, and as accepted only
 * when it was emitted. */
#include "engine/strategy/strategy.h"
#include "engine/decode/probs.h"
#include "engine/decode/verify.h"
#include <stdio.h>
#include <string.h>

extern const struct strategy strategy_ngram, strategy_draft, strategy_bild, strategy_s3d,
	strategy_self;
const struct strategy *const strategies[] = {
	&strategy_plain, &strategy_ngram, &strategy_draft, &strategy_bild,
	&strategy_s3d, &strategy_self, &strategy_auto, NULL,
};

int strategy_open(struct strat *s, char err[ERR_MAX])
{
	return s->ops->open ? s->ops->open(s, err) : 0;
}

void strategy_close(struct strat *s)
{
	if (s->ops && s->ops->close)
		s->ops->close(s);
}

unsigned strategy_lacks(const struct strat *s, const struct strategy *ops)
{
	bool bridged = ops->needs & MAY_BRIDGE && s->bridged;

	if (ops->needs & NEED_BRIDGE && !s->bridged)
		return NEED_BRIDGE;
	return ops->needs & NEED_DRAFT_MODEL && !s->draft && !bridged ? NEED_DRAFT_MODEL : 0;
}

bool strategy_asks_little(const struct strat *s, const struct strategy *ops)
{
	return s->draft && ops->needs & (NEED_DRAFT_MODEL | MAY_DRAFT_MODEL);
}

bool strategy_exact(const struct strat *s)
{
	return strategy_exact_with(s->ops, s->opt.rollback_exact, s->opt.auto_approximate);
}

bool strategy_exact_with(const struct strategy *s, bool rollback_exact, bool auto_approximate)
{
	if (s == &strategy_auto)
		return !auto_approximate || rollback_exact;
	return s->exact || (s->can_be_exact && rollback_exact);
}

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
	int rc = follow(s, err);

	if (rc)
		return rc < 0 ? -1 : 0;
	return session_prefill(s->draft, err);
}

bool strategy_worth(const struct strat *s, struct guess *g, int k, double *all)
{
	struct pace_odds *o = g->odds;
	double sure = g->sure[k];

	if (g->stop_below > 0 && sure < (double)g->stop_below)
		return false;
	if (!o) {
		*all *= sure < g->sure_from ? sure : 1;
		return true;
	}
	o->sure[k] = sure < 1 ? (int)(sure * PACE_CLASSES) : PACE_CLASSES - 1;
	*all *= pace_chance(o, o->sure[k]);
	return g->stop_below >= 0 || k == 0 || pace_pays(s->pace, k, *all);
}

bool strategy_go_on(const struct strat *s, const struct guess *g, int k, double all)
{
	if (!g->odds)
		return all >= g->least;
	return k == 0 || g->stop_below >= 0 || pace_further_pays(s->pace, g->odds, k, all);
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
	if (d->be->guess && !sampler_penalises(&s->law)) {
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
	if (s->pace)
		pace_steps(s->pace, steps, first, clock_now() - start);
	return k;
}

const struct strategy *strategy_find(const char *name, char err[ERR_MAX])
{
	char names[128] = "";

	name = *name ? name : STRATEGY_DEFAULT;
	for (int i = 0; strategies[i]; i++) {
		size_t at = strlen(names);

		if (!strcmp(strategies[i]->name, name))
			return strategies[i];
		snprintf(names + at, sizeof(names) - at, " %s", strategies[i]->name);
	}
	fail(err, "no strategy '%s'; there are:%s", name, names);
	return NULL;
}

bool strategy_ends(const struct strat *s, int tok)
{
	return s->tok && tokenizer_is_end(s->tok, tok);
}

int strategy_room(const struct strat *s, int max)
{
	int left = s->target->n_ctx - s->target->n - 1;

	max = max > DRAFT_MAX ? DRAFT_MAX : max;
	return left < max ? (left > 0 ? left : 0) : max;
}

void strategy_count(struct strat *s, int k, int n_kept)
{
	struct strategy_stats *st = &s->stats;
	int tested = n_kept < k ? n_kept + 1 : k;

	st->rounds++;
	st->emitted += n_kept + 1;
	st->drafted += k;
	st->tested += tested;
	st->accepted += n_kept;
	for (int i = 0; i < tested; i++)
		st->pos_tested[i]++;
	for (int i = 0; i < n_kept; i++)
		st->pos_accepted[i]++;
}

void strategy_add(struct strategy_stats *to, const struct strategy_stats *from)
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

void strategy_took(struct strat *s, int k, int n, double draft_s, double verify_s,
		   double choose_s)
{
	s->stats.draft_s += draft_s;
	s->stats.verify_s += verify_s;
	s->stats.choose_s += choose_s;
	if (s->pace)
		pace_round(s->pace, k, verify_s + choose_s, n, draft_s + verify_s + choose_s);
}

int strategy_round(struct strat *s, const int *drafts, int k, double draft_s,
		   struct pace_odds *odds, struct emit *out, char err[ERR_MAX])
{
	struct session *t = s->target;
	int y[STEP_MAX], n;
	double start = clock_now(), verified;
	const float *rows;

	t->n_best = sampler_best(&s->law);
	rows = session_extend(t, drafts, k, err);
	t->n_best = 0;
	if (!rows)
		return -1;
	verified = clock_now();
	n = verify(s->smp, &s->law, rows, t->n_out, t->tok, t->n, k, y);
	for (int i = 0; i < n; i++)
		out[i] = (struct emit){ y[i], i < n - 1 ? ORIGIN_ACCEPTED :
					n <= k ? ORIGIN_CORRECTED : ORIGIN_PLAIN };
	session_accept(t, n - 1, y[n - 1]);
	strategy_count(s, k, n - 1);
	strategy_took(s, k, n, draft_s, verified - start, clock_now() - verified);
	if (odds)
		pace_tested(odds, k, n - 1);
	return n;
}

int strategy_try(struct strat *s, strategy_guess_fn *guess, struct pace_odds *odds,
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
