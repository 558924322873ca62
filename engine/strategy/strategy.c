/* strategy.c - what strategies share: the round of all exact ones, and its statistics.
 *
 * Invariant: statistics count a draft as tested only when all before it held, and as accepted only
 * when it was emitted. */
#include "engine/strategy/guess.h"
#include "engine/decode/verify.h"

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
	if (s->chooses)
		return !auto_approximate || rollback_exact;
	return s->exact || (s->can_be_exact && rollback_exact);
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
	to->plain_n += from->plain_n;
	to->plain_s += from->plain_s;
}

void strategy_took(struct strat *s, int k, int n, double draft_s, double verify_s,
		   double choose_s)
{
	s->stats.draft_s += draft_s;
	s->stats.verify_s += verify_s;
	s->stats.choose_s += choose_s;
	if (k == 0 && !(s->cost && s->cost->cooled)) {
		s->stats.plain_n++;
		s->stats.plain_s += verify_s + choose_s;
	}
	if (s->cost)
		cost_round(s->cost, k, verify_s + choose_s, n, draft_s + verify_s + choose_s);
}

int strategy_round(struct strat *s, const int *drafts, int k, double draft_s,
		   struct cost_odds *odds, struct emit *out, char err[ERR_MAX])
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
		cost_tested(odds, k, n - 1);
	return n;
}
