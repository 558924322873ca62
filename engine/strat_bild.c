/* strat_bild.c - Big Little Decoder (Kim et al., NeurIPS 2023, arXiv 2302.07863).
 *
 * The little model writes until its top probability falls below opt.fallback (that guess is thrown
 * away) or opt.draft_max tokens are there; the big model then reads them all in one pass and keeps
 * each token while -log p_big(token) <= opt.rollback or it is its own first choice.  The first bad
 * one and all behind it go, the big model's choice takes its place.  Both thresholds use untempered
 * distributions.  With opt.rollback_exact the one acceptance rule decides instead and the text is
 * plain's.  Unlike the released code: the big model's cache is kept after a rollback, the first
 * token that offends against BOTH conditions is found, the end of the text is checked too.
 * Invariant: as strat_draft.c's. */
#include "engine/probs.h"
#include "engine/strategy.h"

/* Whether the big model, whose row this is, takes the draft back. */
static bool offends(const struct strat *s, const float *row, int draft)
{
	int n = s->target->n_out, top;
	double away = probs_log_sum(row, n) - (double)row[draft];

	if (away <= (double)s->opt.rollback)
		return false;
	probs_top(row, n, &top);
	return top != draft;
}

static int check_big(struct strat *s, const int *draft, int k, struct emit *out, char err[ERR_MAX])
{
	struct session *t = s->target;
	double start = clock_now(), verified;
	const float *rows = session_extend(t, draft, k, err);
	int kept = 0, next;

	if (!rows)
		return -1;
	verified = clock_now();
	while (kept < k && !offends(s, row_at(rows, t->n_out, kept), draft[kept]))
		kept++;
	next = sampler_choose(s->smp, &s->law, row_at(rows, t->n_out, kept), t->tok,
			      t->n + kept, 1.0f);
	for (int i = 0; i < kept; i++)
		out[i] = (struct emit){ draft[i], ORIGIN_ACCEPTED };
	out[kept] = (struct emit){ next, kept < k ? ORIGIN_CORRECTED : ORIGIN_PLAIN };
	session_accept(t, kept, next);
	strategy_count(s, k, kept);
	s->stats.verify_s += verified - start;
	s->stats.choose_s += clock_now() - verified;
	return kept + 1;
}

static int bild_step(struct strat *s, struct emit *out, char err[ERR_MAX])
{
	double start = clock_now();
	float lambda = s->opt.rollback_exact ? STRATEGY_LAMBDA : 1.0f;
	int draft[DRAFT_MAX], k;

	k = strategy_guess(s, strategy_room(s), s->opt.fallback, lambda, draft, err);
	if (k < 0)
		return -1;
	if (s->opt.rollback_exact)
		return strategy_round(s, draft, k, clock_now() - start, out, err);
	s->stats.draft_s += clock_now() - start;
	return check_big(s, draft, k, out, err);
}

const struct strategy strategy_bild = {
	.name = "bild", .help = "big little decoder: the big model corrects only clear faults",
	.can_be_exact = true, .needs = NEED_DRAFT_MODEL,
	.step = bild_step,
};
